//! Stores records in Redis: standalone, with Sentinel or as a cluster.

mod commits;
mod connect;
mod diagnosis;
mod invalidation_channel;
mod memory;
mod scripts;
mod settings;
mod tls;
mod url;
mod warnings;

pub use connect::{Connection, Credentials};
pub use diagnosis::RedisPermissions;
pub use settings::RedisSettings;
pub use tls::{ClientCertificateFiles, TlsError, TlsSettings};
pub use url::{RedisUrl, Topology};
pub use warnings::ConfigurationWarning;

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

use self::{
    connect::PersistentClient,
    diagnosis::OutageLog,
    memory::MemoryWatch,
    scripts::{CommitScripts, SPEND, script_call},
};
use super::{
    Commit, Conflict, Cursor, EncryptedRecord, Error as StoreError, Index, InvalidationMessage, Quota, QuotaUsage, RecordKey,
    RecordKind, ScanPage, Sequence, Shard, Store, Ttl,
};
use crate::{clock::Clock, metrics::Metrics};

/// Pauses before the attempts of a commit. The operation id makes an attempt after an unknown outcome harmless.
const COMMIT_PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(25),
    Duration::from_millis(75),
    Duration::from_millis(150),
    Duration::from_millis(300),
];

/// Pauses before the attempts of a read. Together they are longer than a graceful failover (100 ms), and shorter than the
/// timeout of a command. A read that timed out is not repeated.
const READ_PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(25), Duration::from_millis(75), Duration::from_millis(150)];

/// The longest time that a revocation waits for a replica.
const REPLICA_WAIT: Duration = Duration::from_millis(100);

/// Revocations do not wait for a replica for this long after no replica answered.
const REPLICA_PAUSE: Duration = Duration::from_secs(10);

/// After this many consecutive timeouts the connection is replaced.
const STALLED_AFTER: u32 = 3;
const RECONNECT_PAUSE: Duration = Duration::from_secs(5);

pub struct RedisStore {
    commands: PersistentClient,
    /// WAIT blocks the connection that it is sent on, so revocations have their own.
    revocations: PersistentClient,
    invalidation_channel: invalidation_channel::InvalidationChannel,
    prefix: String,
    channel_name: String,
    command_timeout: Duration,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    scripts: CommitScripts,
    memory: MemoryWatch,
    outages: Arc<OutageLog>,
    timeouts: AtomicU32,
    /// The ends of the pauses of reconnecting and of waiting for replicas.
    pauses: Mutex<Pauses>,
}

#[derive(Default)]
struct Pauses {
    reconnect: Option<Instant>,
    replica: Option<Instant>,
}

impl RedisStore {
    /// Starts to connect in the background, and reconnects until it is dropped.
    pub fn start(connection: &Connection, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let settings = &connection.settings;
        let channel_name = format!("{}notices", settings.key_prefix);
        let invalidation_channel = invalidation_channel::InvalidationChannel::start(
            connection.client(invalidation_channel::MESSAGES_KEPT)?,
            channel_name.clone(),
        );
        Ok(Self {
            commands: PersistentClient::start(connection)?,
            revocations: PersistentClient::start(connection)?,
            invalidation_channel,
            prefix: settings.key_prefix.clone(),
            channel_name,
            command_timeout: settings.command_timeout,
            clock,
            metrics,
            scripts: CommitScripts::new(),
            memory: MemoryWatch::default(),
            outages: Arc::new(OutageLog::new(connection.clone())),
            timeouts: AtomicU32::new(0),
            pauses: Mutex::default(),
        })
    }

    /// Returns warnings about settings of the servers that could lose records.
    pub async fn configuration_warnings(&self) -> Vec<ConfigurationWarning> {
        warnings::inspect(&self.commands.now()).await
    }

