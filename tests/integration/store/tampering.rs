//! An attacker with write access to Redis and without a key: pods refuse records that are swapped, truncated, renamed or
//! restored, and forged invalidation messages.

mod lists;
mod sign_in_methods;

use std::collections::BTreeMap;

use reqwest::Method;
use vestibule::principal_cache::CONSISTENCY_BOUND;

use super::steps::DEADLINE;
use crate::support::api::{self, ApiKey, call, create_key};
use crate::support::fleet::Fleet;
use crate::support::local_accounts::LocalUser;
use crate::support::records::PREFIX;
use crate::support::resp::{Reply, Subscription};
use crate::support::wait::until;

type StoredRecords = BTreeMap<String, Vec<u8>>;

/// The pod that is restarted to empty its cache.
const UNCACHED_POD: usize = 2;

struct TamperedFleet {
    fleet: Fleet,
    admin: LocalUser,
    ada: LocalUser,
    key: ApiKey,
}

impl TamperedFleet {
    async fn new() -> Self {
        let fleet = Fleet::builder().pods(3).own_cluster().idp().local_accounts().start().await;
        let admin = fleet.create_user("root@example.com", "proxy_admin").await;
        let ada = fleet.create_user("ada@example.com", "internal_user").await;
        let key = create_key(fleet.pod(0), ada.auth(), serde_json::json!({})).await;
        create_key(fleet.pod(0), admin.auth(), serde_json::json!({})).await;
        Self { fleet, admin, ada, key }
    }

    /// The statuses of ada's session and key on a pod with an empty cache.
    async fn statuses_without_cache(&mut self) -> (u16, u16) {
        self.fleet.restart(UNCACHED_POD).await;
        (
            self.fleet.status(UNCACHED_POD, &self.ada.cookie).await,
            api::key_status(self.fleet.pod(UNCACHED_POD), &self.key.key).await,
        )
    }

    /// An administrator's action on ada.
    async fn administer(&self, method: Method, what: &str) {
        let path = format!("/vestibule/api/people/{}{what}", self.ada.id);
        let body = (method == Method::POST).then(|| serde_json::json!({}));
        let reply = call(self.fleet.pod(0), self.admin.auth(), method, &path, body).await;
        assert_eq!(reply.status(), 200, "{reply:?}");
    }

    /// All records of these kinds by name.
    async fn records_of_kinds(&self, kinds: &[&str]) -> StoredRecords {
        let mut written = StoredRecords::new();
        for number in self.fleet.cluster().primaries().await {
            let node = &self.fleet.cluster().nodes[number];
            for name in node.keys().await {
                let name = String::from_utf8(name).expect("our keys are text");
                let kind = name.strip_prefix(PREFIX).and_then(|rest| rest.split(':').nth(1));
                if kind.is_some_and(|kind| kinds.contains(&kind)) {
                    let value = node.call(&["GET", &name]).await.bytes();
                    written.insert(name, value);
                }
            }
        }
        assert!(written.len() >= 2, "{kinds:?}: {written:?}");
        written
    }

    async fn write(&self, written: &StoredRecords) {
        for (name, value) in written {
            let node = &self.fleet.cluster().nodes[self.fleet.cluster().owner_of(name).await];
            let reply = node.call_bytes(&[b"SET", name.as_bytes(), value]).await;
            assert_eq!(reply, Reply::Bytes(b"OK".to_vec()));
        }
    }
}

/// Each record under the name of the next one.
fn swapped(written: &StoredRecords) -> StoredRecords {
    let values = written.values().cycle().skip(1).cloned();
    written.keys().cloned().zip(values).collect()
}

