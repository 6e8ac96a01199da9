//! People: who an (issuer, subject) is, what was last verified of them, and how they are signed in.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    clock::{self, Clock},
    principal::{IdentityClaims, Pinned},
    secret::{Digest, Handle, HandleKind, random_bytes},
    session::{Limits, Logout, Session},
    store::{Change, Conflict, Failed, Key, Kind, ReadError, Record, Records, Shard, Stored, Ttl},
};

/// Two pods may bring the same person up to date at once; a few rounds settle it.
const TRIES: usize = 8;

/// Redirects that are remembered for one person.
const MOST_TRUSTED: usize = 50;

/// A sign-in that brings nothing else new is written down when the last one that was is so long ago.
const SIGNED_IN_TO: Duration = Duration::from_secs(3600);

/// A person, with every identity that was linked to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub id: String,
    pub created: Timestamp,
    pub identities: Vec<IdentityClaims>,
    /// What was granted at the first sign-in, where the role map says that it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Pinned>,
    /// When the claims were last verified, to the hour: by then the person was still known to a provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_in: Option<Timestamp>,
    /// Where keys went with the person's consent and may go again without being asked; the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_redirects: Vec<String>,
    /// Whoever is disabled is nobody's principal: neither sessions nor keys nor tokens of theirs count.
    #[serde(default)]
    pub disabled: bool,
}

/// Which user an (issuer, subject) is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identity {
    pub user: String,
}

/// What a session is to know of the sign-in that it came from.
pub struct SignIn {
    pub identity: IdentityClaims,
    pub sid: Option<String>,
    pub logout: Logout,
    /// The session that the browser had before, whoever's it is: it ends with this sign-in.
    pub replaces: Option<Handle>,
}

/// Whether a person may have a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// What is pinned is kept for good, unless something was before.
    Admitted {
        pin: Option<Pinned>,
    },
    Refused,
}

/// What came of a sign-in.
pub enum SignedIn {
    Admitted {
        user: User,
        handle: Handle,
    },
    /// The person is known now, and has no session.
    Refused {
        user: User,
    },
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

impl Identity {
    /// What the record is found by, and what the caches know it by.
    pub fn digest(issuer: &str, subject: &str) -> Digest {
        Digest::of_parts(&[issuer, subject])
    }

    pub fn key(digest: &Digest) -> Key {
        Key::of_digest(Kind::Identity, digest)
    }
}

impl User {
    pub fn key(id: &str) -> Key {
        Key::new(shard_of(id), Kind::User, id)
    }

    /// When the claims were last verified, as far as anybody wrote it down.
    pub fn verified(&self) -> Timestamp {
        self.signed_in.unwrap_or(self.created)
    }

    /// Takes in what was just verified.
    fn with_identity(&self, identity: &IdentityClaims, now: Timestamp) -> Self {
        let mut user = self.clone();
        let written_lately = |at: &Timestamp| clock::since(*at, now) < SIGNED_IN_TO;
        user.signed_in = user.signed_in.filter(written_lately).or(Some(now));
        match user.identities.iter_mut().find(|known| known.issuer == identity.issuer && known.subject == identity.subject) {
            Some(known) => *known = identity.clone(),
            None => user.identities.push(identity.clone()),
        }
        user
    }
}

impl Users {
    pub fn new(records: Records, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        Self { records, clock, limits }
    }

    /// Brings the person's claims up to date and, if they are admitted, opens a session: in one commit.
    ///
    /// Claims are written even for who is not admitted, since they may have taken something away.
    pub async fn sign_in(&self, sign_in: &SignIn, admit: impl Fn(&User) -> Admission) -> Result<SignedIn, UsersError> {
        let id = self.user_of(&sign_in.identity).await?;
        for _ in 0..TRIES {
            let stored = self.records.get_patiently::<User>(&User::key(&id)).await?;
            if let Ok(signed_in) = self.commit_sign_in(&id, stored, sign_in, &admit).await? {
                if let SignedIn::Admitted { .. } = signed_in {
                    self.end_in_another_shard(sign_in.replaces.as_ref(), shard_of(&id)).await;
                }
                return Ok(signed_in);
            }
        }
        Err(UsersError::Contended)
    }

