//! Claims are refreshed in the background with the provider's refresh tokens, over three pods: one refresh per token, and no
//! sign-out by an outage. The providers rotate tokens, and end a grant whose former token is used again.

mod faulty_answers;
mod kept_id_token;
mod lifecycle;
mod offline;

use std::time::Duration;

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vestibule::secret::Digest;
use vestibule::store::{Record, RecordKey, RecordKind};
use vestibule::users::{Identity, shard_of};

use crate::support::agent::Agent;
use crate::support::api::{Auth, check_key, create_key};
use crate::support::auth_request::auth_request;
use crate::support::fleet::Fleet;
use crate::support::idp::{Idp, IdpOptions};
use crate::support::pod::{Pod, until_everywhere};
use crate::support::raw_http::Answer;
use crate::support::records::age_identity;
use crate::support::steps::{ALICE, BOB, TestUser, session_header, session_of};
use crate::support::wait;

const PATIENCE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_secs(10);

/// Older than the interval.
const DUE: Duration = Duration::from_secs(11);

/// Older than `max_age`.
const OVERDUE: Duration = Duration::from_secs(61);

const ROLE_MAP: &str = r#"version: 1
default_role: none
rules:
  - {provider: corp, claim: resource_access.litellm.roles, match: "llm-admin*", role: proxy_admin}
  - {provider: partner, claim: resource_access.litellm.roles, match: "llm-admin*", role: proxy_admin}
  - {provider: corp, claim: groups, match: "/engineering/*", role: internal_user}
  - {provider: partner, claim: groups, match: "/engineering/*", role: internal_user}
"#;

/// Three pods with two providers: `corp` keeps refresh tokens with sessions, `partner` with identities.
struct RefreshFleet {
    fleet: Fleet,
}

/// A signed-in browser.
struct BrowserSession {
    agent: Agent,
    cookie: String,
    user: String,
}

/// The record of a refresh in progress: `running`, or `paused` after a failure.
#[derive(Serialize, Deserialize)]
struct Lease(String);

impl Record for Lease {
    const KIND: RecordKind = RecordKind::RefreshLease;
}

impl RefreshFleet {
    async fn start() -> Self {
        let of_partner = |options: &mut IdpOptions| {
            issue_refresh_tokens(options);
            options.further["rotateRefreshTokens"] = json!(false);
        };
        let fleet = Fleet::builder().pods(3).cluster().idp_with(issue_refresh_tokens).idp_with(of_partner).config(|pod| {
            pod.role_map = Some(ROLE_MAP.to_owned());
            pod.further.push_str("shutdown: {delay: 10s, deadline: 30s}\n");
            for (provider, token) in pod.providers.iter_mut().zip(["session", "offline"]) {
                provider.further.push(format!("refresh: {{interval: 10s, max_age: 60s, token: {token}}}"));
            }
        });
        Self { fleet: fleet.start().await }
    }

    fn idp(&self, provider: &str) -> &Idp {
        if provider == "corp" { self.fleet.idp() } else { self.fleet.partner_idp() }
    }

    async fn sign_in(&self, provider: &str, user: TestUser) -> BrowserSession {
        let agent = Agent::new();
        let page = agent.get(&self.fleet.url(&format!("/sso/login?provider={provider}&rd=/vestibule/"))).await;
        let callback = self.idp(provider).sign_in(&agent, page, user.name, user.password).await;
        let page = agent.follow(callback).await;
        assert_eq!(page.status, 200, "{}: {}", page.url, page.body);
        let cookie = session_header(&agent);
        let answer = auth_request(self.fleet.pod(0), &[("cookie", &cookie)]).await;
        let user = answer.one("x-auth-request-user").to_owned();
        BrowserSession { agent, cookie, user }
    }

