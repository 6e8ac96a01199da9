//! The whole configuration: what is read, what is a mistake, and what the documentation says of it.

mod mistakes;
mod reading;
mod reference;
mod secrecy;

use super::{Config, Loaded, Mistakes, parse};

const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn parsed(text: &str, env: &[(&str, &str)]) -> Result<Loaded, Mistakes> {
    parse(text, env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn config(text: &str, env: &[(&str, &str)]) -> Config {
    parsed(text, env).unwrap_or_else(|mistakes| panic!("{mistakes}")).config
}

fn mistakes(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    let Err(mistakes) = parsed(text, env) else { return Vec::new() };
    mistakes.iter().map(ToString::to_string).collect()
}
