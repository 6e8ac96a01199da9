//! Creates keys: drafts a key, removes keys in excess, and writes it in one commit.

use jiff::Timestamp;

use super::{
    ApiKey, DerivationGeneration, KeyDuration, KeyId, KeyParameters, KeySecret, KeyWithSecret, Keys, KeysError, MAX_ANCESTORS,
    MAX_KEYS_PER_APPLICATION, Manager, ManagerCredential, Pointer, REPLACEABLE_AFTER, Restrictions,
    listing::{IndexCleanup, KeyIndex},
    path_lists::PathLists,
    record::{KeyCreations, SecretEntry},
};
use crate::{
    clock,
    metrics::KeyChange,
    principal::Role,
    store::{self, Change, Conflict, StoredRecord},
    users::{self, Generation, User},
};

/// A key that is created by a sign-in of its owner, in the same commit.
pub struct Draft {
    created: KeyWithSecret,
    creations: CreationCount,
    cleanups: Vec<IndexCleanup>,
}

/// The user's counter of created keys as it was read. Its next value makes concurrent creations conflict.
struct CreationCount {
    stored: Option<StoredRecord<KeyCreations>>,
    /// The expiry of a key with the maximum lifetime.
    longest: Timestamp,
}

impl Draft {
    pub fn add_to<'a>(&mut self, change: Change<'a>, owner: &User, now: Timestamp) -> Change<'a> {
        self.created.key.generation = owner.key_generation;
        let change = self.creations.add_to(change, &self.created.key, now);
        let change = self.cleanups.drain(..).fold(change, |change, dead| dead.remove_from(change));
        put_new(change, &self.created, now)
    }
}

impl Keys {
    /// Creates a key. Fails without a change if the owner has the maximum number of keys.
    pub async fn create(&self, manager: &Manager<'_>, parameters: &KeyParameters) -> Result<KeyWithSecret, KeysError> {
        manager.require_managing()?;
        self.create_for_application(manager, parameters).await
    }

    /// Creates a key for the application in the parameters, and revokes its oldest keys beyond [`MAX_KEYS_PER_APPLICATION`].
    ///
    /// A key without the permission to manage keys may do this, since the derived key has no more rights, expires no later
    /// and ends with it.
    pub async fn create_for_application(
        &self,
        manager: &Manager<'_>,
        parameters: &KeyParameters,
    ) -> Result<KeyWithSecret, KeysError> {
        let owner = parameters.user.as_deref().unwrap_or(manager.user);
        let mut created = self.draft(manager, owner, parameters)?;
        let own = created.key.restrictions.clone();
        let ended = store::retry(async || {
            created.key.restrictions.clone_from(&own);
            self.try_create(manager, &mut created).await
        });
        let ended = ended.await?;
        self.metrics.key_changed(KeyChange::Created);
        tracing::info!(token_id = %created.key.id, user = owner, by = manager.user, parent = created.key.parent().map(tracing::field::display), "key created");
        for id in &ended {
            self.metrics.key_changed(KeyChange::Revoked);
            tracing::info!(token_id = %id, user = owner, by = manager.user, reason = "superseded", "key revoked");
        }
        Ok(created)
    }

