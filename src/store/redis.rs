//! The shared store: Redis standalone, behind Sentinel or as a cluster.

mod bus;
mod connect;
mod hazards;

pub use connect::{Connection, Credentials, Topology};
pub use hazards::Hazard;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use fred::{
    bytes::Bytes,
    clients::WithOptions,
    prelude::*,
    types::{ClusterHash, CustomCommand, InfoKind, config::Options},
};
use futures::future::join_all;
use tokio::sync::broadcast;

use self::connect::LastingClient;
use super::{
    Commit, Conflict, Cursor, Error as StoreError, Expected, Index, Key, Kind, Notice, OPERATION_MEMORY, Quota, ScanPage,
    Sequence, Shard, Spent, Store, Ttl, Urgency, Versioned,
};
use crate::{clock::Clock, metrics::Metrics};

const COMMIT: &str = include_str!("commit.lua");
const SPEND: &str = include_str!("spend.lua");

/// Pauses before the tries of a commit. Its operation id makes a try after an unknown outcome harmless.
const TRIES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(25),
    Duration::from_millis(75),
    Duration::from_millis(150),
    Duration::from_millis(300),
];

/// Pauses before the tries of a read: together a graceful failover's 100 ms and some, and less than a
/// command's own deadline. A read that ran into that is not tried again.
const READ_TRIES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(25), Duration::from_millis(75), Duration::from_millis(150)];

/// How long a revocation waits for one replica to have it.
const REPLICA_WAIT: Duration = Duration::from_millis(100);

/// How long waiting is left out after no replica answered.
const REPLICA_PAUSE: Duration = Duration::from_secs(10);

/// So many time-outs in a row mean a connection that will not come back by itself.
const STALLED_AFTER: u32 = 3;
const RECONNECT_PAUSE: Duration = Duration::from_secs(5);

pub struct RedisStore {
    commands: LastingClient,
    /// WAIT blocks the connection that it is sent on, so revocations have their own.
    revocations: LastingClient,
    bus: bus::Bus,
    prefix: String,
    channel: String,
    command_timeout: Duration,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    commit_sha: String,
    timeouts: AtomicU32,
    /// Until when reconnecting, and waiting for replicas, rests.
    rests: Mutex<Rests>,
}

#[derive(Default)]
struct Rests {
    reconnect: Option<Instant>,
    replica: Option<Instant>,
}

impl RedisStore {
    /// Begins to connect, and goes on trying for as long as it lives. Nothing is awaited here.
    pub fn start(connection: &Connection, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let channel = format!("{}notices", connection.prefix);
        let bus = bus::Bus::start(connection.client(bus::NOTICES_KEPT)?, channel.clone());
        Ok(Self {
            commands: LastingClient::start(connection)?,
            revocations: LastingClient::start(connection)?,
            bus,
            prefix: connection.prefix.clone(),
            channel,
            command_timeout: connection.command_timeout,
            clock,
            metrics,
            commit_sha: fred::util::sha1_hash(COMMIT),
            timeouts: AtomicU32::new(0),
            rests: Mutex::default(),
        })
    }

    /// What in the servers' configuration could lose records, as far as they tell.
    pub async fn hazards(&self) -> Vec<Hazard> {
        hazards::look(&self.commands.now()).await
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// One attempt, so that fred follows no redirection to a slot that is being moved: it would take the reply of
    /// another command for that to its ASKING, and hand all that follow to the wrong callers. Now it gives up its
    /// connections instead, and a [`LastingClient`] makes them anew.
    fn options(&self) -> Options {
        Options { max_attempts: Some(1), fail_fast: true, timeout: Some(self.command_timeout), ..Options::default() }
    }

    fn client(&self) -> WithOptions<Client> {
        self.commands.now().with_options(&self.options())
    }

    /// Reads, again after a moment when the connection failed: a primary that hands over closes it or
    /// sends us elsewhere, and a read may be repeated.
    async fn read<T, F>(&self, options: &Options, read: impl Fn(WithOptions<Client>) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut last = String::new();
        for pause in READ_TRIES {
            rest(pause).await;
            match self.noted(read(self.commands.now().with_options(options)).await) {
                Ok(value) => return Ok(value),
                Err(error) if *error.kind() == ErrorKind::Timeout => return Err(StoreError::Unavailable(describe(&error))),
                Err(error) => last = describe(&error),
            }
        }
        Err(StoreError::Unavailable(last))
    }

    async fn try_commit(&self, commit: &Commit) -> Result<Result<Sequence, Conflict>, StoreError> {
        let (keys, args) = self.script_input(commit);
        let slot = ClusterHash::Custom(fred::util::redis_keyslot(keys[0].as_bytes()));
        let reply = match commit.urgency {
            Urgency::Ordinary => self.evaluate(slot, keys, args).await,
            Urgency::Revocation if self.may_wait_for_replica() => self.evaluate_and_wait(slot, keys, args).await,
            Urgency::Revocation => {
                self.metrics.unreplicated_revocations.inc();
                self.evaluate(slot, keys, args).await
            }
        };
        outcome(self.noted(reply).map_err(|error| failed(&error))?)
    }

    async fn evaluate(&self, slot: ClusterHash, keys: Vec<String>, args: Vec<Value>) -> Result<Value, Error> {
        let client = self.client();
        let by_hash = CustomCommand::new_static("EVALSHA", slot.clone(), false);
        let reply = client.custom::<Value, _>(by_hash, script_call(&self.commit_sha, &keys, &args)).await;
        match reply {
            // A server that was just promoted or restarted does not know the script.
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                let whole = CustomCommand::new_static("EVAL", slot, false);
                client.custom(whole, script_call(COMMIT, &keys, &args)).await
            }
            reply => reply,
        }
    }

