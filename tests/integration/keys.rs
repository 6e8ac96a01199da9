//! API keys on real pods: making and ending them over the JSON API, and passing the check with them.

mod children;
mod gateway;
pub mod grant;
mod lifecycle;
mod outage;
mod refused;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::nginx::raw::{self, Answer};
use crate::support::pod::Pod;
use crate::support::wait::until;
use crate::support::{http_client, openapi};

const PATIENCE: Duration = Duration::from_secs(30);
const KEYS: &str = "/vestibule/api/keys";

/// A call's credential.
#[derive(Clone, Copy)]
pub enum By<'a> {
    /// A session's cookie, in a page of ours.
    Page(&'a str),
    Key(&'a str),
    Nobody,
}

/// What the API said.
#[derive(Debug)]
pub struct Reply {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

/// A key as it was shown once.
#[derive(Clone, Debug)]
pub struct Made {
    pub key: String,
    pub id: String,
    body: Value,
}

impl By<'_> {
    fn headers(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Page(cookie) => vec![("cookie", format!("vestibule={cookie}")), ("sec-fetch-site", "same-origin".into())],
            Self::Key(key) => vec![("authorization", format!("Bearer {key}"))],
            Self::Nobody => Vec::new(),
        }
    }
}

impl Reply {
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The value of a cookie that the answer sets.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let lines = self.headers.get_all("set-cookie").iter().filter_map(|line| line.to_str().ok());
        let mut values = lines.filter_map(|line| line.split(';').next()?.strip_prefix(&format!("{name}=")));
        values.next().map(str::to_owned)
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub fn assert(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.json()["error"].as_str()), (status, Some(code)), "{self:?}");
        assert!(self.json()["error_description"].as_str().is_some_and(|text| text.ends_with('.')), "{self:?}");
    }

    #[track_caller]
    pub fn made(self) -> Made {
        assert!([200, 201].contains(&self.status), "{self:?}");
        let body = self.json();
        let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("no {name}: {body}")).to_owned();
        Made { key: text("key"), id: text("token_id"), body: body.clone() }
    }
}

/// Any call, with headers as they stand. What is sent and answered is as the document has it.
pub async fn send(pod: &Pod, method: Method, path: &str, headers: &[(&str, &str)], body: Option<String>) -> Reply {
    let mut request = http_client().request(method.clone(), pod.public(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = &body {
        request = request.body(body.clone());
    }
    let answer = request.send().await.unwrap_or_else(|error| panic!("{path}: {error:?}"));
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.expect("the answer comes whole");
    openapi::answered(method.as_str(), path, status, &headers, &text);
    if (200..300).contains(&status) {
        openapi::accepts(method.as_str(), path, body.and_then(|body| serde_json::from_str(&body).ok()).as_ref());
    }
    Reply { status, headers, text }
}

pub async fn call(pod: &Pod, by: By<'_>, method: Method, path: &str, body: Option<Value>) -> Reply {
    let mut headers = by.headers();
    headers.extend(body.is_some().then(|| ("content-type", "application/json".to_owned())));
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    send(pod, method, path, &headers, body.map(|body| body.to_string())).await
}

pub async fn make(pod: &Pod, by: By<'_>, body: Value) -> Made {
    call(pod, by, Method::POST, KEYS, Some(body)).await.made()
}

/// One that makes others.
async fn make_manager(pod: &Pod, by: By<'_>) -> Made {
    make(pod, by, json!({"manage_keys": true})).await
}

pub async fn revoke(pod: &Pod, by: By<'_>, id: &str) -> Reply {
    call(pod, by, Method::DELETE, &format!("{KEYS}/{id}"), None).await
}

pub async fn regenerate(pod: &Pod, by: By<'_>, id: &str, body: Value) -> Reply {
    call(pod, by, Method::POST, &format!("{KEYS}/{id}/regenerate"), Some(body)).await
}

async fn list(pod: &Pod, by: By<'_>, query: &str) -> Value {
    let reply = call(pod, by, Method::GET, &format!("{KEYS}{query}"), None).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

async fn listed_ids(pod: &Pod, by: By<'_>) -> Vec<String> {
    let listed = list(pod, by, "?limit=100").await;
    let keys = listed["keys"].as_array().expect("a list").iter();
    keys.map(|key| key["token_id"].as_str().expect("an id").to_owned()).collect()
}

/// nginx's question about a path, with a key.
async fn check_at(pod: &Pod, key: &str, path: &str) -> Answer {
    let (url, bearer) = (format!("http://localhost{path}"), format!("Bearer {key}"));
    let headers = [("x-original-url", url.as_str()), ("x-original-method", "GET"), ("authorization", &bearer)];
    raw::send(pod.check_port(), "GET", "/auth/nginx", &headers).await
}

async fn check(pod: &Pod, key: &str) -> Answer {
    check_at(pod, key, "/ui/").await
}

pub async fn status(pod: &Pod, key: &str) -> u16 {
    check(pod, key).await.status
}

pub async fn until_status(pod: &Pod, key: &str, expected: u16) {
    until(&format!("{expected} for the key"), PATIENCE, async || (status(pod, key).await == expected).then_some(())).await;
}
