//! Runs `wrk`, which sends one kind of request over many connections for some time.

use std::process::{Child, Command, Stdio};

pub const CONNECTIONS: u32 = 64;

/// One kind of request.
#[derive(Clone)]
pub struct Case {
    pub name: &'static str,
    pub port: u16,
    /// Path and query.
    pub target: &'static str,
    pub headers: Vec<(&'static str, String)>,
    /// True if the request is allowed.
    pub is_allowed: bool,
}

/// The results of `wrk`: requests per second, and milliseconds.
#[derive(Clone, Copy)]
pub struct Measurement {
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
}

pub fn run(case: &Case, seconds: usize) -> Measurement {
    let output = command(case, seconds).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run wrk ({error}): run `make bench`"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {text}", case.name);
    assert!(!text.contains("Socket errors"), "{}: {text}", case.name);
    let has_refusals = text.contains("Non-2xx or 3xx responses");
    assert_eq!(has_refusals, !case.is_allowed, "{}: {text}", case.name);
    let value = |label: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(label));
        line.unwrap_or_else(|| panic!("no {label}: {text}")).trim().to_owned()
    };
    let rate = value("Requests/sec:").parse().expect("a rate");
    Measurement { rate, p50: milliseconds(&value("50%")), p99: milliseconds(&value("99%")) }
}

/// Starts sending requests; the caller ends the process.
pub fn start(case: &Case, seconds: usize) -> Child {
    let child = command(case, seconds).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.unwrap_or_else(|error| panic!("cannot run wrk ({error}): run `make bench`"))
}

fn command(case: &Case, seconds: usize) -> Command {
    let mut command = Command::new("wrk");
    let (connections, duration) = (CONNECTIONS.to_string(), format!("{seconds}s"));
    command.args(["--threads", "1", "--latency", "--connections", &connections, "--duration", &duration]);
    for (name, value) in &case.headers {
        command.arg("--header").arg(format!("{name}: {value}"));
    }
    command.arg(format!("http://127.0.0.1:{}{}", case.port, case.target));
    command
}

/// `1.23ms`, `456.00us` or `1.20s`.
fn milliseconds(text: &str) -> f64 {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    let parsed = units.into_iter().find_map(|(unit, size)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * size));
    parsed.unwrap_or_else(|| panic!("no time: {text}"))
}
