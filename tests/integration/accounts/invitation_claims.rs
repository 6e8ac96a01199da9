//! An invitation exceeds its inviter neither by the claims that it sets nor by the email address of another user.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Auth, create_key, get, post};
use crate::support::fleet::{Fleet, ROLE_MAP};
use crate::support::local_accounts::{PASSWORD, accept_invitation};
use crate::support::pod::PodOptions;
use crate::support::steps::{ALICE, BOB};
use crate::support::wait::until;

const INVITATIONS: &str = "/vestibule/api/invitations";
const ROLE_MAP_API: &str = "/vestibule/api/role-map";
const DEADLINE: Duration = Duration::from_secs(30);

/// The role map with rules that grant the highest role for claims of local accounts.
fn role_map(domains: &[&str]) -> String {
    let rule = |claim: &str, pattern: &str| {
        format!("  - {{provider: local, claim: {claim}, match: \"{pattern}\", role: proxy_admin}}\n")
    };
    let emails: String = domains.iter().map(|domain| rule("email", &format!("*@{domain}"))).collect();
    let rules = format!("rules:\n{emails}{}{}", rule("teams", "operators"), rule("user_role", "team"));
    ROLE_MAP.replace("rules:\n", &rules)
}

async fn invite(fleet: &Fleet, by: Auth<'_>, email: &str, role: &str, teams: Value) -> (u16, Option<String>) {
    let body = json!({"user_email": email, "user_role": role, "teams": teams});
    let answer = post(fleet.pod(0), by, INVITATIONS, body).await;
    let link = (answer.status() == 201).then(|| answer.json()["invitation_link"].as_str().expect("a link").to_owned());
    assert!(link.is_some() || answer.json()["error"] == "access_denied", "{email}: {answer:?}");
    (answer.status(), link)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_invitation_grants_more_than_its_inviter_has() {
    let document = role_map(&["ops.example.com"]);
    let with_claims = |pod: &mut PodOptions| pod.role_map = Some(document.clone());
    let administrators = "admin_roles: [proxy_admin, org_admin]\n";
    let fleet =
        Fleet::builder().pods(3).cluster().idp().nginx().local_accounts().yaml(administrators).config(with_claims).start().await;
    let top = fleet.create_user("top@example.com", "proxy_admin").await;
    let lower = fleet.create_user("lower@example.com", "org_admin").await;
    let lower_key = create_key(fleet.pod(0), lower.auth(), json!({"manage_people": true})).await;
    // A key of the higher administrator with the lower role.
    let restricted = create_key(fleet.pod(0), top.auth(), json!({"manage_people": true, "user_role": "org_admin"})).await;
    let lower_callers =
        [("session", lower.auth()), ("key", Auth::Key(&lower_key.key)), ("restricted", Auth::Key(&restricted.key))];
    let invited = async |by, email: &str| invite(&fleet, by, email, "internal_user", json!([])).await.1.expect(email);

    // Nobody has the address of alice, who is a proxy_admin, until her first sign-in.
    let early = invited(lower.auth(), "alice@example.com").await;
    fleet.signed_in(ALICE).await;
    fleet.signed_in(BOB).await;
    for (caller, by) in lower_callers {
        for (email, role, teams) in [
            (format!("{caller}@OPS.example.com"), "internal_user", json!([])),
            (format!("{caller}@example.com"), "internal_user", json!(["research", "operators"])),
            (format!("{caller}@example.com"), "team", json!([])),
            ("Alice@Example.COM".to_owned(), "internal_user", json!([])),
        ] {
            assert_eq!(invite(&fleet, by, &email, role, teams).await.0, 403, "{caller}: {email} {role}");
            assert_eq!(invite(&fleet, top.auth(), &email, role, json!(["operators"])).await.0, 201, "{email} {role}");
        }
        assert_eq!(invite(&fleet, by, "bob@example.com", "internal_user", json!(["research"])).await.0, 201, "{caller}");
    }
    accept_invitation(fleet.pod(2), &early, PASSWORD).await.assert(401, "invalid_token");

    // An edit of the role map between the invitation and its acceptance.
    let by_lower = invited(lower.auth(), "by-lower@later.example.com").await;
    let by_restricted = invited(Auth::Key(&restricted.key), "by-restricted@later.example.com").await;
    let by_top = invited(top.auth(), "by-top@later.example.com").await;
    let rules = async |pod| get(pod, top.auth(), ROLE_MAP_API).await["rules"].as_u64().expect("a number");
    let before = rules(fleet.pod(0)).await;
    for pod in &fleet.pods {
        pod.edit_role_map(&role_map(&["ops.example.com", "later.example.com"]));
        until("the role map", DEADLINE, async || (rules(pod).await > before).then_some(())).await;
    }
    for link in [&by_lower, &by_restricted] {
        accept_invitation(fleet.pod(1), link, PASSWORD).await.assert(401, "invalid_token");
    }
    let accepted = accept_invitation(fleet.pod(1), &by_top, PASSWORD).await;
    assert_eq!((accepted.status(), &accepted.json()["user_role"]), (200, &json!("proxy_admin")), "{accepted:?}");
}
