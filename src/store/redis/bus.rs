//! The bus: what commits announce, heard on every primary at once.
//!
//! A message that is lost here is not lost for good: the chain of tokens shows the gap, and so does the
//! round that compares sequences.

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
use crate::store::{Notice, Sequence, Shard, Token};

const NOTICES_KEPT: usize = 16_384;
const RETRY: Duration = Duration::from_millis(250);

pub(super) struct Bus {
    client: Client,
    notices: broadcast::Sender<Notice>,
    again: Arc<Notify>,
    subscribed: watch::Receiver<bool>,
    tasks: [JoinHandle<()>; 3],
}

impl Bus {
    pub(super) fn start(client: Client, channel: String) -> Self {
        let notices = broadcast::Sender::new(NOTICES_KEPT);
        let again = Arc::new(Notify::new());
        let (tell, subscribed) = watch::channel(false);
        // All receivers are taken before the client connects, so that no event is missed.
        let forward = forward(client.message_rx(), channel.clone(), notices.clone());
        let events = wake_on_change(client.reconnect_rx(), client.cluster_change_rx(), Arc::clone(&again));
        let subscribe = keep_subscribed(client.clone(), channel, Arc::clone(&again), tell);
        client.connect();
        let tasks = [tokio::spawn(forward), tokio::spawn(events), tokio::spawn(subscribe)];
        Self { client, notices, again, subscribed, tasks }
    }

    pub(super) fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    pub(super) fn resubscribe(&self) {
        self.again.notify_one();
    }

    pub(super) fn reconnect(&self) {
        let client = self.client.clone();
        tokio::spawn(async move { client.force_reconnection().await });
    }

    pub(super) async fn subscribed(&self) {
        let mut subscribed = self.subscribed.clone();
        // The sender lives as long as the task, and the task as long as this bus.
        let _ = subscribed.wait_for(|done| *done).await;
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let client = self.client.clone();
            runtime.spawn(async move { client.quit().await });
        }
    }
}

async fn forward(mut messages: broadcast::Receiver<Message>, channel: String, notices: broadcast::Sender<Notice>) {
    loop {
        match messages.recv().await {
            Ok(message) if *message.channel == channel => {
                if let Some(notice) = message.value.as_bytes().and_then(parse) {
                    // Nobody listens only while the process starts or stops.
                    let _ = notices.send(notice);
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
    again: Arc<Notify>,
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
        again.notify_one();
    }
}

async fn keep_subscribed(client: Client, channel: String, again: Arc<Notify>, tell: watch::Sender<bool>) {
    loop {
        if subscribe_everywhere(&client, &channel).await.is_err() {
            tokio::time::sleep(RETRY).await;
            continue;
        }
        tell.send_replace(true);
        again.notified().await;
    }
}

/// One subscription alone would wait up to 45 ms for the cluster's own bus.
async fn subscribe_everywhere(client: &Client, channel: &str) -> Result<(), Error> {
    client.wait_for_connect().await?;
    for server in primaries(client) {
        let options =
            Options { cluster_node: server, timeout: Some(Duration::from_secs(1)), max_attempts: Some(1), ..Options::default() };
        client.with_options(&options).subscribe(channel).await?;
    }
    Ok(())
}

/// Reads `shard:previous token:number:token:body`, as the commit script writes it.
fn parse(message: &[u8]) -> Option<Notice> {
    let mut parts = message.splitn(5, |byte| *byte == b':');
    let mut text = || std::str::from_utf8(parts.next()?).ok();
    let shard = Shard::new(text()?.parse().ok()?)?;
    let previous = Token::parse(text()?)?;
    let sequence = Sequence { number: text()?.parse().ok()?, token: Token::parse(text()?)? };
    Some(Notice { shard, previous, sequence, body: parts.next()?.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_and_garbage_is_not() {
        let (previous, token) = (Token::random(), Token::random());
        let mut message = format!("63:{previous}:12:{token}:").into_bytes();
        message.extend_from_slice(b"body:with\xffcolons");
        let notice = parse(&message).unwrap();
        assert_eq!((notice.shard.number(), notice.previous), (63, previous));
        assert_eq!(notice.sequence, Sequence { number: 12, token });
        assert_eq!(notice.body, b"body:with\xffcolons");
        for garbage in ["", "64:0:1:2:x", "1:x:1:2:y", "1:0000000000000000:1:0000000000000000"] {
            assert_eq!(parse(garbage.as_bytes()), None, "{garbage}");
        }
    }
}
