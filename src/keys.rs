//! Virtual API keys: making, listing, regenerating and ending them, and who may.
//!
//! A key's record lies in its owner's shard under the key's id, and is the truth about it; a small record
//! under the digest of each secret leads there. What changes together is one commit, so that a pod that
//! dies leaves nothing half. What a key gives is decided at each check, from its owner's grant then.

mod key;
mod lasting;
mod limits;
mod listing;
mod secret;

pub use key::{Key, KeyId, Pointer, Standing};
pub use lasting::{Lasting, NoDuration};
pub use limits::{Limits, Narrow, is_alias};
pub use listing::Page;
pub use secret::{KeySecret, PREFIX, Presented};

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    clock::{Clock, since},
    metrics::{KeyChange, Metrics},
    principal::Role,
    secret::random_bytes,
    store::{Change, Conflict, Failed, ReadError, Records, Stored, Version},
    users::{self, User},
};
use key::{KeysOf, Secret};
use listing::Roll;

/// Several pods may change a person's keys at once; a few rounds settle it.
const TRIES: u32 = 16;

/// Live keys that a person may have given to one application: one for each of their machines.
pub const MOST_OF_AN_APPLICATION: usize = 10;

/// How long a line of keys that made each other may be.
const MOST_ANCESTORS: usize = 4;

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

/// Who manages keys, and by what they were recognised.
#[derive(Debug, Clone)]
pub struct Manager<'a> {
    pub user: &'a str,
    /// What the role map, and the key if there is one, leave them at this moment.
    pub role: Option<&'a Role>,
    pub by: ManagedBy<'a>,
}

/// What a manager presented.
#[derive(Debug, Clone)]
pub enum ManagedBy<'a> {
    /// A session: they are there in person.
    Person,
    Key(&'a Key),
    /// A token of an issuer's: when it ends, and what it gives, which nothing may exceed that is made by it.
    Token {
        expires: Timestamp,
        limits: Limits,
    },
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
    pub application: Option<String>,
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
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] Failed),
    #[error("the person's keys kept changing")]
    Contended,
}

pub struct Keys {
    records: Records,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    settings: Settings,
}

