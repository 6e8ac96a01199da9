//! Access tokens with pairwise subjects (OpenID Connect Core, section 8.1): their `sub` differs from that of the login, and
//! `oid` identifies the user.

use reqwest::Method;
use serde_json::json;

use super::{CLI, PATIENCE, check_token, claims_of, tokens_of};
use crate::support::agent::Agent;
use crate::support::api::{Auth, call, post};
use crate::support::auth_request::auth_request;
use crate::support::fleet::Fleet;
use crate::support::idp::{IdpOptions, client};
use crate::support::pod::{Pod, PodOptions, random_key, until_everywhere};
use crate::support::steps::{ALICE, BOB, TestUser, assert_page, session_of};

const BY_OID: &str = "{id: corp-api, provider: corp, audiences: [litellm], user_claim: oid}";

const ROLE_MAP: &str = r#"version: 1
default_role: internal_user_viewer
rules:
  - {provider: corp, claim: groups, match: "/engineering/platform", role: proxy_admin}
  - {provider: corp, claim: groups, match: "/engineering/*", role: internal_user}
"#;

/// Three pods with a cluster. The command-line client of the provider gets pairwise subjects.
struct PairwiseFleet {
    fleet: Fleet,
    secret: String,
}

impl PairwiseFleet {
    async fn start(issuer: &str, oid: impl Fn(&str) -> String) -> Self {
        let secret = random_key();
        let mut cli = client("cli", &secret, &[CLI.to_owned()], &[]);
        cli["subject_type"] = json!("pairwise");
        let adjust = |idp: &mut IdpOptions| {
            idp.clients.push(cli);
            for account in &mut idp.accounts {
                account.claims["oid"] = json!(oid(account.username));
                account.access_token_claims["oid"] = account.claims["oid"].clone();
                account.access_token_claims["groups"] = account.claims["groups"].clone();
            }
        };
        let accepting = |pod: &mut PodOptions| {
            pod.role_map = Some(ROLE_MAP.to_owned());
            pod.further += &format!("token_issuers:\n  - {issuer}\n");
        };
        let fleet = Fleet::builder().pods(3).cluster().idp_with(adjust).config(accepting).start().await;
        Self { fleet, secret }
    }

    async fn token(&self, user: TestUser) -> String {
        let (token, _) = tokens_of(self.fleet.idp(), &self.secret, user).await;
        assert_ne!(claims_of(&token)["sub"], json!(user.name), "the subject is pairwise");
        token
    }

    /// Signs in and returns the user's id and session.
    async fn sign_in(&self, user: TestUser) -> (String, String) {
        let session = session_of(&self.fleet.signed_in(user).await);
        let answer = auth_request(self.fleet.pod(0), &[("cookie", &format!("vestibule={session}"))]).await;
        (answer.one("x-auth-request-user").to_owned(), session)
    }

    async fn until_everywhere(&self, what: &str, holds: impl AsyncFn(&Pod) -> bool) {
        let took = until_everywhere(&self.fleet.pods, what, PATIENCE, holds).await;
        println!("{what}: on three pods after {took:?}");
    }
}

fn by_name(user: &str) -> String {
    format!("oid-of-{user}")
}

async fn seen(pod: &Pod, token: &str) -> (u16, String, String) {
    let answer = check_token(pod, token).await;
    let header = |name: &str| if answer.status == 200 { answer.one(name).to_owned() } else { String::new() };
    (answer.status, header("x-auth-request-user"), header("x-auth-request-role"))
}

