//! A directory whose users are linked by a claim, as those of Entra ID are by `oid`: sessions, keys and tokens of its users over
//! three pods, also of users who signed in before the directory was configured.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use super::{Directory, GROUP, ScimAnswer, builder};
use crate::support::agent::Agent;
use crate::support::api::{Auth, call, create_key, key_status, until_key_status};
use crate::support::auth_request::auth_request;
use crate::support::fleet::Fleet;
use crate::support::idp::{IdpOptions, client};
use crate::support::pod::{Pod, random_key, until_everywhere};
use crate::support::steps::{ALICE, BOB, CAROL, assert_not_signed_in, at, session_of, sign_in, until_callback};
use crate::support::wait;
use crate::tokens::{CLI, tokens_of};

const PATIENCE: Duration = Duration::from_secs(20);

const BY_OID: &str = "{attribute: externalId, claim: oid}";

/// Access tokens of users, whose `oid` is that of the directory.
const TOKENS: &str = "token_issuers:\n  - {id: corp-api, provider: corp, audiences: [litellm], user_claim: oid}\n";

/// Three pods behind nginx with a cluster. Returns the secret of the provider's command-line client as well.
async fn fleet_by_oid() -> (Fleet, String) {
    let secret = random_key();
    let mut cli = client("cli", &secret, &[CLI.to_owned()], &[]);
    cli["subject_type"] = json!("pairwise");
    let with_oid = |idp: &mut IdpOptions| {
        idp.clients.push(cli);
        for account in &mut idp.accounts {
            account.claims["oid"] = json!(oid(account.username));
            account.access_token_claims["oid"] = account.claims["oid"].clone();
        }
    };
    let fleet = builder(BY_OID).yaml(TOKENS).pods(3).cluster().idp_with(with_oid).nginx().start().await;
    (fleet, secret)
}

fn oid(user: &str) -> String {
    format!("oid-of-{user}")
}

async fn token_status(pod: &Pod, token: &str) -> u16 {
    auth_request(pod, &[("authorization", &format!("Bearer {token}"))]).await.status
}

async fn assert_token(fleet: &Fleet, token: &str, status: u16) {
    let what = format!("the token to be answered with {status}");
    until_everywhere(&fleet.pods, &what, PATIENCE, async |pod| token_status(pod, token).await == status).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_linked_by_a_claim_are_disabled_at_once_with_sessions_keys_and_tokens() {
    let (mut fleet, secret) = fleet_by_oid().await;
    let directory = Directory::of(&fleet);
    a_provisioned_user(&fleet, &directory, &secret).await;
    a_user_who_signed_in_before(&fleet, &directory, &secret).await;
    an_administrators_refusal(&fleet, &directory).await;
    a_killed_pod(&mut fleet).await;
}

async fn a_provisioned_user(fleet: &Fleet, directory: &Directory, secret: &str) {
    let alice = directory.create_user("alice@example.com", &oid("alice")).await;
    directory.create_group("eng-tools", &[&alice]).await;
    let (token, _) = tokens_of(fleet.idp(), secret, ALICE).await;
    // Before the first sign-in, the token belongs to the provisioned user, with the role of the group.
    assert_token(fleet, &token, 200).await;
    let session = session_of(&fleet.signed_in(ALICE).await);
    let key = create_key(fleet.pod(0), Auth::Session(&session), json!({})).await.key;
    for pod in 0..3 {
        fleet.warm(pod, &session).await;
        assert_eq!(key_status(fleet.pod(pod), &key).await, 200);
    }
    let since = Instant::now();
    directory.set_active(&alice, false).await;
    for pod in 0..3 {
        fleet.refused(pod, &session, since).await.assert_within_bound("a deactivation by SCIM");
        until_key_status(fleet.pod(pod), &key, 401).await;
    }
    assert_token(fleet, &token, 401).await;
    directory.set_active(&alice, true).await;
    assert_token(fleet, &token, 200).await;
    assert_eq!(fleet.passing(&session).await, 0);
}

/// Bob signs in on a pod whose configuration has no directory.
async fn a_user_who_signed_in_before(fleet: &Fleet, directory: &Directory, secret: &str) {
    let former = Pod::start(fleet.further_pod("former")).await;
    let session = sign_in(fleet.idp(), &Agent::new(), &former, BOB).await;
    let (token, _) = tokens_of(fleet.idp(), secret, BOB).await;
    assert_eq!(fleet.passing(&session).await, 3);
    let bob = directory.create_user("bob@example.com", &oid("bob")).await;
    let since = Instant::now();
    directory.set_active(&bob, false).await;
    for pod in 0..3 {
        fleet.refused(pod, &session, since).await.assert_within_bound("a deactivation of a user who signed in before");
    }
    assert_token(fleet, &token, 401).await;
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, fleet.pod(1), "/", BOB).await;
    let page = agent.get(&at(fleet.pod(1), &callback)).await;
    assert_eq!(page.status, 403);
    assert_not_signed_in(&page);
    directory.set_active(&bob, true).await;
    fleet.signed_in(BOB).await;
}