/// What a commit expects of the key by which another is made.
type Parent = Option<(crate::store::Key, Version)>;

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

    /// Makes a key. Once its owner may have no more, nothing is written.
    pub async fn make(&self, manager: &Manager<'_>, wish: &Wish) -> Result<Made, KeysError> {
        manager.require_managing()?;
        self.make_and_end(manager, wish).await.map(|(made, _)| made)
    }

    /// Makes a key for the application that the wish names, and ends its oldest ones beyond [`MOST_OF_AN_APPLICATION`].
    ///
    /// A key needs no leave to manage keys for it: this one is no wider, no longer-lived, and ends with it.
    pub async fn make_for_application(&self, manager: &Manager<'_>, wish: &Wish) -> Result<(Made, Vec<KeyId>), KeysError> {
        self.make_and_end(manager, wish).await
    }

    /// Whole seconds until the key expires.
    pub fn remaining(&self, key: &Key) -> u64 {
        since(self.clock.now(), key.expires).as_secs()
    }

    async fn make_and_end(&self, manager: &Manager<'_>, wish: &Wish) -> Result<(Made, Vec<KeyId>), KeysError> {
        let owner = self.subject(manager, wish.user.as_deref())?;
        let made = self.draft(manager, owner, wish)?;
        for round in 0..TRIES {
            if let Ok(ended) = self.try_make(manager, &made).await? {
                self.metrics.key_changed(KeyChange::Made);
                tracing::info!(token_id = %made.key.id, user = owner, by = manager.user, parent = made.key.parent().map(tracing::field::display), "key made");
                for id in &ended {
                    self.metrics.key_changed(KeyChange::Revoked);
                    tracing::info!(token_id = %id, user = owner, "key revoked: its application has newer ones");
                }
                return Ok((made, ended));
            }
            give_way(round).await;
        }
        Err(KeysError::Contended)
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
        for round in 1..=TRIES {
            let Stored { value: key, version } =
                self.get(id).await?.filter(|key| self.may_end(manager, &key.value)).ok_or(KeysError::NotFound)?;
            let change = key.remove_from(self.records.change(id.shard()));
            // Whatever else becomes of the record meanwhile, it ends: a secret without a record counts for nothing.
            let change = if round < TRIES { change.expect_version(&Key::place(id), version) } else { change };
            if change.commit().await?.is_ok() {
                self.metrics.key_changed(KeyChange::Revoked);
                tracing::info!(token_id = %id, user = key.user, by = manager.user, "key revoked");
                return Ok(key);
            }
            give_way(round).await;
        }
        Err(KeysError::Contended)
    }

    /// Gives a key another secret. The one before it counts for the overlap that is asked for, or no longer.
    pub async fn regenerate(&self, manager: &Manager<'_>, id: KeyId, overlap: Option<Lasting>) -> Result<Made, KeysError> {
        manager.require_managing()?;
        let now = self.clock.now();
        let until = overlap.map_or(Some(now), |overlap| overlap.after(now)).ok_or(KeysError::Overlap)?;
        if until > now + self.settings.overlap_max {
            return Err(KeysError::Overlap);
        }
        for round in 0..TRIES {
            let stored = self.get(id).await?.filter(|key| self.may_regenerate(manager, &key.value)).ok_or(KeysError::NotFound)?;
            if let Ok(made) = self.try_regenerate(manager, stored, until).await? {
                self.metrics.key_changed(KeyChange::Regenerated);
                tracing::info!(token_id = %id, user = made.key.user, by = manager.user, "key regenerated");
                return Ok(made);
            }
            give_way(round).await;
        }
        Err(KeysError::Contended)
    }

    /// Writes down that a key was used, unless it has changed or ended meanwhile.
    pub async fn touch(&self, id: KeyId) -> Result<Option<Timestamp>, KeysError> {
        let Some(Stored { value: mut key, version }) = self.get(id).await? else { return Ok(None) };
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

    async fn get(&self, id: KeyId) -> Result<Option<Stored<Key>>, ReadError> {
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

    fn draft(&self, manager: &Manager<'_>, owner: &str, wish: &Wish) -> Result<Made, KeysError> {
        let now = self.clock.now();
        let shard = users::shard_of(owner);
        let ancestors = manager.key().map(Key::with_ancestors).unwrap_or_default();
        if ancestors.len() > MOST_ANCESTORS {
            return Err(KeysError::TooDeep);
        }
        let (secret, expires) = (KeySecret::mint(shard), self.expiry(manager, wish.lasting, now)?);
        let limits = std::iter::once(wish.limits.clone()).chain(self.ceiling_for(manager, owner)?).chain(manager.limits());
        let key = Key {
            id: KeyId::new(shard, now),
            user: owner.to_owned(),
            alias: wish.alias.clone(),
            created: now,
            expires,
            limits: limits.filter(|limits| *limits != Limits::default()).collect(),
            manage_keys: wish.manage_keys,
            ancestors,
            by_token: matches!(manager.by, ManagedBy::Token { .. }),
            application: wish.application.clone(),
            last_used: None,
            secrets: vec![Secret::new(&secret.digest())],
        };
        Ok(Made { key, secret })
    }

    fn expiry(&self, manager: &Manager<'_>, lasting: Option<Lasting>, now: Timestamp) -> Result<Timestamp, KeysError> {
        let wanted = match lasting {
            None => now + self.settings.default_duration.min(self.settings.max_duration),
            Some(lasting) => lasting.after(now).ok_or(KeysError::Duration)?,
        };
        if wanted <= now || wanted > now + self.settings.max_duration {
            return Err(KeysError::Duration);
        }
        Ok(manager.expires().map_or(wanted, |end| wanted.min(end)))
    }

    /// Who gets the secret of somebody else's key gets no higher role by it than their own.
    fn ceiling_for(&self, manager: &Manager<'_>, owner: &str) -> Result<Option<Limits>, KeysError> {
        let role = manager.role.ok_or(KeysError::NoRole)?;
        Ok((owner != manager.user).then(|| Limits::ceiling(Some(role))))
    }

    async fn try_make(&self, manager: &Manager<'_>, made: &Made) -> Result<Result<Vec<KeyId>, Conflict>, KeysError> {
        let (key, now) = (&made.key, self.clock.now());
        let (owner, turn) = (User::key(&key.user), KeysOf::place(&key.user));
        let (user, turn, parent) =
            tokio::join!(self.records.get::<User>(&owner), self.records.get::<KeysOf>(&turn), self.parent(manager, key));
        let (user, turn, parent) = (user?.ok_or(KeysError::NoSuchUser)?, turn?, parent?);
        if user.value.disabled {
            return Err(KeysError::Disabled);
        }
        let change = self.records.change(key.id.shard()).expect_version(&owner, user.version);
        let change = parent.iter().fold(change, |change, (place, version)| change.expect_version(place, *version));
        // The turn was known before: whoever makes a key from then on takes it away.
        let (ended, change) = self.make_room(manager, take_turn(change, &key.user, turn), key, now).await?;
        let change = put_key(change, key, &made.secret, now);
        let (id, ttl) = (key.id.to_string(), key.ttl(now));
        let change = key.indices().fold(change, |change, index| change.index_add(&index, &id, ttl));
        Ok(change.commit().await?.map(|_| ended))
    }

    /// Takes out what is dead, and what an application has too many of.
    async fn make_room<'a>(
        &self,
        manager: &Manager<'_>,
        change: Change<'a>,
        key: &Key,
        now: Timestamp,
    ) -> Result<(Vec<KeyId>, Change<'a>), KeysError> {
        let (mut ended, mut change) = (Vec::new(), change);
        if let Some(application) = key.application.as_deref() {
            let roll = Roll::of_application(&self.records, &key.user, application, now);
            let (outgrown, dead) = roll.outgrown(MOST_OF_AN_APPLICATION, |old| manager.may_replace(old)).await?;
            change = outgrown.iter().fold(dead.remove_from(change), |change, key| key.remove_from(change));
            ended = outgrown.iter().map(|key| key.id).collect();
        }
        let most = self.settings.max_per_user + ended.len();
        let dead = Roll::new(&self.records, &key.user, now).make_room(most).await?;
        Ok((ended, dead.remove_from(change)))
    }

    /// The key by which another is made has to be there still; in another shard than the new key's it
    /// can't be expected, and is looked at again at each use.
    async fn parent(&self, manager: &Manager<'_>, key: &Key) -> Result<Parent, KeysError> {
        let Some(parent) = manager.key() else { return Ok(None) };
        let stored = self.get(parent.id).await?.ok_or(KeysError::Ended)?;
        Ok((parent.id.shard() == key.id.shard()).then(|| (Key::place(parent.id), stored.version)))
    }

    async fn try_regenerate(
        &self,
        manager: &Manager<'_>,
        Stored { value: mut key, version }: Stored<Key>,
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

impl Manager<'_> {
    fn require_managing(&self) -> Result<(), KeysError> {
        match self.by {
            ManagedBy::Person => Ok(()),
            ManagedBy::Key(key) if key.manage_keys => Ok(()),
            ManagedBy::Key(_) | ManagedBy::Token { .. } => Err(KeysError::NotManaging),
        }
    }

    /// The key by which others are made or ended.
    fn key(&self) -> Option<&Key> {
        match self.by {
            ManagedBy::Key(key) => Some(key),
            ManagedBy::Person | ManagedBy::Token { .. } => None,
        }
    }

    /// When what is made ends at the latest.
    fn expires(&self) -> Option<Timestamp> {
        match &self.by {
            ManagedBy::Person => None,
            ManagedBy::Key(key) => Some(key.expires),
            ManagedBy::Token { expires, .. } => Some(*expires),
        }
    }

    /// What narrows everything that is made.
    fn limits(&self) -> Vec<Limits> {
        match &self.by {
            ManagedBy::Person => Vec::new(),
            ManagedBy::Key(key) => key.limits.clone(),
            ManagedBy::Token { limits, .. } => vec![limits.clone()],
        }
    }

    /// Whether a key may go so that there is room for a new one. Not in person only what was made in the same way goes:
    /// by a key never the key itself or what made it, with which the new one would be dead at once, and never what the
    /// person gave elsewhere.
    fn may_replace(&self, old: &Key) -> bool {
        match self.by {
            ManagedBy::Person => true,
            ManagedBy::Key(own) => old.ancestors.contains(&own.id),
            ManagedBy::Token { .. } => old.by_token,
        }
    }

    /// Whether a key is theirs, or their key's.
    fn holds(&self, key: &Key) -> bool {
        match self.by {
            ManagedBy::Person => key.user == self.user,
            ManagedBy::Key(own) => key.id == own.id || key.ancestors.contains(&own.id),
            ManagedBy::Token { .. } => false,
        }
    }
}

impl Key {
    /// The line of a key that this one makes.
    fn with_ancestors(&self) -> Vec<KeyId> {
        self.ancestors.iter().copied().chain([self.id]).collect()
    }
}

/// Whoever makes a key of the same person at the same time finds that it isn't their turn any more.
fn take_turn<'a>(change: Change<'a>, user: &str, turn: Option<Stored<KeysOf>>) -> Change<'a> {
    let place = KeysOf::place(user);
    let made = turn.as_ref().map_or(0, |turn| turn.value.made) + 1;
    let change = match turn {
        None => change.expect_absent(&place),
        Some(turn) => change.expect_version(&place, turn.version),
    };
    change.put(&place, &KeysOf { made }, crate::store::Ttl::Forever)
}

fn put_key<'a>(change: Change<'a>, key: &Key, secret: &KeySecret, now: Timestamp) -> Change<'a> {
    let pointer = Pointer::place(key.id.shard(), &secret.digest());
    let ttl = key.ttl(now);
    change.put(&Key::place(key.id), key, ttl).put(&pointer, &Pointer { key: key.id }, ttl)
}

/// For a random while that grows, up to some 30 ms, so that those who met don't meet again.
async fn give_way(round: u32) {
    let [random] = random_bytes::<1>();
    tokio::time::sleep(Duration::from_micros(u64::from(random) << (2 + round).min(7))).await;
}

#[cfg(test)]
mod tests;
