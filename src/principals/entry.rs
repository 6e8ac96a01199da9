//! What a credential was found to be: a session or a key, each with the person behind it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Instant,
};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;

use super::{SignedIn, cache::CachedUser};
use crate::{
    keys::{Key, KeyId, Narrow},
    principal::Judged,
    secret::Digest,
    store::Shard,
};

/// A key and the person whose it is.
#[derive(Clone)]
pub struct WithKey {
    pub key: Arc<CachedKey>,
    pub user: Arc<CachedUser>,
}

/// A key as the cache knows it: its limits are ready for checks.
pub struct CachedKey {
    pub key: Key,
    pub narrow: Narrow,
    /// What is left of the owner's grant by the limits, beside the very judgement that it was made from.
    pub judged: ArcSwapOption<Narrowed>,
    /// The keys that this one was made by, each with the name that the cache has for it.
    pub(super) ancestors: Box<[(KeyId, Digest)]>,
    pub(super) generation: u64,
    pub(super) read: Instant,
    pub(super) last_use: LastUse,
}

/// A judgement about an owner, and what a key makes of it.
pub struct Narrowed {
    pub of: Arc<Judged>,
    pub to: Arc<Judged>,
}

/// Whoever a credential was found to stand for.
#[derive(Clone)]
pub(super) enum Holder {
    Session(SignedIn),
    Key(WithKey),
}

/// When something was last used, and whether somebody is writing that down.
pub(super) struct LastUse {
    /// In milliseconds since the epoch.
    at: AtomicI64,
    writing: AtomicBool,
}

impl CachedKey {
    pub(super) fn new(key: Key, generation: u64, read: Instant) -> Self {
        let ancestors = key.ancestors.iter().map(|id| (*id, name_of(*id))).collect();
        let last_use = LastUse::new(key.last_used.unwrap_or(Timestamp::UNIX_EPOCH));
        let narrow = Narrow::of(&key.limits);
        Self { key, narrow, judged: ArcSwapOption::empty(), ancestors, generation, read, last_use }
    }
}

/// The name under which the cache knows a key that was looked up by its id, which is no secret's digest.
fn name_of(id: KeyId) -> Digest {
    Digest::of_parts(&["key", &id.to_string()])
}

impl Holder {
    pub(super) fn user(&self) -> &Arc<CachedUser> {
        match self {
            Self::Session(signed_in) => &signed_in.user,
            Self::Key(with_key) => &with_key.user,
        }
    }

    pub(super) fn shard(&self) -> Shard {
        match self {
            Self::Session(signed_in) => signed_in.session.shard,
            Self::Key(with_key) => with_key.key.key.id.shard(),
        }
    }

    pub(super) fn generations(&self) -> [u64; 2] {
        let credential = match self {
            Self::Session(signed_in) => signed_in.session.generation,
            Self::Key(with_key) => with_key.key.generation,
        };
        [credential, self.user().generation]
    }

    /// When the older of the two entries was read.
    pub(super) fn read(&self) -> Instant {
        let credential = match self {
            Self::Session(signed_in) => signed_in.session.read,
            Self::Key(with_key) => with_key.key.read,
        };
        credential.min(self.user().read)
    }
}

impl LastUse {
    pub(super) fn new(at: Timestamp) -> Self {
        Self { at: AtomicI64::new(at.as_millisecond()), writing: AtomicBool::new(false) }
    }

    pub(super) fn at(&self) -> Timestamp {
        Timestamp::from_millisecond(self.at.load(Ordering::Relaxed)).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Whether the caller, and nobody else, is to write it down.
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
