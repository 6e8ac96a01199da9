//! The `vestibule` binary: parses the command line and runs the command.

use std::process::ExitCode;

use clap::Parser;
use vestibule::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
