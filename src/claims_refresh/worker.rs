//! The worker thread that refreshes claims. It takes no time from the threads that answer requests.

use std::{cell::RefCell, collections::HashSet, panic::AssertUnwindSafe, rc::Rc, sync::Arc, thread};

use futures::FutureExt;
use tokio::{
    runtime,
    sync::mpsc,
    task::{LocalSet, spawn_local},
};

use super::{
    AFTER_FAILURE, AFTER_REQUEST, RefreshRequest,
    attempt::{RefreshOutcome, Refresher},
};
use crate::{clock::Clock, principal_cache::RefreshAttempt};

/// The maximum number of users whose claims are refreshed at the same time on this pod.
const CONCURRENT_USERS: usize = 256;

/// Starts the thread. It ends when all senders of requests are gone.
pub(super) fn start(
    refresher: Refresher,
    requests: mpsc::Receiver<RefreshRequest>,
    clock: Arc<dyn Clock>,
) -> std::io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("claims-refresh".to_owned()).spawn(move || {
        let worker = Worker { refresher, clock, users: RefCell::default() };
        runtime.block_on(LocalSet::new().run_until(Rc::new(worker).run(requests)));
    })?;
    Ok(())
}

struct Worker {
    refresher: Refresher,
    clock: Arc<dyn Clock>,
    /// The ids of the users whose claims are being refreshed.
    users: RefCell<HashSet<String>>,
}

impl Worker {
    async fn run(self: Rc<Self>, mut requests: mpsc::Receiver<RefreshRequest>) {
        while let Some(request) = requests.recv().await {
            let is_full = self.users.borrow().len() >= CONCURRENT_USERS;
            if is_full {
                request.defer(self.clock.now(), AFTER_REQUEST, RefreshAttempt::Failed);
            } else if self.users.borrow_mut().insert(request.user.id.clone()) {
                spawn_local(Rc::clone(&self).refresh(request));
            }
        }
    }

    async fn refresh(self: Rc<Self>, request: RefreshRequest) {
        let (user, session) = (&request.user.id, request.session.as_ref().map(|session| &session.digest));
        let refreshed = AssertUnwindSafe(self.refresher.refresh_user(user, session)).catch_unwind().await;
        let (pause, attempt) = match refreshed.unwrap_or(RefreshOutcome::Unavailable) {
            RefreshOutcome::Settled | RefreshOutcome::Held => (AFTER_REQUEST, RefreshAttempt::Answered),
            RefreshOutcome::Unavailable => (AFTER_FAILURE, RefreshAttempt::Failed),
        };
        request.defer(self.clock.now(), pause, attempt);
        self.users.borrow_mut().remove(user);
    }
}
