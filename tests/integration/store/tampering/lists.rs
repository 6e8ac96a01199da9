//! Lists of ids are not encrypted: an attacker with write access to Redis can add others' ids to a user's list.

use reqwest::Method;
use serde_json::json;

use super::TamperedFleet;
use crate::support::api::{self, create_key, get};
use crate::support::records::PREFIX;

impl TamperedFleet {
    /// The node and name of the list.
    async fn list(&self, name: &str) -> (usize, String) {
        for number in self.fleet.cluster().primaries().await {
            let names = self.fleet.cluster().nodes[number].keys().await;
            let names = names.into_iter().map(|name| String::from_utf8(name).expect("our keys are text"));
            let ends = format!(":index:{name}");
            if let Some(found) = names.into_iter().find(|found| found.starts_with(PREFIX) && found.ends_with(&ends)) {
                return (number, found);
            }
        }
        panic!("there is no list {name}");
    }

    async fn listed(&self, name: &str) -> Vec<String> {
        let (node, list) = self.list(name).await;
        let ids = self.fleet.cluster().nodes[node].call(&["ZRANGE", &list, "0", "-1"]).await.array();
        ids.into_iter().map(|id| id.text()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_ids_in_a_users_lists_reveal_and_end_nothing() {
    let tampered = TamperedFleet::new().await;
    let theirs = create_key(tampered.fleet.pod(0), tampered.admin.auth(), json!({})).await;
    for list in ["keys", "sessions", "invitations"] {
        let ids = tampered.listed(&format!("{list}:{}", tampered.admin.id)).await;
        assert!(!ids.is_empty(), "{list}");
        let (node, name) = tampered.list(&format!("{list}:{}", tampered.ada.id)).await;
        for id in ids.iter().map(String::as_str).chain(["garbage", "", "\u{e9}:}{"]) {
            tampered.fleet.cluster().nodes[node].call(&["ZADD", &name, "0", id]).await;
        }
    }
    let shown = get(tampered.fleet.pod(1), tampered.ada.auth(), "/vestibule/api/keys").await;
    let shown: Vec<&str> = shown["keys"].as_array().expect("a list").iter().filter_map(|key| key["token_id"].as_str()).collect();
    assert_eq!(shown, [tampered.key.id.as_str()]);
    let shown = get(tampered.fleet.pod(1), tampered.ada.auth(), "/vestibule/api/sessions").await;
    assert_eq!(shown["sessions"].as_array().map(Vec::len), Some(1), "{shown}");

    // Listing removes foreign ids, so they are added again.
    let (node, name) = tampered.list(&format!("keys:{}", tampered.ada.id)).await;
    assert_eq!(tampered.listed(&format!("keys:{}", tampered.ada.id)).await, [tampered.key.id.as_str()]);
    tampered.fleet.cluster().nodes[node].call(&["ZADD", &name, "0", &theirs.id]).await;
    tampered.administer(Method::POST, "/disable").await;
    tampered.fleet.cluster().nodes[node].call(&["ZADD", &name, "0", &theirs.id]).await;
    tampered.administer(Method::DELETE, "").await;
    for pod in 0..3 {
        assert_eq!(api::key_status(tampered.fleet.pod(pod), &theirs.key).await, 200);
        assert_eq!(tampered.fleet.pod(pod).metric("vestibule_panics_total", &[]).await, 0.0);
    }
    assert_eq!(tampered.fleet.passing(&tampered.admin.cookie).await, 3);
}
