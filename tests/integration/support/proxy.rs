//! A TCP proxy in front of a Redis server that injects network faults: a one-way cut, a lost message, a delay, a stall, a
//! refusal.

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

/// A proxy at [`FaultProxy::port`]. A connection on which the client subscribes is an invalidation channel connection; the
/// channel faults only apply to these.
pub struct FaultProxy {
    port: u16,
    state: Arc<watch::Sender<ProxyState>>,
    losses: Arc<Mutex<PendingLosses>>,
    accepting: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct ProxyState {
    channel: ChannelState,
    traffic: Traffic,
    delay: Duration,
    /// The number of resets: a connection ends when it changes.
    generation: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum ChannelState {
    #[default]
    Whole,
    CutToClient,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Traffic {
    #[default]
    Flowing,
    Stalled,
    /// Half of the server's next reply passes, and then nothing.
    Halved,
    Refused,
}

/// Messages to lose once.
#[derive(Default)]
struct PendingLosses {
    messages: VecDeque<Vec<u8>>,
    replies: VecDeque<Vec<u8>>,
    end: Option<ScheduledEnd>,
    dropped: usize,
}

/// All connections end after `left` requests that contain `words`.
struct ScheduledEnd {
    words: Vec<u8>,
    left: usize,
    when: CutTime,
}

/// The moment at which all connections end: before a request reaches the server, or after the server has executed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutTime {
    Before,
    After,
}

impl FaultProxy {
    pub async fn start(server: u16) -> Self {
        let port = ports::free();
        let (state, watched) = watch::channel(ProxyState::default());
        let (state, losses) = (Arc::new(state), Arc::new(Mutex::new(PendingLosses::default())));
        let listener = bind(port).await;
        let gate = Acceptor { port, server, state: watched, switch: Arc::clone(&state), losses: Arc::clone(&losses) };
        let accepting = tokio::spawn(gate.run(listener));
        Self { port, state, losses, accepting }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Drops all that the server sends on invalidation channel connections from now on.
    pub fn cut_channel_to_client(&self) {
        self.state.send_modify(|state| state.channel = ChannelState::CutToClient);
    }

    pub fn heal_channel(&self) {
        self.state.send_modify(|state| state.channel = ChannelState::Whole);
    }

    /// Drops the next published message whose channel contains `channel`, and nothing else. Calls add up.
    pub fn drop_next_invalidation_message(&self, channel: &str) {
        self.lock().messages.push_back(channel.as_bytes().to_vec());
    }

    /// The next request that contains `words` reaches the server, its reply is lost and the connection ends. The outcome is
    /// unknown to the client.
    pub fn lose_reply_to(&self, words: &str) {
        self.lock().replies.push_back(words.as_bytes().to_vec());
    }

    /// Passes `left` requests that contain `words`; the next one ends all connections like [`FaultProxy::refuse`].
    pub fn end_at(&self, words: &str, left: usize, when: CutTime) {
        self.lock().end = Some(ScheduledEnd { words: words.as_bytes().to_vec(), left, when });
    }

    /// True if the requested end has occurred.
    pub fn has_reached_end(&self) -> bool {
        self.lock().end.is_none()
    }

    /// True if the requested end has occurred or none was requested. Cancels an end that has not occurred.
    pub fn has_ended(&self) -> bool {
        self.lock().end.take().is_none()
    }

    /// The number of messages and replies lost so far.
    pub fn lost(&self) -> usize {
        self.lock().dropped
    }

    /// Delays all that the server sends.
    pub fn delay(&self, by: Duration) {
        self.state.send_modify(|state| state.delay = by);
    }

    /// Keeps connections open and passes nothing in either direction; see [`FaultProxy::resume`].
    pub fn stall(&self) {
        self.state.send_modify(|state| state.traffic = Traffic::Stalled);
    }

    /// Stops the next reply on each connection half-way and passes nothing after it; see [`FaultProxy::resume`].
    pub fn halve_next_replies(&self) {
        self.state.send_modify(|state| state.traffic = Traffic::Halved);
    }

    /// Ends all connections and refuses new ones until [`FaultProxy::resume`].
    pub fn refuse(&self) {
        refuse(&self.state);
    }

    /// True if no connection is left, shortly after [`FaultProxy::refuse`].
    pub fn is_idle(&self) -> bool {
        // Each connection and the acceptor hold a receiver of the state.
        self.state.receiver_count() <= 1
    }

    /// Ends `stall`, `halve_next_replies`, `refuse` and `delay`.
    pub fn resume(&self) {
        self.state.send_modify(|state| {
            state.traffic = Traffic::Flowing;
            state.delay = Duration::ZERO;
        });
    }

    /// Ends all connections; new ones are accepted.
    pub fn reset_connections(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, PendingLosses> {
        self.losses.lock().expect("no holder of this lock panics")
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.state.send_modify(|state| state.generation += 1);
        self.accepting.abort();
    }
}

/// Accepts connections, unless they are refused.
struct Acceptor {
    port: u16,
    server: u16,
    state: watch::Receiver<ProxyState>,
    switch: Arc<watch::Sender<ProxyState>>,
    losses: Arc<Mutex<PendingLosses>>,
}

fn refuse(switch: &watch::Sender<ProxyState>) {
    switch.send_modify(|state| {
        state.traffic = Traffic::Refused;
        state.generation += 1;
    });
}

impl Acceptor {
    async fn run(mut self, first: TcpListener) {
        let mut listener = Some(first);
        loop {
            if self.state.borrow_and_update().traffic == Traffic::Refused {
                // The kernel refuses connections to a port without a listener.
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
            let wires = ConnectionProxy { state: state.clone(), switch, losses };
            tokio::select! {
                () = wires.connect(client, server) => (),
                _ = state.wait_for(|state| state.generation != generation) => (),
            }
        });
    }
}

/// The two directions of one connection.
struct ConnectionProxy {
    state: watch::Receiver<ProxyState>,
    switch: Arc<watch::Sender<ProxyState>>,
    losses: Arc<Mutex<PendingLosses>>,
}

/// Observations of the client direction that the server direction needs.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Observation {
    #[default]
    Commands,
    Subscription,
    /// The reply to the last request is to be lost.
    DoomedRequest,
    /// Like `DoomedRequest`, and all connections end afterwards.
    LastRequest,
}

impl ConnectionProxy {
    async fn connect(self, client: TcpStream, server: u16) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
            return;
        };
        // Nagle's algorithm would delay small messages and distort the measured times.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let (seen, sees) = watch::channel(Observation::default());
        tokio::select! {
            _ = self.upward(from_client, to_server, seen) => (),
            _ = self.downward(from_server, to_client, sees) => (),
        }
    }

    async fn upward(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, seen: watch::Sender<Observation>) -> Option<()> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = from.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
            let chunk = &buffer[..length];
            self.while_stalled().await?;
            if contains_word(chunk, b"SUBSCRIBE") {
                seen.send_replace(Observation::Subscription);
            } else if self.is_doomed(chunk) {
                seen.send_replace(Observation::DoomedRequest);
            }
            match self.end_of(chunk) {
                Some(CutTime::Before) => {
                    refuse(&self.switch);
                    return None;
                }
                Some(CutTime::After) => drop(seen.send_replace(Observation::LastRequest)),
                None => {}
            }
            to.write_all(chunk).await.ok()?;
        }
    }

    async fn downward(&self, mut from: OwnedReadHalf, to: OwnedWriteHalf, seen: watch::Receiver<Observation>) -> Option<()> {
        let (arrive, arrivals) = mpsc::unbounded_channel();
        let read = async {
            let mut buffer = vec![0; CHUNK];
            while let Some(length) = from.read(&mut buffer).await.ok().filter(|length| *length > 0) {
                let _ = arrive.send((Instant::now(), buffer[..length].to_vec()));
            }
            drop(arrive);
            // Data that has arrived is still passed on.
            std::future::pending().await
        };
        tokio::select! {
            passed = self.pass(arrivals, to, seen) => passed,
            () = read => None,
        }
    }

    /// A delay counts from the arrival of the data, so that the delays of fragments do not add up.
    async fn pass(
        &self,
        mut arrivals: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
        mut to: OwnedWriteHalf,
        seen: watch::Receiver<Observation>,
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
                Observation::Commands => std::mem::take(&mut pending),
                Observation::Subscription => self.channel_frames(&mut pending),
                Observation::DoomedRequest => {
                    self.lock().dropped += 1;
                    return None;
                }
                Observation::LastRequest => {
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

    /// The part of a reply of this length that is passed on.
    fn passes_now(&self, length: usize) -> usize {
        if self.state.borrow().traffic == Traffic::Halved { length / 2 } else { length }
    }

    /// Removes the complete frames from `pending`; the rest is the beginning of the next frame.
    fn channel_frames(&self, pending: &mut Vec<u8>) -> Vec<u8> {
        let mut passed = Vec::new();
        let mut at = 0;
        while let Some((frame, length)) = rest(pending, at).and_then(resp::parse) {
            let cut = self.state.borrow().channel == ChannelState::CutToClient;
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
        let wanted = losses.messages.iter().position(|name| contains(channel, name));
        let Some(at) = wanted else {
            return false;
        };
        losses.messages.remove(at);
        losses.dropped += 1;
        true
    }

    fn is_doomed(&self, chunk: &[u8]) -> bool {
        let mut losses = self.lock();
        let wanted = losses.replies.iter().position(|words| contains(chunk, words));
        wanted.and_then(|at| losses.replies.remove(at)).is_some()
    }

    /// The requested end, if it occurs at this request.
    fn end_of(&self, chunk: &[u8]) -> Option<CutTime> {
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

    /// `None` when the proxy is gone.
    async fn outwait(&self, traffic: Traffic) -> Option<()> {
        let mut state = self.state.clone();
        state.wait_for(|state| state.traffic != traffic).await.ok()?;
        Some(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, PendingLosses> {
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
