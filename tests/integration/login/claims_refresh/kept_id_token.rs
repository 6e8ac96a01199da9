//! Refreshes that bring no id_token: the claims of the last one count until `max_age`, and no longer.

use serde_json::json;
use vestibule::clock::{Clock, SystemClock};
use vestibule::store::Ttl;
use vestibule::users::{Session, User};

use super::super::parameter;
use super::faulty_answers::FaultyRefresh;
use super::*;

const BY_ID_TOKEN: &str = r#"version: 1
default_role: none
rules:
  - {source: id_token, claim: department, match: platform, role: proxy_admin}
  - {source: userinfo, claim: email, match: "*", role: internal_user}
"#;

/// The id_token makes no difference.
const BY_USERINFO: &str = r#"version: 1
default_role: none
rules:
  - {claim: department, match: platform, role: internal_user}
  - {source: userinfo, claim: email, match: "*", role: internal_user}
"#;

/// A signed-in user whose refreshes bring no id_token.
struct KeptIdToken {
    faulty: FaultyRefresh,
    agent: Agent,
}

impl KeptIdToken {
    async fn start(role_map: &str) -> Self {
        let faulty = FaultyRefresh::start(|pod| pod.role_map = Some(role_map.to_owned())).await;
        let agent = Agent::new();
        faulty.sign_in_with(&agent, &of_platform()).await;
        faulty.idp.fault("refresh", &json!({"idToken": "absent"})).await;
        faulty.refresh(("cookie", &session_header(&agent)), "refreshed").await;
        Self { faulty, agent }
    }

    async fn check(&self) -> Answer {
        auth_request(self.faulty.pod(), &[("cookie", &session_header(&self.agent))]).await
    }

    async fn until_role(&self, role: &str) {
        let has_role = async || {
            let answer = self.check().await;
            (answer.status == 200 && answer.one("x-auth-request-role") == role).then_some(())
        };
        wait::until(&format!("the role {role}"), PATIENCE, has_role).await;
    }

    /// Moves the sign-in, but not the last refresh, beyond `max_age`.
    async fn age_sign_in(&self) {
        let then = SystemClock.now() - OVERDUE;
        let records = self.faulty.fleet.records().await;
        let digest = Digest::of(session_of(&self.agent).as_bytes());
        let key = Session::key(shard_of(&self.faulty.user), &digest);
        let mut session = records.get::<Session>(&key).await.expect("it can be read").expect("it is there");
        session.value.created = then;
        let change = records.change(key.shard).expect_version(&key, session.version);
        let change = change.put(&key, &session.value, Ttl::For(Duration::from_secs(3600))).drop_credential(&digest);
        change.commit().await.expect("the store answers").expect("no other writer");
        let age = |user: &mut User| {
            let at = user.identities[0].id_token_at.replace(then);
            assert!(at.is_some_and(|at| Some(at) < user.identities[0].verified_at), "the id_token keeps its time");
        };
        self.faulty.fleet.change_user(&self.faulty.user, age).await;
    }
}

fn of_platform() -> serde_json::Value {
    json!({"idToken": {"claims": {"department": "platform"}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_no_refresh_brings_end_at_the_maximum_age_and_a_sign_in_renews_them() {
    let kept = KeptIdToken::start(BY_ID_TOKEN).await;
    let pod = kept.faulty.pod();
    kept.until_role("proxy_admin").await;
    let key = create_key(pod, Auth::Session(&session_of(&kept.agent)), json!({})).await.key;
    assert_eq!(check_key(pod, &key).await.one("x-auth-request-role"), "proxy_admin");

    kept.age_sign_in().await;
    let refused = async || {
        let answer = kept.check().await;
        (answer.status == 401).then_some(answer)
    };
    let answer = wait::until("the session to need a sign-in", PATIENCE, refused).await;
    assert_eq!(answer.json()["error"], json!("claims_expired"));
    let answer = check_key(pod, &key).await;
    assert_eq!((answer.status, answer.one("x-auth-request-role")), (200, "internal_user"), "the role of userinfo counts");

    let question = kept.faulty.sign_in_with(&kept.agent, &of_platform()).await;
    assert_eq!(parameter(&question, "prompt"), "none", "the user sees no prompt");
    kept.until_role("proxy_admin").await;
    let has_role = async |pod: &Pod| check_key(pod, &key).await.one("x-auth-request-role") == "proxy_admin";
    until_everywhere(&kept.faulty.fleet.pods, "the role of the key", PATIENCE, has_role).await;
    assert!(pod.log().contains("refresh without id_token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_that_makes_no_difference_needs_no_sign_in() {
    let kept = KeptIdToken::start(BY_USERINFO).await;
    kept.age_sign_in().await;
    kept.faulty.refresh(("cookie", &session_header(&kept.agent)), "refreshed").await;
    kept.until_role("internal_user").await;
    assert_eq!(kept.check().await.one("x-auth-request-email"), "johndoe@example.com");
}
