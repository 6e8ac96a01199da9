//! Large numbers of forged credentials and cache misses do not affect the store or other clients.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use vestibule::clock::SystemClock;
use vestibule::principal_cache::CONSISTENCY_BOUND;
use vestibule::secret::{KeyRing, OpaqueToken, RingKeys, TokenKind, random_bytes};

use super::DEADLINE;
use crate::support::auth_request::SECRET_HEADER;
use crate::support::fleet::Fleet;
use crate::support::pod::PodOptions;
use crate::support::proxy::FaultProxy;
use crate::support::redis::{Options, Standalone};
use crate::support::steps::SESSION;
use crate::support::wait::{timed, until};

const CONNECTIONS: usize = 8;
const BATCHES: usize = 50;
const BATCH: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn forged_credentials_in_large_numbers_cause_no_store_command_and_delay_nobody() {
    let fleet = Fleet::builder().standalone().idp().start().await;
    let browser = fleet.sign_in(0).await;
    fleet.warm(0, &browser.cookie).await;
    let before = fleet.commands(0).await;
    let memory = fleet.pods[0].metric("process_resident_memory_bytes", &[]).await;

    let flood = join_all((0..CONNECTIONS).map(|_| tokio::spawn(flood(fleet.pods[0].check_port()))));
    let mut meanwhile = Vec::new();
    let (floods, took) = timed(async {
        let mut flood = std::pin::pin!(flood);
        loop {
            tokio::select! {
                floods = &mut flood => break floods,
                answer = fleet.check(0, &browser.cookie) => {
                    assert_eq!(answer.status, 200);
                    meanwhile.push(answer.ended - answer.began);
                }
            }
        }
    })
    .await;

    let responses: usize = floods.into_iter().map(Result::unwrap).sum();
    meanwhile.sort();
    let total = CONNECTIONS * BATCHES * BATCH;
    eprintln!("{total} forged credentials refused in {took:?}; meanwhile {} checks passed", meanwhile.len());
    eprintln!("the slowest of those took {:?}", meanwhile.last().expect("at least one was answered"));
    assert_eq!(responses, total);
    assert_eq!(fleet.commands(0).await - before, 0.0);
    let each = f64::from(u32::try_from(total / 2).unwrap());
    let of = async |kind| fleet.pods[0].metric("vestibule_cache_lookups_total", &["forged", kind]).await;
    assert_eq!((of("session").await, of("key").await), (each, each), "one half by their MAC, one by their checksum");
    assert_eq!(entries(&fleet, "credentials").await + entries(&fleet, "unknown").await, 1.0);
    let grown = fleet.pods[0].metric("process_resident_memory_bytes", &[]).await - memory;
    eprintln!("the process grew by {:.1} MiB", grown / 1_048_576.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_altered_character_of_a_cookie_is_refused_without_a_store_command() {
    let fleet = Fleet::builder().standalone().idp().start().await;
    let cookie = fleet.sign_in(0).await.cookie;
    let before = fleet.commands(0).await;
    for at in 0..cookie.len() {
        let mut altered = cookie.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        assert_eq!(fleet.status(0, &altered).await, 401, "character {at}");
    }
    assert_eq!(fleet.commands(0).await - before, 0.0);
    assert_eq!(fleet.status(0, &cookie).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_session_token_without_a_session_is_looked_up_at_intervals() {
    let fleet = Fleet::builder().standalone().idp().start().await;
    let ended = TokenMint::from(&fleet.key_ring_file).session_token(7);
    let (before, began) = (fleet.commands(0).await, Instant::now());
    for _ in 0..50 {
        assert_eq!(fleet.status(0, &ended).await, 401);
    }
    let allowed = 1 + u32::try_from(began.elapsed().as_millis() / CONSISTENCY_BOUND.as_millis()).unwrap();
    assert!(fleet.commands(0).await - before <= f64::from(allowed));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_misses_of_one_session_share_one_read() {
    let fleet = Fleet::builder().pods(2).standalone().idp().start().await;
    let browser = fleet.sign_in(0).await;
    // A message during the read would repeat it.
    let commits = fleet.pods[0].metric("vestibule_store_commands_total", &["operation=\"commit\"", "outcome=\"ok\""]).await;
    until("the invalidation messages of the login", DEADLINE, async || {
        // The two commits of the login flow, and that of the index of the provider's session, send none.
        (fleet.invalidation_messages(1, "applied").await >= commits - 3.0).then_some(())
    })
    .await;
    let before = fleet.commands(1).await;
    let statuses = join_all((0..50).map(|_| fleet.status(1, &browser.cookie))).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    // The session and the user.
    assert_eq!(fleet.commands(1).await - before, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn excess_cache_misses_get_503_and_are_never_refused() {
    let redis = Standalone::start(Options::default()).await;
    let proxy = FaultProxy::start(redis.node.port()).await;
    // The store timeout is long, so that all misses wait at the same time.
    let patient = |pod: &mut PodOptions| pod.store[1] = "command_timeout: 10s".to_owned();
    let fleet = Fleet::builder().store_at(proxy.url()).idp().config(patient).start().await;
    let browser = fleet.sign_in(0).await;
    fleet.warm(0, &browser.cookie).await;
    let mint = TokenMint::from(&fleet.key_ring_file);
    proxy.stall();
    let misses = join_all((0..600).map(|number| {
        let (fleet, cookie) = (&fleet, mint.session_token(u8::try_from(number % 64).unwrap()));
        async move { fleet.status(0, &cookie).await }
    }));
    let overloaded = until("too many misses", DEADLINE, async || {
        let overloaded = fleet.lookups(0, "overloaded").await;
        (overloaded > 0.0).then_some(overloaded)
    });
    let known = async {
        overloaded.await;
        assert_eq!(fleet.status(0, &browser.cookie).await, 200, "known sessions do not wait for them");
        proxy.resume();
    };
    let (statuses, ()) = tokio::join!(misses, known);
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    eprintln!("of 600 misses {} got 503, {} were unknown", count(503), count(401));
    assert_eq!(count(503) + count(401), 600, "{statuses:?}");
    assert!(count(503) > 0);
}

/// Sends batches of forged cookies and bearer tokens; returns the number of 401s.
async fn flood(port: u16) -> usize {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the check listener is there");
    let mut refused = 0;
    for _ in 0..BATCHES {
        let requests: String = (0..BATCH).map(forged_request).collect();
        stream.write_all(requests.as_bytes()).await.expect("the connection is kept");
        let statuses = statuses(&mut stream).await;
        refused += statuses.get(&401).copied().unwrap_or_default();
        assert_eq!(statuses.values().sum::<usize>(), BATCH);
    }
    refused
}

fn forged_request(number: usize) -> String {
    let forged = URL_SAFE_NO_PAD.encode(random_bytes::<49>());
    let credential = match number % 2 {
        0 => format!("cookie: {SESSION}={forged}"),
        _ => format!("authorization: Bearer sk-{forged}"),
    };
    let question = "host: check\r\nx-original-url: http://localhost/app\r\nx-original-method: GET\r\n";
    let (name, secret) = SECRET_HEADER;
    format!("GET /auth/nginx HTTP/1.1\r\n{question}{name}: {secret}\r\n{credential}\r\n\r\n")
}

/// Reads the answers to one batch.
async fn statuses(stream: &mut TcpStream) -> HashMap<u16, usize> {
    const LINE: &[u8] = b"HTTP/1.1 ";
    let mut received = Vec::new();
    loop {
        assert!(stream.read_buf(&mut received).await.expect("the connection is kept") > 0, "the connection was closed");
        let mut found = HashMap::new();
        for line in received.windows(LINE.len() + 3).filter(|window| window.starts_with(LINE)) {
            let status = std::str::from_utf8(&line[LINE.len()..]).unwrap().parse().unwrap();
            *found.entry(status).or_default() += 1;
        }
        if found.values().sum::<usize>() == BATCH && received.ends_with(b"}") {
            return found;
        }
    }
}

async fn entries(fleet: &Fleet, map: &str) -> f64 {
    let label = format!("map=\"{map}\"");
    // The cache counts its entries at intervals.
    let settled = until("the cache's size", Duration::from_secs(10), async || {
        let entries = fleet.pods[0].metric("vestibule_cache_entries", &[&label]).await;
        (map == "unknown" || entries > 0.0).then_some(entries)
    });
    settled.await
}

/// Creates session tokens with a pod's key ring.
struct TokenMint(KeyRing);

impl TokenMint {
    fn from(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).expect("the key ring is there");
        Self(KeyRing::new(RingKeys::parse(&text).expect("a key ring"), Arc::new(SystemClock)))
    }

    fn session_token(&self, shard: u8) -> String {
        OpaqueToken::mint(&self.0, TokenKind::Session, shard).expose().to_owned()
    }
}
