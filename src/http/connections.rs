//! Connections on which nothing comes to an end any more: they are ended.
//!
//! actix-http gives the head of a connection's first request its time, and an idle connection its own. It gives none to the head
//! of a later request, to a body that no handler reads, and to a client that doesn't take its answer.

use std::{
    any::Any,
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{HttpRequest, dev::Extensions, rt::net};

use crate::clock::Clock;

/// Longer than a connection is kept that nobody uses, so that what is ended here is stuck.
const QUIET_FOR: Duration = Duration::from_secs(90);
const LOOKED_AT_EVERY: Duration = Duration::from_secs(10);

/// Those of all listeners that are open.
#[derive(Clone)]
pub struct Connections {
    open: Arc<Mutex<Vec<Weak<Connection>>>>,
    clock: Arc<dyn Clock>,
}

/// A part of what actix keeps of a connection, and gone with it.
struct Connection {
    /// Another handle of its socket.
    socket: TcpStream,
    clock: Arc<dyn Clock>,
    opened: Instant,
    under_way: AtomicUsize,
    /// When a request last came to its end, in milliseconds since it was opened.
    quiet_since: AtomicU64,
}

/// A request of a connection, until its answer is ready.
pub(super) struct Asked(Arc<Connection>);

impl Connections {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { open: Arc::default(), clock }
    }

    /// For each new connection.
    pub fn open(&self, io: &dyn Any, extensions: &mut Extensions) {
        let socket = io.downcast_ref::<net::TcpStream>().and_then(|stream| stream.as_fd().try_clone_to_owned().ok());
        // With no descriptor left it is served all the same.
        let Some(socket) = socket.map(TcpStream::from) else { return };
        let connection = Arc::new(Connection {
            socket,
            opened: self.clock.monotonic(),
            clock: Arc::clone(&self.clock),
            under_way: AtomicUsize::new(0),
            quiet_since: AtomicU64::new(0),
        });
        self.lock().push(Arc::downgrade(&connection));
        extensions.insert(connection);
    }

    /// Runs until it is aborted.
    pub async fn end_the_stuck(self) {
        let mut ticks = tokio::time::interval(LOOKED_AT_EVERY);
        loop {
            ticks.tick().await;
            self.lock().retain(|connection| connection.upgrade().is_some_and(|connection| connection.end_if_stuck()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Connection>>> {
        self.open.lock().expect("no code that holds this lock panics")
    }
}

impl Connection {
    fn age(&self) -> Duration {
        self.clock.monotonic().saturating_duration_since(self.opened)
    }

    /// Tells whether it goes on.
    fn end_if_stuck(&self) -> bool {
        let quiet_since = Duration::from_millis(self.quiet_since.load(Ordering::Relaxed));
        let goes_on = self.under_way.load(Ordering::Relaxed) > 0 || self.age() < quiet_since + QUIET_FOR;
        if !goes_on {
            tracing::debug!("a connection is ended: nothing was asked in full, or taken, for {QUIET_FOR:?}");
            // An error means that the client was quicker.
            let _ = self.socket.shutdown(Shutdown::Both);
        }
        goes_on
    }
}

impl Asked {
    pub fn on(request: &HttpRequest) -> Option<Self> {
        let connection = request.conn_data::<Arc<Connection>>()?;
        connection.under_way.fetch_add(1, Ordering::Relaxed);
        Some(Self(Arc::clone(connection)))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let since = u64::try_from(self.0.age().as_millis()).unwrap_or(u64::MAX);
        self.0.quiet_since.store(since, Ordering::Relaxed);
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
