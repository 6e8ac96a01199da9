//! Opens, lists, touches and ends a user's sessions.

use futures::future::join_all;
use jiff::Timestamp;

use super::{Generation, Session, SessionState, TokenOwner, User, Users, VerifiedLogin, shard_of};
use crate::{
    secret::{Digest, OpaqueToken, TokenKind},
    store::{self, Change, Edit, Index, Shard, StoredRecord, Ttl},
};

/// The number of index members that are read at once.
pub(super) const BATCH: usize = 100;

/// The maximum number of listed sessions of a user. Ending all sessions also ends those beyond it.
const MAX_LISTED: usize = 500;

/// A session in a list. Its id is the digest of the session token, which authenticates nobody.
pub struct SessionEntry {
    pub id: Digest,
    pub session: Session,
}

impl Users {
    /// Returns a user's live sessions, the most recently used first.
    pub async fn sessions(&self, user: &str) -> Result<Vec<SessionEntry>, store::Error> {
        let Some(user_record) = self.records.get::<User>(&User::key(user)).await? else { return Ok(Vec::new()) };
        let (index, now) = (index_of(user), self.clock.now());
        let (mut found, mut gone, mut after) = (Vec::new(), Vec::new(), None);
        while found.len() < MAX_LISTED {
            let ids = self.records.store().list(&index, after.as_deref(), BATCH).await?;
            let Some(last) = ids.last().cloned() else { break };
            let reads = ids.into_iter().map(async |id| (self.read_listed(user, &id).await, id));
            for (read, id) in join_all(reads).await {
                match read? {
                    Some(listed) => found.push(listed),
                    None => gone.push(id),
                }
            }
            after = Some(last);
        }
        self.remove_expired(&index, gone).await;
        found.retain(|SessionEntry { session, .. }| {
            let state = self.limits.state(session.created, session.last_seen, now);
            session.generation == user_record.value.session_generation && state == SessionState::Live
        });
        found.sort_by_key(|listed| std::cmp::Reverse(listed.session.last_seen));
        Ok(found)
    }

    /// Ends a session on every pod.
    pub async fn end_session(&self, user: &str, token: &Digest) -> Result<(), store::Error> {
        let shard = shard_of(user);
        let change = self.records.change(shard).index_remove(&index_of(user), &token.to_hex());
        self.commit_end(change, shard, token).await
    }

    /// Ends all sessions of a user, except the kept one, in one commit.
    pub async fn end_sessions(&self, user: &str, kept: Option<&Digest>) -> Result<(), store::Error> {
        self.end_sessions_with(user, kept, |_, change| Ok(change)).await
    }

