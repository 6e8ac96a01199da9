//! Defines the store's contract: sharded records, atomic commits and invalidation messages.
//!
//! Records are spread over 64 shards. A shard is one hash tag in Redis. Records that must change together are in one
//! shard and change in one [`Commit`]. The commit also advances the shard's [`Sequence`] and publishes an
//! [`InvalidationMessage`], so that a crash cannot separate a write from its message. Commits of records that no pod caches,
//! such as login flows, are unsequenced: they advance no sequence and send no message.
//!
//! "Absent", "unavailable" and "unknown outcome" are three different answers.

mod commit;
mod memory;
mod metered_store;
mod records;
mod redis;
mod sharded_id;
#[cfg(test)]
mod test_store;
mod update;

pub use commit::{Capacity, Commit, CommitIntent, Conflict, Precondition, Replication, SequenceEffect, Ttl};
pub use memory::MemoryStore;
pub use metered_store::MeteredStore;
pub use records::{Change, Record, Records, ReencryptionOutcome, StaleEntry, StoredRecord, retry_while_unavailable};
pub use redis::{
    ClientCertificateFiles, ConfigurationWarning, Connection, Credentials, RedisPermissions, RedisSettings, RedisStore, RedisUrl,
    TlsError, TlsSettings, Topology,
};
pub use sharded_id::ShardedId;
#[cfg(test)]
pub use test_store::TestStore;
pub use update::{Edit, TRIES, retry};

use std::{fmt, time::Duration};

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::secret::{Digest, random_bytes};

/// The store keeps the outcome of an operation for this long, so that a retry is harmless.
const OPERATION_MEMORY: Duration = Duration::from_secs(60);

/// A store of records. [`Records`] encrypts the values before it passes them on.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Reads one record from the primary.
    async fn get(&self, key: &RecordKey) -> Result<Option<EncryptedRecord>, Error>;

    /// Writes all of a commit if its preconditions hold; otherwise writes nothing.
    async fn commit(&self, commit: &Commit) -> Result<Result<Sequence, Conflict>, Error>;

    /// Returns at most `limit` members of an index after `after`, in the order of their ids.
    async fn list(&self, index: &Index, after: Option<&str>, limit: usize) -> Result<Vec<String>, Error>;

    /// True unless the store uses so much of its memory that the rest is reserved for users who are signed in.
    async fn has_free_memory(&self) -> bool;

    /// Counts one use against a quota that all pods share.
    async fn spend(&self, key: &RecordKey, quota: Quota) -> Result<QuotaUsage, Error>;

    /// Returns the sequence of every shard. A shard that fails does not affect the results of the others.
    async fn sequences(&self) -> Vec<Result<Sequence, Error>>;

    /// Returns one page of the keys of a kind, over all shards. A key may be returned twice. The caller must restart the scan
    /// after an error that says that the layout has changed.
    async fn scan(&self, kind: RecordKind, cursor: Cursor) -> Result<ScanPage, Error>;

    /// Subscribes to the invalidation messages of every pod's commits. A receiver that lags has missed some.
    fn invalidation_messages(&self) -> broadcast::Receiver<InvalidationMessage>;

    /// Renews the subscription to the invalidation channel, after messages were missed.
    fn resubscribe(&self);

    /// Waits until the store has answered once and the invalidation channel is subscribed.
    async fn ready(&self);
}

/// One of the 64 parts of the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard(u8);

/// The kinds of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    /// A login flow, by the digest of its `state`.
    Flow,
    /// A user, by id.
    User,
    /// The user of an issuer and subject, by the digest of both.
    Identity,
    /// A session, by the digest of its session token.
    Session,
    /// A virtual API key, by id.
    Key,
    /// The API key of a secret, by the secret's digest.
    KeySecret,
    /// A record that changes with each key that is created for a user.
    KeyCreations,
    /// The password of a local account, by the user's id.
    Password,
    /// An invitation to set a password, by its id.
    Invitation,
    /// A logout at an identity provider, by the digest of its token, session or subject.
    ProviderLogout,
    /// The claims that a provider's directory has about an identity, by the digest of both.
    DirectoryClaims,
    /// A refresh token that is kept with an identity, by the identity's digest, in its user's shard.
    RefreshToken,
    /// A refresh of claims in progress or paused, by the digest of the session or identity that keeps the token.
    RefreshLease,
    /// A group of the company's directory, by id.
    ScimGroup,
    /// The group of the company's directory with a name, by the name's digest.
    ScimGroupName,
    /// A handover of a session to another host, by the digest of its code.
    Handover,
    /// A shared counter.
    Counter,
}

/// Names a record: its shard, its kind and its id within the kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    pub shard: Shard,
    pub kind: RecordKind,
    pub id: String,
}

/// Names an ordered set of ids, such as a user's sessions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Index {
    pub shard: Shard,
    pub name: String,
}

/// The position of a shard: a number that grows by one with each commit, and the random token of that commit. A promoted
/// replica that lacks the last write assigns the same number again, but never the same token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sequence {
    pub number: u64,
    pub token: CommitToken,
}

/// A record's version is the sequence of the commit that wrote it.
pub type Version = Sequence;

/// Eight random bytes that identify a commit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CommitToken([u8; 8]);

/// An encrypted value and its version. The value is empty if no commit wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedRecord {
    pub ciphertext: Vec<u8>,
    pub version: Version,
}

/// The message to every pod about one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidationMessage {
    pub shard: Shard,
    pub previous: CommitToken,
    pub sequence: Sequence,
    /// Encrypted by the pod that made the commit. It must be verified, since other clients of Redis can publish too.
    pub body: Vec<u8>,
}

