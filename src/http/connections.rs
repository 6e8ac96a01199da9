//! Closes stalled connections.
//!
//! actix-http has timeouts for the head of a connection's first request and for idle connections. It has none for the head of a
//! later request, for a body that no handler reads, and for a client that does not read its response.

use std::{
    any::Any,
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::{HttpRequest, dev::Extensions, rt::net};

const ROUND_INTERVAL: Duration = Duration::from_secs(10);
/// A connection is stalled after this many rounds (90 to 100 s). The timeout of idle connections is shorter.
const STALLED_ROUNDS: u64 = 10;
/// Replaces the number of a round while a request is being answered.
const BUSY: u64 = u64::MAX;

/// The open connections of all listeners.
#[derive(Clone, Default)]
pub struct Connections(Arc<Registry>);

#[derive(Default)]
struct Registry {
    open: Mutex<Vec<Weak<ClientConnection>>>,
    /// The number of the current round. Checks read it in place of a clock.
    rounds: AtomicU64,
}

/// Data that actix keeps with a connection and drops with it.
struct ClientConnection {
    /// A duplicate of the socket's descriptor.
    socket: TcpStream,
    state: Arc<Registry>,
    /// The round in which the last request ended, or [`BUSY`].
    quiet_since: AtomicU64,
}

/// Marks a connection as busy while one of its requests is answered. Requests of one connection do not overlap.
pub(super) struct BusyConnection(Arc<ClientConnection>);

impl Connections {
    /// Registers a new connection.
    pub fn open(&self, io: &dyn Any, extensions: &mut Extensions) {
        let socket = io.downcast_ref::<net::TcpStream>().and_then(|stream| stream.as_fd().try_clone_to_owned().ok());
        // If no descriptor is left, the connection is served without this timeout.
        let Some(socket) = socket.map(TcpStream::from) else { return };
        let connection = ClientConnection { socket, state: Arc::clone(&self.0), quiet_since: AtomicU64::new(self.0.round()) };
        let connection = Arc::new(connection);
        self.0.open.lock().expect("no code that holds this lock panics").push(Arc::downgrade(&connection));
        extensions.insert(connection);
    }

    /// Closes stalled connections until the task is aborted.
    pub async fn close_stalled(self) {
        let mut ticks = tokio::time::interval(ROUND_INTERVAL);
        loop {
            ticks.tick().await;
            let round = self.0.rounds.fetch_add(1, Ordering::Relaxed) + 1;
            let mut open = self.0.open.lock().expect("no code that holds this lock panics");
            open.retain(|connection| connection.upgrade().is_some_and(|connection| connection.close_if_stalled(round)));
        }
    }
}

impl Registry {
    fn round(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }
}

impl ClientConnection {
    /// Closes the connection if it is stalled. Returns true if it stays open.
    fn close_if_stalled(&self, round: u64) -> bool {
        let is_active = round.saturating_sub(self.quiet_since.load(Ordering::Relaxed)) < STALLED_ROUNDS;
        if !is_active {
            tracing::debug!("closed stalled connection");
            // An error means that the client has closed it first.
            let _ = self.socket.shutdown(Shutdown::Both);
        }
        is_active
    }
}

impl BusyConnection {
    pub fn mark(request: &HttpRequest) -> Option<Self> {
        let connection = Arc::clone(request.conn_data::<Arc<ClientConnection>>()?);
        connection.quiet_since.store(BUSY, Ordering::Relaxed);
        Some(Self(connection))
    }
}

impl Drop for BusyConnection {
    fn drop(&mut self) {
        self.0.quiet_since.store(self.0.state.round(), Ordering::Relaxed);
    }
}
