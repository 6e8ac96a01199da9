//! Finds the reason why Redis cannot be used, with connections of its own. The client library reports most reasons as a closed
//! connection.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::future::join_all;
use redis_protocol::resp2::{
    decode, encode,
    types::{OwnedFrame, Resp2Frame},
};
use rustls::{AlertDescription, CertificateError, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use super::{Connection, Credentials, Topology};

/// The time in which a server must connect and reply.
const TIMEOUT: Duration = Duration::from_secs(2);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(1);
/// The interval of examinations in an outage. It doubles while Redis is used although some server cannot be, up to the maximum.
const EXAMINATION_INTERVAL: Duration = Duration::from_secs(5);
const MAX_EXAMINATION_INTERVAL: Duration = Duration::from_secs(600);
/// The maximum length of a reply. `CLUSTER SLOTS` is the longest.
const MAX_REPLY: usize = 1 << 20;
/// The maximum number of further servers to examine, which a cluster or a Sentinel names.
const MAX_SERVERS: usize = 32;

/// The reason why a server cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(super) enum OutageCause {
    #[error("the host name cannot be resolved")]
    HostUnknown,
    #[error("connection refused: no server listens there")]
    ConnectionRefused,
    #[error("no answer within 2s")]
    Timeout,
    #[error("TLS: the server's certificate is from an unknown CA; set store.ca_file")]
    UnknownAuthority,
    #[error("TLS: the server's certificate is for another name; connect by a name in it, or set store.tls_server_name")]
    NameMismatch,
    #[error("TLS: the server's certificate has expired or is not valid yet")]
    CertificateExpired,
    #[error("TLS: the server requires a client certificate; set store.cert_file and store.key_file")]
    ClientCertificateRequired,
    #[error("TLS: the server does not accept the client certificate in store.cert_file")]
    ClientCertificateRejected,
    #[error("TLS: the server does not answer the handshake; if it does not use TLS, remove the second s of the scheme")]
    NoTls,
    #[error("TLS: {0}")]
    Tls(String),
    #[error("the server closed the connection or did not answer like Redis; if it requires TLS, use a scheme such as rediss://")]
    NoReply,
    #[error("WRONGPASS: the user name or password is wrong")]
    WrongPassword,
    #[error("NOAUTH: the server requires a password")]
    NoCredentials,
    #[error("the server does not accept HELLO; Redis 6 or later is required")]
    HelloRefused,
    /// With the error of the server, which names the command, the key or the channel.
    #[error("{0}; grant the permissions in docs/store.md")]
    NoPermission(String),
    #[error("the server is not part of a cluster; use redis:// or rediss://")]
    NotCluster,
    #[error("the server is part of a cluster; use redis-cluster:// or rediss-cluster://")]
    IsCluster,
    #[error("the cluster is down or some of its slots have no primary")]
    ClusterDown,
    #[error("the server is not a Sentinel")]
    NotSentinel,
    #[error("Sentinel does not know a master with the name in store.url")]
    UnknownMaster,
    /// With the error of the server.
    #[error("{0}")]
    Reply(String),
    #[error("{0}")]
    Io(String),
}

impl OutageCause {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::HostUnknown => "host_unknown",
            Self::ConnectionRefused => "connection_refused",
            Self::Timeout => "timeout",
            Self::UnknownAuthority => "tls_unknown_ca",
            Self::NameMismatch => "tls_name_mismatch",
            Self::CertificateExpired => "tls_certificate_expired",
            Self::ClientCertificateRequired => "tls_client_certificate_required",
            Self::ClientCertificateRejected => "tls_client_certificate_rejected",
            Self::NoTls => "tls_not_supported",
            Self::Tls(_) => "tls",
            Self::NoReply => "no_redis_reply",
            Self::WrongPassword => "wrong_password",
            Self::NoCredentials => "no_credentials",
            Self::HelloRefused => "hello_refused",
            Self::NoPermission(_) => "no_permission",
            Self::NotCluster => "not_a_cluster",
            Self::IsCluster => "is_a_cluster",
            Self::ClusterDown => "cluster_down",
            Self::NotSentinel => "not_a_sentinel",
            Self::UnknownMaster => "unknown_master",
            Self::Reply(_) => "error_reply",
            Self::Io(_) => "io",
        }
    }
}

/// The permissions of our user at the servers that answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisPermissions {
    Complete,
    Missing,
}

/// Logs the causes of an outage, each once until Redis can be used again.
pub(super) struct OutageLog {
    connection: Connection,
    state: Mutex<LogState>,
}

#[derive(Default)]
struct LogState {
    logged: BTreeSet<&'static str>,
    schedule: Schedule,
}

