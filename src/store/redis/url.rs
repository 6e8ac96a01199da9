//! Parses `redis://` URLs in their standalone, Sentinel and Cluster forms. No message repeats the URL, which may contain a
//! password by mistake.

use std::net::{IpAddr, Ipv6Addr};

/// The address of Redis. Credentials are in separate fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisUrl {
    pub topology: Topology,
    pub tls: bool,
    pub hosts: Vec<(String, u16)>,
    pub database: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    Standalone,
    Sentinel { service: String },
    Cluster,
}

/// The reason why a text is not a valid store URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlError {
    #[error(
        "must be `memory`, or a URL that begins with redis://, rediss://, redis-sentinel://, \
         rediss-sentinel://, redis-cluster:// or rediss-cluster://"
    )]
    Scheme,
    #[error("must not contain a user name or password; write them into `username` and `password_file`")]
    Credentials,
    #[error("must name a host, as in redis://redis:6379")]
    NoHost,
    #[error("host {0} must be a name or an address (IPv6 in brackets), and optionally `:` and a port from 1 to 65535")]
    Host(usize),
    #[error("host {0} is named twice")]
    RepeatedHost(usize),
    #[error(
        "must name one host; for several use redis-cluster:// or redis-sentinel:// (with TLS \
         rediss-cluster:// or rediss-sentinel://)"
    )]
    SeveralHosts,
    #[error("must end with the database's number, from 0 to 255, or with no path at all")]
    Database,
    #[error("must have no path: a cluster has one database")]
    ClusterPath,
    #[error(
        "must end with the master's name and optionally the database's number, as in redis-sentinel://sentinel:26379/mymaster/0"
    )]
    NoService,
    #[error("must have no query or fragment; further hosts are separated by commas, as in {0}://one:6379,two:6379")]
    Query(&'static str),
}

impl RedisUrl {
    pub fn parse(text: &str) -> Result<Self, RedisUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(RedisUrlError::Scheme)?;
        let form = FORMS.iter().find(|form| form.scheme == scheme).ok_or(RedisUrlError::Scheme)?;
        if rest.contains('@') {
            return Err(RedisUrlError::Credentials);
        }
        if rest.contains(['?', '#']) {
            return Err(RedisUrlError::Query(form.scheme));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts = hosts(authority, form.default_port)?;
        let (topology, database) = form.shape.parse_path(path, hosts.len())?;
        Ok(Self { topology, tls: form.tls, hosts, database })
    }
}

struct UrlForm {
    scheme: &'static str,
    shape: DeploymentForm,
    tls: bool,
    default_port: u16,
}

#[derive(Clone, Copy)]
enum DeploymentForm {
    Standalone,
    Sentinel,
    Cluster,
}

const FORMS: [UrlForm; 6] = [
    UrlForm { scheme: "redis", shape: DeploymentForm::Standalone, tls: false, default_port: 6379 },
    UrlForm { scheme: "rediss", shape: DeploymentForm::Standalone, tls: true, default_port: 6379 },
    UrlForm { scheme: "redis-sentinel", shape: DeploymentForm::Sentinel, tls: false, default_port: 26379 },
    UrlForm { scheme: "rediss-sentinel", shape: DeploymentForm::Sentinel, tls: true, default_port: 26379 },
    UrlForm { scheme: "redis-cluster", shape: DeploymentForm::Cluster, tls: false, default_port: 6379 },
    UrlForm { scheme: "rediss-cluster", shape: DeploymentForm::Cluster, tls: true, default_port: 6379 },
];

impl DeploymentForm {
    /// Parses the path: a database, a master's name, or none.
    fn parse_path(self, path: &str, hosts: usize) -> Result<(Topology, u8), RedisUrlError> {
        match self {
            Self::Standalone if hosts > 1 => Err(RedisUrlError::SeveralHosts),
            Self::Standalone => Ok((Topology::Standalone, database(path)?)),
            Self::Sentinel => {
                let (service, number) = path.split_once('/').unwrap_or((path, ""));
                let service = is_service(service).then(|| service.to_owned()).ok_or(RedisUrlError::NoService)?;
                Ok((Topology::Sentinel { service }, database(number)?))
            }
            Self::Cluster if path.is_empty() => Ok((Topology::Cluster, 0)),
            Self::Cluster => Err(RedisUrlError::ClusterPath),
        }
    }
}

