//! The time from the start of a process to its readiness, and from SIGTERM to its exit.

use std::time::Duration;

use tokio::time::Instant;

use super::bench_fleet::{BenchFleet, binary, check, cookie};
use super::integration::support::owner_client;
use super::integration::support::pod::{Pod, PodOptions, Readiness};
use super::users::SignedInUsers;
use super::wrk;

const STARTS: usize = 5;
const PAUSE: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(60);
const NO_DELAY: &str = "shutdown: {delay: 0s}\n";

pub async fn measure(bench: &BenchFleet) {
    println!("Start and shutdown, in milliseconds\n");
    let memory_store = || PodOptions { binary: binary(), ..PodOptions::new() };
    print("start to ready, memory store", &starts(memory_store).await);
    print("start to ready, Redis cluster, one provider", &starts(|| bench.fleet.further_pod("start")).await);
    let session = SignedInUsers::of(&bench.fleet).await.sign_in("corp", 1).await.remove(0);
    for (delay, settings) in [("shutdown.delay: 0s", NO_DELAY), ("default delay of 5 s", "")] {
        let pod = async || bench.start_pod("end", |pod| pod.further += settings).await;
        print(&format!("SIGTERM to exit, {delay}, idle"), &[stop(pod().await).await]);
        let pod = pod().await;
        let mut load = wrk::start(&check(&pod, "/v1/models", vec![cookie(&session)]), PATIENCE.as_secs() as usize);
        until_busy(&pod).await;
        print(&format!("SIGTERM to exit, {delay}, {} busy connections", wrk::CONNECTIONS), &[stop(pod).await]);
        load.kill().and_then(|()| load.wait()).expect("wrk is a child process");
    }
}

/// The shortest and longest of several starts, because only the first one reads cold files.
async fn starts(options: impl Fn() -> PodOptions) -> Vec<Duration> {
    let (http, mut times) = (owner_client(), Vec::new());
    for _ in 0..STARTS {
        let options = PodOptions { ready: Readiness::DontWait, ..options() };
        let ready = format!("http://127.0.0.1:{}/readyz", options.ports[2]);
        let began = Instant::now();
        let _pod = Pod::start(options).await;
        while !http.get(&ready).send().await.is_ok_and(|response| response.status() == 200) {
            assert!(began.elapsed() < PATIENCE, "the pod does not become ready");
            tokio::time::sleep(PAUSE).await;
        }
        times.push(began.elapsed());
    }
    times
}

async fn stop(mut pod: Pod) -> Duration {
    let began = Instant::now();
    pod.process().term();
    while pod.process().has_exited().is_none() {
        assert!(began.elapsed() < PATIENCE, "the pod does not exit");
        tokio::time::sleep(PAUSE).await;
    }
    began.elapsed()
}

async fn until_busy(pod: &Pod) {
    let began = Instant::now();
    while pod.metric("vestibule_checks_total", &["outcome=\"allowed\""]).await < 10_000.0 {
        assert!(began.elapsed() < PATIENCE, "no checks after {PATIENCE:?}");
    }
}

fn print(label: &str, times: &[Duration]) {
    let mut millis: Vec<u128> = times.iter().map(Duration::as_millis).collect();
    millis.sort_unstable();
    match millis[..] {
        [only] => println!("{label:60} {only:>6}"),
        _ => println!("{label:60} {:>6} to {}, of {}", millis[0], millis[millis.len() - 1], millis.len()),
    }
}
