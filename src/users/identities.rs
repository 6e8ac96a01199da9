//! Further identities of a person: each proven by signing in with it, while the person is signed in. No email links anything.

use super::{Generation, Identity, User, Users};
use crate::{
    principal::IdentityClaims,
    secret::Digest,
    store::{self, Change, Edit, Ttl},
};

/// What became of linking an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkOutcome {
    Linked,
    /// It is somebody else's.
    Taken,
    UnknownUser,
}

/// What became of unlinking one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnlinkOutcome {
    Unlinked,
    /// Without it the person could not sign in any more.
    LastIdentity,
    UnknownIdentity,
}

impl Users {
    /// Makes an identity that was just verified the person's.
    ///
    /// The index entry comes first, as with a sign-in: who dies in between has proven the identity to be the person's, and the next
    /// sign-in with it brings it into the record.
    pub async fn link(&self, user: &str, identity: &IdentityClaims) -> Result<LinkOutcome, store::Error> {
        if self.get(user).await?.is_none() {
            return Ok(LinkOutcome::UnknownUser);
        }
        if !self.take_identity(user, identity).await? {
            return Ok(LinkOutcome::Taken);
        }
        let (key, now) = (User::key(user), self.clock.now());
        let updated = self.records.update(&key, async |mut person: User, change| {
            person.update_identity(identity, now);
            Ok::<_, store::Error>(Edit::Commit(change.put(&key, &person, Ttl::Forever).drop_user(user), ()))
        });
        if updated.await?.is_none() {
            return Ok(LinkOutcome::UnknownUser);
        }
        tracing::info!(user, provider = identity.provider, "an identity was linked");
        Ok(LinkOutcome::Linked)
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
    ) -> Result<UnlinkOutcome, store::Error> {
        let key = User::key(user);
        let updated = self.records.update(&key, async |mut person: User, change| {
            let place = person.identities.iter().position(|known| known.issuer == issuer && known.subject == subject);
            let Some(place) = place else { return Ok(Edit::Keep(Err(UnlinkOutcome::UnknownIdentity))) };
            if person.identities.len() == 1 {
                return Ok(Edit::Keep(Err(UnlinkOutcome::LastIdentity)));
            }
            let identity = person.identities.remove(place);
            self.remove_identity(user, &identity).await?;
            person.session_generation = Generation::random();
            let change = with(self.keep(change, kept, &person).await?);
            let change = change.put(&key, &person, Ttl::Forever).revoke_user(user);
            Ok::<_, store::Error>(Edit::Commit(change, Ok(identity.provider)))
        });
        match updated.await?.unwrap_or(Err(UnlinkOutcome::UnknownIdentity)) {
            Ok(provider) => {
                tracing::info!(user, provider, "an identity was unlinked");
                Ok(UnlinkOutcome::Unlinked)
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