    /// Moves the verification of an identity into the past, after a refresh in progress has ended.
    async fn age(&self, provider: &str, signed_in: &BrowserSession, age: Duration) {
        let records = self.fleet.records().await;
        let ended = async || {
            for digest in self.token_digests(provider, signed_in) {
                let key = RecordKey::new(shard_of(&signed_in.user), RecordKind::RefreshLease, digest.to_hex());
                let lease = records.get::<Lease>(&key).await.expect("the store answers");
                if lease.is_some_and(|lease| lease.value.0 == "running") {
                    return None;
                }
            }
            Some(())
        };
        wait::until("the end of a refresh", PATIENCE, ended).await;
        self.fleet.change_user(&signed_in.user, |user| age_identity(user, provider, age)).await;
    }

    /// The digests of what keeps a refresh token: the session or the identity.
    fn token_digests(&self, provider: &str, signed_in: &BrowserSession) -> [Digest; 2] {
        let token = signed_in.cookie.split_once('=').expect("a cookie").1;
        [Digest::of(token.as_bytes()), Identity::digest(self.idp(provider).issuer(), "alice")]
    }

    /// Ends the lease of a pod that was killed. It ends by itself after 75 s, which a unit test shows.
    async fn end_lease(&self, signed_in: &BrowserSession) {
        let lease = lease_of(signed_in);
        let ended = self.fleet.records().await.unsequenced_change(lease.shard).delete(&lease).commit().await;
        assert!(ended.expect("the store answers").is_ok());
    }

    async fn refreshes(&self, provider: &str) -> u64 {
        self.idp(provider).stats().await["refreshes"].as_u64().expect("a number")
    }

    async fn token_errors(&self, provider: &str) -> Value {
        self.idp(provider).stats().await["tokenErrors"].clone()
    }

    /// Waits until the provider has received this number of refresh tokens.
    async fn until_refreshes(&self, provider: &str, expected: u64) {
        let counted = async || (self.refreshes(provider).await >= expected).then_some(());
        wait::until(&format!("{expected} refreshes"), PATIENCE, counted).await;
        assert_eq!(self.refreshes(provider).await, expected, "one refresh per token");
    }

    async fn until_status(&self, cookie: &str, status: u16) {
        let has_status = async |pod: &Pod| auth_request(pod, &[("cookie", cookie)]).await.status == status;
        until_everywhere(&self.fleet.pods, &format!("{status} on every pod"), PATIENCE, has_status).await;
    }

    /// Checks until every pod knows the role.
    async fn until_role(&self, cookie: &str, role: &str) -> Duration {
        let has_role = async |pod: &Pod| {
            let answer = auth_request(pod, &[("cookie", cookie)]).await;
            answer.status == 200 && answer.one("x-auth-request-role") == role
        };
        until_everywhere(&self.fleet.pods, &format!("the role {role} on every pod"), PATIENCE, has_role).await
    }

    async fn counted(&self, result: &str) -> f64 {
        self.fleet.metric("vestibule_claims_refreshes_total", &[&format!("result=\"{result}\"")]).await
    }
}

/// The lease of the token that a session keeps.
fn lease_of(signed_in: &BrowserSession) -> RecordKey {
    let digest = Digest::of(session_of(&signed_in.agent).as_bytes());
    RecordKey::new(shard_of(&signed_in.user), RecordKind::RefreshLease, digest.to_hex())
}

fn issue_refresh_tokens(options: &mut IdpOptions) {
    options.clients[0]["grant_types"] = json!(["authorization_code", "refresh_token"]);
    options.further = json!({"refreshTokens": "always"});
}

