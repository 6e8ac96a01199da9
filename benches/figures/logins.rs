//! Logins per second of one pod, with a provider that takes almost no time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::integration::support::agent::Agent;
use super::integration::support::pod::Pod;
use super::integration::support::steps::assert_signed_in;
use super::integration::support::wait::until;
use super::process::processor_time;
use super::setting;
use super::site::BenchFleet;
use super::stub_idp::{CLIENT, StubIdp};
use super::times::Times;

const BROWSERS: usize = 16;
const USERS: usize = 200;
const REACHED: Duration = Duration::from_secs(20);

pub async fn measure(bench: &BenchFleet) {
    let seconds = setting("BENCH_SECONDS", 4);
    let idp = StubIdp::start();
    let pod = bench.further("logins", |pod| {
        pod.further += "workers: 1\n";
        CLIENT.clone_into(&mut pod.providers[0].client_id);
        pod.providers[0].issuer.clone_from(&idp.issuer);
    });
    let pod = pod.await;
    until("the provider to be known", REACHED, async || (pod.metric("vestibule_provider_ready", &[]).await == 1.0).then_some(()))
        .await;
    println!(
        "Logins: one worker, {BROWSERS} browsers, {seconds} s each; every login is two requests and one of ours to the provider\n"
    );
    let next = AtomicUsize::new(0);
    // Each user once: they are new, and then they are known.
    let new = run(&pod, &idp, &next, |number, _| number < USERS).await;
    print("of people who were never here", &new);
    let known = run(&pod, &idp, &next, |_, began| began.elapsed() < Duration::from_secs(seconds as u64)).await;
    print("of people who are known", &known);
}

struct Logins {
    count: usize,
    took: Duration,
    each: Times,
    processor: Duration,
    stored: f64,
}

/// Runs login flows, one after the other in each browser, while `goes_on` returns true for the login's number and the start
/// time.
async fn run(pod: &Pod, idp: &StubIdp, next: &AtomicUsize, goes_on: impl Fn(usize, Instant) -> bool) -> Logins {
    let (processor, stored, redeemed) = (processor_time(pod.pid()), pod.store_commands().await, idp.redeemed());
    let began = Instant::now();
    let browsers = (0..BROWSERS).map(async |_| {
        let (agent, mut times) = (Agent::new(), Vec::new());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if !goes_on(number, began) {
                return times;
            }
            let began = Instant::now();
            log_in(&agent, pod, number % USERS).await;
            times.push(began.elapsed());
        }
    });
    let times = join_all(browsers).await.concat();
    let (took, count) = (began.elapsed(), times.len());
    assert_eq!(idp.redeemed() - redeemed, count as u64, "each login redeems one code");
    let processor = processor_time(pod.pid()) - processor;
    Logins { count, took, each: Times::new(times), processor, stored: pod.store_commands().await - stored }
}

async fn log_in(agent: &Agent, pod: &Pod, person: usize) {
    agent.clear_cookies();
    let page = agent.get(&pod.public("/sso/login?provider=corp&rd=%2F")).await;
    let to = page.location().unwrap_or_else(|| panic!("{}: {}", page.status, page.body));
    let parameter = |name: &str| {
        let found = to.query_pairs().find_map(|(key, value)| (key == name).then(|| value.into_owned()));
        found.unwrap_or_else(|| panic!("no {name}: {to}"))
    };
    let code = StubIdp::code(person, &parameter("nonce"));
    let page = agent.get(&pod.public(&format!("/sso/callback?code={code}&state={}", parameter("state")))).await;
    assert_signed_in(&page);
}

fn print(who: &str, logins: &Logins) {
    let count = logins.count as f64;
    let (rate, processor) = (count / logins.took.as_secs_f64(), logins.processor.as_secs_f64() * 1000.0 / count);
    let stored = logins.stored / count;
    println!("{who:34} {rate:>6.0} per second, {processor:.2} ms of processor time each, {stored:.2} store commands each");
    println!("{:34} {}", "", logins.each);
}
