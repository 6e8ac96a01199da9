//! The store's contract: sharded records, all-or-nothing commits, and proof of what changed.
//!
//! Records live in 64 shards, one Redis hash tag each. What must change together lies in one shard and
//! changes in one [`Commit`], which also moves the shard's [`Sequence`] and tells every pod with a
//! [`Notice`], so that a write and its notice cannot be parted by a dying pod.
//!
//! "Not there", "unavailable" and "unknown whether it was written" are three different answers.

mod memory;
mod metered;
mod records;
mod redis;
mod sharded_id;
mod update;

pub use memory::MemoryStore;
pub use metered::Metered;
pub use records::{Change, Record, Records, Resealed, StaleEntry, Stored};
pub use redis::{Connection, Credentials, Hazard, RedisStore, Topology};
pub use sharded_id::ShardedId;
pub use update::{Edit, TRIES, retry};

use std::{fmt, time::Duration};

use async_trait::async_trait;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::secret::{Digest, random_bytes};

/// How long the outcome of an operation is remembered, so that a retry of it is harmless.
const OPERATION_MEMORY: Duration = Duration::from_secs(60);

/// Where records live. Values are sealed by [`Records`] before they come here.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Reads one record, from the primary.
    async fn get(&self, key: &Key) -> Result<Option<Versioned>, Error>;

    /// Writes all of a commit or nothing, if everything that it expects holds.
    async fn commit(&self, commit: &Commit) -> Result<Result<Sequence, Conflict>, Error>;

    /// At most `limit` members of an index after `after`, in the order of their ids.
    async fn list(&self, index: &Index, after: Option<&str>, limit: usize) -> Result<Vec<String>, Error>;

    /// Counts one use against a quota that all pods share.
    async fn spend(&self, key: &Key, quota: Quota) -> Result<Spent, Error>;

    /// The sequence of every shard; one that does not answer leaves the others' answers alone.
    async fn sequences(&self) -> Vec<Result<Sequence, Error>>;

    /// Keys of one kind over all shards, a page at a time. A key may come twice. It has to begin anew when the store says that
    /// what it consists of has changed.
    async fn scan(&self, kind: Kind, cursor: Cursor) -> Result<ScanPage, Error>;

    /// What commits of every pod announce. A receiver that lags has missed some.
    fn notices(&self) -> broadcast::Receiver<Notice>;

    /// Subscribes afresh, when notices stay away.
    fn resubscribe(&self);

    /// Waits until the store has answered once and its notices are subscribed to.
    async fn ready(&self);
}

/// One of the 64 parts of the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard(u8);

/// The kinds of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A login in flight, by the digest of its `state`.
    Flow,
    /// A person, by id.
    User,
    /// Which user an (issuer, subject) is, by the digest of both.
    Identity,
    /// A signed-in browser, by the digest of its handle.
    Session,
    /// A virtual API key, by id.
    Key,
    /// Which key a secret is of, by the secret's digest.
    KeySecret,
    /// What changes with each key that is made for a person.
    KeysOf,
    /// What a person signs in with who has no provider, by the person's id.
    Password,
    /// A link by which somebody sets a password, by its id.
    Invitation,
    /// A shared counter.
    Counter,
}

/// Names a record: its shard, its kind and its id within the kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub shard: Shard,
    pub kind: Kind,
    pub id: String,
}

/// Names an ordered set of ids, such as a user's sessions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Index {
    pub shard: Shard,
    pub name: String,
}

/// How far a shard has come: a number that grows by one with each commit, and a random token, since a
/// promoted replica that lacks the last write hands out the same number again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sequence {
    pub number: u64,
    pub token: Token,
}

/// A record's version is the sequence of the commit that wrote it.
pub type Version = Sequence;

/// Eight random bytes that tell one commit from every other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Token([u8; 8]);

/// A sealed value and the version that it has; without a byte where it is none that a commit wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    pub sealed: Vec<u8>,
    pub version: Version,
}

