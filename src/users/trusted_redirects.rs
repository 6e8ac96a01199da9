//! Redirect targets that a user allowed to receive keys without another confirmation.

use super::{User, Users};
use crate::store::{self, CommitIntent, Edit, Ttl};

/// The maximum number of trusted redirects of a user. The oldest ones are dropped.
const MAX_TRUSTED: usize = 50;

impl Users {
    /// Returns the trusted redirects, the latest last.
    pub async fn trusted(&self, user: &str) -> Result<Vec<String>, store::Error> {
        let stored = self.records.get::<User>(&User::key(user)).await?;
        Ok(stored.map(|stored| stored.value.trusted_redirects).unwrap_or_default())
    }

    /// Adds a trusted redirect.
    pub async fn trust(&self, user: &str, redirect: &str) -> Result<(), store::Error> {
        self.change_trusted(user, CommitIntent::Ordinary, |trusted| {
            if !trusted.iter().any(|known| known == redirect) {
                trusted.drain(..(trusted.len() + 1).saturating_sub(MAX_TRUSTED));
                trusted.push(redirect.to_owned());
            }
        })
        .await
    }

    /// Removes a trusted redirect, so that the user must confirm again.
    pub async fn distrust(&self, user: &str, redirect: &str) -> Result<(), store::Error> {
        self.change_trusted(user, CommitIntent::Revocation, |trusted| trusted.retain(|known| known != redirect)).await
    }

    async fn change_trusted(
        &self,
        user: &str,
        intent: CommitIntent,
        change: impl Fn(&mut Vec<String>),
    ) -> Result<(), store::Error> {
        let key = User::key(user);
        let updated = self.records.update(&key, async |mut user_record: User, commit| {
            let before = user_record.trusted_redirects.clone();
            change(&mut user_record.trusted_redirects);
            if user_record.trusted_redirects == before {
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
