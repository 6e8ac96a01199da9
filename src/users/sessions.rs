//! A person's sessions: opened with a sign-in, listed, used, ended one by one or all at once.

use futures::future::join_all;
use jiff::Timestamp;

use super::{SignIn, User, Users, shard_of};
use crate::{
    epoch::Generation,
    secret::{Digest, OpaqueToken, TokenKind},
    session::{Session, SessionState},
    store::{self, Change, Edit, Index, Shard, StoredRecord, Ttl},
};

/// Members of an index that are read at once.
pub(super) const BATCH: usize = 100;

/// More sessions of one person are not listed. They end with the others all the same.
const MOST_LISTED: usize = 500;

/// A session in a list. Its id is the digest of the handle, by which nobody signs in.
pub struct Listed {
    pub id: Digest,
    pub session: Session,
}

impl Users {
    /// A person's live sessions, the one that was used last first.
    pub async fn sessions(&self, user: &str) -> Result<Vec<Listed>, store::Error> {
        let Some(person) = self.records.get::<User>(&User::key(user)).await? else { return Ok(Vec::new()) };
        let (index, now) = (index_of(user), self.clock.now());
        let (mut found, mut gone, mut after) = (Vec::new(), Vec::new(), None);
        while found.len() < MOST_LISTED {
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
        self.clean(&index, gone).await;
        found.retain(|Listed { session, .. }| {
            let state = self.limits.state(session.created, session.last_seen, now);
            session.generation == person.value.session_generation && state == SessionState::Live
        });
        found.sort_by_key(|listed| std::cmp::Reverse(listed.session.last_seen));
        Ok(found)
    }

    /// Ends a session on every pod.
    pub async fn end_session(&self, user: &str, handle: &Digest) -> Result<(), store::Error> {
        let shard = shard_of(user);
        let change = self.records.change(shard).index_remove(&index_of(user), &handle.to_hex());
        self.commit_end(change, shard, handle).await
    }

    /// Ends all sessions of a person on every pod, but the one that is kept: all or none.
    pub async fn end_sessions(&self, user: &str, kept: Option<&Digest>) -> Result<(), store::Error> {
        self.end_sessions_with(user, kept, |change| change).await
    }

    /// The same with more in the commit.
    pub async fn end_sessions_with(
        &self,
        user: &str,
        kept: Option<&Digest>,
        with: impl for<'a> Fn(Change<'a>) -> Change<'a>,
    ) -> Result<(), store::Error> {
        let key = User::key(user);
        let updated = self.records.update(&key, async |mut person: User, change| {
            person.session_generation = Generation::random();
            let change = with(self.keep(change, kept, &person).await?);
            Ok(Edit::Commit(change.put(&key, &person, Ttl::Forever).revoke_user(user), ()))
        });
        updated.await.map(Option::unwrap_or_default)
    }

