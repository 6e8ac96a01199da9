//! The company's directory provisions users and groups by SCIM 2.0.

mod access;
mod claim_link;
mod linking;
mod outages;
mod sequences;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::auth_request::SECRET_HEADER;
use crate::support::fleet::{Fleet, FleetBuilder};
use crate::support::http_client;
use crate::support::pod::Pod;
use crate::support::steps::SESSION;

const PATH: &str = "/vestibule/scim/v2";
const TOKEN: &str = "scim-token-0123456789abcdefghijklmnop";

const ROLE_MAP: &str = r#"version: 1
default_role: internal_user_viewer
rules:
  - {provider: corp, source: scim, claim: groups, match: Admins, role: proxy_admin}
  - {provider: corp, source: scim, claim: groups, match: "eng-*", role: internal_user}
teams:
  - {provider: corp, source: scim, claim: groups, match: "team-*", strip: team-}
"#;

/// The `scim` section with a link.
fn section(link: &str) -> String {
    format!("scim: {{provider: corp, token: {TOKEN}, link: {link}}}\n")
}

const BY_SUBJECT: &str = "{attribute: externalId, claim: sub}";

/// Three pods behind nginx with a cluster, whose directory links users by this rule.
async fn fleet(link: &str) -> Fleet {
    builder(link).pods(3).cluster().idp().nginx().start().await
}

fn builder<'a>(link: &str) -> FleetBuilder<'a> {
    Fleet::builder().yaml(section(link)).config(|pod| pod.role_map = Some(ROLE_MAP.to_owned()))
}

/// A directory's client.
struct Directory {
    base: String,
    token: String,
}

/// An answer with its body, which is null if it is empty.
#[derive(Debug)]
struct ScimAnswer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Directory {
    /// Sends requests through the gateway.
    fn of(fleet: &Fleet) -> Self {
        Self { base: fleet.url(PATH), token: TOKEN.to_owned() }
    }

    fn at(pod: &Pod) -> Self {
        Self { base: pod.public(PATH), token: TOKEN.to_owned() }
    }

    /// Sends a request that may not be answered.
    async fn try_patch(&self, path: &str, operations: Value) -> reqwest::Result<Response> {
        let body = json!({"Operations": operations}).to_string();
        let request = http_client().patch(format!("{}{path}", self.base)).bearer_auth(&self.token);
        request.header("content-type", "application/scim+json").body(body).send().await
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> ScimAnswer {
        let request = http_client().request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        let request = match body {
            Some(body) => request.header("content-type", "application/scim+json").body(body.to_string()),
            None => request,
        };
        ScimAnswer::of(request.send().await.expect("an answer")).await
    }

    async fn get(&self, path: &str) -> ScimAnswer {
        self.send(Method::GET, path, None).await
    }

    async fn patch(&self, path: &str, operations: Value) -> ScimAnswer {
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
        self.send(Method::PATCH, path, Some(body)).await
    }

    /// Creates a user and returns the id.
    async fn create_user(&self, user_name: &str, external_id: &str) -> String {
        let user = json!({"schemas": [USER], "userName": user_name, "externalId": external_id, "active": true});
        self.send(Method::POST, "/Users", Some(user)).await.id(201)
    }

    /// Creates a group and returns the id.
    async fn create_group(&self, name: &str, members: &[&str]) -> String {
        let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
        let group = json!({"schemas": [GROUP], "displayName": name, "members": members});
        self.send(Method::POST, "/Groups", Some(group)).await.id(201)
    }

    async fn set_active(&self, user: &str, active: bool) {
        let answer = self.patch(&format!("/Users/{user}"), json!([{"op": "replace", "value": {"active": active}}])).await;
        assert_eq!((answer.status, &answer.body["active"]), (200, &json!(active)), "{answer:?}");
    }
}

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

impl ScimAnswer {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("it comes whole");
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")) };
        if !body.is_null() {
            assert_eq!(headers.get("content-type").unwrap(), "application/scim+json", "{body}");
        }
        let is_error = (400..600).contains(&status);
        assert_eq!(body["schemas"] == json!(["urn:ietf:params:scim:api:messages:2.0:Error"]), is_error, "{status} {body}");
        if is_error {
            assert_eq!(body["status"], json!(status.to_string()));
        }
        Self { status, headers, body }
    }

    #[track_caller]
    fn id(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        self.body["id"].as_str().expect("an id").to_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The status of a check with a session, and the role and teams that the upstream receives.
async fn check(pod: &Pod, session: &str) -> (u16, String, String) {
    let request = http_client().get(pod.check("/auth/nginx")).header("cookie", format!("{SESSION}={session}"));
    let request = request.header("x-original-url", "http://localhost/app").header("x-original-method", "GET");
    let answer = request.header(SECRET_HEADER.0, SECRET_HEADER.1).send().await.expect("an answer");
    let header = |name: &str| {
        let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    (answer.status().as_u16(), header("x-auth-request-role"), header("x-auth-request-groups"))
}

/// Asserts the role on every pod, immediately after a change.
async fn assert_role(fleet: &Fleet, session: &str, role: &str) {
    for pod in &fleet.pods {
        crate::support::wait::until("the role to change", std::time::Duration::from_secs(2), async || {
            (check(pod, session).await.1 == role).then_some(())
        })
        .await;
    }
}
