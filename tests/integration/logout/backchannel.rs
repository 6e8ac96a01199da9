//! An identity provider ends sessions (OpenID Connect Back-Channel Logout 1.0).

mod races;
mod refusals;

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::scripted_fleet::{ScriptedFleet, answer};
use crate::support::agent::Agent;
use crate::support::api::{Auth, create_key, key_status};
use crate::support::faulty_idp::FaultyIdp;
use crate::support::fleet::Fleet;
use crate::support::idp::IdpOptions;
use crate::support::pod::{Pod, ProviderSection, random_key};
use crate::support::proxy::FaultProxy;
use crate::support::redis::{Options, Standalone};
use crate::support::steps::{ALICE, BOB, session_of};
use crate::support::wait;

const PATH: &str = "/sso/backchannel-logout";
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends a valid token with these claims.
async fn log_out(fixture: &ScriptedFleet, pod: usize, claims: Value) -> (u16, String) {
    let token = fixture.token(json!({"claims": claims})).await;
    answer(send(fixture.fleet.pod(pod), PATH, &token).await).await
}

async fn send(pod: &Pod, path: &str, token: &str) -> Response {
    post(pod, path, &[("logout_token", token)]).await
}

async fn post(pod: &Pod, path: &str, form: &[(&str, &str)]) -> Response {
    crate::support::http_client().post(pod.public(path)).form(form).send().await.expect("the pod answers")
}

/// Registers the back-channel logout of the pods behind nginx at the provider.
fn register(options: &mut IdpOptions, session_required: bool) {
    let client = &mut options.clients[0];
    let callback = client["redirect_uris"][0].as_str().expect("a redirect URI").to_owned();
    client["backchannel_logout_uri"] = json!(callback.replace("/sso/callback", PATH));
    client["backchannel_logout_session_required"] = json!(session_required);
}

