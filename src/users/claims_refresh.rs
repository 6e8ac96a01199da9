//! Finds refresh tokens, and leases them: of all pods, one at a time uses a token.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Identity, RefreshPolicy, RefreshToken, Session, TokenOwner, User, Users,
    sessions::{BATCH, index_of},
    shard_of,
};
use crate::{
    principal::IdentityClaims,
    secret::Digest,
    store::{self, Change, Record, RecordKey, RecordKind, Shard, StoredRecord, Ttl, Version},
};

/// Longer than the slowest refresh, and short enough that another pod soon takes over if a pod dies.
const LEASE: Duration = Duration::from_secs(75);

/// The maximum time between the start of the lease and the request to the provider.
pub const START_TIMEOUT: Duration = Duration::from_secs(5);

/// The place of a refresh token in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPlace {
    /// The session with this digest.
    Session(Digest),
    /// The identity with this digest.
    Identity(Digest),
}

/// The result of leasing a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseOutcome {
    Acquired(TokenLease),
    /// Another pod uses the token, or has just used it.
    Held,
    /// The last attempt failed, and the next one has to wait.
    Paused,
}

/// The right of this pod alone to use a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenLease {
    pub user: String,
    pub place: TokenPlace,
    /// The outcome has to be committed before this time, when another pod may lease the token.
    pub ends: Instant,
    /// The lease of another pod has another version.
    pub(super) version: Version,
}

/// A refresh token that this pod alone uses, with the identity of its login.
pub struct LeasedToken {
    pub lease: TokenLease,
    pub identity: IdentityClaims,
    pub token: RefreshToken,
    /// Claims of a refresh are those of this time or later.
    pub began: Timestamp,
}

impl TokenLease {
    pub(super) fn key(&self) -> RecordKey {
        self.place.lease(shard_of(&self.user))
    }

    /// Ends the lease. The commit is a conflict if it has ended by itself: another pod may have leased the token since.
    pub(super) fn end<'a>(&self, change: Change<'a>) -> Change<'a> {
        let key = self.key();
        change.expect_version(&key, self.version).delete(&key)
    }
}

impl LeasedToken {
    /// The name of the record that has the token, and that ends if the provider refuses it.
    pub fn token_owner(&self) -> &'static str {
        match self.lease.place {
            TokenPlace::Session(_) => "session",
            TokenPlace::Identity(_) => "identity",
        }
    }
}

/// A refresh token that is kept with an identity.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct OfflineToken {
    pub token: RefreshToken,
}

/// While this record exists, no other refresh of the token begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RefreshLease {
    Running,
    Paused,
}

/// The record that has a refresh token, as it was read.
pub(super) enum TokenRecord {
    Session(Box<StoredRecord<Session>>),
    Identity(StoredRecord<OfflineToken>),
}

impl Record for OfflineToken {
    const KIND: RecordKind = RecordKind::RefreshToken;
}

impl Record for RefreshLease {
    const KIND: RecordKind = RecordKind::RefreshLease;
}

impl TokenPlace {
    fn digest(&self) -> &Digest {
        let (Self::Session(digest) | Self::Identity(digest)) = self;
        digest
    }

    pub(super) fn lease(&self, shard: Shard) -> RecordKey {
        RecordKey::new(shard, RecordKind::RefreshLease, self.digest().to_hex())
    }
}

impl OfflineToken {
    pub(super) fn key(user: &str, identity: &Digest) -> RecordKey {
        RecordKey::new(shard_of(user), RecordKind::RefreshToken, identity.to_hex())
    }

    pub(super) fn put<'a>(change: Change<'a>, user: &str, (issuer, subject): (&str, &str), token: &RefreshToken) -> Change<'a> {
        change.put(&Self::key(user, &Identity::digest(issuer, subject)), &Self { token: token.clone() }, Ttl::Forever)
    }

    /// Deletes the tokens of these identities of a user.
    pub(super) fn delete_all<'a>(change: Change<'a>, user: &str, identities: &[IdentityClaims]) -> Change<'a> {
        let digests = identities.iter().map(|identity| Identity::digest(&identity.issuer, &identity.subject));
        digests.fold(change, |change, digest| change.delete(&Self::key(user, &digest)))
    }
}

impl TokenRecord {
    pub(super) fn token(&self) -> Option<&RefreshToken> {
        match self {
            Self::Session(stored) => stored.value.refresh_token.as_ref(),
            Self::Identity(stored) => Some(&stored.value.token),
        }
    }
}

impl Users {
    /// Finds a refresh token of the identity, preferably that of the presented session. `None` if there is none.
    pub async fn find_refresh_token(
        &self,
        user: &User,
        identity: &IdentityClaims,
        presented: Option<&Digest>,
    ) -> Result<Option<TokenPlace>, store::Error> {
        let Some(RefreshPolicy { token, .. }) = self.max_age.refreshes.get(&identity.provider) else { return Ok(None) };
        match token {
            TokenOwner::Identity => {
                let place = TokenPlace::Identity(Identity::digest(&identity.issuer, &identity.subject));
                Ok(self.read_token(&user.id, place).await?.map(|_| place))
            }
            TokenOwner::Session => {
                let of_presented = match presented {
                    Some(digest) => self.token_of_session(user, identity, *digest).await?,
                    None => None,
                };
                match of_presented {
                    Some(_) => Ok(presented.copied().map(TokenPlace::Session)),
                    None => self.find_session_with_token(user, identity).await,
                }
            }
        }
    }

