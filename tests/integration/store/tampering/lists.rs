//! Lists of ids are not sealed: somebody who can write in Redis may put others' ids into a person's.

use reqwest::Method;
use serde_json::json;

use super::{House, PREFIX};
use crate::accounts::get;
use crate::keys::{self, make};

impl House {
    /// Where the list of this name is.
    async fn list(&self, name: &str) -> (usize, String) {
        for number in self.village.redis.primaries().await {
            let names = self.village.redis.nodes[number].keys().await;
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
        let ids = self.village.redis.nodes[node].call(&["ZRANGE", &list, "0", "-1"]).await.array();
        ids.into_iter().map(|id| id.text()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_ids_in_somebodys_lists_show_and_end_nothing_of_theirs() {
    let house = House::new().await;
    let theirs = make(house.village.pod(0), house.admin.by(), json!({})).await;
    for list in ["keys", "sessions", "invitations"] {
        let ids = house.listed(&format!("{list}:{}", house.admin.id)).await;
        assert!(!ids.is_empty(), "{list}");
        let (node, name) = house.list(&format!("{list}:{}", house.ada.id)).await;
        for id in ids.iter().map(String::as_str).chain(["garbage", "", "\u{e9}:}{"]) {
            house.village.redis.nodes[node].call(&["ZADD", &name, "0", id]).await;
        }
    }
    let shown = get(house.village.pod(1), house.ada.by(), "/vestibule/api/keys").await;
    let shown: Vec<&str> = shown["keys"].as_array().expect("a list").iter().filter_map(|key| key["token_id"].as_str()).collect();
    assert_eq!(shown, [house.key.id.as_str()]);
    let shown = get(house.village.pod(1), house.ada.by(), "/vestibule/api/sessions").await;
    assert_eq!(shown["sessions"].as_array().map(Vec::len), Some(1), "{shown}");

    // Looking takes out what doesn't belong there, so it is put in again.
    let (node, name) = house.list(&format!("keys:{}", house.ada.id)).await;
    assert_eq!(house.listed(&format!("keys:{}", house.ada.id)).await, [house.key.id.as_str()]);
    house.village.redis.nodes[node].call(&["ZADD", &name, "0", &theirs.id]).await;
    house.administer(Method::POST, "/disable").await;
    house.village.redis.nodes[node].call(&["ZADD", &name, "0", &theirs.id]).await;
    house.administer(Method::DELETE, "").await;
    for pod in 0..3 {
        assert_eq!(keys::status(house.village.pod(pod), &theirs.key).await, 200);
        assert_eq!(house.village.pod(pod).metric("vestibule_panics_total", &[]).await, 0.0);
    }
    assert_eq!(house.village.passing(&house.admin.cookie).await, 3);
}
