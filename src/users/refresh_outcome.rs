//! Commits the outcomes of refreshes. The rotated token and the new claims are one commit, and the outcome of a token that has
//! been replaced or has ended in the meantime is discarded.

use std::time::Duration;

use super::{
    Identity, LeasedToken, Session, TokenLease, TokenPlace, User, Users,
    claims_refresh::{OfflineToken, RefreshLease, TokenRecord},
    identity_index::IndexEntry,
    provider_logout::LogoutTarget,
    sessions::index_of,
    shard_of,
};
use crate::{
    principal::IdentityClaims,
    secret::Digest,
    store::{self, Change, Conflict, StoredRecord, Ttl},
    users::RefreshToken,
};

/// The pauses after failed attempts. With them a token is used at most four times in a minute, over all pods.
const PAUSES: [Duration; 4] = [Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(15), Duration::from_secs(30)];

/// The result of committing an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefreshCommit {
    Committed,
    /// The token was replaced by a sign-in, or its session or identity has ended.
    Superseded,
}

/// The records that an outcome changes, as they were read.
struct LeasedRecords {
    user: StoredRecord<User>,
    record: TokenRecord,
    /// False if the lease has ended, and perhaps belongs to another pod now.
    is_leased: bool,
}

impl Users {
    /// Writes the index entries of refreshed claims, before the claims are stored. Returns the id of another user who has the
    /// same value of a claim that identifies users.
    pub async fn index_refresh(&self, leased: &LeasedToken, identity: &IdentityClaims) -> Result<Option<String>, store::Error> {
        // The refreshed claims may be the first that link the user to the directory's.
        self.adopt_provisioned(&leased.lease.user, identity).await?;
        let owner = self.assign_user_claims(&leased.lease.user, identity).await?;
        if owner.is_none() {
            self.index_email(&leased.lease.user, identity).await?;
        }
        Ok(owner)
    }

    /// Stores the claims of a refresh and the token for the next one.
    pub async fn complete_refresh(
        &self,
        leased: &LeasedToken,
        identity: &IdentityClaims,
        token: &RefreshToken,
    ) -> Result<RefreshCommit, store::Error> {
        let former = store::retry(async || {
            let Some(LeasedRecords { mut user, record, is_leased }) = self.subject_of(leased).await? else {
                return Ok(Ok(None));
            };
            let former = IndexEntry::of_user(&user.value);
            if !user.value.renew_identity(identity, leased.began) {
                return Ok(Ok(None));
            }
            let change = self.change_user(leased, &user).drop_user(&leased.lease.user);
            let change = end_lease(self.put_token(change, leased, record, token), leased, is_leased);
            let change = match leased.lease.place {
                // The cached session contains the time at which the token is due.
                TokenPlace::Session(digest) => change.drop_credential(&digest),
                TokenPlace::Identity(_) => change,
            };
            Ok::<_, store::Error>(change.commit().await?.map(|_| Some((user.value, former))))
        });
        match former.await? {
            Some((user, former)) => {
                self.remove_outdated_entries(&user, former).await;
                Ok(RefreshCommit::Committed)
            }
            None => self.release_refresh(&leased.lease).await.map(|()| RefreshCommit::Superseded),
        }
    }

    /// Stores the token for the next attempt, which begins after a pause.
    pub async fn pause_refresh(&self, leased: &LeasedToken, token: &RefreshToken) -> Result<(), store::Error> {
        let failures = usize::try_from(token.failures).unwrap_or(usize::MAX).clamp(1, PAUSES.len());
        let (pause, lease) = (PAUSES[failures - 1], leased.lease.key());
        store::retry(async || {
            let Some(LeasedRecords { mut user, record, is_leased }) = self.subject_of(leased).await? else {
                return self.release_refresh(&leased.lease).await.map(Ok);
            };
            let is_first = user.value.keep_refresh_bound(&leased.identity);
            let change = match is_first {
                true => self.change_user(leased, &user).drop_user(&leased.lease.user),
                false => self.records.change(lease.shard),
            };
            let change = self.put_token(change, leased, record, token);
            let change = match is_leased {
                true => change.expect_version(&lease, leased.lease.version).put(&lease, &RefreshLease::Paused, Ttl::For(pause)),
                false => change,
            };
            Ok::<_, store::Error>(change.commit().await?.map(|_| ()))
        })
        .await
    }

    /// Ends what the provider has refused to refresh: the session that keeps the token, or all sessions of the identity that
    /// keeps it, which then grants nothing until the next sign-in with it.
    pub async fn refuse_refresh(&self, leased: &LeasedToken) -> Result<RefreshCommit, store::Error> {
        store::retry(async || {
            let Some(subject) = self.subject_of(leased).await? else {
                return self.release_refresh(&leased.lease).await.map(|()| Ok(RefreshCommit::Superseded));
            };
            let committed = match (leased.lease.place, &subject.record) {
                (TokenPlace::Session(digest), TokenRecord::Session(session)) => {
                    let key = Session::key(shard_of(&leased.lease.user), &digest);
                    let mut user = subject.user;
                    user.value.keep_refresh_bound(&leased.identity);
                    let change = self.change_user(leased, &user).expect_version(&key, session.version);
                    let change = self.end_in(change, &leased.lease.user, &digest).revoke_user(&leased.lease.user);
                    end_lease(change, leased, subject.is_leased).commit().await?
                }
                _ => self.try_suspend(leased, subject).await?,
            };
            Ok(committed.map(|_| RefreshCommit::Committed))
        })
        .await
    }

