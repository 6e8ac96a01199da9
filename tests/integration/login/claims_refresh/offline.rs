//! Refresh tokens that are kept with identities: keys need no session, and a refused token suspends the identity.

use serde_json::json;

use super::super::parameter;
use super::*;
use crate::support::api::{key_status, until_key_status};
use crate::support::fleet::Browser;

#[tokio::test(flavor = "multi_thread")]
async fn keys_without_a_session_follow_the_provider_until_it_refuses_the_token() {
    let mut refreshed = RefreshFleet::start().await;
    let alice = refreshed.sign_in("partner", ALICE).await;
    for (provider, scopes) in [("corp", "openid profile email"), ("partner", "openid profile email offline_access")] {
        let question = Agent::new().get(&refreshed.fleet.url(&format!("/sso/login?provider={provider}"))).await.location();
        assert_eq!(parameter(&question.expect("a redirect to the provider"), "scope"), scopes);
    }
    let session = session_of(&alice.agent);
    let key = create_key(refreshed.fleet.pod(0), Auth::Session(&session), json!({})).await.key;
    let browser = Browser { cookie: session, agent: alice.agent };
    refreshed.fleet.sign_out(1, &browser).await;
    refreshed.until_status(&alice.cookie, 401).await;
    let alice = BrowserSession { agent: browser.agent, ..alice };
    a_key_alone_is_refreshed(&refreshed, &alice, &key).await;
    a_refused_token_suspends_keys_until_the_next_sign_in(&mut refreshed, &key).await;
}

async fn a_key_alone_is_refreshed(refreshed: &RefreshFleet, alice: &BrowserSession, key: &str) {
    let before = refreshed.refreshes("partner").await;
    let partner = refreshed.fleet.partner_idp();
    partner.set_access_token_claims("alice", json!({})).await;
    // A provider that does not rotate tokens answers the second request.
    partner.lose_next_answer().await;
    refreshed.age("partner", alice, DUE).await;
    assert_eq!(key_status(refreshed.fleet.pod(0), key).await, 200);
    refreshed.until_refreshes("partner", before + 2).await;
    let has_role = async |pod: &Pod| check_key(pod, key).await.one("x-auth-request-role") == "internal_user";
    until_everywhere(&refreshed.fleet.pods, "the new role on every pod", PATIENCE, has_role).await;
    assert_eq!(refreshed.token_errors("partner").await, json!([]));

    // Claims that are too old make a check wait, and the refresh answers in time.
    refreshed.age("partner", alice, OVERDUE).await;
    let refreshes = refreshed.refreshes("partner").await;
    let renewed = async || {
        assert_eq!(key_status(refreshed.fleet.pod(2), key).await, 200, "no key is refused while the provider answers");
        (refreshed.refreshes("partner").await > refreshes).then_some(())
    };
    wait::until("the refresh that the check waits for", PATIENCE, renewed).await;
}

async fn a_refused_token_suspends_keys_until_the_next_sign_in(refreshed: &mut RefreshFleet, key: &str) {
    let again = refreshed.sign_in("partner", ALICE).await;
    // It forgets all tokens.
    refreshed.fleet.partner_idp_mut().restart().await;
    refreshed.age("partner", &again, DUE).await;
    assert_eq!(key_status(refreshed.fleet.pod(1), key).await, 200);
    for pod in &refreshed.fleet.pods {
        until_key_status(pod, key, 401).await;
    }
    refreshed.until_status(&again.cookie, 401).await;
    let refused = refreshed.counted("refused").await;
    assert_eq!(refused, 1.0);
    refreshed.sign_in("partner", ALICE).await;
    for pod in &refreshed.fleet.pods {
        until_key_status(pod, key, 200).await;
    }
    assert_eq!(refreshed.counted("refused").await, refused);
}