    /// Of several sessions, the one whose token has failed least and was used last.
    async fn find_session_with_token(&self, user: &User, identity: &IdentityClaims) -> Result<Option<TokenPlace>, store::Error> {
        let (index, mut found, mut after) = (index_of(&user.id), Vec::new(), None);
        loop {
            let ids = self.records.store().list(&index, after.as_deref(), BATCH).await?;
            let Some(last) = ids.last().cloned() else { break };
            let digests = ids.iter().filter_map(|id| Digest::from_hex(id));
            let reads = digests.map(async |digest| {
                let token = self.token_of_session(user, identity, digest).await;
                token.map(|token| token.map(|token| (digest, token)))
            });
            found.extend(try_join_all(reads).await?.into_iter().flatten());
            after = Some(last);
        }
        found.sort_by_key(|(_, token)| (token.failures, std::cmp::Reverse(token.refreshed)));
        Ok(found.into_iter().next().map(|(digest, _)| TokenPlace::Session(digest)))
    }

    /// The refresh token of a live session of the identity.
    async fn token_of_session(
        &self,
        user: &User,
        identity: &IdentityClaims,
        session: Digest,
    ) -> Result<Option<RefreshToken>, store::Error> {
        let is_usable = |session: &Session| self.is_live(session, user) && session.is_of(&identity.provider, &identity.subject);
        match self.session(&user.id, &session).await {
            Ok(session) => Ok(session.filter(is_usable).and_then(|session| session.refresh_token)),
            // An unreadable session cannot be authenticated.
            Err(store::Error::Unreadable { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Leases a token for one refresh. The lease ends with the commit of its outcome, or by itself if the pod dies. A failover
    /// of the store does not end it: another pod would use the token too.
    pub async fn lease_refresh(&self, user: &str, place: TokenPlace) -> Result<LeaseOutcome, store::Error> {
        let key = place.lease(shard_of(user));
        // Before the record is written: the answer of the store may be late.
        let ends = self.clock.monotonic() + LEASE;
        let change = self.records.unsequenced_change(key.shard).expect_absent(&key);
        let leased = change.put(&key, &RefreshLease::Running, Ttl::For(LEASE)).replicated().commit().await?;
        if let Ok(version) = leased {
            return Ok(LeaseOutcome::Acquired(TokenLease { user: user.to_owned(), place, ends, version }));
        }
        let found = self.records.get::<RefreshLease>(&key).await?;
        Ok(match found.map(|found| found.value) {
            Some(RefreshLease::Paused) => LeaseOutcome::Paused,
            Some(RefreshLease::Running) | None => LeaseOutcome::Held,
        })
    }

    /// Ends a lease without an outcome. That of another pod stays.
    pub async fn release_refresh(&self, lease: &TokenLease) -> Result<(), store::Error> {
        let _ = lease.end(self.records.unsequenced_change(shard_of(&lease.user))).commit().await?;
        Ok(())
    }

    /// Reads the token that this pod has leased, as it is now: another pod may have used it before the lease began. `None` if it
    /// needs no refresh any more, or has ended.
    pub async fn leased_token(&self, lease: &TokenLease, identity: &IdentityClaims) -> Result<Option<LeasedToken>, store::Error> {
        let began = self.clock.now();
        let (stored, record) = tokio::try_join!(self.get(&lease.user), self.read_token(&lease.user, lease.place))?;
        let token = record.as_ref().and_then(TokenRecord::token).cloned();
        let (Some(stored), Some(token)) = (stored, token) else { return Ok(None) };
        let is_same = |known: &IdentityClaims| known.issuer == identity.issuer && known.subject == identity.subject;
        let Some(known) = stored.value.dated_identities().into_iter().find(is_same) else { return Ok(None) };
        let is_due = self.is_refresh_due(&known) || self.is_token_due(&known.provider, &token);
        let leased = LeasedToken { lease: lease.clone(), identity: known, token, began };
        Ok((is_due && !stored.value.is_disabled()).then_some(leased))
    }

    /// True until the lease has ended by itself.
    pub(super) async fn has_lease(&self, lease: &TokenLease) -> Result<bool, store::Error> {
        let stored = self.records.get_patiently::<RefreshLease>(&lease.key()).await?;
        Ok(stored.is_some_and(|stored| stored.version == lease.version))
    }

    /// True if the use of the identity has to lead to a refresh.
    pub fn is_refresh_due(&self, identity: &IdentityClaims) -> bool {
        self.max_age.refresh_due(identity).is_some_and(|due| due <= self.clock.now())
    }

    /// True if the token of a session has to be used, so that it does not expire at the provider while the session is in use.
    pub fn is_token_due(&self, provider: &str, token: &RefreshToken) -> bool {
        self.max_age.token_due(provider, token).is_some_and(|due| due <= self.clock.now())
    }

    pub(super) async fn read_token(&self, user: &str, place: TokenPlace) -> Result<Option<TokenRecord>, store::Error> {
        let shard = shard_of(user);
        Ok(match place {
            TokenPlace::Session(digest) => {
                let stored = self.records.get_patiently::<Session>(&Session::key(shard, &digest)).await?;
                stored.filter(|stored| stored.value.user == user).map(|stored| TokenRecord::Session(Box::new(stored)))
            }
            TokenPlace::Identity(digest) => {
                self.records.get_patiently::<OfflineToken>(&OfflineToken::key(user, &digest)).await?.map(TokenRecord::Identity)
            }
        })
    }
}

#[cfg(test)]
mod tests;
