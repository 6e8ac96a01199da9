//! The contract of all stores: one test suite that runs on each of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::broadcast::Receiver;
use uuid::Uuid;
use vestibule::secret::random_bytes;
use vestibule::store::{
    Commit, CommitToken, Conflict, EncryptedRecord, Error, Index, InvalidationMessage, Precondition, RecordKey, RecordKind,
    Sequence, Shard, Ttl, Version,
};

use super::steps::{
    DEADLINE, SharedStore, any_shard, done, fresh, fresh_id, fresh_in, put, putting, receive, replacing, sequence, sequences,
    value, within,
};
use crate::support::wait::{timed, until};

mod indices;
mod unsequenced_commits;

use indices::{
    a_quota_is_reset_after_its_window, a_quota_is_shared_and_returns_the_time_until_its_reset,
    a_scan_returns_exactly_the_keys_of_its_kind, an_index_is_listed_in_order_and_page_by_page,
    an_index_lives_as_long_as_its_longest_lived_member, indices_and_members_are_separate,
};
use unsequenced_commits::{
    a_commit_beyond_the_capacity_writes_nothing, a_retried_unsequenced_commit_has_the_first_outcome_and_runs_once,
    a_retry_of_a_replaced_unsequenced_commit_is_a_conflict, an_unsequenced_commit_advances_no_sequence_and_publishes_nothing,
    capacity_is_released_and_expires, concurrent_commits_do_not_exceed_the_capacity,
    sequenced_and_unsequenced_commits_read_each_others_versions,
};

macro_rules! statements {
    ($store:expr, $($name:ident),+ $(,)?) => {$(
        run_statement(stringify!($name), $name(Arc::clone(&$store))).await;
    )+};
}

/// Runs all statements on this store one after the other: no other commits occur in a shard.
pub async fn holds(store: SharedStore) {
    within("the store to be ready", store.ready()).await;
    statements!(
        store,
        a_record_that_was_never_written_is_absent,
        a_record_is_read_with_the_version_of_its_commit,
        a_large_record_is_read_back,
        a_commit_whose_preconditions_hold_is_written_completely,
        a_conflict_writes_nothing_and_publishes_nothing,
        another_number_or_token_of_a_version_is_a_conflict,
        a_deleted_record_is_absent,
        a_record_expires_after_its_lifetime_and_not_before,
        a_write_replaces_the_lifetime,
        reencryption_keeps_version_and_lifetime,
        a_retried_operation_has_the_first_outcome_and_runs_once,
        there_are_64_sequences_and_a_commit_increments_its_own,
        messages_of_a_shard_are_ordered_and_chained,
        an_index_is_listed_in_order_and_page_by_page,
        an_index_lives_as_long_as_its_longest_lived_member,
        indices_and_members_are_separate,
        a_quota_is_shared_and_returns_the_time_until_its_reset,
        a_quota_is_reset_after_its_window,
        a_scan_returns_exactly_the_keys_of_its_kind,
        of_50_commits_with_the_same_version_one_succeeds,
        of_50_consumers_of_a_record_one_succeeds,
        versions_make_concurrent_counting_exact,
        an_unsequenced_commit_advances_no_sequence_and_publishes_nothing,
        a_retried_unsequenced_commit_has_the_first_outcome_and_runs_once,
        a_retry_of_a_replaced_unsequenced_commit_is_a_conflict,
        sequenced_and_unsequenced_commits_read_each_others_versions,
        a_commit_beyond_the_capacity_writes_nothing,
        concurrent_commits_do_not_exceed_the_capacity,
        capacity_is_released_and_expires,
    );
}

async fn run_statement(name: &str, shown: impl Future<Output = ()>) {
    eprintln!("  {name}");
    let ((), took) = timed(within(name, shown)).await;
    if took > Duration::from_secs(1) {
        eprintln!("    took {took:?}");
    }
}

async fn a_record_that_was_never_written_is_absent(store: SharedStore) {
    for kind in [RecordKind::Flow, RecordKind::User, RecordKind::Identity, RecordKind::Session] {
        assert_eq!(value(&store, &fresh(kind)).await, None);
    }
}

