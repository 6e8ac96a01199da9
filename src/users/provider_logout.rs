//! Ends the sessions that an identity provider has ended, and records its logout tokens.
//!
//! A provider names the subject or its own session (`sid`). The index of identities leads from a subject to the user. An index of
//! its own leads from a `sid` to the users who signed in with it. A user's list of sessions contains the sessions to end.

use std::{collections::BTreeSet, time::Duration};

use futures::future::try_join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ProviderSession, Session, Users, VerifiedLogin, sessions::BATCH, sessions::index_of, shard_of};
use crate::{
    secret::Digest,
    store::{self, Index, Record, RecordKey, RecordKind, Shard, Ttl, retry_while_unavailable},
};

/// Longer than a login needs from the request for tokens to its session.
const LOGIN_IN_PROGRESS: Duration = Duration::from_secs(120);

/// The provider of sessions.
#[derive(Debug, Clone, Copy)]
pub struct SessionProvider<'a> {
    pub id: &'a str,
    pub issuer: &'a str,
}

/// The sessions that a provider has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogoutTarget {
    /// All sessions of a subject.
    Subject(String),
    /// The sessions that came with this `sid`, of this subject if it is stated.
    Session { sid: String, subject: Option<String> },
}

/// The record of a logout: its time.
#[derive(Debug, Serialize, Deserialize)]
struct LogoutRecord {
    at: Timestamp,
}

impl Record for LogoutRecord {
    const KIND: RecordKind = RecordKind::ProviderLogout;
}

impl LogoutTarget {
    fn subject(&self) -> Option<&str> {
        match self {
            Self::Subject(subject) => Some(subject),
            Self::Session { subject, .. } => subject.as_deref(),
        }
    }

    fn sid(&self) -> Option<&str> {
        match self {
            Self::Subject(_) => None,
            Self::Session { sid, .. } => Some(sid),
        }
    }

    /// True if the provider has ended the session. A session of an earlier version does not know its subject, and some providers
    /// state `sid` only in logout tokens. A field that the session does not have cannot exclude it, except a `sid` that alone
    /// identifies the session.
    fn has_ended(&self, session: &Session) -> bool {
        let is_or_unknown = |known: &Option<String>, named: &str| known.as_deref().is_none_or(|known| known == named);
        match self {
            Self::Subject(subject) => is_or_unknown(&session.subject, subject),
            Self::Session { sid, subject: None } => session.sid.as_ref() == Some(sid),
            Self::Session { sid, subject: Some(subject) } => {
                is_or_unknown(&session.subject, subject) && is_or_unknown(&session.sid, sid)
            }
        }
    }

    /// The key of the record that a login in progress reads.
    fn key(&self, provider: &str) -> RecordKey {
        match self {
            Self::Subject(subject) => subject_key(provider, subject),
            Self::Session { sid, .. } => session_key(provider, sid),
        }
    }
}

impl Users {
    /// Ends the sessions on every pod, and returns their number. API keys stay.
    pub async fn end_provider_sessions(
        &self,
        provider: SessionProvider<'_>,
        target: &LogoutTarget,
    ) -> Result<usize, store::Error> {
        // Before the sessions are read: a login in progress either reads this record, or its session is found here.
        self.record_logout(&target.key(provider.id), LOGIN_IN_PROGRESS).await?;
        let users = retry_while_unavailable(async || self.find_signed_in(provider, target).await).await?;
        let mut ended = 0;
        for user in &users {
            ended += retry_while_unavailable(async || self.end_sessions_of(user, provider.id, target).await).await?;
        }
        Ok(ended)
    }

    /// Ends the sessions of a `sid` that anyone may send. Writes nothing if no user signed in with it.
    pub async fn end_known_provider_sessions(&self, provider: SessionProvider<'_>, sid: &str) -> Result<usize, store::Error> {
        let target = LogoutTarget::Session { sid: sid.to_owned(), subject: None };
        if retry_while_unavailable(async || self.find_signed_in(provider, &target).await).await?.is_empty() {
            return Ok(0);
        }
        self.end_provider_sessions(provider, &target).await
    }

    /// True if a logout token with this id was recorded.
    pub async fn is_recorded_logout_token(&self, issuer: &str, jti: &str) -> Result<bool, store::Error> {
        Ok(self.records.get_patiently::<LogoutRecord>(&token_key(issuer, jti)).await?.is_some())
    }

    /// Records a logout token for this time. Returns false if it was recorded before: of concurrent requests with the same token,
    /// on any pods, one gets true.
    pub async fn record_logout_token(&self, issuer: &str, jti: &str, kept: Duration) -> Result<bool, store::Error> {
        let key = token_key(issuer, jti);
        let record = LogoutRecord { at: self.clock.now() };
        let change = self.records.unsequenced_change(key.shard).expect_absent(&key).put(&key, &record, Ttl::For(kept));
        Ok(change.as_revocation().commit().await?.is_ok())
    }

    /// Adds the user to those who signed in with the provider's session. The entry is in another shard than the session and is
    /// written first.
    pub(super) async fn index_provider_session(&self, user: &str, login: &VerifiedLogin) -> Result<(), store::Error> {
        let Some(sid) = login.provider_session.as_ref().and_then(|session| session.sid.as_deref()) else { return Ok(()) };
        let index = index_of_provider_session(&login.identity.provider, sid);
        let change = self.records.unsequenced_change(index.shard).index_add(&index, user, Ttl::For(self.limits.absolute));
        let added = change.commit().await?;
        debug_assert!(added.is_ok(), "a commit that expects nothing has no conflict");
        Ok(())
    }

