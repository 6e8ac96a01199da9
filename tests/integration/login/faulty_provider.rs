//! A provider with invalid tokens and answers: they open no session, and no token is written to the log.

mod cases;
mod claim_shapes;
mod directory;
mod directory_kinds;
mod key_sets;
mod metadata;
mod pods;
mod settings;

use std::time::Duration;

use serde_json::{Value, json};

use super::{parameter, recent_sign_in::is_recent};
use crate::support::agent::{Agent, Page};
use crate::support::faulty_idp::FaultyIdp;
use crate::support::fleet::Fleet;
use crate::support::pod::{Pod, PodOptions, ProviderSection, random_key};
use crate::support::steps::{
    SESSION, assert_not_signed_in, assert_page, assert_signed_in, at, begin, login_address, restart_target, session_of,
};
use crate::support::wait;
use cases::{
    Case, faults_of_access_tokens, faults_of_authentication_times, faults_that_end_the_login_flow, id_token, odd_token_responses,
};
use metadata::large_key_set;

/// The shortest interval between on-demand fetches of the keys.
const BETWEEN_FETCHES: Duration = Duration::from_secs(10);

const PATIENCE: Duration = Duration::from_secs(60);
/// Accepts the access tokens of the provider.
const TOKEN_ISSUER: &str = "{id: corp-api, provider: corp, audiences: [litellm]}";

const FAILED: &str = "login failed";
const LEFT_OUT: &str = "access token claims ignored";

/// A pod whose provider returns faulty answers on request.
struct FaultyFleet {
    fleet: Fleet,
    idp: FaultyIdp,
}

impl FaultyFleet {
    async fn start() -> Self {
        Self::start_with(async |_| ()).await
    }

    /// Sets faults of the provider before the pod sends its first request.
    async fn start_with(spoil: impl AsyncFn(&FaultyIdp)) -> Self {
        let idp = FaultyIdp::start().await;
        spoil(&idp).await;
        // The most verbose log that operators can configure.
        let further = format!("log: {{level: \"trace,notify=warn,inotify=warn\"}}\ntoken_issuers: [{TOKEN_ISSUER}]\n");
        let verbose = |pod: &mut PodOptions| pod.further = further.clone();
        let provider = ProviderSection::corp(idp.issuer(), random_key());
        Self { fleet: Fleet::builder().provider(provider).config(verbose).start().await, idp }
    }

    /// Restarts the pod, which then fetches the provider's metadata.
    async fn restart(&mut self) {
        self.fleet.pods[0].restart().await;
    }

    fn pod(&self) -> &Pod {
        self.fleet.pod(0)
    }

    /// Runs a login flow with the fault in the provider's answers.
    async fn log_in(&self, agent: &Agent, fault: &Value) -> Page {
        let page = begin(agent, self.pod(), "/ui/again?a=b").await;
        self.complete(agent, page, fault).await
    }

    /// Runs a login flow that must be recent.
    async fn log_in_recently(&self, agent: &Agent, fault: &Value) -> Page {
        let page = agent.get(&format!("{}&authenticate=recent", login_address(self.pod(), "/ui/again?a=b"))).await;
        self.complete(agent, page, fault).await
    }

    async fn complete(&self, agent: &Agent, page: Page, fault: &Value) -> Page {
        let question = page.location().expect("begin gives a redirect");
        let callback = agent.get(question.as_str()).await.location().expect("the provider shows no form");
        self.idp.fault(&parameter(&callback, "code"), fault).await;
        let page = agent.get(&at(self.pod(), &callback)).await;
        self.assert_no_panic(&fault.to_string()).await;
        page
    }

    /// Asserts that no handler and no other code has panicked.
    async fn assert_no_panic(&self, after: &str) {
        assert_eq!(self.pod().metric("vestibule_panics_total", &[]).await, 0.0, "after {after:.300}");
        assert_eq!(self.lines("panicked"), Vec::<String>::new(), "after {after:.300}");
    }

    /// The lines of the log that contain the words.
    fn lines(&self, words: &str) -> Vec<String> {
        self.pod().log().lines().filter(|line| line.contains(words)).map(str::to_owned).collect()
    }

    async fn outcomes(&self) -> (f64, f64) {
        let count = async |outcome| self.pod().metric("vestibule_logins_total", &[outcome, "provider=\"corp\""]).await;
        (count("outcome=\"success\"").await, count("outcome=\"provider_failed\"").await)
    }