    async fn evaluate_and_wait(&self, slot: ClusterHash, keys: Vec<String>, args: Vec<Value>) -> Result<Value, Error> {
        let pipeline = self.revocations.now().pipeline();
        let mut options = self.options();
        options.timeout = Some(self.command_timeout + REPLICA_WAIT);
        let queue = pipeline.with_options(&options);
        let eval = CustomCommand::new_static("EVAL", slot.clone(), false);
        let wait = CustomCommand::new_static("WAIT", slot, false);
        let wait_args: Vec<Value> = vec![1.into(), i64::try_from(REPLICA_WAIT.as_millis()).unwrap_or(i64::MAX).into()];
        queue.custom::<(), _>(eval, script_call(COMMIT, &keys, &args)).await?;
        queue.custom::<(), _>(wait, wait_args).await?;
        let mut replies = pipeline.try_all::<Value>().await.into_iter();
        let written = replies.next().unwrap_or_else(|| Err(Error::new_canceled()));
        let replicas = replies.next().and_then(Result::ok).and_then(|replicas| replicas.as_i64()).unwrap_or(0);
        if written.is_ok() && replicas == 0 {
            self.metrics.unreplicated_revocations.inc();
            self.rests().replica = Some(self.clock.monotonic() + REPLICA_PAUSE);
        }
        written
    }

    fn may_wait_for_replica(&self) -> bool {
        self.rests().replica.is_none_or(|until| until <= self.clock.monotonic())
    }

    fn script_input(&self, commit: &Commit) -> (Vec<String>, Vec<Value>) {
        let shard = commit.shard.number();
        let mut keys = vec![self.sequence_name(commit.shard), self.name(&format!("{{{shard}}}:op:{}", commit.operation))];
        keys.extend(commit.expected().map(|(key, _)| self.name(&key.name())));
        keys.extend(commit.put.iter().map(|(key, ..)| self.name(&key.name())));
        keys.extend(commit.reseal.iter().map(|(key, _)| self.name(&key.name())));
        keys.extend(commit.delete.iter().map(|key| self.name(&key.name())));
        let indices = commit.index_add.iter().map(|(index, ..)| index).chain(commit.index_remove.iter().map(|(index, _)| index));
        keys.extend(indices.map(|index| self.name(&index.name())));

        let written = commit.put.len() + commit.reseal.len();
        let counts = [commit.expected().count(), written, commit.delete.len(), commit.index_add.len(), commit.index_remove.len()];
        let mut args: Vec<Value> = vec![
            commit.token.to_string().into(),
            millis(OPERATION_MEMORY).into(),
            self.channel.clone().into(),
            shard.to_string().into(),
            Bytes::copy_from_slice(&commit.notice).into(),
        ];
        args.extend(counts.iter().map(|count| Value::from(count.to_string())));
        args.extend(commit.expected().map(|(_, expected)| match expected {
            Expected::Absent => Value::from(String::new()),
            Expected::Version(version) => format!("{version}:").into(),
        }));
        for (_, sealed, ttl) in &commit.put {
            args.push(Bytes::copy_from_slice(sealed).into());
            args.push(ttl.millis().into());
        }
        for (_, Versioned { sealed, version }) in &commit.reseal {
            args.push(Bytes::from([format!("{version}:").as_bytes(), sealed].concat()).into());
            args.push("kept".into());
        }
        for (_, id, ttl) in &commit.index_add {
            args.push(id.clone().into());
            args.push(ttl.millis().into());
        }
        args.extend(commit.index_remove.iter().map(|(_, id)| Value::from(id.clone())));
        (keys, args)
    }

