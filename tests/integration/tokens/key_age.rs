//! Keys of an issuer that cannot be reached: they are used up to `keys_max_age`, and the answer is then 503.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{CLI, PATIENCE, ask_for_tokens, assert_refused, check_token, text};
use crate::support::agent::{Agent, Page};
use crate::support::auth_request::auth_request;
use crate::support::faulty_idp::FaultyIdp;
use crate::support::http_client;
use crate::support::pod::{Pod, PodOptions, ProviderSection, random_key};
use crate::support::pod_clock::PodClock;
use crate::support::steps::{assert_page, assert_signed_in, at, begin, login_address, session_header};
use crate::support::wait::until;

const JUST_BEFORE: &str = "+119m";
const AT_THE_MAXIMUM: &str = "+120m";
const NOT_POSSIBLE: &str = "Sign-in is not possible right now";

/// A pod with a movable clock, whose only provider and token issuer is one server.
struct KeyServer {
    idp: FaultyIdp,
    pod: Pod,
    clock: PodClock,
}

impl KeyServer {
    async fn start() -> Self {
        let (idp, clock) = (FaultyIdp::start().await, PodClock::new());
        let mut provider = ProviderSection::corp(idp.issuer(), random_key());
        provider.further.push("keys_max_age: 2h".to_owned());
        let issuer = json!({
            "id": "tools", "issuer": idp.issuer(), "audiences": ["litellm"], "workload": false, "keys_max_age": "2h",
        });
        let mut options = PodOptions::new();
        options.providers.push(provider);
        options.further = format!("token_issuers: [{issuer}]\n");
        options.environment.extend(clock.environment());
        Self { idp, pod: Pod::start(options).await, clock }
    }

    /// A token that is valid for days, so that only the age of the keys can end it.
    async fn token(&self, code: &str) -> String {
        self.idp.fault(code, &json!({"accessToken": {"claims": {"sub": code, "exp": {"in": 200_000}}}})).await;
        let form = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CLI)];
        text(&ask_for_tokens(self.idp.issuer(), ("cli", "secret"), &form).await, "access_token")
    }

    async fn status(&self, token: &str) -> u16 {
        check_token(&self.pod, token).await.status
    }

    async fn until_status(&self, token: &str, expected: u16) {
        let what = format!("{expected} for the token");
        until(&what, PATIENCE, async || (self.status(token).await == expected).then_some(())).await;
    }

    async fn fail(&self) {
        self.idp.spoil("/jwks", &json!({"status": 503, "body": "down"})).await;
    }

    async fn recover(&self) {
        self.idp.spoil("/jwks", &Value::Null).await;
    }

    /// Publishes another key instead of the one that signs.
    async fn withdraw_key(&self) {
        let url = format!("{}/jwks", self.idp.issuer());
        self.recover().await;
        let document = http_client().get(url).send().await.expect("the server answers");
        let mut keys: Value = document.json().await.expect("a key set");
        keys["keys"][0]["kid"] = json!("another-key");
        keys["keys"][0]["n"] = json!(URL_SAFE_NO_PAD.encode([0xa5; 256]));
        self.idp.spoil("/jwks", &json!({"body": keys.to_string()})).await;
    }

    /// Begins a login and returns the provider's callback, which is not requested.
    async fn pending_login(&self, agent: &Agent) -> String {
        let question = begin(agent, &self.pod, "/ui/").await.location().expect("begin gives a redirect");
        let callback = agent.get(question.as_str()).await.location().expect("the provider shows no form");
        at(&self.pod, &callback)
    }

    async fn login_page(&self) -> Page {
        Agent::new().get(&login_address(&self.pod, "/ui/")).await
    }

    async fn is_ready(&self) -> bool {
        self.pod.metric("vestibule_provider_ready", &[]).await == 1.0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_withdrawn_while_its_issuer_is_unreachable_counts_up_to_the_maximum_age() {
    let server = KeyServer::start().await;
    let (cached, unseen) = (server.token("cached").await, server.token("unseen").await);
    assert_eq!((server.status(&cached).await, server.status(&cached).await), (200, 200));
    let (signed_in, pending) = (Agent::new(), Agent::new());
    assert_signed_in(&signed_in.get(&server.pending_login(&signed_in).await).await);
    let session = session_header(&signed_in);

    server.fail().await;
    server.clock.set(JUST_BEFORE);
    assert_eq!((server.status(&cached).await, server.status(&server.token("new").await).await), (200, 200));

    let callback = server.pending_login(&pending).await;
    server.clock.set(AT_THE_MAXIMUM);
    for token in [&cached, &unseen, &cached] {
        let answer = check_token(&server.pod, token).await;
        assert_eq!((answer.status, &answer.json()["error"]), (503, &json!("temporarily_unavailable")), "{answer:?}");
    }
    assert_page(&server.login_page().await, 503, NOT_POSSIBLE);
    assert_page(&pending.get(&callback).await, 503, NOT_POSSIBLE);
    until("the provider to be reported", PATIENCE, async || (!server.is_ready().await).then_some(())).await;
    assert_refused(&check_token(&server.pod, &of_unknown_issuer(&cached)).await);
    assert_eq!(auth_request(&server.pod, &[("cookie", &session)]).await.status, 200, "sessions need no keys");

    server.withdraw_key().await;
    server.until_status(&cached, 401).await;
    assert_refused(&check_token(&server.pod, &unseen).await);
    server.recover().await;
    server.until_status(&unseen, 200).await;
    let ready = async || (server.login_page().await.status == 302 && server.is_ready().await).then_some(());
    until("the provider to be ready", PATIENCE, ready).await;
}

fn of_unknown_issuer(token: &str) -> String {
    let [header, _, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().expect("three parts");
    let payload = json!({"iss": "https://elsewhere.example", "sub": "x", "aud": "litellm"});
    format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(payload.to_string()))
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_the_age_of_the_keys_and_its_limit() {
    let server = KeyServer::start().await;
    for (series, label) in [("provider", r#"provider="corp""#), ("token_issuer", r#"issuer="tools""#)] {
        let metric = async |name: &str| server.pod.metric(&format!("vestibule_{series}_keys_{name}"), &[label]).await;
        assert_eq!(metric("max_age_seconds").await, 7200.0);
        assert!(metric("fetched_timestamp_seconds").await > 1_600_000_000.0);
    }
}
