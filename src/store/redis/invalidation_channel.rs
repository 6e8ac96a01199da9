//! Receives invalidation messages from every primary.
//!
//! A lost message is detected later: by the gap in the chain of commit tokens, or by the consistency check.

use std::{sync::Arc, time::Duration};

use fred::{
    prelude::*,
    types::{Message, config::Options},
};
use tokio::{
    sync::{Notify, broadcast, watch},
    task::JoinHandle,
};

use super::connect::primaries;
use crate::store::{CommitToken, InvalidationMessage, Sequence, Shard};

/// The capacity of the queue of messages. A receiver that misses messages must flush its cache.
pub(super) const MESSAGES_KEPT: usize = 1024;
const RETRY: Duration = Duration::from_millis(250);

pub(super) struct InvalidationChannel {
    client: Client,
    messages: broadcast::Sender<InvalidationMessage>,
    wake: Arc<Notify>,
    subscribed: watch::Receiver<bool>,
    tasks: [JoinHandle<()>; 3],
}

impl InvalidationChannel {
    pub(super) fn start(client: Client, channel: String) -> Self {
        let messages = broadcast::Sender::new(MESSAGES_KEPT);
        let wake = Arc::new(Notify::new());
        let (report, subscribed) = watch::channel(false);
        // All receivers subscribe before the client connects, so that no event is missed.
        let forward = forward(client.message_rx(), channel.clone(), messages.clone());
        let events = wake_on_change(client.reconnect_rx(), client.cluster_change_rx(), Arc::clone(&wake));
        let subscribe = keep_subscribed(client.clone(), channel, Arc::clone(&wake), report);
        client.connect();
        let tasks = [tokio::spawn(forward), tokio::spawn(events), tokio::spawn(subscribe)];
        Self { client, messages, wake, subscribed, tasks }
    }

    pub(super) fn invalidation_messages(&self) -> broadcast::Receiver<InvalidationMessage> {
        self.messages.subscribe()
    }

    pub(super) fn resubscribe(&self) {
        self.wake.notify_one();
    }

    pub(super) fn reconnect(&self) {
        let client = self.client.clone();
        tokio::spawn(async move { client.force_reconnection().await });
    }

    pub(super) async fn subscribed(&self) {
        let mut subscribed = self.subscribed.clone();
        // Cannot fail: the sender lives as long as the task, and the task as long as `self`.
        let _ = subscribed.wait_for(|done| *done).await;
    }
}

impl Drop for InvalidationChannel {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let client = self.client.clone();
            runtime.spawn(async move { client.quit().await });
        }
    }
}

async fn forward(mut received: broadcast::Receiver<Message>, channel: String, messages: broadcast::Sender<InvalidationMessage>) {
    loop {
        match received.recv().await {
            Ok(message) if *message.channel == channel => {
                if let Some(parsed) = message.value.as_bytes().and_then(parse) {
                    // Fails only if there is no receiver, while the process starts or stops.
                    let _ = messages.send(parsed);
                }
            }
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

async fn wake_on_change<A: Clone, B: Clone>(
    mut reconnects: broadcast::Receiver<A>,
    mut changes: broadcast::Receiver<B>,
    wake: Arc<Notify>,
) {
    use broadcast::error::RecvError::Closed;
    loop {
        let closed = tokio::select! {
            event = reconnects.recv() => matches!(event, Err(Closed)),
            event = changes.recv() => matches!(event, Err(Closed)),
        };
        if closed {
            return;
        }
        wake.notify_one();
    }
}

async fn keep_subscribed(client: Client, channel: String, wake: Arc<Notify>, report: watch::Sender<bool>) {
    loop {
        if subscribe_everywhere(&client, &channel).await.is_err() {
            tokio::time::sleep(RETRY).await;
            continue;
        }
        report.send_replace(true);
        wake.notified().await;
    }
}

/// Subscribes on every primary. A message from another primary would arrive up to 45 ms later through the cluster bus.
async fn subscribe_everywhere(client: &Client, channel: &str) -> Result<(), Error> {
    client.wait_for_connect().await?;
    for server in primaries(client) {
        let options =
            Options { cluster_node: server, timeout: Some(Duration::from_secs(1)), max_attempts: Some(1), ..Options::default() };
        client.with_options(&options).subscribe(channel).await?;
    }
    Ok(())
}

/// Parses `shard:previous token:number:token:body`, as the commit script writes it.
fn parse(message: &[u8]) -> Option<InvalidationMessage> {
    let mut parts = message.splitn(5, |byte| *byte == b':');
    let mut text = || std::str::from_utf8(parts.next()?).ok();
    let shard = Shard::new(text()?.parse().ok()?)?;
    let previous = CommitToken::parse(text()?)?;
    let sequence = Sequence { number: text()?.parse().ok()?, token: CommitToken::parse(text()?)? };
    Some(InvalidationMessage { shard, previous, sequence, body: parts.next()?.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_message_is_parsed_and_garbage_is_rejected() {
        let (previous, token) = (CommitToken::random(), CommitToken::random());
        let mut message = format!("63:{previous}:12:{token}:").into_bytes();
        message.extend_from_slice(b"body:with\xffcolons");
        let parsed = parse(&message).unwrap();
        assert_eq!((parsed.shard.number(), parsed.previous), (63, previous));
        assert_eq!(parsed.sequence, Sequence { number: 12, token });
        assert_eq!(parsed.body, b"body:with\xffcolons");
        for garbage in ["", "64:0:1:2:x", "1:x:1:2:y", "1:0000000000000000:1:0000000000000000"] {
            assert_eq!(parse(garbage.as_bytes()), None, "{garbage}");
        }
    }
}