    async fn commits(&self) -> f64 {
        self.pod().metric("vestibule_store_commands_total", &["operation=\"commit\""]).await
    }

    /// The role after a successful login flow.
    async fn role(&self, fault: &Value) -> Value {
        let agent = Agent::new();
        let page = self.log_in(&agent, fault).await;
        assert_signed_in(&page);
        assert!(!session_of(&agent).is_empty());
        let who = agent.get(&self.pod().public("/sso/session")).await;
        assert_eq!(who.status, 200, "{}", who.body);
        who.json()["user_role"].clone()
    }

    async fn assert_refused(&self, Case(name, fault, reason): &Case) {
        wait::for_next_log_line().await;
        let (agent, before, known) = (Agent::new(), self.outcomes().await, self.lines(FAILED).len());
        let commits = self.commits().await;
        let page = self.log_in(&agent, fault).await;
        assert_page(&page, 502, "Sign-in could not be confirmed");
        assert_eq!(restart_target(&page), "/ui/again?a=b", "{name}");
        assert_not_signed_in(&page);
        assert!(agent.cookie("localhost", SESSION).is_none(), "{name}");
        assert_eq!(agent.get(&self.pod().public("/sso/session")).await.status, 401, "{name}");
        assert_eq!(
            self.commits().await - commits,
            2.0,
            "{name}: the login flow is created and consumed, and no session is opened"
        );
        assert_eq!(self.outcomes().await, (before.0, before.1 + 1.0), "{name}");
        let lines = self.lines(FAILED).split_off(known);
        assert!(lines.len() == 1 && lines[0].contains(reason), "{name}: {lines:?}");
    }

