//! From a credential to who it stands for, without a store command in steady state.
//!
//! What was read from the store is served while it is *proven*: no older than [`PROVEN_FOR`] since it was
//! read, or since a round last showed that every commit of its shard had been heard of. Without proof it
//! is read again; if the store does not answer, it is served for the configured grace, and no longer.

mod cache;
mod chain;
mod entry;
mod people;
mod proof;

pub use entry::{CachedKey, CachedSession, CachedUser, Narrowed, UserKey};

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task::JoinHandle};

use crate::{
    clock::{self, Clock},
    flights::{Flight, Flights},
    keys::{self, Key, KeyId, Keys, Pointer, PresentedKey},
    metrics::{CacheResult, LookUpLabel, Metrics},
    secret::Digest,
    session::{Limits, Session, SessionToken, Standing},
    store::{self, Kind, ReadError, Records, Shard},
    users::{self, User, Users},
};
use cache::{Cache, Found};
use entry::{Holder, LastUse};

/// How old a proof may be: the longest that a revocation goes unseen while the store answers.
pub const PROVEN_FOR: Duration = Duration::from_secs(2);

/// Distinct credentials of a kind that may be read from the store at once; beyond them the answer is 503.
/// Anybody can make up keys that look right, and must not keep the sessions from being read by that.
const MISSES_IN_FLIGHT: usize = 512;

/// After a read that failed, cached entries of the shard are served for so long without trying again.
const REST_AFTER_FAILURE: Duration = Duration::from_millis(250);

/// How long a read is waited for where something is known that may be served in its place.
const KNOWN_WAITS: Duration = Duration::from_millis(500);

/// A signed-in browser and the person behind it.
#[derive(Clone)]
pub struct UserSession {
    pub session: Arc<CachedSession>,
    pub user: Arc<CachedUser>,
}

/// The result of looking up an API key.
#[derive(Clone)]
pub enum KeyLookup {
    Active(UserKey),
    /// The owner's claims were verified too long ago: the key waits for the owner's next sign-in.
    Suspended,
    Unknown,
}

/// Why a credential could not be looked up. Never to be taken for an unknown credential.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LookupError {
    #[error(transparent)]
    Store(#[from] ReadError),
    #[error("too many unknown credentials are being looked up")]
    Overloaded,
    #[error("the store takes too long to answer")]
    TooSlow,
}

impl LookupError {
    /// The store was not asked, since it failed so lately.
    fn a_moment_ago() -> Self {
        Self::Store(crate::store::Unavailable("it did not a moment ago".into()).into())
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub limits: Limits,
    pub grace: Duration,
    pub entries: u64,
    /// So long after their last sign-in a person's keys count.
    pub claims_max_age: Duration,
}

/// The cache, with the tasks that keep it proven.
pub struct Principals {
    inner: Arc<Inner>,
    tasks: Vec<JoinHandle<()>>,
}

/// A look-up in the cache: its target, the target's shard, and the digest that the cache knows it by.
#[derive(Clone, Copy)]
struct Lookup {
    shard: Shard,
    digest: Digest,
    target: LookupTarget,
}

#[derive(Clone, Copy)]
enum LookupTarget {
    Session,
    /// A key, by its secret.
    KeySecret,
    /// A key that a derived key depends on, by its id.
    KeyId(KeyId),
}

type Answer = Result<Option<Holder>, LookupError>;

pub(crate) struct Inner {
    records: Records,
    users: Arc<Users>,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    settings: Settings,
    cache: Cache,
    /// Reads in flight, shared within an epoch of their shard.
    flights: Arc<Flights<Answer>>,
    /// For each kind of look-up.
    slots: [Arc<Semaphore>; LookUpLabel::ALL.len()],
    people: people::People,
}

/// The parts that the cache reads from and writes to.
pub struct Sources {
    pub records: Records,
    pub users: Arc<Users>,
    pub keys: Arc<Keys>,
}

impl Principals {
    /// Begins to listen to the bus and to compare sequences each second.
    pub fn start(sources: Sources, clock: Arc<dyn Clock>, metrics: Arc<Metrics>, settings: Settings) -> Self {
        let inner = Inner::new(sources, clock, metrics, settings);
        // Heard from the beginning, so that the first round finds nothing missing.
        let notices = inner.records.store().notices();
        let listen = proof::listen(Arc::clone(&inner), notices);
        let removals = inner.records.ring().removals();
        let tasks = vec![
            tokio::spawn(listen),
            tokio::spawn(proof::compare_each_second(Arc::clone(&inner))),
            tokio::spawn(proof::mind_the_key_ring(Arc::clone(&inner), removals)),
        ];
        Self { inner, tasks }
    }

