//! App consents: the redirect URIs of the applications that get keys of a user without asking again.

use super::{User, Users};
use crate::store::{self, CommitIntent, Edit, Ttl};

/// The maximum number of app consents of a user. The oldest ones are dropped.
const MAX_CONSENTS: usize = 50;

impl Users {
    /// Returns the redirect URIs of the app consents, the latest last.
    pub async fn app_consents(&self, user: &str) -> Result<Vec<String>, store::Error> {
        let stored = self.records.get::<User>(&User::key(user)).await?;
        Ok(stored.map(|stored| stored.value.app_consents).unwrap_or_default())
    }

    /// Adds an app consent.
    pub async fn add_app_consent(&self, user: &str, redirect: &str) -> Result<(), store::Error> {
        self.change_app_consents(user, CommitIntent::Ordinary, |consents| {
            if !consents.iter().any(|known| known == redirect) {
                consents.drain(..(consents.len() + 1).saturating_sub(MAX_CONSENTS));
                consents.push(redirect.to_owned());
            }
        })
        .await
    }

    /// Removes an app consent, so that the user is asked again.
    pub async fn remove_app_consent(&self, user: &str, redirect: &str) -> Result<(), store::Error> {
        self.change_app_consents(user, CommitIntent::Revocation, |consents| consents.retain(|known| known != redirect)).await
    }

    async fn change_app_consents(
        &self,
        user: &str,
        intent: CommitIntent,
        change: impl Fn(&mut Vec<String>),
    ) -> Result<(), store::Error> {
        let key = User::key(user);
        let updated = self.records.update(&key, async |mut user_record: User, commit| {
            let before = user_record.app_consents.clone();
            change(&mut user_record.app_consents);
            if user_record.app_consents == before {
                return Ok(Edit::Keep(()));
            }
            let commit = commit.put(&key, &user_record, Ttl::Forever);
            Ok(match intent {
                CommitIntent::Ordinary => Edit::Commit(commit.drop_user(user), ()),
                CommitIntent::Revocation => Edit::Commit(commit.revoke_user(user), ()),
            })
        });
        updated.await.map(Option::unwrap_or_default)
    }
}