    /// Asserts that the log contains no token and no part of one.
    async fn assert_no_token_in_the_log(&self) {
        let (log, issued) = (self.pod().log(), self.idp.issued().await);
        assert!(!issued.is_empty() && log.contains("TRACE"));
        for part in issued.iter().flat_map(|token| token.split('.')).filter(|part| part.len() > 30) {
            assert!(!log.contains(part), "{part}: {}", log.lines().find(|line| line.contains(part)).unwrap_or_default());
        }
        assert!(!log.contains("@example.com"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_tokens_and_answers_open_no_session() {
    let fleet = FaultyFleet::start().await;
    for right in [
        json!({}),
        json!({"userinfo": {"signedBy": "provider"}}),
        id_token(json!({"aud": ["vestibule"], "azp": "vestibule"})),
        id_token(json!({"address": [], "locale": {}, "updated_at": "yesterday", "phone_number": 7, "picture": 1e300})),
        id_token(json!({"nbf": "tomorrow", "email_verified": "TRUE", "sid": 7})),
        json!({"userinfo": {"type": "text/plain"}}),
        json!({"userinfo": {"body": "\u{feff} {\"sub\": \"johndoe\"}"}}),
        json!({"idToken": {"header": {"kid": null}}, "accessToken": {"header": {"kid": null}}}),
        json!({"idToken": {"header": {"kid": 7, "jku": {}}}, "accessToken": {"header": {"kid": [], "x5c": 1}}}),
    ]
    .into_iter()
    .chain(odd_token_responses())
    {
        assert_eq!(fleet.role(&right).await, "proxy_admin", "{right}");
    }
    for case in faults_that_end_the_login_flow() {
        fleet.assert_refused(&case).await;
    }
    assert_eq!(fleet.idp.requests("/elsewhere").await, 0, "no redirect is followed");
    assert_eq!(fleet.role(&json!({})).await, "proxy_admin", "the fault is removed");
    fleet.assert_no_token_in_the_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_claims_of_an_untrusted_access_token_are_ignored() {
    let fleet = FaultyFleet::start().await;
    for Case(name, fault, reason) in faults_of_access_tokens() {
        assert_eq!(fleet.role(&json!({})).await, "proxy_admin", "before: {name}");
        let known = fleet.lines(LEFT_OUT).len();
        assert_eq!(fleet.role(&fault).await, "internal_user_viewer", "{name}");
        let lines = fleet.lines(LEFT_OUT).split_off(known);
        assert_eq!(lines.len(), usize::from(!reason.is_empty()), "{name}: {lines:?}");
        assert!(lines.iter().all(|line| line.contains(reason)), "{name}: {lines:?}");
    }
    fleet.assert_no_token_in_the_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_with_an_unknown_key_cause_one_fetch_of_the_keys_in_ten_seconds() {
    let fleet = FaultyFleet::start().await;
    let unknown = Case("an unknown key", json!({"idToken": {"header": {"kid": "other"}}}), "no key of the issuer matches");
    let before = fleet.idp.requests("/jwks").await;
    let ((), took) = wait::timed(async {
        let agents: Vec<Agent> = (0..8).map(|_| Agent::new()).collect();
        let pages = futures::future::join_all(agents.iter().map(|agent| fleet.log_in(agent, &unknown.1))).await;
        for page in &pages {
            assert_page(page, 502, "Sign-in could not be confirmed");
            assert_not_signed_in(page);
        }
        fleet.assert_refused(&unknown).await;
        assert_eq!(fleet.role(&json!({})).await, "proxy_admin", "the known key stays valid");
    })
    .await;
    let fetches = fleet.idp.requests("/jwks").await - before;
    println!("{fetches} fetch of the keys for 9 logins with an unknown one in {took:.1?}");
    // On a busy machine another fetch may be due.
    assert!((1..=1 + took.as_secs() / BETWEEN_FETCHES.as_secs()).contains(&fetches), "{fetches} in {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_keys_do_not_replace_the_known_ones() {
    let fleet = FaultyFleet::start().await;
    let unknown = Case("an unknown key", json!({"idToken": {"header": {"kid": "other"}}}), "no key of the issuer matches");
    let fetched = async |outcome| fleet.pod().metric("vestibule_provider_refreshes_total", &[outcome]).await;
    let wrong = [
        json!({"body": r#"{"keys": []}"#}),
        json!({"body": r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#}),
        json!({"status": 307, "location": "/elsewhere", "body": ""}),
        large_key_set(&fleet.idp).await,
    ];
    for (number, answer) in wrong.iter().enumerate() {
        fleet.idp.spoil("/jwks", answer).await;
        if number == 0 {
            // The login flow causes a fetch of the keys; after its failure the pod retries in the background.
            fleet.assert_refused(&unknown).await;
        }
        let before = fetched("outcome=\"error\"").await;
        wait::until("another fetch to fail", PATIENCE, async || (fetched("outcome=\"error\"").await > before).then_some(()))
            .await;
        assert_eq!(fleet.role(&json!({})).await, "proxy_admin", "{number}");
    }
    fleet.idp.spoil("/jwks", &Value::Null).await;
    wait::until("a fetch to succeed", PATIENCE, async || (fetched("outcome=\"ok\"").await == 2.0).then_some(())).await;
    assert_eq!(fleet.role(&json!({})).await, "proxy_admin");
    assert_eq!(fleet.idp.requests("/elsewhere").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recent_sign_in_needs_a_recent_auth_time_and_no_other_login_needs_one() {
    let fleet = FaultyFleet::start().await;
    for Case(name, fault, reason) in faults_of_authentication_times() {
        wait::for_next_log_line().await;
        let (agent, known) = (Agent::new(), fleet.lines(FAILED).len());
        let page = fleet.log_in_recently(&agent, &fault).await;
        assert_page(&page, 502, "Recent sign-in not confirmed");
        assert_not_signed_in(&page);
        assert_eq!(restart_target(&page), "/ui/again?a=b", "{name}");
        let lines = fleet.lines(FAILED).split_off(known);
        assert!(lines.len() == 1 && lines[0].contains(reason), "{name}: {lines:?}");
        assert_signed_in(&fleet.log_in(&agent, &fault).await);
        assert!(!is_recent(&agent, fleet.pod()).await, "{name}");
    }
    let (agent, right) = (Agent::new(), id_token(json!({"auth_time": {"in": -10}})));
    assert_signed_in(&fleet.log_in_recently(&agent, &right).await);
    assert!(is_recent(&agent, fleet.pod()).await);
    assert_signed_in(&fleet.log_in(&agent, &right).await);
    assert!(is_recent(&agent, fleet.pod()).await, "a provider may state it in any login");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_states_no_auth_time_can_be_trusted() {
    let idp = FaultyIdp::start().await;
    let mut provider = ProviderSection::corp(idp.issuer(), random_key());
    provider.further.push("trust_login_time: true".to_owned());
    let fleet = FaultyFleet { fleet: Fleet::builder().provider(provider).start().await, idp };
    let agent = Agent::new();
    assert_signed_in(&fleet.log_in_recently(&agent, &json!({})).await);
    assert!(is_recent(&agent, fleet.pod()).await);
    let page = fleet.log_in_recently(&agent, &id_token(json!({"auth_time": {"in": -7200}}))).await;
    assert_page(&page, 502, "Recent sign-in not confirmed");
}
