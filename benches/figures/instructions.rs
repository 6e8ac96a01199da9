//! The instructions of one check, counted by valgrind's callgrind: the same in each run, independent of the load.
//!
//! `cargo bench --bench figures -- instructions`. Instructions of the kernel are not counted. If `BENCH_PROFILE` names a
//! directory, the profile of each kind of check is written there, for `callgrind_annotate`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::bench_fleet::{BenchFleet, HOST, binary, with_all_cases};
use super::integration::support::pod::PodOptions;
use super::integration::support::scratch::Scratch;
use super::wrk::Case;

const CHECKS: u32 = 1000;
const WARM_UP: u32 = 50;

pub async fn measure() {
    let bench = BenchFleet::with(|pod| *pod = under_callgrind(with_all_cases(pod.clone()))).await;
    println!("Instructions of each check, {CHECKS} of each kind over one connection\n");
    for case in [bench.cases().await, bench.dialects().await].concat() {
        let mut connection = TcpStream::connect(("127.0.0.1", case.port)).await.expect("the pod listens");
        send_checks(&mut connection, &case, WARM_UP).await;
        control(bench.pod().pid(), &["--zero"]);
        control(bench.pod().pid(), &["--instr=on"]);
        send_checks(&mut connection, &case, CHECKS).await;
        control(bench.pod().pid(), &["--instr=off"]);
        let profile = dump(bench.pod().pid(), case.name);
        println!("{:34} {:>10}", case.name, total(&profile) / u64::from(CHECKS));
    }
}

/// Runs the pod's binary with callgrind, which writes its profiles to a separate directory.
fn under_callgrind(mut pod: PodOptions) -> PodOptions {
    use std::os::unix::fs::PermissionsExt;
    let script = profiles().join("pod.sh");
    let (program, profile) = (binary(), profiles().join("profile"));
    let valgrind = format!("valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file={}", profile.display());
    let text = format!("#!/bin/sh\nexec {valgrind} {} \"$@\"\n", program.display());
    std::fs::write(&script, text).expect("the directory is writable");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).expect("the file is ours");
    pod.binary = script;
    // The pod's options set this only for the built binary itself.
    pod.further += "api: {session_writes: true}\n";
    // The consistency checks of a shared store would be counted too.
    pod.store = vec!["url: memory".to_owned()];
    pod
}

fn profiles() -> &'static Path {
    static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| match std::env::var_os("BENCH_PROFILE") {
        Some(directory) => PathBuf::from(directory),
        // The next run removes the directory of this one.
        None => std::mem::ManuallyDrop::new(Scratch::new("callgrind")).path().to_owned(),
    });
    &DIRECTORY
}

/// Sends one request after the other, each after the complete response to the previous one.
async fn send_checks(connection: &mut TcpStream, case: &Case, times: u32) {
    let others = case.headers.iter().filter(|(name, _)| *name != HOST);
    let headers: String = others.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n", case.target);
    for _ in 0..times {
        connection.write_all(request.as_bytes()).await.expect("the pod reads");
        let (mut response, mut read) = (vec![0; 16 * 1024], 0);
        while !is_complete(&response[..read]) {
            let more = connection.read(&mut response[read..]).await.expect("the pod responds");
            assert!(more > 0, "{}: the pod closed the connection", case.name);
            read += more;
        }
        assert_eq!(response.starts_with(b"HTTP/1.1 200 "), case.is_allowed, "{}", case.name);
    }
}

/// True if the response has a head and the body length that the head states.
fn is_complete(response: &[u8]) -> bool {
    let text = String::from_utf8_lossy(response).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    body.len() >= length.unwrap_or_default()
}

/// Runs callgrind_control. It finds the process by the environment that pods also have.
fn control(pid: u32, arguments: &[&str]) {
    let mut command = Command::new("callgrind_control");
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    let output = command.args(arguments).arg(pid.to_string()).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run callgrind_control ({error}): install valgrind"));
    assert!(output.status.success(), "callgrind_control {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Writes the counts since the last call, and returns the file.
fn dump(pid: u32, name: &str) -> PathBuf {
    control(pid, &["--dump"]);
    let dump = (1..).map(|number| profiles().join(format!("profile.{number}"))).find(|file| file.exists());
    let file = profiles().join(name.replace(' ', "-")).with_extension("callgrind");
    std::fs::rename(dump.expect("numbers do not end"), &file).expect("callgrind has written a profile");
    file
}

fn total(profile: &Path) -> u64 {
    let text = std::fs::read_to_string(profile).expect("the profile is there");
    let line = text.lines().find_map(|line| line.strip_prefix("totals: "));
    line.and_then(|total| total.trim().parse().ok()).expect("a profile has a total")
}
