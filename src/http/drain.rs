//! Graceful shutdown of a listener: requests in flight are answered, and connections are closed.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use actix_web::{HttpResponse, http::ConnectionType};
use tokio::sync::Notify;

/// The requests in flight, and the state of the shutdown. All handlers share it.
#[derive(Clone, Default)]
pub struct Drain(Arc<DrainState>);

#[derive(Default)]
struct DrainState {
    in_flight: AtomicUsize,
    draining: AtomicBool,
    idle: Notify,
}

/// A request that is being answered.
pub(super) struct InFlightRequest(Arc<DrainState>);

impl Drain {
    /// Begins draining: every response closes its connection, and gateways use other pods.
    pub fn begin(&self) {
        self.0.draining.store(true, Ordering::SeqCst);
    }

    /// Waits for a moment without requests in flight, however short. It must be called after [`Drain::begin`].
    pub async fn idle(&self) {
        let idle = self.0.idle.notified();
        tokio::pin!(idle);
        // The notification is enabled before the count is read, and no moment is missed.
        idle.as_mut().enable();
        if self.0.in_flight.load(Ordering::SeqCst) > 0 {
            idle.await;
        }
    }

    pub(super) fn enter(&self) -> InFlightRequest {
        self.0.in_flight.fetch_add(1, Ordering::SeqCst);
        InFlightRequest(Arc::clone(&self.0))
    }
}

impl InFlightRequest {
    pub(super) fn close_if_draining<B>(&self, response: &mut HttpResponse<B>) {
        if self.0.draining.load(Ordering::Relaxed) {
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        let was_last = self.0.in_flight.fetch_sub(1, Ordering::SeqCst) == 1;
        // No task waits before draining begins, and a check takes no lock.
        if was_last && self.0.draining.load(Ordering::SeqCst) {
            self.0.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_moment_between_two_requests_is_noticed() {
        let drain = Drain::default();
        drain.begin();
        let first = drain.enter();
        let idle = drain.idle();
        tokio::pin!(idle);
        assert!(futures::poll!(&mut idle).is_pending());
        drop(first);
        let _next = drain.enter();
        assert!(futures::poll!(&mut idle).is_ready());
        let again = drain.idle();
        tokio::pin!(again);
        assert!(futures::poll!(again).is_pending());
    }

    #[tokio::test]
    async fn idle_waits_for_requests_in_flight() {
        let drain = Drain::default();
        drain.begin();
        let first = drain.enter();
        let waits = tokio::spawn({
            let drain = drain.clone();
            async move { drain.idle().await }
        });
        let second = drain.enter();
        drop(first);
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(second);
        tokio::time::timeout(Duration::from_secs(5), waits).await.unwrap().unwrap();
    }

    #[test]
    fn responses_close_their_connection_only_while_draining() {
        let drain = Drain::default();
        let close = |drain: &Drain| {
            let mut response = HttpResponse::Ok().finish();
            drain.enter().close_if_draining(&mut response);
            response.head().connection_type() == ConnectionType::Close
        };
        assert!(!close(&drain));
        drain.begin();
        assert!(close(&drain));
    }
}
