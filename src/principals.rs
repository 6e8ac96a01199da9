//! From a credential to who it stands for, without a store command in steady state.
//!
//! What was read from the store is served while it is *proven*: no older than [`PROVEN_FOR`] since it was
//! read, or since a round last showed that every commit of its shard had been heard of. Without proof it
//! is read again; if the store does not answer, it is served for the configured grace, and no longer.

mod cache;
mod chain;
mod proof;

pub use cache::{CachedSession, CachedUser};

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::{sync::Semaphore, task::JoinHandle};

use crate::{
    clock::Clock,
    metrics::{CacheResult, Metrics},
    secret::{Digest, Handle, HandleKind},
    session::{Limits, Session, Standing},
    store::{Key, ReadError, Records, Shard},
    users::{self, User, Users},
};
use cache::{Cache, Found};

/// How old a proof may be: the longest that a revocation goes unseen while the store answers.
pub const PROVEN_FOR: Duration = Duration::from_secs(2);

/// Distinct credentials that may be read from the store at once; beyond them the answer is 503.
const MISSES_IN_FLIGHT: usize = 512;

/// After a read that failed, cached entries of the shard are served for so long without trying again.
const REST_AFTER_FAILURE: Duration = Duration::from_millis(250);

/// A signed-in browser and the person behind it.
#[derive(Clone)]
pub struct SignedIn {
    pub session: Arc<CachedSession>,
    pub user: Arc<CachedUser>,
}

/// Why nobody can say who a credential stands for. Never to be taken for "nobody".
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unanswered {
    #[error(transparent)]
    Store(#[from] ReadError),
    #[error("too many unknown credentials are being looked up")]
    Overloaded,
}

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub limits: Limits,
    pub grace: Duration,
    pub entries: u64,
}

/// The cache, with the tasks that keep it proven.
pub struct Principals {
    inner: Arc<Inner>,
    tasks: Vec<JoinHandle<()>>,
}

type Answer = Result<Option<SignedIn>, Unanswered>;
type Flight = Shared<BoxFuture<'static, Answer>>;

pub(crate) struct Inner {
    records: Records,
    users: Arc<Users>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    settings: Settings,
    cache: Cache,
    /// Reads in flight, each with the shard's epoch when it began: only those of the same epoch share it.
    flights: Mutex<std::collections::HashMap<Digest, (u64, Flight)>>,
    slots: Arc<Semaphore>,
}