#[tokio::test(flavor = "multi_thread")]
async fn disabling_a_user_ends_session_key_and_token_with_another_subject_on_every_pod() {
    let fleet = PairwiseFleet::start(BY_OID, by_name).await;
    let token = fleet.token(BOB).await;
    for pod in &fleet.fleet.pods {
        let answer = check_token(pod, &token).await;
        assert_eq!((answer.status, &answer.json()["error"]), (403, &json!("access_denied")), "{answer:?}");
    }
    let (bob, session) = fleet.sign_in(BOB).await;
    let expected = (200, bob.clone(), "internal_user".to_owned());
    fleet.until_everywhere("the token belongs to its user", async |pod| seen(pod, &token).await == expected).await;

    let url = fleet.fleet.pod(1).public("/sso/key/generate?response_type=oauth_token");
    let response = Agent::new().get_with(&url, &[("authorization", &format!("Bearer {token}"))]).await;
    let key = response.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", response.body)).to_owned();
    let cookie = format!("vestibule={session}");
    let statuses = async |pod: &Pod| {
        let by_session = auth_request(pod, &[("cookie", &cookie)]).await.status;
        [by_session, check_token(pod, &key).await.status, check_token(pod, &token).await.status]
    };
    fleet.until_everywhere("everything passes", async |pod| statuses(pod).await == [200; 3]).await;

    let (_, admin) = fleet.sign_in(ALICE).await;
    let path = format!("/vestibule/api/people/{bob}");
    let disabled = post(fleet.fleet.pod(0), Auth::Session(&admin), &format!("{path}/disable"), json!({})).await;
    assert_eq!(disabled.status(), 200, "{disabled:?}");
    fleet.until_everywhere("everything is refused", async |pod| statuses(pod).await == [401; 3]).await;
    // The same user with a new token.
    assert_eq!(check_token(fleet.fleet.pod(2), &fleet.token(BOB).await).await.status, 401);

    let enabled = post(fleet.fleet.pod(0), Auth::Session(&admin), &format!("{path}/enable"), json!({})).await;
    assert_eq!(enabled.status(), 200, "{enabled:?}");
    fleet.until_everywhere("the token passes again", async |pod| seen(pod, &token).await == expected).await;
    let deleted = call(fleet.fleet.pod(0), Auth::Session(&admin), Method::DELETE, &path, None).await;
    assert!([200, 204].contains(&deleted.status()), "{deleted:?}");
    fleet.until_everywhere("the subject is unregistered", async |pod| seen(pod, &token).await.0 == 403).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_user_claim_the_token_of_a_registered_user_is_refused_and_allow_accepts_every_subject() {
    let refusing = PairwiseFleet::start("{id: corp-api, provider: corp, audiences: [litellm]}", by_name).await;
    refusing.sign_in(BOB).await;
    assert_eq!(check_token(refusing.fleet.pod(0), &refusing.token(BOB).await).await.status, 403);

    let issuer = "{id: corp-api, provider: corp, audiences: [litellm], user_claim: oid, unregistered: allow}";
    let allowing = PairwiseFleet::start(issuer, by_name).await;
    let token = allowing.token(BOB).await;
    let subject = claims_of(&token)["sub"].as_str().expect("a subject").to_owned();
    for pod in &allowing.fleet.pods {
        assert_eq!(seen(pod, &token).await, (200, format!("corp-api:{subject}"), "internal_user".to_owned()));
    }
    let (bob, _) = allowing.sign_in(BOB).await;
    allowing.until_everywhere("the token belongs to its user", async |pod| seen(pod, &token).await.1 == bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_user_with_the_same_claim_cannot_sign_in_and_the_token_stays_with_the_first() {
    let fleet = PairwiseFleet::start(BY_OID, |_| "one-for-all".to_owned()).await;
    let (alice, _) = fleet.sign_in(ALICE).await;
    let page = fleet.fleet.open(&Agent::new(), "/sso/login?provider=corp&rd=/vestibule/", BOB).await;
    assert_page(&page, 409, "This account belongs to another user");
    let log = fleet.fleet.pod(0).log();
    let line = log.lines().find(|line| line.contains("user_claim_of_other_user")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(&alice) && !line.contains("one-for-all"), "{line}");
    fleet
        .until_everywhere("the token belongs to the first", async |pod| seen(pod, &fleet.token(ALICE).await).await.1 == alice)
        .await;
}
