//! Clients with a credential need no browser; clients that are no browser receive JSON.

use reqwest::Method;
use serde_json::json;

use super::{EDITOR, address, assert_not_cached, authorization_page, decide, fields, for_redirect, key_at_check};
use crate::support::agent::Agent;
use crate::support::api::{ApiKey, Auth, KEYS, call, create_key};
use crate::support::auth_request::SECRET_HEADER;
use crate::support::fleet::Fleet;
use crate::support::pod::PodOptions;
use crate::support::steps::{ALICE, IDENTITY_HEADERS, session_of, sign_in};

/// A pod and a key of alice.
async fn with_a_key(adjust: impl FnMut(&mut PodOptions)) -> (Fleet, String) {
    let fleet = Fleet::builder().idp().config(adjust).start().await;
    let agent = Agent::new();
    let page = authorization_page(&fleet, &agent, &address(&[("response_type", "oauth_token")])).await;
    let body = decide(&agent, &page, "allow").await.json();
    (fleet, body["access_token"].as_str().expect("a key").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_creates_a_derived_key_that_expires_no_later_and_ends_with_it() {
    let (fleet, parent) = with_a_key(|_| ()).await;
    let bearer = format!("Bearer {parent}");
    for header in [("authorization", bearer.as_str()), ("x-litellm-api-key", parent.as_str())] {
        let answer = Agent::new().get_with(&fleet.pod(0).public(&address(&[("response_type", "oauth_token")])), &[header]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_not_cached(&answer);
        let body = answer.json();
        assert!(body["expires_in"].as_u64().unwrap() <= 86_400);
        let child = body["access_token"].as_str().unwrap().to_owned();
        assert_ne!(child, parent);
        assert_eq!(key_at_check(fleet.pod(0), &child).await.0, 200);
    }
    let answer = Agent::new().get_with(&fleet.pod(0).public(&for_redirect(EDITOR)), &[("authorization", &bearer)]).await;
    let child = fields(&answer.location().expect("to the application"))["access_token"].clone();

    let agent = Agent::new();
    sign_in(fleet.idp(), &agent, fleet.pod(0), ALICE).await;
    let page = agent.get(&fleet.pod(0).public("/vestibule/keys")).await;
    // The first form creates a key, and the second one revokes the oldest key: the parent.
    let id = page.body.split("name=\"token_id\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    let revoked = agent.submit(&page.form(), &[("action", "revoke"), ("token_id", &id)]).await;
    assert_eq!(revoked.status, 303, "{}", revoked.body);
    assert_eq!(key_at_check(fleet.pod(0), &parent).await.0, 401);
    assert_eq!(key_at_check(fleet.pod(0), &child).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_derived_key_has_no_more_access_and_no_longer_lifetime_than_its_parent() {
    let fleet = Fleet::builder().idp().start().await;
    let agent = Agent::new();
    sign_in(fleet.idp(), &agent, fleet.pod(0), ALICE).await;
    let restrictions = json!({"user_role": "customer", "teams": [], "paths": ["/v1/**"], "duration": "1h"});
    let parent = create_key(fleet.pod(0), Auth::Session(&session_of(&agent)), restrictions).await;
    let bearer = format!("Bearer {}", parent.key);
    let url = fleet.pod(0).public(&address(&[("response_type", "oauth_token")]));
    let body = Agent::new().get_with(&url, &[("authorization", &bearer)]).await.json();
    let remaining = body["expires_in"].as_u64().unwrap();
    assert!((3_000..=3_600).contains(&remaining), "{body}");
    let child = format!("Bearer {}", body["access_token"].as_str().unwrap());
    for (path, status) in [("/v1/models", 200), ("/ui/", 403)] {
        let original = format!("http://localhost{path}");
        let headers =
            [("x-original-url", original.as_str()), ("x-original-method", "GET"), SECRET_HEADER, ("authorization", &child)];
        let answer = Agent::new().get_with(&fleet.pod(0).check("/auth/nginx"), &headers).await;
        assert_eq!(answer.status, status, "{path}");
        if status == 200 {
            assert_eq!((answer.header(IDENTITY_HEADERS[4]), answer.header(IDENTITY_HEADERS[3])), (Some("customer"), Some("")));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_too_many_path_patterns_in_its_chain_creates_no_key() {
    let fleet = Fleet::builder().idp().start().await;
    let agent = Agent::new();
    sign_in(fleet.idp(), &agent, fleet.pod(0), ALICE).await;
    let session = session_of(&agent);
    let patterns = |name: &str, number: usize| (0..number).map(|index| format!("/{name}/{index}")).collect::<Vec<_>>();
    let parent = create_key(fleet.pod(0), Auth::Session(&session), json!({"manage_keys": true})).await;
    let child = create_key(fleet.pod(0), Auth::Key(&parent.key), json!({"paths": patterns("a", 32)})).await;
    let restrict = async |key: &ApiKey, name: &str| {
        let path = format!("{KEYS}/{}", key.id);
        call(fleet.pod(0), Auth::Session(&session), Method::PATCH, &path, Some(json!({"paths": patterns(name, 32)}))).await
    };
    let url = fleet.pod(0).public(&address(&[("response_type", "oauth_token")]));
    let bearer = format!("Bearer {}", child.key);
    assert_eq!(restrict(&child, "b").await.status(), 200);
    assert_eq!(Agent::new().get_with(&url, &[("authorization", &bearer)]).await.status, 200);
    restrict(&child, "c").await.assert(400, "invalid_request");
    assert_eq!(restrict(&parent, "c").await.status(), 200, "the patterns of derived keys do not count");
    let answer = Agent::new().get_with(&url, &[("authorization", &bearer)]).await;
    assert_eq!((answer.status, &answer.json()["error"]), (400, &"invalid_request".into()), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_credential_is_401_and_the_cookie_is_not_tried() {
    let fleet = Fleet::builder().idp().start().await;
    let agent = Agent::new();
    sign_in(fleet.idp(), &agent, fleet.pod(0), ALICE).await;
    let cookie = format!("vestibule={}", session_of(&agent));
    let wrong = [
        ("authorization", "Bearer sk-1234"),
        ("authorization", "Bearer not.a.token"),
        ("x-litellm-api-key", "sk-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ];
    for header in wrong {
        let answer = Agent::new().get_with(&fleet.pod(0).public(&for_redirect(EDITOR)), &[header, ("cookie", &cookie)]).await;
        assert_eq!((answer.status, answer.location()), (401, None), "{header:?}: {}", answer.body);
        assert_eq!(answer.json()["error"], "invalid_token");
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
        assert_not_cached(&answer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_origins_get_cors_headers_and_others_get_none() {
    let listed = |pod: &mut PodOptions| {
        pod.environment.push(("OAUTH_ALLOWED_ORIGINS".to_owned(), "https://web.example.com".to_owned()));
    };
    let (fleet, key) = with_a_key(listed).await;
    let url = fleet.pod(0).public(&address(&[("response_type", "oauth_token")]));
    let bearer = format!("Bearer {key}");
    for (origin, allowed) in [("https://web.example.com", true), ("https://evil.example", false)] {
        let answer = Agent::new().get_with(&url, &[("authorization", &bearer), ("origin", origin)]).await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed.then_some(origin));
        assert_eq!(answer.header("vary"), Some("Origin"));
        let preflight = crate::support::http_client()
            .request(reqwest::Method::OPTIONS, &url)
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization")
            .send()
            .await
            .unwrap();
        assert_eq!(preflight.status(), 204);
        let headers = preflight.headers().get("access-control-allow-headers").map(|value| value.to_str().unwrap());
        assert_eq!(headers, allowed.then_some("authorization, x-litellm-api-key"));
    }
}
