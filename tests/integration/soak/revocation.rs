//! Revocations concurrent with checks: after the answer to a revocation, no check that starts later than the bound passes.

use std::sync::Mutex;
use std::time::Duration;

use futures::future::join_all;
use futures::{FutureExt, StreamExt, stream};
use reqwest::Method;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;
use vestibule::principal_cache::CONSISTENCY_BOUND;

use super::Size;
use super::ledger::Ledger;
use super::users::{ADMIN, builder, name_of};
use super::visitor::{Credential, Visitor};
use crate::support::api::ApiKey;
use crate::support::api::{Auth, call, create_key, revoke_key};
use crate::support::fleet::Fleet;
use crate::support::pod::Pod;
use crate::support::redis::Cluster;
use crate::support::wait::{pass, timed};

const ROUNDS: usize = 10_000;
const AT_ONCE: usize = 6;
/// Per worker, so that no worker ends the sessions of another.
const USERS_PER_WORKER: usize = 10;
/// Concurrent checks on each pod, so that a read may complete during a refusal.
const CHECKS_PER_POD: usize = 2;
/// The number of consecutive refusals after which a credential has ended on a pod.
const REFUSALS_IN_A_ROW: usize = 3;

#[derive(Clone, Copy)]
enum Revocation {
    KeyRevoked,
    SignedOut,
    SessionsEnded,
}

/// The time from the answer to the start of the last check that passed, or zero; by pod, the revoking pod first.
type MeasuredDelays = [Duration; 3];

struct Race<'a> {
    fleet: &'a Fleet,
    ledger: &'a Ledger,
    warden: String,
    /// Ended credentials, which are checked again at the end.
    ended: Mutex<Vec<Credential>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_check_passes_that_starts_later_than_the_bound_after_a_revocations_answer() {
    let rounds = Size::from_environment().of(ROUNDS).div_ceil(AT_ONCE);
    let redis = Cluster::start().await;
    let fleet = builder().pods(3).store_at(redis.url()).start().await;
    let ledger = Ledger::new("logins of the races");
    let warden = Visitor::new(fleet.nginx().info(), &ledger).sign_in(ADMIN).await.expect("nothing is broken");
    let race = Race { fleet: &fleet, ledger: &ledger, warden, ended: Mutex::default() };
    let workers = stream::iter(0..AT_ONCE).map(|worker| race.run(worker, rounds)).buffer_unordered(AT_ONCE);
    let (measured, took) = timed(workers.collect::<Vec<_>>()).await;
    let measured: Vec<MeasuredDelays> = measured.into_iter().flatten().collect();

    println!("{} revocations on three pods with warm caches in {took:.0?}", measured.len());
    print("on the pod that ended it", measured.iter().map(|times| times[0]).collect());
    print("on the two others", measured.iter().flat_map(|times| [times[1], times[2]]).collect());
    let applied: f64 =
        join_all(fleet.pods.iter().map(|pod| pod.metric("vestibule_notices_total", &["applied"]))).await.iter().sum();
    let gaps: f64 = join_all(fleet.pods.iter().map(|pod| pod.metric("vestibule_notices_total", &["gap"]))).await.iter().sum();
    println!("{applied} invalidation messages were applied, {gaps} revealed a gap");
    ledger.print_and_assert();
    assert!(measured.len() >= Size::from_environment().of(ROUNDS));
    assert!(measured.iter().all(|times| times[0].is_zero()), "the pod that ended it sees it at once");
    pass(CONSISTENCY_BOUND).await;
    race.assert_none_is_valid_again().await;
    let last = measured.iter().flatten().max().expect("there were rounds");
    assert!(*last <= CONSISTENCY_BOUND, "a check passed that began {last:?} after the answer");
}

