//! Creates, lists, restricts, rotates and revokes virtual API keys.
//!
//! The record of a key is in its owner's shard under the key's id. A pointer record under the digest of each secret leads
//! to it. Records that change together are changed in one commit, so that a pod that dies leaves no partial change. The
//! grant of a key is computed at each check from the current grant of its owner.

pub mod app_requests;

mod authorization;
mod creation;
mod derivation;
mod lifetime;
mod listing;
mod manager;
mod path_lists;
mod record;
mod restrictions;
mod secret;

pub use crate::store::ShardedId as KeyId;
pub use creation::Draft;
pub use derivation::{Ancestor, DerivationGeneration};
pub use lifetime::{KeyDuration, KeyDurationError};
pub use listing::KeyPage;
pub use manager::{Manager, ManagerCredential};
pub use path_lists::{MAX_PATTERN_BYTES, MAX_PATTERNS};
pub use record::{ApiKey, Pointer, SecretStatus};
pub use restrictions::{CombinedRestrictions, Restrictions, is_alias};
pub use secret::{KeySecret, PresentedKey};

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    clock::{Clock, since},
    metrics::{KeyChange, Metrics},
    store::{self, Conflict, Records, StoredRecord},
    users::{Policy, PolicyDenial},
};
use authorization::ManagedKey;
use creation::put_key;
use listing::KeyIndex;
use path_lists::PathLists;

/// The maximum number of live keys of a user for one application. Each of the user's machines may need one.
pub const MAX_KEYS_PER_APPLICATION: usize = 10;

/// The maximum number of ancestors of a derived key.
const MAX_ANCESTORS: usize = 4;

/// The maximum number of restrictions of one key, without those of its ancestors.
const MAX_RESTRICTIONS: usize = 16;

/// A key that is younger than this is never revoked to make room for another, so that a burst of requests cannot end the keys
/// of an application.
const REPLACEABLE_AFTER: Duration = Duration::from_secs(60);

/// The number of keys of one user that are revoked in one commit.
const REVOKED_PER_COMMIT: usize = 50;

/// The minimum time between two writes of a key's `last_used`.
pub const TOUCH_AFTER: Duration = Duration::from_secs(600);

/// The `keys` section of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySettings {
    /// The maximum number of live keys of one user.
    pub max_per_user: usize,
    /// The lifetime of a key if the request has no duration.
    pub default_duration: Duration,
    pub max_duration: Duration,
    /// The maximum grace period, in which the previous secret is still valid after a rotation.
    pub overlap_max: Duration,
    /// Keys are suspended when their owner has not signed in for this long.
    pub claims_max_age: Duration,
    /// The maximum time since the user's authentication for a new secret to be shown in that browser.
    pub sign_in_within: Duration,
}

/// The parameters of a new key. The restrictions of its creator are added to its own.
#[derive(Debug, Clone, Default)]
pub struct KeyParameters {
    /// The owner. `None` for the creator.
    pub user: Option<String>,
    pub alias: Option<String>,
    pub duration: Option<KeyDuration>,
    pub restrictions: Restrictions,
    pub manage_keys: bool,
    pub manage_users: bool,
    pub application: Option<String>,
}

impl KeyParameters {
    pub fn can_manage_users(&self) -> bool {
        self.manage_users && self.restrictions.can_manage_users()
    }
}

/// The effects of a rotation on earlier credentials.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyRotation {
    /// The time for which the previous secret stays valid. `None` ends all previous secrets at once.
    pub grace_period: Option<KeyDuration>,
    pub derived_keys: DerivedKeys,
}

/// The derived keys of a key that is rotated without a grace period. With one they stay valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DerivedKeys {
    /// One of the previous secrets may have leaked, and have been used to derive keys.
    #[default]
    End,
    Keep,
}

/// A key and its new secret, which is shown only once.
#[derive(Debug)]
pub struct KeyWithSecret {
    pub key: ApiKey,
    pub secret: KeySecret,
}

#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The key does not exist, or the manager may not see it.
    #[error("there is no such key")]
    NotFound,
    #[error("there is no such user")]
    NoSuchUser,
    #[error("the user is disabled")]
    Disabled,
    #[error("only administrators may manage the keys of other users")]
    NotAdministrator,
    #[error(transparent)]
    Denied(#[from] PolicyDenial),
    #[error("the key is not permitted to manage keys")]
    NotManaging,
    #[error("the presented key has expired or was revoked")]
    Ended,
    #[error("the creator has no role")]
    NoRole,
    #[error("the key would have too many ancestors")]
    TooDeep,
    #[error("the user has the maximum number of keys")]
    Full,
    #[error("the duration is not within the allowed range")]
    Duration,
    #[error("the grace period is longer than allowed")]
    GracePeriod,
    #[error("the key has the maximum number of restrictions")]
    TooOften,
    #[error("the key and its ancestors would have too many path patterns")]
    TooManyPatterns,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl KeysError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "key_not_found",
            Self::NoSuchUser => "user_not_found",
            Self::Disabled => "user_disabled",
            Self::NotAdministrator => "not_administrator",
            Self::Denied(denial) => denial.reason(),
            Self::NotManaging => "key_cannot_manage_keys",
            Self::Ended => "key_ended",
            Self::NoRole => "no_role",
            Self::TooDeep => "derivation_too_deep",
            Self::Full => "key_limit_reached",
            Self::Duration => "duration_not_allowed",
            Self::GracePeriod => "grace_period_not_allowed",
            Self::TooOften => "restricted_too_often",
            Self::TooManyPatterns => "too_many_path_patterns",
            Self::Store(error) => error.reason(),
        }
    }
}

