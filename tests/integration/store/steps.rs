//! Common steps of store tests: write, read, receive messages, wait.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use vestibule::secret::random_bytes;
use vestibule::store::{
    Commit, CommitToken, InvalidationMessage, Precondition, RecordKey, RecordKind, Sequence, Shard, Store, Ttl, Version,
};

pub const DEADLINE: Duration = Duration::from_secs(30);

pub type SharedStore = Arc<dyn Store>;

/// The first message of each of these commits, in order of arrival. Copies may arrive later from every primary.
pub async fn receive(messages: &mut Receiver<InvalidationMessage>, wanted: &[CommitToken]) -> Vec<InvalidationMessage> {
    let (mut received, mut known) = (Vec::new(), HashSet::new());
    while received.len() < wanted.len() {
        let message = within("a message", messages.recv()).await.expect("the channel is connected and not lagging");
        if wanted.contains(&message.sequence.token) && known.insert(message.sequence.token) {
            received.push(message);
        }
    }
    received
}

pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    let deadline = 2 * DEADLINE;
    tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| panic!("timed out after {deadline:?}, waiting for {what}"))
}

pub async fn value(store: &SharedStore, key: &RecordKey) -> Option<Vec<u8>> {
    store.get(key).await.unwrap().map(|found| found.ciphertext)
}

pub async fn done(store: &SharedStore, commit: &Commit) -> Sequence {
    store.commit(commit).await.expect("the store is there").expect("the expectations hold")
}

pub async fn put(store: &SharedStore, key: &RecordKey, text: &[u8]) -> Sequence {
    done(store, &putting(key, text)).await
}

pub async fn sequence(store: &SharedStore, shard: Shard) -> Sequence {
    sequences(store).await[shard.index()]
}

pub async fn sequences(store: &SharedStore) -> Vec<Sequence> {
    store.sequences().await.into_iter().map(Result::unwrap).collect()
}

pub fn putting(key: &RecordKey, text: &[u8]) -> Commit {
    let mut commit = Commit::new(key.shard);
    commit.put = vec![(key.clone(), text.to_vec(), Ttl::Forever)];
    commit
}

pub fn replacing(key: &RecordKey, version: Version, text: &[u8]) -> Commit {
    let mut commit = putting(key, text);
    commit.preconditions = vec![(key.clone(), Precondition::Version(version))];
    commit
}

pub fn fresh(kind: RecordKind) -> RecordKey {
    fresh_in(any_shard(), kind)
}

pub fn fresh_in(shard: Shard, kind: RecordKind) -> RecordKey {
    RecordKey::new(shard, kind, fresh_id())
}

pub fn any_shard() -> Shard {
    let [byte] = random_bytes::<1>();
    Shard::new(byte % Shard::COUNT).expect("smaller than the count")
}

pub fn fresh_id() -> String {
    CommitToken::random().to_string()
}