impl Race<'_> {
    async fn run(&self, worker: usize, rounds: usize) -> Vec<MeasuredDelays> {
        let owner = self.visitor().sign_in(&name_of(worker * USERS_PER_WORKER)).await.expect("nothing is broken");
        let mut measured = Vec::with_capacity(rounds);
        for round in 0..rounds {
            let way = match round % 20 {
                0 => Revocation::SessionsEnded,
                7 | 14 => Revocation::SignedOut,
                _ => Revocation::KeyRevoked,
            };
            let guest = name_of(worker * USERS_PER_WORKER + 1 + round % (USERS_PER_WORKER - 1));
            let by = &self.fleet.pods[round % 3];
            measured.push(match way {
                Revocation::KeyRevoked => self.revoke_a_key(&owner, round, by).await,
                Revocation::SignedOut => self.sign_out(&guest, by).await,
                Revocation::SessionsEnded => self.end_sessions(&guest, by).await,
            });
        }
        measured
    }

    async fn revoke_a_key(&self, owner: &str, round: usize, by: &Pod) -> MeasuredDelays {
        let ApiKey { key, id, .. } = create_key(&self.fleet.pods[round / 3 % 3], Auth::Session(owner), json!({})).await;
        self.measure(&Credential::ApiKey(key), by, async || {
            assert_eq!(revoke_key(by, Auth::Session(owner), &id).await.status(), 200);
        })
        .await
    }

    async fn sign_out(&self, name: &str, by: &Pod) -> MeasuredDelays {
        let visitor = self.visitor();
        let cookie = visitor.sign_in(name).await.expect("nothing is broken");
        let form = visitor.agent.get(&by.public("/sso/logout")).await.form();
        let fields: Vec<(&str, &str)> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.measure(&Credential::Session(cookie), by, async || {
            assert_eq!(visitor.agent.post(&by.public("/sso/logout"), &fields).await.status, 303);
        })
        .await
    }

    async fn end_sessions(&self, name: &str, by: &Pod) -> MeasuredDelays {
        let visitor = self.visitor();
        let cookie = visitor.sign_in(name).await.expect("nothing is broken");
        let who = visitor.agent.get(&by.public("/sso/session")).await.json();
        let path = format!("/vestibule/api/people/{}/sessions", who["user_id"].as_str().expect("an id"));
        self.measure(&Credential::Session(cookie), by, async || {
            let reply = call(by, Auth::Session(&self.warden), Method::DELETE, &path, None).await;
            assert_eq!(reply.status(), 200, "{reply:?}");
        })
        .await
    }

    /// Sends checks to all pods without pause before, during and after the revocation on one of them.
    async fn measure(&self, credential: &Credential, by: &Pod, end: impl AsyncFn()) -> MeasuredDelays {
        self.fleet.cache_everywhere(&[credential]).await;
        let (sign_out_time, answer) = watch::channel(None);
        let others = self.fleet.pods.iter().filter(|pod| pod.check_port() != by.check_port());
        let probes = std::iter::once(by).chain(others).map(|pod| {
            let askers = (0..CHECKS_PER_POD).map(|_| self.until_refused(credential, pod, answer.clone()));
            join_all(askers).map(|last_passed| last_passed.into_iter().max().expect("each pod is checked"))
        });
        let ended = async {
            end().await;
            sign_out_time.send_replace(Some(Instant::now()));
        };
        let (last_passed, ()) = tokio::join!(join_all(probes), ended);
        let sign_out_time = sign_out_time.borrow().expect("it has ended");
        self.ended.lock().expect("no holder of this lock panics").push(credential.clone());
        let late = last_passed.into_iter().map(|began| began.saturating_duration_since(sign_out_time)).collect::<Vec<_>>();
        late.try_into().expect("there are three pods")
    }

    /// The start of the last check that passed.
    async fn until_refused(
        &self,
        credential: &Credential,
        pod: &Pod,
        sign_out_time: watch::Receiver<Option<Instant>>,
    ) -> Instant {
        let (mut last_passed, mut refused) = (Instant::now(), 0);
        while refused < REFUSALS_IN_A_ROW || sign_out_time.borrow().is_none() {
            let began = Instant::now();
            match credential.status_on(&self.fleet.http, pod).await {
                200 => (last_passed, refused) = (began, 0),
                401 => refused += 1,
                other => panic!("{other}"),
            }
        }
        last_passed
    }

    /// No value that was read during a revocation stays cached.
    async fn assert_none_is_valid_again(&self) {
        let ended = std::mem::take(&mut *self.ended.lock().expect("no holder of this lock panics"));
        stream::iter(&ended)
            .for_each_concurrent(AT_ONCE, async |credential| {
                for pod in &self.fleet.pods {
                    assert_eq!(credential.status_on(&self.fleet.http, pod).await, 401, "the credential is valid again");
                }
            })
            .await;
    }

    fn visitor(&self) -> Visitor<'_> {
        Visitor::new(self.fleet.nginx().info(), self.ledger)
    }
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    let none = times.iter().filter(|time| time.is_zero()).count();
    println!(
        "{what}: p50 {:.1?}, p99 {:.1?}, max {:.1?}; after {none} of {} no check passed at all",
        at(50),
        at(99),
        at(100),
        times.len()
    );
}
