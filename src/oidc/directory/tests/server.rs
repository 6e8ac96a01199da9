//! An HTTP server on loopback whose answers a test scripts.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use url::Url;

#[derive(Clone)]
pub struct Request {
    /// Path and query.
    pub target: String,
    /// The head in lower case.
    pub head: String,
    pub body: String,
}

pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

pub struct ScriptedServer {
    pub url: Url,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl ScriptedServer {
    /// Starts a server. `answer` receives the server's URL, the request, and the number of requests so far.
    pub async fn start(answer: impl Fn(&Url, &Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (shared, address) = (Arc::clone(&requests), url.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some((request, stream)) = read(stream).await else { continue };
                let number = {
                    let mut requests = shared.lock().unwrap();
                    requests.push(request.clone());
                    requests.len()
                };
                write(stream, answer(&address, &request, number)).await;
            }
        });
        Self { url, requests, task }
    }

    /// The requests except those for tokens.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().iter().filter(|request| request.target != "/token").cloned().collect()
    }

    pub fn token_requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().iter().filter(|request| request.target == "/token").cloned().collect()
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Request {
    /// The number of the page in the query, which is 1 for the first.
    pub fn page(&self) -> usize {
        let url = Url::parse(&format!("http://x{}", self.target)).unwrap();
        let page = url.query_pairs().find(|(name, _)| name == "page" || name == "pageToken");
        page.map_or(1, |(_, page)| page.parse().unwrap())
    }
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    pub fn ok(body: impl Into<String>) -> Self {
        Self { body: body.into(), ..Self::status(200) }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

async fn read(mut stream: TcpStream) -> Option<(Request, TcpStream)> {
    let mut received = Vec::new();
    loop {
        if stream.read_buf(&mut received).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&received);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_owned();
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            let target = head.split(' ').nth(1)?.to_owned();
            return Some((Request { target, head: lower, body: body.to_owned() }, stream));
        }
    }
}

async fn write(mut stream: TcpStream, reply: Reply) {
    let headers: String = reply.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let Reply { status, body, .. } = reply;
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n");
    // A client that has seen enough closes the connection.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body.as_bytes()).await;
}
