//! Sends every call of the JSON API once; each answer is compared with the OpenAPI document.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::api::{ApiResponse, Auth, call};
use crate::support::fleet::Fleet;
use crate::support::openapi;
use crate::support::pod::Pod;
use crate::support::steps::{ALICE, BINDING, BOB, SESSION, assert_signed_in, at, at_provider, session_of};

const API: &str = "/vestibule/api";
const APP: &str = "/sso/key/generate?response_type=oauth_token";
const ADA: &str = "ada@example.com";
const PASSWORDS: [&str; 2] = ["eleven grey herons at dawn", "a kettle that sings in tune"];

/// Sends calls that succeed, and records their operations.
struct ApiCalls<'a> {
    pod: &'a Pod,
    operations: BTreeSet<&'static str>,
}

impl ApiCalls<'_> {
    async fn reply(&mut self, by: Auth<'_>, method: Method, path: &str, body: Option<Value>) -> ApiResponse {
        let reply = call(self.pod, by, method.clone(), path, body).await;
        assert!([200, 201].contains(&reply.status()), "{method} {path}: {reply:?}");
        self.saw(method.as_str(), path);
        reply
    }

    async fn get(&mut self, by: Auth<'_>, path: &str) -> Value {
        self.reply(by, Method::GET, path, None).await.json()
    }

    async fn post(&mut self, by: Auth<'_>, path: &str, body: Value) -> Value {
        self.reply(by, Method::POST, path, Some(body)).await.json()
    }

    async fn delete(&mut self, by: Auth<'_>, path: &str) {
        self.reply(by, Method::DELETE, path, None).await;
    }

    fn saw(&mut self, method: &str, path: &str) {
        self.operations.insert(openapi::operation(method, path));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// Copies the cookies of an API response to a browser.
fn keep_cookies(agent: &Agent, reply: &ApiResponse) {
    for name in [SESSION, BINDING] {
        reply.cookie(name).into_iter().for_each(|value| agent.set_cookie("localhost", &format!("{name}={value}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_call_is_answered_as_documented() {
    let fleet = Fleet::builder().idp().config(|pod| pod.further = "local_accounts: {enabled: true}\n".to_owned()).start().await;
    let alice = Agent::new();
    let page = alice.get(&fleet.pod(0).public("/sso/login?provider=corp")).await;
    let callback = at_provider(fleet.idp(), &alice, page, ALICE).await;
    assert_signed_in(&alice.get(&at(fleet.pod(0), &callback)).await);
    let session = session_of(&alice);
    let mut calls = ApiCalls { pod: fleet.pod(0), operations: BTreeSet::new() };

    about(&mut calls, Auth::Session(&session)).await;
    keys(&mut calls, Auth::Session(&session)).await;
    applications(&mut calls, &alice).await;
    let ada = invitations(&mut calls, Auth::Session(&session)).await;
    let user = sessions_and_passwords(&mut calls, &ada).await;
    identities(&mut calls, &ada, &fleet).await;
    user_management(&mut calls, Auth::Session(&session), &user).await;

    let missing: Vec<_> = openapi::operations().difference(&calls.operations).copied().collect();
    assert!(missing.is_empty(), "these calls were not sent: {missing:?}");
}

async fn about(calls: &mut ApiCalls<'_>, admin: Auth<'_>) {
    calls.get(Auth::None, &format!("{API}/openapi.json")).await;
    calls.get(Auth::None, "/vestibule/jwks.json").await;
    calls.get(admin, "/sso/session").await;
    calls.get(admin, &format!("{API}/role-map")).await;
    let explain = format!("{API}/role-map/explain");
    let claims = json!({"groups": ["/engineering/platform", "/teams/a,b"], "email": ADA});
    let request =
        json!({"claims": claims, "provider": "corp", "url": "http://localhost/v1/../x", "credential": "key", "workload": null});
    let explanation = calls.post(admin, &explain, request).await;
    assert!(explanation["access"]["allowed"].is_boolean(), "{explanation}");
    let own = calls.get(admin, "/sso/session").await;
    let explanation = calls.post(admin, &explain, json!({"user_id": own["user_id"]})).await;
    assert_eq!((&explanation["role"], &explanation["access"]), (&json!("proxy_admin"), &Value::Null));
}

async fn keys(calls: &mut ApiCalls<'_>, admin: Auth<'_>) {
    let keys = format!("{API}/keys");
    let everything = json!({
        "key_alias": "everything", "duration": "1mo", "user_role": "internal_user", "teams": ["research"], "paths": ["/v1/**"],
        "manage_keys": true, "user_id": null,
    });
    let created = calls.post(admin, &keys, everything).await;
    calls.post(admin, &keys, json!({"manage_people": true, "user_role": "proxy_admin"})).await;
    let child = calls.post(Auth::Key(text(&created["key"])), &keys, json!({"paths": ["/v1/models"]})).await;
    assert_eq!((&child["parent"], &child["further_paths"]), (&created["token_id"], &json!([["/v1/**"]])));
    calls.get(admin, &format!("{keys}?limit=1&user_id={}", text(&created["user_id"]))).await;
    let one = format!("{keys}/{}", text(&created["token_id"]));
    calls.post(admin, &format!("{one}/regenerate"), json!({"overlap": "1h"})).await;
    let narrowing = json!({"user_role": "internal_user_viewer", "teams": null, "paths": ["/v1/models"]});
    let restricted = calls.reply(admin, Method::PATCH, &one, Some(narrowing)).await.json();
    assert_eq!(
        (&restricted["user_role"], &restricted["further_paths"]),
        (&json!("internal_user_viewer"), &json!([["/v1/models"]]))
    );
    calls.delete(admin, &one).await;
}

/// In a browser, because an API key gets a derived key without confirmation.
async fn applications(calls: &mut ApiCalls<'_>, user: &Agent) {
    let page = user.get(&calls.pod.public(&format!("{APP}&state=a"))).await;
    let response = user.submit(&page.form(), &[("decision", "allow")]).await;
    calls.saw("POST", APP);
    calls.get(Auth::Key(text(&response.json()["access_token"])), &format!("{APP}&state=b")).await;
    let (session, redirects) = (session_of(user), format!("{API}/redirects"));
    calls.get(Auth::Session(&session), &redirects).await;
    calls.delete(Auth::Session(&session), &format!("{redirects}?redirect_uri=https://app.example.com/callback")).await;
}

/// Accepts an invitation; returns the user's browser.
async fn invitations(calls: &mut ApiCalls<'_>, admin: Auth<'_>) -> Agent {
    let invitations = format!("{API}/invitations");
    let wanted = json!({"user_email": ADA, "user_role": "internal_user", "teams": ["research"], "duration": "2h"});
    let revoked = calls.post(admin, &invitations, wanted.clone()).await;
    calls.delete(admin, &format!("{invitations}/{}", text(&revoked["id"]))).await;
    let created = calls.post(admin, &invitations, wanted).await;
    let (_, link) = text(&created["invitation_link"]).split_once("invite_link=").expect("a link");
    let opened = calls.get(Auth::None, &format!("/onboarding/get_token?invite_link={link}")).await;
    let claim = json!({"invitation_link": link, "user_id": created["user_id"], "password": PASSWORDS[0], "key": true});
    let accepted = calls.reply(Auth::Key(text(&opened["token"])), Method::POST, "/onboarding/claim_token", Some(claim)).await;
    assert!(accepted.json()["key"].is_string(), "{accepted:?}");
    let listed = calls.get(admin, &format!("{invitations}?limit=5")).await;
    assert_eq!(listed["invitations"][0]["is_accepted"], true, "{listed}");
    let ada = Agent::new();
    keep_cookies(&ada, &accepted);
    ada
}

async fn sessions_and_passwords(calls: &mut ApiCalls<'_>, ada: &Agent) -> String {
    let own = session_of(ada);
    let (own, sessions) = (Auth::Session(&own), format!("{API}/sessions"));
    let signed_in = calls.post(Auth::None, &format!("{API}/sign-in"), json!({"user_email": ADA, "password": PASSWORDS[0]})).await;
    let listed = calls.get(own, &sessions).await;
    let all = listed["sessions"].as_array().expect("a list");
    let other = all.iter().find(|session| session["current"] == false).expect("the other session");
    calls.delete(own, &format!("{sessions}/{}", text(&other["session_id"]))).await;
    calls.delete(own, &sessions).await;
    let change = json!({"current_password": PASSWORDS[0], "new_password": PASSWORDS[1]});
    calls.post(own, &format!("{API}/password"), change).await;
    text(&signed_in["user_id"]).to_owned()
}

/// Links and unlinks an identity of the provider.
async fn identities(calls: &mut ApiCalls<'_>, ada: &Agent, fleet: &Fleet) {
    let (session, identities) = (session_of(ada), format!("{API}/identities"));
    let own = Auth::Session(&session);
    let begun = calls.reply(own, Method::POST, &identities, Some(json!({"provider": "corp"}))).await;
    keep_cookies(ada, &begun);
    let page = ada.get(text(&begun.json()["location"])).await;
    let callback = at_provider(fleet.idp(), ada, page, BOB).await;
    ada.get(&at(calls.pod, &callback)).await;
    let listed = calls.get(own, &identities).await;
    let linked = &listed["identities"][1];
    assert_eq!(linked["provider"], "corp", "{listed}");
    let identity = json!({"issuer": linked["issuer"], "subject": linked["subject"]});
    calls.post(own, &format!("{identities}/unlink"), identity).await;
}

async fn user_management(calls: &mut ApiCalls<'_>, admin: Auth<'_>, user: &str) {
    let users = format!("{API}/people");
    calls.get(admin, &format!("{users}?limit=1")).await;
    let found = calls.get(admin, &format!("{users}?q={ADA}")).await;
    assert_eq!(found["people"][0]["user_id"], user);
    let one = format!("{users}/{user}");
    calls.get(admin, &one).await;
    calls.delete(admin, &format!("{one}/sessions")).await;
    for deed in ["disable", "enable"] {
        calls.reply(admin, Method::POST, &format!("{one}/{deed}"), Some(json!({}))).await;
    }
    calls.delete(admin, &one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pod_serves_the_document_with_its_version_and_the_public_url() {
    let fleet = Fleet::shared().await;
    for pod in &fleet.pods {
        let page = Agent::new().get(&pod.public(&format!("{API}/openapi.json"))).await;
        assert_eq!((page.status, page.header("cache-control")), (200, Some("public, max-age=300")), "{}", page.body);
        let document = page.json();
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(document["servers"], json!([{"url": fleet.url("")}]));
    }
}
