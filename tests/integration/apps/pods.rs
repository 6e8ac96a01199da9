//! Applications' keys over three pods that share a Redis cluster.

use std::collections::HashSet;

use futures::future::join_all;

use super::{EDITOR, address, decide, fields, for_redirect, key_at_check};
use crate::support::agent::Agent;
use crate::support::fleet::Fleet;
use crate::support::pod::PodOptions;
use crate::support::steps::ALICE;

async fn fleet() -> Fleet {
    let with_redirect_hosts = |pod: &mut PodOptions| pod.further += "apps: {redirect_hosts: [app.example.com]}\n";
    Fleet::builder().pods(3).cluster().idp().config(with_redirect_hosts).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_authorizations_on_three_pods_give_ten_keys_that_every_pod_accepts() {
    let fleet = fleet().await;
    let agent = fleet.signed_in(ALICE).await;
    let consents = (0..15).map(async |number| {
        let page = agent.get(&fleet.pods[number % 3].public(&for_redirect(EDITOR))).await;
        fields(&decide(&agent, &page, "allow").await.location().expect("to the application"))
    });
    let answers = join_all(consents).await;
    let keys: HashSet<&String> = answers.iter().filter_map(|answer| answer.get("access_token")).collect();
    assert_eq!(keys.len(), 10);
    assert!(answers.iter().filter_map(|answer| answer.get("error")).all(|error| error == "access_denied"), "{answers:?}");
    for pod in &fleet.pods {
        for key in &keys {
            assert_eq!(key_at_check(pod, key).await.0, 200, "a key younger than a minute is not ended");
        }
    }
    let bearer = format!("Bearer {}", keys.iter().next().expect("ten of them"));
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
    let by_click = [("sec-fetch-user", "?1"), ("referer", "https://app.example.com/")];
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
