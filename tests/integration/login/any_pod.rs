//! Every request of a login flow may reach another pod.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};
use url::Url;
use vestibule::secret::Digest;

use crate::support::agent::Agent;
use crate::support::fleet::Fleet;
use crate::support::pod::{Pod, PodOptions};
use crate::support::random::SeededRandom;
use crate::support::steps::{
    ALICE, BINDING, BOB, CAROL, SESSION, TestUser, assert_not_signed_in, assert_page, assert_signed_in, at, at_provider, begin,
    check, restart_target, session_of, until_callback,
};
use crate::support::wait;

const LOGINS: usize = 200;
const AT_ONCE: usize = 6;
const PAIRS: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn of_200_login_flows_whose_requests_go_to_random_pods_200_succeed() {
    let fleet = Fleet::shared().await;
    let random = SeededRandom::new();
    let crossed = AtomicUsize::new(0);
    let logins = stream::iter(0..LOGINS).for_each_concurrent(AT_ONCE, async |number| {
        let user = [ALICE, BOB, CAROL][number % 3];
        if login_over_random_pods(fleet, &random, user, number).await {
            crossed.fetch_add(1, Ordering::Relaxed);
        }
    });
    let ((), took) = wait::timed(logins).await;
    let crossed = crossed.into_inner();
    println!("{LOGINS} logins in {took:.1?}, {crossed} of them began on one pod and ended on another ({random:?})");
    assert!(crossed > LOGINS / 3, "{crossed} of {LOGINS} crossed pods, by {random:?}");
}

