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

use super::{RefreshMark, RestrictedGrant};
use crate::{
    api_keys::{Ancestor, ApiKey, KeyId},
    principal::{Evaluation, IdentityClaims, PinnedGrant},
    secret::Digest,
    store::Shard,
    users::{ClaimsMaxAge, Generation, Session, User},
};

/// A cached session, without the provider's hints, which only a logout needs.
pub struct CachedSession {
    pub user: String,
    pub provider: String,
    /// The subject of the identity at the provider; `None` for local accounts and in records of earlier versions.
    pub subject: Option<Box<str>>,
    pub created: Timestamp,
    /// The time at which the user last authenticated; `None` if it is unknown.
    pub authenticated_at: Option<Timestamp>,
    /// The refresh of claims with the session's own token.
    pub refresh: RefreshMark,
    pub(super) generation: Generation,
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

/// A cached user.
pub struct CachedUser {
    pub id: String,
    /// As JSON. Values take eight times the memory, and they are needed only when the role map is evaluated.
    identities: Box<str>,
    /// The digests of the subjects and claims by which tokens find the user.
    token_digests: Box<[Digest]>,
    pub pinned: Option<PinnedGrant>,
    /// The time of the latest verification of any identity.
    pub verified: Timestamp,
    pub disabled: bool,
    pub(super) session_generation: Generation,
    pub(super) key_generation: Generation,
    /// The evaluation of these claims for sessions.
    pub session_evaluation: ArcSwapOption<Evaluation>,
    /// The evaluation of these claims for keys, whose claims have another maximum age.
    pub key_evaluation: ArcSwapOption<Evaluation>,
    /// The refresh of the claims of the identity that is due first.
    pub refresh: RefreshMark,
    /// The look-up in the directory that is due first.
    pub directory: RefreshMark,
    pub(super) read: ReadTime,
}

/// A key and its owner.
#[derive(Clone)]
pub struct UserKey {
    pub key: Arc<CachedKey>,
    pub user: Arc<CachedUser>,
}

/// A key that is active, with the keys that it was derived from, the oldest first. All of them are active too.
#[derive(Clone)]
pub struct ActiveKey {
    pub own: UserKey,
    pub ancestors: Vec<UserKey>,
}

/// A cached key.
pub struct CachedKey {
    pub key: ApiKey,
    /// The owner's grant within the restrictions of the key and its ancestors.
    pub grant: ArcSwapOption<RestrictedGrant>,
    /// The keys that this key was derived from, each with its digest in the cache.
    pub(super) ancestors: Box<[(Ancestor, Digest)]>,
    pub(super) read: ReadTime,
    pub(super) last_use: LastUse,
}

/// The time of a read from the store, and the number of flushes of its shard at that time.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadTime {
    pub at: Instant,
    pub flushes: u64,
}

/// The time of the last use. `writing`: a task is writing it to the store.
pub(super) struct LastUse {
    /// Unix time in milliseconds.
    at: AtomicI64,
    writing: AtomicBool,
}

impl CachedSession {
    pub(super) fn new(session: &Session, shard: Shard, read: ReadTime, max_age: &ClaimsMaxAge) -> Self {
        let refresh_due = session.refresh_token.as_ref().and_then(|token| max_age.token_due(&session.provider, token));
        Self {
            user: session.user.clone(),
            provider: session.provider.clone(),
            subject: session.subject.as_deref().map(Box::from),
            created: session.created,
            authenticated_at: session.authenticated_at,
            refresh: RefreshMark::new(refresh_due),
            generation: session.generation,
            shard,
            read,
            last_use: LastUse::new(session.last_seen),
        }
    }

    /// True if the session was opened with this identity, as far as its record says.
    pub fn is_of(&self, provider: &str, subject: &str) -> bool {
        *self.provider == *provider && self.subject.as_ref().is_none_or(|own| **own == *subject)
    }

    pub fn last_seen(&self) -> Timestamp {
        self.last_use.at()
    }
}

impl CachedUser {
    /// `evaluated` are the user's identities with the claims of a directory.
    pub(super) fn new(user: User, evaluated: &[IdentityClaims], read: ReadTime, max_age: &ClaimsMaxAge) -> Self {
        let (verified, disabled) = (user.verified(), user.is_disabled());
        // Without the identity of a user who has not signed in, which nothing can refresh.
        let dated = user.dated_identities();
        let refresh = RefreshMark::new(dated.iter().filter_map(|identity| max_age.refresh_due(identity)).min());
        let directory = RefreshMark::new(dated.iter().filter_map(|identity| max_age.directory_due(identity)).min());
        let identities = serde_json::to_string(evaluated).expect("claims are JSON").into();
        let token_digests = user.token_digests(evaluated).collect();
        let User { id, pinned, session_generation, key_generation, .. } = user;
        let (session_evaluation, key_evaluation) = Default::default();
        Self {
            id,
            identities,
            token_digests,
            pinned,
            verified,
            disabled,
            session_generation,
            key_generation,
            session_evaluation,
            key_evaluation,
            refresh,
            directory,
            read,
        }
    }

    /// The claims that identity providers have verified, each with the time of its verification, and those of the directory. A
    /// user who has not signed in has only the latter.
    pub fn identities(&self) -> Vec<IdentityClaims> {
        serde_json::from_str(&self.identities).expect("it was written from the same type")
    }

    /// True if the user's record has the subject or claim with this digest.
    pub(super) fn confirms(&self, digest: &Digest) -> bool {
        self.token_digests.contains(digest)
    }
}

impl CachedKey {
    pub(super) fn new(key: ApiKey, read: ReadTime) -> Self {
        let ancestors = key.ancestors().map(|ancestor| (ancestor, cache_digest(ancestor.id))).collect();
        let last_use = LastUse::new(key.last_used.unwrap_or(Timestamp::UNIX_EPOCH));
        Self { key, grant: ArcSwapOption::empty(), ancestors, read, last_use }
    }
}

/// Returns the digest under which the cache stores a key that is looked up by its id.
fn cache_digest(id: KeyId) -> Digest {
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
