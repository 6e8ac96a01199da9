//! User management for administrators: checks `users::policy`, and changes a user's record (`users::management`) together
//! with the keys and the local account.

use std::sync::Arc;

use crate::{
    api_keys::Keys,
    local_accounts::LocalAccountRecords,
    principal::{Grant, LOCAL},
    secret::Digest,
    store::{self, Records},
    users::{self, Administrator, Deletion, DeletionExtent, Policy, PolicyDenial, UnlinkOutcome, User, UserListing, Users},
};

/// The number of users that a search examines. Ids and email addresses of local accounts are looked up directly.
const MAX_SEARCHED: usize = 2000;

pub struct Administration {
    records: Records,
    users: Arc<Users>,
    keys: Arc<Keys>,
    policy: Arc<Policy>,
}

/// The numbers of a user's live sessions and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserUsage {
    pub sessions: usize,
    pub keys: usize,
}

/// A user with the grant of the active role map.
#[derive(Debug)]
pub struct UserSummary {
    pub user: User,
    /// The grant for the claims that still count for a session or a key.
    pub grant: Grant,
}

#[derive(Debug)]
pub struct SearchResult {
    pub users: Vec<UserSummary>,
    /// True if the search did not examine all users.
    pub is_cut: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum AdministrationError {
    #[error("there is no such user")]
    NotFound,
    /// Only the company's directory can enable the user.
    #[error("the company's directory disabled the user")]
    DisabledByDirectory,
    #[error(transparent)]
    Denied(#[from] PolicyDenial),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl AdministrationError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "user_not_found",
            Self::DisabledByDirectory => "disabled_by_directory",
            Self::Denied(denial) => denial.reason(),
            Self::Store(error) => error.reason(),
        }
    }
}

impl Administration {
    pub fn new(records: Records, users: Arc<Users>, keys: Arc<Keys>, policy: Arc<Policy>) -> Self {
        Self { records, users, keys, policy }
    }

