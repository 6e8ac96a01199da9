//! The `vestibule` binary: parses the command line and hands over.

use std::process::ExitCode;

use clap::Parser;
use vestibule::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
