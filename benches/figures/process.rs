//! Memory and processor time of a process, as reported by the kernel.

use std::time::Duration;

/// In mebibytes.
#[derive(Clone, Copy)]
pub struct Memory {
    /// All resident memory, including the pages of the program's file.
    pub resident: f64,
    /// Private memory: heap and stacks.
    pub anonymous: f64,
}

pub fn memory(pid: u32) -> Memory {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let mebibytes = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_suffix("kB"));
        line.and_then(|text| text.trim().parse::<f64>().ok()).unwrap_or_else(|| panic!("no {field}: {status}")) / 1024.0
    };
    Memory { resident: mebibytes("VmRSS:"), anonymous: mebibytes("RssAnon:") }
}

/// The processor time of the process in user and kernel mode.
pub fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    // The name may contain any character and ends with the last parenthesis.
    let after_name = stat.rsplit_once(") ").expect("stat has a name").1;
    let ticks: f64 = after_name.split(' ').skip(11).take(2).map(|text| text.parse::<f64>().expect("ticks")).sum();
    // SAFETY: sysconf takes a number and touches no memory of ours.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    Duration::from_secs_f64(ticks / per_second)
}
