//! No administrator acts on a user with a higher role, or on an invitation for a higher role, by any route.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::agent::{Agent, Form, Page};
use crate::support::api::{ApiKey, Auth, call, create_key, get, post};
use crate::support::fleet::Fleet;
use crate::support::local_accounts::{LocalUser, PASSWORD, sign_in_with_json};

const USERS: &str = "/vestibule/people";
const USERS_API: &str = "/vestibule/api/people";
const INVITATIONS: &str = "/vestibule/invitations";
const INVITATIONS_API: &str = "/vestibule/api/invitations";

struct Ranks {
    fleet: Fleet,
    /// A proxy_admin.
    top: LocalUser,
    /// An org_admin, and their key that manages users.
    lower: LocalUser,
    lower_key: ApiKey,
}

/// A user, and the open invitations that a proxy_admin has created.
struct Target {
    user: LocalUser,
    email: String,
    role: &'static str,
    /// The invitation of another user with the same role.
    for_role: String,
    /// The invitation of the user. Its acceptance sets the user's password.
    for_user: String,
}

impl Ranks {
    async fn start() -> Self {
        let (fleet, top, lower) = Fleet::with_two_administrators().await;
        let lower_key = create_key(fleet.pod(0), lower.auth(), json!({"manage_people": true})).await;
        Self { fleet, top, lower, lower_key }
    }

    async fn create_target(&self, name: &str, role: &'static str) -> Target {
        let email = format!("{name}@example.com");
        let user = self.fleet.create_user(&email, role).await;
        let invite = async |email: &str, role: &str| {
            let body = json!({"user_email": email, "user_role": role});
            let created = post(self.fleet.pod(0), self.top.auth(), INVITATIONS_API, body).await;
            created.json()["id"].as_str().unwrap_or_else(|| panic!("{created:?}")).to_owned()
        };
        let for_role = invite(&format!("other-{email}"), role).await;
        let for_user = invite(&email, "customer").await;
        Target { user, email, role, for_role, for_user }
    }

    async fn invitations(&self) -> Value {
        get(self.fleet.pod(2), self.top.auth(), INVITATIONS_API).await
    }

    /// Asserts that the target's session passes on every pod, and that user and invitations are as they were.
    async fn assert_unchanged(&self, target: &Target, before: &Value, route: &str) {
        assert_eq!(self.fleet.passing(&target.user.cookie).await, 3, "{route}");
        let user = get(self.fleet.pod(1), self.top.auth(), &format!("{USERS_API}/{}", target.user.id)).await;
        assert_eq!((&user["disabled"], &user["user_role"]), (&json!(false), &json!(target.role)), "{route}");
        assert_eq!(self.invitations().await, *before, "{route}");
    }
}

/// Every call of the JSON API that acts on the target. The last one deletes the user.
fn calls(target: &Target) -> [(Method, String, Option<Value>); 8] {
    let user_path = format!("{USERS_API}/{}", target.user.id);
    let revoke = |id: &str| (Method::DELETE, format!("{INVITATIONS_API}/{id}"), None);
    let invite = |email: &str, role: &str| {
        (Method::POST, INVITATIONS_API.to_owned(), Some(json!({"user_email": email, "user_role": role})))
    };
    [
        (Method::DELETE, format!("{user_path}/sessions"), None),
        (Method::POST, format!("{user_path}/disable"), Some(json!({}))),
        (Method::POST, format!("{user_path}/enable"), Some(json!({}))),
        revoke(&target.for_role),
        revoke(&target.for_user),
        invite(&format!("new-{}", target.email), target.role),
        invite(&target.email, "customer"),
        (Method::DELETE, user_path, None),
    ]
}