    /// True if the provider ended the session, or all sessions of the subject, after the tokens of the login were requested.
    pub(super) async fn has_ended_at_provider(&self, login: &VerifiedLogin) -> Result<bool, store::Error> {
        let Some(ProviderSession { sid, requested, .. }) = &login.provider_session else { return Ok(false) };
        let (provider, subject) = (&login.identity.provider, &login.identity.subject);
        let keys = [Some(subject_key(provider, subject)), sid.as_ref().map(|sid| session_key(provider, sid))];
        let reads = keys.iter().flatten().map(|key| self.records.get_patiently::<LogoutRecord>(key));
        Ok(try_join_all(reads).await?.into_iter().flatten().any(|logout| logout.value.at >= *requested))
    }

    async fn record_logout(&self, key: &RecordKey, kept: Duration) -> Result<(), store::Error> {
        let record = LogoutRecord { at: self.clock.now() };
        let change = self.records.unsequenced_change(key.shard).put(key, &record, Ttl::For(kept));
        let recorded = change.as_revocation().commit().await?;
        debug_assert!(recorded.is_ok(), "a commit that expects nothing has no conflict");
        Ok(())
    }

    /// The users who may have sessions that the provider has ended.
    async fn find_signed_in(
        &self,
        provider: SessionProvider<'_>,
        target: &LogoutTarget,
    ) -> Result<BTreeSet<String>, store::Error> {
        let mut users = BTreeSet::new();
        if let Some(subject) = target.subject() {
            users.extend(self.find(provider.issuer, subject).await?);
        }
        let Some(index) = target.sid().map(|sid| index_of_provider_session(provider.id, sid)) else { return Ok(users) };
        let mut after = None;
        loop {
            let listed = self.records.store().list(&index, after.as_deref(), BATCH).await?;
            let Some(last) = listed.last().cloned() else { return Ok(users) };
            users.extend(listed);
            after = Some(last);
        }
    }

    async fn end_sessions_of(&self, user: &str, provider: &str, target: &LogoutTarget) -> Result<usize, store::Error> {
        let included = self.included_sessions(user, provider, target).await?;
        for batch in included.chunks(BATCH) {
            self.end_listed_sessions(user, batch).await?;
        }
        let ended = included.len();
        if ended > 0 {
            tracing::info!(user, provider, ended, "sessions ended by identity provider");
        }
        Ok(ended)
    }

    /// The sessions of a user that the provider has ended.
    pub(super) async fn included_sessions(
        &self,
        user: &str,
        provider: &str,
        target: &LogoutTarget,
    ) -> Result<Vec<Digest>, store::Error> {
        let index = index_of(user);
        let (mut included, mut after) = (Vec::new(), None);
        loop {
            let ids = self.records.store().list(&index, after.as_deref(), BATCH).await?;
            let Some(last) = ids.last().cloned() else { return Ok(included) };
            let batch = try_join_all(ids.iter().map(|id| self.find_included(user, id, provider, target))).await?;
            included.extend(batch.into_iter().flatten());
            after = Some(last);
        }
    }

    /// Returns the session's id if the provider has ended it, or if its record cannot be read and may be one of those.
    async fn find_included(
        &self,
        user: &str,
        id: &str,
        provider: &str,
        target: &LogoutTarget,
    ) -> Result<Option<Digest>, store::Error> {
        let Some(token) = Digest::from_hex(id) else { return Ok(None) };
        match self.session(user, &token).await {
            Ok(session) => Ok(session.filter(|session| session.provider == provider && target.has_ended(session)).map(|_| token)),
            Err(store::Error::Unreadable { .. }) => Ok(Some(token)),
            Err(error) => Err(error),
        }
    }

    /// Ends sessions of a user in one commit.
    async fn end_listed_sessions(&self, user: &str, tokens: &[Digest]) -> Result<(), store::Error> {
        if tokens.is_empty() {
            return Ok(());
        }
        let (shard, index) = (shard_of(user), index_of(user));
        let change = tokens.iter().fold(self.records.change(shard), |change, token| {
            change.index_remove(&index, &token.to_hex()).delete(&Session::key(shard, token)).revoke_credential(token)
        });
        let ended = change.commit().await?;
        debug_assert!(ended.is_ok(), "a commit that expects nothing has no conflict");
        Ok(())
    }
}

/// The users who signed in with a session of a provider.
fn index_of_provider_session(provider: &str, sid: &str) -> Index {
    let digest = Digest::of_parts(&["provider session", provider, sid]);
    Index::new(Shard::of(&digest), format!("provider_session:{}", digest.to_hex()))
}

fn token_key(issuer: &str, jti: &str) -> RecordKey {
    RecordKey::of_digest(RecordKind::ProviderLogout, &Digest::of_parts(&["token", issuer, jti]))
}

fn session_key(provider: &str, sid: &str) -> RecordKey {
    RecordKey::of_digest(RecordKind::ProviderLogout, &Digest::of_parts(&["session", provider, sid]))
}

fn subject_key(provider: &str, subject: &str) -> RecordKey {
    RecordKey::of_digest(RecordKind::ProviderLogout, &Digest::of_parts(&["subject", provider, subject]))
}

#[cfg(test)]
mod tests;
