//! Reserves loopback ports: unique across the threads of a run and across concurrent runs, and outside the range that the
//! kernel assigns.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Mutex;

const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

struct Reservations {
    next: u16,
    // A lock is held while its file is open: until the process ends.
    locks: Vec<File>,
}

static RESERVATIONS: Mutex<Option<Reservations>> = Mutex::new(None);

/// A free port that no other test receives.
pub fn free() -> u16 {
    let mut guard = RESERVATIONS.lock().unwrap_or_else(|broken| broken.into_inner());
    let taken = guard.get_or_insert_with(|| Reservations { next: first_candidate(), locks: Vec::new() });
    for _ in 0..COUNT {
        let port = FIRST + taken.next;
        taken.next = (taken.next + 1) % COUNT;
        if let Some(lock) = reserve(port) {
            taken.locks.push(lock);
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

/// Concurrent runs start at different ports.
fn first_candidate() -> u16 {
    let spread = std::process::id().wrapping_mul(2_654_435_761) % u32::from(COUNT);
    u16::try_from(spread).expect("smaller than COUNT, which is a u16")
}

fn reserve(port: u16) -> Option<File> {
    let file = File::create(directory().join(port.to_string())).ok()?;
    file.try_lock().ok()?;
    TcpListener::bind(("127.0.0.1", port)).ok()?;
    Some(file)
}

fn directory() -> PathBuf {
    // SAFETY: getuid has no preconditions and can't fail.
    let user = unsafe { libc::getuid() };
    let directory = std::env::temp_dir().join(format!("vestibule-ports-{user}"));
    std::fs::create_dir_all(&directory).expect("the temporary directory is writable");
    directory
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn no_port_is_given_out_twice() {
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(|| (0..20).map(|_| super::free()).collect::<Vec<_>>())).collect();
        let ports: Vec<u16> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), 80);
    }
}
