//! Users' tokens on several pods that share a Redis cluster, and the expiry of tokens.

use serde_json::json;
use tokio::time::Instant;

use super::{CLI, PATIENCE, ask_for_tokens, check_token, text, tokens_of};
use crate::support::auth_request::auth_request;
use crate::support::faulty_idp::FaultyIdp;
use crate::support::fleet::Fleet;
use crate::support::idp::client;
use crate::support::pod::{Pod, PodOptions, random_key, until_everywhere};
use crate::support::steps::ALICE;
use crate::support::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_belongs_to_its_user_on_every_pod_and_is_refused_on_every_pod_when_the_user_is_disabled() {
    let secret = random_key();
    let accepting = |pod: &mut PodOptions| {
        pod.further += "token_issuers:\n  - {id: corp-api, provider: corp, audiences: [litellm], unregistered: allow}\n";
    };
    let cli = client("cli", &secret, &[CLI.to_owned()], &[]);
    let fleet = Fleet::builder().pods(3).cluster().idp_with(|idp| idp.clients.push(cli)).config(accepting).start().await;
    let (token, _) = tokens_of(fleet.idp(), &secret, ALICE).await;
    let user = async |pod: &Pod| {
        let answer = check_token(pod, &token).await;
        if answer.status == 200 { answer.one("x-auth-request-user").to_owned() } else { answer.status.to_string() }
    };
    for pod in &fleet.pods {
        assert_eq!(user(pod).await, "corp-api:alice", "the user has not signed in yet");
    }
    let cookie = fleet.session_header(ALICE).await;
    let alice = auth_request(&fleet.pods[0], &[("cookie", &cookie)]).await.one("x-auth-request-user").to_owned();
    let took = until_everywhere(&fleet.pods, "the token to be alice's", PATIENCE, async |pod| user(pod).await == alice).await;
    println!("known on three pods {took:?} after the sign-in");
    for (disabled, expected) in [(true, "401"), (false, alice.as_str())] {
        fleet.change_user(&alice, |user| user.disabled = disabled).await;
        let took = until_everywhere(&fleet.pods, expected, PATIENCE, async |pod| user(pod).await == expected).await;
        println!("disabled {disabled}: seen on three pods after {took:?}");
    }
}

/// Clocks may differ by a minute, so a token that expired 50 s ago is valid for ten more seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_cached_token_expires_on_time_and_a_token_without_a_required_claim_is_refused() {
    let idp = FaultyIdp::start().await;
    let issuer = json!({
        "id": "faulty", "issuer": idp.issuer(), "audiences": ["litellm"], "workload": false,
        "jwks_uri": format!("{}/jwks", idp.issuer()), "required_claims": {"repository_owner": "acme"},
    });
    let pod = Pod::start(PodOptions { further: format!("token_issuers: [{issuer}]\n"), ..PodOptions::new() }).await;
    let token = async |code: &str, claims: serde_json::Value| {
        idp.fault(code, &json!({"accessToken": {"claims": claims}})).await;
        let form = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CLI)];
        text(&ask_for_tokens(idp.issuer(), ("cli", "secret"), &form).await, "access_token")
    };
    for (code, owner) in [("of-another", json!("evil")), ("of-several", json!(["acme", "evil"])), ("of-nobody", json!(null))] {
        let wrong = token(code, json!({"repository_owner": owner, "exp": {"in": 300}})).await;
        assert_eq!(check_token(&pod, &wrong).await.status, 401, "{code}");
    }
    let short = token("short", json!({"repository_owner": "acme", "exp": {"in": -50}})).await;
    let began = Instant::now();
    let statuses = async || check_token(&pod, &short).await.status;
    assert_eq!((statuses().await, statuses().await), (200, 200));
    assert_eq!(pod.metric("vestibule_token_checks_total", &[r#"result="remembered""#]).await, 1.0);
    until("it to expire", PATIENCE, async || (statuses().await == 401).then_some(())).await;
    assert!(began.elapsed().as_secs() >= 5, "it expired too early: {:?}", began.elapsed());
    assert_eq!(idp.requests("/jwks").await, 1, "the keys were not fetched again");
}
