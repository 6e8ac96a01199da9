//! The orderly end of a listener: what is under way is answered, and connections are not kept.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{HttpResponse, http::ConnectionType};

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Shared by everything that answers requests.
#[derive(Clone, Default)]
pub struct Drain(Arc<State>);

#[derive(Default)]
struct State {
    under_way: AtomicUsize,
    begun: AtomicBool,
}

/// A request that is being answered.
pub(super) struct UnderWay(Arc<State>);

impl Drain {
    /// From now on every answer closes its connection, so that gateways go elsewhere.
    pub fn begin(&self) {
        self.0.begun.store(true, Ordering::Relaxed);
    }

    /// Waits until no request is under way.
    pub async fn idle(&self) {
        while self.0.under_way.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    pub(super) fn enter(&self) -> UnderWay {
        self.0.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(&self.0))
    }
}

impl UnderWay {
    pub(super) fn close_if_draining<B>(&self, response: &mut HttpResponse<B>) {
        if self.0.begun.load(Ordering::Relaxed) {
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn idle_waits_for_what_is_under_way() {
        let drain = Drain::default();
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
    fn answers_close_their_connection_only_while_draining() {
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
