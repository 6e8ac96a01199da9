//! The memory of a pod at rest, and with many cached principals.

use std::time::Duration;

use super::integration::support::pod::{Pod, PodOptions};
use super::people::{SignedInUsers, check_each, identity};
use super::process::{Memory, memory};
use super::setting;
use super::site::{BenchFleet, binary, check, cookie};
use super::wrk;

/// Long enough for the work after a start to finish.
const SETTLED: Duration = Duration::from_secs(3);

/// The number of sessions that are checked again, to show that they are still cached.
const ASKED_AGAIN: usize = 2000;

pub async fn measure(bench: &BenchFleet) {
    println!("Memory in MiB: resident, and of that anonymous\n");
    let bare = Pod::start(PodOptions { binary: binary(), ..PodOptions::new() }).await;
    print("at rest, memory store", at_rest(&bare).await);
    drop(bare);
    let people = setting("BENCH_PRINCIPALS", 100_000);
    // More than there are, so that none is evicted.
    let pod = bench.further("memory", |pod| pod.further += &format!("cache: {{entries: {}}}\n", people + people / 4)).await;
    let rest = at_rest(&pod).await;
    print("at rest, Redis cluster, one provider", rest);
    let sessions = SignedInUsers::of(&bench.fleet).await.sign_in("corp", people).await;
    let some = &sessions[..ASKED_AGAIN.min(people)];
    check_each(&pod, some).await;
    wrk::ask(&check(&pod, "/v1/models", vec![cookie(&sessions[0])]), 2);
    let warm = at_rest(&pod).await;
    print(&format!("after a load, {} principals cached", some.len()), warm);
    check_each(&pod, &sessions).await;
    let full = at_rest(&pod).await;
    print(&format!("with {people} principals cached"), full);
    assert_cached(&pod, some).await;
    let each = (full.resident - warm.resident) * 1024.0 * 1024.0 / (people - some.len()) as f64;
    println!("{:44} {each:>8.0} bytes, of claims with {} bytes of JSON", "so each takes", claims());
}

async fn at_rest(pod: &Pod) -> Memory {
    tokio::time::sleep(SETTLED).await;
    memory(pod.pid())
}

async fn assert_cached(pod: &Pod, sessions: &[String]) {
    let misses = async || pod.metric("vestibule_cache_lookups_total", &["result=\"miss\""]).await;
    let before = misses().await;
    check_each(pod, sessions).await;
    assert_eq!(misses().await - before, 0.0, "what was cached is gone");
}

fn claims() -> usize {
    let identity = identity("corp", 1);
    let sources = identity.sources().map(|claims| serde_json::to_string(claims).expect("claims are JSON").len());
    sources.sum()
}

fn print(what: &str, Memory { resident, anonymous }: Memory) {
    println!("{what:44} {resident:>8.1} {anonymous:>8.1}");
}
