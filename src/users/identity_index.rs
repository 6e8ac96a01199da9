//! The index of identities: its entries lead from an issuer's subject, or from a claim that identifies a user, to the user.
//!
//! An entry is written before the user's record, which may be in another shard. It counts only if the user's record has the
//! subject or claim too, so an outdated entry has no effect. An entry without a record belongs to a user who is about to be created.

use super::{ClaimLink, Identity, ProvisionedUser, User, Users, record::new_user_id};
use crate::{
    principal::IdentityClaims,
    secret::Digest,
    store::{self, Edit, Ttl},
};

/// The names of the attributes of a user in the directory that lead to the user.
pub(super) const ID: &str = "id";
pub(super) const USER_NAME: &str = "userName";
pub(super) const EXTERNAL_ID: &str = "externalId";

/// Folds a `userName`, in which upper and lower case count as equal (RFC 7643, section 4.1.1).
pub(super) fn fold_name(name: &str) -> String {
    name.to_lowercase()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexEntry {
    Subject(Digest),
    UserClaim(Digest),
    /// An attribute of a user that the directory provisioned.
    Provisioned(Digest),
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

    /// All entries of a user in the directory.
    pub fn of_provisioned(user: &ProvisionedUser) -> Vec<Self> {
        let attribute = |name, value: &str| Self::Provisioned(Identity::provisioned_digest(&user.provider, name, value));
        let link = user.link.as_ref().map(Self::of_link);
        let external_id = user.external_id.as_deref().map(|id| attribute(EXTERNAL_ID, id));
        let own = [attribute(ID, &user.id), attribute(USER_NAME, &fold_name(&user.user_name))];
        own.into_iter().chain(external_id).chain(link).collect()
    }

    fn of_link(link: &ClaimLink) -> Self {
        match link.is_subject() {
            true => Self::Subject(link.digest()),
            false => Self::UserClaim(link.digest()),
        }
    }

    /// All entries of a user.
    pub fn of_user(user: &User) -> Vec<Self> {
        let provisioned = user.provisioned.iter().flat_map(Self::of_provisioned);
        let former = user.former_link.iter().map(Self::of_link);
        user.identities.iter().flat_map(Self::of).chain(provisioned).chain(former).collect()
    }

    pub fn digest(self) -> Digest {
        let (Self::Subject(digest) | Self::UserClaim(digest) | Self::Provisioned(digest)) = self;
        digest
    }

    /// True if the entry still belongs to the user that it names. A record that has moved to another user keeps no entry.
    fn is_kept_by(self, owner: &User) -> bool {
        owner.moved_to().is_none() && Self::of_user(owner).contains(&self)
    }
}

impl User {
    /// The digests of the entries by which tokens find the user: subjects, and claims of the evaluated identities. A link alone is
    /// no claim of an identity.
    pub fn token_digests(&self, evaluated: &[IdentityClaims]) -> impl Iterator<Item = Digest> {
        let subjects = IndexEntry::of_user(self).into_iter().filter(|entry| matches!(entry, IndexEntry::Subject(_)));
        let former = self.former_link.iter().map(IndexEntry::of_link);
        subjects.chain(evaluated.iter().flat_map(IndexEntry::of_user_claims)).chain(former).map(IndexEntry::digest)
    }

    /// True if an identity belongs to the user, or is the one that the directory means.
    pub(super) fn owns(&self, identity: &IdentityClaims) -> bool {
        let subject = IndexEntry::Subject(Identity::digest(&identity.issuer, &identity.subject));
        subject.is_kept_by(self) || self.moved_to().is_none() && self.is_linked_to(identity)
    }

    /// True if the directory means the identity, or meant it before it deleted the user.
    pub(super) fn is_linked_to(&self, identity: &IdentityClaims) -> bool {
        let former = self.former_link.as_ref().is_some_and(|link| link.is_fulfilled_by(identity));
        former || self.provisioned.as_ref().is_some_and(|user| user.is_linked_to(identity))
    }

    /// The user to whom the directory's part of the record is being moved.
    pub(super) fn moved_to(&self) -> Option<&str> {
        self.provisioned.as_ref()?.moved_to.as_deref()
    }
}

impl Users {
    /// Returns the id of the user with an identity, also if the user is about to be created.
    pub async fn find(&self, issuer: &str, subject: &str) -> Result<Option<String>, store::Error> {
        let entry = IndexEntry::Subject(Identity::digest(issuer, subject));
        let found = self.records.get_patiently::<Identity>(&Identity::key(&entry.digest())).await?.map(|found| found.value.user);
        // A record is read in any case: the time must not tell whether there is such a local account.
        let owner = self.get(found.as_deref().unwrap_or(&entry.digest().to_hex())).await?;
        Ok(found.filter(|_| owner.is_none_or(|owner| entry.is_kept_by(&owner.value))))
    }

    /// Returns the id of the user with an identity, and assigns one to an identity that belongs to no user.
    pub async fn find_or_assign_id(&self, issuer: &str, subject: &str) -> Result<String, store::Error> {
        self.reserve_id(IndexEntry::Subject(Identity::digest(issuer, subject))).await
    }

    /// Assigns the index entries of an identity to a user. Returns false, and changes no entry, if one of them belongs to another
    /// user. An entry of a deleted user, or of one who has never completed a login, is free.
    pub async fn assign_identity(&self, user: &str, identity: &IdentityClaims) -> Result<bool, store::Error> {
        Ok(self.assign_entries(user, IndexEntry::of(identity)).await?.is_none())
    }

    /// As [`Self::assign_identity`], for the claims that identify the user. Returns the other user if there is one.
    pub(super) async fn assign_user_claims(&self, user: &str, identity: &IdentityClaims) -> Result<Option<String>, store::Error> {
        self.assign_entries(user, IndexEntry::of_user_claims(identity)).await
    }

    pub(super) async fn assign_entries(
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

    /// Returns the user of an entry, and assigns a new id to an entry that is free. An entry without a record belongs to a user
    /// who is about to be created.
    pub(super) async fn reserve_id(&self, entry: IndexEntry) -> Result<String, store::Error> {
        let digest = entry.digest();
        let key = Identity::key(&digest);
        store::retry(async || {
            let change = self.records.change(key.shard);
            let change = match self.records.get_patiently::<Identity>(&key).await? {
                Some(found) => match self.get(&found.value.user).await? {
                    Some(owner) if !entry.is_kept_by(&owner.value) => change.expect_version(&key, found.version),
                    _ => return Ok(Ok(found.value.user)),
                },
                None => change.expect_absent(&key),
            };
            let assigned = Identity { user: new_user_id(self.clock.now()) };
            let change = change.put(&key, &assigned, Ttl::Forever).drop_credential(&digest);
            Ok(change.commit().await?.map(|_| assigned.user))
        })
        .await
    }

    /// Returns the user to whom an entry belongs.
    pub(super) async fn owner_of(&self, entry: IndexEntry) -> Result<Option<User>, store::Error> {
        let Some(found) = self.records.get_patiently::<Identity>(&Identity::key(&entry.digest())).await? else { return Ok(None) };
        let owner = self.get(&found.value.user).await?.map(|owner| owner.value);
        Ok(owner.filter(|owner| entry.is_kept_by(owner)))
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
