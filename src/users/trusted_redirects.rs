//! Where a person's keys go without their being asked again, since they agreed before.

use super::{User, Users};
use crate::store::{self, Edit, Ttl};

/// Redirects that are remembered for one person.
const MOST_TRUSTED: usize = 50;

impl Users {
    /// Where keys go without the person being asked again, the latest last.
    pub async fn trusted(&self, user: &str) -> Result<Vec<String>, store::Error> {
        let stored = self.records.get::<User>(&User::key(user)).await?;
        Ok(stored.map(|stored| stored.value.trusted_redirects).unwrap_or_default())
    }

    /// Remembers that the person agreed, for so many redirects as anybody uses.
    pub async fn trust(&self, user: &str, redirect: &str) -> Result<(), store::Error> {
        self.change_trusted(user, |trusted| {
            if !trusted.iter().any(|known| known == redirect) {
                trusted.drain(..(trusted.len() + 1).saturating_sub(MOST_TRUSTED));
                trusted.push(redirect.to_owned());
            }
        })
        .await
    }

    /// The person is asked again.
    pub async fn distrust(&self, user: &str, redirect: &str) -> Result<(), store::Error> {
        self.change_trusted(user, |trusted| trusted.retain(|known| known != redirect)).await
    }

    async fn change_trusted(&self, user: &str, change: impl Fn(&mut Vec<String>)) -> Result<(), store::Error> {
        let key = User::key(user);
        let updated = self.records.update(&key, async |mut person: User, commit| {
            let before = person.trusted_redirects.clone();
            change(&mut person.trusted_redirects);
            Ok(match person.trusted_redirects == before {
                true => Edit::Keep(()),
                false => Edit::Commit(commit.put(&key, &person, Ttl::Forever).drop_user(user), ()),
            })
        });
        updated.await.map(Option::unwrap_or_default)
    }
}
