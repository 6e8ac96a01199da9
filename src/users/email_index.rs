//! The index of email addresses: it leads from an address to the users who have signed in with it at a provider.
//!
//! An upstream may know a user by their address. A user belongs to the index only if the user's record still has the address, so
//! an outdated entry has no effect. Addresses of local accounts are subjects, to which the index of identities leads.

use futures::future::join_all;

use super::{User, Users, email};
use crate::{
    principal::IdentityClaims,
    secret::Digest,
    store::{self, Index, Shard, Ttl},
};

/// The users that are listed for one address.
const MAX_LISTED: usize = 100;

/// The users with an email address.
pub enum EmailOwners {
    Known(Vec<User>),
    /// There may be others than those that the index lists.
    Unknown,
}

impl Users {
    /// Returns the users who have signed in at a provider with an address in its normal form.
    pub async fn find_by_email(&self, email: &str) -> Result<EmailOwners, store::Error> {
        let members = self.list_owners(&index_of(email)).await?;
        if members.len() >= MAX_LISTED {
            return Ok(EmailOwners::Unknown);
        }
        let read = join_all(members.iter().map(|user| self.get(user))).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let users = read.into_iter().flatten().map(|stored| stored.value);
        let has_email = |user: &User| user.identities.iter().any(|identity| self.email_of(identity).as_deref() == Some(email));
        Ok(EmailOwners::Known(users.filter(has_email).collect()))
    }

    /// Adds the user to the index with the address of an identity.
    pub(super) async fn index_email(&self, user: &str, identity: &IdentityClaims) -> Result<(), store::Error> {
        let Some(index) = self.email_of(identity).map(|email| index_of(&email)) else { return Ok(()) };
        let members = self.list_owners(&index).await?;
        if members.len() >= MAX_LISTED || members.iter().any(|member| member == user) {
            return Ok(());
        }
        let added = self.records.change(index.shard).index_add(&index, user, Ttl::Forever).commit().await?;
        added.map(|_| ()).map_err(|_| store::Error::Contended)
    }

    /// Removes the user from the index, unless another identity has the same address.
    pub(super) async fn remove_email(
        &self,
        user: &str,
        identity: &IdentityClaims,
        others: &[IdentityClaims],
    ) -> Result<(), store::Error> {
        let email =
            self.email_of(identity).filter(|email| others.iter().all(|other| self.email_of(other).as_ref() != Some(email)));
        let Some(index) = email.map(|email| index_of(&email)) else { return Ok(()) };
        let removed = self.records.change(index.shard).index_remove(&index, user).as_revocation().commit().await?;
        removed.map(|_| ()).map_err(|_| store::Error::Contended)
    }

    /// The normal form of the address that upstreams receive for the identity.
    fn email_of(&self, identity: &IdentityClaims) -> Option<String> {
        email::normal(identity.email(self.profiles.of(&identity.provider))?)
    }

    async fn list_owners(&self, index: &Index) -> Result<Vec<String>, store::Error> {
        self.records.store().list(index, None, MAX_LISTED).await
    }
}

fn index_of(email: &str) -> Index {
    let digest = Digest::of_parts(&["email", email]);
    Index::new(Shard::of(&digest), format!("email:{}", digest.to_hex()))
}