    fn sequence_name(&self, shard: Shard) -> String {
        self.name(&format!("{{{}}}:sequence", shard.number()))
    }

    async fn value<T: FromValue>(&self, name: String) -> Result<T, StoreError> {
        let get = |client: WithOptions<Client>| {
            let name = name.clone();
            async move { client.get(name).await }
        };
        self.read(&self.options(), get).await
    }

    async fn sequence(&self, shard: Shard) -> Result<Sequence, StoreError> {
        match self.value::<Option<String>>(self.sequence_name(shard)).await? {
            None => Ok(Sequence::default()),
            Some(text) => Sequence::parse(&text).ok_or_else(|| StoreError::Unavailable("a shard's sequence is malformed".into())),
        }
    }

    /// Which run of a server this is; empty where INFO is denied.
    async fn run(&self, options: &Options) -> Result<String, StoreError> {
        let info = |client: WithOptions<Client>| async move {
            match client.info::<String>(Some(InfoKind::Server)).await {
                Err(error) if error.details().starts_with("NOPERM") => Ok(String::new()),
                info => info,
            }
        };
        let info: String = self.read(options, info).await?;
        Ok(hazards::field(&info, "run_id").unwrap_or_default().to_owned())
    }

    /// Reconnects after several time-outs in a row: a stopped primary behind Sentinel is never left otherwise.
    fn noted<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        match &result {
            Err(error) if *error.kind() == ErrorKind::Timeout => {
                if self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= STALLED_AFTER {
                    self.reconnect();
                }
            }
            _ => self.timeouts.store(0, Ordering::Relaxed),
        }
        result
    }

    fn reconnect(&self) {
        let now = self.clock.monotonic();
        let mut rests = self.rests();
        if rests.reconnect.is_some_and(|until| now < until) {
            return;
        }
        rests.reconnect = Some(now + RECONNECT_PAUSE);
        tracing::warn!("the store has stopped answering; connecting afresh");
        for client in [self.commands.now(), self.revocations.now()] {
            tokio::spawn(async move { client.force_reconnection().await });
        }
        self.bus.reconnect();
    }

    fn rests(&self) -> std::sync::MutexGuard<'_, Rests> {
        self.rests.lock().expect("no code that holds this lock panics")
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn get(&self, key: &Key) -> Result<Option<Versioned>, StoreError> {
        let found: Option<Bytes> = self.value(self.name(&key.name())).await?;
        Ok(found.map(|value| parse_value(&value).unwrap_or_else(written_by_nobody)))
    }

    async fn commit(&self, commit: &Commit) -> Result<Result<Sequence, Conflict>, StoreError> {
        commit.assert_one_shard();
        let mut failure = StoreError::Unavailable("not tried".into());
        for pause in TRIES {
            rest(pause).await;
            match (self.try_commit(commit).await, &failure) {
                (Ok(outcome), _) => return Ok(outcome),
                // Once a try may have written, a later one that surely did not says nothing new.
                (Err(StoreError::Unavailable(_)), StoreError::Unknown(_)) => {}
                (Err(error), _) => failure = error,
            }
        }
        Err(failure)
    }

    async fn list(&self, index: &Index, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        let name = self.name(&index.name());
        let from = after.map_or_else(|| "-".to_owned(), |id| format!("({id}"));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let list = |client: WithOptions<Client>| {
            let (name, from) = (name.clone(), from.clone());
            async move { client.zrangebylex(name, from, "+", Some((0, limit))).await }
        };
        self.read(&self.options(), list).await
    }

    async fn spend(&self, key: &Key, quota: Quota) -> Result<Spent, StoreError> {
        let name = self.name(&key.name());
        let slot = ClusterHash::Custom(fred::util::redis_keyslot(name.as_bytes()));
        let args = script_call(SPEND, &[name], &[millis(quota.window).into()]);
        let reply = self.client().custom::<(u64, i64), _>(CustomCommand::new_static("EVAL", slot, false), args).await;
        let (count, left) = self.noted(reply).map_err(|error| failed(&error))?;
        Ok(quota.judge(count, Duration::from_millis(left.try_into().unwrap_or(0))))
    }

    async fn sequences(&self) -> Vec<Result<Sequence, StoreError>> {
        join_all(Shard::all().map(|shard| self.sequence(shard))).await
    }

    async fn scan(&self, kind: Kind, cursor: Cursor) -> Result<ScanPage, StoreError> {
        let client = self.commands.now();
        let (layout, nodes) = (connect::layout(&client, self.command_timeout).await?, connect::primaries(&client));
        if cursor != Cursor::default() && cursor.layout != layout {
            return Err(moved());
        }
        let Some(node) = nodes.get(cursor.node) else { return Ok(ScanPage { keys: Vec::new(), next: None }) };
        let options = Options { cluster_node: node.clone(), ..self.options() };
        let run = self.run(&options).await?;
        if !cursor.position.is_empty() && cursor.run != run {
            return Err(moved());
        }
        let position = if cursor.position.is_empty() { "0".to_owned() } else { cursor.position };
        let pattern = self.name(&format!("{{*}}:{}:*", kind.label()));
        let scan = |client: WithOptions<Client>| {
            let (position, pattern) = (position.clone(), pattern.clone());
            async move { client.scan_page(position, pattern, Some(500), None).await }
        };
        let (position, names): (String, Vec<String>) = self.read(&options, scan).await?;
        let keys = names.iter().filter_map(|name| Key::parse(name.strip_prefix(&self.prefix)?, kind)).collect();
        if connect::layout(&client, self.command_timeout).await? != layout || self.run(&options).await? != run {
            return Err(moved());
        }
        let next = match position.as_str() {
            "0" => Cursor { layout, node: cursor.node + 1, ..Cursor::default() },
            _ => Cursor { layout, node: cursor.node, run, position },
        };
        Ok(ScanPage { keys, next: (next.node < nodes.len()).then_some(next) })
    }

    fn notices(&self) -> broadcast::Receiver<Notice> {
        self.bus.notices()
    }

    fn resubscribe(&self) {
        self.bus.resubscribe();
    }

    async fn ready(&self) {
        self.bus.subscribed().await;
        while self.sequences().await.iter().any(Result::is_err) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Ttl {
    fn millis(self) -> String {
        match self {
            Self::Forever => "0".to_owned(),
            // A life that has just ended must not become one without end.
            Self::For(time) => millis(time.max(Duration::from_millis(1))),
        }
    }
}

fn moved() -> StoreError {
    StoreError::Unavailable("slots, primaries or servers have changed while keys were listed; begin anew".to_owned())
}

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}