fn database(path: &str) -> Result<u8, RedisUrlError> {
    match path {
        "" => Ok(0),
        _ if path.bytes().all(|b| b.is_ascii_digit()) => path.parse().map_err(|_| RedisUrlError::Database),
        _ => Err(RedisUrlError::Database),
    }
}

/// True if Sentinel allows the master's name.
fn is_service(path: &str) -> bool {
    !path.is_empty() && path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

fn hosts(authority: &str, default_port: u16) -> Result<Vec<(String, u16)>, RedisUrlError> {
    if authority.is_empty() {
        return Err(RedisUrlError::NoHost);
    }
    let mut hosts = Vec::new();
    for (number, text) in (1..).zip(authority.split(',')) {
        let host = host(text, default_port).ok_or(RedisUrlError::Host(number))?;
        if hosts.contains(&host) {
            return Err(RedisUrlError::RepeatedHost(number));
        }
        hosts.push(host);
    }
    Ok(hosts)
}

fn host(text: &str, default_port: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            (address.parse::<Ipv6Addr>().ok()?.to_string(), rest)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            (host_name(&text[..end])?, &text[end..])
        }
    };
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok().filter(|port| *port != 0)?,
        Some(_) => return None,
        None if port.is_empty() => default_port,
        None => return None,
    };
    Some((host, port))
}

