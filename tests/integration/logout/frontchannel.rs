//! A provider's page ends a session through the browser (OpenID Connect Front-Channel Logout 1.0).

use reqwest::Response;
use serde_json::json;
use tokio::time::Instant;
use url::Url;

use super::scripted_fleet::{ScriptedFleet, answer};
use crate::support::http_client;

const PATH: &str = "/sso/frontchannel-logout";
const BY_ID: &str = "/sso/frontchannel-logout/corp";
const ENABLED: &str = "frontchannel_logout: true";

impl ScriptedFleet {
    /// Loads the URL as a frame of the provider's page does: without cookies.
    async fn load(&self, pod: usize, path: &str, query: &[(&str, &str)]) -> Response {
        let address = Url::parse_with_params(&self.fleet.pod(pod).public(path), query).expect("an address");
        let request = http_client().get(address).header("sec-fetch-site", "cross-site").header("sec-fetch-dest", "iframe");
        request.send().await.expect("the pod answers")
    }

    fn issuer(&self) -> String {
        self.fleet.pod(0).options().providers[0].issuer.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_issuer_and_sid_ends_the_sessions_of_this_sid_on_every_pod() {
    let fixture = ScriptedFleet::start_with(|builder| builder.pods(3).cluster().provider_setting(ENABLED)).await;
    let one = fixture.sign_in(json!({"sub": "ada", "sid": "s1"})).await;
    let other = fixture.sign_in(json!({"sub": "ada", "sid": "s2"})).await;
    fixture.warm(&one).await;
    let issuer = fixture.issuer();
    let since = Instant::now();
    assert_eq!(answer(fixture.load(1, PATH, &[("iss", &issuer), ("sid", "s1")]).await).await.0, 200);
    fixture.assert_ended_everywhere(&one, since).await;
    assert!(fixture.is_live(&other).await);
    assert_eq!(answer(fixture.load(2, BY_ID, &[("iss", &issuer), ("sid", "s2")]).await).await.0, 200);
    assert_eq!(fixture.fleet.passing(&other).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn entra_id_sends_no_issuer_so_the_path_may_name_the_provider() {
    let fixture = ScriptedFleet::start_with(|builder| builder.provider_setting(ENABLED)).await;
    let session = fixture.sign_in(json!({"sub": "ada", "sid": "007e3899-e104-731f-b675-0617c1f2dd72"})).await;
    let response = fixture.load(0, BY_ID, &[("sid", "007e3899-e104-731f-b675-0617c1f2dd72")]).await;
    assert_eq!(response.headers()["x-frame-options"], "DENY", "no page may frame what a browser shows");
    assert!(response.headers().get("set-cookie").is_none());
    assert_eq!(answer(response).await.0, 200);
    assert!(!fixture.is_live(&session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_requests_end_no_session_and_write_nothing() {
    let fixture = ScriptedFleet::start_with(|builder| builder.provider_setting(ENABLED)).await;
    let session = fixture.sign_in(json!({"sub": "ada", "sid": "s1"})).await;
    let commits = async || fixture.fleet.metric("vestibule_store_commands_total", &["operation=\"commit\""]).await;
    let (issuer, before) = (fixture.issuer(), commits().await);
    let evil = "https://evil.example.com";
    let with_slash = format!("{issuer}/");
    let refused: [(&str, &[(&str, &str)]); 13] = [
        (PATH, &[]),
        (PATH, &[("sid", "s1")]),
        (PATH, &[("iss", &issuer)]),
        (PATH, &[("iss", &issuer), ("sid", "")]),
        (PATH, &[("iss", ""), ("sid", "s1")]),
        (PATH, &[("iss", evil), ("sid", "s1")]),
        (PATH, &[("iss", &with_slash), ("sid", "s1")]),
        (PATH, &[("iss", &issuer), ("sid", "s1"), ("sid", "s1")]),
        (PATH, &[("iss", &issuer), ("iss", evil), ("sid", "s1")]),
        (PATH, &[("iss", &issuer), ("sub", "ada")]),
        (BY_ID, &[("iss", evil), ("sid", "s1")]),
        (BY_ID, &[("iss", &issuer)]),
        ("/sso/frontchannel-logout/unknown", &[("iss", &issuer), ("sid", "s1")]),
    ];
    for (path, query) in refused {
        let refusal = answer(fixture.load(0, path, query).await).await;
        assert_eq!(refusal, (400, "invalid_request".to_owned()), "{path} {query:?}");
    }
    assert_eq!(answer(fixture.load(0, PATH, &[("iss", &issuer), ("sid", "unknown")]).await).await.0, 200);
    assert_eq!(commits().await, before);
    assert!(fixture.is_live(&session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_every_request_is_refused() {
    let fixture = ScriptedFleet::start_with(|builder| builder).await;
    let session = fixture.sign_in(json!({"sub": "ada", "sid": "s1"})).await;
    let issuer = fixture.issuer();
    for path in [PATH, BY_ID] {
        assert_eq!(answer(fixture.load(0, path, &[("iss", &issuer), ("sid", "s1")]).await).await.0, 400);
    }
    assert!(fixture.is_live(&session).await);
}
