//! An attacker who can read, write and publish in Redis, and has no key, gains nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vestibule::clock::SystemClock;
use vestibule::secret::{Digest, KeyRing, RingKeys, new_key};
use vestibule::store::{
    CommitToken, Conflict, Error, Precondition, Record, RecordKey, RecordKind, Records, Sequence, Shard, Store, Ttl,
};

use super::steps::{fresh_in, putting, receive, within};
use crate::support::records::{PREFIX, connection, start};
use crate::support::redis::{Cluster, Node, Options, Standalone};
use crate::support::resp::Reply;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct UserRecord(String);

#[derive(Debug, Serialize, Deserialize)]
struct SessionRecord(String);

impl Record for UserRecord {
    const KIND: RecordKind = RecordKind::User;
}

impl Record for SessionRecord {
    const KIND: RecordKind = RecordKind::Session;
}

#[tokio::test(flavor = "multi_thread")]
async fn swapped_records_are_unreadable_and_never_another_users() {
    let redis = Cluster::start().await;
    let store = start(&connection(&redis.url()));
    within("the store to be ready", store.ready()).await;
    let records = records(&store, &new_key(), PREFIX);
    let near = fresh_in(shard(0), RecordKind::User);
    for other in [fresh_in(shard(0), RecordKind::User), fresh_in(shard(40), RecordKind::User)] {
        put(&records, &near, "alice").await;
        put(&records, &other, "bob").await;
        swap(&redis, &near, &other).await;
        for key in [&near, &other] {
            let read = records.get::<UserRecord>(key).await;
            assert!(matches!(read, Err(Error::Unreadable { kind: RecordKind::User, .. })), "{read:?}");
        }
        swap(&redis, &near, &other).await;
        assert_eq!(records.get::<UserRecord>(&near).await.unwrap().unwrap().value, UserRecord("alice".into()));
        assert_eq!(records.get::<UserRecord>(&other).await.unwrap().unwrap().value, UserRecord("bob".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_kind_deployment_or_key_ring_is_unreadable() {
    let redis = Standalone::start(Options::default()).await;
    let mut other_connection = connection(&redis.url());
    other_connection.settings.key_prefix = "elsewhere:".to_owned();
    let (store, other) = (start(&connection(&redis.url())), start(&other_connection));
    within("the stores to be ready", async { tokio::join!(store.ready(), other.ready()) }).await;
    let ring = new_key();
    let ours = records(&store, &ring, PREFIX);
    let user = fresh_in(shard(1), RecordKind::User);
    let session = RecordKey::new(user.shard, RecordKind::Session, user.id.clone());
    put(&ours, &user, "alice").await;
    let raw = raw_get(&redis.node, PREFIX, &user).await;

    raw_set(&redis.node, PREFIX, &session, &raw).await;
    assert!(matches!(ours.get::<SessionRecord>(&session).await, Err(Error::Unreadable { kind: RecordKind::Session, .. })));
    raw_set(&redis.node, "elsewhere:", &user, &raw).await;
    let theirs = records(&other, &ring, "elsewhere:").get::<UserRecord>(&user).await;
    assert!(matches!(theirs, Err(Error::Unreadable { .. })), "{theirs:?}");
    let with_another_key = records(&store, &new_key(), PREFIX).get::<UserRecord>(&user).await;
    assert!(matches!(with_another_key, Err(Error::Unreadable { .. })), "{with_another_key:?}");
    assert!(ours.get::<UserRecord>(&user).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_or_altered_record_is_an_error_and_never_absent() {
    let redis = Standalone::start(Options::default()).await;
    let store = start(&connection(&redis.url()));
    within("the store to be ready", store.ready()).await;
    let records = records(&store, &new_key(), PREFIX);
    let key = fresh_in(shard(2), RecordKind::User);
    put(&records, &key, "alice").await;
    let whole = raw_get(&redis.node, PREFIX, &key).await;
    let sealed_from = whole.splitn(3, |byte| *byte == b':').take(2).map(|part| part.len() + 1).sum::<usize>();
    for length in 0..whole.len() {
        raw_set(&redis.node, PREFIX, &key, &whole[..length]).await;
        let read = records.get::<UserRecord>(&key).await;
        assert!(matches!(read, Err(Error::Unreadable { .. })), "{length} bytes: {read:?}");
    }
    for at in sealed_from..whole.len() {
        let mut altered = whole.clone();
        altered[at] ^= 0x40;
        raw_set(&redis.node, PREFIX, &key, &altered).await;
        let read = records.get::<UserRecord>(&key).await;
        assert!(matches!(read, Err(Error::Unreadable { .. })), "byte {at}: {read:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_record_is_unreadable_and_not_overwritten() {
    let redis = Standalone::start(Options::default()).await;
    let store = start(&connection(&redis.url()));
    within("the store to be ready", store.ready()).await;
    let records = records(&store, &new_key(), PREFIX);
    let key = fresh_in(shard(5), RecordKind::User);
    put(&records, &key, "alice").await;
    let whole = raw_get(&redis.node, PREFIX, &key).await;
    let sealed_from = whole.splitn(3, |byte| *byte == b':').take(2).map(|part| part.len() + 1).sum::<usize>();
    let strange: [&[u8]; 6] = [b"", b"alice", b"::", b"1:xyz:", &whole[sealed_from..], &[b"x", &whole[..]].concat()];
    for value in strange {
        raw_set(&redis.node, PREFIX, &key, value).await;
        let read = records.get::<UserRecord>(&key).await;
        assert!(matches!(read, Err(Error::Unreadable { kind: RecordKind::User, .. })), "{read:?}");
        let version = store.get(&key).await.unwrap().expect("something is there").version;
        for expected in [Precondition::Absent, Precondition::Version(version)] {
            let mut commit = putting(&key, b"bob");
            commit.preconditions = vec![(key.clone(), expected)];
            assert_eq!(store.commit(&commit).await.unwrap(), Err(Conflict), "{expected:?}");
        }
        assert_eq!(raw_get(&redis.node, PREFIX, &key).await, value);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_only_accepted_as_encrypted_by_a_pod_for_its_commit() {
    let redis = Standalone::start(Options::default()).await;
    let store = start(&connection(&redis.url()));
    within("the store to be ready", store.ready()).await;
    let ring = new_key();
    let (ours, with_another_key) = (records(&store, &ring, PREFIX), records(&store, &new_key(), PREFIX));
    let mut notices = store.invalidation_messages();
    let digest = Digest::of(b"a session");
    let revoked = ours.change(shard(3)).revoke_credential(&digest).commit().await.unwrap().unwrap();
    let genuine = receive(&mut notices, &[revoked.token]).await.remove(0);
    assert_eq!(ours.decrypt_invalidation_message(&genuine).unwrap().len(), 1);
    assert!(with_another_key.decrypt_invalidation_message(&genuine).is_err());

    let (next, token) = (revoked.number + 1, CommitToken::random());
    let replayed = Sequence { number: next, token };
    publish(&redis.node, 3, revoked.token, replayed, &genuine.body).await;
    publish(&redis.node, 4, CommitToken::default(), revoked, &genuine.body).await;
    publish(&redis.node, 3, revoked.token, replayed, b"").await;
    publish(&redis.node, 3, revoked.token, replayed, b"a body that is not encrypted").await;
    for _ in 0..4 {
        let forged = within("an invalidation message", notices.recv()).await.unwrap();
        assert!(ours.decrypt_invalidation_message(&forged).is_err(), "{forged:?}");
    }
    // Data that is no message is ignored.
    redis.node.call(&["PUBLISH", &format!("{PREFIX}notices"), "garbage"]).await;
    let last = ours.change(shard(3)).commit().await.unwrap().unwrap();
    let message = within("an invalidation message", notices.recv()).await.unwrap();
    assert_eq!((message.previous, message.sequence), (revoked.token, last));
}

async fn publish(node: &Node, shard: u8, previous: CommitToken, sequence: Sequence, body: &[u8]) {
    let message = [format!("{shard}:{previous}:{sequence}:").as_bytes(), body].concat();
    node.call_bytes(&[b"PUBLISH", format!("{PREFIX}notices").as_bytes(), &message]).await;
}

fn records(store: &Arc<dyn Store>, ring: &str, prefix: &str) -> Records {
    let keys = RingKeys::parse(ring).expect("a fresh key");
    Records::new(Arc::clone(store), Arc::new(KeyRing::new(keys, Arc::new(SystemClock))), prefix)
}

async fn put(records: &Records, key: &RecordKey, name: &str) {
    let change = records.change(key.shard).put(key, &UserRecord(name.to_owned()), Ttl::Forever);
    change.commit().await.unwrap().unwrap();
}

/// Swaps two records like an attacker with write access to Redis.
async fn swap(redis: &Cluster, one: &RecordKey, other: &RecordKey) {
    let one_node = &redis.nodes[redis.owner_of(&name(PREFIX, one)).await];
    let other_node = &redis.nodes[redis.owner_of(&name(PREFIX, other)).await];
    let (one_value, other_value) = (raw_get(one_node, PREFIX, one).await, raw_get(other_node, PREFIX, other).await);
    raw_set(one_node, PREFIX, one, &other_value).await;
    raw_set(other_node, PREFIX, other, &one_value).await;
}

async fn raw_get(node: &Node, prefix: &str, key: &RecordKey) -> Vec<u8> {
    node.call_bytes(&[b"GET", name(prefix, key).as_bytes()]).await.bytes()
}

async fn raw_set(node: &Node, prefix: &str, key: &RecordKey, value: &[u8]) {
    let reply = node.call_bytes(&[b"SET", name(prefix, key).as_bytes(), value]).await;
    assert_eq!(reply, Reply::Bytes(b"OK".to_vec()));
}

fn name(prefix: &str, key: &RecordKey) -> String {
    format!("{prefix}{}", key.name())
}

fn shard(number: u8) -> Shard {
    Shard::new(number).expect("below 64")
}
