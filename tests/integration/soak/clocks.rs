//! Pods whose clocks are fast or slow: valid sessions are served, and ended ones are refused.

use std::sync::Arc;

use jiff::{SignedDuration, fmt::rfc2822};
use reqwest::header::DATE;
use vestibule::clock::{Clock, SystemClock};

use super::Size;
use super::ledger::Ledger;
use super::load::Load;
use super::users::builder;
use crate::support::pod::Pod;
use crate::support::pod_clock::constant_offset;
use crate::support::redis::Cluster;

const LOGINS: usize = 600;
const OFF_BY: i64 = 90;

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_90_seconds_off_end_no_session_and_accept_no_ended_one() {
    let redis = Cluster::start().await;
    let fleet = builder()
        .pods(3)
        .store_at(redis.url())
        .config(|pod| {
            let off_by = match pod.name.as_str() {
                "pod-1" => format!("+{OFF_BY}s"),
                "pod-2" => format!("-{OFF_BY}s"),
                _ => return,
            };
            pod.environment.extend(constant_offset(&off_by));
        })
        .start()
        .await;
    for (pod, expected) in fleet.pods.iter().zip([0, OFF_BY, -OFF_BY]) {
        let off_by = off_by(&fleet.http, pod).await;
        assert!((off_by.as_secs() - expected).abs() <= 5, "{off_by:?} in the place of {expected} s");
    }
    let ledger = Arc::new(Ledger::new("clocks 90 s ahead and 90 s behind"));
    let cached_users = fleet.cached_users().await;
    let load = Load::start(&fleet, &ledger, &cached_users);
    load.wait_for_logins(Size::from_environment().of(LOGINS)).await;
    load.end().await;
    fleet.print_statistics().await;
    assert!(ledger.suspects().is_empty(), "{:?}", ledger.suspects());
    ledger.print_and_assert();
}

/// The clock's offset, from the date header of an answer.
async fn off_by(http: &reqwest::Client, pod: &Pod) -> SignedDuration {
    let answer = http.get(pod.check("/auth/nginx")).send().await.expect("the pod answers");
    let date = answer.headers()[DATE].to_str().expect("a date is ASCII");
    let date = rfc2822::DateTimeParser::new().parse_timestamp(date).expect("the date has the format of HTTP");
    date.duration_since(SystemClock.now())
}