/// The times of examinations.
#[derive(Default)]
struct Schedule {
    last: Option<Instant>,
    /// The number of examinations since the last outage.
    since_outage: u32,
}

impl Schedule {
    /// True if an examination is due, which then counts as begun.
    fn begin(&mut self, is_outage: bool, now: Instant) -> bool {
        if is_outage {
            self.since_outage = 0;
        }
        let interval = EXAMINATION_INTERVAL.saturating_mul(1 << self.since_outage.min(7)).min(MAX_EXAMINATION_INTERVAL);
        let is_due = self.last.is_none_or(|last| now.duration_since(last) >= interval);
        if is_due {
            self.last = Some(now);
            self.since_outage += u32::from(!is_outage);
        }
        is_due
    }
}

impl OutageLog {
    pub fn new(connection: Connection) -> Self {
        Self { connection, state: Mutex::default() }
    }

    /// Records whether Redis was used successfully. Examines the servers in the background in an outage, and until all can be used
    /// again.
    pub fn record_use(self: &Arc<Self>, succeeded: bool, now: Instant) {
        let mut state = self.state();
        if succeeded && state.logged.is_empty() {
            return;
        }
        if state.schedule.begin(!succeeded, now) {
            let log = Arc::clone(self);
            tokio::spawn(async move { log.examine().await });
        }
    }

