//! An upstream that answers 200 to every request and records the request targets, byte by byte.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub struct Recorder {
    port: u16,
    targets: RequestTargets,
    serving: tokio::task::JoinHandle<()>,
}

/// Request targets, in order of arrival.
type RequestTargets = Arc<Mutex<Vec<Vec<u8>>>>;

const END: &[u8] = b"\r\n\r\n";

impl Recorder {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let targets = RequestTargets::default();
        let serving = tokio::spawn(accept(listener, Arc::clone(&targets)));
        Self { port, targets, serving }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The targets since the last call.
    pub fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.targets.lock().expect("no code that holds this lock panics"))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn accept(listener: TcpListener, targets: RequestTargets) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&targets)));
    }
}

/// Serves requests without a body, one after another.
async fn serve(mut stream: TcpStream, targets: RequestTargets) {
    let mut received = Vec::new();
    while matches!(stream.read_buf(&mut received).await, Ok(1..)) {
        while let Some(end) = received.windows(END.len()).position(|window| window == END) {
            let head: Vec<u8> = received.drain(..end + END.len()).collect();
            let target = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
            // Recorded before the response, so that a client with the response finds the target.
            targets.lock().expect("no code that holds this lock panics").push(target.to_vec());
            let result = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            if result.is_err() {
                return;
            }
        }
    }
}
