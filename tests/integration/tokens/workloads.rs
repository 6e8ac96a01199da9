//! Tokens of ServiceAccounts, from a real API server.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::{PATIENCE, assert_refused, check_token};
use crate::support::api_server::{ApiServer, ISSUER, MayWriteEvents};
use crate::support::auth_request::{CREDENTIAL_HEADERS, auth_request};
use crate::support::pod::{Pod, PodOptions};
use crate::support::pod_clock::PodClock;
use crate::support::wait;

const AUDIENCE: &str = "https://llm.example.com";

const ROLE_MAP: &str = r"
version: 1
default_role: customer
rules:
  - {provider: cluster, claim: kubernetes\.io.namespace, match: batch, role: internal_user}
  - {provider: cluster, claim: sub, match: 'system:serviceaccount:batch:operator', role: proxy_admin}
access:
  - {paths: [/ui/**], credentials: [token]}
";

async fn server() -> ApiServer {
    let server = ApiServer::start(MayWriteEvents::No).await;
    server.allow_reviews().await;
    for namespace in ["batch", "elsewhere"] {
        server.add_namespace(namespace).await;
        server.add_account(namespace, "job").await;
    }
    server
}

/// A pod that accepts tokens of ServiceAccounts, with additional fields of the issuer.
async fn pod(server: &ApiServer, further: &str) -> Pod {
    pod_with(PodOptions::new(), server, further).await
}

async fn pod_with(mut options: PodOptions, server: &ApiServer, further: &str) -> Pod {
    options.role_map = Some(ROLE_MAP.to_owned());
    options.further = format!("token_issuers:\n  - {{id: cluster, kind: kubernetes, audiences: ['{AUDIENCE}']{further}}}\n");
    options.environment.push(("KUBECONFIG".to_owned(), server.pod_kubeconfig().to_string_lossy().into_owned()));
    Pod::start(options).await
}

async fn status(pod: &Pod, token: &str) -> u16 {
    check_token(pod, token).await.status
}

async fn until_status(pod: &Pod, token: &str, expected: u16) {
    let what = format!("{expected} for the token");
    wait::until(&what, PATIENCE, async || (status(pod, token).await == expected).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projected_token_passes_without_a_key_by_the_rules_for_its_namespace() {
    let mut server = server().await;
    server.add_account("batch", "operator").await;
    let pod = pod(&server, "").await;
    let token = server.token("batch", "job", AUDIENCE).await;
    for header in CREDENTIAL_HEADERS {
        let value = if header == "authorization" { format!("Bearer {token}") } else { token.clone() };
        let answer = auth_request(&pod, &[(header, &value)]).await;
        assert_eq!(answer.status, 200, "{header}: {answer:?}");
        assert_eq!(answer.one("x-auth-request-user"), "cluster:system:serviceaccount:batch:job");
        assert_eq!(answer.one("x-auth-request-role"), "internal_user");
    }
    let operator = check_token(&pod, &server.token("batch", "operator", AUDIENCE).await).await;
    assert_eq!(operator.one("x-auth-request-role"), "proxy_admin");

    // No rule matches its namespace, and the default role is only for users.
    let other_namespace = check_token(&pod, &server.token("elsewhere", "job", AUDIENCE).await).await;
    assert_eq!((other_namespace.status, &other_namespace.json()["error"]), (403, &json!("access_denied")));

    for audience in [ISSUER, "https://other.example.com"] {
        assert_refused(&check_token(&pod, &server.token("batch", "job", audience).await).await);
    }
    assert_refused(&check_token(&pod, &expired(&server, &token)).await);
    assert!(!server.has_jwks_request(), "the keys were requested from another host than the API server");

    // The keys are cached: neither known nor new tokens need the API server.
    let unseen = server.token("batch", "job", AUDIENCE).await;
    server.kill();
    assert_eq!((status(&pod, &token).await, status(&pod, &unseen).await), (200, 200));
}

/// The same claims, signed with the API server's key, but from two hours ago.
fn expired(server: &ApiServer, token: &str) -> String {
    signed_again(server, token, |claims| {
        for name in ["iat", "nbf", "exp"] {
            claims[name] = json!(claims[name].as_i64().expect("Kubernetes has all three") - 7200);
        }
    })
}

fn signed_again(server: &ApiServer, token: &str, change: impl FnOnce(&mut Value)) -> String {
    let header = jsonwebtoken::decode_header(token).expect("a JWT");
    let mut claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(token).expect("a JWT");
    change(&mut claims);
    let header = Header { kid: header.kid, ..Header::new(Algorithm::RS256) };
    let key = EncodingKey::from_rsa_pem(&server.signing_key()).expect("openssl made it");
    encode(&header, &claims, &key).expect("it can be signed")
}

#[tokio::test(flavor = "multi_thread")]
async fn with_token_review_a_deleted_service_account_is_refused_and_an_unavailable_api_server_is_no_refusal() {
    let mut server = server().await;
    server.add_account("batch", "leaver").await;
    let pod = pod(&server, ", review: true, review_cache: 1s").await;
    let (leaver, stays) = (server.token("batch", "leaver", AUDIENCE).await, server.token("batch", "job", AUDIENCE).await);
    assert_eq!((status(&pod, &leaver).await, status(&pod, &stays).await), (200, 200));

    server.delete_account("batch", "leaver").await;
    until_status(&pod, &leaver, 401).await;
    assert_eq!(status(&pod, &stays).await, 200);
    let reviews = async |outcome: &str| pod.metric("vestibule_token_reviews_total", &[&format!("outcome=\"{outcome}\"")]).await;
    assert!(reviews("good").await >= 2.0 && reviews("refused").await >= 1.0);

    server.kill();
    until_status(&pod, &stays, 503).await;
    assert!(reviews("error").await >= 1.0);
    server.restart().await;
    until_status(&pod, &stays, 200).await;
    assert_eq!(status(&pod, &leaver).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_starts_without_its_api_server_answers_503_and_recovers() {
    let mut server = server().await;
    let token = server.token("batch", "job", AUDIENCE).await;
    server.kill();
    let pod = pod(&server, "").await;
    assert_eq!(status(&pod, &token).await, 503);
    server.restart().await;
    until_status(&pod, &token, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_an_unreachable_api_server_are_used_up_to_the_maximum_age() {
    let (mut server, clock) = (server().await, PodClock::new());
    let token = server.token("batch", "job", AUDIENCE).await;
    let token = signed_again(&server, &token, |claims| claims["exp"] = json!(claims["exp"].as_i64().expect("a time") + 90_000));
    let options = PodOptions { environment: clock.environment(), ..PodOptions::new() };
    let pod = pod_with(options, &server, ", keys_max_age: 2h").await;
    assert_eq!(status(&pod, &token).await, 200);
    server.kill();
    clock.set("+119m");
    assert_eq!(status(&pod, &token).await, 200);
    clock.set("+120m");
    assert_eq!(status(&pod, &token).await, 503);
    server.restart().await;
    until_status(&pod, &token, 200).await;
}

/// An API server whose first issuer was replaced signs with the same keys, and accepts the tokens of both issuers.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_an_additional_issuer_are_accepted_and_reviewed() {
    const FORMER: &str = "https://former.example.com";
    let mut server = server().await;
    server.add_account("batch", "leaver").await;
    server.restart_with_issuer(FORMER).await;
    let of = |token: &str, iss: &str| signed_again(&server, token, |claims| claims["iss"] = iss.into());
    let (job, leaver) = (server.token("batch", "job", AUDIENCE).await, server.token("batch", "leaver", AUDIENCE).await);
    let (former_job, former_leaver, foreign) = (of(&job, FORMER), of(&leaver, FORMER), of(&job, "https://evil.example.com"));
    let strict = pod(&server, "").await;
    assert_eq!((status(&strict, &job).await, status(&strict, &former_job).await), (200, 401));

    let pod = pod(&server, &format!(", review: true, review_cache: 1s, additional_issuers: ['{FORMER}']")).await;
    for token in [&job, &former_job, &former_leaver] {
        let answer = check_token(&pod, token).await;
        assert_eq!((answer.status, answer.one("x-auth-request-role")), (200, "internal_user"), "{answer:?}");
    }
    assert_refused(&check_token(&pod, &foreign).await);
    server.delete_account("batch", "leaver").await;
    until_status(&pod, &former_leaver, 401).await;
    assert_eq!(status(&pod, &former_job).await, 200);
}