    /// Takes a session along into the new generation.
    pub(super) async fn keep<'a>(
        &self,
        change: Change<'a>,
        kept: Option<&Digest>,
        person: &User,
    ) -> Result<Change<'a>, store::Error> {
        let Some(handle) = kept else { return Ok(change) };
        let key = Session::key(shard_of(&person.id), handle);
        let Some(StoredRecord { value: mut session, version }) = self.records.get::<Session>(&key).await? else {
            return Ok(change);
        };
        session.generation = person.session_generation;
        let ttl = session.ttl(self.limits, self.clock.now());
        Ok(change.expect_version(&key, version).put(&key, &session, ttl).drop_credential(handle))
    }

    /// The handle that a cookie's value is, if one of our pods made it.
    pub fn session_handle(&self, cookie: &str) -> Option<OpaqueToken> {
        OpaqueToken::parse(self.records.ring(), TokenKind::Session, cookie).ok()
    }

    /// A session as the store has it, with what its end needs.
    pub async fn session(&self, user: &str, handle: &Digest) -> Result<Option<Session>, store::Error> {
        let stored = self.records.get::<Session>(&Session::key(shard_of(user), handle)).await?;
        Ok(stored.map(|stored| stored.value))
    }

    /// Whether a session of the person's goes on still, as the store has it.
    pub async fn has_session(&self, user: &str, handle: &Digest) -> Result<bool, store::Error> {
        let (person, session) = tokio::join!(self.get(user), self.session(user, handle));
        let (Some(StoredRecord { value: person, .. }), Some(session)) = (person?, session?) else { return Ok(false) };
        let state = self.limits.state(session.created, session.last_seen, self.clock.now());
        Ok(session.user == user
            && session.generation == person.session_generation
            && !person.disabled
            && state == SessionState::Live)
    }

    /// Writes down that a session was used, unless it has changed or ended meanwhile.
    pub async fn touch(&self, user: &str, handle: &Digest) -> Result<Option<Timestamp>, store::Error> {
        let shard = shard_of(user);
        let key = Session::key(shard, handle);
        let Some(StoredRecord { value: mut session, version }) = self.records.get::<Session>(&key).await? else {
            return Ok(None);
        };
        let now = self.clock.now();
        // Another pod may have written it down a moment ago.
        if !self.limits.wants_touch(session.last_seen, now) {
            return Ok(Some(session.last_seen));
        }
        session.last_seen = now;
        let ttl = session.ttl(self.limits, now);
        let touched = self.records.change(shard).expect_version(&key, version).put(&key, &session, ttl).commit().await?;
        Ok(touched.is_ok().then_some(session.last_seen))
    }

    pub(super) fn open_session<'a>(&self, change: Change<'a>, user: &User, sign_in: &SignIn) -> (OpaqueToken, Change<'a>) {
        let (now, shard) = (self.clock.now(), shard_of(&user.id));
        let handle = OpaqueToken::mint(self.records.ring(), TokenKind::Session, shard.number());
        let digest = handle.digest();
        let session = Session {
            user: user.id.clone(),
            created: now,
            last_seen: now,
            provider: sign_in.identity.provider.clone(),
            sid: sign_in.sid.clone(),
            logout: sign_in.logout.clone(),
            generation: user.session_generation,
            agent: sign_in.browser.agent.clone(),
        };
        let change = change.put(&Session::key(shard, &digest), &session, session.ttl(self.limits, now));
        let index = index_of(&user.id);
        let change = change.index_add(&index, &digest.to_hex(), Ttl::For(self.limits.absolute));
        let replaced = sign_in.browser.replaces.as_ref().filter(|replaced| replaced.shard() == shard.number());
        let change = match replaced.map(OpaqueToken::digest) {
            Some(replaced) => end(change.index_remove(&index, &replaced.to_hex()), shard, &replaced),
            None => change,
        };
        (handle, change)
    }

    /// Ends what the sign-in's own commit could not reach. The new session is there by now, so a failure
    /// is no reason to refuse it.
    pub(super) async fn end_in_another_shard(&self, replaced: Option<&OpaqueToken>, own: Shard) {
        let Some((handle, shard)) = replaced.and_then(|handle| Some((handle, Shard::new(handle.shard())?))) else { return };
        if shard == own {
            return;
        }
        if let Err(error) = self.commit_end(self.records.change(shard), shard, &handle.digest()).await {
            tracing::warn!(%error, "previous session not ended");
        }
    }

    async fn commit_end(&self, change: Change<'_>, shard: Shard, handle: &Digest) -> Result<(), store::Error> {
        let ended = end(change, shard, handle).commit().await?;
        debug_assert!(ended.is_ok(), "a commit that expects nothing has no conflict");
        Ok(())
    }

    async fn read_listed(&self, user: &str, id: &str) -> Result<Option<Listed>, store::Error> {
        let Some(id) = Digest::from_hex(id) else { return Ok(None) };
        Ok(self.session(user, &id).await?.filter(|session| session.user == user).map(|session| Listed { id, session }))
    }

    /// Sessions expire by themselves; the index learns of it when somebody reads it.
    async fn clean(&self, index: &Index, gone: Vec<String>) {
        if gone.is_empty() {
            return;
        }
        let change = gone.iter().fold(self.records.change(index.shard), |change, id| change.index_remove(index, id));
        if let Err(error) = change.commit().await {
            tracing::debug!(%error, "ended sessions not removed from index");
        }
    }
}

/// The digests of the handles of a person's sessions.
pub(super) fn index_of(user: &str) -> Index {
    Index::new(shard_of(user), format!("sessions:{user}"))
}

fn end<'a>(change: Change<'a>, shard: Shard, handle: &Digest) -> Change<'a> {
    change.delete(&Session::key(shard, handle)).revoke_credential(handle)
}
