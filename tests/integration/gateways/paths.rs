//! Access rules behind every gateway: a refused path is not reachable by any spelling, and the check sees the upstream's path.

use super::{Caller, GatewayFleet, is_from_upstream};
use crate::nginx::path_spellings::table::{OTHER_PATHS, RESTRICTED_PATHS, is_restricted};
use crate::support::gateway::RunningGateway;
use crate::support::raw_http::{self, Answer};

async fn send(shared: &GatewayFleet, to: &RunningGateway, path: &[u8], caller: Caller) -> Option<Answer> {
    let credential = shared.credential(caller).map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
    let rest = format!(" HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n{credential}Connection: close\r\n\r\n");
    raw_http::send_bytes_to(to.address, &[b"GET ", path, rest.as_bytes()].concat()).await
}

/// The path that the upstream received, byte by byte.
fn upstream_path(answer: &Answer) -> Option<Vec<u8>> {
    let path = is_from_upstream(answer).then(|| answer.json()["path"].as_str().map(str::to_owned))??;
    Some(path.chars().map(|char| u8::try_from(u32::from(char)).expect("node reads bytes as Latin-1")).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_path_is_not_reachable_by_any_spelling_behind_any_gateway() {
    let shared = GatewayFleet::shared().await;
    shared
        .gateways
        .each(async |to| {
            let mut by_admin = 0;
            for path in RESTRICTED_PATHS {
                let context = format!("{:?}: {}", to.gateway, path.escape_ascii());
                for caller in [Caller::User, Caller::Anonymous] {
                    let Some(answer) = send(shared, to, path, caller).await else { continue };
                    // A gateway that normalizes paths may lead it elsewhere.
                    let reached = upstream_path(&answer).filter(|path| !to.gateway.normalizes_paths() || is_restricted(path));
                    assert!(reached.is_none(), "{context}: {caller:?} reached the upstream: {answer:?}");
                    assert!((400..500).contains(&answer.status) || answer.status == 200, "{context}: {answer:?}");
                }
                let answer = send(shared, to, path, Caller::Admin).await;
                by_admin +=
                    usize::from(answer.and_then(|answer| upstream_path(&answer)).is_some_and(|path| is_restricted(&path)));
            }
            // Shows that the access rules refuse bob, and not the gateway.
            assert!(by_admin > 20, "{:?}: by {by_admin} spellings", to.gateway);
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_reach_the_upstream_as_they_were_sent_or_normalized() {
    let shared = GatewayFleet::shared().await;
    shared
        .gateways
        .each(async |to| {
            for path in OTHER_PATHS {
                let answer = send(shared, to, path, Caller::User).await;
                let context = format!("{:?}: {}: {answer:?}", to.gateway, path.escape_ascii());
                let received = answer.as_ref().and_then(upstream_path).unwrap_or_else(|| panic!("{context}"));
                assert!(to.gateway.normalizes_paths() || received == *path, "{context}");
                assert!(!is_restricted(&received), "{context}");
            }
        })
        .await;
}