    /// Ends a session on every pod.
    pub async fn end_session(&self, user: &str, handle: &Digest) -> Result<(), Failed> {
        self.end_session_in(shard_of(user), handle).await
    }

    /// The handle that a cookie's value is, if one of our pods made it.
    pub fn session_handle(&self, cookie: &str) -> Option<Handle> {
        Handle::parse(self.records.ring(), HandleKind::Session, cookie).ok()
    }

    /// A session as the store has it, with what its end needs.
    pub async fn session(&self, user: &str, handle: &Digest) -> Result<Option<Session>, ReadError> {
        let stored = self.records.get::<Session>(&Session::key(shard_of(user), handle)).await?;
        Ok(stored.map(|stored| stored.value))
    }

    /// Writes down that a session was used, unless it has changed or ended meanwhile.
    pub async fn touch(&self, user: &str, handle: &Digest) -> Result<Option<Timestamp>, UsersError> {
        let shard = shard_of(user);
        let key = Session::key(shard, handle);
        let Some(Stored { value: mut session, version }) = self.records.get::<Session>(&key).await? else { return Ok(None) };
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

    /// Where keys go without the person being asked again, the latest last.
    pub async fn trusted(&self, user: &str) -> Result<Vec<String>, ReadError> {
        let stored = self.records.get::<User>(&User::key(user)).await?;
        Ok(stored.map(|stored| stored.value.trusted_redirects).unwrap_or_default())
    }

    /// Remembers that the person agreed, for so many redirects as anybody uses.
    pub async fn trust(&self, user: &str, redirect: &str) -> Result<(), UsersError> {
        self.change_trusted(user, |trusted| {
            if !trusted.iter().any(|known| known == redirect) {
                trusted.drain(..(trusted.len() + 1).saturating_sub(MOST_TRUSTED));
                trusted.push(redirect.to_owned());
            }
        })
        .await
    }

    /// The person is asked again.
    pub async fn distrust(&self, user: &str, redirect: &str) -> Result<(), UsersError> {
        self.change_trusted(user, |trusted| trusted.retain(|known| known != redirect)).await
    }

    async fn change_trusted(&self, user: &str, change: impl Fn(&mut Vec<String>)) -> Result<(), UsersError> {
        let key = User::key(user);
        for _ in 0..TRIES {
            let Some(Stored { value: mut person, version }) = self.records.get::<User>(&key).await? else { return Ok(()) };
            let before = person.trusted_redirects.clone();
            change(&mut person.trusted_redirects);
            if person.trusted_redirects == before {
                return Ok(());
            }
            let change = self.records.change(key.shard).expect_version(&key, version);
            if change.put(&key, &person, Ttl::Forever).drop_user(user).commit().await?.is_ok() {
                return Ok(());
            }
        }
        Err(UsersError::Contended)
    }

    async fn end_session_in(&self, shard: Shard, handle: &Digest) -> Result<(), Failed> {
        let ended = end(self.records.change(shard), shard, handle).commit().await?;
        debug_assert!(ended.is_ok(), "a commit that expects nothing has no conflict");
        Ok(())
    }

    /// Ends what the sign-in's own commit could not reach. The new session is there by now, so a failure
    /// is no reason to refuse it.
    async fn end_in_another_shard(&self, replaced: Option<&Handle>, own: Shard) {
        let Some((handle, shard)) = replaced.and_then(|handle| Some((handle, Shard::new(handle.shard())?))) else { return };
        if shard == own {
            return;
        }
        if let Err(error) = self.end_session_in(shard, &handle.digest()).await {
            tracing::warn!(%error, "the session that this browser had before could not be ended");
        }
    }

    /// The user that an identity belongs to, a new one if it is seen for the first time.
    ///
    /// The index entry comes first and the user's record after it, since they may lie in different
    /// shards: who reads an entry without its record finds a user who has never finished a sign-in.
    async fn user_of(&self, identity: &IdentityClaims) -> Result<String, UsersError> {
        let digest = Identity::digest(&identity.issuer, &identity.subject);
        let key = Identity::key(&digest);
        for _ in 0..TRIES {
            if let Some(found) = self.records.get_patiently::<Identity>(&key).await? {
                return Ok(found.value.user);
            }
            let entry = Identity { user: new_user_id(self.clock.now()) };
            // Pods may remember that this is nobody: tokens of it are known before its first sign-in.
            let change = self.records.change(key.shard).expect_absent(&key).put(&key, &entry, Ttl::Forever);
            let created = change.drop_credential(&digest).commit().await?;
            if created.is_ok() {
                return Ok(entry.user);
            }
        }
        Err(UsersError::Contended)
    }

    async fn commit_sign_in(
        &self,
        id: &str,
        stored: Option<Stored<User>>,
        sign_in: &SignIn,
        admit: impl Fn(&User) -> Admission,
    ) -> Result<Result<SignedIn, Conflict>, Failed> {
        let mut user = self.brought_up_to_date(id, stored.as_ref(), &sign_in.identity);
        let admission = admit(&user);
        if let Admission::Admitted { pin } = &admission {
            user.pinned = user.pinned.or_else(|| pin.clone());
        }
        let change = write_if_new(self.records.change(shard_of(id)), stored, &user);
        match admission {
            Admission::Refused => Ok(change.commit().await?.map(|_| SignedIn::Refused { user })),
            Admission::Admitted { .. } => {
                let (handle, change) = self.open_session(change, id, sign_in);
                Ok(change.commit().await?.map(|_| SignedIn::Admitted { user, handle }))
            }
        }
    }

    /// The user with what was just verified.
    fn brought_up_to_date(&self, id: &str, stored: Option<&Stored<User>>, identity: &IdentityClaims) -> User {
        let now = self.clock.now();
        match stored {
            Some(stored) => stored.value.with_identity(identity, now),
            None => User {
                id: id.to_owned(),
                created: now,
                identities: vec![identity.clone()],
                pinned: None,
                signed_in: Some(now),
                trusted_redirects: Vec::new(),
                disabled: false,
            },
        }
    }

    fn open_session<'a>(&self, change: Change<'a>, id: &str, sign_in: &SignIn) -> (Handle, Change<'a>) {
        let (now, shard) = (self.clock.now(), shard_of(id));
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
        let change = change.put(&Session::key(shard, &digest), &session, session.ttl(self.limits, now));
        let replaced = sign_in.replaces.as_ref().filter(|replaced| replaced.shard() == shard.number());
        let change = match replaced {
            Some(replaced) => end(change, shard, &replaced.digest()),
            None => change,
        };
        (handle, change)
    }
}

/// Writes the user over what is stored; where nothing is new, nothing is written.
fn write_if_new<'a>(change: Change<'a>, stored: Option<Stored<User>>, user: &User) -> Change<'a> {
    let key = User::key(&user.id);
    match stored {
        None => change.expect_absent(&key).put(&key, user, Ttl::Forever),
        Some(stored) if stored.value == *user => change.expect_version(&key, stored.version),
        Some(stored) => change.expect_version(&key, stored.version).put(&key, user, Ttl::Forever).drop_user(&user.id),
    }
}

fn end<'a>(change: Change<'a>, shard: Shard, handle: &Digest) -> Change<'a> {
    change.delete(&Session::key(shard, handle)).revoke_credential(handle)
}

/// A UUIDv7, so that ids sort by the time of the first sign-in.
fn new_user_id(now: Timestamp) -> String {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &random_bytes()).into_uuid().to_string()
}