async fn a_record_is_read_with_the_version_of_its_commit(store: SharedStore) {
    let every_byte: Vec<u8> = (0..=255).collect();
    for text in [&b""[..], b":", b"1:0011223344556677:x", b"\0\r\n$5\r\n", &every_byte] {
        let key = fresh(RecordKind::User);
        let commit = putting(&key, text);
        let sequence = done(&store, &commit).await;
        assert_eq!(sequence.token, commit.token);
        let found = store.get(&key).await.unwrap().expect("it was just written");
        assert_eq!((found.ciphertext.as_slice(), found.version), (text, sequence));
    }
}

async fn a_large_record_is_read_back(store: SharedStore) {
    let (key, large) = (fresh(RecordKind::User), vec![0xA5; 100 * 1024]);
    let mut messages = store.invalidation_messages();
    let mut commit = putting(&key, &large);
    commit.invalidation.clone_from(&large);
    done(&store, &commit).await;
    assert!(value(&store, &key).await == Some(large.clone()));
    assert!(receive(&mut messages, &[commit.token]).await[0].body == large);
}

async fn a_commit_whose_preconditions_hold_is_written_completely(store: SharedStore) {
    let shard = any_shard();
    let [known, deleted, new, other] = [0; 4].map(|_| fresh_in(shard, RecordKind::Session));
    let version = put(&store, &known, b"one").await;
    put(&store, &deleted, b"two").await;
    let index = Index::new(shard, fresh_id());
    let mut commit = Commit::new(shard);
    commit.preconditions = vec![(known.clone(), Precondition::Version(version)), (new.clone(), Precondition::Absent)];
    commit.put = [&known, &new, &other].map(|key| (key.clone(), key.id.clone().into_bytes(), Ttl::Forever)).to_vec();
    commit.delete = vec![deleted.clone()];
    commit.index_add = vec![(index.clone(), "a".into(), Ttl::Forever), (index.clone(), "b".into(), Ttl::Forever)];
    let sequence = done(&store, &commit).await;
    for key in [&known, &new, &other] {
        let found = store.get(key).await.unwrap().expect("the commit wrote it");
        assert_eq!((found.ciphertext.as_slice(), found.version), (key.id.as_bytes(), sequence));
    }
    assert_eq!(value(&store, &deleted).await, None);
    assert_eq!(store.list(&index, None, 10).await.unwrap(), ["a", "b"]);
}

async fn a_conflict_writes_nothing_and_publishes_nothing(store: SharedStore) {
    let shard = any_shard();
    let [known, absent, kept, unwritten] = [0; 4].map(|_| fresh_in(shard, RecordKind::User));
    let version = put(&store, &known, b"known").await;
    put(&store, &kept, b"kept").await;
    let (index, before, mut messages) =
        (Index::new(shard, fresh_id()), sequence(&store, shard).await, store.invalidation_messages());
    let broken = [
        vec![(known.clone(), Precondition::Absent)],
        vec![(absent.clone(), Precondition::Version(version))],
        vec![
            (known.clone(), Precondition::Version(version)),
            (absent.clone(), Precondition::Absent),
            (kept.clone(), Precondition::Absent),
        ],
    ];
    for expect in broken {
        let mut commit = Commit::new(shard);
        commit.preconditions = expect;
        commit.put = [&known, &unwritten].map(|key| (key.clone(), b"new".to_vec(), Ttl::Forever)).to_vec();
        commit.delete = vec![kept.clone()];
        commit.index_add = vec![(index.clone(), "a".into(), Ttl::Forever)];
        assert_eq!(store.commit(&commit).await, Ok(Err(Conflict)));
    }
    assert_eq!(value(&store, &known).await.as_deref(), Some(&b"known"[..]));
    assert_eq!(value(&store, &kept).await.as_deref(), Some(&b"kept"[..]));
    assert_eq!(value(&store, &unwritten).await, None);
    assert!(store.list(&index, None, 10).await.unwrap().is_empty());
    assert_eq!(sequence(&store, shard).await, before);
    let next = putting(&absent, b"");
    let after = done(&store, &next).await;
    assert_eq!(after.number, before.number + 1);
    assert_eq!(first_message_after(&mut messages, shard, before).await.sequence, after);
}

