//! Unusual request lines and hosts: none bypasses the check or reaches the upstream under another host.

use super::{Caller, GatewayFleet, is_from_upstream};
use crate::nginx::unusual_requests::{ODD, request};
use crate::support::raw_http::{self, Answer};

#[tokio::test(flavor = "multi_thread")]
async fn no_unusual_request_bypasses_a_gateways_check() {
    let shared = GatewayFleet::shared().await;
    shared
        .gateways
        .each(async |to| {
            for odd in ODD {
                for accept in ["Accept: application/json", "Accept: text/html"] {
                    let bytes = request(to.address.port(), odd, &[accept.to_owned()]);
                    let Some(answer) = raw_http::send_bytes_to(to.address, &bytes).await else { continue };
                    assert!(!is_from_upstream(&answer), "{:?}: {odd:?}: {answer:?}", to.gateway);
                    assert_returns_here(shared, &answer, &format!("{:?}: {odd:?}", to.gateway));
                }
            }
        })
        .await;
}

/// A redirect leads to the sign-in, which returns to a path, or from there to the identity provider.
fn assert_returns_here(shared: &GatewayFleet, answer: &Answer, context: &str) {
    if answer.status != 302 {
        return;
    }
    let base = url::Url::parse(&shared.fleet.url("/")).expect("a URL");
    let location = base.join(answer.one("location")).expect("a URL");
    if location.as_str().starts_with(shared.fleet.idp().issuer()) {
        return;
    }
    assert_eq!((location.origin(), location.path()), (base.origin(), "/sso/login"), "{context}: {answer:?}");
    let rd = location.query_pairs().find(|(name, _)| name == "rd").map(|(_, value)| value.into_owned());
    assert!(rd.is_none_or(|rd| rd.starts_with('/')), "{context}: {answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_only_receives_requests_for_the_protected_host() {
    let shared = GatewayFleet::shared().await;
    let (name, cookie) = shared.credential(Caller::Admin).expect("a session");
    let further = [format!("{name}: {cookie}"), "Accept: application/json".to_owned()];
    shared
        .gateways
        .each(async |to| {
            let mut reached = 0;
            for odd in ODD {
                let bytes = request(to.address.port(), odd, &further);
                let Some(answer) = raw_http::send_bytes_to(to.address, &bytes).await else { continue };
                // An upgrade without a WebSocket key may be refused by the gateway.
                if !is_from_upstream(&answer) || answer.body.starts_with('<') {
                    continue;
                }
                reached += 1;
                let received = answer.json();
                let (host, path) = (received["headers"]["host"].as_str().unwrap(), received["path"].as_str().unwrap());
                let name = host.split(':').next().unwrap().trim_end_matches('.');
                assert!(name.eq_ignore_ascii_case("localhost"), "{:?}: {odd:?}: {received}", to.gateway);
                assert_eq!(received["headers"]["x-forwarded-host"], host, "{:?}: {odd:?}", to.gateway);
                assert!(path.starts_with('/'), "{:?}: {odd:?}: {received}", to.gateway);
            }
            assert!(reached > 5, "{:?}: most of them are harmless with a session: {reached}", to.gateway);
        })
        .await;
}
