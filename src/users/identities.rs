//! Links identities to users and unlinks them. A user links an identity by signing in with it.

use super::{
    Generation, RefreshToken, TokenOwner, User, Users, claims_refresh::OfflineToken, identity_index::IndexEntry, is_pinned_by,
};
use crate::{
    principal::IdentityClaims,
    secret::Digest,
    store::{self, Change, Edit, Ttl},
};

/// The outcome of linking an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkOutcome {
    Linked,
    /// The identity, or a claim that identifies its user, belongs to another user.
    Taken,
    UnknownUser,
}

/// The outcome of unlinking an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnlinkOutcome {
    Unlinked,
    /// The user could no longer sign in without it.
    LastIdentity,
    UnknownIdentity,
}

impl Users {
    /// Links a verified identity to a user.
    ///
    /// The index entries are written first. They do not count before the user's record has the identity, so a link that was
    /// interrupted has no effect. A login with the identity may take such entries, and then keeps the identity.
    ///
    /// A refresh token is kept only with an identity: the session of the user came with another one.
    pub async fn link(
        &self,
        user: &str,
        identity: &IdentityClaims,
        token: Option<&RefreshToken>,
    ) -> Result<LinkOutcome, store::Error> {
        if self.get(user).await?.is_none() {
            return Ok(LinkOutcome::UnknownUser);
        }
        self.adopt_provisioned(user, identity).await?;
        if !self.assign_identity(user, identity).await? {
            return Ok(LinkOutcome::Taken);
        }
        self.index_email(user, identity).await?;
        let (key, now) = (User::key(user), self.clock.now());
        let policy = self.max_age.refreshes.get(&identity.provider);
        let token = token.filter(|_| policy.is_some_and(|policy| policy.token == TokenOwner::Identity));
        let identity = &IdentityClaims { is_refreshable: token.is_some(), ..identity.clone() };
        let updated = self.records.update(&key, async |mut record: User, mut change| {
            record.update_identity(identity, now, self.max_age.precision());
            record.link_provisioned(identity);
            if let Some(token) = token {
                change = OfflineToken::put(change, user, (&identity.issuer, &identity.subject), token);
            }
            Ok::<_, store::Error>(Edit::Commit(change.put(&key, &record, Ttl::Forever).drop_user(user), ()))
        });
        if updated.await?.is_none() {
            return Ok(LinkOutcome::UnknownUser);
        }
        if !self.assign_identity(user, identity).await? {
            self.unlink(user, (&identity.issuer, &identity.subject), None, |change| change).await?;
            return Ok(LinkOutcome::Taken);
        }
        tracing::info!(user, provider = identity.provider, "identity linked");
        Ok(LinkOutcome::Linked)
    }

    /// Unlinks an identity and ends all sessions except the kept one. The additions of `with` are in the same commit.
    ///
    /// The index entries are removed first. If the process stops in between, the user's record still lists the identity, so that
    /// the user can unlink it again.
    pub async fn unlink(
        &self,
        user: &str,
        (issuer, subject): (&str, &str),
        kept: Option<&Digest>,
        with: impl for<'a> Fn(Change<'a>) -> Change<'a>,
    ) -> Result<UnlinkOutcome, store::Error> {
        let key = User::key(user);
        let updated = self.records.update(&key, async |mut record: User, change| {
            let position = record.identities.iter().position(|known| known.issuer == issuer && known.subject == subject);
            let Some(position) = position else { return Ok(Edit::Keep(Err(UnlinkOutcome::UnknownIdentity))) };
            if record.identities.len() == 1 {
                return Ok(Edit::Keep(Err(UnlinkOutcome::LastIdentity)));
            }
            let identity = record.identities.remove(position);
            // Otherwise another identity would keep the role of this one.
            record.pinned = record.pinned.take().filter(|pinned| match &pinned.identity {
                Some(_) => !is_pinned_by(pinned, &identity),
                None => position > 0,
            });
            let remaining = IndexEntry::of_user(&record);
            self.remove_entries(user, IndexEntry::of(&identity).filter(|entry| !remaining.contains(entry))).await?;
            self.remove_email(user, &identity, &record.identities).await?;
            record.session_generation = Generation::random();
            let change = with(self.keep(change, kept, &record).await?);
            let change = OfflineToken::delete_all(change, user, std::slice::from_ref(&identity));
            let change = change.put(&key, &record, Ttl::Forever).revoke_user(user);
            Ok::<_, store::Error>(Edit::Commit(change, Ok(identity.provider)))
        });
        match updated.await?.unwrap_or(Err(UnlinkOutcome::UnknownIdentity)) {
            Ok(provider) => {
                tracing::info!(user, provider, "identity unlinked");
                Ok(UnlinkOutcome::Unlinked)
            }
            Err(kept) => Ok(kept),
        }
    }
}
