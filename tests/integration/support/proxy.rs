//! A TCP proxy in front of a Redis server that fails as networks do: one direction cut, a message
//! lost, a delay, silence, refusal.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::ports;
use super::resp::{self, Reply};

const CHUNK: usize = 64 * 1024;

/// Reached at [`FaultProxy::port`]. A connection on which the client subscribes is a bus
/// connection; the bus faults concern those alone.
pub struct FaultProxy {
    port: u16,
    state: Arc<watch::Sender<State>>,
    losses: Arc<Mutex<Losses>>,
    accepting: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct State {
    bus: Bus,
    traffic: Traffic,
    delay: Duration,
    /// Counts the resets: a connection ends when it changes.
    generation: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Bus {
    #[default]
    Whole,
    CutToClient,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Traffic {
    #[default]
    Flowing,
    Stalled,
    /// Of what the server says next a half passes, and then nothing.
    Halved,
    Refused,
}

/// What is to be lost once.
#[derive(Default)]
struct Losses {
    notices: VecDeque<Vec<u8>>,
    replies: VecDeque<Vec<u8>>,
    end: Option<End>,
    dropped: usize,
}

/// After so many requests with these words everything ends.
struct End {
    words: Vec<u8>,
    left: usize,
    when: When,
}

/// When everything ends: before a request reaches the server, or after the server has carried it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

impl FaultProxy {
    pub async fn start(server: u16) -> Self {
        let port = ports::free();
        let (state, watched) = watch::channel(State::default());
        let (state, losses) = (Arc::new(state), Arc::new(Mutex::new(Losses::default())));
        let listener = bind(port).await;
        let gate = Gate { port, server, state: watched, switch: Arc::clone(&state), losses: Arc::clone(&losses) };
        let accepting = tokio::spawn(gate.run(listener));
        Self { port, state, losses, accepting }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// On bus connections, what the server sends is thrown away from now on.
    pub fn cut_bus_to_client(&self) {
        self.state.send_modify(|state| state.bus = Bus::CutToClient);
    }

    pub fn heal_bus(&self) {
        self.state.send_modify(|state| state.bus = Bus::Whole);
    }

    /// The next published message whose channel contains `channel` is lost, and nothing else; calls
    /// add up.
    pub fn drop_next_notice(&self, channel: &str) {
        self.lock().notices.push_back(channel.as_bytes().to_vec());
    }

    /// The next request that contains `words` reaches the server, its reply is lost and the
    /// connection ends: whether it was carried out stays unknown.
    pub fn lose_reply_to(&self, words: &str) {
        self.lock().replies.push_back(words.as_bytes().to_vec());
    }

    /// Lets so many requests that contain `words` through; at the next one everything ends as by [`FaultProxy::refuse`].
    pub fn end_at(&self, words: &str, left: usize, when: When) {
        self.lock().end = Some(End { words: words.as_bytes().to_vec(), left, when });
    }

    /// Whether the end that was asked for has come; it doesn't any more.
    pub fn has_ended(&self) -> bool {
        self.lock().end.take().is_none()
    }

    /// How many notices and replies were lost so far.
    pub fn lost(&self) -> usize {
        self.lock().dropped
    }

    /// Everything that the server sends arrives this much later.
    pub fn delay(&self, by: Duration) {
        self.state.send_modify(|state| state.delay = by);
    }

    /// Connections stay open and nothing passes, in either direction; see [`FaultProxy::resume`].
    pub fn stall(&self) {
        self.state.send_modify(|state| state.traffic = Traffic::Stalled);
    }

    /// On every connection the next reply stops half-way, and nothing follows; see [`FaultProxy::resume`].
    pub fn stop_half_way(&self) {
        self.state.send_modify(|state| state.traffic = Traffic::Halved);
    }

    /// Ends every connection and refuses new ones until [`FaultProxy::resume`].
    pub fn refuse(&self) {
        refuse(&self.state);
    }

    /// Whether no connection is left, which is so a moment after [`FaultProxy::refuse`].
    pub fn is_idle(&self) -> bool {
        // Each connection looks at the state; so does who accepts them.
        self.state.receiver_count() <= 1
    }

    /// Ends `stall`, `stop_half_way`, `refuse` and `delay`.
    pub fn resume(&self) {
        self.state.send_modify(|state| {
            state.traffic = Traffic::Flowing;
            state.delay = Duration::ZERO;
        });
    }

    /// Ends every connection; new ones are welcome.
    pub fn reset_connections(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Losses> {
        self.losses.lock().expect("no holder of this lock panics")
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.state.send_modify(|state| state.generation += 1);
        self.accepting.abort();
    }
}

/// Accepts connections, unless they are to be refused.
struct Gate {
    port: u16,
    server: u16,
    state: watch::Receiver<State>,
    switch: Arc<watch::Sender<State>>,
    losses: Arc<Mutex<Losses>>,
}

fn refuse(switch: &watch::Sender<State>) {
    switch.send_modify(|state| {
        state.traffic = Traffic::Refused;
        state.generation += 1;
    });
}

impl Gate {
    async fn run(mut self, first: TcpListener) {
        let mut listener = Some(first);
        loop {
            if self.state.borrow_and_update().traffic == Traffic::Refused {
                // Without a listener the kernel refuses by itself.
                listener = None;
            }
            let Some(open) = &listener else {
                let wanted = self.state.wait_for(|state| state.traffic != Traffic::Refused);
                if wanted.await.is_err() {
                    return;
                }
                listener = Some(bind(self.port).await);
                continue;
            };
            tokio::select! {
                accepted = open.accept() => if let Ok((client, _)) = accepted {
                    self.serve(client);
                },
                changed = self.state.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    }

    fn serve(&self, client: TcpStream) {
        let (server, mut state) = (self.server, self.state.clone());
        let (switch, losses) = (Arc::clone(&self.switch), Arc::clone(&self.losses));
        tokio::spawn(async move {
            let generation = state.borrow().generation;
            let wires = Wires { state: state.clone(), switch, losses };
            tokio::select! {
                () = wires.connect(client, server) => (),
                _ = state.wait_for(|state| state.generation != generation) => (),
            }
        });
    }
}

/// One connection's two directions.
struct Wires {
    state: watch::Receiver<State>,
    switch: Arc<watch::Sender<State>>,
    losses: Arc<Mutex<Losses>>,
}

/// What the direction from the client has seen that the other needs to know.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Seen {
    #[default]
    Commands,
    Subscription,
    /// The reply to what was sent last is to be lost.
    DoomedRequest,
    /// The same, and then everything ends.
    LastRequest,
}

impl Wires {
    async fn connect(self, client: TcpStream, server: u16) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
            return;
        };
        // Small messages would wait for each other and blur every measured time.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let (seen, sees) = watch::channel(Seen::default());
        tokio::select! {
            _ = self.upward(from_client, to_server, seen) => (),
            _ = self.downward(from_server, to_client, sees) => (),
        }
    }

    async fn upward(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, seen: watch::Sender<Seen>) -> Option<()> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = from.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
            let chunk = &buffer[..length];
            self.while_stalled().await?;
            if contains_word(chunk, b"SUBSCRIBE") {
                seen.send_replace(Seen::Subscription);
            } else if self.is_doomed(chunk) {
                seen.send_replace(Seen::DoomedRequest);
            }
            match self.end_of(chunk) {
                Some(When::Before) => {
                    refuse(&self.switch);
                    return None;
                }
                Some(When::After) => drop(seen.send_replace(Seen::LastRequest)),
                None => {}
            }
            to.write_all(chunk).await.ok()?;
        }
    }

    async fn downward(&self, mut from: OwnedReadHalf, to: OwnedWriteHalf, seen: watch::Receiver<Seen>) -> Option<()> {
        let (arrive, arrivals) = mpsc::unbounded_channel();
        let read = async {
            let mut buffer = vec![0; CHUNK];
            while let Some(length) = from.read(&mut buffer).await.ok().filter(|length| *length > 0) {
                let _ = arrive.send((Instant::now(), buffer[..length].to_vec()));
            }
            drop(arrive);
            // What has arrived is passed on still.
            std::future::pending().await
        };
        tokio::select! {
            passed = self.pass(arrivals, to, seen) => passed,
            () = read => None,
        }
    }

    /// A delay counts from when something arrived, so that it doesn't add up over what comes bit by bit.
    async fn pass(
        &self,
        mut arrivals: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
        mut to: OwnedWriteHalf,
        seen: watch::Receiver<Seen>,
    ) -> Option<()> {
        let mut pending = Vec::new();
        loop {
            let (arrived, chunk) = arrivals.recv().await?;
            let delay = self.state.borrow().delay;
            if !delay.is_zero() {
                tokio::time::sleep_until(arrived + delay).await;
            }
            pending.extend(chunk);
            self.while_stalled().await?;
            let kind = *seen.borrow();
            let passed = match kind {
                Seen::Commands => std::mem::take(&mut pending),
                Seen::Subscription => self.bus_frames(&mut pending),
                Seen::DoomedRequest => {
                    self.lock().dropped += 1;
                    return None;
                }
                Seen::LastRequest => {
                    refuse(&self.switch);
                    return None;
                }
            };
            let (first, rest) = passed.split_at(self.passes_now(passed.len()));
            to.write_all(first).await.ok()?;
            if !rest.is_empty() {
                self.outwait(Traffic::Halved).await?;
                to.write_all(rest).await.ok()?;
            }
        }
    }

    /// How much of a reply of this length.
    fn passes_now(&self, length: usize) -> usize {
        if self.state.borrow().traffic == Traffic::Halved { length / 2 } else { length }
    }

    /// Takes the complete frames out of `pending`; what is left is the beginning of the next.
    fn bus_frames(&self, pending: &mut Vec<u8>) -> Vec<u8> {
        let mut passed = Vec::new();
        let mut at = 0;
        while let Some((frame, length)) = rest(pending, at).and_then(resp::parse) {
            let cut = self.state.borrow().bus == Bus::CutToClient;
            if !cut && !self.is_lost(&frame) {
                passed.extend_from_slice(&pending[at..at + length]);
            }
            at += length;
        }
        pending.drain(..at);
        passed
    }

    fn is_lost(&self, frame: &Reply) -> bool {
        let Some(channel) = channel_of(frame) else {
            return false;
        };
        let mut losses = self.lock();
        let wanted = losses.notices.iter().position(|name| contains(channel, name));
        let Some(at) = wanted else {
            return false;
        };
        losses.notices.remove(at);
        losses.dropped += 1;
        true
    }

    fn is_doomed(&self, chunk: &[u8]) -> bool {
        let mut losses = self.lock();
        let wanted = losses.replies.iter().position(|words| contains(chunk, words));
        wanted.and_then(|at| losses.replies.remove(at)).is_some()
    }

    /// Whether everything ends at this request.
    fn end_of(&self, chunk: &[u8]) -> Option<When> {
        let mut losses = self.lock();
        let end = losses.end.as_mut().filter(|end| contains(chunk, &end.words))?;
        match end.left.checked_sub(1) {
            Some(left) => {
                end.left = left;
                None
            }
            None => losses.end.take().map(|end| end.when),
        }
    }

    async fn while_stalled(&self) -> Option<()> {
        self.outwait(Traffic::Stalled).await
    }

    /// Nothing when the proxy is gone.
    async fn outwait(&self, traffic: Traffic) -> Option<()> {
        let mut state = self.state.clone();
        state.wait_for(|state| state.traffic != traffic).await.ok()?;
        Some(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Losses> {
        self.losses.lock().expect("no holder of this lock panics")
    }
}

async fn bind(port: u16) -> TcpListener {
    let bound = TcpListener::bind(("127.0.0.1", port)).await;
    bound.expect("the port is reserved for this proxy")
}

fn rest(bytes: &[u8], at: usize) -> Option<&[u8]> {
    bytes.get(at..).filter(|rest| !rest.is_empty())
}

fn channel_of(frame: &Reply) -> Option<&[u8]> {
    let Reply::Array(items) = frame else {
        return None;
    };
    match items.as_slice() {
        [Reply::Bytes(kind), Reply::Bytes(channel), _] if kind == b"message" || kind == b"smessage" => Some(channel),
        [Reply::Bytes(kind), _, Reply::Bytes(channel), _] if kind == b"pmessage" => Some(channel),
        _ => None,
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn contains_word(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}
