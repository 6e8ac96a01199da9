//! How a key is made: drafted, given room and its turn, and written with whatever else its commit is for.

use jiff::Timestamp;

use super::{
    Key, KeyId, KeySecret, Keys, KeysError, Lasting, Limits, MOST_ANCESTORS, MOST_OF_AN_APPLICATION, Made, ManagedBy, Manager,
    Pointer, Wish,
    listing::{Dead, Roll},
    record::{KeysOf, Secret},
};
use crate::{
    epoch::Generation,
    metrics::KeyChange,
    principal::Role,
    store::{self, Change, Conflict, StoredRecord, Version},
    users::{self, User},
};

/// What a commit expects of the key by which another is made.
type Parent = Option<(store::Key, Version)>;

/// A key that is made by its owner's own sign-in, in the same commit.
pub struct Draft {
    made: Made,
    turn: Option<StoredRecord<KeysOf>>,
    room: Vec<Dead>,
}

impl Draft {
    pub fn add_to<'a>(&mut self, change: Change<'a>, owner: &User, now: Timestamp) -> Change<'a> {
        self.made.key.generation = owner.key_generation;
        let change = take_turn(change, &owner.id, self.turn.take());
        let change = self.room.drain(..).fold(change, |change, dead| dead.remove_from(change));
        put_new(change, &self.made, now)
    }
}

impl Keys {
    /// Makes a key. Once its owner may have no more, nothing is written.
    pub async fn make(&self, manager: &Manager<'_>, wish: &Wish) -> Result<Made, KeysError> {
        manager.require_managing()?;
        self.make_for_application(manager, wish).await
    }

