//! The measured fleet: a pod over a Redis cluster with a real provider, additional pods, and the credentials of users
//! and programs.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::integration::support::auth_request::SECRET_HEADER;
use super::integration::support::fleet::{Fleet, ROLE_MAP};
use super::integration::support::http_client;
use super::integration::support::idp::IdpOptions;
use super::integration::support::pod::{Pod, PodOptions, random_key};
use super::integration::support::steps::{ALICE, session_of, unknown_key};
use super::wrk::Case;

const ACCESS: &str = "access:
  - {paths: [/open/**], allow: anyone}
  - {paths: [/assertion/**], upstream_credential: assertion}
  - {paths: [/**]}
";

/// In the spelling in which `wrk` replaces its own.
pub const HOST: &str = "Host";

pub struct BenchFleet {
    pub fleet: Fleet,
    batch_secret: String,
}

impl BenchFleet {
    pub async fn start() -> Self {
        Self::with(|pod| *pod = with_all_cases(pod.clone())).await
    }

    /// Starts a fleet with changed options of the pod that receives checks.
    pub async fn with(configure: fn(&mut PodOptions)) -> Self {
        let batch_secret = random_key();
        let batch = json!({
            "client_id": "batch", "client_secret": batch_secret, "grant_types": ["client_credentials"],
            "redirect_uris": [], "response_types": [],
        });
        let with_batch = |idp: &mut IdpOptions| idp.clients.push(batch);
        let fleet = Fleet::builder().own_cluster().idp_with(with_batch).nginx().binary(binary()).config(configure).start().await;
        Self { fleet, batch_secret }
    }

    /// The pod that receives checks.
    pub fn pod(&self) -> &Pod {
        self.fleet.pod(0)
    }

    /// Starts an additional pod and waits until it is ready.
    pub async fn start_pod(&self, name: &str, configure: impl FnOnce(&mut PodOptions)) -> Pod {
        let mut options = self.fleet.further_pod(name);
        configure(&mut options);
        Pod::start(options).await
    }

    /// A check of each kind, with a credential of that kind.
    pub async fn cases(&self) -> Vec<Case> {
        let cookie = cookie(&session_of(&self.fleet.signed_in(ALICE).await));
        let key = self.create_key(&[&cookie, &("sec-fetch-site", "same-origin".to_owned())], json!({"manage_keys": true})).await;
        let derived_key = self.create_key(&[&bearer(&key)], json!({})).await;
        let token = self.token().await;
        let case = |name, path, headers, is_allowed| Case { name, is_allowed, ..check(self.pod(), path, headers) };
        vec![
            case("a session", "/v1/models", vec![cookie.clone()], true),
            case("a key", "/v1/models", vec![bearer(&key)], true),
            case("a derived key", "/v1/models", vec![bearer(&derived_key)], true),
            case("a JWT", "/v1/models", vec![bearer(&token)], true),
            case("a session, with an assertion", "/assertion/x", vec![cookie.clone()], true),
            case("a path that is open to anyone", "/open/x", vec![], true),
            case("none", "/v1/models", vec![], false),
            case("an unknown key", "/v1/models", vec![bearer(&unknown_key())], false),
            case("a malformed key", "/v1/models", vec![bearer(&malformed_key())], false),
        ]
    }

    /// The same check with a session, in each dialect.
    pub async fn dialects(&self) -> Vec<Case> {
        let cookie = cookie(&session_of(&self.fleet.signed_in(ALICE).await));
        let secret = (SECRET_HEADER.0, SECRET_HEADER.1.to_owned());
        let proto = ("x-forwarded-proto", "http".to_owned());
        let forwarded = [
            ("x-forwarded-method", "GET".to_owned()),
            ("x-forwarded-host", "localhost".to_owned()),
            ("x-forwarded-uri", "/v1/models".to_owned()),
        ];
        let forwarded = [&[secret.clone(), proto.clone()], &forwarded[..], std::slice::from_ref(&cookie)].concat();
        let port = self.pod().check_port();
        let case = |name, target, headers| Case { name, port, target, headers, is_allowed: true };
        vec![
            Case { name: "nginx", ..check(self.pod(), "/v1/models", vec![cookie.clone()]) },
            case("traefik", "/auth/traefik?host=localhost", forwarded.clone()),
            case("caddy", "/auth/caddy?host=localhost", forwarded.clone()),
            case("envoy", "/auth/envoy/localhost/v1/models", vec![secret, proto, cookie, (HOST, "localhost".to_owned())]),
            case("haproxy", "/auth/haproxy?host=localhost", forwarded.clone()),
            case("apisix", "/auth/apisix?host=localhost", forwarded),
        ]
    }

    async fn create_key(&self, headers: &[&(&'static str, String)], body: Value) -> String {
        let request = http_client().post(self.pod().public("/vestibule/api/keys")).json(&body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let created: Value = request.send().await.expect("the pod responds").json().await.expect("JSON");
        created["key"].as_str().unwrap_or_else(|| panic!("no key: {created}")).to_owned()
    }

    async fn token(&self) -> String {
        let request = http_client().post(format!("{}/token", self.fleet.idp().issuer()));
        let request = request.basic_auth("batch", Some(&self.batch_secret)).form(&[("grant_type", "client_credentials")]);
        let response: Value = request.send().await.expect("the provider responds").json().await.expect("JSON");
        response["access_token"].as_str().unwrap_or_else(|| panic!("no token: {response}")).to_owned()
    }
}

/// One worker, like the empty handler, and the configuration of all cases.
pub fn with_all_cases(mut pod: PodOptions) -> PodOptions {
    let rules = ROLE_MAP.replace("rules:\n", "rules:\n  - {claim: azp, match: batch, role: internal_user}\n");
    pod.role_map = Some(rules + ACCESS);
    let assertion = json!({"assertion": {"audience": "bench", "keys": assertion_key()}});
    pod.further += &format!(
        "workers: 1\ntoken_issuers:\n  - {{id: corp-api, provider: corp, audiences: [litellm], unregistered: allow}}\nupstream_credential: {assertion}\n"
    );
    pod
}

/// A check on this pod.
pub fn check(pod: &Pod, path: &str, headers: Vec<(&'static str, String)>) -> Case {
    let (name, secret) = SECRET_HEADER;
    let original = vec![
        (name, secret.to_owned()),
        ("x-original-url", format!("http://localhost{path}")),
        ("x-original-method", "GET".to_owned()),
    ];
    let headers = [original, headers].concat();
    Case { name: "a check", port: pod.check_port(), target: "/auth/nginx?host=localhost", headers, is_allowed: true }
}

pub fn cookie(session: &str) -> (&'static str, String) {
    ("cookie", format!("vestibule={session}"))
}

fn bearer(secret: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {secret}"))
}

/// A string with the prefix of a key.
fn malformed_key() -> String {
    format!("sk-{}", random_key())
}

/// The shipped binary, or the one that `BENCH_BINARY` names.
pub fn binary() -> PathBuf {
    std::env::var_os("BENCH_BINARY").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_vestibule")), PathBuf::from)
}

fn assertion_key() -> String {
    let output = Command::new(binary()).args(["assertion-key", "new"]).output().expect("the binary runs");
    String::from_utf8(output.stdout).expect("PEM is text")
}