async fn another_number_or_token_of_a_version_is_a_conflict(store: SharedStore) {
    let key = fresh(RecordKind::User);
    let right = put(&store, &key, b"value").await;
    let wrong = [
        Version { number: right.number + 1, ..right },
        Version { number: right.number * 10, ..right },
        Version { token: CommitToken::random(), ..right },
        Version::default(),
    ];
    for version in wrong {
        assert_eq!(store.commit(&replacing(&key, version, b"new")).await, Ok(Err(Conflict)), "{version}");
    }
    done(&store, &replacing(&key, right, b"new")).await;
    // The same precondition a second time: the version has changed.
    assert_eq!(store.commit(&replacing(&key, right, b"newer")).await, Ok(Err(Conflict)));
    assert_eq!(value(&store, &key).await.as_deref(), Some(&b"new"[..]));
}

async fn a_deleted_record_is_absent(store: SharedStore) {
    let key = fresh(RecordKind::Session);
    put(&store, &key, b"value").await;
    for _ in 0..2 {
        let mut commit = Commit::new(key.shard);
        commit.delete = vec![key.clone()];
        done(&store, &commit).await;
        assert_eq!(value(&store, &key).await, None);
    }
    let mut again = putting(&key, b"again");
    again.preconditions = vec![(key.clone(), Precondition::Absent)];
    done(&store, &again).await;
}

async fn a_record_expires_after_its_lifetime_and_not_before(store: SharedStore) {
    const LIFE: Duration = Duration::from_millis(400);
    let shard = any_shard();
    let [short, lasting] = [0; 2].map(|_| fresh_in(shard, RecordKind::Flow));
    let mut commit = putting(&lasting, b"lasting");
    commit.put.push((short.clone(), b"short".to_vec(), Ttl::For(LIFE)));
    let lived = async {
        done(&store, &commit).await;
        until_absent(&store, &short).await;
    };
    let ((), lived) = timed(lived).await;
    // Redis counts in whole milliseconds.
    assert!(lived + Duration::from_millis(2) >= LIFE, "gone after {lived:?}");
    assert!(value(&store, &lasting).await.is_some());
    // An expired record is also absent for a commit.
    let mut again = putting(&short, b"again");
    again.preconditions = vec![(short.clone(), Precondition::Absent)];
    done(&store, &again).await;
}

async fn a_write_replaces_the_lifetime(store: SharedStore) {
    const LIFE: Duration = Duration::from_millis(200);
    let shard = any_shard();
    let [kept, recreated, clock] = [0; 3].map(|_| fresh_in(shard, RecordKind::Flow));
    let mut commit = Commit::new(shard);
    commit.put = [&kept, &recreated].map(|key| (key.clone(), b"old".to_vec(), Ttl::For(LIFE))).to_vec();
    done(&store, &commit).await;
    let mut again = putting(&kept, b"new");
    again.put.push((clock.clone(), Vec::new(), Ttl::For(LIFE)));
    again.delete = vec![recreated.clone()];
    done(&store, &again).await;
    put(&store, &recreated, b"new").await;
    // StoredRecords after both, with the same lifetime.
    until_absent(&store, &clock).await;
    for key in [&kept, &recreated] {
        assert_eq!(value(&store, key).await.as_deref(), Some(&b"new"[..]));
    }
}

