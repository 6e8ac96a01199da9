//! Bounds the sessions of a user: a login beyond the limit ends the oldest ones.

use futures::future::try_join_all;

use super::{
    Session, SessionState, User, Users,
    sessions::{BATCH, index_of},
    shard_of,
};
use crate::{
    secret::{Digest, OpaqueToken},
    store::{self, Change, StoredRecord},
};

/// The maximum number of index members beyond the limit that one login examines. Later logins examine the rest.
const MAX_EXAMINED: usize = 500;

/// The sessions that a login ends to make room for its own.
#[derive(Default)]
pub(super) struct ExcessSessions {
    oldest: Vec<(Digest, Box<StoredRecord<Session>>)>,
    /// Members of the index whose sessions have ended.
    gone: Vec<String>,
}

/// A member of the index of sessions.
enum IndexMember {
    Live(Digest, Box<StoredRecord<Session>>),
    Gone(String),
    /// A session that counts neither as live nor as ended.
    Unreadable,
}

impl Users {
    /// Returns the sessions that must end, so that the user has room for one more. The replaced session ends anyway.
    pub(super) async fn find_excess_sessions(
        &self,
        user: &User,
        replaced: Option<&OpaqueToken>,
    ) -> Result<ExcessSessions, store::Error> {
        let most = self.limits.max_per_user;
        let mut ids = self.records.store().list(&index_of(&user.id), None, most + MAX_EXAMINED).await?;
        if ids.len() < most {
            return Ok(ExcessSessions::default());
        }
        let replaced = replaced.map(|token| token.digest().to_hex());
        ids.retain(|id| replaced.as_ref() != Some(id));
        let (mut live, mut gone) = (Vec::new(), Vec::new());
        for batch in ids.chunks(BATCH) {
            for member in try_join_all(batch.iter().map(|id| self.read_member(user, id))).await? {
                match member {
                    IndexMember::Live(token, stored) => live.push((token, stored)),
                    IndexMember::Gone(id) => gone.push(id),
                    IndexMember::Unreadable => {}
                }
            }
        }
        live.sort_by_key(|(_, stored)| stored.value.created);
        let excess = (live.len() + 1).saturating_sub(most);
        live.truncate(excess);
        Ok(ExcessSessions { oldest: live, gone })
    }

    async fn read_member(&self, user: &User, id: &str) -> Result<IndexMember, store::Error> {
        let gone = || IndexMember::Gone(id.to_owned());
        let Some(token) = Digest::from_hex(id) else { return Ok(gone()) };
        let read = self.records.get::<Session>(&Session::key(shard_of(&user.id), &token)).await;
        let stored = match read {
            Err(store::Error::Unreadable { .. }) => return Ok(IndexMember::Unreadable),
            read => read?,
        };
        let is_live = |session: &Session| {
            let state = self.limits.state(session.created, session.last_seen, self.clock.now());
            session.user == user.id && session.generation == user.session_generation && state == SessionState::Live
        };
        Ok(stored.filter(|stored| is_live(&stored.value)).map_or_else(gone, |stored| IndexMember::Live(token, Box::new(stored))))
    }
}

impl ExcessSessions {
    /// Ends the sessions in the commit of the login. Of concurrent logins, each must end another session, so the commit expects
    /// them as they were read.
    pub(super) fn end<'a>(self, change: Change<'a>, user: &User) -> Change<'a> {
        let (index, shard) = (index_of(&user.id), shard_of(&user.id));
        if !self.oldest.is_empty() {
            tracing::info!(user = user.id, ended = self.oldest.len(), "session limit reached");
        }
        let change = self.gone.iter().fold(change, |change, id| change.index_remove(&index, id));
        self.oldest.into_iter().fold(change, |change, (token, stored)| {
            let key = Session::key(shard, &token);
            let change = change.expect_version(&key, stored.version).delete(&key).index_remove(&index, &token.to_hex());
            change.drop_credential(&token).replicated()
        })
    }
}
