//! Virtual API keys: making, listing, regenerating and ending them, and who may.
//!
//! A key's record lies in its owner's shard under the key's id, and is the truth about it; a small record
//! under the digest of each secret leads there. What changes together is one commit, so that a pod that
//! dies leaves nothing half. What a key gives is decided at each check, from its owner's grant then.

mod creation;
mod lifetime;
mod listing;
mod manager;
mod record;
mod restrictions;
mod secret;

pub use crate::store::ShardedId as KeyId;
pub use creation::Draft;
pub use lifetime::{Lasting, NoDuration};
pub use listing::Page;
pub use manager::{ManagedBy, Manager};
pub use record::{Key, Pointer, Standing};
pub use restrictions::{Limits, Narrow, is_alias};
pub use secret::{KeySecret, PREFIX, PresentedKey};

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use jiff::Timestamp;

use crate::{
    clock::{Clock, since},
    metrics::{KeyChange, Metrics},
    principal::Role,
    store::{self, Conflict, Records, StoredRecord},
};
use creation::put_key;
use listing::Roll;

/// Live keys that a person may have given to one application: one for each of their machines.
pub const MOST_OF_AN_APPLICATION: usize = 10;

/// How long a line of keys that made each other may be.
const MOST_ANCESTORS: usize = 4;

/// What narrows one key, by its makers and since.
const MOST_LIMITS: usize = 16;

/// Keys of one person that end in one commit.
const ENDED_AT_ONCE: usize = 50;

/// Use is written down only when so much time has passed since it last was.
pub const TOUCH_AFTER: Duration = Duration::from_secs(600);

/// What the operator set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Live keys of one person.
    pub max_per_user: usize,
    /// How long a key lasts whose maker didn't say.
    pub default_duration: Duration,
    pub max_duration: Duration,
    /// How long an old secret may count beside the new one.
    pub overlap_max: Duration,
    /// So long after their last sign-in a person's keys wait for the next.
    pub claims_max_age: Duration,
    /// How fresh a sign-in has to be for a new secret to be shown in that browser.
    pub sign_in_within: Duration,
    /// Who with one of these roles manages anybody's keys.
    pub admin_roles: Vec<Role>,
}

/// What a key is to be like. What it may not be it doesn't become: limits of its maker's come on top.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Whose it is to be; its maker's own when nobody is named.
    pub user: Option<String>,
    pub alias: Option<String>,
    pub lasting: Option<Lasting>,
    pub limits: Limits,
    pub manage_keys: bool,
    pub manage_people: bool,
    pub application: Option<String>,
}

impl Wish {
    pub fn may_manage_people(&self) -> bool {
        self.manage_people && self.limits.leave_people()
    }
}

/// A key and its secret, which nobody sees again.
#[derive(Debug)]
pub struct Made {
    pub key: Key,
    pub secret: KeySecret,
}

#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Or it isn't the manager's to know of.
    #[error("there is no such key")]
    NotFound,
    #[error("there is no such person")]
    NoSuchUser,
    #[error("the person is disabled")]
    Disabled,
    #[error("only administrators manage other people's keys")]
    NotAdministrator,
    #[error("the key was not made to manage keys")]
    NotManaging,
    #[error("the key that was presented has ended")]
    Ended,
    #[error("no role is granted to the maker")]
    NoRole,
    #[error("a key made by a key made by a key … goes too far")]
    TooDeep,
    #[error("the person has as many keys as are allowed")]
    Full,
    #[error("the duration is not within what is allowed")]
    Duration,
    #[error("the overlap is longer than is allowed")]
    Overlap,
    #[error("the key was narrowed too often")]
    TooOften,
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
            Self::NotManaging => "key_cannot_manage_keys",
            Self::Ended => "key_ended",
            Self::NoRole => "no_role",
            Self::TooDeep => "derivation_too_deep",
            Self::Full => "key_limit_reached",
            Self::Duration => "duration_not_allowed",
            Self::Overlap => "grace_period_not_allowed",
            Self::TooOften => "restricted_too_often",
            Self::Store(error) => error.reason(),
        }
    }
}

pub struct Keys {
    records: Records,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    settings: Settings,
}

