//! A TCP load balancer in front of the pods, like a Kubernetes Service: each connection goes to the next pod that accepts it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

pub struct Balancer {
    port: u16,
    /// Tests that share a fleet have runtimes of their own, which end with each test.
    runtime: Option<Runtime>,
}

impl Balancer {
    pub fn start(pods: Vec<u16>) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a socket can be non-blocking");
        let port = listener.local_addr().expect("it is bound").port();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a thread can be started");
        runtime.spawn(accept(listener, pods.into()));
        Self { port, runtime: Some(runtime) }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: std::net::TcpListener, pods: Arc<[u16]>) {
    let listener = TcpListener::from_std(listener).expect("the socket is non-blocking");
    let next = Arc::new(AtomicUsize::new(0));
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(forward(client, Arc::clone(&pods), Arc::clone(&next)));
    }
}

async fn forward(mut client: TcpStream, pods: Arc<[u16]>, next: Arc<AtomicUsize>) {
    for _ in 0..pods.len() {
        let pod = pods[next.fetch_add(1, Ordering::Relaxed) % pods.len()];
        if let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, pod)).await {
            // An error is the end of a connection, which the other side sees too.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}