fn cut(written: &StoredRecords) -> StoredRecords {
    written.iter().map(|(name, value)| (name.clone(), value[..value.len() / 2].to_vec())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn swapped_and_truncated_records_are_refused_and_never_treated_as_absent() {
    let mut tampered = TamperedFleet::new().await;
    // The kinds, and whether the session and the key depend on them.
    let kinds: [(&[&str], bool, bool); 4] =
        [(&["session"], true, false), (&["user"], true, true), (&["key"], false, true), (&["key_secret"], false, true)];
    for alter in [swapped, cut] {
        for (kinds, of_session, of_key) in kinds {
            let before = tampered.records_of_kinds(kinds).await;
            tampered.write(&alter(&before)).await;
            let expected = [of_session, of_key].map(|read| if read { 503 } else { 200 });
            assert_eq!(tampered.statuses_without_cache().await, expected.into(), "{kinds:?}");
            tampered.write(&before).await;
        }
    }
    assert_eq!(tampered.statuses_without_cache().await, (200, 200));
    let all = tampered.records_of_kinds(&["session", "user", "key", "key_secret"]).await;
    tampered.write(&swapped(&all)).await;
    assert_eq!(tampered.statuses_without_cache().await, (503, 503), "each under a name of another kind too");
}

/// Only the attacks that docs/store.md lists succeed.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_record_undoes_its_own_changes_only() {
    let mut tampered = TamperedFleet::new().await;
    let alice = tampered.fleet.sign_in(0).await;
    let session = tampered.records_of_kinds(&["session"]).await;
    tampered.fleet.sign_out(0, &alice).await;
    tampered.write(&session).await;
    tampered.fleet.restart(UNCACHED_POD).await;
    assert_eq!(tampered.fleet.status(UNCACHED_POD, &alice.cookie).await, 200, "a sign-out is undone");

    let key = tampered.records_of_kinds(&["key", "key_secret"]).await;
    assert_eq!(api::revoke_key(tampered.fleet.pod(0), tampered.ada.auth(), &tampered.key.id).await.status(), 200);
    assert_eq!(tampered.statuses_without_cache().await, (200, 401));
    tampered.write(&key).await;
    assert_eq!(tampered.statuses_without_cache().await, (200, 200), "a revocation is undone");

    let (session, user) = (tampered.records_of_kinds(&["session"]).await, tampered.records_of_kinds(&["user"]).await);
    tampered.administer(Method::DELETE, "/sessions").await;
    tampered.write(&session).await;
    assert_eq!(tampered.statuses_without_cache().await, (401, 200), "the user's own record still ends all sessions");
    tampered.write(&user).await;
    assert_eq!(tampered.statuses_without_cache().await, (200, 200), "the user's old record undoes that too");

    let (hers, user) =
        (tampered.records_of_kinds(&["session", "key", "key_secret"]).await, tampered.records_of_kinds(&["user"]).await);
    tampered.administer(Method::POST, "/disable").await;
    tampered.write(&hers).await;
    let seen = tampered.statuses_without_cache().await;
    assert!(seen.0 != 200 && seen.1 != 200, "the user's own record is still disabled: {seen:?}");
    tampered.write(&user).await;
    assert_eq!(tampered.statuses_without_cache().await, (200, 200), "the user's old record undoes that too");
}

/// An attacker who can only subscribe and publish repeats the messages of pods.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_invalidation_messages_end_no_session_and_restore_none() {
    let tampered = TamperedFleet::new().await;
    let fleet = &tampered.fleet;
    let channel = format!("{PREFIX}notices");
    let node = &tampered.fleet.cluster().nodes[tampered.fleet.cluster().primaries().await[0]];
    let mut subscription = Subscription::to(node.port(), &channel).await;
    let bob = tampered.fleet.create_user("bob@example.com", "internal_user").await;
    tampered.administer(Method::DELETE, "/sessions").await;
    assert_eq!(api::revoke_key(tampered.fleet.pod(0), tampered.admin.auth(), &tampered.key.id).await.status(), 200);
    let has_ended = async || (tampered.fleet.passing(&tampered.ada.cookie).await == 0).then_some(());
    until("her session to end everywhere", CONSISTENCY_BOUND * 5, has_ended).await;

    let genuine = subscription.messages_so_far().await;
    println!("{} genuine messages", genuine.len());
    assert!(genuine.len() >= 3, "a session ended, a key was revoked, a user signed in");
    let copies = async |pod| {
        fleet.invalidation_messages(pod, "copy").await
            + fleet.invalidation_messages(pod, "gap").await
            + fleet.invalidation_messages(pod, "unreadable").await
    };
    let before = [copies(0).await, copies(1).await, copies(2).await];
    for _ in 0..3 {
        // In reverse order as well.
        for notice in genuine.iter().chain(genuine.iter().rev()) {
            node.call_bytes(&[b"PUBLISH", channel.as_bytes(), notice]).await;
        }
    }
    for (pod, before) in before.into_iter().enumerate() {
        until("the repeated messages", DEADLINE, async || (copies(pod).await > before).then_some(())).await;
    }
    for _ in 0..2 {
        assert_eq!(tampered.fleet.passing(&bob.cookie).await, 3, "no session has ended");
        assert_eq!(tampered.fleet.passing(&tampered.ada.cookie).await, 0, "ada's session is not restored");
        for pod in 0..3 {
            assert_eq!(api::key_status(tampered.fleet.pod(pod), &tampered.key.key).await, 401);
        }
    }
    let path = format!("/vestibule/api/people/{}/sessions", bob.id);
    assert_eq!(call(tampered.fleet.pod(1), tampered.admin.auth(), Method::DELETE, &path, None).await.status(), 200);
    let has_ended = async || (tampered.fleet.passing(&bob.cookie).await == 0).then_some(());
    until("a revocation to take effect after the repeated messages", CONSISTENCY_BOUND * 5, has_ended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_invalidation_messages_end_no_session_and_hide_no_revocation() {
    let tampered = TamperedFleet::new().await;
    let fleet = &tampered.fleet;
    let node = &tampered.fleet.cluster().nodes[tampered.fleet.cluster().primaries().await[0]];
    let unreadable = async |pod| fleet.invalidation_messages(pod, "unreadable").await;
    let before = [unreadable(0).await, unreadable(1).await, unreadable(2).await];
    for shard in 0..64 {
        let token = vestibule::store::CommitToken::random();
        for body in ["", "forged", "{\"dropped\": []}"] {
            let message = format!("{shard}:{token}:9{shard}:{token}:{body}");
            node.call(&["PUBLISH", &format!("{PREFIX}notices"), &message]).await;
        }
    }
    node.call(&["PUBLISH", &format!("{PREFIX}notices"), "not a message"]).await;
    for (pod, before) in before.into_iter().enumerate() {
        until("the forged messages", DEADLINE, async || (unreadable(pod).await > before).then_some(())).await;
    }
    assert_eq!(tampered.fleet.passing(&tampered.ada.cookie).await, 3);
    tampered.administer(Method::DELETE, "/sessions").await;
    let has_ended = async || (tampered.fleet.passing(&tampered.ada.cookie).await == 0).then_some(());
    until("her session to end everywhere", CONSISTENCY_BOUND * 5, has_ended).await;
}
