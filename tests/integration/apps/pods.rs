//! Applications' keys over three pods that share a Redis cluster.

use std::collections::HashSet;

use futures::future::join_all;

use super::{EDITOR, address, decide, fields, for_redirect, key_at_check};
use crate::support::agent::Agent;
use crate::support::fleet::Fleet;
use crate::support::pod::{Pod, PodOptions, until_everywhere};
use crate::support::steps::ALICE;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

async fn fleet() -> Fleet {
    let with_redirect_hosts = |pod: &mut PodOptions| pod.further += "apps: {redirect_hosts: [app.example.com]}\n";
    Fleet::builder().pods(3).cluster().idp().config(with_redirect_hosts).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_authorizations_on_three_pods_leave_ten_keys_that_every_pod_knows() {
    let fleet = fleet().await;
    let agent = fleet.signed_in(ALICE).await;
    let consents = (0..15).map(async |number| {
        let page = agent.get(&fleet.pods[number % 3].public(&for_redirect(EDITOR))).await;
        fields(&decide(&agent, &page, "allow").await.location().expect("to the application"))["access_token"].clone()
    });
    let keys: Vec<String> = join_all(consents).await;
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 15);
    // The invalidation messages of the revoked keys arrive within moments.
    let settled = async |pod: &Pod| {
        let mut live = 0;
        for key in &keys {
            live += usize::from(key_at_check(pod, key).await.0 == 200);
        }
        live == 10
    };
    until_everywhere(&fleet.pods, "ten live keys", PATIENCE, settled).await;
    let mut last = None;
    for key in &keys {
        if key_at_check(&fleet.pods[0], key).await.0 == 200 {
            last = Some(key);
        }
    }
    let bearer = format!("Bearer {}", last.expect("ten live ones"));
    let url = fleet.pods[1].public(&address(&[("response_type", "oauth_token")]));
    let body = Agent::new().get_with(&url, &[("authorization", &bearer)]).await.json();
    let child = body["access_token"].as_str().expect("a child");
    assert_eq!(key_at_check(&fleet.pods[2], child).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_given_on_one_pod_applies_on_another_and_is_withdrawn_on_a_third() {
    let fleet = fleet().await;
    let agent = fleet.signed_in(ALICE).await;
    let path = for_redirect("https://app.example.com/cb");
    let by_click = [("sec-fetch-user", "?1")];
    let page = agent.get_with(&fleet.pods[0].public(&path), &by_click).await;
    assert!(page.body.contains(">Authorize</button>"), "{}", page.body);
    decide(&agent, &page, "allow").await;
    let page = agent.get_with(&fleet.pods[1].public(&path), &by_click).await;
    assert!(page.body.contains("Continue to <bdi>app.example.com</bdi>"), "{}", page.body);
    let keys = agent.get(&fleet.pods[2].public("/vestibule/keys")).await;
    agent.submit(&keys.form(), &[("action", "forget"), ("redirect_uri", "https://app.example.com/cb")]).await;
    for pod in &fleet.pods {
        let page = agent.get_with(&pod.public(&path), &by_click).await;
        assert!(page.body.contains(">Authorize</button>"), "{}", page.body);
    }
}
