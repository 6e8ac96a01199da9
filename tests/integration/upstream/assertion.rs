//! Identity assertions, verified by another library at an upstream that accepts no other credential.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{AUDIENCE, Files, ask, fleet, new_key, received};
use crate::support::agent::Agent;
use crate::support::api::{Auth, create_key};
use crate::support::auth_request::send_to_check;
use crate::support::fleet::Fleet;
use crate::support::nginx::Nginx;
use crate::support::pod::{Pod, until_everywhere};
use crate::support::steps::{ALICE, BOB, CAROL, session_header};
use crate::support::upstream::Upstream;

const PATIENCE: Duration = Duration::from_secs(20);

/// A verifying upstream, and another nginx of the same pods in front of it.
async fn verifying(fleet: &Fleet) -> &'static (Upstream, Nginx) {
    static VERIFYING: OnceCell<(Upstream, Nginx)> = OnceCell::const_new();
    let start = async || {
        let upstream =
            Upstream::verifying(&fleet.url("/vestibule/jwks.json"), fleet.url("").trim_end_matches('/'), AUDIENCE).await;
        let nginx = fleet.nginx_to(upstream.port()).await;
        (upstream, nginx)
    };
    VERIFYING.get_or_init(start).await
}

async fn published(pod: &Pod) -> Value {
    Agent::new().get(&pod.public("/vestibule/jwks.json")).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_verifies_assertions_and_refuses_requests_that_bypass_the_gateway() {
    let fleet = fleet().await;
    let (upstream, nginx) = verifying(fleet).await;
    let (alice, bob, carol) = (fleet.signed_in(ALICE).await, fleet.signed_in(BOB).await, fleet.signed_in(CAROL).await);
    let users = [
        (
            alice,
            json!({"role": "proxy_admin", "teams": ["research"], "email": "alice@example.com", "preferred_username": "alice"}),
        ),
        (
            bob,
            json!({"role": "internal_user", "teams": ["data", "research"], "email": "bob@example.com", "preferred_username": "bob"}),
        ),
        // carol's address is not verified.
        (carol, json!({"role": "internal_user_viewer", "teams": [], "preferred_username": "carol"})),
    ];
    for (agent, mut expected) in users {
        let answer = ask(nginx.port(), "/asserted/x", &[("Cookie", &session_header(&agent))]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let (seen, session) = (answer.json(), agent.get(&fleet.url("/sso/session")).await.json());
        let mut claims = seen["payload"].clone();
        let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
        // The assertion was signed at most ten seconds earlier.
        assert_eq!(exp - iat, 330, "{claims}");
        for name in ["iat", "exp"] {
            claims.as_object_mut().unwrap().remove(name);
        }
        claims["teams"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
        expected["iss"] = json!(fleet.url("").trim_end_matches('/'));
        expected["aud"] = json!(AUDIENCE);
        expected["sub"] = session["user_id"].clone();
        assert_eq!(claims, expected);
        assert_eq!(seen["protectedHeader"]["alg"], "ES256");
        assert_eq!(seen["headers"]["authorization"], Value::Null, "the assertion is only sent in its own header: {seen}");
    }
    let forged = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.";
    for headers in [&[][..], &[("x-vestibule-assertion", forged)]] {
        assert_eq!(ask(upstream.port(), "/asserted/x", headers).await.status, 401, "around the gateway");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_names_the_api_key_and_is_valid_until_it_expires() {
    let fleet = fleet().await;
    let (_, nginx) = verifying(fleet).await;
    let cookie = fleet.session_header(BOB).await;
    let key = create_key(&fleet.pods[0], Auth::Session(&cookie["vestibule=".len()..]), json!({"user_role": "customer"})).await;
    let answer = ask(nginx.port(), "/asserted/x", &[("x-api-key", &key.key)]).await;
    let claims = answer.json()["payload"].clone();
    assert_eq!((&claims["key_id"], &claims["role"]), (&json!(key.id), &json!("customer")), "{claims}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_own_assertion_never_reaches_the_upstream() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(CAROL).await;
    for path in ["/v1/x", "/open/x", "/pass/x", "/none/x"] {
        for name in ["X-Vestibule-Assertion", "x_vestibule_assertion", "X-VESTIBULE-ASSERTION"] {
            let seen = received(fleet, path, &[("Cookie", &cookie), (name, "forged")]).await;
            assert!(!seen.to_string().contains("forged"), "{path}: {seen}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_is_signed_once_for_many_checks() {
    let fleet = fleet().await;
    let (cookie, pod) = (fleet.session_header(CAROL).await, &fleet.pods[1]);
    let headers = [("x-original-url", "http://localhost/asserted/x"), ("x-original-method", "GET"), ("cookie", cookie.as_str())];
    let ask = async || send_to_check(pod, "GET", "/auth/nginx", &headers).await.one("x-vestibule-assertion").to_owned();
    let signed = pod.metric("vestibule_assertions_signed_total", &[]).await;
    for _ in 0..200 {
        assert_eq!(ask().await.split('.').count(), 3);
    }
    // Other tests also use this pod, and a new sign-in causes a new assertion.
    let signed = pod.metric("vestibule_assertions_signed_total", &[]).await - signed;
    assert!((1.0..50.0).contains(&signed), "{signed} were signed for 200 checks");
}

/// In a separate fleet: the keys of the shared one do not change.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_published_on_every_pod_and_rotated_without_a_restart() {
    let fleet = fleet().await;
    let files = Files::shared();
    let at_start = published(&fleet.pods[0]).await;
    assert_eq!(at_start["keys"].as_array().map(Vec::len), Some(1));
    assert_eq!((&at_start["keys"][0]["kty"], &at_start["keys"][0]["d"]), (&json!("EC"), &Value::Null));
    let page = Agent::new().get(&fleet.url("/vestibule/jwks.json")).await;
    assert_eq!((page.json(), page.header("cache-control")), (at_start.clone(), Some("public, max-age=60")));

    let old = std::fs::read_to_string(files.path("keys.pem")).unwrap();
    files.write("keys.pem", "no key at all");
    until_everywhere(&fleet.pods, "the refusal in the log", PATIENCE, async |pod| pod.log().contains("assertion keys rejected"))
        .await;
    files.write("keys.pem", &format!("{}{old}", new_key("eddsa")));
    until_everywhere(&fleet.pods, "the new key", PATIENCE, async |pod| {
        published(pod).await["keys"].as_array().is_some_and(|keys| keys.len() == 2)
    })
    .await;
    let set = published(&fleet.pods[2]).await;
    assert_eq!((&set["keys"][0]["crv"], &set["keys"][1]), (&json!("Ed25519"), &at_start["keys"][0]));
    // The new key signs once every pod can have published it; unit tests cover that with a test clock.
    let cookie = fleet.session_header(ALICE).await;
    let (_, nginx) = verifying(fleet).await;
    let answer = ask(nginx.port(), "/asserted/x", &[("Cookie", &cookie)]).await;
    assert_eq!(answer.json()["protectedHeader"]["kid"], at_start["keys"][0]["kid"], "{answer:?}");
    for pod in &fleet.pods {
        assert!(!pod.log().contains("PRIVATE"), "a private key is logged");
    }
}
