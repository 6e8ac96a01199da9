//! Damaged records of sign-in methods: no login leads to another user, the cause is logged, and nothing is lost after the
//! records are restored.

use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use super::{StoredRecords, TamperedFleet, UNCACHED_POD, cut, swapped};
use crate::support::agent::Agent;
use crate::support::api::{ApiResponse, Auth, get, post};
use crate::support::local_accounts::{OTHER_PASSWORD, PASSWORD, accept_with_token, claims_of, get_token, sign_in_with_json};
use crate::support::steps::SESSION;
use crate::support::wait::for_next_log_line;

const ADA: &str = "ada@example.com";
const API_KEYS: &str = "/vestibule/api/keys";

/// All records that a sign-in or a session depends on, except for the user's own record.
const KINDS_WITHOUT_USER: [&str; 8] = ["session", "key", "key_secret", "keys_of", "flow", "identity", "password", "invitation"];

#[derive(Debug, Clone, Copy)]
enum SignInMethod {
    /// Alice with the provider.
    Callback,
    /// Ada with her password.
    Password,
    /// A new user with an invitation.
    Acceptance,
    /// Ada, who is signed in, creates a key.
    NewKey,
}

/// A sign-in that was started.
enum StartedSignIn {
    Callback { agent: Agent, address: String },
    Password,
    Acceptance { token: String, body: serde_json::Value },
    NewKey,
}

/// The result of a sign-in.
#[derive(Debug)]
struct SignInResult {
    status: u16,
    text: String,
    /// The new session.
    cookie: Option<String>,
}

impl SignInResult {
    fn of(reply: &ApiResponse) -> Self {
        Self { status: reply.status(), text: format!("{reply:?}"), cookie: reply.cookie(SESSION) }
    }
}

impl TamperedFleet {
    async fn start(&self, way: SignInMethod, number: usize) -> StartedSignIn {
        match way {
            SignInMethod::Callback => {
                let agent = Agent::new();
                let address = self.fleet.callback(UNCACHED_POD, &agent).await;
                StartedSignIn::Callback { agent, address }
            }
            SignInMethod::Password => StartedSignIn::Password,
            SignInMethod::Acceptance => {
                let link = self.fleet.invite(&format!("new-{number}@example.com"), "internal_user");
                let response = get_token(self.fleet.pod(0), &link).await;
                assert_eq!(response.status(), 200, "{response:?}");
                let token = response.json()["token"].as_str().expect("a token").to_owned();
                let user = claims_of(&token)["user_id"].clone();
                StartedSignIn::Acceptance { token, body: json!({"invitation_link": link, "user_id": user, "password": PASSWORD}) }
            }
            SignInMethod::NewKey => StartedSignIn::NewKey,
        }
    }

    async fn finish(&self, begun: &StartedSignIn) -> SignInResult {
        let pod = self.fleet.pod(UNCACHED_POD);
        match begun {
            StartedSignIn::Callback { agent, address } => {
                let page = agent.get(address).await;
                let cookie = agent.cookie("localhost", SESSION).map(|cookie| cookie.value);
                SignInResult { status: page.status, text: page.body, cookie }
            }
            StartedSignIn::Password => SignInResult::of(&sign_in_with_json(pod, ADA, PASSWORD, &[]).await),
            StartedSignIn::Acceptance { token, body } => SignInResult::of(&accept_with_token(pod, token, body.clone()).await),
            StartedSignIn::NewKey => SignInResult::of(&post(pod, self.ada.auth(), API_KEYS, json!({})).await),
        }
    }

    /// The user of a session according to every pod.
    async fn user_of(&self, cookie: &str) -> (String, String) {
        assert_eq!(self.fleet.passing(cookie).await, 3);
        let session = get(self.fleet.pod(0), Auth::Session(cookie), "/sso/session").await;
        let text = |name: &str| session[name].as_str().unwrap_or_default().to_owned();
        (text("user_id"), text("user_email"))
    }

