//! A child process. Its output goes to a file. It is killed by id when dropped, and by the kernel when the test process ends.

use std::fs::OpenOptions;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex, mpsc};
use std::time::Duration;

use super::wait;

const SHOWN_LINES: usize = 25;

/// The treatment of a child's log when the test that owns it fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    ShowLog,
    Quiet,
}

pub struct Child {
    name: String,
    inner: std::process::Child,
    log: PathBuf,
    on_failure: OnFailure,
}

impl Child {
    /// Starts the command and appends both of its outputs to the file `log`.
    pub fn spawn(name: &str, mut command: Command, log: &Path, on_failure: OnFailure) -> Self {
        let output = OpenOptions::new().create(true).append(true).open(log).expect("the log's directory is writable");
        let errors = output.try_clone().expect("a file handle can be duplicated");
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        // Starts a process group, so that Ctrl-C in a terminal only reaches the demo.
        command.process_group(0);
        die_with_parent(&mut command);
        let program = command.get_program().to_owned();
        let inner = spawn_on_permanent_thread(command)
            .unwrap_or_else(|error| panic!("{name}: {} doesn't start ({error}): run `make peers`", program.display()));
        Self { name: name.to_owned(), inner, log: log.to_owned(), on_failure }
    }

    pub fn pid(&self) -> u32 {
        self.inner.id()
    }

    /// Sends SIGKILL and waits until the process has ended.
    pub fn kill9(&mut self) {
        // Fails only if the process has ended.
        let _ = self.inner.kill();
        self.inner.wait().expect("a child of ours can be waited for");
    }

    /// Sends SIGTERM; see [`Child::wait_exit`].
    pub fn term(&mut self) {
        self.signal(libc::SIGTERM);
    }

    /// Sends SIGINT, like Ctrl-C in a terminal.
    pub fn interrupt(&mut self) {
        self.signal(libc::SIGINT);
    }

    /// Sends SIGSTOP: connections stay open, and the process does not answer.
    pub fn stop(&mut self) {
        self.signal(libc::SIGSTOP);
    }

    /// Sends SIGCONT.
    pub fn cont(&mut self) {
        self.signal(libc::SIGCONT);
    }

    pub fn has_exited(&mut self) -> Option<ExitStatus> {
        self.inner.try_wait().expect("a child of ours can be waited for")
    }

    pub async fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("{} to exit", self.name);
        wait::until(&what, deadline, async || self.has_exited()).await
    }

    /// The output so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// The first value that `find` returns for a complete line of the log. Panics if the process ends earlier.
    pub async fn wait_for_line<T>(&mut self, deadline: Duration, find: impl Fn(&str) -> Option<T>) -> T {
        let found = wait::within(deadline, async || {
            let exited = self.has_exited();
            let log = self.log();
            let complete = log.rfind('\n').map_or("", |end| &log[..end]);
            let value = complete.lines().find_map(&find);
            if value.is_none() {
                assert!(exited.is_none(), "{} ended with {exited:?}:\n{log}", self.name);
            }
            value
        })
        .await;
        found.unwrap_or_else(|| panic!("{}: not in its log after {deadline:?}", self.name))
    }

    fn signal(&mut self, signal: libc::c_int) {
        if self.has_exited().is_some() {
            return;
        }
        let pid = libc::pid_t::try_from(self.inner.id()).expect("process ids fit pid_t");
        // SAFETY: the child isn't reaped, as has_exited just said, so the id is still its own.
        let result = unsafe { libc::kill(pid, signal) };
        assert_eq!(result, 0, "{}: signal {signal}", self.name);
    }

    fn show_log(&self) {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
        eprintln!("--- end of {}'s log\n{}\n---", self.name, tail.join("\n"));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if std::thread::panicking() && self.on_failure == OnFailure::ShowLog {
            self.show_log();
        }
        // Nothing remains to do for a child that cannot be killed.
        let _ = self.inner.kill();
        let _ = self.inner.wait();
    }
}

/// True if the process ended by the signal.
pub fn ended_by(status: ExitStatus, signal: libc::c_int) -> bool {
    status.signal() == Some(signal)
}

fn die_with_parent(command: &mut Command) {
    let setup = || {
        // SAFETY: prctl with PR_SET_PDEATHSIG takes one number and touches no memory of ours.
        let result = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(setup) };
}

type Job = (Command, mpsc::Sender<std::io::Result<std::process::Child>>);

/// The parent death signal is sent when the *thread* that spawned the child ends. Each test has its own thread, so peers that
/// tests share would die with the first test. Therefore one thread that never ends spawns all children.
fn spawn_on_permanent_thread(command: Command) -> std::io::Result<std::process::Child> {
    static SPAWNER: LazyLock<Mutex<mpsc::Sender<Job>>> = LazyLock::new(|| {
        let (sender, jobs) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, answer) in jobs {
                // The requesting test may have ended; its child then ends with the dropped answer.
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (sender, answer) = mpsc::channel();
    SPAWNER.lock().unwrap_or_else(|broken| broken.into_inner()).send((command, sender)).expect("the spawning thread never ends");
    answer.recv().expect("the spawning thread answers every job")
}