    /// The session of a token, with its user; `None` if there is no such session.
    pub async fn session(&self, token: &SessionToken<'_>) -> Result<Option<UserSession>, LookupError> {
        self.inner.session(token).await
    }

    /// The key of a secret, with its owner.
    pub async fn key(&self, presented: PresentedKey) -> Result<KeyLookup, LookupError> {
        self.inner.key(presented).await
    }

    /// Drops a session here at once, before the notice of its end comes round.
    pub fn forget_session(&self, user: &str, digest: &Digest) {
        self.inner.cache.forget(users::shard_of(user), |maps| maps.forget_credential(digest));
    }

    /// The same for a person of whom something has changed.
    pub fn forget_person(&self, user: &str) {
        self.inner.cache.forget(users::shard_of(user), |maps| maps.forget_user(user));
    }

    /// The same for a key that has changed or ended.
    pub fn forget_key(&self, id: KeyId) {
        self.inner.cache.forget(id.shard(), |maps| maps.forget_key(id));
    }

    /// Writes sizes and the age of the oldest proof into the metrics.
    pub fn report(&self) {
        self.inner.cache.report(&self.inner.metrics, self.inner.clock.monotonic());
    }
}

impl Drop for Principals {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Inner {
    fn new(sources: Sources, clock: Arc<dyn Clock>, metrics: Arc<Metrics>, settings: Settings) -> Arc<Self> {
        let Sources { records, users, keys } = sources;
        let cache = Cache::new(settings.entries, clock.monotonic());
        let flights = Arc::new(Flights::default());
        let slots = [(); LookUpLabel::ALL.len()].map(|()| Arc::new(Semaphore::new(MISSES_IN_FLIGHT)));
        let people = people::People::default();
        Arc::new(Self { records, users, keys, clock, metrics, settings, cache, flights, slots, people })
    }

    async fn session(self: &Arc<Self>, token: &SessionToken<'_>) -> Result<Option<UserSession>, LookupError> {
        let asked = Lookup { shard: token.shard(), digest: token.digest(), target: LookupTarget::Session };
        let Some(Holder::Session(signed_in)) = self.resolve(&asked).await? else { return Ok(None) };
        if signed_in.user.disabled {
            return Ok(None);
        }
        self.touch_session(&signed_in, asked.digest);
        Ok(Some(signed_in))
    }

    async fn key(self: &Arc<Self>, presented: PresentedKey) -> Result<KeyLookup, LookupError> {
        let PresentedKey { shard, digest } = presented;
        let asked = Lookup { shard, digest, target: LookupTarget::KeySecret };
        let Some(Holder::Key(user_key)) = self.resolve(&asked).await? else { return Ok(KeyLookup::Unknown) };
        if user_key.user.disabled || !self.ancestors_live(&user_key.key).await? {
            return Ok(KeyLookup::Unknown);
        }
        if self.has_lapsed(&user_key.user) {
            return Ok(KeyLookup::Suspended);
        }
        self.touch_key(&user_key);
        Ok(KeyLookup::Active(user_key))
    }

