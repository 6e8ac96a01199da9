//! The values in the cache: sessions, keys and users.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Instant,
};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;

use crate::{
    epoch::Epoch,
    keys::{Key, KeyId, Narrow},
    principal::{Evaluation, IdentityClaims, Pinned},
    secret::Digest,
    session::Session,
    store::Shard,
    users::User,
};

/// A session as the cache knows it: without the provider's hints, which only a logout needs.
pub struct CachedSession {
    pub user: String,
    pub provider: String,
    pub created: Timestamp,
    pub(super) epoch: Epoch,
    pub(super) shard: Shard,
    pub(super) read: ReadTime,
    pub(super) last_use: LastUse,
}

/// A session and its user.
#[derive(Clone)]
pub struct UserSession {
    pub session: Arc<CachedSession>,
    pub user: Arc<CachedUser>,
}

/// A user as the cache knows them.
pub struct CachedUser {
    pub id: String,
    /// As JSON. Values take eight times the memory, and only a role map that has not judged them yet looks at them.
    identities: Box<str>,
    pub pinned: Option<Pinned>,
    /// When the claims were last verified, to the hour.
    pub verified: Timestamp,
    pub disabled: bool,
    pub(super) session_epoch: Epoch,
    pub(super) key_epoch: Epoch,
    /// The role map's grant for exactly these claims.
    pub judged: ArcSwapOption<Evaluation>,
    pub(super) read: ReadTime,
}

/// A key and its owner.
#[derive(Clone)]
pub struct UserKey {
    pub key: Arc<CachedKey>,
    pub user: Arc<CachedUser>,
}

/// A key as the cache knows it: its limits are ready for checks.
pub struct CachedKey {
    pub key: Key,
    pub narrow: Narrow,
    /// The owner's grant within the key's restrictions, beside the owner's grant that it was made from.
    pub judged: ArcSwapOption<Narrowed>,
    /// The keys that this one was made by, each with the name that the cache has for it.
    pub(super) ancestors: Box<[(KeyId, Digest)]>,
    pub(super) read: ReadTime,
    pub(super) last_use: LastUse,
}

/// A judgement about an owner, and what a key makes of it.
pub struct Narrowed {
    pub of: Arc<Evaluation>,
    pub to: Arc<Evaluation>,
}

/// When a value was read from the store: by the clock, and by the generation of its shard, which grows with each flush.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadTime {
    pub at: Instant,
    pub generation: u64,
}

/// When something was last used, and whether somebody is writing that down.
pub(super) struct LastUse {
    /// In milliseconds since the epoch.
    at: AtomicI64,
    writing: AtomicBool,
}

impl CachedSession {
    pub(super) fn new(session: &Session, shard: Shard, read: ReadTime) -> Self {
        Self {
            user: session.user.clone(),
            provider: session.provider.clone(),
            created: session.created,
            epoch: session.epoch,
            shard,
            read,
            last_use: LastUse::new(session.last_seen),
        }
    }

    pub fn last_seen(&self) -> Timestamp {
        self.last_use.at()
    }
}

impl CachedUser {
    pub(super) fn new(user: User, read: ReadTime) -> Self {
        let verified = user.verified();
        let User { id, identities, pinned, disabled, session_epoch, key_epoch, .. } = user;
        let judged = ArcSwapOption::empty();
        let identities = serde_json::to_string(&identities).expect("claims are JSON").into();
        Self { id, identities, pinned, verified, disabled, session_epoch, key_epoch, judged, read }
    }

    /// The claims that identity providers have verified.
    pub fn identities(&self) -> Vec<IdentityClaims> {
        serde_json::from_str(&self.identities).expect("it was written from the same type")
    }
}

impl CachedKey {
    pub(super) fn new(key: Key, read: ReadTime) -> Self {
        let ancestors = key.ancestors.iter().map(|id| (*id, name_of(*id))).collect();
        let last_use = LastUse::new(key.last_used.unwrap_or(Timestamp::UNIX_EPOCH));
        let narrow = Narrow::of(&key.limits);
        Self { key, narrow, judged: ArcSwapOption::empty(), ancestors, read, last_use }
    }
}

/// The name under which the cache knows a key that was looked up by its id, which is no secret's digest.
fn name_of(id: KeyId) -> Digest {
    Digest::of_parts(&["key", &id.to_string()])
}

impl LastUse {
    pub(super) fn new(at: Timestamp) -> Self {
        Self { at: AtomicI64::new(at.as_millisecond()), writing: AtomicBool::new(false) }
    }

    pub(super) fn at(&self) -> Timestamp {
        Timestamp::from_millisecond(self.at.load(Ordering::Relaxed)).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// True for the one caller that must write it to the store.
    pub(super) fn begin_writing(&self) -> bool {
        !self.writing.swap(true, Ordering::Relaxed)
    }

    pub(super) fn end_writing(&self, at: Option<Timestamp>) {
        if let Some(at) = at {
            self.at.store(at.as_millisecond(), Ordering::Relaxed);
        }
        self.writing.store(false, Ordering::Relaxed);
    }
}
