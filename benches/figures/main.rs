//! What the product costs, measured in one run: checks beside an empty handler, memory, logins, revocations, starts and ends.
//!
//! `make bench`. Figures by themselves are the machine's; ratios, counts and bytes are the product's. Nothing is asserted but
//! that what is measured happened. `cargo bench --bench figures -- memory logins` measures a part, `BENCH_SECONDS` says how
//! long checks and logins are asked for, `BENCH_PRINCIPALS` how many sessions are cached.

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

/// In the order in which they are measured.
const FIGURES: [&str; 5] = ["checks", "memory", "logins", "revocations", "ends"];

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` runs this too, and there is nothing to show by it.
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
