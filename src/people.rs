//! What administrators do with people, and whom they may do it to: nobody above themselves, and not themselves.

use std::sync::Arc;

use crate::{
    accounts::Password,
    keys::{Keys, KeysError},
    principal::{Grant, Role},
    sign_ins::{Above, SignIns},
    store::{Failed, ReadError},
    users::{Page, User, Users, UsersError},
};

pub struct People {
    sign_ins: Arc<SignIns>,
    keys: Arc<Keys>,
}

/// Who manages people.
#[derive(Debug, Clone, Copy)]
pub struct Administrator<'a> {
    pub user: &'a str,
    pub role: &'a Role,
}

/// A person, and what the role map in force grants them.
#[derive(Debug)]
pub struct Known {
    pub user: User,
    pub grant: Grant,
}

#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    #[error("there is no such person")]
    NotFound,
    #[error("the person has a higher role than the administrator")]
    Above,
    #[error("administrators don't do that to themselves")]
    Oneself,
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] Failed),
    #[error("the person's record kept changing")]
    Contended,
}

impl People {
    pub fn new(sign_ins: Arc<SignIns>, keys: Arc<Keys>) -> Self {
        Self { sign_ins, keys }
    }

    /// People after `after`, in the order in which they were first seen.
    pub async fn list(&self, after: Option<&str>, limit: usize) -> Result<(Vec<Known>, Option<String>), PeopleError> {
        let Page { people, next } = self.users().people(after, limit).await?;
        Ok((people.into_iter().map(|user| self.known(user)).collect(), next))
    }

    pub async fn get(&self, user: &str) -> Result<Known, PeopleError> {
        let found = self.users().get(user).await?.ok_or(PeopleError::NotFound)?;
        Ok(self.known(found.value))
    }

    /// The person with this local account.
    pub async fn find(&self, issuer: &str, subject: &str) -> Result<Known, PeopleError> {
        let user = self.users().find(issuer, subject).await?.ok_or(PeopleError::NotFound)?;
        self.get(&user).await
    }

    /// Whether an administrator may do something to a person.
    pub fn judge(&self, by: Administrator<'_>, person: &Known) -> Result<(), PeopleError> {
        if person.user.id == by.user {
            return Err(PeopleError::Oneself);
        }
        match person.grant.role.as_ref().map(|role| self.sign_ins.is_above(role, by.role)) {
            None | Some(Above::No) => Ok(()),
            Some(Above::Yes | Above::Unknown) => Err(PeopleError::Above),
        }
    }

    /// Ends all that a person has, at once and on every pod, and keeps them from signing in.
    pub async fn disable(&self, by: Administrator<'_>, user: &str) -> Result<Known, PeopleError> {
        self.judge(by, &self.get(user).await?)?;
        let person = self.users().set_disabled(user, true).await?.ok_or(PeopleError::NotFound)?;
        self.take_out_keys(user).await;
        tracing::info!(user, by = by.user, "person disabled");
        Ok(self.known(person))
    }

    pub async fn enable(&self, by: Administrator<'_>, user: &str) -> Result<Known, PeopleError> {
        self.judge(by, &self.get(user).await?)?;
        let person = self.users().set_disabled(user, false).await?.ok_or(PeopleError::NotFound)?;
        tracing::info!(user, by = by.user, "person enabled");
        Ok(self.known(person))
    }

    /// Signs a person out everywhere.
    pub async fn end_sessions(&self, by: Administrator<'_>, user: &str) -> Result<(), PeopleError> {
        self.judge(by, &self.get(user).await?)?;
        self.users().end_sessions(user, None).await?;
        tracing::info!(user, by = by.user, "a person's sessions were ended");
        Ok(())
    }

    /// Forgets a person with all that they have.
    pub async fn delete(&self, by: Administrator<'_>, user: &str) -> Result<User, PeopleError> {
        self.judge(by, &self.get(user).await?)?;
        // While their record can still be told from a new one's.
        self.take_out_keys(user).await;
        let password = Password::key(user);
        let person = self.users().delete(user, |change| change.delete(&password)).await?.ok_or(PeopleError::NotFound)?;
        tracing::info!(user, by = by.user, "person deleted");
        Ok(person)
    }

    pub fn known(&self, user: User) -> Known {
        Known { grant: self.sign_ins.grant(&user), user }
    }

    fn users(&self) -> &Users {
        self.sign_ins.users()
    }

    /// They have ended already, or will in a moment; what stays in the lists is tidied up here.
    async fn take_out_keys(&self, user: &str) {
        if let Err(error) = self.keys.end_all(user).await {
            tracing::warn!(%error, user, "keys that have ended stay in the list for now");
        }
    }
}

impl From<UsersError> for PeopleError {
    fn from(error: UsersError) -> Self {
        match error {
            UsersError::Read(error) => Self::Read(error),
            UsersError::Write(error) => Self::Write(error),
            UsersError::Contended => Self::Contended,
        }
    }
}

impl From<KeysError> for PeopleError {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Read(error) => Self::Read(error),
            KeysError::Write(error) => Self::Write(error),
            _ => Self::Contended,
        }
    }
}