    /// Examines the servers, and logs the causes that are new.
    pub async fn examine(&self) -> RedisPermissions {
        let causes = diagnose(&self.connection).await;
        let mut state = self.state();
        if causes.is_empty() && !state.logged.is_empty() {
            state.logged.clear();
            tracing::info!("redis server usable again");
        }
        for (cause, servers) in &causes {
            if state.logged.insert(cause.reason()) {
                tracing::warn!(reason = cause.reason(), servers = servers.join(", "), error = %cause, "redis server not usable");
            }
        }
        let is_missing = causes.keys().any(|cause| matches!(cause, OutageCause::NoPermission(_)));
        if is_missing { RedisPermissions::Missing } else { RedisPermissions::Complete }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, LogState> {
        self.state.lock().expect("no code that holds this lock panics")
    }
}

type Address = (String, u16);
/// Each cause with the servers that it applies to.
type OutageCauses = BTreeMap<OutageCause, Vec<String>>;

/// Examines the configured servers and the ones that they name.
pub(super) async fn diagnose(connection: &Connection) -> OutageCauses {
    let examined = join_all(connection.settings.url.hosts.iter().map(|host| examine_configured(connection, host))).await;
    let mut causes = OutageCauses::new();
    let mut further: Vec<Address> = Vec::new();
    for (host, result) in connection.settings.url.hosts.iter().zip(examined) {
        match result {
            Ok(named) => further.extend(named),
            Err(cause) => add(&mut causes, cause, host),
        }
    }
    further.sort();
    further.dedup();
    further.retain(|server| !connection.settings.url.hosts.contains(server));
    further.truncate(MAX_SERVERS);
    let examined = join_all(further.iter().map(|server| within_timeout(examine_server(connection, server)))).await;
    for (server, result) in further.iter().zip(examined) {
        if let Err(cause) = result {
            add(&mut causes, cause, server);
        }
    }
    causes
}

fn add(causes: &mut OutageCauses, cause: OutageCause, (host, port): &Address) {
    causes.entry(cause).or_default().push(format!("{host}:{port}"));
}

async fn within_timeout<T>(examination: impl Future<Output = Result<T, OutageCause>>) -> Result<T, OutageCause> {
    tokio::time::timeout(TIMEOUT, examination).await.unwrap_or(Err(OutageCause::Timeout))
}

/// Returns the servers that a configured one names: the primaries of a cluster, or Sentinel's master.
async fn examine_configured(connection: &Connection, host: &Address) -> Result<Vec<Address>, OutageCause> {
    within_timeout(async {
        match &connection.settings.url.topology {
            Topology::Standalone => examine_server(connection, host).await.map(|_| Vec::new()),
            Topology::Cluster => primaries_of(&examine_server(connection, host).await?, host),
            Topology::Sentinel { service } => {
                let mut sentinel = Server::connect(connection, host, &connection.sentinel_credentials()).await?;
                let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", service];
                match sentinel.call(&words).await {
                    Ok(reply) => Ok(vec![address_of(&reply).ok_or(OutageCause::UnknownMaster)?]),
                    Err(OutageCause::Reply(error)) if error.starts_with("ERR unknown command") => Err(OutageCause::NotSentinel),
                    Err(cause) => Err(cause),
                }
            }
        }
    })
    .await
}

/// Sends the commands that each connection needs. Returns the reply to `CLUSTER SLOTS`, or Null without a cluster.
async fn examine_server(connection: &Connection, address: &Address) -> Result<OwnedFrame, OutageCause> {
    let mut server = Server::connect(connection, address, &connection.credentials()).await?;
    let slots = match connection.settings.url.topology {
        Topology::Cluster => server.cluster_slots().await?,
        _ => OwnedFrame::Null,
    };
    if let Some(database) = connection.database() {
        server.call(&["SELECT", &database.to_string()]).await?;
    }
    let sequence = format!("{}{{0}}:sequence", connection.settings.key_prefix);
    match server.call(&["GET", &sequence]).await {
        // Another node of the cluster has this key.
        Err(OutageCause::Reply(error)) if is_redirection(&error) => match connection.settings.url.topology {
            Topology::Cluster => {}
            _ => return Err(OutageCause::IsCluster),
        },
        reply => drop(reply?),
    }
    server.call(&["SUBSCRIBE", &format!("{}notices", connection.settings.key_prefix)]).await?;
    Ok(slots)
}

fn is_redirection(error: &str) -> bool {
    ["MOVED ", "ASK ", "TRYAGAIN"].iter().any(|code| error.starts_with(code))
}

/// The host and port that Sentinel returns.
fn address_of(reply: &OwnedFrame) -> Option<Address> {
    let OwnedFrame::Array(parts) = reply else { return None };
    let [host, port, ..] = parts.as_slice() else { return None };
    Some((text(host)?, text(port)?.parse().ok()?))
}

/// The primaries in the reply to `CLUSTER SLOTS`. One without a host is on the host that was asked.
fn primaries_of(slots: &OwnedFrame, (queried_host, _): &Address) -> Result<Vec<Address>, OutageCause> {
    let OwnedFrame::Array(ranges) = slots else { return Err(OutageCause::ClusterDown) };
    let primary = |range: &OwnedFrame| {
        let OwnedFrame::Array(parts) = range else { return None };
        let Some(OwnedFrame::Array(node)) = parts.get(2) else { return None };
        let [host, OwnedFrame::Integer(port), ..] = node.as_slice() else { return None };
        let host = text(host).filter(|host| !host.is_empty() && host != "?").unwrap_or_else(|| queried_host.clone());
        Some((host, u16::try_from(*port).ok()?))
    };
    Ok(ranges.iter().filter_map(primary).collect())
}

fn text(frame: &OwnedFrame) -> Option<String> {
    match frame {
        OwnedFrame::BulkString(bytes) | OwnedFrame::SimpleString(bytes) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    }
}

trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// An authenticated connection to one server.
struct Server(Pin<Box<dyn Stream>>);

impl Server {
    async fn connect(connection: &Connection, (host, port): &Address, credentials: &Credentials) -> Result<Self, OutageCause> {
        let addresses = tokio::net::lookup_host((host.as_str(), *port)).await.map_err(|_| OutageCause::HostUnknown)?;
        let addresses: Vec<_> = addresses.collect();
        let tcp = TcpStream::connect(addresses.as_slice()).await.map_err(|error| classify_connect_error(&error))?;
        let mut server = match &connection.tls {
            None => Self(Box::pin(tcp)),
            Some(tls) => {
                let name = ServerName::try_from(host.clone()).map_err(|_| OutageCause::NameMismatch)?;
                let handshake = tokio_rustls::TlsConnector::from(Arc::clone(tls)).connect(name, tcp);
                // A server without TLS waits for the end of a line.
                let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await.map_err(|_| OutageCause::NoTls)?;
                Self(Box::pin(stream.map_err(|error| classify_handshake_error(&error))?))
            }
        };
        server.authenticate(credentials).await?;
        Ok(server)
    }

