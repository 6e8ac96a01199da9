//! Logins per second of one pod, with a provider that takes almost no time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::bench_fleet::BenchFleet;
use super::integration::support::agent::Agent;
use super::integration::support::pod::Pod;
use super::integration::support::steps::assert_signed_in;
use super::integration::support::wait::until;
use super::process::processor_time;
use super::setting;
use super::stub_idp::{CLIENT, StubIdp};
use super::times::Times;

const BROWSERS: usize = 16;
const USERS: usize = 200;
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn measure(bench: &BenchFleet) {
    let seconds = setting("BENCH_SECONDS", 4);
    let idp = StubIdp::start();
    let pod = bench.start_pod("logins", |pod| {
        pod.further += "workers: 1\n";
        CLIENT.clone_into(&mut pod.providers[0].client_id);
        pod.providers[0].issuer.clone_from(&idp.issuer);
    });
    let pod = pod.await;
    until("the provider to be ready", PATIENCE, async || {
        (pod.metric("vestibule_provider_ready", &[]).await == 1.0).then_some(())
    })
    .await;
    println!(
        "Logins: one worker, {BROWSERS} browsers, {seconds} s each; a login consists of two requests, and one from Vestibule to the provider\n"
    );
    let next = AtomicUsize::new(0);
    // Each user logs in once as a new user. The next logins are those of existing users.
    let new = run(&pod, &idp, &next, |number, _| number < USERS).await;
    print("new users", &new);
    let existing = run(&pod, &idp, &next, |_, began| began.elapsed() < Duration::from_secs(seconds as u64)).await;
    print("existing users", &existing);
}

struct Logins {
    count: usize,
    duration: Duration,
    times: Times,
    cpu: Duration,
    store_commands: f64,
}

/// Runs login flows, one after the other in each browser, while `continues` returns true for the login's number and the start
/// time.
async fn run(pod: &Pod, idp: &StubIdp, next: &AtomicUsize, continues: impl Fn(usize, Instant) -> bool) -> Logins {
    let (cpu, store_commands, redeemed) = (processor_time(pod.pid()), pod.store_commands().await, idp.redeemed());
    let began = Instant::now();
    let browsers = (0..BROWSERS).map(async |_| {
        let (agent, mut times) = (Agent::new(), Vec::new());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if !continues(number, began) {
                return times;
            }
            let began = Instant::now();
            log_in(&agent, pod, number % USERS).await;
            times.push(began.elapsed());
        }
    });
    let times = join_all(browsers).await.concat();
    let (duration, count) = (began.elapsed(), times.len());
    assert_eq!(idp.redeemed() - redeemed, count as u64, "each login redeems one code");
    let cpu = processor_time(pod.pid()) - cpu;
    Logins { count, duration, times: Times::new(times), cpu, store_commands: pod.store_commands().await - store_commands }
}

async fn log_in(agent: &Agent, pod: &Pod, user: usize) {
    agent.clear_cookies();
    let page = agent.get(&pod.public("/sso/login?provider=corp&rd=%2F")).await;
    let target = page.location().unwrap_or_else(|| panic!("{}: {}", page.status, page.body));
    let parameter = |name: &str| {
        let found = target.query_pairs().find_map(|(key, value)| (key == name).then(|| value.into_owned()));
        found.unwrap_or_else(|| panic!("no {name}: {target}"))
    };
    let code = StubIdp::code(user, &parameter("nonce"));
    let page = agent.get(&pod.public(&format!("/sso/callback?code={code}&state={}", parameter("state")))).await;
    assert_signed_in(&page);
}

fn print(label: &str, logins: &Logins) {
    let count = logins.count as f64;
    let (rate, cpu) = (count / logins.duration.as_secs_f64(), logins.cpu.as_secs_f64() * 1000.0 / count);
    let store_commands = logins.store_commands / count;
    println!("{label:34} {rate:>6.0} per second, {cpu:.2} ms of CPU time and {store_commands:.2} store commands per login");
    println!("{:34} {}", "", logins.times);
}
