//! A key as the store keeps it: whose it is, what narrows it, and the digests of its secrets.

use std::{fmt, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Restrictions;
use crate::{
    clock,
    epoch::Generation,
    secret::Digest,
    store::{self, Change, Index, Kind, Record, Shard, ShardedId as KeyId, Ttl},
    users,
};

/// A key. Its record is the truth: a secret counts while its digest stands here.
#[derive(Clone, Serialize, Deserialize)]
pub struct Key {
    pub id: KeyId,
    /// The owner. The key gives what they have, and no more.
    pub user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    pub created: Timestamp,
    pub expires: Timestamp,
    /// What its maker set, and what was set for its makers before.
    #[serde(rename = "limits", default)]
    pub restrictions: Vec<Restrictions>,
    /// Whether it makes and ends keys.
    #[serde(default)]
    pub manage_keys: bool,
    /// Whether it invites and manages people as its owner may.
    #[serde(rename = "manage_people", default, skip_serializing_if = "std::ops::Not::not")]
    pub manage_users: bool,
    /// The keys that it was made by, the first one first. It counts only while all of them do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<KeyId>,
    /// Whether a token made it, of which no key is kept that it could end with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_token: bool,
    /// The application that it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// Its owner's when it was made: it lasts no longer than that.
    #[serde(rename = "epoch", default)]
    pub generation: Generation,
    /// To ten minutes or so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
    pub(super) secrets: Vec<SecretEntry>,
}

/// A secret by its digest, and until when it counts; without an end it is the one in force.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SecretEntry {
    digest: [u8; 32],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// Leads from a secret's digest to its key.
#[derive(Serialize, Deserialize)]
pub struct Pointer {
    pub key: KeyId,
}

/// Changes whenever a key of a person is made, so that two pods never create the last one that is allowed twice.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct KeyCreations {
    pub made: u64,
}

/// Whether a secret counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretStatus {
    Live,
    Ended,
    /// The record doesn't know it. Another version of the record may.
    Unlisted,
}

/// More secrets of one key than this never count at once, however often it is regenerated.
const MAX_SECRETS: usize = 4;

impl Key {
    /// Where the record lies.
    pub fn place(id: KeyId) -> store::Key {
        store::Key::new(id.shard(), Kind::Key, id.to_string())
    }

    pub fn parent(&self) -> Option<KeyId> {
        self.ancestors.last().copied()
    }

    /// Whether it manages people now.
    pub fn may_manage_users(&self) -> bool {
        self.manage_users && self.restrictions.iter().all(Restrictions::allow_managing_users)
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

    /// How long the store has to keep the record.
    pub(super) fn ttl(&self, now: Timestamp) -> Ttl {
        left(self.expires, now)
    }

    /// The indices that list the key.
    pub(super) fn indices(&self) -> impl Iterator<Item = Index> {
        let application = self.application.as_deref().map(|application| index_of_application(&self.user, application));
        std::iter::once(index_of(&self.user)).chain(application)
    }

    /// Ends the key, all of its secrets, and what lists it. Ids are never used again, so that nothing has to be expected.
    pub(super) fn remove_from<'a>(&self, change: Change<'a>) -> Change<'a> {
        let id = self.id.to_string();
        let change = self.pointers().fold(change, |change, pointer| change.delete(&pointer));
        let change = self.indices().fold(change, |change, index| change.index_remove(&index, &id));
        change.delete(&Self::place(self.id)).revoke_key(&id)
    }

    pub(super) fn pointers(&self) -> impl Iterator<Item = store::Key> {
        self.secrets.iter().map(|secret| secret.place(self.id.shard()))
    }

    /// Puts a new secret in force. The one before it counts until `until`, and what is left of earlier
    /// ones as long as was said then; without an overlap none of them counts, since one may have got out.
    /// Returns what is gone at once, and what ends later and when.
    pub(super) fn replace_secret(&mut self, secret: &Digest, until: Timestamp, now: Timestamp) -> PointerChanges {
        let end = until.min(self.expires);
        for known in &mut self.secrets {
            known.until = Some(known.until.filter(|_| until > now).map_or(end, |earlier| earlier.min(self.expires)));
        }
        self.secrets.insert(0, SecretEntry::new(secret));
        let (mut kept, mut gone) = (Vec::new(), Vec::new());
        for secret in self.secrets.drain(..) {
            let counts = secret.until.is_none_or(|until| until > now) && kept.len() < MAX_SECRETS;
            if counts { kept.push(secret) } else { gone.push(secret) }
        }
        self.secrets = kept;
        let shard = self.id.shard();
        let ending = self.secrets.iter().filter_map(|secret| Some((secret.place(shard), left(secret.until?, now))));
        PointerChanges { gone: gone.iter().map(|secret| secret.place(shard)).collect(), ending: ending.collect() }
    }
}

/// What becomes of the pointers of earlier secrets.
pub(super) struct PointerChanges {
    pub gone: Vec<store::Key>,
    pub ending: Vec<(store::Key, Ttl)>,
}

impl SecretEntry {
    pub(super) fn new(digest: &Digest) -> Self {
        Self { digest: *digest.as_bytes(), until: None }
    }

    fn place(&self, shard: Shard) -> store::Key {
        Pointer::place(shard, &Digest::from_bytes(self.digest))
    }
}

impl Pointer {
    pub fn place(shard: Shard, secret: &Digest) -> store::Key {
        store::Key::new(shard, Kind::KeySecret, secret.to_hex())
    }
}

impl KeyCreations {
    pub(super) fn place(user: &str) -> store::Key {
        store::Key::new(users::shard_of(user), Kind::KeyCreations, user)
    }
}

/// The ids of a person's keys.
pub(super) fn index_of(user: &str) -> Index {
    Index::new(users::shard_of(user), format!("keys:{user}"))
}

/// The keys that a person has given to one application.
pub(super) fn index_of_application(user: &str, application: &str) -> Index {
    let application = Digest::of(application.as_bytes());
    Index::new(users::shard_of(user), format!("keys:{user}:{}", URL_SAFE_NO_PAD.encode(application.as_bytes())))
}

fn left(end: Timestamp, now: Timestamp) -> Ttl {
    // Redis takes no time of zero for one.
    Ttl::For(clock::since(now, end).max(Duration::from_millis(1)))
}

impl Record for Key {
    const KIND: Kind = Kind::Key;
}

impl Record for Pointer {
    const KIND: Kind = Kind::KeySecret;
}

impl Record for KeyCreations {
    const KIND: Kind = Kind::KeyCreations;
}

/// Which key it is and whose; the alias is a person's own words.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("user", &self.user).finish_non_exhaustive()
    }
}
