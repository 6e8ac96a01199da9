//! The manager of keys and the permissions of their credential.

use jiff::Timestamp;

use super::{ApiKey, KeysError, Restrictions};
use crate::principal::Role;

/// The user who manages keys, and the credential that authenticated them.
#[derive(Debug, Clone)]
pub struct Manager<'a> {
    pub user: &'a str,
    /// The role of the current grant, limited by the presented key if there is one.
    pub role: Option<&'a Role>,
    pub by: ManagerCredential<'a>,
}

/// The credential of a manager.
#[derive(Debug, Clone)]
pub enum ManagerCredential<'a> {
    /// A session of the user.
    Session,
    ApiKey(&'a ApiKey),
    /// A bearer token. A key that is created with it expires no later and has no more rights.
    Jwt {
        expires: Timestamp,
        restrictions: Restrictions,
    },
}

impl Manager<'_> {
    pub(super) fn require_managing(&self) -> Result<(), KeysError> {
        match self.by {
            ManagerCredential::Session => Ok(()),
            // A key without a role includes one that was shown to a user whose role is below its owner's.
            ManagerCredential::ApiKey(key) if key.manage_keys && self.role.is_none() => Err(KeysError::NoRole),
            ManagerCredential::ApiKey(key) if key.manage_keys => Ok(()),
            ManagerCredential::ApiKey(_) | ManagerCredential::Jwt { .. } => Err(KeysError::NotManaging),
        }
    }

    /// True if the credential may be used to manage users.
    pub fn can_manage_users(&self) -> bool {
        match self.by {
            ManagerCredential::Session => true,
            ManagerCredential::ApiKey(key) => key.can_manage_users(),
            ManagerCredential::Jwt { .. } => false,
        }
    }

    /// Returns the manager's role if keys of another user are shown to the manager.
    pub(super) fn holder_role(&self, owner: &str) -> Result<Option<&Role>, KeysError> {
        let role = self.role.ok_or(KeysError::NoRole)?;
        Ok((owner != self.user).then_some(role))
    }

    /// Returns the presented key.
    pub(super) fn key(&self) -> Option<&ApiKey> {
        match self.by {
            ManagerCredential::ApiKey(key) => Some(key),
            ManagerCredential::Session | ManagerCredential::Jwt { .. } => None,
        }
    }

    /// Returns the latest expiry of created keys.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        match &self.by {
            ManagerCredential::Session => None,
            ManagerCredential::ApiKey(key) => Some(key.expires),
            ManagerCredential::Jwt { expires, .. } => Some(*expires),
        }
    }

    /// Returns the restrictions of the presented token. Those of a presented key are read when the new key is written.
    pub(super) fn token_restrictions(&self) -> Option<Restrictions> {
        match &self.by {
            ManagerCredential::Session | ManagerCredential::ApiKey(_) => None,
            ManagerCredential::Jwt { restrictions, .. } => Some(restrictions.clone()),
        }
    }

    /// True if this key may be revoked to make room for a new one. A key may replace only keys that are derived from it: the
    /// new key would end with its ancestors. A token may replace only keys that were created with a token.
    pub(super) fn can_replace(&self, old: &ApiKey) -> bool {
        match self.by {
            ManagerCredential::Session => true,
            ManagerCredential::ApiKey(own) => old.ancestors.contains(&own.id),
            ManagerCredential::Jwt { .. } => old.by_token,
        }
    }

    /// True if the key belongs to the manager, or is the presented key or derived from it.
    pub(super) fn has_access_to(&self, key: &ApiKey) -> bool {
        match self.by {
            ManagerCredential::Session => key.user == self.user,
            ManagerCredential::ApiKey(own) => key.id == own.id || key.ancestors.contains(&own.id),
            ManagerCredential::Jwt { .. } => false,
        }
    }
}