async fn reencryption_keeps_version_and_lifetime(store: SharedStore) {
    const LIFE: Duration = Duration::from_secs(3);
    let shard = any_shard();
    let [short, lasting] = [0; 2].map(|_| fresh_in(shard, RecordKind::Flow));
    let mut commit = Commit::new(shard);
    commit.put = vec![(short.clone(), b"old".to_vec(), Ttl::For(LIFE)), (lasting.clone(), b"old".to_vec(), Ttl::Forever)];
    let version = done(&store, &commit).await;
    let again = |version| {
        let mut again = Commit::new(shard);
        again.reencrypt =
            [&short, &lasting].map(|key| (key.clone(), EncryptedRecord { ciphertext: b"anew".to_vec(), version })).to_vec();
        again
    };
    let next = done(&store, &again(version)).await;
    assert_eq!(store.get(&lasting).await.unwrap().map(|found| found.version), Some(version));
    until_absent(&store, &short).await;
    assert_eq!(store.commit(&again(version)).await, Ok(Err(Conflict)), "one of them is gone");
    assert_eq!(value(&store, &lasting).await.as_deref(), Some(&b"anew"[..]));

    // Readers of the previous encryption are not affected.
    let mut changed = putting(&lasting, b"changed");
    changed.preconditions = vec![(lasting.clone(), Precondition::Version(version))];
    let changed = done(&store, &changed).await;
    assert_eq!(changed.number, next.number + 1);
    let mut late = Commit::new(shard);
    late.reencrypt = vec![(lasting.clone(), EncryptedRecord { ciphertext: b"old".to_vec(), version })];
    assert_eq!(store.commit(&late).await, Ok(Err(Conflict)), "the record has changed");
}

async fn a_retried_operation_has_the_first_outcome_and_runs_once(store: SharedStore) {
    let key = fresh(RecordKind::User);
    let mut messages = store.invalidation_messages();
    let mut commit = putting(&key, b"first");
    commit.preconditions = vec![(key.clone(), Precondition::Absent)];
    let first = done(&store, &commit).await;
    let later = put(&store, &key, b"later").await;
    // A retry sends the same operation; whatever else it contains, it has run.
    assert_eq!(done(&store, &commit).await, first);
    commit.token = CommitToken::random();
    assert_eq!(done(&store, &commit).await, first);
    assert_eq!(value(&store, &key).await.as_deref(), Some(&b"later"[..]));
    assert_eq!(sequence(&store, key.shard).await, later);
    commit.operation = Uuid::from_bytes(random_bytes());
    assert_eq!(store.commit(&commit).await, Ok(Err(Conflict)), "another operation has its own outcome");
    let last = put(&store, &key, b"last").await;
    let messages_received = receive(&mut messages, &[first.token, later.token, last.token]).await;
    assert_eq!(messages_received.iter().map(|message| message.sequence).collect::<Vec<_>>(), [first, later, last]);
}

async fn there_are_64_sequences_and_a_commit_increments_its_own(store: SharedStore) {
    let before = sequences(&store).await;
    assert_eq!(before.len(), 64);
    let mut expected = before.clone();
    for (shard, expected) in Shard::all().zip(&mut expected).skip(1) {
        let commit = putting(&fresh_in(shard, RecordKind::User), b"");
        *expected = Sequence { number: expected.number + 1, token: commit.token };
        assert_eq!(done(&store, &commit).await, *expected);
    }
    assert_eq!(sequences(&store).await, expected);
    assert_eq!(expected[0], before[0]);
}

async fn messages_of_a_shard_are_ordered_and_chained(store: SharedStore) {
    const EACH: usize = 20;
    let shards: Vec<Shard> = Shard::all().step_by(9).collect();
    let before = sequences(&store).await;
    let mut messages = store.invalidation_messages();
    let bodies = join_all(shards.iter().map(|shard| publish_messages(Arc::clone(&store), *shard, EACH))).await;
    let sent: HashMap<CommitToken, Vec<u8>> = bodies.into_iter().flatten().collect();
    let messages_received = receive(&mut messages, &sent.keys().copied().collect::<Vec<_>>()).await;
    for shard in shards {
        let mut end = before[shard.index()];
        for message in messages_received.iter().filter(|message| message.shard == shard) {
            assert_eq!((message.previous, message.sequence.number), (end.token, end.number + 1));
            assert!(sent[&message.sequence.token] == message.body);
            end = message.sequence;
        }
        assert_eq!(end, sequence(&store, shard).await);
        assert_eq!(end.number, before[shard.index()].number + u64::try_from(EACH).unwrap());
    }
}