/// The forms of the pages that act on the target: the page, and the form's fields.
fn forms(target: &Target) -> [(String, Vec<(&'static str, String)>); 8] {
    let user_form = |action: &str| (format!("{USERS}/{}", target.user.id), vec![("action", action.to_owned())]);
    let withdraw = |id: &str| (INVITATIONS.to_owned(), vec![("action", "withdraw".to_owned()), ("invitation_id", id.to_owned())]);
    let make = |email: &str, role: &str| {
        let fields = [("action", "make"), ("user_email", email), ("user_role", role), ("duration", "1d")];
        (INVITATIONS.to_owned(), fields.map(|(name, value)| (name, value.to_owned())).to_vec())
    };
    [
        user_form("end_sessions"),
        user_form("disable"),
        user_form("enable"),
        withdraw(&target.for_role),
        withdraw(&target.for_user),
        make(&format!("form-{}", target.email), target.role),
        make(&target.email, "customer"),
        user_form("delete"),
    ]
}

/// Sends a form with an anti-CSRF token of a page that the user may see.
async fn submit(fleet: &Fleet, cookie: &str, token_page: &str, (path, fields): &(String, Vec<(&str, String)>)) -> Page {
    let agent = Agent::new();
    agent.set_cookie("localhost", &format!("vestibule={cookie}; Path=/"));
    let page = agent.get(&fleet.pod(0).public(token_page)).await;
    let tokens = page.forms().into_iter().find_map(|form| {
        let fields: Vec<_> = form.fields.into_iter().filter(|(name, _)| name == "csrf").collect();
        (!fields.is_empty()).then_some(fields)
    });
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let action = fleet.pod(0).public(path).parse().expect("a URL");
    let form = Form { action, fields: tokens.unwrap_or_else(|| panic!("no form: {}", page.body)) };
    agent.submit(&form, &fields).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_has_no_route_to_users_and_invitations_of_a_higher_role() {
    let ranks = Ranks::start().await;
    let Ranks { fleet, lower, lower_key, .. } = &ranks;
    let (target, below) = (ranks.create_target("high", "proxy_admin").await, ranks.create_target("low", "internal_user").await);
    let before = ranks.invitations().await;
    for (what, by) in [("session", lower.auth()), ("key", Auth::Key(&lower_key.key))] {
        for (method, path, body) in calls(&target) {
            let route = format!("{what}: {method} {path} {body:?}");
            let refused = call(fleet.pod(0), by, method, &path, body).await;
            assert_eq!((refused.status(), &refused.json()["error"]), (403, &json!("access_denied")), "{route}: {refused:?}");
            ranks.assert_unchanged(&target, &before, &route).await;
        }
    }
    let page_below = format!("{USERS}/{}", below.user.id);
    for form in forms(&target) {
        let token_page = if form.0 == INVITATIONS { INVITATIONS } else { &page_below };
        let page = submit(fleet, &lower.cookie, token_page, &form).await;
        assert_eq!(page.status, 403, "{form:?}: {}", page.body);
        assert!(!page.body.contains("class=\"secret\"") && !page.body.contains("This form"), "{form:?}: {}", page.body);
        ranks.assert_unchanged(&target, &before, &format!("{form:?}")).await;
    }
    assert_eq!(sign_in_with_json(fleet.pod(1), &target.email, PASSWORD, &[]).await.status(), 200);
}

/// The same routes succeed downwards, so that each of them is one.
#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_acts_on_users_and_invitations_of_a_lower_role_by_every_route() {
    let ranks = Ranks::start().await;
    let Ranks { fleet, lower, lower_key, .. } = &ranks;
    for (name, by) in [("by-session", lower.auth()), ("by-key", Auth::Key(&lower_key.key))] {
        let target = ranks.create_target(name, "internal_user").await;
        for (method, path, body) in calls(&target) {
            let done = call(fleet.pod(0), by, method.clone(), &path, body).await;
            assert!([200, 201].contains(&done.status()), "{name}: {method} {path}: {done:?}");
        }
    }
    let target = ranks.create_target("by-form", "internal_user").await;
    for form in forms(&target) {
        let page = submit(fleet, &lower.cookie, &form.0, &form).await;
        assert!([200, 303].contains(&page.status), "{form:?}: {}", page.body);
        let is_invitation = form.1.iter().any(|(_, value)| value == "make");
        assert_eq!(page.body.contains("class=\"secret\""), is_invitation, "{form:?}: {}", page.body);
    }
    sign_in_with_json(fleet.pod(1), &target.email, PASSWORD, &[]).await.assert(401, "invalid_grant");
    for invitation in [&target.for_role, &target.for_user] {
        assert!(!ranks.invitations().await.to_string().contains(invitation.as_str()), "{invitation}");
    }
}
