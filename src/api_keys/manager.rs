//! Who manages keys, and what they may by what they presented.

use jiff::Timestamp;

use super::{Key, KeysError, Restrictions};
use crate::principal::Role;

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
        restrictions: Restrictions,
    },
}

impl Manager<'_> {
    pub(super) fn require_managing(&self) -> Result<(), KeysError> {
        match self.by {
            ManagedBy::Person => Ok(()),
            ManagedBy::Key(key) if key.manage_keys => Ok(()),
            ManagedBy::Key(_) | ManagedBy::Token { .. } => Err(KeysError::NotManaging),
        }
    }

    /// Whether what they presented is for managing people at all.
    pub fn may_manage_users(&self) -> bool {
        match self.by {
            ManagedBy::Person => true,
            ManagedBy::Key(key) => key.may_manage_users(),
            ManagedBy::Token { .. } => false,
        }
    }

    /// The key by which others are made or ended.
    pub(super) fn key(&self) -> Option<&Key> {
        match self.by {
            ManagedBy::Key(key) => Some(key),
            ManagedBy::Person | ManagedBy::Token { .. } => None,
        }
    }

    /// When what is made ends at the latest.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        match &self.by {
            ManagedBy::Person => None,
            ManagedBy::Key(key) => Some(key.expires),
            ManagedBy::Token { expires, .. } => Some(*expires),
        }
    }

    /// What narrows everything that is made.
    pub(super) fn restrictions(&self) -> Vec<Restrictions> {
        match &self.by {
            ManagedBy::Person => Vec::new(),
            ManagedBy::Key(key) => key.restrictions.clone(),
            ManagedBy::Token { restrictions, .. } => vec![restrictions.clone()],
        }
    }

    /// Whether a key may go so that there is room for a new one. Not in person only what was made in the same way goes:
    /// by a key never the key itself or what made it, with which the new one would be dead at once, and never what the
    /// person gave elsewhere.
    pub(super) fn may_replace(&self, old: &Key) -> bool {
        match self.by {
            ManagedBy::Person => true,
            ManagedBy::Key(own) => old.ancestors.contains(&own.id),
            ManagedBy::Token { .. } => old.by_token,
        }
    }

    /// Whether a key is theirs, or their key's.
    pub(super) fn holds(&self, key: &Key) -> bool {
        match self.by {
            ManagedBy::Person => key.user == self.user,
            ManagedBy::Key(own) => key.id == own.id || key.ancestors.contains(&own.id),
            ManagedBy::Token { .. } => false,
        }
    }
}
