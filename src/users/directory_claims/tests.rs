use std::time::Duration;

use serde_json::json;

use super::*;
use crate::{
    clock::{Clock, manual::ManualClock},
    json::object,
    users::{Browser, Limits, Logout, PriorAccess, TestParts, VerifiedLogin},
};

const DAY: Duration = Duration::from_secs(86_400);
const INTERVAL: Duration = Duration::from_secs(900);

fn users(clock: &ManualClock) -> Users {
    let limits = Limits { idle: DAY, absolute: DAY * 7, max_per_user: 2 };
    let users = TestParts::new(clock.clone()).users(limits, DAY * 30);
    users.with_directories([("corp".to_owned(), INTERVAL)].into())
}

fn identity(provider: &str, group: &str, clock: &ManualClock) -> IdentityClaims {
    IdentityClaims {
        provider: provider.to_owned(),
        issuer: format!("https://{provider}.example.com"),
        subject: "ada".to_owned(),
        id_token: object(json!({"name": "Ada"})),
        directory: Some(object(json!({"groups": [group]}))),
        directory_at: Some(clock.now()),
        ..IdentityClaims::default()
    }
}

async fn sign_in(users: &Users, identity: IdentityClaims) -> String {
    let (logout, browser) = (Logout::default(), Browser::default());
    let (provider_session, authenticated_at, prior_access) = (None, None, PriorAccess::Keep);
    let login = VerifiedLogin { identity, provider_session, logout, authenticated_at, browser, prior_access };
    users.complete_login(&login).await.expect("every user has a role").user.id
}

async fn user(users: &Users, id: &str) -> User {
    users.get(id).await.unwrap().expect("the user exists").value
}

#[tokio::test]
async fn groups_are_due_after_the_interval_while_the_identity_counts() {
    let clock = ManualClock::new();
    let users = users(&clock);
    let id = sign_in(&users, identity("corp", "red", &clock)).await;
    let due = async || users.due_directories(&user(&users, &id).await).len();
    assert_eq!(due().await, 0);
    clock.advance(INTERVAL);
    assert_eq!(due().await, 1);
    clock.advance(DAY * 30);
    assert_eq!(due().await, 0, "the identity has expired");
    let id = sign_in(&users, IdentityClaims { directory_at: None, ..identity("corp", "red", &clock) }).await;
    clock.advance(INTERVAL);
    assert!(users.due_directories(&user(&users, &id).await).is_empty(), "the id_token has all groups");
    let other = sign_in(&users, identity("plain", "red", &clock)).await;
    clock.advance(INTERVAL);
    assert!(users.due_directories(&user(&users, &other).await).is_empty(), "the directory needs a token of the user");
}

#[tokio::test]
async fn a_result_replaces_only_the_claims_of_the_directory_and_only_earlier_ones() {
    let clock = ManualClock::new();
    let users = users(&clock);
    let id = sign_in(&users, identity("corp", "red", &clock)).await;
    let before = user(&users, &id).await;
    clock.advance(INTERVAL);
    let later = IdentityClaims { id_token: object(json!({"name": "Eve"})), ..identity("corp", "blue", &clock) };
    users.update_directory(&id, &later).await.unwrap();
    let after = user(&users, &id).await;
    let [known] = &after.identities[..] else { panic!("one identity") };
    assert_eq!(known.directory, later.directory);
    let others = IdentityClaims {
        directory: before.identities[0].directory.clone(),
        directory_at: before.identities[0].directory_at,
        ..known.clone()
    };
    assert!(others == before.identities[0] && after.signed_in == before.signed_in);

    let earlier = IdentityClaims { directory_at: before.identities[0].directory_at, ..identity("corp", "red", &clock) };
    users.update_directory(&id, &earlier).await.unwrap();
    users.update_directory(&id, &identity("partner", "red", &clock)).await.unwrap();
    users.update_directory("unknown", &later).await.unwrap();
    assert!(user(&users, &id).await == after);
}