async fn rest(pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

fn script_call(script: &str, keys: &[String], args: &[Value]) -> Vec<Value> {
    let mut call: Vec<Value> = vec![script.to_owned().into(), keys.len().to_string().into()];
    call.extend(keys.iter().map(|key| Value::from(key.clone())));
    call.extend_from_slice(args);
    call
}

fn outcome(reply: Value) -> Result<Result<Sequence, Conflict>, StoreError> {
    let strange = || StoreError::Unknown("the commit script gave a strange answer".into());
    let mut parts = reply.into_array().into_iter();
    match parts.next().and_then(|first| first.as_i64()) {
        Some(0) => Ok(Err(Conflict)),
        Some(1) => parts.next().and_then(|text| Sequence::parse(&text.as_str()?)).map(Ok).ok_or_else(strange),
        _ => Err(strange()),
    }
}

fn parse_value(value: &[u8]) -> Option<Versioned> {
    let colon = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b':');
    let first = colon(value)?;
    let second = first + 1 + colon(&value[first + 1..])?;
    let version = Sequence::parse(std::str::from_utf8(&value[..second]).ok()?)?;
    Some(Versioned { sealed: value[second + 1..].to_vec(), version })
}

/// Something that no commit wrote is there all the same: nothing opens it, and no commit's expectation holds.
fn written_by_nobody() -> Versioned {
    Versioned { sealed: Vec::new(), version: Sequence::default() }
}

/// Only what the client itself never sent, and what a server refused before running it, surely did not run.
fn failed(error: &Error) -> StoreError {
    const REFUSED: [&str; 9] =
        ["NOREPLICAS", "OOM", "READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOAUTH", "NOPERM"];
    let refused = REFUSED.iter().any(|code| error.details().starts_with(code));
    match error.kind() {
        // The last is a slot that is being moved.
        ErrorKind::Canceled | ErrorKind::Backpressure | ErrorKind::Routing => StoreError::Unavailable(describe(error)),
        _ if refused => StoreError::Unavailable(describe(error)),
        _ => StoreError::Unknown(describe(error)),
    }
}

fn describe(error: &Error) -> String {
    format!("{:?}: {}", error.kind(), error.details())
}