    async fn authenticate(&mut self, credentials: &Credentials) -> Result<(), OutageCause> {
        let mut words = vec!["HELLO".to_owned(), "2".to_owned()];
        if let (user, Some(password)) = credentials.now() {
            words.extend(["AUTH".to_owned(), user.unwrap_or_else(|| "default".to_owned()), password]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match self.call(&words).await {
            // The error of a server that does not know HELLO repeats its arguments, with the password.
            Err(OutageCause::Reply(error)) if !is_about_server(&error) => Err(OutageCause::HelloRefused),
            reply => reply.map(drop),
        }
    }

    async fn cluster_slots(&mut self) -> Result<OwnedFrame, OutageCause> {
        match self.call(&["CLUSTER", "INFO"]).await {
            Ok(info) if text(&info).is_some_and(|info| info.contains("cluster_state:ok")) => {}
            Ok(_) => return Err(OutageCause::ClusterDown),
            Err(OutageCause::Reply(error)) if error.contains("cluster support disabled") => return Err(OutageCause::NotCluster),
            Err(cause) => return Err(cause),
        }
        self.call(&["CLUSTER", "SLOTS"]).await
    }

    /// Sends a command and returns its reply.
    async fn call(&mut self, words: &[&str]) -> Result<OwnedFrame, OutageCause> {
        check_reply(self.exchange(words).await.map_err(|error| classify_exchange_error(&error))?)
    }

    async fn exchange(&mut self, words: &[&str]) -> io::Result<OwnedFrame> {
        let words = words.iter().map(|word| OwnedFrame::BulkString(word.as_bytes().to_vec())).collect();
        let frame = OwnedFrame::Array(words);
        let mut command = vec![0; frame.encode_len(false)];
        encode::encode(&mut command, &frame, false).map_err(io::Error::other)?;
        self.0.write_all(&command).await?;
        self.0.flush().await?;
        let mut reply = Vec::new();
        loop {
            if let Some((frame, _)) = decode::decode(&reply).map_err(|_| io::ErrorKind::InvalidData)? {
                return Ok(frame);
            }
            if self.0.read_buf(&mut reply).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if reply.len() > MAX_REPLY {
                return Err(io::Error::other("the reply is too long"));
            }
        }
    }
}

fn check_reply(reply: OwnedFrame) -> Result<OwnedFrame, OutageCause> {
    let OwnedFrame::Error(error) = reply else { return Ok(reply) };
    Err(match error.split(' ').next().unwrap_or_default() {
        "WRONGPASS" => OutageCause::WrongPassword,
        "NOAUTH" => OutageCause::NoCredentials,
        "NOPERM" => OutageCause::NoPermission(error),
        "CLUSTERDOWN" => OutageCause::ClusterDown,
        _ => OutageCause::Reply(error),
    })
}

/// True for an error that any command can get, which repeats no argument.
fn is_about_server(error: &str) -> bool {
    ["ERR max number of clients", "LOADING ", "MASTERDOWN ", "DENIED "].iter().any(|start| error.starts_with(start))
}

fn classify_connect_error(error: &io::Error) -> OutageCause {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => OutageCause::ConnectionRefused,
        io::ErrorKind::TimedOut => OutageCause::Timeout,
        _ => OutageCause::Io(error.to_string()),
    }
}

fn classify_handshake_error(error: &io::Error) -> OutageCause {
    // A server without TLS closes the connection, or sends an error, when it reads the start of a handshake.
    tls_error(error).map_or(OutageCause::NoTls, classify_tls_error)
}

/// With TLS 1.3, a server rejects the client certificate only after the handshake.
fn classify_exchange_error(error: &io::Error) -> OutageCause {
    tls_error(error).map_or(OutageCause::NoReply, classify_tls_error)
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn classify_tls_error(error: &rustls::Error) -> OutageCause {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
    match error {
        // The signature is wrong if another authority has the same name.
        InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => OutageCause::UnknownAuthority,
        InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            OutageCause::NameMismatch
        }
        InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => OutageCause::CertificateExpired,
        AlertReceived(AlertDescription::CertificateRequired) => OutageCause::ClientCertificateRequired,
        AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::DecryptError,
        ) => OutageCause::ClientCertificateRejected,
        InvalidMessage(_) => OutageCause::NoTls,
        other => OutageCause::Tls(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    #[test]
    fn examinations_are_frequent_in_an_outage_and_rare_while_one_server_is_down() {
        let (start, mut schedule) = (SystemClock.monotonic(), Schedule::default());
        let seconds = |count| start + Duration::from_secs(count);
        let begun = |schedule: &mut Schedule, is_outage, range: std::ops::Range<u64>| {
            range.filter(|second| schedule.begin(is_outage, seconds(*second))).count()
        };
        assert_eq!(begun(&mut schedule, true, 0..60), 12);
        let (first_hour, second_hour) = (begun(&mut schedule, false, 60..3_660), begun(&mut schedule, false, 3_660..7_260));
        assert!(first_hour <= 13 && second_hour == 6, "{first_hour} {second_hour}");
        assert_eq!(begun(&mut schedule, true, 7_260..7_320), 12);
    }

    #[test]
    fn an_error_that_repeats_the_password_is_not_shown() {
        let error = "ERR unknown command `HELLO`, with args beginning with: `2`, `AUTH`, `default`, `hunter2`, ";
        assert!(!is_about_server(error) && is_about_server("ERR max number of clients reached"));
    }
}
