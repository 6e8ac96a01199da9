//! The cost of checks with a user's own keys: the worst patterns and paths do not delay the checks of other users.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::api::{ApiKey, Auth, KEYS, call, create_key};
use crate::support::fleet::Fleet;
use crate::support::pod::Pod;
use crate::support::raw_http;
use crate::support::steps::{BOB, CAROL};

/// A path of this length fits into nginx's default buffers.
const PATH_LENGTH: usize = 7_900;
/// A check that takes longer is answered with 503.
const CHECK_DEADLINE: Duration = Duration::from_secs(4);
const ATTACKERS: usize = 6;
/// The number of requests of each other user.
const REQUESTS: usize = 100;
/// The number of keys in the longest chain of derived keys.
const CHAIN: usize = 5;

/// The beginning, the repeated unit and the end of a pattern.
const SHAPES: [(&str, &str, &str); 6] =
    [("/*", "a", "b"), ("", "/**/a", ""), ("/", "?", ""), ("/", "*a", "*b*"), ("", "/**/?*a", "/**"), ("/*", "?a", "*")];

/// Different patterns of this shape and length.
fn patterns(shape: usize, list: usize, number: usize, length: usize) -> Vec<String> {
    let (begin, unit, end) = SHAPES[shape % SHAPES.len()];
    let pattern = |pattern: usize| {
        let end = format!("{end}/{list}-{pattern}");
        let units = (length - begin.len() - end.len()) / unit.len();
        format!("{begin}{}{end}", unit.repeat(units))
    };
    (0..number).map(pattern).collect()
}

/// Paths with one interpretation and with many.
fn paths() -> Vec<String> {
    let filled = |begin: &str, unit: &str, end: &str| {
        let units = (PATH_LENGTH - begin.len() - end.len()) / unit.len();
        format!("{begin}{}{end}", unit.repeat(units))
    };
    vec![
        filled("/", "a", ""),
        filled("", "/a", ""),
        filled("/", "%61", "/"),
        filled("", "/a", "/%2561/"),
        filled("", "/A", ";x/"),
        filled("/a//", "a", ""),
        format!("/{}%2f%2561;x//", "a".repeat(900)),
        filled("", "/", "a"),
    ]
}

async fn restrict(pod: &Pod, by: Auth<'_>, key: &ApiKey, paths: &[String]) -> u16 {
    let body: Value = json!({"paths": paths});
    let response = call(pod, by, Method::PATCH, &format!("{KEYS}/{}", key.id), Some(body)).await;
    if response.status() != 200 {
        response.assert(400, "invalid_request");
        assert!(
            response.json()["error_description"].as_str().is_some_and(|text| text.contains("64 path patterns")),
            "{response:?}"
        );
    }
    response.status()
}

/// A key of each shape and a chain of derived keys, each restricted as often and as much as the service allows. Asserts
/// that it allows no more than the budget.
async fn worst_keys(fleet: &Fleet, by: Auth<'_>) -> Vec<ApiKey> {
    let pod = &fleet.pods[0];
    let mut keys = Vec::new();
    for _ in 0..SHAPES.len() {
        keys.push(create_key(pod, by, json!({})).await);
    }
    let mut chain = vec![create_key(pod, by, json!({"manage_keys": true})).await];
    while chain.len() < CHAIN {
        let last = chain.last().expect("it is not empty");
        chain.push(create_key(pod, Auth::Key(&last.key), json!({"manage_keys": true})).await);
    }
    // A derived key is restricted before its ancestors, whose patterns count for it too.
    keys.extend(chain.into_iter().rev());
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(restrict(pod, by, key, &patterns(number, number, 8, 512)).await, 200);
    }
    keys
}

/// Tries to add restrictions to each key. Returns the number of accepted restrictions.
async fn exceed_budget(fleet: &Fleet, by: Auth<'_>, keys: &[ApiKey]) -> usize {
    let mut accepted = 0;
    for (number, key) in keys.iter().enumerate().take(SHAPES.len()) {
        for list in 0..15 {
            let status = restrict(&fleet.pods[1], by, key, &patterns(number, 100 + list, 30, 500)).await;
            accepted += usize::from(status == 200);
        }
    }
    accepted
}

/// Sends requests with the worst keys and paths until the others are done. Returns their number.
async fn attack(fleet: &Fleet, keys: &[ApiKey], attacker: usize, done: &AtomicBool) -> usize {
    let paths = paths();
    let mut sent = 0;
    while !done.load(Ordering::Relaxed) {
        let (key, path) = (&keys[(attacker + sent) % keys.len()], &paths[(attacker + sent / keys.len()) % paths.len()]);
        let bearer = format!("Bearer {}", key.key);
        let answer = raw_http::send(fleet.nginx().port(), "GET", path, &[("Authorization", &bearer)]).await;
        assert!([200, 403].contains(&answer.status), "{path:.60}: {answer:?}");
        sent += 1;
    }
    sent
}

/// Sends the requests of another user, and returns the longest time of an answer.
async fn work(fleet: &Fleet, header: (&str, &str)) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..REQUESTS {
        let start = Instant::now();
        let headers = [("Accept", "application/json"), header];
        let answer = raw_http::send(fleet.nginx().port(), "GET", "/v1/models", &headers).await;
        let time = start.elapsed();
        assert_eq!(answer.status, 200, "after {time:?}: {answer:?}");
        assert!(time < CHECK_DEADLINE, "{time:?}");
        longest = longest.max(time);
    }
    longest
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worst_keys_and_paths_of_one_user_do_not_delay_the_checks_of_others() {
    let fleet = Fleet::builder().pods(3).cluster().idp().nginx().heavy().start().await;
    let alice = fleet.sign_in(0).await.cookie;
    let keys = worst_keys(&fleet, Auth::Session(&alice)).await;
    let accepted = exceed_budget(&fleet, Auth::Session(&alice), &keys).await;
    let (bob, carol) = (fleet.session_header(BOB).await, fleet.session_header(CAROL).await);
    let key = create_key(&fleet.pods[2], Auth::Session(&bob["vestibule=".len()..]), json!({"paths": ["/v1/**"]})).await;
    let bearer = format!("Bearer {}", key.key);
    let others = [("Cookie", bob.as_str()), ("Cookie", carol.as_str()), ("Authorization", bearer.as_str())];
    let done = AtomicBool::new(false);
    let attackers = join_all((0..ATTACKERS).map(|attacker| attack(&fleet, &keys, attacker, &done)));
    let workers = async {
        let longest = join_all(others.map(|header| work(&fleet, header))).await;
        done.store(true, Ordering::Relaxed);
        longest
    };
    let (sent, longest) = tokio::join!(attackers, workers);
    println!("{} requests of the attacker; the longest of the others took {longest:?}", sent.iter().sum::<usize>());
    assert!(sent.iter().all(|sent| *sent > 0), "every attacker was answered: {sent:?}");
    assert_eq!(accepted, 0, "restrictions beyond the budget");
}
