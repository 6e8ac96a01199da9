//! Commits of records that no pod caches, and the bound on records that live at the same time.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use vestibule::store::{
    Capacity, Commit, CommitIntent, Conflict, Error, Index, Precondition, RecordKey, RecordKind, Replication, SequenceEffect,
    Shard, Ttl,
};

use crate::store::steps::{
    DEADLINE, SharedStore, any_shard, done, fresh, fresh_id, fresh_in, put, putting, receive, replacing, sequence, value,
};
use crate::support::wait::until;

pub async fn an_unsequenced_commit_advances_no_sequence_and_publishes_nothing(store: SharedStore) {
    let shard = any_shard();
    let [written, deleted] = [0; 2].map(|_| fresh_in(shard, RecordKind::Flow));
    put(&store, &deleted, b"old").await;
    let index = Index::new(shard, fresh_id());
    let (before, mut messages) = (sequence(&store, shard).await, store.invalidation_messages());
    let mut commit = unsequenced(putting(&written, b"value"));
    commit.delete = vec![deleted.clone()];
    commit.index_add = vec![(index.clone(), "a".into(), Ttl::Forever)];
    let version = done(&store, &commit).await;
    assert_eq!((version.number, version.token), (0, commit.token));
    assert_eq!(store.get(&written).await.unwrap().map(|found| found.version), Some(version));
    assert_eq!((value(&store, &deleted).await, store.list(&index, None, 2).await.unwrap()), (None, vec!["a".to_owned()]));
    assert_eq!(sequence(&store, shard).await, before);
    // The next message of the shard continues the chain.
    let next = putting(&fresh_in(shard, RecordKind::User), b"");
    let after = done(&store, &next).await;
    let message = receive(&mut messages, &[next.token]).await.remove(0);
    assert_eq!((message.sequence, message.previous, after.number), (after, before.token, before.number + 1));
}

pub async fn a_retried_unsequenced_commit_has_the_first_outcome_and_runs_once(store: SharedStore) {
    let key = fresh(RecordKind::Flow);
    let capacity = capacity(key.shard, 2, Duration::from_secs(60));
    let mut commit = unsequenced(putting(&key, b"first"));
    commit.preconditions = vec![(key.clone(), Precondition::Absent)];
    commit.capacity = Some(capacity.clone());
    let first = done(&store, &commit).await;
    for _ in 0..3 {
        assert_eq!(done(&store, &commit).await, first);
    }
    // The record was counted once.
    let mut other = unsequenced(putting(&fresh_in(key.shard, RecordKind::Flow), b"second"));
    other.capacity = Some(capacity);
    done(&store, &other).await;
}

pub async fn a_retry_of_a_replaced_unsequenced_commit_is_a_conflict(store: SharedStore) {
    let key = fresh(RecordKind::Flow);
    let mut commit = unsequenced(putting(&key, b"first"));
    commit.preconditions = vec![(key.clone(), Precondition::Absent)];
    let first = done(&store, &commit).await;
    done(&store, &unsequenced(replacing(&key, first, b"later"))).await;
    assert_eq!(store.commit(&commit).await, Ok(Err(Conflict)));
    assert_eq!(value(&store, &key).await.as_deref(), Some(&b"later"[..]));
}

pub async fn sequenced_and_unsequenced_commits_read_each_others_versions(store: SharedStore) {
    let key = fresh(RecordKind::Flow);
    let one = put(&store, &key, b"sequenced").await;
    let two = done(&store, &unsequenced(replacing(&key, one, b"unsequenced"))).await;
    assert_eq!(store.commit(&replacing(&key, one, b"stale")).await, Ok(Err(Conflict)));
    let three = done(&store, &replacing(&key, two, b"sequenced again")).await;
    assert!(!one.is_unsequenced() && two.is_unsequenced() && !three.is_unsequenced());
    assert_eq!(three.number, one.number + 1);
    assert_eq!(store.commit(&unsequenced(replacing(&key, two, b"stale"))).await, Ok(Err(Conflict)));
    let mut last = unsequenced(Commit::new(key.shard));
    last.preconditions = vec![(key.clone(), Precondition::Version(three))];
    last.delete = vec![key.clone()];
    done(&store, &last).await;
    assert_eq!(store.commit(&last).await, Ok(Err(Conflict)), "a commit that only deletes does not know its retry");
}

