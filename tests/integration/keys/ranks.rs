//! Administrators cannot act on the keys of a user with a higher role, by any route.

use reqwest::Method;
use serde_json::{Value, json};
use vestibule::principal::ROLE_CLAIM;

use super::{list, make_manager};
use crate::support::agent::{Agent, Page};
use crate::support::api::{ApiKey, Auth, KEYS, call, check_key, create_key, key_status, until_key_status};
use crate::support::fleet::Fleet;
use crate::support::local_accounts::LocalUser;

const PAGE: &str = "/vestibule/keys";

/// The forms of the page that change a key, with their additional fields.
const FORMS: [(&str, &[(&str, &str)]); 3] =
    [("narrow", &[("user_role", "customer")]), ("regenerate", &[("overlap", "")]), ("revoke", &[])];

struct Ranks {
    fleet: Fleet,
    /// A user with the role proxy_admin, and their key.
    top: LocalUser,
    target: ApiKey,
    /// A user with the role org_admin, and their key that manages keys.
    lower: LocalUser,
    lower_key: ApiKey,
}

impl Ranks {
    async fn start() -> Self {
        let (fleet, top, lower) = Fleet::with_two_administrators().await;
        let target = make_manager(fleet.pod(0), top.auth()).await;
        let lower_key = make_manager(fleet.pod(1), lower.auth()).await;
        Self { fleet, top, target, lower, lower_key }
    }

    /// Asserts that the target's key passes on every pod, is as it was, and is the only one.
    async fn assert_unchanged(&self, route: &str) {
        for pod in &self.fleet.pods {
            assert_eq!(key_status(pod, &self.target.key).await, 200, "{route}");
        }
        let listed = list(self.fleet.pod(2), self.top.auth(), "").await;
        let keys = listed["keys"].as_array().expect("a list");
        assert_eq!(keys.len(), 1, "{route}: {listed}");
        for field in ["token_id", "user_role", "teams", "paths", "expires"] {
            assert_eq!(keys[0][field], self.target.body[field], "{route}: {field}");
        }
    }
}

/// Every call of the JSON API that acts on the key or on its owner.
fn calls(key: &ApiKey) -> [(Method, String, Option<Value>); 6] {
    let (one, owner) = (format!("{KEYS}/{}", key.id), key.body["user_id"].clone());
    [
        (Method::GET, format!("{KEYS}?user_id={}", owner.as_str().expect("an owner")), None),
        (Method::POST, KEYS.to_owned(), Some(json!({"user_id": owner}))),
        (Method::PATCH, one.clone(), Some(json!({"user_role": "customer"}))),
        (Method::POST, format!("{one}/regenerate"), Some(json!({"overlap": "1h"}))),
        (Method::POST, format!("{one}/regenerate"), Some(json!({}))),
        (Method::DELETE, one, None),
    ]
}