    /// Asserts that the sign-in succeeded for the intended user.
    async fn assert_success(&self, way: SignInMethod, begun: &StartedSignIn, result: &SignInResult, context: &str) {
        let status = match way {
            SignInMethod::Callback => 303,
            SignInMethod::Password | SignInMethod::Acceptance => 200,
            SignInMethod::NewKey => 201,
        };
        assert_eq!(result.status, status, "{context}: {result:?}");
        let Some(cookie) = &result.cookie else { return assert!(matches!(way, SignInMethod::NewKey), "{context}: {result:?}") };
        let (id, email) = self.user_of(cookie).await;
        match begun {
            StartedSignIn::Callback { .. } => assert_eq!(email, "alice@example.com", "{context}"),
            StartedSignIn::Acceptance { body, .. } => assert_eq!(id, body["user_id"], "{context}"),
            StartedSignIn::Password | StartedSignIn::NewKey => assert_eq!(id, self.ada.id, "{context}"),
        }
    }
}

/// Under each name a record of another kind.
async fn of_another_kind(tampered: &TamperedFleet, before: &StoredRecords, kind: &str) -> StoredRecords {
    let others = tampered.records_of_kinds(&[if kind == "user" { "identity" } else { "user" }]).await;
    before.keys().cloned().zip(others.values().cycle().cloned()).collect()
}

#[rstest]
#[case::login_flow("flow", SignInMethod::Callback, "a Flow record can't be read")]
#[case::identity_at_the_provider("identity", SignInMethod::Callback, "a Identity record can't be read")]
#[case::local_identity("identity", SignInMethod::Password, "a Identity record can't be read")]
#[case::invitation("invitation", SignInMethod::Acceptance, "a Invitation record can't be read")]
#[case::password("password", SignInMethod::Password, "a Password record can't be read")]
#[case::user_with_provider("user", SignInMethod::Callback, "a User record can't be read")]
#[case::user_with_password("user", SignInMethod::Password, "a User record can't be read")]
#[case::key_creations("keys_of", SignInMethod::NewKey, "a KeyCreations record can't be read")]
#[tokio::test(flavor = "multi_thread")]
async fn with_damaged_records_nobody_signs_in_and_nothing_is_lost(
    #[case] kind: &str,
    #[case] way: SignInMethod,
    #[case] cause: &str,
) {
    let tampered = TamperedFleet::new().await;
    // So that there is another user.
    tampered.fleet.sign_in(0).await;
    for (number, spoilt) in ["swapped", "cut", "emptied", "of another kind"].into_iter().enumerate() {
        let context = format!("{kind}, {spoilt}, {way:?}");
        let (first, second) = (tampered.start(way, 2 * number).await, tampered.start(way, 2 * number + 1).await);
        let before = tampered.records_of_kinds(&[kind]).await;
        let after = match spoilt {
            "swapped" => swapped(&before),
            "cut" => cut(&before),
            "emptied" => before.keys().map(|name| (name.clone(), Vec::new())).collect(),
            _ => of_another_kind(&tampered, &before, kind).await,
        };
        tampered.write(&after).await;
        for_next_log_line().await;
        let known = tampered.fleet.pod(UNCACHED_POD).log().matches(cause).count();
        let refused = tampered.finish(&first).await;
        assert!([500, 503].contains(&refused.status) && refused.cookie.is_none(), "{context}: {refused:?}");
        assert!(!refused.text.contains("not_found"), "{context}: {refused:?}");
        assert!(tampered.fleet.pod(UNCACHED_POD).log().matches(cause).count() > known, "{context}: not in the log: {cause}");
        assert_eq!(tampered.records_of_kinds(&[kind]).await, after, "{context}: no record is overwritten");

        tampered.write(&before).await;
        let result = tampered.finish(&second).await;
        tampered.assert_success(way, &second, &result, &context).await;
        if kind == "flow" || kind == "invitation" {
            let result = tampered.finish(&first).await;
            tampered.assert_success(way, &first, &result, &format!("{context}: the first attempt continues")).await;
        }
    }
}