/// What a commit expects of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Absent,
    Version(Version),
}

/// How long a record stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    Forever,
    For(Duration),
}

/// Whether a commit takes something away from somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    Ordinary,
    /// A revocation: it waits a moment for a replica, so that a failover does not undo it.
    Revocation,
}

/// Everything that changes together in one shard.
#[derive(Clone)]
pub struct Commit {
    pub shard: Shard,
    /// A retry with the same id finds the first try's outcome.
    pub operation: Uuid,
    pub token: Token,
    pub urgency: Urgency,
    pub expect: Vec<(Key, Expected)>,
    pub put: Vec<(Key, Vec<u8>, Ttl)>,
    /// What says the same as before, sealed anew: it has to be there in this version, and keeps that and its life.
    pub reseal: Vec<(Key, Versioned)>,
    pub delete: Vec<Key>,
    /// An index is kept as long as the member that is kept longest.
    pub index_add: Vec<(Index, String, Ttl)>,
    pub index_remove: Vec<(Index, String)>,
    /// Sealed; empty when no cache needs to know.
    pub notice: Vec<u8>,
}

/// What the bus says of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub shard: Shard,
    pub previous: Token,
    pub sequence: Sequence,
    /// Sealed by the pod that made the commit; anybody who may publish can write anything here.
    pub body: Vec<u8>,
}

/// So many uses in so long a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub limit: u64,
    pub window: Duration,
}

/// What came of counting one use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    Within { left: u64 },
    Exceeded { retry_after: Duration },
}

/// Where a scan goes on. The default is the beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Which server has what, as far as there are several: what moves in between could be missed.
    layout: String,
    node: usize,
    /// Which run of the server gave the position: it means nothing to another.
    run: String,
    position: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanPage {
    pub keys: Vec<Key>,
    /// `None` at the end.
    pub next: Option<Cursor>,
}

/// Why there is no answer from the store. None of them means that there is no such record.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Nothing was written.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// A write may have happened.
    #[error("the store broke off, and may have written: {0}")]
    Unknown(String),
    #[error("a {kind:?} record can't be read: {reason}")]
    Unreadable { kind: Kind, reason: String },
    /// Other writers changed the records at each try of an update; nothing was written.
    #[error("the record kept changing")]
    Contended,
}

/// Something that the commit expected does not hold; nothing was written.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("the record has changed meanwhile")]
pub struct Conflict;

impl Shard {
    pub const COUNT: u8 = 64;

    pub fn new(number: u8) -> Option<Self> {
        (number < Self::COUNT).then_some(Self(number))
    }

    /// The shard that a digest falls into.
    pub fn of(digest: &Digest) -> Self {
        Self(digest.as_bytes()[0] % Self::COUNT)
    }

    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    pub fn number(self) -> u8 {
        self.0
    }

    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {}", self.0)
    }
}

impl Kind {
    /// Those whose values [`Records`] seals.
    pub const SEALED: [Self; 9] = [
        Self::Flow,
        Self::User,
        Self::Identity,
        Self::Session,
        Self::Key,
        Self::KeySecret,
        Self::KeysOf,
        Self::Password,
        Self::Invitation,
    ];

    pub fn label(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::User => "user",
            Self::Identity => "identity",
            Self::Session => "session",
            Self::Key => "key",
            Self::KeySecret => "key_secret",
            Self::KeysOf => "keys_of",
            Self::Password => "password",
            Self::Invitation => "invitation",
            Self::Counter => "counter",
        }
    }
}

impl Key {
    pub fn new(shard: Shard, kind: Kind, id: impl Into<String>) -> Self {
        Self { shard, kind, id: id.into() }
    }

    /// The key of a record that is found by a digest, in the digest's shard.
    pub fn of_digest(kind: Kind, digest: &Digest) -> Self {
        Self::new(Shard::of(digest), kind, digest.to_hex())
    }

    /// The full name but for the deployment's prefix. The braces are Redis Cluster's hash tag.
    pub fn name(&self) -> String {
        format!("{{{}}}:{}:{}", self.shard.0, self.kind.label(), self.id)
    }