/// The directory deletes and creates a user whom an administrator disabled.
async fn an_administrators_refusal(fleet: &Fleet, directory: &Directory) {
    let alice = directory.get(&format!("/Users?filter=externalId eq \"{}\"", oid("alice"))).await;
    let alice = alice.body["Resources"][0]["id"].as_str().expect("alice is provisioned").to_owned();
    directory.create_group("Admins", &[&alice]).await;
    let session = session_of(&fleet.signed_in(ALICE).await);
    let (pod, admin) = (fleet.pod(0), Auth::Session(&session));
    let carol = directory.create_user("carol@example.com", &oid("carol")).await;
    let path = |action: &str| format!("/vestibule/api/people/{carol}/{action}");
    assert_eq!(call(pod, admin, Method::POST, &path("disable"), Some(json!({}))).await.status(), 200);
    assert_eq!(directory.send(Method::DELETE, &format!("/Users/{carol}"), None).await.status, 204);
    assert_eq!(directory.send(Method::DELETE, &format!("/Users/{carol}"), None).await.status, 404);
    let again = directory.create_user("carol@example.com", &oid("carol")).await;
    assert_eq!(again, carol, "the record is kept");
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, fleet.pod(1), "/", CAROL).await;
    assert_eq!(agent.get(&at(fleet.pod(1), &callback)).await.status, 403);
    assert_eq!(call(pod, admin, Method::POST, &path("enable"), Some(json!({}))).await.json()["disabled"], json!(false));
    fleet.signed_in(CAROL).await;
    let logged = |event: &str| fleet.pods.iter().map(|pod| pod.log().matches(event).count()).sum::<usize>();
    assert_eq!((logged("scim user deleted"), logged("scim user already deleted")), (1, 1));
}

/// A pod is killed while it writes the members of a group. The directory repeats the request, which another pod completes.
async fn a_killed_pod(fleet: &mut Fleet) {
    let directory = Directory::at(fleet.pod(0));
    let mut members = Vec::new();
    for number in 0..60 {
        members.push(directory.create_user(&format!("user-{number}"), &format!("x-{number}")).await);
    }
    let group = directory.create_group("team-large", &[]).await;
    let values: Vec<_> = members.iter().map(|id| json!({"value": id})).collect();
    let add = json!([{"op": "Add", "path": "members", "value": values}]);
    let (killed, path, operations) = (Directory::at(fleet.pod(2)), format!("/Groups/{group}"), add.clone());
    let request = tokio::spawn({
        let path = path.clone();
        async move { killed.try_patch(&path, operations).await }
    });
    let written = async || {
        let listed = directory.get(&format!("{path}?attributes=members")).await;
        listed.body["members"].as_array().filter(|members| !members.is_empty()).map(|_| ())
    };
    wait::until("the first members", PATIENCE, written).await;
    fleet.pods[2].kill9();
    let _ = request.await;
    assert_eq!(directory.patch(&path, add).await.status, 204);
    let read = directory.get(&path).await;
    assert_eq!(
        (read.status, read.body["members"].as_array().map(Vec::len), &read.body["schemas"]),
        (200, Some(60), &json!([GROUP]))
    );
    for id in &members {
        let user = directory.get(&format!("/Users/{id}?attributes=groups")).await;
        assert_eq!(user.body["groups"][0]["display"], json!("team-large"));
    }
    let delete: ScimAnswer = directory.send(Method::DELETE, &path, None).await;
    assert_eq!(delete.status, 204);
    let left = directory.get(&format!("/Users/{}", members[59])).await;
    assert_eq!(left.body["groups"], json!([]));
}
