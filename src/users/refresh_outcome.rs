//! Commits the outcomes of refreshes. The rotated token and the new claims are one commit, and the outcome of a token that has
//! been replaced or has ended in the meantime is discarded.

use std::time::Duration;

use super::{
    Identity, LeasedToken, Session, TokenPlace, User, Users,
    claims_refresh::{OfflineToken, RefreshLease, TokenRecord},
    login::entries,
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
    /// The claims were not stored, since another user has the same value of a claim that identifies users.
    UserClaimTaken {
        owner: String,
    },
}

/// The records that an outcome changes, as they were read.
struct LeasedRecords {
    user: StoredRecord<User>,
    record: TokenRecord,
}

impl Users {
    /// Stores the claims of a refresh and the token for the next one.
    pub async fn complete_refresh(
        &self,
        leased: &LeasedToken,
        identity: &IdentityClaims,
        token: &RefreshToken,
    ) -> Result<RefreshCommit, store::Error> {
        if let Some(owner) = self.assign_user_claims(&leased.user, identity).await? {
            return Ok(RefreshCommit::UserClaimTaken { owner });
        }
        self.index_email(&leased.user, identity).await?;
        let former = store::retry(async || {
            let Some(LeasedRecords { mut user, record }) = self.subject_of(leased).await? else { return Ok(Ok(None)) };
            let former = entries(&user.value);
            if !user.value.renew_identity(identity, self.clock.now()) {
                return Ok(Ok(None));
            }
            let change = self.change_user(leased, &user).drop_user(&leased.user);
            let change = self.put_token(change, leased, record, token).delete(&leased.place.lease(shard_of(&leased.user)));
            let change = match leased.place {
                // Its cached copy knows when the token is due.
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
            None => Ok(RefreshCommit::Superseded),
        }
    }

    /// Stores the token for the next attempt, which begins after a pause. Returns the pause.
    pub async fn pause_refresh(&self, leased: &LeasedToken, token: &RefreshToken) -> Result<Duration, store::Error> {
        let failures = usize::try_from(token.failures).unwrap_or(usize::MAX).clamp(1, PAUSES.len());
        let pause = PAUSES[failures - 1];
        let lease = leased.place.lease(shard_of(&leased.user));
        store::retry(async || {
            let change = self.records.change(lease.shard).put(&lease, &RefreshLease::Paused, Ttl::For(pause));
            let change = match self.subject_of(leased).await? {
                Some(LeasedRecords { record, .. }) => self.put_token(change, leased, record, token),
                None => change,
            };
            Ok::<_, store::Error>(change.commit().await?.map(|_| ()))
        })
        .await?;
        Ok(pause)
    }

    /// Ends what the provider has refused to refresh: the session that keeps the token, or all sessions of the identity that
    /// keeps it, which then grants nothing until the next sign-in with it.
    pub async fn refuse_refresh(&self, leased: &LeasedToken) -> Result<RefreshCommit, store::Error> {
        store::retry(async || {
            let Some(subject) = self.subject_of(leased).await? else { return Ok(Ok(RefreshCommit::Superseded)) };
            let committed = match (leased.place, &subject.record) {
                (TokenPlace::Session(digest), TokenRecord::Session(session)) => {
                    let key = Session::key(shard_of(&leased.user), &digest);
                    let mut user = subject.user;
                    user.value.keep_refresh_bound(&leased.identity);
                    let change = self.change_user(leased, &user).expect_version(&key, session.version);
                    let change = self.end_in(change, &leased.user, &digest).revoke_user(&leased.user);
                    change.delete(&leased.place.lease(key.shard)).commit().await?
                }
                (_, record) => self.try_suspend(leased, subject.user, record).await?,
            };
            Ok(committed.map(|_| RefreshCommit::Committed))
        })
        .await
    }

    async fn try_suspend(
        &self,
        leased: &LeasedToken,
        mut user: StoredRecord<User>,
        record: &TokenRecord,
    ) -> Result<Result<store::Version, Conflict>, store::Error> {
        let identity = &leased.identity;
        let target = LogoutTarget::Subject(identity.subject.clone());
        let sessions = self.included_sessions(&leased.user, &identity.provider, &target).await?;
        user.value.suspend_identity(identity);
        let key = OfflineToken::key(&leased.user, &Identity::digest(&identity.issuer, &identity.subject));
        let change = self.change_user(leased, &user).revoke_user(&leased.user);
        let change = match record {
            TokenRecord::Identity(stored) => change.expect_version(&key, stored.version),
            TokenRecord::Session(_) => change,
        };
        let change = change.delete(&key).delete(&leased.place.lease(key.shard));
        sessions.iter().fold(change, |change, session| self.end_in(change, &leased.user, session)).commit().await
    }

    /// Records that an identity has no refresh token any more. Its claims stay until their maximum age, which never restores
    /// access that has ended.
    pub async fn forget_refresh(&self, user: &StoredRecord<User>, identity: &IdentityClaims) -> Result<(), store::Error> {
        let (key, mut changed) = (User::key(&user.value.id), user.value.clone());
        let is_overdue = self.max_age.is_overdue(identity, self.clock.now());
        if !changed.forget_refresh(identity, is_overdue) || changed == user.value {
            return Ok(());
        }
        // A conflict means that the user has just signed in, or was changed: the next use tries again.
        let change = self.records.change(key.shard).expect_version(&key, user.version).put(&key, &changed, Ttl::Forever);
        let _ = change.drop_user(&changed.id).commit().await?;
        Ok(())
    }

    /// Reads the records of a leased token. `None` if the token was replaced, or its session or identity has ended.
    async fn subject_of(&self, leased: &LeasedToken) -> Result<Option<LeasedRecords>, store::Error> {
        let (user, record) = tokio::try_join!(self.get(&leased.user), self.read_token(&leased.user, leased.place))?;
        let (Some(user), Some(record)) = (user, record) else { return Ok(None) };
        let is_current = record.token().is_some_and(|token| token.is_same(&leased.token));
        let is_live = match &record {
            TokenRecord::Session(session) => self.is_live(&session.value, &user.value),
            TokenRecord::Identity(_) => !user.value.disabled,
        };
        Ok((is_current && is_live).then_some(LeasedRecords { user, record }))
    }

    fn change_user(&self, leased: &LeasedToken, user: &StoredRecord<User>) -> Change<'_> {
        let key = User::key(&leased.user);
        self.records.change(key.shard).expect_version(&key, user.version).put(&key, &user.value, Ttl::Forever)
    }

    /// The commit waits for a replica: a failover must not bring back a token that the provider has rotated.
    fn put_token<'a>(&self, change: Change<'a>, leased: &LeasedToken, record: TokenRecord, token: &RefreshToken) -> Change<'a> {
        let shard = shard_of(&leased.user);
        let change = match (record, leased.place) {
            (TokenRecord::Session(stored), TokenPlace::Session(digest)) => {
                let StoredRecord { mut value, version } = *stored;
                value.refresh_token = Some(token.clone());
                let (key, ttl) = (Session::key(shard, &digest), value.ttl(self.limits, self.clock.now()));
                change.expect_version(&key, version).put(&key, &value, ttl)
            }
            (TokenRecord::Identity(stored), TokenPlace::Identity(digest)) => {
                let key = OfflineToken::key(&leased.user, &digest);
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
