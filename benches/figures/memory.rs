//! The memory of an idle pod, and of a pod with many cached principals.

use std::time::Duration;

use super::bench_fleet::{BenchFleet, binary, check, cookie};
use super::integration::support::pod::{Pod, PodOptions};
use super::process::{Memory, memory};
use super::setting;
use super::users::{SignedInUsers, check_each, identity};
use super::wrk;

/// Long enough for the work after a start to finish.
const SETTLING_TIME: Duration = Duration::from_secs(3);

/// The number of sessions that are checked again, to show that they are still cached.
const RECHECKED_SESSIONS: usize = 2000;

pub async fn measure(bench: &BenchFleet) {
    println!("Memory in MiB: RSS, and its private part\n");
    let with_memory_store = Pod::start(PodOptions { binary: binary(), ..PodOptions::new() }).await;
    print("idle, memory store", idle_memory(&with_memory_store).await);
    drop(with_memory_store);
    let principals = setting("BENCH_PRINCIPALS", 100_000);
    // More than there are, so that none is evicted.
    let pod =
        bench.start_pod("memory", |pod| pod.further += &format!("cache: {{entries: {}}}\n", principals + principals / 4)).await;
    let idle = idle_memory(&pod).await;
    print("idle, Redis cluster, one provider", idle);
    let sessions = SignedInUsers::of(&bench.fleet).await.sign_in("corp", principals).await;
    let sample = &sessions[..RECHECKED_SESSIONS.min(principals)];
    check_each(&pod, sample).await;
    wrk::run(&check(&pod, "/v1/models", vec![cookie(&sessions[0])]), 2);
    let warm = idle_memory(&pod).await;
    print(&format!("after load, with {} cached principals", sample.len()), warm);
    check_each(&pod, &sessions).await;
    let full = idle_memory(&pod).await;
    print(&format!("with {principals} cached principals"), full);
    assert_cached(&pod, sample).await;
    let per_principal = (full.resident - warm.resident) * 1024.0 * 1024.0 / (principals - sample.len()) as f64;
    println!("{:44} {per_principal:>8.0} bytes, with claims of {} bytes of JSON", "per principal", claims());
}

async fn idle_memory(pod: &Pod) -> Memory {
    tokio::time::sleep(SETTLING_TIME).await;
    memory(pod.pid())
}

async fn assert_cached(pod: &Pod, sessions: &[String]) {
    let misses = async || pod.metric("vestibule_cache_lookups_total", &["result=\"miss\""]).await;
    let before = misses().await;
    check_each(pod, sessions).await;
    assert_eq!(misses().await - before, 0.0, "cached sessions were evicted");
}

fn claims() -> usize {
    let identity = identity("corp", 1);
    let sources = identity.sources().map(|claims| serde_json::to_string(claims).expect("claims are JSON").len());
    sources.sum()
}

fn print(label: &str, Memory { resident, anonymous }: Memory) {
    println!("{label:44} {resident:>8.1} {anonymous:>8.1}");
}
