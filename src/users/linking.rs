//! Further identities of a person: each proven by signing in with it, while the person is signed in. No email links anything.

use super::{Identity, TRIES, User, Users, UsersError};
use crate::{
    epoch::Epoch,
    principal::IdentityClaims,
    secret::Digest,
    store::{Change, Stored, Ttl},
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
    pub async fn link(&self, user: &str, identity: &IdentityClaims) -> Result<Linked, UsersError> {
        if self.get(user).await?.is_none() {
            return Ok(Linked::NobodyThere);
        }
        if !self.take_identity(user, identity).await? {
            return Ok(Linked::Taken);
        }
        let (key, now) = (User::key(user), self.clock.now());
        for _ in 0..TRIES {
            let Some(Stored { value: mut person, version }) = self.get(user).await? else { return Ok(Linked::NobodyThere) };
            person.take_in(identity, now);
            let change = self.records.change(key.shard).expect_version(&key, version).put(&key, &person, Ttl::Forever);
            if change.drop_user(user).commit().await?.is_ok() {
                tracing::info!(user, provider = identity.provider, "an identity was linked");
                return Ok(Linked::Linked);
            }
        }
        Err(UsersError::Contended)
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
    ) -> Result<Unlinked, UsersError> {
        let key = User::key(user);
        for _ in 0..TRIES {
            let Some(Stored { value: mut person, version }) = self.get(user).await? else { return Ok(Unlinked::NotTheirs) };
            let place = person.identities.iter().position(|known| known.issuer == issuer && known.subject == subject);
            let Some(place) = place else { return Ok(Unlinked::NotTheirs) };
            if person.identities.len() == 1 {
                return Ok(Unlinked::Last);
            }
            let identity = person.identities.remove(place);
            self.forget_identity(user, &identity).await?;
            person.session_epoch = Epoch::begin();
            let change = self.records.change(key.shard).expect_version(&key, version).put(&key, &person, Ttl::Forever);
            let change = with(self.keep(change, kept, &person).await?);
            if change.revoke_user(user).commit().await?.is_ok() {
                tracing::info!(user, provider = identity.provider, "an identity was unlinked");
                return Ok(Unlinked::Unlinked);
            }
        }
        Err(UsersError::Contended)
    }

    /// Whether the identity leads to the person now. One that led to somebody who has never finished a sign-in, or was
    /// deleted, is free.
    pub async fn take_identity(&self, user: &str, identity: &IdentityClaims) -> Result<bool, UsersError> {
        let digest = Identity::digest(&identity.issuer, &identity.subject);
        let key = Identity::key(&digest);
        let entry = Identity { user: user.to_owned() };
        for _ in 0..TRIES {
            let found = self.records.get::<Identity>(&key).await?;
            let change = self.records.change(key.shard);
            let change = match found {
                Some(found) if found.value.user == user => return Ok(true),
                Some(found) if self.get(&found.value.user).await?.is_some() => return Ok(false),
                Some(found) => change.expect_version(&key, found.version),
                None => change.expect_absent(&key),
            };
            if change.put(&key, &entry, Ttl::Forever).drop_credential(&digest).commit().await?.is_ok() {
                return Ok(true);
            }
        }
        Err(UsersError::Contended)
    }
}