impl Keys {
    pub fn new(records: Records, clock: Arc<dyn Clock>, metrics: Arc<Metrics>, settings: Settings) -> Self {
        Self { records, clock, metrics, settings }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether a sign-in at this moment of the past is fresh enough for a new secret.
    pub fn is_fresh(&self, signed_in: Timestamp) -> bool {
        since(signed_in, self.clock.now()) < self.settings.sign_in_within
    }

    /// Whole seconds until the key expires.
    pub fn remaining(&self, key: &Key) -> u64 {
        since(self.clock.now(), key.expires).as_secs()
    }

    /// A person's live keys after `after`, in the order in which they were made.
    pub async fn list(
        &self,
        manager: &Manager<'_>,
        user: Option<&str>,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<Page, KeysError> {
        manager.require_managing()?;
        let user = self.subject(manager, user)?;
        let visible = |key: &Key| self.may_end(manager, key);
        Roll::new(&self.records, user, self.clock.now()).page(after, limit, visible).await
    }

    /// Ends a key and all of its secrets on every pod, and with it what it has made.
    pub async fn revoke(&self, manager: &Manager<'_>, id: KeyId) -> Result<Key, KeysError> {
        manager.require_managing()?;
        let mut tries = 0;
        let revoked = store::retry(async || {
            tries += 1;
            let StoredRecord { value: key, version } =
                self.get(id).await?.filter(|key| self.may_end(manager, &key.value)).ok_or(KeysError::NotFound)?;
            let change = key.remove_from(self.records.change(id.shard()));
            // The last try wins against every other writer: a secret without a record counts for nothing.
            let change = if tries < store::TRIES { change.expect_version(&Key::place(id), version) } else { change };
            Ok::<_, KeysError>(change.commit().await?.map(|_| key))
        });
        let key = revoked.await?;
        self.metrics.key_changed(KeyChange::Revoked);
        tracing::info!(token_id = %id, user = key.user, by = manager.user, "key revoked");
        Ok(key)
    }

    /// Takes away from what a key gives, and what its owner's keys give that it has made: what held so far goes on to hold.
    pub async fn narrow(&self, manager: &Manager<'_>, id: KeyId, limits: &Limits) -> Result<Key, KeysError> {
        manager.require_managing()?;
        let narrowed = store::retry(async || {
            let stored = self.get(id).await?.filter(|key| self.may_end(manager, &key.value)).ok_or(KeysError::NotFound)?;
            match *limits == Limits::default() || stored.value.limits.contains(limits) {
                true => Ok(Ok(stored.value)),
                false => self.try_narrow(manager, stored, limits).await,
            }
        });
        narrowed.await
    }

    async fn try_narrow(
        &self,
        manager: &Manager<'_>,
        stored: StoredRecord<Key>,
        limits: &Limits,
    ) -> Result<Result<Key, Conflict>, KeysError> {
        let now = self.clock.now();
        let made = Roll::new(&self.records, &stored.value.user, now);
        let made = made.page(None, self.settings.max_per_user, |key| key.ancestors.contains(&stored.value.id)).await?.keys;
        let made = join_all(made.iter().map(|key| self.get(key.id))).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut change = self.records.change(stored.value.id.shard());
        let mut narrowed = Vec::new();
        for StoredRecord { value: mut key, version } in std::iter::once(stored).chain(made.into_iter().flatten()) {
            if key.limits.len() >= MOST_LIMITS {
                return Err(KeysError::TooOften);
            }
            key.limits.push(limits.clone());
            let place = Key::place(key.id);
            change = change.expect_version(&place, version).put(&place, &key, key.ttl(now)).revoke_key(&key.id.to_string());
            narrowed.push(key);
        }
        Ok(change.commit().await?.map(|_| {
            let key = narrowed.swap_remove(0);
            tracing::info!(token_id = %key.id, user = key.user, by = manager.user, "key restricted");
            key
        }))
    }

    /// Takes out all keys of a person who must not have any.
    pub async fn end_all(&self, user: &str) -> Result<(), KeysError> {
        loop {
            let page = Roll::new(&self.records, user, self.clock.now()).page(None, ENDED_AT_ONCE, |_| true).await?;
            let Some(first) = page.keys.first() else { return Ok(()) };
            let change = page.keys.iter().fold(self.records.change(first.id.shard()), |change, key| key.remove_from(change));
            let _ = change.commit().await?;
            page.keys.iter().for_each(|_| self.metrics.key_changed(KeyChange::Revoked));
        }
    }

    /// Gives a key another secret. The one before it counts for the overlap that is asked for, or no longer.
    pub async fn regenerate(&self, manager: &Manager<'_>, id: KeyId, overlap: Option<Lasting>) -> Result<Made, KeysError> {
        manager.require_managing()?;
        let now = self.clock.now();
        let until = overlap.map_or(Some(now), |overlap| overlap.after(now)).ok_or(KeysError::Overlap)?;
        if until > now + self.settings.overlap_max {
            return Err(KeysError::Overlap);
        }
        let regenerated = store::retry(async || {
            let stored = self.get(id).await?.filter(|key| self.may_regenerate(manager, &key.value)).ok_or(KeysError::NotFound)?;
            self.try_regenerate(manager, stored, until).await
        });
        let made = regenerated.await?;
        self.metrics.key_changed(KeyChange::Regenerated);
        tracing::info!(token_id = %id, user = made.key.user, by = manager.user, "key rotated");
        Ok(made)
    }

    /// Writes down that a key was used, unless it has changed or ended meanwhile.
    pub async fn touch(&self, id: KeyId) -> Result<Option<Timestamp>, KeysError> {
        let Some(StoredRecord { value: mut key, version }) = self.get(id).await? else { return Ok(None) };
        let now = self.clock.now();
        // Another pod may have written it down a moment ago.
        if let Some(used) = key.last_used.filter(|used| since(*used, now) < TOUCH_AFTER) {
            return Ok(Some(used));
        }
        key.last_used = Some(now);
        let place = Key::place(id);
        let change = self.records.change(id.shard()).expect_version(&place, version).put(&place, &key, key.ttl(now));
        Ok(change.commit().await?.is_ok().then_some(now))
    }

    async fn get(&self, id: KeyId) -> Result<Option<StoredRecord<Key>>, store::Error> {
        let stored = self.records.get::<Key>(&Key::place(id)).await?;
        let now = self.clock.now();
        Ok(stored.filter(|stored| !stored.value.has_expired(now)))
    }

    fn is_administrator(&self, manager: &Manager<'_>) -> bool {
        manager.role.is_some_and(|role| self.settings.admin_roles.contains(role))
    }

    /// Whose keys are meant.
    fn subject<'m>(&self, manager: &Manager<'m>, named: Option<&'m str>) -> Result<&'m str, KeysError> {
        match named {
            Some(other) if other != manager.user && !self.is_administrator(manager) => Err(KeysError::NotAdministrator),
            named => Ok(named.unwrap_or(manager.user)),
        }
    }

    /// In person: one's own keys. By a key: that one and what it has made. An administrator: any.
    fn may_end(&self, manager: &Manager<'_>, key: &Key) -> bool {
        self.is_administrator(manager) || manager.holds(key)
    }

    /// A key's new secret is shown to who asks, so that by a key no other is to be had that gives more; and what an
    /// administrator's key made for somebody else is theirs as long as they are an administrator.
    fn may_regenerate(&self, manager: &Manager<'_>, key: &Key) -> bool {
        match manager.by {
            ManagedBy::Person => manager.holds(key) || self.is_administrator(manager),
            _ => manager.holds(key) && (key.user == manager.user || self.is_administrator(manager)),
        }
    }

    async fn try_regenerate(
        &self,
        manager: &Manager<'_>,
        StoredRecord { value: mut key, version }: StoredRecord<Key>,
        until: Timestamp,
    ) -> Result<Result<Made, Conflict>, KeysError> {
        let now = self.clock.now();
        if let Some(ceiling) = self.ceiling_for(manager, &key.user)?.filter(|ceiling| !key.limits.contains(ceiling)) {
            key.limits.push(ceiling);
        }
        let secret = KeySecret::mint(key.id.shard());
        let renewed = key.renew(&secret.digest(), until, now);
        let change = self.records.change(key.id.shard()).expect_version(&Key::place(key.id), version);
        let change = renewed.gone.iter().fold(change, |change, place| change.delete(place));
        let pointer = Pointer { key: key.id };
        let change = renewed.ending.iter().fold(change, |change, (place, ttl)| change.put(place, &pointer, *ttl));
        let change = put_key(change, &key, &secret, now).revoke_key(&key.id.to_string());
        Ok(change.commit().await?.map(|_| Made { key, secret }))
    }
}

#[cfg(test)]
mod tests;
