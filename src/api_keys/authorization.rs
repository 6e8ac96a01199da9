//! Authorizes actions on keys: users manage their own keys, and administrators those of users without a higher role.

use super::{ApiKey, KeyId, Keys, KeysError, Manager, ManagerCredential};
use crate::{
    store::{self, Change, StoredRecord, Version},
    users::User,
};

/// A key that a manager may change.
pub(super) struct ManagedKey {
    pub stored: StoredRecord<ApiKey>,
    pub owner: OwnerPrecondition,
}

/// The record of the owner that the manager's right was checked against. `None` for a user's own keys, where no role is
/// compared.
#[derive(Clone)]
pub(super) struct OwnerPrecondition(Option<(store::RecordKey, Version)>);

impl OwnerPrecondition {
    /// Adds the precondition that the owner still has the role that was compared.
    pub(super) fn add_to<'a>(&self, change: Change<'a>) -> Change<'a> {
        self.0.iter().fold(change, |change, (key, version)| change.expect_version(key, *version))
    }
}

impl Keys {
    /// Finds a key that the manager may restrict and revoke.
    pub(super) async fn find_managed(&self, manager: &Manager<'_>, id: KeyId) -> Result<ManagedKey, KeysError> {
        let stored = self.get(id).await?.ok_or(KeysError::NotFound)?;
        if stored.value.user == manager.user && manager.has_access_to(&stored.value) {
            return Ok(ManagedKey { stored, owner: OwnerPrecondition(None) });
        }
        let owner = self.authorize_administrator(manager, &stored.value.user).await.map_err(|error| match error {
            // Only administrators learn that the key exists.
            KeysError::NotAdministrator => KeysError::NotFound,
            error => error,
        });
        let owner = owner?.ok_or(KeysError::NotFound)?;
        Ok(ManagedKey { owner: OwnerPrecondition(Some((User::key(&stored.value.user), owner.version))), stored })
    }

    /// Finds a key that the manager may rotate. The new secret is shown to the manager, so a key must not obtain the secret
    /// of a key with more rights.
    pub(super) async fn find_regenerable(&self, manager: &Manager<'_>, id: KeyId) -> Result<ManagedKey, KeysError> {
        let managed = self.find_managed(manager, id).await?;
        match manager.by {
            ManagerCredential::Session => Ok(managed),
            _ if manager.has_access_to(&managed.stored.value) => Ok(managed),
            _ => Err(KeysError::NotFound),
        }
    }

    /// Returns the keys of a user that the manager may list, as a predicate. An administrator's own key is compared too, because
    /// its role can be below its owner's.
    pub(super) async fn listable<'m>(
        &self,
        manager: &'m Manager<'m>,
        owner: &str,
    ) -> Result<impl Fn(&ApiKey) -> bool + use<'m>, KeysError> {
        let is_own = owner == manager.user;
        let lists_all = match manager.by {
            ManagerCredential::Session if is_own => true,
            _ => match self.authorize_administrator(manager, owner).await {
                Ok(_) => true,
                Err(KeysError::NotAdministrator | KeysError::Denied(_)) if is_own => false,
                Err(error) => return Err(error),
            },
        };
        Ok(move |key: &ApiKey| lists_all || manager.has_access_to(key))
    }

    /// Reads a user whose keys the manager may manage as an administrator.
    async fn authorize_administrator(&self, manager: &Manager<'_>, owner: &str) -> Result<Option<StoredRecord<User>>, KeysError> {
        let owner = match self.policy.administrator(manager.user, manager.role) {
            Some(_) => self.records.get::<User>(&User::key(owner)).await?,
            None => return Err(KeysError::NotAdministrator),
        };
        owner.as_ref().map_or(Ok(()), |owner| self.require_rank(manager, &owner.value))?;
        Ok(owner)
    }

    /// Checks that the manager is an administrator whose role is not below the user's.
    pub(super) fn require_rank(&self, manager: &Manager<'_>, owner: &User) -> Result<(), KeysError> {
        let by = self.policy.administrator(manager.user, manager.role).ok_or(KeysError::NotAdministrator)?;
        Ok(self.policy.authorize_rank(by, owner)?)
    }
}
