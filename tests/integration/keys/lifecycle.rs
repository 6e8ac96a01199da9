//! Creating, rotating and revoking keys on several pods, also concurrently and while pods are killed.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;
use vestibule::principal_cache::CONSISTENCY_BOUND;

use super::{PATIENCE, list, listed_ids};
use crate::support::api::{Auth, KEYS, call, create_key, key_status, revoke_key, rotate_key, until_key_status};
use crate::support::fleet::Fleet;
use crate::support::http_client;
use crate::support::pod::Pod;
use crate::support::redis::{Cluster, DumpedRecord, Options, Standalone};
use crate::support::wait::until;

const MANY: &str = "keys: {max_per_user: 2000}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_created_on_one_pod_passes_on_all_and_a_revoked_key_passes_on_none() {
    let fleet = Fleet::builder().pods(3).cluster().idp().start().await;
    let session = fleet.sign_in(0).await.cookie;
    let mut times = Vec::new();
    for round in 0..20 {
        let created_key =
            create_key(&fleet.pods[round % 3], Auth::Session(&session), json!({"key_alias": format!("round {round}")})).await;
        for pod in &fleet.pods {
            assert_eq!((key_status(pod, &created_key.key).await, key_status(pod, &created_key.key).await), (200, 200));
        }
        let ends_on = (round + 1) % 3;
        let revoked = revoke_key(&fleet.pods[ends_on], Auth::Session(&session), &created_key.id).await;
        assert_eq!(revoked.status(), 200, "{revoked:?}");
        assert_eq!(key_status(&fleet.pods[ends_on], &created_key.key).await, 401, "at once on the pod that revoked it");
        let since = Instant::now();
        let refusals = join_all(fleet.pods.iter().map(|pod| refused(pod, &created_key.key, since))).await;
        times.extend(refusals);
    }
    times.sort();
    println!("revoked on one pod, refused on the others: p50 {:?}, worst {:?}", times[times.len() / 2], times[times.len() - 1]);
    assert!(listed_ids(&fleet.pods[0], Auth::Session(&session)).await.is_empty());
    assert_eq!(fleet.pods[1].metric("vestibule_key_changes_total", &["revoked"]).await, 7.0);
}