impl Principals {
    /// Begins to listen to the bus and to compare sequences each second.
    pub fn start(records: Records, users: Arc<Users>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>, settings: Settings) -> Self {
        let inner = Inner::new(records, users, clock, metrics, settings);
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

    /// Whose session a cookie's value is; `None` when it is nobody's.
    pub async fn session(&self, cookie: &str) -> Answer {
        self.inner.session(cookie).await
    }

    /// Drops a session here at once, before the notice of its end comes round.
    pub fn forget_session(&self, user: &str, digest: &Digest) {
        self.inner.cache.forget(users::shard_of(user), |maps| maps.forget_credential(digest));
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
    fn new(records: Records, users: Arc<Users>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>, settings: Settings) -> Arc<Self> {
        let cache = Cache::new(settings.entries, clock.monotonic());
        let (flights, slots) = (Mutex::default(), Arc::new(Semaphore::new(MISSES_IN_FLIGHT)));
        Arc::new(Self { records, users, clock, metrics, settings, cache, flights, slots })
    }

    async fn session(self: &Arc<Self>, cookie: &str) -> Answer {
        let digest = Digest::of(cookie.as_bytes());
        let now = self.clock.monotonic();
        let stale = match self.cache.find(&digest, now) {
            Found::Proven(signed_in) => match self.standing(&signed_in) {
                Standing::Live => {
                    self.metrics.cache_lookup(CacheResult::Hit);
                    self.touch_in_time(&signed_in, digest);
                    return Ok(Some(signed_in));
                }
                Standing::Ended => return Ok(None),
                // Another pod may have seen the person since.
                Standing::Idle => None,
            },
            Found::Unknown => {
                self.metrics.cache_lookup(CacheResult::Unknown);
                return Ok(None);
            }
            Found::Unproven(signed_in) => Some(signed_in),
            Found::Nothing => None,
        };
        let answer = match &stale {
            Some(stale) if self.cache.rests(stale.session.shard, now, REST_AFTER_FAILURE) => Err(None),
            _ => self.look_up(cookie, digest).await.map_err(Some),
        };
        match answer {
            Ok(found) => Ok(found.filter(|found| self.standing(found) == Standing::Live)),
            Err(failure) => self.in_outage(stale, failure),
        }
    }

    /// What is known but no longer proven is served for the grace, then not at all.
    fn in_outage(&self, stale: Option<SignedIn>, failure: Option<Unanswered>) -> Answer {
        let now = self.clock.monotonic();
        let within = |signed_in: &SignedIn| {
            self.cache.unproven_for(signed_in, now) <= self.settings.grace && self.standing(signed_in) == Standing::Live
        };
        // A record that can't be read is an answer, and no reason to go on with what was.
        let unreadable = matches!(failure, Some(Unanswered::Store(ReadError::Unreadable { .. })));
        match stale.filter(|stale| !unreadable && within(stale)) {
            Some(signed_in) => {
                self.metrics.cache_lookup(CacheResult::Stale);
                Ok(Some(signed_in))
            }
            None => {
                Err(failure
                    .unwrap_or_else(|| Unanswered::Store(crate::store::Unavailable("it did not a moment ago".into()).into())))
            }
        }
    }

    async fn look_up(self: &Arc<Self>, cookie: &str, digest: Digest) -> Answer {
        let handle = Handle::parse(self.records.ring(), HandleKind::Session, cookie);
        let Some(shard) = handle.ok().and_then(|handle| Shard::new(handle.shard())) else {
            self.metrics.cache_lookup(CacheResult::Forged);
            return Ok(None);
        };
        self.flight(shard, digest)?.await
    }

    /// Joins the read of this credential that is under way, or begins one.
    fn flight(self: &Arc<Self>, shard: Shard, digest: Digest) -> Result<Flight, Unanswered> {
        let epoch = self.cache.epoch(shard);
        let mut flights = self.flights.lock().expect("no code that holds this lock panics");
        if let Some((_, flight)) = flights.get(&digest).filter(|(begun, _)| *begun == epoch) {
            return Ok(flight.clone());
        }
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            self.metrics.cache_lookup(CacheResult::Overloaded);
            return Err(Unanswered::Overloaded);
        };
        self.metrics.cache_lookup(CacheResult::Miss);
        let inner = Arc::clone(self);
        // A task of its own, so that it ends even when whoever asked first has gone away.
        let read = tokio::spawn(async move {
            let answer = inner.read(shard, digest, epoch).await;
            inner.land(&digest, epoch);
            drop(slot);
            answer
        });
        let flight = read.map(|joined| joined.unwrap_or(Err(Unanswered::Overloaded))).boxed().shared();
        flights.insert(digest, (epoch, flight.clone()));
        Ok(flight)
    }

    fn land(&self, digest: &Digest, epoch: u64) {
        let mut flights = self.flights.lock().expect("no code that holds this lock panics");
        if flights.get(digest).is_some_and(|(begun, _)| *begun == epoch) {
            flights.remove(digest);
        }
    }

    async fn read(&self, shard: Shard, digest: Digest, epoch: u64) -> Answer {
        let began = self.clock.monotonic();
        let answer = self.read_both(shard, &digest, began).await;
        match &answer {
            Ok(Some(found)) => self.cache.insert(shard, epoch, |maps| maps.insert(digest, found)),
            Ok(None) => self.cache.insert(shard, epoch, |maps| maps.insert_unknown(digest, began)),
            Err(error) => {
                self.cache.failed(shard, self.clock.monotonic());
                tracing::debug!(%error, "a session can't be looked up");
            }
        }
        answer
    }

    async fn read_both(&self, shard: Shard, digest: &Digest, began: Instant) -> Answer {
        let Some(session) = self.records.get::<Session>(&Session::key(shard, digest)).await? else { return Ok(None) };
        let session = session.value;
        let user_key = Key::new(shard, crate::store::Kind::User, session.user.as_str());
        let Some(user) = self.records.get::<User>(&user_key).await? else { return Ok(None) };
        let generation = self.cache.generation(shard);
        Ok(Some(SignedIn {
            session: Arc::new(CachedSession::new(&session, shard, generation, began)),
            user: Arc::new(CachedUser::new(user.value, generation, began)),
        }))
    }

    fn standing(&self, signed_in: &SignedIn) -> Standing {
        let session = &signed_in.session;
        self.settings.limits.standing(session.created, session.last_seen(), self.clock.now())
    }

    /// Writes down that the session is used, off the check's path and at most once in a while.
    fn touch_in_time(self: &Arc<Self>, signed_in: &SignedIn, digest: Digest) {
        let session = Arc::clone(&signed_in.session);
        if !self.settings.limits.wants_touch(session.last_seen(), self.clock.now()) || !session.begin_touch() {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            let touched = inner.users.touch(&session.user, &digest).await;
            if let Err(error) = &touched {
                tracing::debug!(%error, "a session's use could not be written down");
            }
            session.end_touch(touched.ok().flatten());
        });
    }
}
