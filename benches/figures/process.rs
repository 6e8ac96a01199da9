//! What the kernel says of a process.

use std::time::Duration;

/// In mebibytes.
#[derive(Clone, Copy)]
pub struct Memory {
    /// All that is resident, the pages of the program's file included.
    pub resident: f64,
    /// What is its alone: heap and stacks.
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

/// The processor time that it has taken, in its own code and in the kernel's for it.
pub fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    // The name, which may hold anything, ends with the last bracket.
    let after_name = stat.rsplit_once(") ").expect("stat has a name").1;
    let ticks: f64 = after_name.split(' ').skip(11).take(2).map(|text| text.parse::<f64>().expect("ticks")).sum();
    // SAFETY: sysconf takes a number and touches no memory of ours.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    Duration::from_secs_f64(ticks / per_second)
}