    /// Makes a key for the application that the wish names, and ends its oldest ones beyond [`MOST_OF_AN_APPLICATION`].
    ///
    /// A key needs no leave to manage keys for it: this one is no wider, no longer-lived, and ends with it.
    pub async fn make_for_application(&self, manager: &Manager<'_>, wish: &Wish) -> Result<Made, KeysError> {
        let owner = self.subject(manager, wish.user.as_deref())?;
        let mut made = self.draft(manager, owner, wish)?;
        let ended = store::retry(async || self.try_make(manager, &mut made).await).await?;
        self.metrics.key_changed(KeyChange::Made);
        tracing::info!(token_id = %made.key.id, user = owner, by = manager.user, parent = made.key.parent().map(tracing::field::display), "key created");
        for id in &ended {
            self.metrics.key_changed(KeyChange::Revoked);
            tracing::info!(token_id = %id, user = owner, by = manager.user, reason = "superseded", "key revoked");
        }
        Ok(made)
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
            manage_people: wish.manage_people && manager.may_manage_people(),
            ancestors,
            by_token: matches!(manager.by, ManagedBy::Token { .. }),
            application: wish.application.clone(),
            generation: Generation::default(),
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
    pub(super) fn ceiling_for(&self, manager: &Manager<'_>, owner: &str) -> Result<Option<Limits>, KeysError> {
        let role = manager.role.ok_or(KeysError::NoRole)?;
        Ok((owner != manager.user).then(|| Limits::ceiling(Some(role))))
    }

    /// A key for somebody whose sign-in it is to become a part of.
    pub async fn draft_for(&self, user: &str, role: &Role, wish: &Wish) -> Result<Draft, KeysError> {
        let manager = Manager { user, role: Some(role), by: ManagedBy::Person };
        let made = self.draft(&manager, user, wish)?;
        // The turn before the room: whoever makes a key from then on takes it away.
        let turn = self.records.get::<KeysOf>(&KeysOf::place(user)).await?;
        let (_, room) = self.make_room(&manager, &made.key, self.clock.now()).await?;
        Ok(Draft { made, turn, room })
    }

    /// That the commit with a drafted key was made.
    pub fn made(&self, draft: Draft) -> Made {
        self.metrics.key_changed(KeyChange::Made);
        tracing::info!(token_id = %draft.made.key.id, user = draft.made.key.user, "key created");
        draft.made
    }

    async fn try_make(&self, manager: &Manager<'_>, made: &mut Made) -> Result<Result<Vec<KeyId>, Conflict>, KeysError> {
        let now = self.clock.now();
        let (owner, turn) = (User::key(&made.key.user), KeysOf::place(&made.key.user));
        let (user, turn, parent) =
            tokio::join!(self.records.get::<User>(&owner), self.records.get::<KeysOf>(&turn), self.parent(manager, &made.key));
        let (user, turn, parent) = (user?.ok_or(KeysError::NoSuchUser)?, turn?, parent?);
        if user.value.disabled {
            return Err(KeysError::Disabled);
        }
        made.key.generation = user.value.key_generation;
        let change = self.records.change(made.key.id.shard()).expect_version(&owner, user.version);
        let change = parent.iter().fold(change, |change, (place, version)| change.expect_version(place, *version));
        let (ended, room) = self.make_room(manager, &made.key, now).await?;
        let change = room.into_iter().fold(take_turn(change, &made.key.user, turn), |change, dead| dead.remove_from(change));
        Ok(put_new(change, made, now).commit().await?.map(|_| ended))
    }

    /// What has to go for the new key: what is dead, what an application has too many of, and what a key or a token has made
    /// too many of for whatever application, lest it use up what its owner may have.
    async fn make_room(&self, manager: &Manager<'_>, key: &Key, now: Timestamp) -> Result<(Vec<KeyId>, Vec<Dead>), KeysError> {
        let (mut ended, mut room) = (Vec::new(), Vec::new());
        if let Some(application) = key.application.as_deref() {
            let roll = Roll::of_application(&self.records, &key.user, application, now);
            let (outgrown, dead) = roll.outgrown(MOST_OF_AN_APPLICATION, |_| true, |old| manager.may_replace(old)).await?;
            ended = outgrown.iter().map(|key| key.id).collect();
            room.extend([dead, Dead::of_keys(&key.user, outgrown)]);
            if !matches!(manager.by, ManagedBy::Person) {
                let of_others = |old: &Key| !ended.contains(&old.id) && old.application.is_some() && manager.may_replace(old);
                let roll = Roll::new(&self.records, &key.user, now);
                let (outgrown, dead) = roll.outgrown(MOST_OF_AN_APPLICATION, of_others, |_| true).await?;
                ended.extend(outgrown.iter().map(|key| key.id));
                room.extend([dead, Dead::of_keys(&key.user, outgrown)]);
            }
        }
        let most = self.settings.max_per_user + ended.len();
        room.push(Roll::new(&self.records, &key.user, now).make_room(most).await?);
        Ok((ended, room))
    }

    /// The key by which another is made has to be there still; in another shard than the new key's it
    /// can't be expected, and is looked at again at each use.
    async fn parent(&self, manager: &Manager<'_>, key: &Key) -> Result<Parent, KeysError> {
        let Some(parent) = manager.key() else { return Ok(None) };
        let stored = self.get(parent.id).await?.ok_or(KeysError::Ended)?;
        Ok((parent.id.shard() == key.id.shard()).then(|| (Key::place(parent.id), stored.version)))
    }
}

impl Key {
    /// The line of a key that this one makes.
    fn with_ancestors(&self) -> Vec<KeyId> {
        self.ancestors.iter().copied().chain([self.id]).collect()
    }
}

/// Whoever makes a key of the same person at the same time finds that it isn't their turn any more.
fn take_turn<'a>(change: Change<'a>, user: &str, turn: Option<StoredRecord<KeysOf>>) -> Change<'a> {
    let place = KeysOf::place(user);
    let made = turn.as_ref().map_or(0, |turn| turn.value.made) + 1;
    let change = match turn {
        None => change.expect_absent(&place),
        Some(turn) => change.expect_version(&place, turn.version),
    };
    change.put(&place, &KeysOf { made }, store::Ttl::Forever)
}

fn put_new<'a>(change: Change<'a>, made: &Made, now: Timestamp) -> Change<'a> {
    let (id, ttl) = (made.key.id.to_string(), made.key.ttl(now));
    let change = put_key(change, &made.key, &made.secret, now);
    made.key.indices().fold(change, |change, index| change.index_add(&index, &id, ttl))
}

pub(super) fn put_key<'a>(change: Change<'a>, key: &Key, secret: &KeySecret, now: Timestamp) -> Change<'a> {
    let pointer = Pointer::place(key.id.shard(), &secret.digest());
    let ttl = key.ttl(now);
    change.put(&Key::place(key.id), key, ttl).put(&pointer, &Pointer { key: key.id }, ttl)
}
