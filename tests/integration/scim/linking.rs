//! Users of the directory are the users who sign in.

use serde_json::json;

use super::{Directory, assert_role, fleet};
use crate::support::api::{Auth, get};
use crate::support::fleet::Fleet;
use crate::support::steps::{ALICE, BOB, CAROL, session_of};

/// The id of the signed-in user.
async fn user_of(fleet: &Fleet, session: &str) -> String {
    let own = get(fleet.pod(0), Auth::Session(session), "/sso/session").await;
    own["user_id"].as_str().unwrap_or_else(|| panic!("{own}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_address_links_only_if_it_is_verified() {
    let fleet = fleet("{attribute: userName, claim: email}").await;
    let directory = Directory::of(&fleet);
    // Provisioned before the first sign-in, and with another case of the address.
    let alice = directory.create_user("Alice@Example.com", "x-1").await;
    directory.create_group("eng-tools", &[&alice]).await;
    let session = session_of(&fleet.signed_in(ALICE).await);
    assert_eq!(user_of(&fleet, &session).await, alice);
    assert_role(&fleet, &session, "internal_user").await;
    // Signed in before.
    let session = session_of(&fleet.signed_in(BOB).await);
    let bob = directory.create_user("bob@example.com", "x-2").await;
    assert_eq!(user_of(&fleet, &session).await, bob);
    directory.create_group("eng-more", &[&bob]).await;
    assert_role(&fleet, &session, "internal_user").await;
    // Carol's address is not verified.
    let carol = directory.create_user("carol@example.com", "x-3").await;
    directory.create_group("Admins", &[&carol]).await;
    let session = session_of(&fleet.signed_in(CAROL).await);
    assert_ne!(user_of(&fleet, &session).await, carol);
    assert_role(&fleet, &session, "internal_user_viewer").await;
    directory.set_active(&carol, false).await;
    assert_eq!(fleet.passing(&session).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_the_provider_links_and_a_link_is_not_taken_over() {
    let fleet = fleet("{attribute: externalId, claim: preferred_username}").await;
    let directory = Directory::of(&fleet);
    let alice = directory.create_user("alice@example.com", "alice").await;
    let session = session_of(&fleet.signed_in(ALICE).await);
    assert_eq!(user_of(&fleet, &session).await, alice);
    // Another user of the directory cannot get the identity, neither at its creation nor by a change.
    let taken = json!({"userName": "mallory", "externalId": "alice"});
    assert_eq!(directory.send(reqwest::Method::POST, "/Users", Some(taken)).await.status, 409);
    let mallory = directory.create_user("mallory", "m-1").await;
    let change = json!([{"op": "Replace", "path": "externalId", "value": "alice"}]);
    let answer = directory.patch(&format!("/Users/{mallory}"), change).await;
    assert_eq!((answer.status, &answer.body["scimType"]), (409, &json!("uniqueness")), "{answer:?}");
    directory.set_active(&mallory, false).await;
    assert_eq!(fleet.passing(&session).await, 3);
    // A corrected attribute links a user who has signed in, and is not provisioned yet.
    let bob = session_of(&fleet.signed_in(BOB).await);
    let provisioned = directory.create_user("bob@example.com", "unmapped").await;
    let change = json!([{"op": "Replace", "path": "externalId", "value": "bob"}]);
    let answer = directory.patch(&format!("/Users/{provisioned}"), change).await;
    assert_eq!((answer.status, &answer.body["id"]), (200, &json!(provisioned)), "{answer:?}");
    directory.create_group("eng-tools", &[&provisioned]).await;
    assert_role(&fleet, &bob, "internal_user").await;
    let since = tokio::time::Instant::now();
    directory.set_active(&provisioned, false).await;
    for pod in 0..3 {
        fleet.refused(pod, &bob, since).await.assert_within_bound("a deactivation after the attribute was corrected");
    }
    assert_eq!(fleet.passing(&session).await, 3);
}