fn assert_unavailable(answer: &Answer) {
    assert_eq!((answer.status, &answer.json()["error"]), (503, &json!("temporarily_unavailable")), "{answer:?}");
    assert_eq!(answer.one("retry-after"), "10", "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_follows_the_provider_and_no_outage_ends_it() {
    let mut refreshed = RefreshFleet::start().await;
    let alice = refreshed.sign_in("corp", ALICE).await;
    let key = create_key(refreshed.fleet.pod(0), Auth::Session(&session_of(&alice.agent)), json!({})).await;
    a_lost_role_is_gone_within_the_interval(&refreshed, &alice).await;
    concurrent_checks_refresh_once(&refreshed, &alice).await;

    // The owner's session serves the key too.
    let before = refreshed.refreshes("corp").await;
    refreshed.age("corp", &alice, DUE).await;
    assert_eq!(check_key(refreshed.fleet.pod(1), &key.key).await.status, 200);
    refreshed.until_refreshes("corp", before + 1).await;

    an_outage_changes_nothing_until_the_maximum_age(&refreshed, &alice, &key.key).await;
    another_pod_takes_over_if_a_pod_dies(&mut refreshed, &alice).await;
    a_lost_answer_ends_the_session_if_the_provider_refuses_the_old_token(&refreshed, &alice).await;
    a_user_who_was_deleted_at_the_provider_is_refused(&refreshed).await;
    assert_eq!(refreshed.counted("store_failed").await, 0.0);
    lifecycle::a_pod_that_is_killed_after_the_rotation_costs_one_sign_in(&mut refreshed).await;
    lifecycle::a_stopping_pod_starts_no_refresh_in_the_background(&mut refreshed).await;
}

async fn a_lost_role_is_gone_within_the_interval(refreshed: &RefreshFleet, alice: &BrowserSession) {
    assert_eq!(refreshed.refreshes("corp").await, 0);
    refreshed.until_role(&alice.cookie, "proxy_admin").await;
    refreshed.fleet.idp().set_access_token_claims("alice", json!({})).await;
    let elapsed = refreshed.until_role(&alice.cookie, "internal_user").await;
    assert!(elapsed < INTERVAL + Duration::from_secs(4), "{elapsed:?}");
    let count = refreshed.refreshes("corp").await;
    assert_eq!(count, 1);
    let hourly = count as f64 * 3600.0 / elapsed.max(INTERVAL).as_secs_f64();
    eprintln!(
        "role gone after {elapsed:?}; {count} refresh of the identity, {hourly:.0} per hour at an interval of {INTERVAL:?}"
    );
}

async fn concurrent_checks_refresh_once(refreshed: &RefreshFleet, alice: &BrowserSession) {
    let before = refreshed.refreshes("corp").await;
    for round in 1..=5 {
        refreshed.age("corp", alice, DUE).await;
        let checks =
            (0..50).map(async |number| auth_request(refreshed.fleet.pod(number), &[("cookie", &alice.cookie)]).await.status);
        let statuses = join_all(checks).await;
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
        refreshed.until_refreshes("corp", before + round).await;
    }
    eprintln!("5 rounds of 50 checks over three pods: {} refreshes", refreshed.refreshes("corp").await - before);
    refreshed.until_status(&alice.cookie, 200).await;
    assert_eq!(refreshed.token_errors("corp").await, json!([]), "no rotated token was used again");
}

async fn an_outage_changes_nothing_until_the_maximum_age(refreshed: &RefreshFleet, alice: &BrowserSession, key: &str) {
    let fleet = &refreshed.fleet;
    fleet.idp().fail().await;
    let failed = refreshed.counted("failed").await;
    refreshed.age("corp", alice, DUE).await;
    let noticed = async || {
        refreshed.until_role(&alice.cookie, "internal_user").await;
        (refreshed.counted("failed").await > failed).then_some(())
    };
    wait::until("the outage to be noticed", PATIENCE, noticed).await;

    refreshed.age("corp", alice, OVERDUE).await;
    refreshed.until_status(&alice.cookie, 503).await;
    for pod in &fleet.pods {
        assert_unavailable(&auth_request(pod, &[("cookie", &alice.cookie)]).await);
        assert_unavailable(&check_key(pod, key).await);
        let keys = alice.agent.get(&pod.public("/vestibule/keys")).await;
        assert_eq!(keys.status, 200, "users can revoke keys: {}", keys.body);
        let page = alice.agent.get(&pod.public("/vestibule/sign-in")).await;
        assert_eq!((page.status, page.header("retry-after")), (503, Some("10")), "{}", page.body);
        let session = alice.agent.get_with(&pod.public("/sso/session"), &[("accept", "application/json")]).await;
        assert_eq!(session.status, 503, "{}", session.body);
    }
    let attempts = refreshed.counted("failed").await - failed;
    assert!(attempts <= 6.0, "{attempts} attempts in an outage of some seconds");
    fleet.idp().resume().await;
    refreshed.until_status(&alice.cookie, 200).await;
    assert_eq!(check_key(fleet.pod(2), key).await.status, 200);
    assert_eq!(refreshed.token_errors("corp").await, json!([]));
}

async fn another_pod_takes_over_if_a_pod_dies(refreshed: &mut RefreshFleet, alice: &BrowserSession) {
    let (before, records) = (refreshed.refreshes("corp").await, refreshed.fleet.records().await);
    let lease = lease_of(alice);
    refreshed.fleet.idp().pause().await;
    refreshed.age("corp", alice, DUE).await;
    let leased = async || {
        let status = auth_request(refreshed.fleet.pod(0), &[("cookie", &alice.cookie)]).await.status;
        assert_eq!(status, 200, "a refresh in progress delays no check");
        records.store().get(&lease).await.expect("the store answers")
    };
    wait::until("the refresh to begin", PATIENCE, leased).await;
    refreshed.fleet.pods[0].kill9();
    refreshed.fleet.idp().resume().await;
    for pod in &refreshed.fleet.pods[1..] {
        assert_eq!(auth_request(pod, &[("cookie", &alice.cookie)]).await.status, 200);
    }
    assert_eq!(refreshed.refreshes("corp").await, before, "the lease outlives its pod for a moment");
    refreshed.end_lease(alice).await;
    let taken_over = async || {
        for pod in &refreshed.fleet.pods[1..] {
            assert_eq!(auth_request(pod, &[("cookie", &alice.cookie)]).await.status, 200);
        }
        (refreshed.refreshes("corp").await > before).then_some(())
    };
    wait::until("another pod to refresh the claims", PATIENCE, taken_over).await;
    refreshed.fleet.restart(0).await;
    refreshed.until_status(&alice.cookie, 200).await;
}

/// The answer is lost after the provider has rotated the token. The old token is tried once, and the provider ends the grant.
async fn a_lost_answer_ends_the_session_if_the_provider_refuses_the_old_token(refreshed: &RefreshFleet, alice: &BrowserSession) {
    let other = refreshed.sign_in("corp", ALICE).await;
    let (before, refused) = (refreshed.refreshes("corp").await, refreshed.counted("refused").await);
    refreshed.fleet.idp().lose_next_answer().await;
    refreshed.age("corp", alice, DUE).await;
    assert_eq!(auth_request(refreshed.fleet.pod(1), &[("cookie", &alice.cookie)]).await.status, 200);
    refreshed.until_status(&alice.cookie, 401).await;
    assert_eq!(refreshed.token_errors("corp").await, json!(["invalid_grant"]), "tried once");
    assert_eq!(refreshed.counted("refused").await, refused + 1.0);
    // The other session has its own token, and the same refresh goes on with it.
    refreshed.until_refreshes("corp", before + 3).await;
    refreshed.until_status(&other.cookie, 200).await;
    refreshed.until_status(&alice.cookie, 401).await;
    assert_eq!(refreshed.refreshes("corp").await, before + 3, "no loop");
}

async fn a_user_who_was_deleted_at_the_provider_is_refused(refreshed: &RefreshFleet) {
    let (one, other) = (refreshed.sign_in("corp", BOB).await, refreshed.sign_in("corp", BOB).await);
    refreshed.until_status(&other.cookie, 200).await;
    refreshed.fleet.idp().delete_account("bob").await;
    refreshed.age("corp", &one, DUE).await;
    assert_eq!(auth_request(refreshed.fleet.pod(2), &[("cookie", &one.cookie)]).await.status, 200);
    refreshed.until_status(&one.cookie, 401).await;
    refreshed.until_status(&other.cookie, 401).await;
}
