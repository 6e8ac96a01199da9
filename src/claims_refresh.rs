//! Refreshes the claims of users in the background, when they are used and older than their provider's interval.
//!
//! A check compares two times and, at most, sends a request to the worker, which refreshes each user once at a time on this
//! pod. A lease in the store makes it once over all pods.

mod attempt;
mod worker;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    watch,
};

use crate::{
    clock::Clock,
    metrics::Metrics,
    oidc::{ProviderSettings, Providers},
    principal_cache::{CachedSession, CachedUser, RefreshAttempt, RefreshMark, UserSession},
    secret::Digest,
    users::Users,
};
use attempt::Refresher;

/// The time until a use leads to another request: while a refresh or its invalidation message may be on the way.
const AFTER_REQUEST: Duration = Duration::from_millis(500);

/// The time until a use leads to another request after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The maximum number of requests that the worker has not read yet.
const QUEUED: usize = 1024;

/// The state of a refresh that a check waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshState {
    /// A refresh is in progress, or newer claims are on their way to the cache.
    Pending,
    /// The provider or the store did not answer, or the last attempt failed.
    Unavailable,
}

/// Requests refreshes. The worker ends when it is dropped.
pub struct ClaimsRefresher {
    requests: mpsc::Sender<RefreshRequest>,
    pending: watch::Sender<usize>,
    is_stopping: AtomicBool,
    clock: Arc<dyn Clock>,
}

/// The request to refresh the claims of a user that are due.
struct RefreshRequest {
    user: Arc<CachedUser>,
    session: Option<PresentedSession>,
    _pending: PendingRequest,
}

/// Counts a request until it is done.
struct PendingRequest(watch::Sender<usize>);

impl PendingRequest {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// A session that was presented. Its own token is preferred.
struct PresentedSession {
    digest: Digest,
    entry: Arc<CachedSession>,
}

impl RefreshRequest {
    /// Defers the next refresh after an attempt.
    fn defer(&self, now: Timestamp, pause: Duration, attempt: RefreshAttempt) {
        self.user.refresh.defer(now, pause, attempt);
        self.user.directory.defer(now, pause, attempt);
        if let Some(session) = &self.session {
            session.entry.refresh.defer(now, pause, attempt);
        }
    }
}

impl ClaimsRefresher {
    /// Starts the worker if a provider refreshes claims, or has a directory that needs no token of the user.
    pub fn start(
        providers: Arc<Providers>,
        users: Arc<Users>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let (requests, received) = mpsc::channel(QUEUED);
        let needs_worker = |settings: &ProviderSettings| settings.refresh.is_some() || settings.directory_interval().is_some();
        if providers.iter().any(|provider| needs_worker(provider.config())) {
            let refresher = Refresher::new(providers, users, Arc::clone(&clock), metrics);
            worker::start(refresher, received, Arc::clone(&clock))?;
        }
        Ok(Self::new(requests, clock))
    }

    fn new(requests: mpsc::Sender<RefreshRequest>, clock: Arc<dyn Clock>) -> Self {
        Self { requests, pending: watch::Sender::new(0), is_stopping: AtomicBool::new(false), clock }
    }

    /// Requests a refresh if the claims of the session's user, or the token of the session, are due. Never waits.
    pub fn request_for_session(&self, UserSession { session, user }: &UserSession, digest: Digest) {
        let is_due = self.take_turn(&session.refresh) || self.take_turn(&user.refresh) || self.take_turn(&user.directory);
        if is_due && !self.is_stopping() {
            self.send(user, Some(PresentedSession { digest, entry: Arc::clone(session) }));
        }
    }

    /// Requests a refresh if the claims of the user are due. Never waits.
    pub fn request(&self, user: &Arc<CachedUser>) {
        let is_due = self.take_turn(&user.refresh) || self.take_turn(&user.directory);
        if is_due && !self.is_stopping() {
            self.send(user, None);
        }
    }

    /// Requests a refresh of claims that a check waits for. After a failure it is not repeated at once.
    pub fn request_overdue(&self, user: &Arc<CachedUser>, session: Option<(&Arc<CachedSession>, Digest)>) -> RefreshState {
        if self.take_turn(&user.refresh) {
            self.send(user, session.map(|(entry, digest)| PresentedSession { digest, entry: Arc::clone(entry) }));
        }
        match user.refresh.last_attempt() {
            RefreshAttempt::Answered => RefreshState::Pending,
            RefreshAttempt::Failed => RefreshState::Unavailable,
        }
    }

    /// Stops background refreshes, because other pods can do them. A check that waits for one still gets it.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Waits until no refresh is requested or in progress. A process that ended in between would lose tokens that a provider has
    /// rotated.
    pub async fn idle(&self) {
        self.pending.subscribe().wait_for(|count| *count == 0).await.expect("the sender exists as long as this");
    }

    /// True for the one caller that has to request the refresh that is due.
    fn take_turn(&self, mark: &RefreshMark) -> bool {
        let is_due = mark.is_due(|| self.clock.now());
        if is_due {
            mark.defer(self.clock.now(), AFTER_REQUEST, RefreshAttempt::Answered);
        }
        is_due
    }

    fn send(&self, user: &Arc<CachedUser>, session: Option<PresentedSession>) {
        let request = RefreshRequest { user: Arc::clone(user), session, _pending: PendingRequest::new(&self.pending) };
        let unsent = self.requests.try_send(request).err();
        if let Some(request) = unsent.map(TrySendError::into_inner) {
            request.defer(self.clock.now(), AFTER_REQUEST, RefreshAttempt::Failed);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn a_request_is_waited_for_until_it_is_done() {
        let (requests, _received) = mpsc::channel(QUEUED);
        let refresher = ClaimsRefresher::new(requests, Arc::new(SystemClock));
        assert_eq!(refresher.idle().now_or_never(), Some(()));
        let pending = PendingRequest::new(&refresher.pending);
        assert_eq!(refresher.idle().now_or_never(), None);
        drop(pending);
        assert_eq!(refresher.idle().now_or_never(), Some(()));
    }
}
