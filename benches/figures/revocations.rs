//! The time from the response to a sign-out to the first refusal on the other pods, which have cached the session.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::bench_fleet::{BenchFleet, check, cookie};
use super::integration::support::agent::{Agent, Page};
use super::integration::support::http_client;
use super::integration::support::pod::Pod;
use super::setting;
use super::times::Times;
use super::users::{SignedInUsers, check_each};

const PODS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(10);

pub async fn measure(bench: &BenchFleet) {
    let rounds = setting("BENCH_REVOCATIONS", 500);
    let mut pods = Vec::new();
    for number in 0..PODS {
        pods.push(bench.start_pod(&format!("revocations-{number}"), |pod| pod.further += "workers: 1\n").await);
    }
    let sessions = SignedInUsers::of(&bench.fleet).await.sign_in("corp", rounds).await;
    let http = http_client();
    let mut times = Vec::new();
    for (round, session) in sessions.iter().enumerate() {
        let (here, others) = (&pods[round % PODS], [&pods[(round + 1) % PODS], &pods[(round + 2) % PODS]]);
        for pod in others {
            // Values that are read while the shard changes are not cached; the second check is served from the cache.
            check_each(pod, std::slice::from_ref(session)).await;
            check_each(pod, std::slice::from_ref(session)).await;
        }
        let responded = sign_out(here, session).await;
        times.extend(join_all(others.map(|pod| wait_for_refusal(&http, pod, session, responded))).await);
    }
    println!(
        "Revocation: from the response to a sign-out to the first refusal on the two other pods of {PODS}, with cached sessions\n"
    );
    println!("{}", Times::new(times));
}

/// Returns the time of the response.
async fn sign_out(pod: &Pod, session: &str) -> Instant {
    let agent = Agent::new();
    agent.set_cookie("localhost", &format!("vestibule={session}; Path=/"));
    let form = agent.get(&pod.public("/sso/logout")).await.form();
    let page: Page = agent.submit(&form, &[]).await;
    let responded = Instant::now();
    assert_eq!(page.status, 303, "{}", page.body);
    responded
}

/// Sends checks without pause until the session is refused.
async fn wait_for_refusal(http: &reqwest::Client, pod: &Pod, session: &str, since: Instant) -> Duration {
    let headers = check(pod, "/v1/models", vec![cookie(session)]).headers;
    loop {
        let request =
            headers.iter().fold(http.get(pod.check("/auth/nginx")), |request, (name, value)| request.header(*name, value));
        match request.send().await.expect("the pod responds").status().as_u16() {
            200 => assert!(since.elapsed() < PATIENCE, "an ended session is still accepted"),
            401 => return since.elapsed(),
            other => panic!("unexpected status {other}"),
        }
    }
}
