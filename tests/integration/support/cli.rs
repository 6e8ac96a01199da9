//! Runs the command line as an operator does.

use std::process::{Command, Output};

use super::pod::built_binary;

/// Runs the binary without the environment of the developer, which could configure it.
pub fn vestibule(arguments: &[&str]) -> Output {
    Command::new(built_binary()).args(arguments).env_clear().output().expect("the binary was built")
}