    fn draft(&self, manager: &Manager<'_>, owner: &str, parameters: &KeyParameters) -> Result<KeyWithSecret, KeysError> {
        let now = self.clock.now();
        let shard = users::shard_of(owner);
        if owner != manager.user && self.policy.administrator(manager.user, manager.role).is_none() {
            return Err(KeysError::NotAdministrator);
        }
        let holder_role = manager.holder_role(owner)?;
        let ancestors = manager.key().map(ApiKey::with_ancestors).unwrap_or_default();
        if ancestors.len() > MAX_ANCESTORS {
            return Err(KeysError::TooDeep);
        }
        let (secret, expires) = (KeySecret::mint(shard), self.compute_expiry(manager, parameters.duration, now)?);
        let restrictions = std::iter::once(parameters.restrictions.clone())
            .chain(holder_role.map(|role| Restrictions::ceiling(Some(role))))
            .chain(manager.token_restrictions());
        let restrictions: Vec<_> = restrictions.filter(|restrictions| *restrictions != Restrictions::default()).collect();
        PathLists::require_budget(&restrictions)?;
        let mut key = ApiKey {
            id: KeyId::new(shard, now),
            user: owner.to_owned(),
            alias: parameters.alias.clone(),
            created: now,
            expires,
            restrictions,
            manage_keys: parameters.manage_keys,
            manage_users: parameters.manage_users && manager.can_manage_users(),
            ancestors: Vec::new(),
            ancestor_derivations: Vec::new(),
            derivation: DerivationGeneration::default(),
            created_by: Some(manager.user.to_owned()),
            holder_roles: holder_role.cloned().into_iter().collect(),
            by_token: matches!(manager.by, ManagerCredential::Jwt { .. }),
            application: parameters.application.clone(),
            generation: Generation::default(),
            last_used: None,
            secrets: vec![SecretEntry::new(&secret.digest())],
        };
        key.set_ancestors(&ancestors);
        Ok(KeyWithSecret { key, secret })
    }

    fn compute_expiry(
        &self,
        manager: &Manager<'_>,
        duration: Option<KeyDuration>,
        now: Timestamp,
    ) -> Result<Timestamp, KeysError> {
        let wanted = match duration {
            None => now + self.settings.default_duration.min(self.settings.max_duration),
            Some(duration) => duration.after(now).ok_or(KeysError::Duration)?,
        };
        if wanted <= now || wanted > now + self.settings.max_duration {
            return Err(KeysError::Duration);
        }
        Ok(manager.expires().map_or(wanted, |end| wanted.min(end)))
    }

    /// Drafts a key that a sign-in of this user adds to its commit.
    pub async fn draft_for(&self, user: &str, role: &Role, parameters: &KeyParameters) -> Result<Draft, KeysError> {
        let manager = Manager { user, role: Some(role), by: ManagerCredential::Session };
        let created = self.draft(&manager, user, parameters)?;
        // The counter is read before the keys, so that any key that is created meanwhile causes a conflict.
        let creations = self.read_creations(user).await?;
        let (_, cleanups) = self.make_room(&manager, &created.key, self.clock.now()).await?;
        Ok(Draft { created, creations, cleanups })
    }

    /// Records that the commit with the drafted key succeeded.
    pub fn record_creation(&self, draft: Draft) -> KeyWithSecret {
        self.metrics.key_changed(KeyChange::Created);
        let key = &draft.created.key;
        tracing::info!(token_id = %key.id, user = key.user, by = key.created_by, "key created");
        draft.created
    }

    async fn try_create(
        &self,
        manager: &Manager<'_>,
        created: &mut KeyWithSecret,
    ) -> Result<Result<Vec<KeyId>, Conflict>, KeysError> {
        let now = self.clock.now();
        let owner = User::key(&created.key.user);
        let ancestors: Vec<_> = created.key.ancestors().collect();
        let (user, creations, lineage) =
            tokio::join!(self.records.get::<User>(&owner), self.read_creations(&created.key.user), self.read_lineage(&ancestors));
        let (user, creations, lineage) = (user?.ok_or(KeysError::NoSuchUser)?, creations?, lineage?);
        if created.key.user != manager.user {
            self.require_rank(manager, &user.value)?;
        }
        if user.value.is_disabled() {
            return Err(KeysError::Disabled);
        }
        created.key.generation = user.value.key_generation;
        // Checks evaluate the restrictions of the ancestors themselves. Pods of an earlier version know only this copy.
        created.key.inherit(lineage.keys());
        PathLists::require_budget(&created.key.restrictions)?;
        let change = self.records.change(created.key.id.shard()).expect_version(&owner, user.version);
        let change = lineage.add_to(change, created.key.id.shard());
        let (ended, cleanups) = self.make_room(manager, &created.key, now).await?;
        let change = creations.add_to(change, &created.key, now);
        let change = cleanups.into_iter().fold(change, |change, dead| dead.remove_from(change));
        Ok(put_new(change, created, now).commit().await?.map(|_| ended))
    }