async fn submit(fleet: &Fleet, cookie: &str, key: &ApiKey, action: &str, fields: &[(&str, &str)]) -> Page {
    let agent = Agent::new();
    agent.set_cookie("localhost", &format!("vestibule={cookie}; Path=/"));
    let form = agent.get(&fleet.pod(0).public(PAGE)).await.form();
    agent.submit(&form, &[&[("action", action), ("token_id", key.id.as_str())], fields].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_has_no_route_to_the_keys_of_a_user_with_a_higher_role() {
    let ranks = Ranks::start().await;
    let Ranks { fleet, lower, lower_key, target, .. } = &ranks;
    for (what, by) in [("session", lower.auth()), ("key", Auth::Key(&lower_key.key))] {
        for (method, path, body) in calls(target) {
            let route = format!("{what}: {method} {path}");
            let refused = call(fleet.pod(0), by, method, &path, body).await;
            // A key cannot obtain the secret of a key that it did not create.
            assert!([403, 404].contains(&refused.status()), "{route}: {refused:?}");
            assert!(!refused.json().to_string().contains("sk-"), "{route}");
            ranks.assert_unchanged(&route).await;
        }
    }
    for (action, fields) in FORMS {
        let page = submit(fleet, &lower.cookie, target, action, fields).await;
        assert_eq!(page.status, 403, "{action}: {}", page.body);
        assert!(!page.body.contains("class=\"secret\""), "{action}");
        ranks.assert_unchanged(action).await;
    }
}

/// The same routes succeed on users with a lower role, which proves that each route works.
#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_acts_on_the_keys_of_users_with_a_lower_role_by_every_route() {
    let ranks = Ranks::start().await;
    let Ranks { fleet, lower, top, .. } = &ranks;
    let target = make_manager(fleet.pod(0), lower.auth()).await;
    for (method, path, body) in calls(&target) {
        let done = call(fleet.pod(0), top.auth(), method.clone(), &path, body).await;
        assert!([200, 201].contains(&done.status()), "{method} {path}: {done:?}");
    }
    for (action, fields) in FORMS {
        let target = create_key(fleet.pod(0), lower.auth(), json!({})).await;
        assert_eq!(key_status(fleet.pod(1), &target.key).await, 200);
        let page = submit(fleet, &top.cookie, &target, action, fields).await;
        assert!([200, 303].contains(&page.status), "{action}: {}", page.body);
        let (status, role) = if action == "narrow" { (200, "customer") } else { (401, "") };
        for pod in &fleet.pods {
            until_key_status(pod, &target.key, status).await;
            assert!(status == 401 || check_key(pod, &target.key).await.one("x-auth-request-role") == role);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_an_administrator_created_grants_nothing_after_a_promotion_of_its_owner() {
    let ranks = Ranks::start().await;
    let Ranks { fleet, lower, lower_key, .. } = &ranks;
    let ada = fleet.create_user("ada@example.com", "internal_user").await;
    let own = create_key(fleet.pod(0), ada.auth(), json!({})).await;
    let wanted = json!({"user_id": ada.id, "manage_keys": true});
    let by_session = create_key(fleet.pod(0), lower.auth(), wanted.clone()).await;
    let by_key = create_key(fleet.pod(1), Auth::Key(&lower_key.key), wanted).await;
    let derived = create_key(fleet.pod(2), Auth::Key(&by_session.key), json!({})).await;
    for key in [&by_session, &by_key] {
        assert_eq!(key.body["created_by"], json!(lower.id));
        for pod in &fleet.pods {
            assert_eq!(check_key(pod, &key.key).await.one("x-auth-request-user"), ada.id);
        }
    }
    let listed = list(fleet.pod(1), ada.auth(), "").await;
    let creators = listed["keys"].as_array().expect("a list").iter().filter(|key| key["created_by"] == json!(lower.id));
    assert_eq!(creators.count(), 2, "the owner sees it: {listed}");
    let agent = Agent::new();
    agent.set_cookie("localhost", &format!("vestibule={}; Path=/", ada.cookie));
    let page = agent.get(&fleet.pod(0).public(PAGE)).await;
    assert_eq!(page.body.matches(&format!("Created by the administrator <bdi>{}</bdi>", lower.id)).count(), 2, "{}", page.body);
    let logged = fleet.pod(0).log();
    let line = logged.lines().find(|line| line.contains("key created") && line.contains(&by_session.id)).expect("an event");
    assert!(line.contains(&lower.id), "{line}");

    let promote = |role: &str| {
        let role = vestibule::json::Value::from(role);
        fleet.change_user(&ada.id, move |user| _ = user.identities[0].id_token.insert(ROLE_CLAIM.to_owned(), role.clone()))
    };
    promote("proxy_admin").await;
    for pod in &fleet.pods {
        for key in [&by_session, &by_key, &derived] {
            until_key_status(pod, &key.key, 403).await;
        }
        assert_eq!(key_status(pod, &own.key).await, 200, "her own key has her role");
    }
    for key in [&by_session, &by_key] {
        let derive = call(fleet.pod(0), Auth::Key(&key.key), Method::POST, KEYS, Some(json!({}))).await;
        derive.assert(403, "access_denied");
        for by in [lower.auth(), Auth::Key(&lower_key.key)] {
            for (method, path, body) in calls(key) {
                let refused = call(fleet.pod(0), by, method, &path, body).await;
                assert_eq!(refused.status(), 403, "{path}: {refused:?}");
            }
        }
    }
    promote("internal_user").await;
    for pod in &fleet.pods {
        until_key_status(pod, &derived.key, 200).await;
    }
}