/// Returns true if the login flow ended on another pod than it started on.
async fn login_over_random_pods(fleet: &Fleet, random: &SeededRandom, user: TestUser, number: usize) -> bool {
    let agent = Agent::new();
    let [first, second, third] = [(); 3].map(|()| random.pick(&fleet.pods));
    let target = format!("/ui/page?number={number}");
    let callback = until_callback(fleet.idp(), &agent, first, &target, user).await;
    let page = agent.get(&at(second, &callback)).await;
    assert_signed_in(&page);
    assert_eq!(page.location().map(String::from), Some(fleet.url(&target)));
    let check = check(&agent, third, &session_of(&agent)).await;
    assert_eq!((check.status, check.header("x-auth-request-preferred-username")), (200, Some(user.name)));
    first.public_port() != second.public_port()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_login_flow_succeeds_on_one_pod_with_the_memory_store() {
    let fleet = Fleet::shared().await;
    let pod =
        Pod::start(PodOptions { store: vec!["url: memory".into()], further: String::new(), ..fleet.further_pod("memory") }).await;
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, &pod, "/ui/?a=b", BOB).await;
    let page = agent.get(&at(&pod, &callback)).await;
    assert_signed_in(&page);
    assert_eq!(page.location().map(String::from), Some(fleet.url("/ui/?a=b")));
    let check = check(&agent, &pod, &session_of(&agent)).await;
    assert_eq!((check.status, check.header("x-auth-request-role")), (200, Some("internal_user")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_flow_whose_pod_is_killed_before_the_callback_succeeds_on_another() {
    let fleet = Fleet::shared().await;
    let mut doomed = Pod::start(fleet.further_pod("doomed")).await;
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, &doomed, "/ui/", ALICE).await;
    doomed.kill9();
    let page = agent.get(&at(&fleet.pods[0], &callback)).await;
    assert_signed_in(&page);
    assert_eq!(check(&agent, &fleet.pods[1], &session_of(&agent)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_concurrent_callbacks_with_one_state_on_two_pods_exactly_one_signs_in() {
    let fleet = Fleet::shared().await;
    let random = SeededRandom::new();
    let pairs = stream::iter(0..PAIRS).map(|_| pair(fleet, &random)).buffer_unordered(3);
    let first_won: Vec<bool> = pairs.collect().await;
    let first = first_won.iter().filter(|won| **won).count();
    println!("of {PAIRS} pairs the first pod won {first}, the second {} ({random:?})", PAIRS - first);
}

/// Returns true if the first of the two pods signed in.
async fn pair(fleet: &Fleet, random: &SeededRandom) -> bool {
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, random.pick(&fleet.pods), "/ui/pair", CAROL).await;
    let one = random.pick(&fleet.pods);
    let other = random.pick_other(&fleet.pods, |pod| pod.public_port() == one.public_port());
    let (one, other) = (at(one, &callback), at(other, &callback));
    let (one, other) = tokio::join!(agent.get(&one), agent.get(&other));
    let first_won = one.status == 303;
    let (winner, loser) = if first_won { (one, other) } else { (other, one) };
    assert_signed_in(&winner);
    assert_not_signed_in(&loser);
    assert_page(&loser, 400, "This sign-in is already complete");
    assert_eq!(restart_target(&loser), "/ui/pair");
    first_won
}

#[tokio::test(flavor = "multi_thread")]
async fn five_tabs_can_complete_their_login_flows_in_any_order() {
    let fleet = Fleet::shared().await;
    let random = SeededRandom::new();
    let agent = Agent::new();
    let mut tabs = Vec::new();
    for tab in 0..5 {
        let target = format!("/ui/tab/{tab}");
        tabs.push((begin(&agent, random.pick(&fleet.pods), &target).await, target));
    }
    let mut binding = None;
    random.shuffle(&mut tabs);
    for (page, target) in tabs {
        let callback = at_provider(fleet.idp(), &agent, page, ALICE).await;
        let page = agent.get(&at(random.pick(&fleet.pods), &callback)).await;
        assert_signed_in(&page);
        assert_eq!(page.location().map(String::from), Some(fleet.url(&target)), "by {random:?}");
        let cookie = agent.cookie("localhost", BINDING).expect("the tabs share a cookie").value;
        assert_eq!(*binding.get_or_insert_with(|| cookie.clone()), cookie, "the cookie stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_concurrent_callbacks_of_one_browser_all_succeed() {
    let fleet = Fleet::shared().await;
    let random = SeededRandom::new();
    let agent = Agent::new();
    let mut callbacks = Vec::new();
    for _ in 0..5 {
        callbacks.push(until_callback(fleet.idp(), &agent, random.pick(&fleet.pods), "/ui/", BOB).await);
    }
    let come_back = callbacks.iter().map(|callback| at(random.pick(&fleet.pods), callback));
    let pages = futures::future::join_all(come_back.map(async |address| agent.get(&address).await)).await;
    pages.iter().for_each(assert_signed_in);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_login_flow_adds_no_cookie_and_expires_in_the_store() {
    let fleet = Fleet::shared().await;
    let agent = Agent::new();
    let mut states = Vec::new();
    for number in 0..10 {
        let page = begin(&agent, &fleet.pods[number % 3], "/ui/").await;
        states.push(state_of(&page.location().expect("begin gives a redirect")));
    }
    let names: Vec<String> = agent.cookies("localhost").into_iter().map(|cookie| cookie.name).collect();
    assert_eq!(names, [BINDING]);
    for state in &states {
        let life = life_of_flow(fleet, state).await.expect("the flow is in the store");
        assert!(life > Duration::ZERO && life <= Duration::from_secs(600), "{life:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tombstone_of_a_completed_login_flow_expires_with_it() {
    let fleet = Fleet::shared().await;
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, &fleet.pods[0], "/ui/", ALICE).await;
    assert_signed_in(&agent.get(&at(&fleet.pods[1], &callback)).await);
    let life = life_of_flow(fleet, &state_of(&callback)).await.expect("a tombstone is in the store");
    assert!(life > Duration::from_secs(400) && life <= Duration::from_secs(600), "{life:?}");
    let names: Vec<String> = agent.cookies("localhost").into_iter().map(|cookie| cookie.name).collect();
    assert!(names.iter().all(|name| [BINDING, SESSION].contains(&name.as_str()) || name.starts_with('_')), "{names:?}");
}

fn state_of(address: &Url) -> String {
    let state = address.query_pairs().find(|(name, _)| name == "state");
    state.expect("the address carries a state").1.into_owned()
}

/// The remaining lifetime of the login flow's record; `None` if there is no record.
async fn life_of_flow(fleet: &Fleet, state: &str) -> Option<Duration> {
    let ending = format!(":flow:{}", Digest::of(state.as_bytes()).to_hex());
    for index in fleet.cluster().primaries().await {
        let node = &fleet.cluster().nodes[index];
        let keys = node.keys().await.into_iter().map(|key| String::from_utf8(key).expect("our keys are text"));
        if let Some(key) = keys.into_iter().find(|key| key.ends_with(&ending)) {
            let millis: i64 = node.call(&["PTTL", &key]).await.text().parse().expect("PTTL answers a number");
            return Some(Duration::from_millis(
                u64::try_from(millis).unwrap_or_else(|_| panic!("{key} never expires: {millis}")),
            ));
        }
    }
    None
}