/// The time after a revocation's answer at which a check last passed on this pod.
async fn refused(pod: &Pod, key: &str, since: Instant) -> Duration {
    let mut last_passed = Duration::ZERO;
    loop {
        let began = since.elapsed();
        match key_status(pod, key).await {
            200 => last_passed = began,
            401 => break,
            other => panic!("{other}"),
        }
    }
    assert!(last_passed <= CONSISTENCY_BOUND, "{last_passed:?}");
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_keys_old_secret_ends_at_once_or_after_the_grace_period() {
    let fleet = Fleet::builder().pods(2).standalone().idp().start().await;
    let session = fleet.sign_in(0).await.cookie;
    let first = create_key(&fleet.pods[0], Auth::Session(&session), json!({})).await;
    assert_eq!(key_status(&fleet.pods[1], &first.key).await, 200);
    let second = rotate_key(&fleet.pods[0], Auth::Session(&session), &first.id, json!({})).await.into_key();
    assert_eq!((&second.id, &second.body["expires"]), (&first.id, &first.body["expires"]));
    assert_eq!(key_status(&fleet.pods[0], &first.key).await, 401);
    until_key_status(&fleet.pods[1], &first.key, 401).await;

    let third = rotate_key(&fleet.pods[1], Auth::Session(&session), &first.id, json!({"overlap": "20s"})).await.into_key();
    let overlapping = Instant::now();
    let mut both = 0;
    while overlapping.elapsed() < Duration::from_secs(15) && both < 20 {
        for pod in &fleet.pods {
            let statuses = [key_status(pod, &second.key).await, key_status(pod, &third.key).await];
            assert!(overlapping.elapsed() > Duration::from_secs(15) || statuses == [200, 200], "{statuses:?}");
        }
        both += 1;
    }
    for pod in &fleet.pods {
        until_key_status(pod, &second.key, 401).await;
        assert_eq!(key_status(pod, &third.key).await, 200);
    }
    assert_eq!(listed_ids(&fleet.pods[0], Auth::Session(&session)).await, [first.id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_expires_on_every_pod_without_a_request() {
    let redis = Standalone::start(Options::default()).await;
    let fleet = Fleet::builder().pods(2).store_at(redis.url()).idp().start().await;
    let session = fleet.sign_in(0).await.cookie;
    let created_key = create_key(&fleet.pods[0], Auth::Session(&session), json!({"duration": "5s"})).await;
    for pod in &fleet.pods {
        until_key_status(pod, &created_key.key, 401).await;
    }
    assert!(listed_ids(&fleet.pods[0], Auth::Session(&session)).await.is_empty());
    until("records to end with the key", PATIENCE, async || {
        remaining_key_records(&redis.node.dump().await).is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_count_of_a_users_keys_expires_with_the_last_of_them() {
    let redis = Standalone::start(Options::default()).await;
    let fleet = Fleet::builder().pods(2).store_at(redis.url()).idp().start().await;
    let session = fleet.sign_in(0).await.cookie;
    for (pod, duration, days) in [(0, "1d", 1), (1, "3d", 3), (0, "2d", 3)] {
        create_key(fleet.pod(pod), Auth::Session(&session), json!({"duration": duration})).await;
        let names = redis.node.keys().await.into_iter().map(|name| String::from_utf8(name).expect("our keys are text"));
        let records: Vec<String> = names.filter(|name| name.contains(":keys_of:")).collect();
        let [record] = &records[..] else { panic!("one record for the user: {records:?}") };
        let left = Duration::from_millis(redis.node.cli(&["PTTL", record]).trim().parse().expect("it has an expiry"));
        let latest = Duration::from_secs(days * 86_400);
        assert!(left <= latest && left + Duration::from_secs(600) > latest, "{duration}: {left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_rotations_revocations_and_checks_on_three_pods_leave_no_valid_secret() {
    let redis = Cluster::start().await;
    let fleet = Fleet::builder().pods(3).store_at(redis.url()).idp().start().await;
    let session = fleet.sign_in(0).await.cookie;
    let [one, two, three] = [&fleet.pods[0], &fleet.pods[1], &fleet.pods[2]];
    let (mut renewed, by) = (0, Auth::Session(&session));
    for round in 0..30 {
        let created_key = create_key(one, by, json!({})).await;
        let overlap = if round % 2 == 0 { json!({}) } else { json!({"overlap": "1h"}) };
        let checks = join_all((0..10).map(|_| key_status(three, &created_key.key)));
        let (rotated, revoked, checked) =
            tokio::join!(rotate_key(one, by, &created_key.id, overlap), revoke_key(two, by, &created_key.id), checks);
        assert_eq!(revoked.status(), 200, "{revoked:?}");
        assert!(checked.iter().all(|status| [200, 401].contains(status)), "{checked:?}");
        let mut secrets = vec![created_key.key];
        match rotated.status() {
            200 => secrets.push(rotated.into_key().key),
            _ => rotated.assert(404, "not_found"),
        }
        renewed += secrets.len() - 1;
        for pod in &fleet.pods {
            for secret in &secrets {
                until_key_status(pod, secret, 401).await;
            }
        }
    }
    println!("of 30 keys {renewed} were rotated before they were revoked");
    assert!(remaining_key_records(&redis.dump().await).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_keys_of_one_user_are_listed_in_pages() {
    let fleet = Fleet::builder().pods(3).cluster().idp().yaml(MANY).start().await;
    let session = fleet.sign_in(0).await.cookie;
    let by = Auth::Session(&session);
    let created_keys: BTreeSet<String> = stream::iter(0..1000)
        .map(async |number: usize| {
            create_key_with_retries(&fleet.pods[number % 3], by, json!({"key_alias": format!("no {number}")})).await
        })
        .buffer_unordered(3)
        .collect()
        .await;
    assert_eq!(created_keys.len(), 1000);
    for (pod, size) in [(0, 100), (1, 50), (2, 97)] {
        let (mut seen, mut next, mut pages) = (Vec::new(), Value::Null, 0);
        loop {
            let after = next.as_str().map(|id| format!("&after={id}")).unwrap_or_default();
            let page = list(&fleet.pods[pod], by, &format!("?limit={size}{after}")).await;
            let keys = page["keys"].as_array().expect("a list");
            assert!(keys.iter().all(|key| key.get("key").is_none() && key["key_alias"].is_string()));
            seen.extend(keys.iter().map(|key| key["token_id"].as_str().expect("an id").to_owned()));
            (next, pages) = (page["next"].clone(), pages + 1);
            if next.is_null() {
                break;
            }
            assert_eq!(keys.len(), size);
        }
        assert_eq!(pages, 1000usize.div_ceil(size));
        assert!(seen.is_sorted(), "in the order of creation");
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), created_keys);
    }
}

/// Creates a key, and tries again if a conflict prevented it.
async fn create_key_with_retries(pod: &Pod, by: Auth<'_>, body: Value) -> String {
    loop {
        let reply = call(pod, by, Method::POST, KEYS, Some(body.clone())).await;
        if reply.status() != 503 {
            return reply.into_key().id;
        }
        reply.assert(503, "temporarily_unavailable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_creations_on_three_pods_respect_the_limit_of_keys() {
    let fleet = Fleet::builder().pods(3).cluster().idp().yaml("keys: {max_per_user: 5}\n").start().await;
    let session = fleet.sign_in(0).await.cookie;
    let by = Auth::Session(&session);
    let tries = join_all((0..12).map(|number| call(&fleet.pods[number % 3], by, Method::POST, KEYS, Some(json!({}))))).await;
    for reply in tries.iter().filter(|reply| reply.status() != 201) {
        // The answer to a request with too many conflicts is that the client may try again.
        assert!([409, 503].contains(&reply.status()), "{reply:?}");
    }
    let mut created_count = tries.iter().filter(|reply| reply.status() == 201).count();
    while created_count < 5 {
        created_count += usize::from(call(&fleet.pods[0], by, Method::POST, KEYS, Some(json!({}))).await.status() == 201);
    }
    call(&fleet.pods[1], by, Method::POST, KEYS, Some(json!({}))).await.assert(409, "limit_reached");
    let ids = listed_ids(&fleet.pods[2], by).await;
    assert_eq!((created_count, ids.len()), (5, 5));
    assert_eq!(revoke_key(&fleet.pods[0], by, &ids[0]).await.status(), 200);
    create_key(&fleet.pods[1], by, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_killed_while_it_creates_or_revokes_keys_leaves_no_partial_record() {
    let redis = Standalone::start(Options::default()).await;
    let mut fleet = Fleet::builder().pods(2).store_at(redis.url()).idp().yaml(MANY).start().await;
    let session = fleet.sign_in(1).await.cookie;
    for round in 0..6 {
        let posts: Vec<_> = (0..8).map(|_| (Method::POST, KEYS.to_owned())).collect();
        kill_pod_at_key_count(&mut fleet, &redis, &session, posts, |kept| kept > round).await;
        let kept = complete_keys(&redis.node.dump().await);
        let ids = listed_ids(&fleet.pods[1], Auth::Session(&session)).await;
        assert_eq!(ids.len(), kept, "every stored key is listed");

        // A pod killed before the rotation leaves the old secret, and one killed after it the new one; each has its
        // pointer.
        let before: BTreeSet<_> = remaining_key_records(&redis.node.dump().await).into_iter().collect();
        let renewals = ids.iter().map(|id| (Method::POST, format!("{KEYS}/{id}/regenerate"))).collect();
        let redis_of = &redis;
        kill_pod_when(&mut fleet, &session, renewals, async || {
            let now = remaining_key_records(&redis_of.node.dump().await);
            now.iter().filter(|name| !before.contains(*name)).count() > round
        })
        .await;
        assert_eq!(complete_keys(&redis.node.dump().await), kept, "no key is lost, and none has two secrets");

        let deletes = ids.iter().map(|id| (Method::DELETE, format!("{KEYS}/{id}"))).collect();
        kill_pod_at_key_count(&mut fleet, &redis, &session, deletes, |remaining| remaining < kept).await;
        println!("round {round}: {kept} of 8 created, {} left", complete_keys(&redis.node.dump().await));
        assert!(kept > 0, "no key was created before the pod died");
        for id in listed_ids(&fleet.pods[1], Auth::Session(&session)).await {
            assert_eq!(revoke_key(&fleet.pods[1], Auth::Session(&session), &id).await.status(), 200);
        }
        assert_eq!(complete_keys(&redis.node.dump().await), 0);
    }
}

/// Sends these calls to the first pod, kills it when the number of keys is reached, and starts it again.
async fn kill_pod_at_key_count(
    fleet: &mut Fleet,
    redis: &Standalone,
    session: &str,
    calls: Vec<(Method, String)>,
    enough: impl Fn(usize) -> bool,
) {
    kill_pod_when(fleet, session, calls, async || {
        let names = redis.node.keys().await;
        enough(names.iter().filter(|name| String::from_utf8_lossy(name).contains(":key:")).count())
    })
    .await;
}

/// Sends these calls to the first pod, kills it when the condition holds, and starts it again.
async fn kill_pod_when(fleet: &mut Fleet, session: &str, calls: Vec<(Method, String)>, enough: impl AsyncFn() -> bool) {
    let (http, mut headers) = (http_client(), Auth::Session(session).headers());
    headers.push(("content-type", "application/json".to_owned()));
    let sent: Vec<_> = calls
        .into_iter()
        .map(|(method, path)| {
            let request = http.request(method, fleet.pods[0].public(&path));
            let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
            // The call may fail.
            tokio::spawn(async move { request.send().await.map(|answer| answer.status().as_u16()) })
        })
        .collect();
    // During the calls, or after all of them.
    while !sent.iter().all(|call| call.is_finished()) {
        if enough().await {
            break;
        }
    }
    fleet.pods[0].kill9();
    join_all(sent).await;
    fleet.pods[0].restart().await;
}

/// The names of key records, without the counter of created keys.
fn remaining_key_records(dump: &[DumpedRecord]) -> Vec<String> {
    let names = dump.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned());
    names.filter(|name| [":key:", ":key_secret:"].iter().any(|kind| name.contains(kind))).collect()
}

/// The number of keys; asserts that each has its record, the record of its secret and its index entry.
#[track_caller]
fn complete_keys(dump: &[DumpedRecord]) -> usize {
    let names = remaining_key_records(dump);
    let of = |kind: &str| names.iter().filter(|name| name.contains(kind)).count();
    let index = dump.iter().filter(|(key, _)| String::from_utf8_lossy(key).contains(":index:keys:"));
    let members: Vec<String> =
        index.flat_map(|(_, parts)| parts.iter().map(|part| String::from_utf8_lossy(part).into_owned())).collect();
    let ids = names.iter().filter_map(|name| name.split_once(":key:").map(|(_, id)| id));
    let listed = ids.filter(|id| members.iter().any(|member| member == id)).count();
    assert_eq!((of(":key:"), of(":key_secret:")), (listed, listed), "{names:?} {members:?}");
    listed
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_pods_records_the_use_of_a_key_and_none_again_for_ten_minutes() {
    let redis = Standalone::start(Options::default()).await;
    let fleet = Fleet::builder().pods(3).store_at(redis.url()).idp().start().await;
    let session = fleet.sign_in(0).await.cookie;
    let created_key = create_key(&fleet.pods[0], Auth::Session(&session), json!({})).await;
    let record = async || {
        let dump = redis.node.dump().await;
        dump.into_iter().find(|(name, _)| String::from_utf8_lossy(name).contains(":key:")).expect("the key's record")
    };
    let unused = record().await;
    let use_it = async |times: usize| {
        let statuses = join_all((0..times).map(|number| key_status(&fleet.pods[number % 3], &created_key.key))).await;
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    };
    use_it(60).await;
    let used = until("the use of the key to be recorded", PATIENCE, async || {
        let now = record().await;
        (now != unused).then_some(now)
    })
    .await;
    // A pod that cached the key earlier reads the record again before it writes, and finds a recent use.
    for _ in 0..5 {
        use_it(60).await;
        assert!(record().await == used, "the use was recorded again");
    }
    let listed = list(&fleet.pods[1], Auth::Session(&session), "").await;
    assert!(listed["keys"][0]["last_used"].is_string(), "{listed}");
}