pub async fn a_commit_beyond_the_capacity_writes_nothing(store: SharedStore) {
    let shard = any_shard();
    let capacity = capacity(shard, 3, Duration::from_secs(60));
    let enter = |key: &RecordKey| {
        let mut commit = unsequenced(putting(key, b"value"));
        commit.capacity = Some(capacity.clone());
        commit
    };
    let keys = [0; 4].map(|_| fresh_in(shard, RecordKind::Flow));
    for key in &keys[..3] {
        done(&store, &enter(key)).await;
    }
    assert_eq!(store.commit(&enter(&keys[3])).await, Err(Error::Full));
    assert_eq!(value(&store, &keys[3]).await, None);
    // A broken precondition is found first, and counts nothing either.
    let mut broken = enter(&keys[3]);
    broken.preconditions = vec![(keys[0].clone(), Precondition::Absent)];
    assert_eq!(store.commit(&broken).await, Ok(Err(Conflict)));
    // Sequenced commits and revocations obey the capacity too.
    for (intent, replication) in
        [(CommitIntent::Ordinary, Replication::Asynchronous), (CommitIntent::Revocation, Replication::Awaited)]
    {
        let sequenced = Commit { sequencing: SequenceEffect::Sequenced, intent, replication, ..enter(&keys[3]) };
        let before = sequence(&store, shard).await;
        assert_eq!(store.commit(&sequenced).await, Err(Error::Full));
        assert_eq!(sequence(&store, shard).await, before);
    }
}

pub async fn concurrent_commits_do_not_exceed_the_capacity(store: SharedStore) {
    let shard = any_shard();
    let capacity = capacity(shard, 10, Duration::from_secs(60));
    let enter = async |store: SharedStore| {
        let mut commit = unsequenced(putting(&fresh_in(shard, RecordKind::Flow), b"value"));
        commit.capacity = Some(capacity.clone());
        usize::from(store.commit(&commit).await.is_ok())
    };
    let entered: usize = join_all((0..40).map(|_| enter(Arc::clone(&store)))).await.into_iter().sum();
    assert_eq!(entered, 10);
}

pub async fn capacity_is_released_and_expires(store: SharedStore) {
    let key = fresh(RecordKind::Flow);
    let (lasting, short) = (capacity(key.shard, 1, Duration::from_secs(60)), capacity(key.shard, 1, Duration::from_millis(300)));
    for (capacity, is_released) in [(lasting, true), (short, false)] {
        let enter = || {
            let mut commit = unsequenced(putting(&fresh_in(key.shard, RecordKind::Flow), b"value"));
            commit.capacity = Some(capacity.clone());
            commit
        };
        done(&store, &enter()).await;
        if is_released {
            assert_eq!(store.commit(&enter()).await, Err(Error::Full));
            // Twice: a counter does not fall below zero.
            for _ in 0..2 {
                let mut leave = unsequenced(putting(&key, b"left"));
                leave.released = Some(capacity.entered.clone());
                done(&store, &leave).await;
            }
            done(&store, &enter()).await;
            assert_eq!(store.commit(&enter()).await, Err(Error::Full));
        } else {
            until("the counter to expire", DEADLINE, async || store.commit(&enter()).await.ok()).await.expect("no precondition");
        }
    }
}

fn unsequenced(commit: Commit) -> Commit {
    Commit { sequencing: SequenceEffect::Unsequenced, ..commit }
}

/// A capacity of two windows. The record enters the second one.
fn capacity(shard: Shard, limit: u64, ttl: Duration) -> Capacity {
    let windows: Vec<RecordKey> = [0; 2].map(|_| fresh_in(shard, RecordKind::Counter)).to_vec();
    Capacity { limit, entered: windows[1].clone(), windows, ttl }
}