    /// Ends all sessions of a user, except the kept one, unless `with` refuses. Its additions are in the same commit.
    pub async fn end_sessions_with<E: From<store::Error>>(
        &self,
        user: &str,
        kept: Option<&Digest>,
        with: impl for<'a> Fn(&User, Change<'a>) -> Result<Change<'a>, E>,
    ) -> Result<(), E> {
        let key = User::key(user);
        let updated = self.records.update(&key, async |mut user_record: User, change| {
            user_record.session_generation = Generation::random();
            let change = with(&user_record, self.keep(change, kept, &user_record).await?)?;
            Ok(Edit::Commit(change.put(&key, &user_record, Ttl::Forever).revoke_user(user), ()))
        });
        updated.await.map(Option::unwrap_or_default)
    }

    /// Moves the kept session to the new session generation.
    pub(super) async fn keep<'a>(
        &self,
        change: Change<'a>,
        kept: Option<&Digest>,
        user_record: &User,
    ) -> Result<Change<'a>, store::Error> {
        let Some(token) = kept else { return Ok(change) };
        let key = Session::key(shard_of(&user_record.id), token);
        let Some(StoredRecord { value: mut session, version }) = self.records.get::<Session>(&key).await? else {
            return Ok(change);
        };
        session.generation = user_record.session_generation;
        let ttl = session.ttl(self.limits, self.clock.now());
        Ok(change.expect_version(&key, version).put(&key, &session, ttl).drop_credential(token))
    }

    /// Parses a cookie's value. `None` if no pod of this deployment issued it.
    pub fn parse_session_token(&self, cookie: &str) -> Option<OpaqueToken> {
        OpaqueToken::parse(self.records.ring(), TokenKind::Session, cookie).ok()
    }

    /// Reads a session from the store.
    pub async fn session(&self, user: &str, token: &Digest) -> Result<Option<Session>, store::Error> {
        let stored = self.records.get::<Session>(&Session::key(shard_of(user), token)).await?;
        Ok(stored.map(|stored| stored.value))
    }

    /// True if the session of a user is live in the store.
    pub async fn has_session(&self, user: &str, token: &Digest) -> Result<bool, store::Error> {
        let (user_record, session) = tokio::join!(self.get(user), self.session(user, token));
        let (Some(StoredRecord { value: user_record, .. }), Some(session)) = (user_record?, session?) else { return Ok(false) };
        Ok(self.is_live(&session, &user_record))
    }

    /// Returns the live session of a token from the store.
    pub async fn live_session(&self, token: &OpaqueToken) -> Result<Option<Session>, store::Error> {
        let Some(shard) = Shard::new(token.shard()) else { return Ok(None) };
        let key = Session::key(shard, &token.digest());
        let Some(StoredRecord { value: session, .. }) = self.records.get_patiently::<Session>(&key).await? else {
            return Ok(None);
        };
        let user_record = self.get(&session.user).await?;
        Ok(user_record.is_some_and(|user_record| self.is_live(&session, &user_record.value)).then_some(session))
    }

    pub(super) fn is_live(&self, session: &Session, user: &User) -> bool {
        let state = self.limits.state(session.created, session.last_seen, self.clock.now());
        session.user == user.id
            && session.generation == user.session_generation
            && !user.is_disabled()
            && state == SessionState::Live
    }

    /// Updates `last_seen`, unless the session has changed or ended in the meantime.
    pub async fn touch(&self, user: &str, token: &Digest) -> Result<Option<Timestamp>, store::Error> {
        let shard = shard_of(user);
        let key = Session::key(shard, token);
        let Some(StoredRecord { value: mut session, version }) = self.records.get::<Session>(&key).await? else {
            return Ok(None);
        };
        let now = self.clock.now();
        // Another pod may have updated it.
        if !self.limits.is_touch_due(session.last_seen, now) {
            return Ok(Some(session.last_seen));
        }
        session.last_seen = now;
        let ttl = session.ttl(self.limits, now);
        let touched = self.records.change(shard).expect_version(&key, version).put(&key, &session, ttl).commit().await?;
        Ok(touched.is_ok().then_some(session.last_seen))
    }

    pub(super) fn open_session<'a>(&self, change: Change<'a>, user: &User, login: &VerifiedLogin) -> (OpaqueToken, Change<'a>) {
        let (now, shard) = (self.clock.now(), shard_of(&user.id));
        let token = OpaqueToken::mint(self.records.ring(), TokenKind::Session, shard.number());
        let digest = token.digest();
        let session = Session {
            user: user.id.clone(),
            created: now,
            last_seen: now,
            provider: login.identity.provider.clone(),
            sid: login.provider_session.as_ref().and_then(|session| session.sid.clone()),
            subject: login.provider_session.as_ref().map(|_| login.identity.subject.clone()),
            flow: login.provider_session.as_ref().map(|session| session.flow.clone()),
            logout: login.logout.clone(),
            refresh_token: self.token_for(TokenOwner::Session, login).cloned(),
            generation: user.session_generation,
            authenticated_at: login.authenticated_at,
            agent: login.browser.agent.clone(),
        };
        let change = change.put(&Session::key(shard, &digest), &session, session.ttl(self.limits, now));
        let index = index_of(&user.id);
        let change = change.index_add(&index, &digest.to_hex(), Ttl::For(self.limits.absolute));
        let replaced = login.browser.replaces.as_ref().filter(|replaced| replaced.shard() == shard.number());
        let change = match replaced.map(OpaqueToken::digest) {
            // Not a revocation, since the commit opens a session.
            Some(replaced) => {
                let change = change.index_remove(&index, &replaced.to_hex()).delete(&Session::key(shard, &replaced));
                change.drop_credential(&replaced).replicated()
            }
            None => change,
        };
        (token, change)
    }

    /// Ends the replaced session if it is in another shard than the login's commit. A failure does not refuse the login,
    /// since the new session is already open.
    pub(super) async fn end_in_another_shard(&self, replaced: Option<&OpaqueToken>, own: Shard) {
        let Some((token, shard)) = replaced.and_then(|token| Some((token, Shard::new(token.shard())?))) else { return };
        if shard == own {
            return;
        }
        if let Err(error) = self.commit_end(self.records.change(shard), shard, &token.digest()).await {
            tracing::warn!(%error, "previous session not ended");
        }
    }

    async fn commit_end(&self, change: Change<'_>, shard: Shard, token: &Digest) -> Result<(), store::Error> {
        let ended = change.delete(&Session::key(shard, token)).revoke_credential(token).commit().await?;
        debug_assert!(ended.is_ok(), "a commit that expects nothing has no conflict");
        Ok(())
    }

    async fn read_listed(&self, user: &str, id: &str) -> Result<Option<SessionEntry>, store::Error> {
        let Some(id) = Digest::from_hex(id) else { return Ok(None) };
        Ok(self.session(user, &id).await?.filter(|session| session.user == user).map(|session| SessionEntry { id, session }))
    }

    /// Removes expired sessions from the index. The store does not do it.
    async fn remove_expired(&self, index: &Index, gone: Vec<String>) {
        if gone.is_empty() {
            return;
        }
        let change = gone.iter().fold(self.records.change(index.shard), |change, id| change.index_remove(index, id));
        if let Err(error) = change.commit().await {
            tracing::debug!(%error, "ended sessions not removed from index");
        }
    }
}

/// The digests of a user's session tokens.
pub(super) fn index_of(user: &str) -> Index {
    Index::new(shard_of(user), format!("sessions:{user}"))
}