    /// Reads back what [`Key::name`] made.
    fn parse(name: &str, kind: Kind) -> Option<Self> {
        let (shard, rest) = name.strip_prefix('{')?.split_once("}:")?;
        let (label, id) = rest.split_once(':')?;
        let shard = Shard::new(shard.parse().ok()?)?;
        (label == kind.label()).then(|| Self::new(shard, kind, id))
    }
}

impl Index {
    pub fn new(shard: Shard, name: impl Into<String>) -> Self {
        Self { shard, name: name.into() }
    }

    pub fn name(&self) -> String {
        format!("{{{}}}:index:{}", self.shard.0, self.name)
    }
}

impl Token {
    pub fn random() -> Self {
        Self(random_bytes())
    }

    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }

    fn parse(hex: &str) -> Option<Self> {
        (hex.len() == 16).then(|| u64::from_str_radix(hex, 16).ok())?.map(|n| Self(n.to_be_bytes()))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The form that a sequence has in Redis.
impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.token)
    }
}

impl Sequence {
    fn parse(text: &str) -> Option<Self> {
        let (number, token) = text.split_once(':')?;
        Some(Self { number: number.parse().ok()?, token: Token::parse(token)? })
    }
}

impl Commit {
    pub fn new(shard: Shard) -> Self {
        Self {
            shard,
            operation: Uuid::from_bytes(random_bytes()),
            token: Token::random(),
            urgency: Urgency::Ordinary,
            expect: Vec::new(),
            put: Vec::new(),
            reseal: Vec::new(),
            delete: Vec::new(),
            index_add: Vec::new(),
            index_remove: Vec::new(),
            notice: Vec::new(),
        }
    }

    /// What has to hold for any of it to be written.
    fn expected(&self) -> impl Iterator<Item = (&Key, Expected)> {
        let resealed = self.reseal.iter().map(|(key, value)| (key, Expected::Version(value.version)));
        self.expect.iter().map(|(key, expected)| (key, *expected)).chain(resealed)
    }

    /// All keys and indices must lie in the commit's shard: Redis Cluster refuses anything else.
    fn assert_one_shard(&self) {
        let written = self.put.iter().map(|(key, ..)| key).chain(self.reseal.iter().map(|(key, _)| key));
        let keys = self.expect.iter().map(|(key, _)| key).chain(written).chain(&self.delete);
        let added = self.index_add.iter().map(|(index, ..)| index.shard);
        let indices = added.chain(self.index_remove.iter().map(|(index, _)| index.shard));
        let one = keys.map(|key| key.shard).chain(indices).all(|shard| shard == self.shard);
        assert!(one, "a commit spans shards");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let key = Key::new(Shard(17), Kind::Session, "ab:cd");
        assert_eq!(key.name(), "{17}:session:ab:cd");
        assert_eq!(Key::parse(&key.name(), Kind::Session), Some(key.clone()));
        assert_eq!(Key::parse(&key.name(), Kind::User), None);
        assert_eq!(Key::parse("{64}:session:x", Kind::Session), None);
        let sequence = Sequence { number: 1 << 50, token: Token::random() };
        assert_eq!(Sequence::parse(&sequence.to_string()), Some(sequence));
        assert_eq!(Sequence::parse("1:xyz"), None);
    }

    #[test]
    fn digests_spread_over_all_shards() {
        let hit: std::collections::HashSet<_> = (0..2000u32).map(|n| Shard::of(&Digest::of(&n.to_be_bytes()))).collect();
        assert_eq!(hit.len(), usize::from(Shard::COUNT));
    }

    #[test]
    #[should_panic(expected = "a commit spans shards")]
    fn a_commit_over_two_shards_is_a_programming_error() {
        let mut commit = Commit::new(Shard(1));
        commit.delete.push(Key::new(Shard(2), Kind::User, "x"));
        commit.assert_one_shard();
    }
}
