//! The index of identities: its entries lead from an issuer's subject, or from a claim that identifies a user, to the user.
//!
//! An entry is written before the user's record, which may be in another shard. An entry of a claim counts only if the user's
//! record has the claim too, so an outdated entry has no effect.

use super::{Identity, User, Users};
use crate::{
    principal::IdentityClaims,
    secret::Digest,
    store::{self, Edit, Ttl},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexEntry {
    Subject(Digest),
    UserClaim(Digest),
}

/// The result of assigning an entry to a user.
enum Assignment {
    New,
    Known,
    /// The entry belongs to this other user.
    Taken(String),
}

impl IndexEntry {
    /// All entries of an identity.
    pub fn of(identity: &IdentityClaims) -> impl Iterator<Item = Self> {
        let subject = Self::Subject(Identity::digest(&identity.issuer, &identity.subject));
        std::iter::once(subject).chain(Self::of_user_claims(identity))
    }

    fn of_user_claims(identity: &IdentityClaims) -> impl Iterator<Item = Self> {
        Identity::user_claim_digests(identity).map(Self::UserClaim)
    }

    fn digest(self) -> Digest {
        let (Self::Subject(digest) | Self::UserClaim(digest)) = self;
        digest
    }

    /// True if the entry still belongs to the user that it names. A subject belongs to its user even if the record does not list
    /// it yet.
    fn is_kept_by(self, owner: &User) -> bool {
        match self {
            Self::Subject(_) => true,
            Self::UserClaim(_) => owner.identities.iter().flat_map(Self::of_user_claims).any(|entry| entry == self),
        }
    }
}

impl Users {
    /// Assigns the index entries of an identity to a user. Returns false, and changes no entry, if one of them belongs to another
    /// user. An entry of a deleted user, or of one who has never completed a login, is free.
    pub async fn assign_identity(&self, user: &str, identity: &IdentityClaims) -> Result<bool, store::Error> {
        Ok(self.assign_entries(user, IndexEntry::of(identity)).await?.is_none())
    }

    /// As [`Self::assign_identity`], for the claims that identify the user. Returns the other user if there is one.
    pub(super) async fn assign_user_claims(&self, user: &str, identity: &IdentityClaims) -> Result<Option<String>, store::Error> {
        self.assign_entries(user, IndexEntry::of_user_claims(identity)).await
    }

    async fn assign_entries(
        &self,
        user: &str,
        entries: impl Iterator<Item = IndexEntry>,
    ) -> Result<Option<String>, store::Error> {
        let mut assigned = Vec::new();
        for entry in entries {
            match self.assign_entry(user, entry).await? {
                Assignment::New => assigned.push(entry),
                Assignment::Known => {}
                Assignment::Taken(owner) => {
                    self.remove_entries(user, assigned).await?;
                    return Ok(Some(owner));
                }
            }
        }
        Ok(None)
    }

    async fn assign_entry(&self, user: &str, entry: IndexEntry) -> Result<Assignment, store::Error> {
        let digest = entry.digest();
        let (key, value) = (Identity::key(&digest), Identity { user: user.to_owned() });
        store::retry(async || {
            let found = self.records.get::<Identity>(&key).await?;
            let change = self.records.change(key.shard);
            let change = match found {
                Some(found) if found.value.user == user => return Ok(Ok(Assignment::Known)),
                Some(found) => match self.get(&found.value.user).await? {
                    Some(owner) if entry.is_kept_by(&owner.value) => return Ok(Ok(Assignment::Taken(owner.value.id))),
                    _ => change.expect_version(&key, found.version),
                },
                None => change.expect_absent(&key),
            };
            // Pods may have cached that the entry is unknown, since tokens can arrive before the first login.
            let change = change.put(&key, &value, Ttl::Forever).drop_credential(&digest);
            Ok(change.commit().await?.map(|_| Assignment::New))
        })
        .await
    }

    /// Removes the index entries of an identity, except those that the user's other identities have too.
    pub(super) async fn remove_identity(
        &self,
        user: &str,
        identity: &IdentityClaims,
        others: &[IdentityClaims],
    ) -> Result<(), store::Error> {
        let kept: Vec<IndexEntry> = others.iter().flat_map(IndexEntry::of).collect();
        self.remove_entries(user, IndexEntry::of(identity).filter(|entry| !kept.contains(entry))).await?;
        self.remove_email(user, identity, others).await
    }

    /// Removes entries, unless they belong to another user.
    pub(super) async fn remove_entries(
        &self,
        user: &str,
        entries: impl IntoIterator<Item = IndexEntry>,
    ) -> Result<(), store::Error> {
        for digest in entries.into_iter().map(IndexEntry::digest) {
            let key = Identity::key(&digest);
            let removed = self.records.update(&key, async |found: Identity, change| {
                Ok::<_, store::Error>(match found.user == user {
                    true => Edit::Commit(change.delete(&key).revoke_credential(&digest), ()),
                    false => Edit::Keep(()),
                })
            });
            removed.await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
