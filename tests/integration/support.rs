//! Starts pods and their real peers on loopback, for the tests, the benches and the demo: see [`fleet::Fleet`].
//!
//! A missing peer causes a panic that names `make peers`. All child processes end with the test process.
#![allow(dead_code, unused_imports, reason = "the tests, the benches and the demo each use a part of it")]

pub mod agent;
pub mod api;
pub mod api_server;
pub mod auth_request;
pub mod balancer;
pub mod browser;
pub mod certificates;
pub mod cli;
pub mod cpu_turns;
pub mod faulty_idp;
pub mod fleet;
pub mod forged_headers;
pub mod forward_proxy;
pub mod gateway;
pub mod idp;
pub mod litellm;
pub mod local_accounts;
pub mod nginx;
pub mod openapi;
pub mod pod;
pub mod pod_clock;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod random;
pub mod raw_http;
pub mod records;
pub mod redis;
pub mod resp;
pub mod scratch;
pub mod steps;
pub mod tls_terminator;
pub mod upstream;
pub mod versions;
pub mod wait;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Once;

/// An HTTP client for loopback addresses: no proxy, and redirects are not followed.
pub fn http_client() -> reqwest::Client {
    build_client(|builder| builder)
}

/// Like [`http_client`], with a loopback address of its own, since gateway and pods limit each client address.
pub fn http_client_at(address: Ipv4Addr) -> reqwest::Client {
    build_client(|builder| builder.local_address(std::net::IpAddr::from(address)))
}

/// Like [`http_client`], but `localhost` has only this address.
pub fn http_client_through(gateway: SocketAddr) -> reqwest::Client {
    build_client(|builder| builder.resolve("localhost", gateway))
}

fn build_client(adjust: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> reqwest::Client {
    install_crypto();
    let builder = reqwest::Client::builder()
        .no_proxy()
        // Reading the system's certificates takes longer than a whole login.
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        // Browsers resolve these names, and the C library does not. The URL determines the port.
        .resolve("chat.localhost", (Ipv4Addr::LOCALHOST, 0).into())
        .resolve("mcp.localhost", (Ipv4Addr::LOCALHOST, 0).into())
        .timeout(std::time::Duration::from_secs(30));
    adjust(builder).build().expect("a client without TLS roots can be built")
}

/// A client for the administrative endpoints of peers. It keeps no idle connections: each test has its own runtime, and a
/// connection ends with the runtime that opened it.
pub fn owner_client() -> reqwest::Client {
    install_crypto();
    let builder = reqwest::Client::builder().no_proxy().tls_certs_only([]).pool_max_idle_per_host(0);
    builder.timeout(std::time::Duration::from_secs(30)).build().expect("a client without TLS roots can be built")
}

/// Installs the TLS implementation; does nothing if one is installed.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that a provider is installed already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file under `tests/peers`, which `make peers` or `make gateways` may have to install first.
pub fn peer_file(path: &str) -> PathBuf {
    let file = repository("tests/peers").join(path);
    assert!(file.exists(), "{} is missing: run `make peers`", file.display());
    file
}

/// The directory for screenshots and other output of a test.
pub fn artifacts(test: &str) -> PathBuf {
    let directory = repository("target/artifacts").join(test);
    std::fs::create_dir_all(&directory).expect("target/ is writable");
    directory
}
