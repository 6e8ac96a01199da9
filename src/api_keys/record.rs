//! The records of a key: its owner, its restrictions and the digests of its secrets.

use std::{fmt, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{DerivationGeneration, Restrictions};
use crate::{
    clock,
    principal::Role,
    role_map::RoleMap,
    secret::Digest,
    store::{self, Change, Index, Record, RecordKind, Shard, ShardedId as KeyId, Ttl},
    users::{self, Generation},
};

/// A key. A secret is valid while its digest is in this record.
#[derive(Clone, Serialize, Deserialize)]
pub struct ApiKey {
    pub id: KeyId,
    /// The owner. The key never has more rights.
    pub user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    pub created: Timestamp,
    pub expires: Timestamp,
    /// The restrictions of the key and of its ancestors.
    #[serde(rename = "limits", default)]
    pub restrictions: Vec<Restrictions>,
    /// True if the key may create and revoke keys.
    #[serde(default)]
    pub manage_keys: bool,
    /// True if the key may invite and manage users as its owner may.
    #[serde(rename = "manage_people", default, skip_serializing_if = "std::ops::Not::not")]
    pub manage_users: bool,
    /// The keys that it is derived from, the oldest first. It is valid only while all of them are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) ancestors: Vec<KeyId>,
    /// For each ancestor, the generation of its derived keys at the derivation. A list of its own, because pods of an earlier
    /// version read `ancestors`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) ancestor_derivations: Vec<DerivationGeneration>,
    /// The generation of the keys that are derived from this one.
    #[serde(default, skip_serializing_if = "DerivationGeneration::is_first")]
    pub(super) derivation: DerivationGeneration,
    /// The user who created the key. `None` in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// The roles of other users to whom a secret of the key was shown. The key grants nothing while its owner's role is above
    /// one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holder_roles: Vec<Role>,
    /// True if the key was created with a bearer token. Such a key has no ancestor that it could end with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_token: bool,
    /// The application that it was created for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The owner's key generation at creation. The key is valid only while the owner has the same.
    #[serde(rename = "epoch", default)]
    pub generation: Generation,
    /// Accurate to about ten minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
    pub(super) secrets: Vec<SecretEntry>,
}

/// The digest of a secret. The current secret has no end; previous ones are valid until the end of their grace period.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SecretEntry {
    digest: [u8; 32],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// Maps a secret's digest to its key.
#[derive(Serialize, Deserialize)]
pub struct Pointer {
    pub key: KeyId,
}

/// Counts the keys that were created for a user. It changes with every creation, so that two pods cannot both create the
/// last allowed key.
#[derive(Serialize, Deserialize)]
pub(super) struct KeyCreations {
    #[serde(rename = "made")]
    count: u64,
    /// The latest expiry of the counted keys, at which the record expires. `None` in records of earlier versions, which do not
    /// expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

/// The state of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretStatus {
    Live,
    Ended,
    /// Not in this version of the record. It may be in another version.
    Unlisted,
}

/// The maximum number of valid secrets of one key.
const MAX_SECRETS: usize = 4;

impl ApiKey {
    /// Returns the store key of the record.
    pub fn key(id: KeyId) -> store::RecordKey {
        store::RecordKey::new(id.shard(), RecordKind::Key, id.to_string())
    }

    /// True if a secret was shown to a user whose role is below the owner's present role, or unknown.
    pub fn is_held_below(&self, map: &RoleMap, owner: &Role) -> bool {
        self.holder_roles.iter().any(|holder| users::require_not_above(map, owner, holder).is_err())
    }

    /// Records that a secret is shown to a user who is not the owner.
    pub(super) fn add_holder(&mut self, role: &Role) {
        if !self.holder_roles.contains(role) {
            self.holder_roles.push(role.clone());
        }
    }

    /// True if the key may manage users under its present restrictions.
    pub fn can_manage_users(&self) -> bool {
        self.manage_users && self.restrictions.iter().all(Restrictions::can_manage_users)
    }

    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires <= now
    }

    pub fn secret_status(&self, secret: &Digest, now: Timestamp) -> SecretStatus {
        match self.secrets.iter().find(|known| known.digest == *secret.as_bytes()) {
            None => SecretStatus::Unlisted,
            Some(_) if self.has_expired(now) => SecretStatus::Ended,
            Some(known) if known.until.is_some_and(|until| until <= now) => SecretStatus::Ended,
            Some(_) => SecretStatus::Live,
        }
    }

    /// Returns the time until the record expires.
    pub(super) fn ttl(&self, now: Timestamp) -> Ttl {
        time_left(self.expires, now)
    }

    /// Returns the indices that list the key.
    pub(super) fn indices(&self) -> impl Iterator<Item = Index> {
        let application = self.application.as_deref().map(|application| index_of_application(&self.user, application));
        std::iter::once(index_of(&self.user)).chain(application)
    }

    /// Deletes the key, its pointers and its index entries. Ids are never used again, so the commit needs no preconditions.
    pub(super) fn remove_from<'a>(&self, change: Change<'a>) -> Change<'a> {
        let id = self.id.to_string();
        let change = self.pointers().fold(change, |change, pointer| change.delete(&pointer));
        let change = self.indices().fold(change, |change, index| change.index_remove(&index, &id));
        change.delete(&Self::key(self.id)).drop_key(&id).replicated()
    }

    pub(super) fn pointers(&self) -> impl Iterator<Item = store::RecordKey> {
        self.secrets.iter().map(|secret| secret.pointer_key(self.id.shard()))
    }

    /// Replaces the current secret. The previous secret stays valid until `until`, and earlier ones until the end of their own
    /// grace period. Without a grace period all previous secrets are removed, since one may have leaked.
    pub(super) fn replace_secret(&mut self, secret: &Digest, until: Timestamp, now: Timestamp) -> PointerChanges {
        let end = until.min(self.expires);
        for known in &mut self.secrets {
            known.until = Some(known.until.filter(|_| until > now).map_or(end, |earlier| earlier.min(self.expires)));
        }
        self.secrets.insert(0, SecretEntry::new(secret));
        let (mut kept, mut removed) = (Vec::new(), Vec::new());
        for secret in self.secrets.drain(..) {
            let counts = secret.until.is_none_or(|until| until > now) && kept.len() < MAX_SECRETS;
            if counts { kept.push(secret) } else { removed.push(secret) }
        }
        self.secrets = kept;
        let shard = self.id.shard();
        let expiring = self.secrets.iter().filter_map(|secret| Some((secret.pointer_key(shard), time_left(secret.until?, now))));
        PointerChanges { removed: removed.iter().map(|secret| secret.pointer_key(shard)).collect(), expiring: expiring.collect() }
    }
}

