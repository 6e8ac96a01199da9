//! People: who an (issuer, subject) is, what was last verified of them, and how they are signed in.

mod identities;
mod management;
mod record;
mod sessions;
mod trusted_redirects;

pub use identities::{Linked, Unlinked};
pub use management::Page;
pub use record::{Identity, User, shard_of};
pub use sessions::Listed;

use std::sync::Arc;

use crate::{
    clock::Clock,
    epoch::Generation,
    principal::{IdentityClaims, PinnedGrant},
    secret::OpaqueToken,
    session::{Limits, Logout},
    store::{self, Change, Conflict, Records, StoredRecord, Ttl},
};
use record::{index_of_people, new_user_id};

/// What a session is to know of the sign-in that it came from.
pub struct SignIn {
    pub identity: IdentityClaims,
    pub sid: Option<String>,
    pub logout: Logout,
    pub browser: Browser,
    pub before: Before,
}

/// What is known of the browser that somebody signs in with.
#[derive(Debug, Default)]
pub struct Browser {
    /// The session that it had before, whoever's it is: it ends with this sign-in.
    pub replaces: Option<OpaqueToken>,
    /// What it says that it is (RFC 9110, section 10.1.5), cut to a bound.
    pub agent: Option<String>,
}

/// What becomes of what the account had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    Stays,
    /// Its other sessions end, since somebody else may have begun them, and what was pinned is granted anew.
    Ends,
}

/// Whether a person may have a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// What is pinned is kept for good, unless something was before.
    Admitted {
        pin: Option<PinnedGrant>,
    },
    Refused,
}

/// What came of a sign-in.
pub enum SignedIn {
    Admitted {
        user: User,
        handle: OpaqueToken,
    },
    /// The person is known now, and has no session.
    Refused {
        user: User,
    },
}

pub struct Users {
    records: Records,
    clock: Arc<dyn Clock>,
    limits: Limits,
}

impl Users {
    pub fn new(records: Records, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        Self { records, clock, limits }
    }

    /// A person as the store has them.
    pub async fn get(&self, user: &str) -> Result<Option<StoredRecord<User>>, store::Error> {
        self.records.get_patiently::<User>(&User::key(user)).await
    }

    /// Brings the person's claims up to date and, if they are admitted, opens a session: in one commit.
    ///
    /// Claims are written even for who is not admitted, since they may have taken something away.
    pub async fn sign_in(&self, sign_in: &SignIn, admit: impl Fn(&User) -> Admission) -> Result<SignedIn, store::Error> {
        let id = self.user_of(&sign_in.identity).await?;
        store::retry(async || self.try_sign_in(&id, sign_in, &admit, |change, _| change).await).await
    }

    /// One round of [`Users::sign_in`] for a person who is known, with more in its commit: all of it is done or nothing.
    pub async fn try_sign_in<'a>(
        &'a self,
        id: &str,
        sign_in: &SignIn,
        admit: impl Fn(&User) -> Admission,
        with: impl FnOnce(Change<'a>, &User) -> Change<'a>,
    ) -> Result<Result<SignedIn, Conflict>, store::Error> {
        let stored = self.get(id).await?;
        let mut user = self.brought_up_to_date(id, stored.as_ref(), sign_in);
        let admission = admit(&user);
        if let Admission::Admitted { pin } = &admission {
            user.pinned = user.pinned.or_else(|| pin.clone());
        }
        let change = with(write_if_new(self.records.change(shard_of(id)), stored, &user), &user);
        match admission {
            // What was to begin anew is left as it is.
            Admission::Refused if sign_in.before == Before::Ends => Ok(Ok(SignedIn::Refused { user })),
            Admission::Refused => Ok(change.commit().await?.map(|_| SignedIn::Refused { user })),
            Admission::Admitted { .. } => {
                let (handle, change) = self.open_session(change, &user, sign_in);
                let committed = change.commit().await?;
                if committed.is_ok() {
                    self.end_in_another_shard(sign_in.browser.replaces.as_ref(), shard_of(id)).await;
                }
                Ok(committed.map(|_| SignedIn::Admitted { user, handle }))
            }
        }
    }

    /// The user that an identity belongs to, if there is one.
    pub async fn find(&self, issuer: &str, subject: &str) -> Result<Option<String>, store::Error> {
        let key = Identity::key(&Identity::digest(issuer, subject));
        Ok(self.records.get_patiently::<Identity>(&key).await?.map(|found| found.value.user))
    }

    /// The user that an identity belongs to, a new one if it is seen for the first time.
    ///
    /// The index entry comes first and the user's record after it, since they may lie in different
    /// shards: who reads an entry without its record finds a user who has never finished a sign-in.
    pub async fn find_or_name(&self, issuer: &str, subject: &str) -> Result<String, store::Error> {
        let digest = Identity::digest(issuer, subject);
        let key = Identity::key(&digest);
        store::retry(async || {
            if let Some(found) = self.records.get_patiently::<Identity>(&key).await? {
                return Ok(Ok(found.value.user));
            }
            let entry = Identity { user: new_user_id(self.clock.now()) };
            // Pods may have cached that this is nobody: tokens of it can come before its first sign-in.
            let change = self.records.change(key.shard).expect_absent(&key).put(&key, &entry, Ttl::Forever);
            Ok(change.drop_credential(&digest).commit().await?.map(|_| entry.user))
        })
        .await
    }

    async fn user_of(&self, identity: &IdentityClaims) -> Result<String, store::Error> {
        self.find_or_name(&identity.issuer, &identity.subject).await
    }

    /// The user with what was just verified.
    fn brought_up_to_date(&self, id: &str, stored: Option<&StoredRecord<User>>, sign_in: &SignIn) -> User {
        let now = self.clock.now();
        let mut user = stored.map_or_else(|| User::new(id, now), |stored| stored.value.clone());
        user.take_in(&sign_in.identity, now);
        if sign_in.before == Before::Ends {
            (user.session_generation, user.pinned) = (Generation::random(), None);
        }
        user
    }
}

/// Writes the user over what is stored; where nothing is new, nothing is written.
fn write_if_new<'a>(change: Change<'a>, stored: Option<StoredRecord<User>>, user: &User) -> Change<'a> {
    let key = User::key(&user.id);
    match stored {
        None => {
            let change = change.expect_absent(&key).put(&key, user, Ttl::Forever);
            change.index_add(&index_of_people(key.shard), &user.id, Ttl::Forever)
        }
        Some(stored) if stored.value == *user => change.expect_version(&key, stored.version),
        Some(stored) => {
            let ends_sessions = stored.value.session_generation != user.session_generation;
            let change = change.expect_version(&key, stored.version).put(&key, user, Ttl::Forever);
            // Also whoever came before there was a list.
            let change = change.index_add(&index_of_people(key.shard), &user.id, Ttl::Forever);
            if ends_sessions { change.revoke_user(&user.id) } else { change.drop_user(&user.id) }
        }
    }
}
