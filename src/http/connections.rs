//! Connections on which nothing comes to an end any more: they are ended.
//!
//! actix-http gives the head of a connection's first request its time, and an idle connection its own. It gives none to the head
//! of a later request, to a body that no handler reads, and to a client that doesn't take its answer.

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

const ROUND: Duration = Duration::from_secs(10);
/// So many rounds, 90 to 100 s, are longer than a connection is kept that nobody uses: what is ended here is stuck.
const QUIET_ROUNDS: u64 = 10;
/// In the place of a round: a request is being answered.
const UNDER_WAY: u64 = u64::MAX;

/// Those of all listeners that are open.
#[derive(Clone, Default)]
pub struct Connections(Arc<State>);

#[derive(Default)]
struct State {
    open: Mutex<Vec<Weak<Connection>>>,
    /// How often they were looked at. A check asks no clock for it.
    rounds: AtomicU64,
}

/// A part of what actix keeps of a connection, and gone with it.
struct Connection {
    /// Another handle of its socket.
    socket: TcpStream,
    state: Arc<State>,
    /// The round in which its last request came to an end, or [`UNDER_WAY`].
    quiet_since: AtomicU64,
}

/// The request of a connection that is being answered; there is one at a time.
pub(super) struct BusyConnection(Arc<Connection>);

impl Connections {
    /// For each new connection.
    pub fn open(&self, io: &dyn Any, extensions: &mut Extensions) {
        let socket = io.downcast_ref::<net::TcpStream>().and_then(|stream| stream.as_fd().try_clone_to_owned().ok());
        // With no descriptor left it is served all the same.
        let Some(socket) = socket.map(TcpStream::from) else { return };
        let connection = Connection { socket, state: Arc::clone(&self.0), quiet_since: AtomicU64::new(self.0.round()) };
        let connection = Arc::new(connection);
        self.0.open.lock().expect("no code that holds this lock panics").push(Arc::downgrade(&connection));
        extensions.insert(connection);
    }

    /// Runs until it is aborted.
    pub async fn end_the_stuck(self) {
        let mut ticks = tokio::time::interval(ROUND);
        loop {
            ticks.tick().await;
            let round = self.0.rounds.fetch_add(1, Ordering::Relaxed) + 1;
            let mut open = self.0.open.lock().expect("no code that holds this lock panics");
            open.retain(|connection| connection.upgrade().is_some_and(|connection| connection.goes_on(round)));
        }
    }
}

impl State {
    fn round(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }
}

impl Connection {
    /// Ends it when it is stuck.
    fn goes_on(&self, round: u64) -> bool {
        let goes_on = round.saturating_sub(self.quiet_since.load(Ordering::Relaxed)) < QUIET_ROUNDS;
        if !goes_on {
            tracing::debug!("closed stalled connection");
            // An error means that the client was quicker.
            let _ = self.socket.shutdown(Shutdown::Both);
        }
        goes_on
    }
}

impl BusyConnection {
    pub fn mark(request: &HttpRequest) -> Option<Self> {
        let connection = Arc::clone(request.conn_data::<Arc<Connection>>()?);
        connection.quiet_since.store(UNDER_WAY, Ordering::Relaxed);
        Some(Self(connection))
    }
}

impl Drop for BusyConnection {
    fn drop(&mut self) {
        self.0.quiet_since.store(self.0.state.round(), Ordering::Relaxed);
    }
}