    /// Returns the keys to revoke and the index entries to remove for the new key: dead entries, the oldest keys of its
    /// application, and the oldest application keys that the same key or token has created. The last limit keeps a key or
    /// token from using up the owner's maximum. Young keys are never revoked: if there are too many, the creation fails.
    async fn make_room(
        &self,
        manager: &Manager<'_>,
        key: &ApiKey,
        now: Timestamp,
    ) -> Result<(Vec<KeyId>, Vec<IndexCleanup>), KeysError> {
        let (mut ended, mut cleanups) = (Vec::new(), Vec::new());
        let is_replaceable = |old: &ApiKey| clock::since(old.created, now) >= REPLACEABLE_AFTER;
        if let Some(application) = key.application.as_deref() {
            let index = KeyIndex::of_application(&self.records, &key.user, application, now);
            let can_revoke = |old: &ApiKey| is_replaceable(old) && manager.can_replace(old);
            let (excess, dead) = index.find_excess(MAX_KEYS_PER_APPLICATION, |_| true, can_revoke).await?;
            ended = excess.iter().map(|key| key.id).collect();
            cleanups.extend([dead, IndexCleanup::of_keys(&key.user, excess)]);
            if !matches!(manager.by, ManagerCredential::Session) {
                let is_application_key =
                    |old: &ApiKey| !ended.contains(&old.id) && old.application.is_some() && manager.can_replace(old);
                let index = KeyIndex::new(&self.records, &key.user, now);
                let (excess, dead) = index.find_excess(MAX_KEYS_PER_APPLICATION, is_application_key, is_replaceable).await?;
                ended.extend(excess.iter().map(|key| key.id));
                cleanups.extend([dead, IndexCleanup::of_keys(&key.user, excess)]);
            }
        }
        let most = self.settings.max_per_user + ended.len();
        cleanups.push(KeyIndex::new(&self.records, &key.user, now).require_room(most).await?);
        Ok((ended, cleanups))
    }

    async fn read_creations(&self, user: &str) -> Result<CreationCount, store::Error> {
        let stored = self.records.get::<KeyCreations>(&KeyCreations::key(user)).await?;
        Ok(CreationCount { stored, longest: self.clock.now() + self.settings.max_duration })
    }
}

impl CreationCount {
    fn add_to<'a>(&self, change: Change<'a>, created: &ApiKey, now: Timestamp) -> Change<'a> {
        let key = KeyCreations::key(&created.user);
        let change = match &self.stored {
            None => change.expect_absent(&key),
            Some(stored) => change.expect_version(&key, stored.version),
        };
        let counted = KeyCreations::with(self.stored.as_ref().map(|stored| &stored.value), created, self.longest);
        change.put(&key, &counted, counted.ttl(now))
    }
}

fn put_new<'a>(change: Change<'a>, created: &KeyWithSecret, now: Timestamp) -> Change<'a> {
    let (id, ttl) = (created.key.id.to_string(), created.key.ttl(now));
    let change = put_key(change, &created.key, &created.secret, now);
    created.key.indices().fold(change, |change, index| change.index_add(&index, &id, ttl))
}

pub(super) fn put_key<'a>(change: Change<'a>, key: &ApiKey, secret: &KeySecret, now: Timestamp) -> Change<'a> {
    let pointer = Pointer::key(key.id.shard(), &secret.digest());
    let ttl = key.ttl(now);
    change.put(&ApiKey::key(key.id), key, ttl).put(&pointer, &Pointer { key: key.id }, ttl)
}