    /// Returns users after `after`, in the order of their first login, and the id after which the next ones follow.
    pub async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<UserSummary>, Option<String>), AdministrationError> {
        let UserListing { users, next } = self.users.list(after, limit).await?;
        Ok((users.into_iter().map(|user| self.summarize(user)).collect(), next))
    }

    pub async fn get(&self, user: &str) -> Result<UserSummary, AdministrationError> {
        let found = self.users.get(user).await?.ok_or(AdministrationError::NotFound)?;
        Ok(self.summarize(found.value))
    }

    /// Returns the user of the local account with this email address.
    pub async fn get_by_email(&self, email: &str) -> Result<UserSummary, AdministrationError> {
        let user = self.users.find(LOCAL, email).await?.ok_or(AdministrationError::NotFound)?;
        self.get(&user).await
    }

    /// Returns the user with this id; else the user of this local account, and those of the first [`MAX_SEARCHED`] users that
    /// match.
    pub async fn search(
        &self,
        text: &str,
        limit: usize,
        is_match: impl Fn(&UserSummary) -> bool,
    ) -> Result<SearchResult, AdministrationError> {
        match self.get(text).await {
            Err(AdministrationError::NotFound) => {}
            found => return found.map(|user| SearchResult { users: vec![user], is_cut: false }),
        }
        let mut found: Vec<UserSummary> = Vec::new();
        if let Some(email) = users::normal_email(text) {
            match self.get_by_email(&email).await {
                Err(AdministrationError::NotFound) => {}
                user => found.push(user?),
            }
        }
        let (mut after, mut searched) = (None::<String>, 0);
        while searched < MAX_SEARCHED && found.len() < limit {
            let (users, next) = self.list(after.as_deref(), limit.max(50)).await?;
            searched += users.len();
            for user in users {
                let is_new = found.iter().all(|before| before.user.id != user.user.id);
                if is_new && is_match(&user) {
                    found.push(user);
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
        Ok(SearchResult { users: found, is_cut })
    }

    /// Counts a user's live sessions and keys.
    pub async fn usage(&self, user: &str) -> Result<UserUsage, AdministrationError> {
        let (sessions, keys) = tokio::join!(self.users.sessions(user), self.keys.count(user));
        Ok(UserUsage { sessions: sessions?.len(), keys: keys? })
    }

    /// Checks that an administrator may change a user.
    pub fn authorize(&self, by: Administrator<'_>, user: &UserSummary) -> Result<(), PolicyDenial> {
        self.policy.authorize(by, &user.user)
    }

    /// Disables a user: ends all sessions and keys, on every pod, and refuses further logins.
    pub async fn disable(&self, by: Administrator<'_>, user: &str) -> Result<UserSummary, AdministrationError> {
        let disabled = self.users.disable(user, self.authorization(by)).await?.ok_or(AdministrationError::NotFound)?;
        self.delete_keys(user).await;
        tracing::info!(user, by = by.user, "user disabled");
        Ok(self.summarize(disabled))
    }

    pub async fn enable(&self, by: Administrator<'_>, user: &str) -> Result<UserSummary, AdministrationError> {
        let authorize = self.authorization(by);
        let enabled = self.users.enable(user, |record| {
            authorize(record)?;
            // Otherwise the administrator would believe that the user can sign in again.
            let has_directory = record.provisioned_by(self.users.provisioning()).is_some();
            let is_refused_by_directory = has_directory && record.is_inactive() && !record.disabled;
            if is_refused_by_directory { Err(AdministrationError::DisabledByDirectory) } else { Ok(()) }
        });
        let enabled = enabled.await?.ok_or(AdministrationError::NotFound)?;
        tracing::info!(user, by = by.user, "user enabled");
        Ok(self.summarize(enabled))
    }

    /// Returns the check that each attempt of an update makes, against the role that the user has then.
    fn authorization<'a>(&'a self, by: Administrator<'a>) -> impl Fn(&User) -> Result<(), AdministrationError> + 'a {
        move |record: &User| Ok(self.policy.authorize(by, record)?)
    }

    /// Ends all sessions of a user.
    pub async fn end_sessions(&self, by: Administrator<'_>, user: &str) -> Result<(), AdministrationError> {
        self.authorize(by, &self.get(user).await?)?;
        let authorize = self.authorization(by);
        self.users.end_sessions_with(user, None, |record, change| authorize(record).map(|()| change)).await?;
        tracing::info!(user, by = by.user, "sessions ended");
        Ok(())
    }

    /// Deletes a user with their sessions, keys, password and invitations.
    pub async fn delete(&self, by: Administrator<'_>, user: &str) -> Result<User, AdministrationError> {
        self.authorize(by, &self.get(user).await?)?;
        let authorize = |record: &User| Ok(self.policy.authorize(by, record)?);
        let deleted = self.delete_records(user, DeletionExtent::Complete, authorize).await?;
        tracing::info!(user, by = by.user, "user deleted");
        Ok(deleted.user)
    }

    /// Deletes a user whom the company's directory has deleted. The directory may act on every user, but it does not end the
    /// refusal of an administrator: it may create the user again.
    pub async fn delete_provisioned(&self, user: &str) -> Result<Deletion, AdministrationError> {
        self.delete_records(user, DeletionExtent::KeepRefusal, |_| Ok(())).await
    }

    async fn delete_records(
        &self,
        user: &str,
        extent: DeletionExtent,
        authorize: impl Fn(&User) -> Result<(), AdministrationError>,
    ) -> Result<Deletion, AdministrationError> {
        // Before the record is deleted, since a later login under this id could create new keys.
        self.delete_keys(user).await;
        let account_records = LocalAccountRecords::of(&self.records, user).await?;
        let deleted = self.users.delete(user, extent, |record, change| {
            authorize(record)?;
            Ok::<_, AdministrationError>(account_records.remove_from(change))
        });
        deleted.await?.ok_or(AdministrationError::NotFound)
    }

    /// Removes an identity from a user. With that of the local account, its password and invitations are deleted.
    pub async fn unlink(
        &self,
        user: &str,
        issuer: &str,
        subject: &str,
        kept: Option<&Digest>,
    ) -> Result<UnlinkOutcome, AdministrationError> {
        let account_records = LocalAccountRecords::of(&self.records, user).await?;
        let unlinked = self.users.unlink(user, (issuer, subject), kept, |change| match issuer {
            LOCAL => account_records.remove_from(change),
            _ => change,
        });
        Ok(unlinked.await?)
    }

    fn summarize(&self, user: User) -> UserSummary {
        UserSummary { grant: self.users.grant(&user), user }
    }

    /// Removes a user's keys from the lists. Their key generation has ended them already, or the deletion is about to.
    pub async fn delete_keys(&self, user: &str) {
        if let Err(error) = self.keys.revoke_all(user).await {
            tracing::warn!(%error, user, "ended keys not removed from index");
        }
    }
}
