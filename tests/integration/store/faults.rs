//! A store while Redis is down, silent, or fails over.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use vestibule::store::{Commit, Conflict, Error, RecordKey, RecordKind, Sequence, Shard, Store};

use super::steps::{DEADLINE, done, fresh, fresh_in, put, putting, receive, replacing, sequence, value, within};
use super::{connection_with_short_deadline, is_usable, receives_messages_of};
use crate::support::ports;
use crate::support::proxy::FaultProxy;
use crate::support::records::{connection, start};
use crate::support::redis::{Cluster, Options, Sentinel, Standalone};
use crate::support::wait::{timed, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_starts_without_redis_is_ready_when_redis_is() {
    let port = ports::free();
    let store = start(&connection_with_short_deadline(&format!("redis://127.0.0.1:{port}")));
    let key = fresh(RecordKind::User);
    assert!(matches!(store.get(&key).await, Err(Error::Unavailable(_))));
    assert!(store.commit(&putting(&key, b"early")).await.is_err());
    assert!(store.sequences().await.iter().all(Result::is_err));
    assert!(futures::poll!(pin!(store.ready())).is_pending());

    let _redis = Standalone::start(Options { port: Some(port), ..Options::default() }).await;
    let ((), took) = timed(within("the store to be ready", store.ready())).await;
    eprintln!("ready {took:?} after Redis");
    is_usable(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_redis_is_unavailable_and_never_empty() {
    let mut redis = Standalone::start(Options::default()).await;
    let store = start(&connection_with_short_deadline(&redis.url()));
    within("the store to be ready", store.ready()).await;
    let key = fresh(RecordKind::User);
    put(&store, &key, b"here").await;
    let watch = RecordWatch::over(&store, &key);
    redis.node.kill9();
    watch.until_unavailable().await;
    for _ in 0..10 {
        assert!(matches!(store.get(&key).await, Err(Error::Unavailable(_))));
        assert!(store.commit(&putting(&fresh(RecordKind::User), b"")).await.is_err());
        assert!(store.sequences().await.iter().all(Result::is_err));
    }
    watch.end().await;
    redis.node.restart().await;
    is_usable(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_to_a_silent_redis_has_an_unknown_outcome_that_a_retry_resolves() {
    let mut redis = Standalone::start(Options::default()).await;
    let store = start(&connection_with_short_deadline(&redis.url()));
    let key = fresh(RecordKind::User);
    within("the store to be ready", store.ready()).await;
    let before = put(&store, &key, b"before").await;
    redis.node.stop();
    let commit = replacing(&key, before, b"after");
    let (outcome, took) = timed(store.commit(&commit)).await;
    eprintln!("a commit to a silent Redis was given up after {took:?}");
    assert!(matches!(outcome, Err(Error::Unknown(_))), "{outcome:?}");
    assert!(matches!(store.get(&key).await, Err(Error::Unavailable(_))));

    redis.node.cont();
    let after = until("the retry to be answered", DEADLINE, async || store.commit(&commit).await.ok()).await;
    assert_eq!(after.expect("the first try did not run apart from this one").number, before.number + 1);
    assert_eq!(sequence(&store, key.shard).await, after.unwrap());
    assert_eq!(value(&store, &key).await.as_deref(), Some(&b"after"[..]));
    is_usable(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_reply_is_lost_is_written_once() {
    let redis = Standalone::start(Options::default()).await;
    let proxy = FaultProxy::start(redis.node.port()).await;
    let store = start(&connection(&proxy.url()));
    within("the store to be ready", store.ready()).await;
    let key = fresh(RecordKind::User);
    let before = put(&store, &key, b"before").await;
    let mut notices = store.invalidation_messages();
    let commit = replacing(&key, before, b"after");
    proxy.lose_reply_to(&commit.operation.to_string());

    let after = done(&store, &commit).await;

    assert_eq!(proxy.lost(), 1);
    assert_eq!(after, Sequence { number: before.number + 1, token: commit.token });
    assert_eq!(sequence(&store, key.shard).await, after);
    assert_eq!(receive(&mut notices, &[commit.token]).await[0].sequence, after);
    assert_eq!(done(&store, &commit).await, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_replies_are_all_lost_has_an_unknown_outcome_that_another_pod_can_resolve() {
    let redis = Standalone::start(Options::default()).await;
    let proxy = FaultProxy::start(redis.node.port()).await;
    let (store, other) = (start(&connection(&proxy.url())), start(&connection(&redis.url())));
    within("the stores to be ready", async { tokio::join!(store.ready(), other.ready()) }).await;
    let key = fresh(RecordKind::User);
    let before = put(&store, &key, b"before").await;
    let commit = replacing(&key, before, b"after");
    (0..50).for_each(|_| proxy.lose_reply_to(&commit.operation.to_string()));

    let outcome = store.commit(&commit).await;

    assert!(matches!(outcome, Err(Error::Unknown(_))), "{outcome:?}");
    let after = sequence(&other, key.shard).await;
    assert_eq!(after, Sequence { number: before.number + 1, token: commit.token });
    assert_eq!(done(&other, &commit).await, after);
    assert_eq!(sequence(&other, key.shard).await, after);
    is_usable(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_commits_are_applied_once_when_a_primary_is_killed() {
    let mut redis = Cluster::start().await;
    let store = start(&connection_with_short_deadline(&redis.url()));
    within("the store to be ready", store.ready()).await;
    let workers = Workers::start(&store).await;
    workers.until_each_has_done(20).await;
    let killed = redis.kill_a_primary().await;
    redis.wait_for_failover(killed).await;
    workers.until_each_has_done(20).await;

    let worked = workers.end().await;

    let applied: u64 = worked.iter().map(|worked| worked.end.number - worked.start.number).sum();
    let acknowledged: u64 = worked.iter().map(|worked| worked.done).sum();
    let lost: u64 = worked.iter().map(|worked| worked.lost).sum();
    let longest = worked.iter().map(|worked| worked.longest).max();
    eprintln!("{acknowledged} commits, {lost} lost by the promoted replica, the longest took {longest:?}");
    assert_eq!(applied, acknowledged - lost);
    for worked in &worked {
        assert_eq!(sequence(&store, worked.shard).await, worked.end);
    }
    assert_all_shards_receive_messages(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_failover_disturbs_no_commit_and_no_read() {
    let redis = Cluster::start().await;
    let store = start(&connection(&redis.url()));
    within("the store to be ready", store.ready()).await;
    let workers = Workers::start(&store).await;
    workers.until_each_has_done(20).await;
    // The fourth node is the replica of the first one.
    redis.nodes[3].call(&["CLUSTER", "FAILOVER"]).await;
    until("the replica to be primary", DEADLINE, async || redis.primaries().await.contains(&3).then_some(())).await;
    workers.until_each_has_done(50).await;

    let worked = workers.end().await;

    let failures: Vec<&String> = worked.iter().flat_map(|worked| &worked.failures).collect();
    eprintln!("{} commits, the longest took {:?}", total(&worked), worked.iter().map(|worked| worked.longest).max());
    assert!(failures.is_empty(), "{failures:?}");
    assert!(worked.iter().all(|worked| worked.lost == 0 && worked.end.number == worked.start.number + worked.done));
    assert_all_shards_receive_messages(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moved_slots_are_found_at_their_new_primary() {
    let redis = Cluster::start().await;
    let store = start(&connection(&redis.url()));
    within("the store to be ready", store.ready()).await;
    let workers = Workers::start(&store).await;
    workers.until_each_has_done(20).await;
    // Like pods: commands that wait when connections are given up must not delay later ones.
    let rounds = tokio::spawn(rounds(Arc::clone(&store)));
    let (moved, took) = timed(redis.reshard()).await;
    let ((), went_on) = timed(workers.until_each_has_done(50)).await;

    let worked = workers.end().await;

    let failures: Vec<&String> = worked.iter().flat_map(|worked| &worked.failures).collect();
    let longest = worked.iter().map(|worked| worked.longest).max();
    eprintln!(
        "{moved} records moved in {took:?}, commits continued {went_on:?} later; {} commits, the longest took {longest:?}",
        total(&worked)
    );
    eprintln!("{} tries failed, such as {:?}", failures.len(), failures.first());
    assert!(worked.iter().all(|worked| worked.lost == 0 && worked.end.number == worked.start.number + worked.done));
    rounds.abort();
    for _ in 0..20 {
        assert!(store.sequences().await.iter().all(Result::is_ok), "commands are held back");
        put(&store, &fresh(RecordKind::User), b"continued").await;
    }
    assert_all_shards_receive_messages(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinel_redirects_the_store_when_the_primary_is_killed() {
    let mut redis = Sentinel::start().await;
    let store = start(&connection_with_short_deadline(&redis.url()));
    within("the store to be ready", store.ready()).await;
    let old = redis.kill_primary().await;
    redis.wait_for_failover(old).await;
    let ((), took) = timed(is_usable(&store)).await;
    eprintln!("{took:?} after the failover");
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinel_redirects_the_store_when_the_primary_hangs() {
    let mut redis = Sentinel::start().await;
    let store = start(&connection_with_short_deadline(&redis.url()));
    within("the store to be ready", store.ready()).await;
    let old = redis.stop_primary().await;
    redis.wait_for_failover(old).await;
    let ((), took) = timed(is_usable(&store)).await;
    eprintln!("{took:?} after the failover");
}

async fn rounds(store: Arc<dyn Store>) {
    loop {
        store.sequences().await;
    }
}

/// Reads a record continuously: it is found or unavailable, and never absent.
struct RecordWatch {
    stop: Arc<AtomicBool>,
    unavailable: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl RecordWatch {
    fn over(store: &Arc<dyn Store>, key: &RecordKey) -> Self {
        let (stop, unavailable) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (stopped, noted, store, key) = (Arc::clone(&stop), Arc::clone(&unavailable), Arc::clone(store), key.clone());
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                match store.get(&key).await {
                    Ok(found) => assert!(found.is_some(), "an unavailable store looked empty"),
                    Err(Error::Unavailable(_)) => noted.store(true, Ordering::Relaxed),
                    Err(error) => panic!("a read that fails is unavailable, not: {error}"),
                }
                tokio::task::yield_now().await;
            }
        });
        Self { stop, unavailable, task }
    }

    async fn until_unavailable(&self) {
        until("a read to fail", DEADLINE, async || self.unavailable.load(Ordering::Relaxed).then_some(())).await;
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("no read found the store empty");
    }
}

/// Tasks that commit without pause, each in its own shard, so that every commit of a shard is known.
struct Workers {
    stop: Arc<AtomicBool>,
    progress: Vec<Arc<AtomicUsize>>,
    tasks: Vec<JoinHandle<WorkerStatistics>>,
}

struct Worker {
    store: Arc<dyn Store>,
    key: RecordKey,
    known: Sequence,
    before: Sequence,
    worked: WorkerStatistics,
}

struct WorkerStatistics {
    shard: Shard,
    start: Sequence,
    end: Sequence,
    /// The number of acknowledged commits.
    done: u64,
    /// The number of acknowledged commits that a promoted replica lacks.
    lost: u64,
    failures: Vec<String>,
    longest: Duration,
}

impl Workers {
    async fn start(store: &Arc<dyn Store>) -> Self {
        let mut workers = Self { stop: Arc::default(), progress: Vec::new(), tasks: Vec::new() };
        for shard in Shard::all().step_by(6) {
            let (stop, progress) = (Arc::clone(&workers.stop), Arc::<AtomicUsize>::default());
            let worker = Worker::start(Arc::clone(store), fresh_in(shard, RecordKind::User)).await;
            workers.tasks.push(tokio::spawn(worker.run(stop, Arc::clone(&progress))));
            workers.progress.push(progress);
        }
        workers
    }

    /// Counted from now on.
    async fn until_each_has_done(&self, commits: usize) {
        let before: Vec<usize> = self.progress.iter().map(|progress| progress.load(Ordering::Relaxed)).collect();
        until("every worker to go on", DEADLINE, async || {
            assert!(!self.tasks.iter().any(JoinHandle::is_finished), "a worker gave up");
            let gone_on = |(progress, before): (&Arc<AtomicUsize>, &usize)| progress.load(Ordering::Relaxed) >= before + commits;
            self.progress.iter().zip(&before).all(gone_on).then_some(())
        })
        .await;
    }

    async fn end(self) -> Vec<WorkerStatistics> {
        self.stop.store(true, Ordering::Relaxed);
        join_all(self.tasks).await.into_iter().map(|worked| worked.expect("no worker panicked")).collect()
    }
}

impl Worker {
    async fn start(store: Arc<dyn Store>, key: RecordKey) -> Self {
        let start = put(&store, &key, b"0").await;
        let worked = WorkerStatistics {
            shard: key.shard,
            start,
            end: start,
            done: 0,
            lost: 0,
            failures: Vec::new(),
            longest: Duration::ZERO,
        };
        Self { store, key, known: start, before: start, worked }
    }

    async fn run(mut self, stop: Arc<AtomicBool>, progress: Arc<AtomicUsize>) -> WorkerStatistics {
        while !stop.load(Ordering::Relaxed) {
            let commit = replacing(&self.key, self.known, self.worked.done.to_string().as_bytes());
            let (outcome, took) = timed(self.commit_until_known(&commit)).await;
            self.worked.longest = self.worked.longest.max(took);
            match outcome {
                Ok(sequence) => self.acknowledged(sequence),
                Err(Conflict) => self.accept_lost_commit().await,
            }
            self.read().await;
            progress.fetch_add(1, Ordering::Relaxed);
        }
        self.worked
    }

    /// Repeats a commit until its outcome is known.
    async fn commit_until_known(&mut self, commit: &Commit) -> Result<Sequence, Conflict> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.store.commit(commit).await {
                Ok(outcome) => return outcome,
                Err(failed) => self.worked.failures.push(failed.to_string()),
            }
            assert!(Instant::now() < deadline, "no outcome: {:?}", self.worked.failures.last());
        }
    }

    fn acknowledged(&mut self, sequence: Sequence) {
        assert_eq!(sequence.number, self.known.number + 1, "a commit ran twice");
        self.before = std::mem::replace(&mut self.known, sequence);
        self.worked.end = sequence;
        self.worked.done += 1;
    }

    /// Redis replicates asynchronously: a promoted replica may lack at most the last commit.
    async fn accept_lost_commit(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        let found = loop {
            match self.store.get(&self.key).await {
                Ok(found) => break found.expect("only the last commit can be lost"),
                Err(unavailable) => assert!(Instant::now() < deadline, "{unavailable}"),
            }
        };
        assert_eq!(found.version, self.before, "a commit ran twice");
        self.known = self.before;
        self.worked.end = self.before;
        self.worked.lost += 1;
    }

    async fn read(&mut self) {
        match self.store.get(&self.key).await {
            Ok(found) => assert!(found.is_some(), "an unavailable store looked empty"),
            Err(unavailable) => self.worked.failures.push(unavailable.to_string()),
        }
    }
}

fn total(worked: &[WorkerStatistics]) -> u64 {
    worked.iter().map(|worked| worked.done).sum()
}

async fn assert_all_shards_receive_messages(store: &Arc<dyn Store>) {
    for shard in Shard::all().step_by(4) {
        receives_messages_of(store, shard).await;
    }
}