/// Only the attacks that docs/store.md lists succeed.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_invitation_or_flow_is_usable_again_by_the_same_user_only() {
    let tampered = TamperedFleet::new().await;
    let change = json!({"current_password": PASSWORD, "new_password": OTHER_PASSWORD});
    let password = tampered.records_of_kinds(&["password"]).await;
    assert_eq!(post(tampered.fleet.pod(0), tampered.ada.auth(), "/vestibule/api/password", change).await.status(), 200);
    sign_in_with_json(tampered.fleet.pod(1), ADA, PASSWORD, &[]).await.assert(401, "invalid_grant");
    tampered.write(&password).await;
    let again = sign_in_with_json(tampered.fleet.pod(1), ADA, PASSWORD, &[]).await;
    assert_eq!((again.status(), &again.json()["user_id"]), (200, &json!(tampered.ada.id)), "a change of a password is undone");

    let begun = tampered.start(SignInMethod::Acceptance, 0).await;
    let invitation = tampered.records_of_kinds(&["invitation"]).await;
    let result = tampered.finish(&begun).await;
    tampered.assert_success(SignInMethod::Acceptance, &begun, &result, "an invitation").await;
    assert_eq!(tampered.finish(&begun).await.status, 401, "once");
    tampered.write(&invitation).await;
    let result = tampered.finish(&begun).await;
    tampered
        .assert_success(SignInMethod::Acceptance, &begun, &result, "an accepted invitation is open again for the same user")
        .await;

    let (begun, _another) = (tampered.start(SignInMethod::Callback, 0).await, tampered.start(SignInMethod::Callback, 1).await);
    let flow = tampered.records_of_kinds(&["flow"]).await;
    let StartedSignIn::Callback { agent, address } = &begun else { unreachable!("the flow was started with the provider") };
    assert_eq!(agent.get(address).await.status, 303);
    tampered.write(&flow).await;
    let page = agent.get(address).await;
    assert!(page.status == 502 && page.set_cookies().is_empty(), "the provider takes a code once: {}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_user_is_enabled_by_no_record_but_their_own() {
    let mut tampered = TamperedFleet::new().await;
    let invited = tampered.fleet.invite(ADA, "internal_user");
    let before = tampered.records_of_kinds(&KINDS_WITHOUT_USER).await;
    tampered.administer(Method::POST, "/disable").await;
    tampered.write(&before).await;
    let (session, key) = tampered.statuses_without_cache().await;
    assert!(session != 200 && key != 200, "{session}, {key}");
    sign_in_with_json(tampered.fleet.pod(UNCACHED_POD), ADA, PASSWORD, &[]).await.assert(403, "access_denied");
    let response = get_token(tampered.fleet.pod(UNCACHED_POD), &invited).await;
    assert_eq!(
        (response.status(), response.cookie(SESSION)),
        (200, None),
        "the link is valid and opens no session: {response:?}"
    );
    let token = response.json()["token"].as_str().expect("a token").to_owned();
    let body = json!({"invitation_link": invited, "user_id": tampered.ada.id, "password": OTHER_PASSWORD});
    let accepted = accept_with_token(tampered.fleet.pod(UNCACHED_POD), &token, body).await;
    assert!(accepted.status() == 401 && accepted.cookie(SESSION).is_none(), "{accepted:?}");
    let created = post(tampered.fleet.pod(UNCACHED_POD), tampered.ada.auth(), API_KEYS, json!({})).await;
    assert_eq!(created.status(), 401, "{created:?}");
}

/// The counters of password attempts are not encrypted.
#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_attempt_counter_refuses_all_attempts() {
    let tampered = TamperedFleet::new().await;
    sign_in_with_json(tampered.fleet.pod(0), ADA, OTHER_PASSWORD, &[]).await.assert(401, "invalid_grant");
    sign_in_with_json(tampered.fleet.pod(0), "bob@example.com", OTHER_PASSWORD, &[]).await.assert(401, "invalid_grant");
    let before = tampered.records_of_kinds(&["counter"]).await;
    for (spoilt, status, code) in [("", 503, "outcome_unknown"), ("many", 503, "outcome_unknown"), ("9999", 429, "slow_down")] {
        tampered.write(&before.keys().map(|name| (name.clone(), spoilt.into())).collect()).await;
        let reply = sign_in_with_json(tampered.fleet.pod(UNCACHED_POD), ADA, PASSWORD, &[]).await;
        reply.assert(status, code);
        assert_eq!(reply.cookie(SESSION), None, "{spoilt:?}");
    }
    tampered.write(&before).await;
    assert_eq!(sign_in_with_json(tampered.fleet.pod(UNCACHED_POD), ADA, PASSWORD, &[]).await.status(), 200);
}
