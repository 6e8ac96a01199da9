//! What is done with people: by administrators to others, who are not above them and not themselves, and by people to their own
//! identities.

use std::sync::Arc;

use crate::{
    api_keys::{Keys, KeysError, ManagedBy, Manager},
    local_accounts::{self, Belongings},
    principal::{Grant, LOCAL},
    secret::Digest,
    sign_ins::{Above, Administrator, SignIns},
    store::{self, Records},
    users::{Page, Unlinked, User, Users},
};

/// People that a search looks at. Beyond them an id, or the address of a local account, finds whoever it is.
const MOST_SEARCHED: usize = 2000;

pub struct People {
    records: Records,
    sign_ins: Arc<SignIns>,
    keys: Arc<Keys>,
}

/// How much of a person's is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InUse {
    pub sessions: usize,
    pub keys: usize,
}

/// A person, and what the role map in force grants them.
#[derive(Debug)]
pub struct Known {
    pub user: User,
    pub grant: Grant,
}

/// Whom a search has found.
#[derive(Debug)]
pub struct Found {
    pub people: Vec<Known>,
    /// Whether not everybody was looked at.
    pub is_cut: bool,
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
    Store(#[from] store::Error),
}

impl PeopleError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "user_not_found",
            Self::Above => "above_own_role",
            Self::Oneself => "own_account",
            Self::Store(error) => error.reason(),
        }
    }
}

impl People {
    pub fn new(records: Records, sign_ins: Arc<SignIns>, keys: Arc<Keys>) -> Self {
        Self { records, sign_ins, keys }
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

    /// The person with the local account of this address.
    pub async fn of_account(&self, email: &str) -> Result<Known, PeopleError> {
        let user = self.users().find(LOCAL, email).await?.ok_or(PeopleError::NotFound)?;
        self.get(&user).await
    }

    /// The people that a text is about: who has this id or this local account, and of the first [`MOST_SEARCHED`] those whom
    /// `is_meant` has so.
    pub async fn search(&self, text: &str, limit: usize, is_meant: impl Fn(&Known) -> bool) -> Result<Found, PeopleError> {
        match self.get(text).await {
            Err(PeopleError::NotFound) => {}
            found => return found.map(|known| Found { people: vec![known], is_cut: false }),
        }
        let mut found: Vec<Known> = Vec::new();
        if let Some(email) = local_accounts::normal_email(text) {
            match self.of_account(&email).await {
                Err(PeopleError::NotFound) => {}
                known => found.push(known?),
            }
        }
        let (mut after, mut seen) = (None::<String>, 0);
        while seen < MOST_SEARCHED && found.len() < limit {
            let (people, next) = self.list(after.as_deref(), limit.max(50)).await?;
            seen += people.len();
            for known in people {
                let is_new = found.iter().all(|before| before.user.id != known.user.id);
                if is_new && is_meant(&known) {
                    found.push(known);
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => {
                    after = None;
                    break;
                }
            }
        }
        let is_cut = after.is_some() || found.len() > limit;
        found.truncate(limit);
        Ok(Found { people: found, is_cut })
    }

    /// How many sessions and keys of a person are alive.
    pub async fn in_use(&self, by: Administrator<'_>, user: &str) -> Result<InUse, PeopleError> {
        let manager = Manager { user: by.user, role: Some(by.role), by: ManagedBy::Person };
        let most = self.keys.settings().max_per_user;
        let keys = self.keys.list(&manager, Some(user), None, most).await.map_err(|error| match error {
            KeysError::Store(error) => error.into(),
            _ => PeopleError::Store(store::Error::Contended),
        })?;
        Ok(InUse { sessions: self.users().sessions(user).await?.len(), keys: keys.keys.len() })
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
        tracing::info!(user, by = by.user, "user disabled");
        Ok(self.known(person))
    }

    pub async fn enable(&self, by: Administrator<'_>, user: &str) -> Result<Known, PeopleError> {
        self.judge(by, &self.get(user).await?)?;
        let person = self.users().set_disabled(user, false).await?.ok_or(PeopleError::NotFound)?;
        tracing::info!(user, by = by.user, "user enabled");
        Ok(self.known(person))
    }

    /// Signs a person out everywhere.
    pub async fn end_sessions(&self, by: Administrator<'_>, user: &str) -> Result<(), PeopleError> {
        self.judge(by, &self.get(user).await?)?;
        self.users().end_sessions(user, None).await?;
        tracing::info!(user, by = by.user, "sessions ended");
        Ok(())
    }

    /// Forgets a person with all that they have.
    pub async fn delete(&self, by: Administrator<'_>, user: &str) -> Result<User, PeopleError> {
        self.judge(by, &self.get(user).await?)?;
        // While their record can still be told from a new one's.
        self.take_out_keys(user).await;
        let belongings = Belongings::of(&self.records, user).await?;
        let person = self.users().delete(user, |change| belongings.remove_from(change)).await?.ok_or(PeopleError::NotFound)?;
        tracing::info!(user, by = by.user, "user deleted");
        Ok(person)
    }

    /// Takes an identity off a person; with that of the local account go its password and its invitations.
    pub async fn unlink(&self, user: &str, issuer: &str, subject: &str, kept: Option<&Digest>) -> Result<Unlinked, PeopleError> {
        let belongings = Belongings::of(&self.records, user).await?;
        let unlinked = self.users().unlink(user, (issuer, subject), kept, |change| match issuer {
            LOCAL => belongings.remove_from(change),
            _ => change,
        });
        Ok(unlinked.await?)
    }

    pub fn known(&self, user: User) -> Known {
        Known { grant: self.sign_ins.grant(&user), user }
    }

    fn users(&self) -> &Users {
        self.sign_ins.users()
    }

    /// They have ended already, or will in a moment; what stays in the lists is tidied up here.
    async fn take_out_keys(&self, user: &str) {
        if let Err(error) = self.keys.revoke_all(user).await {
            tracing::warn!(%error, user, "ended keys not removed from index");
        }
    }
}