    async fn try_suspend(
        &self,
        leased: &LeasedToken,
        LeasedRecords { mut user, record, is_leased }: LeasedRecords,
    ) -> Result<Result<store::Version, Conflict>, store::Error> {
        let identity = &leased.identity;
        let target = LogoutTarget::Subject(identity.subject.clone());
        let sessions = self.included_sessions(&leased.lease.user, &identity.provider, &target).await?;
        user.value.suspend_identity(identity);
        let key = OfflineToken::key(&leased.lease.user, &Identity::digest(&identity.issuer, &identity.subject));
        let change = self.change_user(leased, &user).revoke_user(&leased.lease.user);
        let change = match record {
            TokenRecord::Identity(stored) => change.expect_version(&key, stored.version),
            TokenRecord::Session(_) => change,
        };
        let change = end_lease(change.delete(&key), leased, is_leased);
        sessions.iter().fold(change, |change, session| self.end_in(change, &leased.lease.user, session)).commit().await
    }

    /// Records that an identity no longer has a refresh token. If the last attempt to use one failed, its claims stay bound to
    /// the maximum age of refreshes: the loss of the token restores no access that has ended.
    pub async fn forget_refresh(&self, user: &StoredRecord<User>, identity: &IdentityClaims) -> Result<(), store::Error> {
        let (key, mut changed) = (User::key(&user.value.id), user.value.clone());
        if !changed.forget_refresh(identity) || changed == user.value {
            return Ok(());
        }
        // A conflict means that the user has just signed in, or was changed: the next use tries again.
        let change = self.records.change(key.shard).expect_version(&key, user.version).put(&key, &changed, Ttl::Forever);
        let _ = change.drop_user(&changed.id).commit().await?;
        Ok(())
    }

    /// Reads the records of a leased token. `None` if the token was replaced, or its session or identity has ended.
    async fn subject_of(&self, leased: &LeasedToken) -> Result<Option<LeasedRecords>, store::Error> {
        let TokenLease { user, place, .. } = &leased.lease;
        let (user, record, is_leased) =
            tokio::try_join!(self.get(user), self.read_token(user, *place), self.has_lease(&leased.lease))?;
        let (Some(user), Some(record)) = (user, record) else { return Ok(None) };
        let is_current = record.token().is_some_and(|token| token.is_same(&leased.token));
        let is_live = match &record {
            TokenRecord::Session(session) => self.is_live(&session.value, &user.value),
            TokenRecord::Identity(_) => !user.value.is_disabled(),
        };
        Ok((is_current && is_live).then_some(LeasedRecords { user, record, is_leased }))
    }

    fn change_user(&self, leased: &LeasedToken, user: &StoredRecord<User>) -> Change<'_> {
        let key = User::key(&leased.lease.user);
        self.records.change(key.shard).expect_version(&key, user.version).put(&key, &user.value, Ttl::Forever)
    }

    /// The commit waits for a replica: a failover must not bring back a token that the provider has rotated.
    fn put_token<'a>(&self, change: Change<'a>, leased: &LeasedToken, record: TokenRecord, token: &RefreshToken) -> Change<'a> {
        let shard = shard_of(&leased.lease.user);
        let change = match (record, leased.lease.place) {
            (TokenRecord::Session(stored), TokenPlace::Session(digest)) => {
                let StoredRecord { mut value, version } = *stored;
                value.refresh_token = Some(token.clone());
                let (key, ttl) = (Session::key(shard, &digest), value.ttl(self.limits, self.clock.now()));
                change.expect_version(&key, version).put(&key, &value, ttl)
            }
            (TokenRecord::Identity(stored), TokenPlace::Identity(digest)) => {
                let key = OfflineToken::key(&leased.lease.user, &digest);
                change.expect_version(&key, stored.version).put(&key, &OfflineToken { token: token.clone() }, Ttl::Forever)
            }
            _ => unreachable!("a record is read from its place"),
        };
        change.replicated()
    }

    fn end_in<'a>(&self, change: Change<'a>, user: &str, session: &Digest) -> Change<'a> {
        let change = change.index_remove(&index_of(user), &session.to_hex());
        change.delete(&Session::key(shard_of(user), session)).revoke_credential(session)
    }
}

/// Ends the lease, unless it has ended: another pod may have leased the token since.
fn end_lease<'a>(change: Change<'a>, leased: &LeasedToken, is_leased: bool) -> Change<'a> {
    if is_leased { leased.lease.end(change) } else { change }
}