/// A limit of uses within a window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub limit: u64,
    pub window: Duration,
}

/// The result of counting one use against a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaUsage {
    Within { left: u64 },
    Exceeded { retry_after: Duration },
}

/// The position of a scan. The default is the beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The assignment of slots to servers. The scan could miss slots that move meanwhile.
    layout: String,
    node: usize,
    /// The server process that returned the position, which is invalid in any other.
    run: String,
    position: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanPage {
    pub keys: Vec<RecordKey>,
    /// `None` at the end.
    pub next: Option<Cursor>,
}

/// A failure of the store. None of these means that a record does not exist.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Nothing was written.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// A write may have happened.
    #[error("the store did not confirm a write, which may have happened: {0}")]
    Unknown(String),
    #[error("a {kind:?} record can't be read: {reason}")]
    Unreadable { kind: RecordKind, reason: String },
    /// Other writers changed the records during each attempt; nothing was written.
    #[error("other writers kept changing the record")]
    Contended,
    /// The shard holds as many records of this kind as the commit's [`Capacity`] allows; nothing was written.
    #[error("the store holds the maximum number of these records")]
    Full,
}

impl Error {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "store_unavailable",
            Self::Unknown(_) => "write_not_confirmed",
            Self::Unreadable { .. } => "record_unreadable",
            Self::Contended => "write_contention",
            Self::Full => "capacity_reached",
        }
    }
}

impl Shard {
    pub const COUNT: u8 = 64;

    pub fn new(number: u8) -> Option<Self> {
        (number < Self::COUNT).then_some(Self(number))
    }

    /// Returns the shard of a digest.
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

impl RecordKind {
    /// The kinds whose values [`Records`] encrypts.
    pub const ENCRYPTED: [Self; 16] = [
        Self::Flow,
        Self::User,
        Self::Identity,
        Self::Session,
        Self::Key,
        Self::KeySecret,
        Self::KeyCreations,
        Self::Password,
        Self::Invitation,
        Self::ProviderLogout,
        Self::DirectoryClaims,
        Self::RefreshToken,
        Self::RefreshLease,
        Self::ScimGroup,
        Self::ScimGroupName,
        Self::Handover,
    ];

    pub fn label(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::User => "user",
            Self::Identity => "identity",
            Self::Session => "session",
            Self::Key => "key",
            Self::KeySecret => "key_secret",
            Self::KeyCreations => "keys_of",
            Self::Password => "password",
            Self::Invitation => "invitation",
            Self::ProviderLogout => "provider_logout",
            Self::DirectoryClaims => "directory_claims",
            Self::RefreshToken => "refresh_token",
            Self::RefreshLease => "refresh_lease",
            Self::ScimGroup => "scim_group",
            Self::ScimGroupName => "scim_group_name",
            Self::Handover => "handover",
            Self::Counter => "counter",
        }
    }
}

impl RecordKey {
    pub fn new(shard: Shard, kind: RecordKind, id: impl Into<String>) -> Self {
        Self { shard, kind, id: id.into() }
    }

    /// Returns the key of a record that is stored under a digest, in the digest's shard.
    pub fn of_digest(kind: RecordKind, digest: &Digest) -> Self {
        Self::new(Shard::of(digest), kind, digest.to_hex())
    }

    /// Returns the full name without the deployment's prefix. The braces are a hash tag of Redis Cluster.
    pub fn name(&self) -> String {
        format!("{{{}}}:{}:{}", self.shard.0, self.kind.label(), self.id)
    }

    /// Parses the result of [`RecordKey::name`].
    fn parse(name: &str, kind: RecordKind) -> Option<Self> {
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

impl CommitToken {
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

impl fmt::Display for CommitToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for CommitToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Formats a sequence as it is stored in Redis.
impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.token)
    }
}

impl Sequence {
    /// The number of every unsequenced commit.
    const UNSEQUENCED: u64 = 0;

    /// Returns the version of records that an unsequenced commit writes.
    fn unsequenced(token: CommitToken) -> Self {
        Self { number: Self::UNSEQUENCED, token }
    }

    /// True for the version of a record that an unsequenced commit wrote.
    pub fn is_unsequenced(&self) -> bool {
        self.number == Self::UNSEQUENCED
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, token) = text.split_once(':')?;
        Some(Self { number: number.parse().ok()?, token: CommitToken::parse(token)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_to_the_same_keys() {
        let key = RecordKey::new(Shard(17), RecordKind::Session, "ab:cd");
        assert_eq!(key.name(), "{17}:session:ab:cd");
        assert_eq!(RecordKey::parse(&key.name(), RecordKind::Session), Some(key.clone()));
        assert_eq!(RecordKey::parse(&key.name(), RecordKind::User), None);
        assert_eq!(RecordKey::parse("{64}:session:x", RecordKind::Session), None);
        let sequence = Sequence { number: 1 << 50, token: CommitToken::random() };
        assert_eq!(Sequence::parse(&sequence.to_string()), Some(sequence));
        assert_eq!(Sequence::parse("1:xyz"), None);
    }

    #[test]
    fn digests_spread_over_all_shards() {
        let shards: std::collections::HashSet<_> = (0..2000u32).map(|n| Shard::of(&Digest::of(&n.to_be_bytes()))).collect();
        assert_eq!(shards.len(), usize::from(Shard::COUNT));
    }

    #[test]
    #[should_panic(expected = "a commit spans shards")]
    fn a_commit_that_spans_two_shards_panics() {
        let mut commit = Commit::new(Shard(1));
        commit.delete.push(RecordKey::new(Shard(2), RecordKind::User, "x"));
        commit.assert_one_shard();
    }
}
