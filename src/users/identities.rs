//! Further identities of a person: each proven by signing in with it, while the person is signed in. No email links anything.

use super::{Identity, User, Users};
use crate::{
    epoch::Generation,
    principal::IdentityClaims,
    secret::Digest,
    store::{self, Change, Edit, Ttl},
};

/// What became of linking an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linked {
    Linked,
    /// It is somebody else's.
    Taken,
    NobodyThere,
}

/// What became of unlinking one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlinked {
    Unlinked,
    /// Without it the person could not sign in any more.
    Last,
    NotTheirs,
}

impl Users {
    /// Makes an identity that was just verified the person's.
    ///
    /// The index entry comes first, as with a sign-in: who dies in between has proven the identity to be the person's, and the next
    /// sign-in with it brings it into the record.
    pub async fn link(&self, user: &str, identity: &IdentityClaims) -> Result<Linked, store::Error> {
        if self.get(user).await?.is_none() {
            return Ok(Linked::NobodyThere);
        }
        if !self.take_identity(user, identity).await? {
            return Ok(Linked::Taken);
        }
        let (key, now) = (User::key(user), self.clock.now());
        let updated = self.records.update(&key, async |mut person: User, change| {
            person.take_in(identity, now);
            Ok::<_, store::Error>(Edit::Commit(change.put(&key, &person, Ttl::Forever).drop_user(user), ()))
        });
        if updated.await?.is_none() {
            return Ok(Linked::NobodyThere);
        }
        tracing::info!(user, provider = identity.provider, "identity linked");
        Ok(Linked::Linked)
    }

    /// Takes an identity off a person, with what `with` adds from their shard. Their sessions by it end, but for the one that is theirs at the moment.
    ///
    /// The index entry goes first: who dies in between finds the identity in the list still, and unlinks it again.
    pub async fn unlink(
        &self,
        user: &str,
        (issuer, subject): (&str, &str),
        kept: Option<&Digest>,
        with: impl for<'a> Fn(Change<'a>) -> Change<'a>,
    ) -> Result<Unlinked, store::Error> {
        let key = User::key(user);
        let updated = self.records.update(&key, async |mut person: User, change| {
            let place = person.identities.iter().position(|known| known.issuer == issuer && known.subject == subject);
            let Some(place) = place else { return Ok(Edit::Keep(Err(Unlinked::NotTheirs))) };
            if person.identities.len() == 1 {
                return Ok(Edit::Keep(Err(Unlinked::Last)));
            }
            let identity = person.identities.remove(place);
            self.remove_identity(user, &identity).await?;
            person.session_generation = Generation::random();
            let change = with(self.keep(change, kept, &person).await?);
            let change = change.put(&key, &person, Ttl::Forever).revoke_user(user);
            Ok::<_, store::Error>(Edit::Commit(change, Ok(identity.provider)))
        });
        match updated.await?.unwrap_or(Err(Unlinked::NotTheirs)) {
            Ok(provider) => {
                tracing::info!(user, provider, "identity unlinked");
                Ok(Unlinked::Unlinked)
            }
            Err(kept) => Ok(kept),
        }
    }

    /// Whether the identity leads to the person now. One that led to somebody who has never finished a sign-in, or was
    /// deleted, is free.
    pub async fn take_identity(&self, user: &str, identity: &IdentityClaims) -> Result<bool, store::Error> {
        let digest = Identity::digest(&identity.issuer, &identity.subject);
        let key = Identity::key(&digest);
        let entry = Identity { user: user.to_owned() };
        store::retry(async || {
            let found = self.records.get::<Identity>(&key).await?;
            let change = self.records.change(key.shard);
            let change = match found {
                Some(found) if found.value.user == user => return Ok(Ok(true)),
                Some(found) if self.get(&found.value.user).await?.is_some() => return Ok(Ok(false)),
                Some(found) => change.expect_version(&key, found.version),
                None => change.expect_absent(&key),
            };
            Ok(change.put(&key, &entry, Ttl::Forever).drop_credential(&digest).commit().await?.map(|_| true))
        })
        .await
    }
}
