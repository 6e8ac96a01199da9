//! People: who an (issuer, subject) is, what was last verified of them, and how they are signed in.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Clock,
    principal::IdentityClaims,
    secret::{Digest, Handle, HandleKind, random_bytes},
    session::{Limits, Logout, Session},
    store::{Conflict, Failed, Key, Kind, ReadError, Record, Records, Shard, Stored, Ttl},
};

/// Two pods may bring the same person up to date at once; a few rounds settle it.
const TRIES: usize = 8;

/// A person, with every identity that was linked to them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    pub id: String,
    pub created: Timestamp,
    pub identities: Vec<IdentityClaims>,
}

/// Which user an (issuer, subject) is.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Identity {
    user: String,
}

/// What a session is to know of the sign-in that it came from.
pub struct SignIn {
    pub identity: IdentityClaims,
    pub sid: Option<String>,
    pub logout: Logout,
}

/// A person who has just been signed in.
pub struct SignedIn {
    pub user: User,
    pub handle: Handle,
}

#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] Failed),
    #[error("the person's record kept changing")]
    Contended,
}

impl Record for User {
    const KIND: Kind = Kind::User;
}

impl Record for Identity {
    const KIND: Kind = Kind::Identity;
}

/// The shard in which everything of a user lives.
pub fn shard_of(user: &str) -> Shard {
    Shard::of(&Digest::of(user.as_bytes()))
}

pub struct Users {
    records: Records,
    clock: Arc<dyn Clock>,
    limits: Limits,
}

impl User {
    pub fn key(id: &str) -> Key {
        Key::new(shard_of(id), Kind::User, id)
    }

    /// Takes in what was just verified. `None` when nothing is new, so that nothing is written.
    fn with_identity(&self, identity: &IdentityClaims) -> Option<Self> {
        let mut user = self.clone();
        match user.identities.iter_mut().find(|known| known.issuer == identity.issuer && known.subject == identity.subject) {
            Some(known) if known == identity => return None,
            Some(known) => *known = identity.clone(),
            None => user.identities.push(identity.clone()),
        }
        Some(user)
    }
}

impl Users {
    pub fn new(records: Records, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        Self { records, clock, limits }
    }

    /// Brings the person's claims up to date and opens a session, in one commit.
    pub async fn sign_in(&self, sign_in: &SignIn) -> Result<SignedIn, UsersError> {
        let id = self.user_of(&sign_in.identity).await?;
        for _ in 0..TRIES {
            let stored = self.records.get::<User>(&User::key(&id)).await?;
            if let Ok(signed_in) = self.open_session(&id, stored, sign_in).await? {
                return Ok(signed_in);
            }
        }
        Err(UsersError::Contended)
    }

    /// Ends a session on every pod.
    pub async fn end_session(&self, user: &str, handle: &Digest) -> Result<(), Failed> {
        let shard = shard_of(user);
        let change = self.records.change(shard).delete(&Session::key(shard, handle)).revoke_credential(handle);
        let ended = change.index_remove(&Session::index(shard, user), &handle.to_hex()).commit().await?;
        debug_assert!(ended.is_ok(), "a commit that expects nothing has no conflict");
        Ok(())
    }

    /// Writes down that a session was used, unless it has changed or ended meanwhile.
    pub async fn touch(&self, user: &str, handle: &Digest) -> Result<Option<Timestamp>, UsersError> {
        let shard = shard_of(user);
        let key = Session::key(shard, handle);
        let Some(Stored { value: mut session, version }) = self.records.get::<Session>(&key).await? else { return Ok(None) };
        let now = self.clock.now();
        session.last_seen = session.last_seen.max(now);
        let ttl = session.ttl(self.limits, now);
        let touched = self.records.change(shard).expect_version(&key, version).put(&key, &session, ttl).commit().await?;
        Ok(touched.is_ok().then_some(session.last_seen))
    }

    /// The user that an identity belongs to, a new one if it is seen for the first time.
    ///
    /// The index entry comes first and the user's record after it, since they may lie in different
    /// shards: who reads an entry without its record finds a user who has never finished a sign-in.
    async fn user_of(&self, identity: &IdentityClaims) -> Result<String, UsersError> {
        let key = Key::of_digest(Kind::Identity, &Digest::of_parts(&[&identity.issuer, &identity.subject]));
        for _ in 0..TRIES {
            if let Some(found) = self.records.get::<Identity>(&key).await? {
                return Ok(found.value.user);
            }
            let entry = Identity { user: new_user_id(self.clock.now()) };
            let created = self.records.change(key.shard).expect_absent(&key).put(&key, &entry, Ttl::Forever).commit().await?;
            if created.is_ok() {
                return Ok(entry.user);
            }
        }
        Err(UsersError::Contended)
    }

    async fn open_session(&self, id: &str, stored: Option<Stored<User>>, sign_in: &SignIn) -> Result<Result<SignedIn, Conflict>, Failed> {
        let now = self.clock.now();
        let (shard, user_key) = (shard_of(id), User::key(id));
        let handle = Handle::mint(self.records.ring(), HandleKind::Session, shard.number());
        let digest = handle.digest();
        let session = Session {
            user: id.to_owned(),
            created: now,
            last_seen: now,
            provider: sign_in.identity.provider.clone(),
            sid: sign_in.sid.clone(),
            logout: sign_in.logout.clone(),
        };
        let change = self
            .records
            .change(shard)
            .put(&Session::key(shard, &digest), &session, session.ttl(self.limits, now))
            .index_add(&Session::index(shard, id), &digest.to_hex());
        let (user, change) = match stored {
            None => {
                let user = User { id: id.to_owned(), created: now, identities: vec![sign_in.identity.clone()] };
                let change = change.expect_absent(&user_key).put(&user_key, &user, Ttl::Forever);
                (user, change)
            }
            Some(Stored { value: known, version }) => match known.with_identity(&sign_in.identity) {
                None => (known, change.expect_version(&user_key, version)),
                Some(user) => {
                    let change = change.expect_version(&user_key, version).put(&user_key, &user, Ttl::Forever).drop_user(id);
                    (user, change)
                }
            },
        };
        Ok(change.commit().await?.map(|_| SignedIn { user, handle }))
    }
}

/// A UUIDv7, so that ids sort by the time of the first sign-in.
fn new_user_id(now: Timestamp) -> String {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &random_bytes()).into_uuid().to_string()
}