    /// Logs why servers cannot be used, each cause once until they can be used again.
    pub async fn examine_servers(&self) -> RedisPermissions {
        self.outages.examine().await
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Allows one attempt, so that fred follows no redirection to a slot that is being moved. It would mistake the reply of
    /// another command for the reply to its ASKING, and pass all later replies to the wrong callers. With one attempt it gives
    /// up its connections instead, and [`PersistentClient`] replaces the client.
    fn options(&self) -> Options {
        Options { max_attempts: Some(1), fail_fast: true, timeout: Some(self.command_timeout), ..Options::default() }
    }

    fn client(&self) -> WithOptions<Client> {
        self.commands.now().with_options(&self.options())
    }

    /// Reads, and repeats the read after a connection failure: a primary that hands over closes the connection or redirects it.
    async fn read<T, F>(&self, options: &Options, read: impl Fn(WithOptions<Client>) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut last = String::new();
        for pause in READ_PAUSES {
            sleep_unless_zero(pause).await;
            match self.track_timeouts(read(self.commands.now().with_options(options)).await) {
                Ok(value) => return Ok(value),
                Err(error) if *error.kind() == ErrorKind::Timeout => return Err(StoreError::Unavailable(describe(&error))),
                Err(error) => last = describe(&error),
            }
        }
        Err(StoreError::Unavailable(last))
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

    /// Returns the id of the server process; empty if INFO is not permitted.
    async fn run_id(&self, options: &Options) -> Result<String, StoreError> {
        let info = |client: WithOptions<Client>| async move {
            match client.info::<String>(Some(InfoKind::Server)).await {
                Err(error) if error.details().starts_with("NOPERM") => Ok(String::new()),
                info => info,
            }
        };
        let info: String = self.read(options, info).await?;
        Ok(warnings::field(&info, "run_id").unwrap_or_default().to_owned())
    }

    /// Reconnects after several consecutive timeouts. fred alone would never leave a stopped primary behind Sentinel.
    fn track_timeouts<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
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
        let mut pauses = self.pauses();
        if pauses.reconnect.is_some_and(|until| now < until) {
            return;
        }
        pauses.reconnect = Some(now + RECONNECT_PAUSE);
        tracing::warn!("redis not responding; reconnecting");
        for client in [self.commands.now(), self.revocations.now()] {
            tokio::spawn(async move { client.force_reconnection().await });
        }
        self.invalidation_channel.reconnect();
    }

    fn pauses(&self) -> std::sync::MutexGuard<'_, Pauses> {
        self.pauses.lock().expect("no code that holds this lock panics")
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn get(&self, key: &RecordKey) -> Result<Option<EncryptedRecord>, StoreError> {
        let found: Option<Bytes> = self.value(self.name(&key.name())).await?;
        Ok(found.map(|value| parse_value(&value).unwrap_or_else(invalid_record)))
    }

    async fn commit(&self, commit: &Commit) -> Result<Result<Sequence, Conflict>, StoreError> {
        commit.assert_one_shard();
        let mut failure = StoreError::Unavailable("no attempt was made".into());
        for pause in COMMIT_PAUSES {
            sleep_unless_zero(pause).await;
            match (self.try_commit(commit).await, &failure) {
                (Ok(outcome), _) => return Ok(outcome),
                (Err(StoreError::Full), _) => return Err(StoreError::Full),
                // After an attempt that may have written, a later failure does not prove that nothing was written.
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

    async fn has_free_memory(&self) -> bool {
        let client = self.commands.now();
        !self.memory.is_nearly_full(&client, &self.options(), self.clock.monotonic()).await
    }

    async fn spend(&self, key: &RecordKey, quota: Quota) -> Result<QuotaUsage, StoreError> {
        let name = self.name(&key.name());
        let slot = ClusterHash::Custom(fred::util::redis_keyslot(name.as_bytes()));
        let args = script_call(SPEND, &[name], &[millis(quota.window).into()]);
        let reply = self.client().custom::<(u64, i64), _>(CustomCommand::new_static("EVAL", slot, false), args).await;
        let (count, left) = self.track_timeouts(reply).map_err(|error| self.commit_error(&error))?;
        Ok(quota.evaluate(count, Duration::from_millis(left.try_into().unwrap_or(0))))
    }

    async fn sequences(&self) -> Vec<Result<Sequence, StoreError>> {
        let sequences = join_all(Shard::all().map(|shard| self.sequence(shard))).await;
        self.outages.record_use(sequences.iter().all(Result::is_ok), self.clock.monotonic());
        sequences
    }

    async fn scan(&self, kind: RecordKind, cursor: Cursor) -> Result<ScanPage, StoreError> {
        let client = self.commands.now();
        let (layout, nodes) = (connect::layout(&client, self.command_timeout).await?, connect::primaries(&client));
        if cursor != Cursor::default() && cursor.layout != layout {
            return Err(layout_changed());
        }
        let Some(node) = nodes.get(cursor.node) else { return Ok(ScanPage { keys: Vec::new(), next: None }) };
        let options = Options { cluster_node: node.clone(), ..self.options() };
        let run = self.run_id(&options).await?;
        if !cursor.position.is_empty() && cursor.run != run {
            return Err(layout_changed());
        }
        let position = if cursor.position.is_empty() { "0".to_owned() } else { cursor.position };
        let pattern = self.name(&format!("{{*}}:{}:*", kind.label()));
        let scan = |client: WithOptions<Client>| {
            let (position, pattern) = (position.clone(), pattern.clone());
            async move { client.scan_page(position, pattern, Some(500), None).await }
        };
        let (position, names): (String, Vec<String>) = self.read(&options, scan).await?;
        let keys = names.iter().filter_map(|name| RecordKey::parse(name.strip_prefix(&self.prefix)?, kind)).collect();
        if connect::layout(&client, self.command_timeout).await? != layout || self.run_id(&options).await? != run {
            return Err(layout_changed());
        }
        let next = match position.as_str() {
            "0" => Cursor { layout, node: cursor.node + 1, ..Cursor::default() },
            _ => Cursor { layout, node: cursor.node, run, position },
        };
        Ok(ScanPage { keys, next: (next.node < nodes.len()).then_some(next) })
    }

    fn invalidation_messages(&self) -> broadcast::Receiver<InvalidationMessage> {
        self.invalidation_channel.invalidation_messages()
    }

    fn resubscribe(&self) {
        self.invalidation_channel.resubscribe();
    }

    async fn ready(&self) {
        self.invalidation_channel.subscribed().await;
        while self.sequences().await.iter().any(Result::is_err) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Ttl {
    fn millis(self) -> String {
        match self {
            Self::Forever => "0".to_owned(),
            // Zero would mean no expiry.
            Self::For(time) => millis(time.max(Duration::from_millis(1))),
        }
    }
}

fn layout_changed() -> StoreError {
    StoreError::Unavailable("slots, primaries or servers have changed during the scan; restart the scan".to_owned())
}

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}

async fn sleep_unless_zero(pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

fn parse_value(value: &[u8]) -> Option<EncryptedRecord> {
    let colon = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b':');
    let first = colon(value)?;
    let second = first + 1 + colon(&value[first + 1..])?;
    let version = Sequence::parse(std::str::from_utf8(&value[..second]).ok()?)?;
    Some(EncryptedRecord { ciphertext: value[second + 1..].to_vec(), version })
}

/// Represents a value that no commit wrote. It cannot be opened, and it meets no precondition.
fn invalid_record() -> EncryptedRecord {
    EncryptedRecord { ciphertext: Vec::new(), version: Sequence::default() }
}

fn describe(error: &Error) -> String {
    format!("{:?}: {}", error.kind(), error.details())
}
