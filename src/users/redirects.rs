//! Where a person's keys go without their being asked again, since they agreed before.

use super::{TRIES, User, Users, UsersError};
use crate::store::{ReadError, Stored, Ttl};

/// Redirects that are remembered for one person.
const MOST_TRUSTED: usize = 50;

impl Users {
    /// Where keys go without the person being asked again, the latest last.
    pub async fn trusted(&self, user: &str) -> Result<Vec<String>, ReadError> {
        let stored = self.records.get::<User>(&User::key(user)).await?;
        Ok(stored.map(|stored| stored.value.trusted_redirects).unwrap_or_default())
    }

    /// Remembers that the person agreed, for so many redirects as anybody uses.
    pub async fn trust(&self, user: &str, redirect: &str) -> Result<(), UsersError> {
        self.change_trusted(user, |trusted| {
            if !trusted.iter().any(|known| known == redirect) {
                trusted.drain(..(trusted.len() + 1).saturating_sub(MOST_TRUSTED));
                trusted.push(redirect.to_owned());
            }
        })
        .await
    }

    /// The person is asked again.
    pub async fn distrust(&self, user: &str, redirect: &str) -> Result<(), UsersError> {
        self.change_trusted(user, |trusted| trusted.retain(|known| known != redirect)).await
    }

    async fn change_trusted(&self, user: &str, change: impl Fn(&mut Vec<String>)) -> Result<(), UsersError> {
        let key = User::key(user);
        for _ in 0..TRIES {
            let Some(Stored { value: mut person, version }) = self.records.get::<User>(&key).await? else { return Ok(()) };
            let before = person.trusted_redirects.clone();
            change(&mut person.trusted_redirects);
            if person.trusted_redirects == before {
                return Ok(());
            }
            let change = self.records.change(key.shard).expect_version(&key, version);
            if change.put(&key, &person, Ttl::Forever).drop_user(user).commit().await?.is_ok() {
                return Ok(());
            }
        }
        Err(UsersError::Contended)
    }
}
