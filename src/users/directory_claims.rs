//! Replaces the claims that a provider's directory has about an identity, between sign-ins.

use super::{User, Users};
use crate::{
    clock::since,
    principal::IdentityClaims,
    store::{self, Edit, Ttl},
};

impl Users {
    /// The identities of a user whose groups have to be looked up again. Those that grant nothing any more are left out.
    pub fn due_directories(&self, user: &User) -> Vec<IdentityClaims> {
        let now = self.clock.now();
        let counts =
            |identity: &IdentityClaims| identity.verified_at.is_some_and(|at| since(at, now) < self.max_age.longest(identity));
        let is_due = |identity: &IdentityClaims| self.max_age.directory_due(identity).is_some_and(|due| due <= now);
        let mut due = user.dated_identities();
        due.retain(|identity| !user.is_disabled() && is_due(identity) && counts(identity));
        due
    }

    /// Stores the result of a look-up, unless there is a later one. All other claims and their time of verification stay.
    pub async fn update_directory(&self, user: &str, looked_up: &IdentityClaims) -> Result<(), store::Error> {
        let key = User::key(user);
        let updated = self.records.update(&key, async |mut record: User, change| {
            let is_same = |known: &&mut IdentityClaims| known.issuer == looked_up.issuer && known.subject == looked_up.subject;
            let known = record.identities.iter_mut().find(is_same);
            let Some(known) = known.filter(|known| known.directory_at < looked_up.directory_at) else {
                return Ok(Edit::Keep(()));
            };
            (known.directory, known.directory_at) = (looked_up.directory.clone(), looked_up.directory_at);
            Ok::<_, store::Error>(Edit::Commit(change.put(&key, &record, Ttl::Forever).drop_user(user), ()))
        });
        updated.await.map(Option::unwrap_or_default)
    }
}

#[cfg(test)]
mod tests;
