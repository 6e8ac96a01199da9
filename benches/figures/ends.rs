//! The time from the start of a process to its readiness, and from SIGTERM to its end.

use std::time::Duration;

use tokio::time::Instant;

use super::integration::support::owner_client;
use super::integration::support::pod::{Pod, PodOptions, Ready};
use super::people::SignedInUsers;
use super::site::{BenchFleet, binary, check, cookie};
use super::wrk;

const STARTS: usize = 5;
const PAUSE: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(60);
const NO_DELAY: &str = "shutdown: {delay: 0s}\n";

pub async fn measure(bench: &BenchFleet) {
    println!("Starts and ends in milliseconds\n");
    let alone = || PodOptions { binary: binary(), ..PodOptions::new() };
    print("from start to ready, memory store", &starts(alone).await);
    print("from start to ready, Redis cluster, one provider", &starts(|| bench.fleet.further_pod("start")).await);
    let session = SignedInUsers::of(&bench.fleet).await.sign_in("corp", 1).await.remove(0);
    for (delay, further) in [("delay: 0s", NO_DELAY), ("the default delay of 5 s", "")] {
        let pod = async || bench.further("end", |pod| pod.further += further).await;
        print(&format!("from SIGTERM to exit, {delay}, idle"), &[end(pod().await).await]);
        let pod = pod().await;
        let mut asking = wrk::begin(&check(&pod, "/v1/models", vec![cookie(&session)]), PATIENCE.as_secs() as usize);
        until_busy(&pod).await;
        print(&format!("from SIGTERM to exit, {delay}, {} connections busy", wrk::CONNECTIONS), &[end(pod).await]);
        asking.kill().and_then(|()| asking.wait()).expect("wrk is a child of ours");
    }
}

/// The shortest and longest of several starts, because only the first one reads cold files.
async fn starts(options: impl Fn() -> PodOptions) -> Vec<Duration> {
    let (http, mut times) = (owner_client(), Vec::new());
    for _ in 0..STARTS {
        let options = PodOptions { ready: Ready::DontWait, ..options() };
        let ready = format!("http://127.0.0.1:{}/readyz", options.ports[2]);
        let began = Instant::now();
        let _pod = Pod::start(options).await;
        while !http.get(&ready).send().await.is_ok_and(|answer| answer.status() == 200) {
            assert!(began.elapsed() < PATIENCE, "it does not become ready");
            tokio::time::sleep(PAUSE).await;
        }
        times.push(began.elapsed());
    }
    times
}

async fn end(mut pod: Pod) -> Duration {
    let began = Instant::now();
    pod.process().term();
    while pod.process().has_exited().is_none() {
        assert!(began.elapsed() < PATIENCE, "it does not end");
        tokio::time::sleep(PAUSE).await;
    }
    began.elapsed()
}

async fn until_busy(pod: &Pod) {
    let began = Instant::now();
    while pod.metric("vestibule_checks_total", &["outcome=\"allowed\""]).await < 10_000.0 {
        assert!(began.elapsed() < PATIENCE, "no request arrives");
    }
}

fn print(what: &str, times: &[Duration]) {
    let mut millis: Vec<u128> = times.iter().map(Duration::as_millis).collect();
    millis.sort_unstable();
    match millis[..] {
        [only] => println!("{what:60} {only:>6}"),
        _ => println!("{what:60} {:>6} to {}, of {}", millis[0], millis[millis.len() - 1], millis.len()),
    }
}
