//! Calls the JSON API, compares each call with the OpenAPI document, and checks requests with API keys.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::auth_request::send_to_check;
use super::pod::Pod;
use super::raw_http::Answer;
use super::wait::until;
use super::{http_client, openapi};

pub const KEYS: &str = "/vestibule/api/keys";
const DEADLINE: Duration = Duration::from_secs(30);

/// The credential of a call.
#[derive(Clone, Copy)]
pub enum Auth<'a> {
    /// The value of a session cookie.
    Session(&'a str),
    Key(&'a str),
    None,
}

/// An answer of the API.
#[derive(Debug)]
pub struct ApiResponse {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

/// A created API key with its secret.
#[derive(Clone, Debug)]
pub struct ApiKey {
    pub key: String,
    pub id: String,
    pub body: Value,
}

impl Auth<'_> {
    pub fn headers(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Session(cookie) => vec![("cookie", format!("vestibule={cookie}")), ("sec-fetch-site", "same-origin".into())],
            Self::Key(key) => vec![("authorization", format!("Bearer {key}"))],
            Self::None => Vec::new(),
        }
    }
}

impl ApiResponse {
    pub fn status(&self) -> u16 {
        self.status
    }

    pub fn headers(&self) -> &reqwest::header::HeaderMap {
        &self.headers
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
    pub fn into_key(self) -> ApiKey {
        assert!([200, 201].contains(&self.status), "{self:?}");
        let body = self.json();
        let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("no {name}: {body}")).to_owned();
        ApiKey { key: text("key"), id: text("token_id"), body: body.clone() }
    }
}

/// Sends a call with these headers, and compares the call and its answer with the OpenAPI document, which describes the current
/// version only.
pub async fn send(pod: &Pod, method: Method, path: &str, headers: &[(&str, &str)], body: Option<String>) -> ApiResponse {
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
    if pod.is_current() {
        openapi::assert_response_is_documented(method.as_str(), path, status, &headers, &text);
    }
    if pod.is_current() && (200..300).contains(&status) {
        openapi::assert_call_is_documented(
            method.as_str(),
            path,
            body.and_then(|body| serde_json::from_str(&body).ok()).as_ref(),
        );
    }
    ApiResponse { status, headers, text }
}

pub async fn call(pod: &Pod, by: Auth<'_>, method: Method, path: &str, body: Option<Value>) -> ApiResponse {
    let mut headers = by.headers();
    headers.extend(body.is_some().then(|| ("content-type", "application/json".to_owned())));
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    send(pod, method, path, &headers, body.map(|body| body.to_string())).await
}

pub async fn get(pod: &Pod, auth: Auth<'_>, path: &str) -> Value {
    let response = call(pod, auth, Method::GET, path, None).await;
    assert_eq!(response.status(), 200, "{path}: {response:?}");
    response.json()
}

pub async fn post(pod: &Pod, auth: Auth<'_>, path: &str, body: Value) -> ApiResponse {
    call(pod, auth, Method::POST, path, Some(body)).await
}

pub async fn create_key(pod: &Pod, by: Auth<'_>, body: Value) -> ApiKey {
    call(pod, by, Method::POST, KEYS, Some(body)).await.into_key()
}

pub async fn revoke_key(pod: &Pod, by: Auth<'_>, id: &str) -> ApiResponse {
    call(pod, by, Method::DELETE, &format!("{KEYS}/{id}"), None).await
}

pub async fn rotate_key(pod: &Pod, by: Auth<'_>, id: &str, body: Value) -> ApiResponse {
    call(pod, by, Method::POST, &format!("{KEYS}/{id}/regenerate"), Some(body)).await
}

/// Sends an auth request for a path with an API key.
pub async fn check_key_at(pod: &Pod, key: &str, path: &str) -> Answer {
    let (url, bearer) = (format!("http://localhost{path}"), format!("Bearer {key}"));
    let headers = [("x-original-url", url.as_str()), ("x-original-method", "GET"), ("authorization", &bearer)];
    send_to_check(pod, "GET", "/auth/nginx", &headers).await
}

pub async fn check_key(pod: &Pod, key: &str) -> Answer {
    check_key_at(pod, key, "/ui/").await
}

pub async fn key_status(pod: &Pod, key: &str) -> u16 {
    check_key(pod, key).await.status
}

pub async fn until_key_status(pod: &Pod, key: &str, expected: u16) {
    until(&format!("{expected} for the key"), DEADLINE, async || (key_status(pod, key).await == expected).then_some(())).await;
}
