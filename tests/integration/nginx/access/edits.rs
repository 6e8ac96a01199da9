//! The access section is edited while requests are sent.

use std::time::Duration;

use super::{ask, fleet, role_map};
use crate::support::auth_request::send_to_check;
use crate::support::fleet::Fleet;
use crate::support::pod::{self, Pod};
use crate::support::steps::IDENTITY_HEADERS;

/// The documented bound is one second; the rest is for the load of the machine.
const BOUND: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(20);

/// Only changes the rule of `/edited/`: other tests use the rest.
fn edit(fleet: &Fleet, rule: &str) {
    let old = "{paths: [/edited/**], allow: nobody}";
    let document = role_map().replace(old, rule);
    fleet.pods.iter().for_each(|pod| pod.edit_role_map(&document));
}

async fn status_at(pod: &Pod) -> u16 {
    let headers = [("x-original-url", "http://localhost/edited/x"), ("x-original-method", "GET")];
    let answer = send_to_check(pod, "GET", "/auth/nginx", &headers).await;
    assert!(answer.status == 200 || IDENTITY_HEADERS.iter().all(|name| answer.all(name).is_empty()), "{answer:?}");
    answer.status
}

async fn until_everywhere(fleet: &Fleet, expected: u16) -> Duration {
    let what = format!("{expected} from every pod");
    pod::until_everywhere(&fleet.pods, &what, PATIENCE, async |pod| status_at(pod).await == expected).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_the_access_rules_applies_on_three_pods_within_a_second() {
    let fleet = fleet().await;
    let steps = [
        ("{paths: [/edited/**], allow: anyone}", 200, 200),
        ("{paths: [/edited/**], roles: [proxy_admin]}", 401, 401),
        ("{paths: [/edited/**], allow: nobody}", 403, 403),
    ];
    for (rule, at_the_check, through_nginx) in steps {
        edit(fleet, rule);
        let took = until_everywhere(fleet, at_the_check).await;
        println!("{rule}: on three pods after {took:?}");
        assert!(took < BOUND, "{rule}: {took:?}");
        for _ in 0..6 {
            assert_eq!(ask(fleet, "GET", "/edited/x", &[]).await.status, through_nginx, "{rule}");
        }
    }
}