/// Signs out at the provider's own page.
async fn sign_out_at_provider(fleet: &Fleet, agent: &Agent) {
    let page = agent.browse(&format!("{}/session/end?client_id=vestibule", fleet.idp().issuer())).await;
    agent.submit(&page.form(), &[("logout", "yes")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_at_the_provider_ends_the_sessions_of_its_session_on_every_pod_and_no_key() {
    let fleet = Fleet::builder().pods(3).cluster().nginx().idp_with(|options| register(options, true)).start().await;
    let (here, elsewhere, other) = (fleet.signed_in(ALICE).await, fleet.signed_in(ALICE).await, fleet.signed_in(BOB).await);
    let sessions = [&here, &elsewhere, &other].map(session_of);
    let key = create_key(fleet.pod(0), Auth::Session(&sessions[0]), json!({})).await;
    for pod in 0..3 {
        fleet.warm(pod, &sessions[0]).await;
    }
    let since = Instant::now();
    sign_out_at_provider(&fleet, &here).await;
    for pod in 0..3 {
        fleet.refused(pod, &sessions[0], since).await;
    }
    assert_eq!(fleet.metric("vestibule_backchannel_logouts_total", &["outcome=\"accepted\""]).await, 1.0);
    assert_eq!((fleet.passing(&sessions[1]).await, fleet.passing(&sessions[2]).await), (3, 3));
    assert_eq!(key_status(fleet.pod(1), &key.key).await, 200, "keys stay");
    let events: usize = fleet.pods.iter().map(|pod| pod.log().matches("backchannel logout accepted").count()).sum();
    assert_eq!(events, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_names_only_the_subject_ends_all_its_sessions() {
    let fleet = Fleet::builder().pods(3).cluster().nginx().idp_with(|options| register(options, false)).start().await;
    let (here, elsewhere, other) = (fleet.signed_in(ALICE).await, fleet.signed_in(ALICE).await, fleet.signed_in(BOB).await);
    let sessions = [&here, &elsewhere, &other].map(session_of);
    let since = Instant::now();
    sign_out_at_provider(&fleet, &here).await;
    for session in &sessions[..2] {
        for pod in 0..3 {
            fleet.refused(pod, session, since).await;
        }
    }
    assert_eq!(fleet.passing(&sessions[2]).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_accepted_once_and_a_new_one_for_an_ended_session_again() {
    let fixture = ScriptedFleet::start().await;
    let one = fixture.sign_in(json!({"sub": "ada", "sid": "s1"})).await;
    let other = fixture.sign_in(json!({"sub": "ada", "sid": "s2"})).await;
    fixture.warm(&one).await;
    let token = fixture.token(json!({"claims": {"sid": "s1"}})).await;
    let since = Instant::now();
    assert_eq!(answer(send(fixture.fleet.pod(1), PATH, &token).await).await, (200, String::new()));
    fixture.assert_ended_everywhere(&one, since).await;
    assert!(fixture.is_live(&other).await);
    for pod in &fixture.fleet.pods {
        assert_eq!(answer(send(pod, PATH, &token).await).await, (400, "invalid_request".to_owned()), "a replay");
    }
    assert_eq!(log_out(&fixture, 2, json!({"sid": "s1"})).await.0, 200, "the session has ended");
    assert_eq!(log_out(&fixture, 2, json!({"sid": "unknown"})).await.0, 200);
    assert_eq!(log_out(&fixture, 2, json!({"sub": "unknown"})).await.0, 200);
    let since = Instant::now();
    assert_eq!(log_out(&fixture, 0, json!({"sub": "ada"})).await.0, 200);
    fixture.assert_ended_everywhere(&other, since).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_or_the_issuer_chooses_the_provider() {
    let partner = FaultyIdp::start().await;
    let section = ProviderSection { id: "partner".to_owned(), ..ProviderSection::corp(partner.issuer(), random_key()) };
    let fixture = ScriptedFleet::start_with(|builder| builder.provider(section)).await;
    let pod = fixture.fleet.pod(0);
    let own = async || fixture.token(json!({"claims": {"sid": "s1"}})).await;
    assert_eq!(answer(send(pod, &format!("{PATH}/corp"), &own().await).await).await.0, 200);
    assert_eq!(answer(send(pod, PATH, &own().await).await).await.0, 200);
    let of_partner = partner.logout_token("", &json!({"claims": {"sid": "s1"}})).await;
    assert_eq!(answer(send(pod, &format!("{PATH}/corp"), &of_partner).await).await.0, 400, "another provider's token");
    assert_eq!(answer(send(pod, &format!("{PATH}/partner"), &of_partner).await).await.0, 200, "the refusal used nothing up");
    for unknown in ["unknown", "CORP", "local", "corp%2F"] {
        assert_eq!(answer(send(pod, &format!("{PATH}/{unknown}"), &own().await).await).await.0, 400, "{unknown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_while_redis_is_out_of_memory() {
    let fixture = ScriptedFleet::start_with(|builder| builder.standalone()).await;
    let session = fixture.sign_in(json!({"sub": "ada", "sid": "s1"})).await;
    fixture.warm(&session).await;
    let redis = &fixture.fleet.redis().node;
    redis.call(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let token = fixture.token(json!({"claims": {"sid": "s1", "sub": "ada"}})).await;
    assert_eq!(answer(send(fixture.fleet.pod(0), PATH, &token).await).await, (200, String::new()));
    assert_eq!(fixture.fleet.status(0, &session).await, 401);
    assert_eq!(answer(send(fixture.fleet.pod(0), PATH, &token).await).await.0, 400, "a replay");
    redis.call(&["CONFIG", "SET", "maxmemory", "0"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_cannot_be_handled_now_is_accepted_later() {
    let redis = Standalone::start(Options::default()).await;
    let proxy = FaultProxy::start(redis.node.port()).await;
    let fixture = ScriptedFleet::start_with(|builder| builder.store_at(proxy.url())).await;
    let session = fixture.sign_in(json!({"sub": "ada", "sid": "s1"})).await;
    let token = fixture.token(json!({"claims": {"sid": "s1"}})).await;
    proxy.refuse();
    let response = send(fixture.fleet.pod(0), PATH, &token).await;
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(answer(response).await.0, 503);
    proxy.resume();
    let accepted = async || (answer(send(fixture.fleet.pod(0), PATH, &token).await).await.0 == 200).then_some(());
    wait::until("the token to be accepted", PATIENCE, accepted).await;
    assert_eq!(fixture.fleet.status(0, &session).await, 401);
}