/// Commits with binary messages; returns the body of each commit token.
async fn publish_messages(store: SharedStore, shard: Shard, times: usize) -> Vec<(CommitToken, Vec<u8>)> {
    let mut sent = Vec::new();
    for _ in 0..times {
        let mut commit = putting(&fresh_in(shard, RecordKind::User), b"");
        commit.invalidation = [&b"\0:\xff\r\n:"[..], &random_bytes::<64>()].concat();
        done(&store, &commit).await;
        sent.push((commit.token, commit.invalidation));
    }
    sent
}

async fn of_50_commits_with_the_same_version_one_succeeds(store: SharedStore) {
    let key = fresh(RecordKind::User);
    let start = put(&store, &key, b"start").await;
    let commits: Vec<Commit> = (0..50u8).map(|number| replacing(&key, start, &[number])).collect();
    let outcomes = commit_concurrently(&store, &commits).await;
    let won: Vec<usize> = (0..50).filter(|number| matches!(outcomes[*number], Ok(Ok(_)))).collect();
    assert_eq!(won.len(), 1, "{outcomes:?}");
    assert!(outcomes.iter().filter(|outcome| **outcome == Ok(Err(Conflict))).count() == 49, "{outcomes:?}");
    assert_eq!(value(&store, &key).await, Some(vec![u8::try_from(won[0]).unwrap()]));
    assert_eq!(sequence(&store, key.shard).await.number, start.number + 1);
}

async fn of_50_consumers_of_a_record_one_succeeds(store: SharedStore) {
    let key = fresh(RecordKind::Flow);
    put(&store, &key, b"waiting").await;
    let take = async |store: SharedStore| {
        let found = store.get(&key).await.unwrap().expect("a tombstone stays");
        let taken =
            found.ciphertext == b"waiting" && store.commit(&replacing(&key, found.version, b"taken")).await.unwrap().is_ok();
        usize::from(taken)
    };
    let takers = join_all((0..50).map(|_| take(Arc::clone(&store)))).await;
    assert_eq!(takers.iter().sum::<usize>(), 1);
    assert_eq!(value(&store, &key).await.as_deref(), Some(&b"taken"[..]));
}

async fn versions_make_concurrent_counting_exact(store: SharedStore) {
    let key = fresh(RecordKind::User);
    put(&store, &key, &[0]).await;
    let count = async |store: SharedStore| {
        for _ in 0..10 {
            while !add_one(&store, &key).await {}
        }
    };
    join_all((0..8).map(|_| count(Arc::clone(&store)))).await;
    assert_eq!(value(&store, &key).await, Some(vec![80]));
}

async fn add_one(store: &SharedStore, key: &RecordKey) -> bool {
    let found = store.get(key).await.unwrap().expect("no test deletes it");
    store.commit(&replacing(key, found.version, &[found.ciphertext[0] + 1])).await.unwrap().is_ok()
}

/// Runs each commit in a task.
async fn commit_concurrently(store: &SharedStore, commits: &[Commit]) -> Vec<Result<Result<Sequence, Conflict>, Error>> {
    let tasks = commits.iter().cloned().map(|commit| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.commit(&commit).await })
    });
    join_all(tasks.collect::<Vec<_>>()).await.into_iter().map(Result::unwrap).collect()
}

/// The first message that is newer than `known`; copies of older ones may arrive late.
async fn first_message_after(messages: &mut Receiver<InvalidationMessage>, shard: Shard, known: Sequence) -> InvalidationMessage {
    loop {
        let message = within("a message", messages.recv()).await.expect("the channel is connected and not lagging");
        if message.shard == shard && message.sequence.number > known.number {
            return message;
        }
    }
}

async fn until_absent(store: &SharedStore, key: &RecordKey) {
    until("the record to expire", DEADLINE, async || value(store, key).await.is_none().then_some(())).await;
}
