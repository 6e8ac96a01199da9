//! What a store says and does while Redis is away, silent, or changes its primary.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use vestibule::store::{Commit, Conflict, Error, Key, Kind, Sequence, Shard, Store};

use super::steps::{DEADLINE, done, fresh, fresh_in, hear, put, putting, replacing, sequence, value, within};
use super::{hasty_connection, is_heard, works_again};
use crate::support::ports;
use crate::support::proxy::FaultProxy;
use crate::support::records::{connection, start};
use crate::support::redis::{Cluster, Options, Sentinel, Standalone};
use crate::support::wait::{timed, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_starts_while_redis_is_away_is_ready_when_redis_comes() {
    let port = ports::free();
    let store = start(&hasty_connection(&format!("redis://127.0.0.1:{port}")));
    let key = fresh(Kind::User);
    assert!(matches!(store.get(&key).await, Err(Error::Unavailable(_))));
    assert!(store.commit(&putting(&key, b"early")).await.is_err());
    assert!(store.sequences().await.iter().all(Result::is_err));
    assert!(futures::poll!(pin!(store.ready())).is_pending());

    let _redis = Standalone::start(Options { port: Some(port), ..Options::default() }).await;
    let ((), took) = timed(within("the store to be ready", store.ready())).await;
    eprintln!("ready {took:?} after Redis");
    works_again(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_redis_is_unavailable_and_never_empty() {
    let mut redis = Standalone::start(Options::default()).await;
    let store = start(&hasty_connection(&redis.url()));
    within("the store to be ready", store.ready()).await;
    let key = fresh(Kind::User);
    put(&store, &key, b"here").await;
    let watch = Watch::over(&store, &key);
    redis.node.kill9();
    watch.until_unavailable().await;
    for _ in 0..10 {
        assert!(matches!(store.get(&key).await, Err(Error::Unavailable(_))));
        assert!(store.commit(&putting(&fresh(Kind::User), b"")).await.is_err());
        assert!(store.sequences().await.iter().all(Result::is_err));
    }
    watch.end().await;
    redis.node.restart().await;
    works_again(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_silent_redis_may_have_written_is_unknown_and_a_retry_settles_it() {
    let mut redis = Standalone::start(Options::default()).await;
    let store = start(&hasty_connection(&redis.url()));
    let key = fresh(Kind::User);
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
    works_again(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_reply_is_lost_is_written_once() {
    let redis = Standalone::start(Options::default()).await;
    let proxy = FaultProxy::start(redis.node.port()).await;
    let store = start(&connection(&proxy.url()));
    within("the store to be ready", store.ready()).await;
    let key = fresh(Kind::User);
    let before = put(&store, &key, b"before").await;
    let mut notices = store.invalidation_messages();
    let commit = replacing(&key, before, b"after");
    proxy.lose_reply_to(&commit.operation.to_string());

    let after = done(&store, &commit).await;

    assert_eq!(proxy.lost(), 1);
    assert_eq!(after, Sequence { number: before.number + 1, token: commit.token });
    assert_eq!(sequence(&store, key.shard).await, after);
    assert_eq!(hear(&mut notices, &[commit.token]).await[0].sequence, after);
    assert_eq!(done(&store, &commit).await, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_every_reply_is_lost_is_unknown_and_another_pod_can_settle_it() {
    let redis = Standalone::start(Options::default()).await;
    let proxy = FaultProxy::start(redis.node.port()).await;
    let (store, other) = (start(&connection(&proxy.url())), start(&connection(&redis.url())));
    within("the stores to be ready", async { tokio::join!(store.ready(), other.ready()) }).await;
    let key = fresh(Kind::User);
    let before = put(&store, &key, b"before").await;
    let commit = replacing(&key, before, b"after");
    (0..50).for_each(|_| proxy.lose_reply_to(&commit.operation.to_string()));

    let outcome = store.commit(&commit).await;

    assert!(matches!(outcome, Err(Error::Unknown(_))), "{outcome:?}");
    let after = sequence(&other, key.shard).await;
    assert_eq!(after, Sequence { number: before.number + 1, token: commit.token });
    assert_eq!(done(&other, &commit).await, after);
    assert_eq!(sequence(&other, key.shard).await, after);
    works_again(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_in_flight_are_applied_once_when_a_primary_is_killed() {
    let mut redis = Cluster::start().await;
    let store = start(&hasty_connection(&redis.url()));
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
    hears_all_shards(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_failover_disturbs_no_commit_and_no_read() {
    let redis = Cluster::start().await;
    let store = start(&connection(&redis.url()));
    within("the store to be ready", store.ready()).await;
    let workers = Workers::start(&store).await;
    workers.until_each_has_done(20).await;
    // The fourth node is the first one's replica.
    redis.nodes[3].call(&["CLUSTER", "FAILOVER"]).await;
    until("the replica to be primary", DEADLINE, async || redis.primaries().await.contains(&3).then_some(())).await;
    workers.until_each_has_done(50).await;

    let worked = workers.end().await;

    let failures: Vec<&String> = worked.iter().flat_map(|worked| &worked.failures).collect();
    eprintln!("{} commits, the longest took {:?}", total(&worked), worked.iter().map(|worked| worked.longest).max());
    assert!(failures.is_empty(), "{failures:?}");
    assert!(worked.iter().all(|worked| worked.lost == 0 && worked.end.number == worked.start.number + worked.done));
    hears_all_shards(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_move_to_another_primary_while_they_are_used_are_found_there() {
    let redis = Cluster::start().await;
    let store = start(&connection(&redis.url()));
    within("the store to be ready", store.ready()).await;
    let workers = Workers::start(&store).await;
    workers.until_each_has_done(20).await;
    // As pods do: what waits for its turn when the connections are given up must not hold back what comes later.
    let rounds = tokio::spawn(rounds(Arc::clone(&store)));
    let (moved, took) = timed(redis.reshard()).await;
    let ((), went_on) = timed(workers.until_each_has_done(50)).await;

    let worked = workers.end().await;

    let failures: Vec<&String> = worked.iter().flat_map(|worked| &worked.failures).collect();
    let longest = worked.iter().map(|worked| worked.longest).max();
    eprintln!(
        "{moved} records moved in {took:?}, and gone on {went_on:?} after; {} commits, the longest took {longest:?}",
        total(&worked)
    );
    eprintln!("{} tries failed, such as {:?}", failures.len(), failures.first());
    assert!(worked.iter().all(|worked| worked.lost == 0 && worked.end.number == worked.start.number + worked.done));
    rounds.abort();
    for _ in 0..20 {
        assert!(store.sequences().await.iter().all(Result::is_ok), "commands are held back");
        put(&store, &fresh(Kind::User), b"gone on").await;
    }
    hears_all_shards(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinel_brings_the_store_to_the_new_primary_when_the_old_one_is_killed() {
    let mut redis = Sentinel::start().await;
    let store = start(&hasty_connection(&redis.url()));
    within("the store to be ready", store.ready()).await;
    let old = redis.kill_primary().await;
    redis.wait_for_failover(old).await;
    let ((), took) = timed(works_again(&store)).await;
    eprintln!("{took:?} after the failover");
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinel_brings_the_store_to_the_new_primary_when_the_old_one_hangs() {
    let mut redis = Sentinel::start().await;
    let store = start(&hasty_connection(&redis.url()));
    within("the store to be ready", store.ready()).await;
    let old = redis.stop_primary().await;
    redis.wait_for_failover(old).await;
    let ((), took) = timed(works_again(&store)).await;
    eprintln!("{took:?} after the failover");
}

async fn rounds(store: Arc<dyn Store>) {
    loop {
        store.sequences().await;
    }
}

/// Reads a record without end: it is there or nobody can say, and never absent.
struct Watch {
    stop: Arc<AtomicBool>,
    unavailable: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Watch {
    fn over(store: &Arc<dyn Store>, key: &Key) -> Self {
        let (stop, unavailable) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (stopped, noted, store, key) = (Arc::clone(&stop), Arc::clone(&unavailable), Arc::clone(store), key.clone());
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                match store.get(&key).await {
                    Ok(found) => assert!(found.is_some(), "a store that is away looked empty"),
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

/// Tasks that commit without pause, each in a shard of its own, so that every commit of a shard is known.
struct Workers {
    stop: Arc<AtomicBool>,
    progress: Vec<Arc<AtomicUsize>>,
    tasks: Vec<JoinHandle<Worked>>,
}

struct Worker {
    store: Arc<dyn Store>,
    key: Key,
    known: Sequence,
    before: Sequence,
    worked: Worked,
}

struct Worked {
    shard: Shard,
    start: Sequence,
    end: Sequence,
    /// Commits that were acknowledged.
    done: u64,
    /// Acknowledged, and unknown to a replica that was promoted before it heard of them.
    lost: u64,
    failures: Vec<String>,
    longest: Duration,
}

impl Workers {
    async fn start(store: &Arc<dyn Store>) -> Self {
        let mut workers = Self { stop: Arc::default(), progress: Vec::new(), tasks: Vec::new() };
        for shard in Shard::all().step_by(6) {
            let (stop, progress) = (Arc::clone(&workers.stop), Arc::<AtomicUsize>::default());
            let worker = Worker::start(Arc::clone(store), fresh_in(shard, Kind::User)).await;
            workers.tasks.push(tokio::spawn(worker.run(stop, Arc::clone(&progress))));
            workers.progress.push(progress);
        }
        workers
    }

    /// From now on.
    async fn until_each_has_done(&self, commits: usize) {
        let before: Vec<usize> = self.progress.iter().map(|progress| progress.load(Ordering::Relaxed)).collect();
        until("every worker to go on", DEADLINE, async || {
            assert!(!self.tasks.iter().any(JoinHandle::is_finished), "a worker gave up");
            let gone_on = |(progress, before): (&Arc<AtomicUsize>, &usize)| progress.load(Ordering::Relaxed) >= before + commits;
            self.progress.iter().zip(&before).all(gone_on).then_some(())
        })
        .await;
    }

    async fn end(self) -> Vec<Worked> {
        self.stop.store(true, Ordering::Relaxed);
        join_all(self.tasks).await.into_iter().map(|worked| worked.expect("no worker panicked")).collect()
    }
}

impl Worker {
    async fn start(store: Arc<dyn Store>, key: Key) -> Self {
        let start = put(&store, &key, b"0").await;
        let worked =
            Worked { shard: key.shard, start, end: start, done: 0, lost: 0, failures: Vec::new(), longest: Duration::ZERO };
        Self { store, key, known: start, before: start, worked }
    }

    async fn run(mut self, stop: Arc<AtomicBool>, progress: Arc<AtomicUsize>) -> Worked {
        while !stop.load(Ordering::Relaxed) {
            let commit = replacing(&self.key, self.known, self.worked.done.to_string().as_bytes());
            let (outcome, took) = timed(self.settle(&commit)).await;
            self.worked.longest = self.worked.longest.max(took);
            match outcome {
                Ok(sequence) => self.acknowledged(sequence),
                Err(Conflict) => self.set_back().await,
            }
            self.read().await;
            progress.fetch_add(1, Ordering::Relaxed);
        }
        self.worked
    }

    /// Tries one and the same commit until its outcome is known.
    async fn settle(&mut self, commit: &Commit) -> Result<Sequence, Conflict> {
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

    /// Redis replicates without waiting: a promoted replica may lack the last commit, and no more than that.
    async fn set_back(&mut self) {
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
            Ok(found) => assert!(found.is_some(), "a store that is away looked empty"),
            Err(unavailable) => self.worked.failures.push(unavailable.to_string()),
        }
    }
}

fn total(worked: &[Worked]) -> u64 {
    worked.iter().map(|worked| worked.done).sum()
}

async fn hears_all_shards(store: &Arc<dyn Store>) {
    for shard in Shard::all().step_by(4) {
        is_heard(store, shard).await;
    }
}
