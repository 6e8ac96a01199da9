//! API keys on real pods: managed with the JSON API, and checked.

mod cost;
mod derived_keys;
mod gateway;
pub mod grant;
mod lifecycle;
mod outage;
mod ranks;
mod refusals;
mod restrictions;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::{ApiKey, Auth, KEYS, call, create_key};
use crate::support::pod::Pod;

const PATIENCE: Duration = Duration::from_secs(30);

/// Creates a key with `manage_keys`.
async fn make_manager(pod: &Pod, by: Auth<'_>) -> ApiKey {
    create_key(pod, by, json!({"manage_keys": true})).await
}

async fn list(pod: &Pod, by: Auth<'_>, query: &str) -> Value {
    let reply = call(pod, by, Method::GET, &format!("{KEYS}{query}"), None).await;
    assert_eq!(reply.status(), 200, "{reply:?}");
    reply.json()
}

async fn listed_ids(pod: &Pod, by: Auth<'_>) -> Vec<String> {
    let listed = list(pod, by, "?limit=100").await;
    let keys = listed["keys"].as_array().expect("a list").iter();
    keys.map(|key| key["token_id"].as_str().expect("an id").to_owned()).collect()
}
