//! Pods that listen on `[::]`, where the peer of an IPv4 connection is an IPv6 address such as `::ffff:127.0.0.1`.

use std::net::Ipv4Addr;

use reqwest::{Client, StatusCode};
use serde_json::json;

use super::{ask, let_through};
use crate::support::fleet::{Fleet, FleetBuilder};
use crate::support::http_client;
use crate::support::local_accounts::PASSWORD;
use crate::support::pod::PodOptions;

/// Binds all three listeners to `[::]`.
fn listen_on_every_address(pod: &mut PodOptions) {
    for (name, port) in ["PUBLIC", "CHECK", "ADMIN"].iter().zip(pod.ports) {
        pod.environment.push((format!("VESTIBULE__LISTEN__{name}"), format!("[::]:{port}")));
    }
}

fn builder<'a>() -> FleetBuilder<'a> {
    Fleet::builder().local_accounts().config(|pod| {
        pod.role_map = None;
        listen_on_every_address(pod);
    })
}

/// A client whose connections to nginx come from an address of its own.
fn client_at(address: Ipv4Addr) -> Client {
    let _ = http_client();
    let client = Client::builder().no_proxy().tls_certs_only([]).local_address(Some(address.into()));
    client.build().expect("a client")
}

async fn sign_in(client: &Client, fleet: &Fleet, password: &str) -> StatusCode {
    let url = fleet.url("/vestibule/api/sign-in").replace("localhost", "127.0.0.1");
    let body = json!({"user_email": "ada@example.com", "password": password});
    let request = client.post(url).header("host", "localhost").json(&body);
    request.send().await.expect("nginx answers").status()
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx_one_client_does_not_use_up_the_limits_of_another() {
    let config = "trusted_proxies: [127.0.0.1]\nrate_limits: {login_starts: 2}\n";
    let fleet = builder().standalone().nginx().yaml(config).start().await;
    fleet.create_user("ada@example.com", "internal_user").await;
    let (attacker, other) = (client_at(Ipv4Addr::new(127, 0, 0, 2)), client_at(Ipv4Addr::new(127, 0, 0, 3)));
    for _ in 0..10 {
        assert_eq!(sign_in(&attacker, &fleet, "a-wrong-password-81").await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(sign_in(&attacker, &fleet, PASSWORD).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(sign_in(&other, &fleet, PASSWORD).await, StatusCode::OK, "another client's quota");
    let start = async |client: &Client| {
        let url = fleet.url("/sso/login?rd=https://elsewhere.example").replace("localhost", "127.0.0.1");
        client.get(url).header("host", "localhost").send().await.expect("nginx answers").status()
    };
    for _ in 0..2 {
        assert_eq!(start(&attacker).await, StatusCode::BAD_REQUEST);
    }
    assert_eq!(start(&attacker).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(start(&other).await, StatusCode::BAD_REQUEST, "another client's rate limit");
    let log = fleet.pod(0).log();
    assert!(log.contains("client=127.0.0.2") && log.contains("client=127.0.0.3") && !log.contains("::ffff:"), "{log}");
}

/// The networks and the client's own forms of one address. Each pair is another client with its own limit.
#[tokio::test(flavor = "multi_thread")]
async fn every_notation_of_an_address_shares_one_limit() {
    for network in ["127.0.0.0/8", "'::ffff:127.0.0.0/104'"] {
        let config = format!("trusted_proxies: [{network}, 10.0.0.0/8]\nrate_limits: {{login_starts: 1}}\n");
        let fleet = builder().yaml(config).start().await;
        let pod = fleet.pod(0);
        let notations = [
            ["203.0.113.1", "::ffff:203.0.113.1"],
            ["203.0.113.2:80", "[::ffff:203.0.113.2]:81"],
            ["::ffff:cb00:7103, ::ffff:10.0.0.9", "9.9.9.9, 203.0.113.3, [::ffff:10.0.0.8]:443"],
            ["2001:db8::1", "[2001:db8::2]:443"],
            ["fe80::1%eth0", "[fe80::1%25eth1]:443"],
        ];
        for [one, other] in notations {
            let (through, _) = let_through(pod, one, "/sso/login", &[]).await;
            assert_eq!(through, 1, "{network}: {one}");
            assert_eq!(ask(pod, other, "/sso/login", &[]).await.status, 429, "{network}: {one} and {other}");
        }
        assert_eq!(let_through(pod, "unknown", "/sso/login", &[]).await.0, 12, "the proxy's address is that of no client");
        let direct = Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
        for listener in [pod.check("/auth/nginx"), pod.admin("/livez")] {
            assert!(direct.get(&listener).send().await.is_ok(), "{listener}");
        }
    }
}
