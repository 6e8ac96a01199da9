//! Tests of the whole configuration.

mod check;
mod directories;
mod lifecycle;
mod mistakes;
mod reference;
mod secrecy;
mod token_issuers;
mod upstream_credential;
mod valid_configurations;

use super::{Config, LoadedConfig, Mistakes, parse};

const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A certificate without a known private key.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBmjCCAT+gAwIBAgIUfd3O6CjLOB/9cq8gng+YI7to25owCgYIKoZIzj0EAwIw\n\
ITEfMB0GA1UEAwwWYSB0ZXN0J3Mgb3duIGF1dGhvcml0eTAgFw0yNjExMjIwNjEw\n\
MzFaGA8yMTI2MTAyOTA2MTAzMVowITEfMB0GA1UEAwwWYSB0ZXN0J3Mgb3duIGF1\n\
dGhvcml0eTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABBJcW3pnev99yJWubrAt\n\
9IcXi4fIW/HLLkhPv9qwkPUvx5RcW+QV1iq19lM/AydmuTm2AMOMEJgl6KzUrVLL\n\
7UWjUzBRMB0GA1UdDgQWBBSFkQzmhth0ZvKjHcTwIS41hWhhwDAfBgNVHSMEGDAW\n\
gBSFkQzmhth0ZvKjHcTwIS41hWhhwDAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49\n\
BAMCA0kAMEYCIQCNHzivmLr08CLk8kNwz6Nc1CurteO591YsuYbRSphXeAIhAJvW\n\
RxsV20XvXEPMRbPzqMMLRocdv9FTaqwJ7FbfaNN+\n\
-----END CERTIFICATE-----\n";

fn parsed(text: &str, env: &[(&str, &str)]) -> Result<LoadedConfig, Mistakes> {
    parse(text, env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn config(text: &str, env: &[(&str, &str)]) -> Config {
    parsed(text, env).unwrap_or_else(|mistakes| panic!("{mistakes}")).config
}

fn mistakes(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    let Err(mistakes) = parsed(text, env) else { return Vec::new() };
    mistakes.iter().map(ToString::to_string).collect()
}