pub struct Keys {
    records: Records,
    policy: Arc<Policy>,
    settings: KeySettings,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Keys {
    pub fn new(
        records: Records,
        policy: Arc<Policy>,
        settings: KeySettings,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { records, policy, settings, clock, metrics }
    }

    pub fn settings(&self) -> &KeySettings {
        &self.settings
    }

    /// True if the user authenticated recently enough for a new secret to be shown. An unknown time is not recent.
    pub fn is_fresh(&self, authenticated_at: Option<Timestamp>) -> bool {
        authenticated_at.is_some_and(|at| since(at, self.clock.now()) < self.settings.sign_in_within)
    }

    /// Returns the number of whole seconds until the key expires.
    pub fn remaining(&self, key: &ApiKey) -> u64 {
        since(self.clock.now(), key.expires).as_secs()
    }

    /// Lists a user's live keys after `after`, in the order of their creation.
    pub async fn list(
        &self,
        manager: &Manager<'_>,
        user: Option<&str>,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<KeyPage, KeysError> {
        manager.require_managing()?;
        let user = user.unwrap_or(manager.user);
        let listable = self.listable(manager, user).await?;
        Ok(KeyIndex::new(&self.records, user, self.clock.now()).page(after, limit, listable).await?)
    }

    /// Counts a user's live keys.
    pub async fn count(&self, user: &str) -> Result<usize, store::Error> {
        let page = KeyIndex::new(&self.records, user, self.clock.now()).page(None, self.settings.max_per_user, |_| true).await?;
        Ok(page.keys.len())
    }

    /// Revokes a key with all of its secrets and derived keys, on every pod.
    pub async fn revoke(&self, manager: &Manager<'_>, id: KeyId) -> Result<ApiKey, KeysError> {
        manager.require_managing()?;
        let mut attempts = 0;
        let revoked = store::retry(async || {
            attempts += 1;
            let ManagedKey { stored: StoredRecord { value: key, version }, owner } = self.find_managed(manager, id).await?;
            let change = owner.add_to(key.remove_from(self.records.change(id.shard()))).as_revocation();
            // The last attempt does not expect the key's version. A secret without a record is invalid, so no other writer can undo it.
            let change = if attempts < store::TRIES { change.expect_version(&ApiKey::key(id), version) } else { change };
            Ok::<_, KeysError>(change.commit().await?.map(|_| key))
        });
        let key = revoked.await?;
        self.metrics.key_changed(KeyChange::Revoked);
        tracing::info!(token_id = %id, user = key.user, by = manager.user, "key revoked");
        Ok(key)
    }

    /// Adds restrictions to a key, which also apply to all keys that are derived from it. Earlier restrictions stay.
    pub async fn restrict(&self, manager: &Manager<'_>, id: KeyId, restrictions: &Restrictions) -> Result<ApiKey, KeysError> {
        manager.require_managing()?;
        let restricted = store::retry(async || {
            let managed = self.find_managed(manager, id).await?;
            self.try_restrict(manager, managed, restrictions).await
        });
        restricted.await
    }

    /// Returns the key with all restrictions of its ancestors.
    async fn try_restrict(
        &self,
        manager: &Manager<'_>,
        ManagedKey { stored: StoredRecord { value: mut key, version }, owner }: ManagedKey,
        restrictions: &Restrictions,
    ) -> Result<Result<ApiKey, Conflict>, KeysError> {
        let ancestors: Vec<_> = key.ancestors().collect();
        let lineage = self.read_lineage(&ancestors).await.map_err(|error| match error {
            // A derived key ends with its ancestors.
            KeysError::Ended => KeysError::NotFound,
            error => error,
        })?;
        if *restrictions == Restrictions::default() || key.restrictions.contains(restrictions) {
            key.inherit(lineage.keys());
            return Ok(Ok(key));
        }
        // A copy that an ancestor still has is not a restriction of this key.
        let own = key.restrictions.iter().filter(|own| lineage.restrictions().all(|inherited| inherited != *own));
        if own.count() >= MAX_RESTRICTIONS {
            return Err(KeysError::TooOften);
        }
        PathLists::require_budget(key.restrictions.iter().chain(lineage.restrictions()).chain([restrictions]))?;
        key.restrictions.push(restrictions.clone());
        let (now, record_key) = (self.clock.now(), ApiKey::key(key.id));
        let change = owner.add_to(self.records.change(key.id.shard())).expect_version(&record_key, version);
        let change = change.put(&record_key, &key, key.ttl(now)).revoke_key(&key.id.to_string());
        key.inherit(lineage.keys());
        Ok(change.commit().await?.map(|_| {
            tracing::info!(token_id = %key.id, user = key.user, by = manager.user, "key restricted");
            key
        }))
    }

    /// Revokes all keys of a user.
    pub async fn revoke_all(&self, user: &str) -> Result<(), KeysError> {
        loop {
            let page = KeyIndex::new(&self.records, user, self.clock.now()).page(None, REVOKED_PER_COMMIT, |_| true).await?;
            let Some(first) = page.keys.first() else { return Ok(()) };
            let change = page.keys.iter().fold(self.records.change(first.id.shard()), |change, key| key.remove_from(change));
            let _ = change.as_revocation().commit().await?;
            page.keys.iter().for_each(|_| self.metrics.key_changed(KeyChange::Revoked));
        }
    }

    /// Replaces the secret of a key. Without a grace period all previous secrets and, unless they are kept, all derived keys end
    /// in the same commit, at any depth and of any owner.
    pub async fn rotate(&self, manager: &Manager<'_>, id: KeyId, rotation: &KeyRotation) -> Result<KeyWithSecret, KeysError> {
        manager.require_managing()?;
        let now = self.clock.now();
        let until = rotation.grace_period.map_or(Some(now), |period| period.after(now)).ok_or(KeysError::GracePeriod)?;
        if until > now + self.settings.overlap_max {
            return Err(KeysError::GracePeriod);
        }
        let ends_derived = until <= now && rotation.derived_keys == DerivedKeys::End;
        let rotated = store::retry(async || {
            let mut managed = self.find_regenerable(manager, id).await?;
            if ends_derived {
                managed.stored.value.derivation = managed.stored.value.derivation.next(now);
            }
            self.try_rotate(manager, managed, until).await
        });
        let rotated = rotated.await?;
        self.metrics.key_changed(KeyChange::Rotated);
        let derived_keys = if ends_derived { "ended" } else { "kept" };
        tracing::info!(token_id = %id, user = rotated.key.user, by = manager.user, derived_keys, "key rotated");
        if ends_derived {
            self.remove_ended(&rotated.key.user).await;
        }
        Ok(rotated)
    }

    /// Deletes the records of derived keys that have ended. Pods of an earlier version do not compare generations, but find no
    /// record any more.
    async fn remove_ended(&self, user: &str) {
        if let Err(error) = self.count(user).await {
            tracing::debug!(%error, "ended keys not removed from index");
        }
    }

    /// Records the use of a key, unless it has changed or ended meanwhile.
    pub async fn touch(&self, id: KeyId) -> Result<Option<Timestamp>, KeysError> {
        let Some(StoredRecord { value: mut key, version }) = self.get(id).await? else { return Ok(None) };
        let now = self.clock.now();
        // Another pod may have recorded it a moment ago.
        if let Some(used) = key.last_used.filter(|used| since(*used, now) < TOUCH_AFTER) {
            return Ok(Some(used));
        }
        key.last_used = Some(now);
        let record_key = ApiKey::key(id);
        let change = self.records.change(id.shard()).expect_version(&record_key, version).put(&record_key, &key, key.ttl(now));
        Ok(change.commit().await?.is_ok().then_some(now))
    }

    async fn get(&self, id: KeyId) -> Result<Option<StoredRecord<ApiKey>>, store::Error> {
        let stored = self.records.get::<ApiKey>(&ApiKey::key(id)).await?;
        let now = self.clock.now();
        Ok(stored.filter(|stored| !stored.value.has_expired(now)))
    }

    async fn try_rotate(
        &self,
        manager: &Manager<'_>,
        ManagedKey { stored: StoredRecord { value: mut key, version }, owner }: ManagedKey,
        until: Timestamp,
    ) -> Result<Result<KeyWithSecret, Conflict>, KeysError> {
        let now = self.clock.now();
        if let Some(role) = manager.holder_role(&key.user)? {
            key.add_holder(role);
            let ceiling = Restrictions::ceiling(Some(role));
            if !key.restrictions.contains(&ceiling) {
                key.restrictions.push(ceiling);
            }
        }
        let secret = KeySecret::mint(key.id.shard());
        let pointers = key.replace_secret(&secret.digest(), until, now);
        let change = owner.add_to(self.records.change(key.id.shard())).expect_version(&ApiKey::key(key.id), version);
        let change = pointers.removed.iter().fold(change, |change, pointer_key| change.delete(pointer_key));
        let pointer = Pointer { key: key.id };
        let change = pointers.expiring.iter().fold(change, |change, (pointer_key, ttl)| change.put(pointer_key, &pointer, *ttl));
        let change = put_key(change, &key, &secret, now).revoke_key(&key.id.to_string());
        Ok(change.commit().await?.map(|_| KeyWithSecret { key, secret }))
    }
}

#[cfg(test)]
mod tests;