    /// A key that another one made counts only while all before it do, with their owners.
    async fn ancestors_live(self: &Arc<Self>, key: &CachedKey) -> Result<bool, LookupError> {
        for (id, digest) in &key.ancestors {
            let asked = Lookup { shard: id.shard(), digest: *digest, target: LookupTarget::KeyId(*id) };
            match self.resolve(&asked).await? {
                Some(ancestor) if !ancestor.user().disabled && !self.has_lapsed(ancestor.user()) => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    fn has_lapsed(&self, owner: &CachedUser) -> bool {
        let age = self.clock.now().duration_since(owner.verified);
        Duration::try_from(age).is_ok_and(|age| age >= self.settings.claims_max_age)
    }

    /// Who is behind a credential: from the cache while that is proven, else from the store.
    async fn resolve(self: &Arc<Self>, asked: &Lookup) -> Answer {
        let now = self.clock.monotonic();
        let stale = match self.cache.find(&asked.digest, now) {
            Found::Proven(holder) => match self.standing(&holder, asked) {
                Standing::Live => {
                    self.metrics.cache_lookup(asked.target.label(), CacheResult::Hit);
                    return Ok(Some(holder));
                }
                Standing::Ended => return Ok(None),
                // Another pod may have seen the person since.
                Standing::Idle => None,
            },
            Found::Unknown => {
                self.metrics.cache_lookup(asked.target.label(), CacheResult::Unknown);
                return Ok(None);
            }
            Found::Unproven(holder) => Some(holder),
            Found::Nothing => None,
        };
        let answer = match &stale {
            Some(stale) if self.cache.rests(stale.shard(), now, REST_AFTER_FAILURE) => Err(None),
            Some(stale) if self.may_be_served(stale, asked) => {
                self.unless_slow(stale.shard(), self.look_up(asked)).await.map_err(Some)
            }
            _ => self.look_up(asked).await.map_err(Some),
        };
        match answer {
            Ok(found) => Ok(found.filter(|found| self.standing(found, asked) == Standing::Live)),
            Err(failure) => self.in_outage(asked, stale, failure),
        }
    }

    /// A read that goes on by itself, and is waited for no longer.
    async fn unless_slow<T>(&self, shard: Shard, read: impl Future<Output = Result<T, LookupError>>) -> Result<T, LookupError> {
        tokio::time::timeout(KNOWN_WAITS, read).await.unwrap_or_else(|_| {
            self.cache.failed(shard, self.clock.monotonic());
            Err(LookupError::TooSlow)
        })
    }

    /// What is known but no longer proven is served for the grace, then not at all.
    fn in_outage(&self, asked: &Lookup, stale: Option<Holder>, failure: Option<LookupError>) -> Answer {
        // A record that can't be read is an answer, and no reason to go on with what was.
        let unreadable = matches!(failure, Some(LookupError::Store(ReadError::Unreadable { .. })));
        match stale.filter(|stale| !unreadable && self.may_be_served(stale, asked)) {
            Some(holder) => {
                self.metrics.cache_lookup(asked.target.label(), CacheResult::Stale);
                Ok(Some(holder))
            }
            None => Err(failure.unwrap_or_else(LookupError::a_moment_ago)),
        }
    }

    /// Without proof, that is: within the grace.
    fn may_be_served(&self, holder: &Holder, asked: &Lookup) -> bool {
        self.cache.unproven_for(holder, self.clock.monotonic()) <= self.settings.grace
            && self.standing(holder, asked) == Standing::Live
    }

    async fn look_up(self: &Arc<Self>, asked: &Lookup) -> Answer {
        self.flight(*asked)?.await.unwrap_or(Err(LookupError::Overloaded))
    }

    /// Joins the read of this credential that is under way, or begins one.
    fn flight(self: &Arc<Self>, miss: Lookup) -> Result<Flight<Answer>, LookupError> {
        let (label, epoch) = (miss.target.label(), self.cache.epoch(miss.shard));
        let flight = self.flights.share(miss.digest, epoch, || {
            let slot = Arc::clone(&self.slots[label as usize]).try_acquire_owned().ok()?;
            self.metrics.cache_lookup(label, CacheResult::Miss);
            let inner = Arc::clone(self);
            Some(async move {
                let _slot = slot;
                inner.read(miss, epoch).await
            })
        });
        flight.ok_or_else(|| {
            self.metrics.cache_lookup(label, CacheResult::Overloaded);
            LookupError::Overloaded
        })
    }

    async fn read(&self, miss: Lookup, epoch: u64) -> Answer {
        let Lookup { shard, digest, .. } = miss;
        let began = self.clock.monotonic();
        let answer = self.read_both(miss, began).await;
        match &answer {
            Ok(Some(found)) => self.cache.insert(shard, epoch, |maps| maps.insert(digest, found)),
            Ok(None) => self.cache.insert(shard, epoch, |maps| maps.insert_unknown(digest, began)),
            Err(error) => {
                self.cache.failed(shard, self.clock.monotonic());
                tracing::debug!(%error, "a credential can't be looked up");
            }
        }
        answer
    }

    async fn read_both(&self, Lookup { shard, digest, target }: Lookup, began: Instant) -> Answer {
        let generation = self.cache.generation(shard);
        let id = match target {
            LookupTarget::Session => {
                let Some(session) = self.records.get::<Session>(&Session::key(shard, &digest)).await? else { return Ok(None) };
                let session = Arc::new(CachedSession::new(&session.value, shard, generation, began));
                let Some(user) = self.read_user(shard, &session.user, (generation, began)).await? else { return Ok(None) };
                return Ok(Some(Holder::Session(UserSession { session, user })));
            }
            LookupTarget::KeyId(id) => id,
            LookupTarget::KeySecret => {
                let pointer = self.records.get::<Pointer>(&Pointer::place(shard, &digest)).await?;
                let Some(pointer) = pointer else { return Ok(None) };
                pointer.value.key
            }
        };
        let Some(key) = self.records.get::<Key>(&Key::place(id)).await? else { return Ok(None) };
        // The key's own record is the truth about its secrets.
        let unlisted = key.value.standing(&digest, self.clock.now()) == keys::Standing::Unlisted;
        if unlisted && matches!(target, LookupTarget::KeySecret) {
            return Ok(None);
        }
        let key = Arc::new(CachedKey::new(key.value, generation, began));
        let Some(user) = self.read_user(shard, &key.key.user, (generation, began)).await? else { return Ok(None) };
        Ok(Some(Holder::Key(UserKey { key, user })))
    }

    async fn read_user(
        &self,
        shard: Shard,
        id: &str,
        (generation, began): (u64, Instant),
    ) -> Result<Option<Arc<CachedUser>>, ReadError> {
        let user = self.records.get::<User>(&store::Key::new(shard, Kind::User, id)).await?;
        Ok(user.map(|user| Arc::new(CachedUser::new(user.value, generation, began))))
    }

    fn standing(&self, holder: &Holder, asked: &Lookup) -> Standing {
        let now = self.clock.now();
        match (holder, asked.target) {
            (Holder::Session(UserSession { session, user }), _) if session.epoch != user.session_epoch => Standing::Ended,
            (Holder::Key(UserKey { key, user }), _) if key.key.epoch != user.key_epoch => Standing::Ended,
            (Holder::Session(UserSession { session, .. }), _) => {
                self.settings.limits.standing(session.created, session.last_seen(), now)
            }
            (Holder::Key(UserKey { key, .. }), LookupTarget::KeySecret) => match key.key.standing(&asked.digest, now) {
                keys::Standing::Live => Standing::Live,
                keys::Standing::Ended => Standing::Ended,
                // A secret that was made a moment ago, and a record from before: read again.
                keys::Standing::Unlisted => Standing::Idle,
            },
            (Holder::Key(UserKey { key, .. }), _) if key.key.has_expired(now) => Standing::Ended,
            (Holder::Key(_), _) => Standing::Live,
        }
    }

    /// Writes down that the session is used, off the check's path and at most once in a while.
    fn touch_session(self: &Arc<Self>, signed_in: &UserSession, digest: Digest) {
        let session = Arc::clone(&signed_in.session);
        if !self.settings.limits.wants_touch(session.last_seen(), self.clock.now())
            || !self.may_touch(&session.last_use, session.shard)
        {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            let touched = inner.users.touch(&session.user, &digest).await;
            if let Err(error) = &touched {
                tracing::debug!(%error, "a session's use could not be written down");
            }
            session.last_use.end_writing(touched.ok().flatten());
        });
    }

    /// The same for a key.
    fn touch_key(self: &Arc<Self>, user_key: &UserKey) {
        let key = Arc::clone(&user_key.key);
        let unused = clock::since(key.last_use.at(), self.clock.now());
        if unused < keys::TOUCH_AFTER || !self.may_touch(&key.last_use, key.key.id.shard()) {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            let touched = inner.keys.touch(key.key.id).await;
            if let Err(error) = &touched {
                tracing::debug!(%error, "a key's use could not be written down");
            }
            key.last_use.end_writing(touched.ok().flatten());
        });
    }

    /// Not while the store doesn't answer, and not while somebody is at it.
    fn may_touch(&self, last_use: &LastUse, shard: Shard) -> bool {
        !self.cache.rests(shard, self.clock.monotonic(), REST_AFTER_FAILURE) && last_use.begin_writing()
    }
}

impl LookupTarget {
    fn label(self) -> LookUpLabel {
        match self {
            Self::Session => LookUpLabel::Session,
            Self::KeySecret | Self::KeyId(_) => LookUpLabel::Key,
        }
    }
}
