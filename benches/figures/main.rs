//! The costs of the product, measured in one run: checks compared with an empty handler, memory, logins, revocations, start
//! and shutdown.
//!
//! `make bench`. Absolute figures depend on the machine; ratios, counts and bytes do not. Only the occurrence of the measured
//! events is asserted. `cargo bench --bench figures -- memory logins` measures some figures, `BENCH_SECONDS` sets the duration
//! of checks and logins, and `BENCH_PRINCIPALS` the number of cached sessions.

#[path = "../../tests/integration"]
mod integration {
    pub mod support;
}

mod bench_fleet;
mod checks;
mod instructions;
mod lifecycle;
mod logins;
mod memory;
mod process;
mod revocations;
mod stub_idp;
mod times;
mod users;
mod wrk;

use bench_fleet::BenchFleet;

/// In the order of measurement.
const FIGURES: [&str; 5] = ["checks", "memory", "logins", "revocations", "lifecycle"];

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` also runs this; no figure is needed then.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let names: Vec<&str> = arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
    if names == ["instructions"] {
        return instructions::measure().await;
    }
    if let Some(unknown) = names.iter().find(|name| !FIGURES.contains(name)) {
        panic!("unknown figure {unknown}: must be instructions or one of {FIGURES:?}");
    }
    let bench = BenchFleet::start().await;
    for figure in FIGURES.into_iter().filter(|figure| names.is_empty() || names.contains(figure)) {
        match figure {
            "checks" => checks::measure(&bench).await,
            "memory" => memory::measure(&bench).await,
            "logins" => logins::measure(&bench).await,
            "revocations" => revocations::measure(&bench).await,
            _ => lifecycle::measure(&bench).await,
        }
        println!();
    }
}

/// A positive number from the environment.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
