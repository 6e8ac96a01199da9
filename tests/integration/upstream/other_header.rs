//! An upstream credential in another header than `Authorization`, which is then left to the upstream.

use serde_json::{Value, json};

use super::{ask, fleet, received};
use crate::support::api::{Auth, create_key};
use crate::support::auth_request::send_to_check;
use crate::support::steps::BOB;

const SUBSCRIPTION: (&str, &str) = ("Authorization", "Bearer of-the-users-subscription");
const OF_THE_PROXY: &str = "Bearer sk-of-the-proxy";

/// A path, the headers of a client, and the `Authorization` that the upstream receives.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Value);

/// As Claude Code sends its user's subscription through LiteLLM.
#[tokio::test(flavor = "multi_thread")]
async fn a_clients_authorization_goes_on_beside_the_upstream_credential() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(BOB).await;
    let key = create_key(&fleet.pods[0], Auth::Session(&cookie["vestibule=".len()..]), json!({})).await;
    let bearer = format!("Bearer {}", key.key);
    let table: [Case<'_>; 6] = [
        ("/subscription/x", &[SUBSCRIPTION, ("X-LiteLLM-Api-Key", &bearer)], json!(SUBSCRIPTION.1)),
        ("/subscription/x", &[("X-LiteLLM-Api-Key", &key.key)], Value::Null),
        ("/subscription/x", &[("Authorization", &bearer), ("X-LiteLLM-Api-Key", &key.key)], Value::Null),
        ("/browser/x", &[SUBSCRIPTION, ("Cookie", &cookie), ("X-LiteLLM-Api-Key", "forged")], json!(SUBSCRIPTION.1)),
        ("/read/x", &[("Cookie", &cookie)], Value::Null),
        ("/anyone/x", &[SUBSCRIPTION, ("X-LiteLLM-Api-Key", "forged")], json!(SUBSCRIPTION.1)),
    ];
    for (path, headers, authorization) in table {
        let seen = received(fleet, path, headers).await;
        assert_eq!(
            (&seen["authorization"], &seen["x-litellm-api-key"]),
            (&authorization, &json!(OF_THE_PROXY)),
            "{path}: {seen}"
        );
        assert!(!seen.to_string().contains(&key.key) && !seen.to_string().contains("forged"), "{path}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_in_another_header_is_sent_to_nobody_else() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(BOB).await;
    // The rules of two path interpretations disagree.
    let seen = received(fleet, "/browser/..%2fx", &[("Cookie", &cookie)]).await;
    assert_eq!((&seen["authorization"], &seen["x-litellm-api-key"]), (&Value::Null, &Value::Null), "{seen}");
    for (path, headers) in [("/subscription/x", &[SUBSCRIPTION][..]), ("/browser/x", &[]), ("/closed/x", &[("Cookie", &cookie)])]
    {
        let answer = ask(fleet.nginx().port(), path, headers).await;
        assert!(matches!(answer.status, 401 | 403), "{path}: {answer:?}");
        assert!(!format!("{answer:?}").contains(OF_THE_PROXY), "{path}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_the_header_once_with_and_without_echo() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(BOB).await;
    let headers = [
        ("x-original-url", "http://localhost/browser/x"),
        ("x-original-method", "GET"),
        ("cookie", &cookie),
        ("x-litellm-api-key", "forged"),
        ("authorization", SUBSCRIPTION.1),
        ("x-api-key", "k"),
    ];
    for pod in &fleet.pods {
        for (query, authorization, api_key) in [("", &[][..], &[][..]), ("?echo=true", &[SUBSCRIPTION.1], &["k"])] {
            let answer = send_to_check(pod, "GET", &format!("/auth/nginx{query}"), &headers).await;
            assert_eq!((answer.status, answer.one("x-litellm-api-key")), (200, OF_THE_PROXY), "{answer:?}");
            assert_eq!((&answer.all("authorization")[..], &answer.all("x-api-key")[..]), (authorization, api_key), "{answer:?}");
            assert_eq!(
                answer.one("x-vestibule-untouched"),
                "authorization,x-api-key,api-key,x-goog-api-key,ocp-apim-subscription-key"
            );
        }
        let output = pod.log() + &pod.metrics().await;
        assert!(!output.contains("sk-of-the-proxy"), "the credential is logged");
    }
}
