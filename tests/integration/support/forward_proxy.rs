//! A forwarding HTTP proxy: CONNECT tunnels and plain requests, with a record of their targets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use url::{Position, Url};

use super::ports;

const MAX_HEAD: usize = 64 * 1024;

pub struct ForwardProxy {
    port: u16,
    destinations: Arc<Destinations>,
    accepting: JoinHandle<()>,
}

/// The servers that the proxy can reach, and the targets of the requests so far.
struct Destinations {
    /// The loopback ports of names that nothing else resolves.
    names: HashMap<String, u16>,
    targets: Mutex<Vec<String>>,
    /// The value of `Proxy-Authorization` that the proxy requires, if it requires one.
    required: Mutex<Option<String>>,
}

impl ForwardProxy {
    /// Resolves `names` to loopback ports. All other hosts must be loopback hosts.
    pub async fn start(names: &[(&str, u16)]) -> Self {
        let port = ports::free();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is reserved for this proxy");
        let names = names.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect();
        let destinations = Arc::new(Destinations { names, targets: Mutex::default(), required: Mutex::default() });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&destinations)));
        Self { port, destinations, accepting }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Refuses requests without this user name and password (`user:password`) from now on.
    pub fn require(&self, credentials: &str) {
        let value = format!("Basic {}", STANDARD.encode(credentials));
        *self.destinations.required.lock().expect("no holder of this lock panics") = Some(value);
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The targets of all requests: `host:port` of a tunnel, or the URL of a plain request.
    pub fn targets(&self) -> Vec<String> {
        self.destinations.lock().clone()
    }
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, destinations: Arc<Destinations>) {
    while let Ok((client, _)) = listener.accept().await {
        let destinations = Arc::clone(&destinations);
        tokio::spawn(async move { destinations.serve(client).await });
    }
}

impl Destinations {
    async fn serve(&self, mut client: TcpStream) -> Option<()> {
        let head = read_head(&mut client).await?;
        let (line, rest) = head.split_once("\r\n")?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        if !self.is_authenticated(rest) {
            let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            client.write_all(refusal.as_bytes()).await.ok()?;
            return None;
        }
        self.lock().push(target.to_owned());
        let mut server = if method == "CONNECT" {
            let server = self.connect(target).await?;
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
            server
        } else {
            let url = Url::parse(target).ok()?;
            let mut server = self.connect(&format!("{}:{}", url.host_str()?, url.port_or_known_default()?)).await?;
            // The next request of the connection could be for another server.
            let forwarded = format!("{method} {} HTTP/1.1\r\nConnection: close\r\n{rest}", &url[Position::BeforePath..]);
            server.write_all(forwarded.as_bytes()).await.ok()?;
            server
        };
        copy_bidirectional(&mut client, &mut server).await.ok()?;
        Some(())
    }

    fn is_authenticated(&self, headers: &str) -> bool {
        let sent = headers
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization"));
        let required = self.required.lock().expect("no holder of this lock panics");
        required.as_deref().is_none_or(|required| sent.is_some_and(|(_, value)| value == required))
    }

    async fn connect(&self, authority: &str) -> Option<TcpStream> {
        let (host, port) = authority.rsplit_once(':')?;
        let port = self.names.get(host).copied().map_or_else(|| port.parse().ok(), Some)?;
        TcpStream::connect(("127.0.0.1", port)).await.ok()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.targets.lock().expect("no holder of this lock panics")
    }
}

/// Reads a request's head, and the part of the body that has arrived with it.
async fn read_head(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let length = client.read_buf(&mut head).await.ok()?;
        if length == 0 || head.len() > MAX_HEAD {
            return None;
        }
    }
    String::from_utf8(head).ok()
}
