//! The costs of the product, measured in one run: checks compared with an empty handler, memory, logins, revocations, starts
//! and ends.
//!
//! `make bench`. Absolute figures depend on the machine; ratios, counts and bytes do not. Only the occurrence of the measured
//! events is asserted. `cargo bench --bench figures -- memory logins` measures some figures, `BENCH_SECONDS` sets the duration
//! of checks and logins, and `BENCH_PRINCIPALS` the number of cached sessions.

#[path = "../../tests/integration"]
mod integration {
    pub mod support;
}

mod checks;
mod ends;
mod instructions;
mod logins;
mod memory;
mod people;
mod process;
mod revocations;
mod site;
mod stub_idp;
mod times;
mod wrk;

use site::BenchFleet;

/// In the order of measurement.
const FIGURES: [&str; 5] = ["checks", "memory", "logins", "revocations", "ends"];

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` also runs this; no figure is needed then.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let asked: Vec<&str> = arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
    if asked == ["instructions"] {
        return instructions::measure().await;
    }
    if let Some(unknown) = asked.iter().find(|name| !FIGURES.contains(name)) {
        panic!("{unknown} is none of {FIGURES:?}, nor instructions");
    }
    let bench = BenchFleet::start().await;
    for figure in FIGURES.into_iter().filter(|figure| asked.is_empty() || asked.contains(figure)) {
        match figure {
            "checks" => checks::measure(&bench).await,
            "memory" => memory::measure(&bench).await,
            "logins" => logins::measure(&bench).await,
            "revocations" => revocations::measure(&bench).await,
            _ => ends::measure(&bench).await,
        }
        println!();
    }
}

/// A positive number from the environment.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