/// Parses a DNS name, with the underscores that container networks allow, or a complete IPv4 address.
fn host_name(text: &str) -> Option<String> {
    let is_label = |label: &str| {
        let letters = label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        letters && (1..=63).contains(&label.len())
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if text.len() > 253 || !name.split('.').all(is_label) {
        return None;
    }
    let numeric = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let valid = !numeric || text.parse::<IpAddr>().is_ok();
    valid.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn url(topology: Topology, tls: bool, hosts: &[(&str, u16)], database: u8) -> RedisUrl {
        let hosts = hosts.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect();
        RedisUrl { topology, tls, hosts, database }
    }

    fn sentinel(service: &str) -> Topology {
        Topology::Sentinel { service: service.to_owned() }
    }

    #[rstest]
    #[case("redis://redis", url(Topology::Standalone, false, &[("redis", 6379)], 0))]
    #[case("redis://redis:6380/", url(Topology::Standalone, false, &[("redis", 6380)], 0))]
    #[case("rediss://Redis.Example.com:6380/3", url(Topology::Standalone, true, &[("redis.example.com", 6380)], 3))]
    #[case("redis://127.0.0.1:7000", url(Topology::Standalone, false, &[("127.0.0.1", 7000)], 0))]
    #[case("redis://[::1]:7000/255", url(Topology::Standalone, false, &[("::1", 7000)], 255))]
    #[case("redis://[::1]", url(Topology::Standalone, false, &[("::1", 6379)], 0))]
    #[case("redis://my_redis_1:6379", url(Topology::Standalone, false, &[("my_redis_1", 6379)], 0))]
    #[case("redis-sentinel://s1/mymaster", url(sentinel("mymaster"), false, &[("s1", 26379)], 0))]
    #[case("rediss-sentinel://s1:1,s2:2/my-master.1", url(sentinel("my-master.1"), true, &[("s1", 1), ("s2", 2)], 0))]
    #[case("redis-sentinel://s1/mymaster/3", url(sentinel("mymaster"), false, &[("s1", 26379)], 3))]
    #[case("redis-sentinel://s1/mymaster/", url(sentinel("mymaster"), false, &[("s1", 26379)], 0))]
    #[case("redis-cluster://r0:6379", url(Topology::Cluster, false, &[("r0", 6379)], 0))]
    #[case("rediss-cluster://r0,r1:7,[fd00::1]:8", url(Topology::Cluster, true, &[("r0", 6379), ("r1", 7), ("fd00::1", 8)], 0))]
    #[case("redis-cluster://redis-0.redis.ns.svc.cluster.local.", url(Topology::Cluster, false, &[("redis-0.redis.ns.svc.cluster.local.", 6379)], 0))]
    fn every_form_is_parsed(#[case] text: &str, #[case] expected: RedisUrl) {
        assert_eq!(RedisUrl::parse(text), Ok(expected));
    }

    #[rstest]
    #[case("", RedisUrlError::Scheme)]
    #[case("redis", RedisUrlError::Scheme)]
    #[case("redis:6379", RedisUrlError::Scheme)]
    #[case("valkey://redis", RedisUrlError::Scheme)]
    #[case("REDIS://redis", RedisUrlError::Scheme)]
    #[case("redis+cluster://redis", RedisUrlError::Scheme)]
    #[case("redis://:hunter2@redis", RedisUrlError::Credentials)]
    #[case("redis://user:hunter2@redis:6379/0", RedisUrlError::Credentials)]
    #[case("redis://user@redis", RedisUrlError::Credentials)]
    #[case("redis://hun/ter2@redis", RedisUrlError::Credentials)]
    #[case("redis://", RedisUrlError::NoHost)]
    #[case("redis:///0", RedisUrlError::NoHost)]
    #[case("redis://:6379", RedisUrlError::Host(1))]
    #[case("redis://redis:", RedisUrlError::Host(1))]
    #[case("redis://redis:0", RedisUrlError::Host(1))]
    #[case("redis://redis:65536", RedisUrlError::Host(1))]
    #[case("redis://redis:+1", RedisUrlError::Host(1))]
    #[case("redis://::1:6379", RedisUrlError::Host(1))]
    #[case("redis://[::1", RedisUrlError::Host(1))]
    #[case("redis://[redis]:1", RedisUrlError::Host(1))]
    #[case("redis://re dis", RedisUrlError::Host(1))]
    #[case("redis://1.2.3", RedisUrlError::Host(1))]
    #[case("redis://256.0.0.1", RedisUrlError::Host(1))]
    #[case("redis-cluster://r0:1,", RedisUrlError::Host(2))]
    #[case("redis-cluster://r0:1,r1:x", RedisUrlError::Host(2))]
    #[case("redis-cluster://r0,r1,r0:6379", RedisUrlError::RepeatedHost(3))]
    #[case("redis://r0,r1", RedisUrlError::SeveralHosts)]
    #[case("redis://redis/256", RedisUrlError::Database)]
    #[case("redis://redis/-1", RedisUrlError::Database)]
    #[case("redis://redis/one", RedisUrlError::Database)]
    #[case("redis://redis/0/1", RedisUrlError::Database)]
    #[case("redis-cluster://redis/0", RedisUrlError::ClusterPath)]
    #[case("redis-sentinel://s1", RedisUrlError::NoService)]
    #[case("redis-sentinel://s1/", RedisUrlError::NoService)]
    #[case("redis-sentinel://s1/a/b", RedisUrlError::Database)]
    #[case("redis-sentinel://s1/a/256", RedisUrlError::Database)]
    #[case("redis-sentinel://s1/a/1/2", RedisUrlError::Database)]
    #[case("redis-sentinel://s1//1", RedisUrlError::NoService)]
    #[case("redis-sentinel://s1/a%20b", RedisUrlError::NoService)]
    #[case("redis-sentinel://s1/m?node=s2:1", RedisUrlError::Query("redis-sentinel"))]
    #[case("redis-cluster://r0?node=r1:1", RedisUrlError::Query("redis-cluster"))]
    #[case("redis://redis#0", RedisUrlError::Query("redis"))]
    fn anything_else_is_refused_with_its_cause(#[case] text: &str, #[case] cause: RedisUrlError) {
        let error = RedisUrl::parse(text).unwrap_err();
        assert_eq!(error, cause);
        assert!(!error.to_string().contains("ter2"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(redis|rediss-sentinel|redis-cluster)://[-a-z0-9:,/@\\[\\].%?#é]{0,40}") {
            let _ = RedisUrl::parse(&text);
        }
    }
}