/// The pointers of previous secrets to delete, and those to keep with their remaining lifetime.
pub(super) struct PointerChanges {
    pub removed: Vec<store::RecordKey>,
    pub expiring: Vec<(store::RecordKey, Ttl)>,
}

impl SecretEntry {
    pub(super) fn new(digest: &Digest) -> Self {
        Self { digest: *digest.as_bytes(), until: None }
    }

    fn pointer_key(&self, shard: Shard) -> store::RecordKey {
        Pointer::key(shard, &Digest::from_bytes(self.digest))
    }
}

impl Pointer {
    pub fn key(shard: Shard, secret: &Digest) -> store::RecordKey {
        store::RecordKey::new(shard, RecordKind::KeySecret, secret.to_hex())
    }
}

impl KeyCreations {
    pub(super) fn key(user: &str) -> store::RecordKey {
        store::RecordKey::new(users::shard_of(user), RecordKind::KeyCreations, user)
    }

    /// Returns the record that also counts a new key. `longest` is the expiry of a key with the maximum lifetime: a record of an
    /// earlier version may count such keys.
    pub(super) fn with(before: Option<&Self>, key: &ApiKey, longest: Timestamp) -> Self {
        let counted = before.map(|before| before.expires.unwrap_or(longest));
        let expires = counted.map_or(key.expires, |counted| counted.max(key.expires));
        Self { count: before.map_or(0, |before| before.count) + 1, expires: Some(expires) }
    }

    pub(super) fn ttl(&self, now: Timestamp) -> Ttl {
        self.expires.map_or(Ttl::Forever, |expires| time_left(expires, now))
    }
}

/// Returns the index of a user's keys.
pub(super) fn index_of(user: &str) -> Index {
    Index::new(users::shard_of(user), format!("keys:{user}"))
}

/// Returns the index of a user's keys for one application.
pub(super) fn index_of_application(user: &str, application: &str) -> Index {
    let application = Digest::of(application.as_bytes());
    Index::new(users::shard_of(user), format!("keys:{user}:{}", URL_SAFE_NO_PAD.encode(application.as_bytes())))
}

fn time_left(end: Timestamp, now: Timestamp) -> Ttl {
    // Redis refuses an expiry of zero.
    Ttl::For(clock::since(now, end).max(Duration::from_millis(1)))
}

impl Record for ApiKey {
    const KIND: RecordKind = RecordKind::Key;
}

impl Record for Pointer {
    const KIND: RecordKind = RecordKind::KeySecret;
}

impl Record for KeyCreations {
    const KIND: RecordKind = RecordKind::KeyCreations;
}

/// Omits the alias, which is text of the user.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("user", &self.user).finish_non_exhaustive()
    }
}
