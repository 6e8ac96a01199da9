//! A person is asked, agrees or doesn't, and the application learns of it where it said.

use super::{EDITOR, address, asked, assert_sealed, decide, fields, for_redirect, key_at_check};
use crate::login::one_pod::OnePod;
use crate::shared::deployment;
use crate::support::agent::Agent;
use crate::support::pod::PodOptions;
use crate::support::steps::{ALICE, BOB, at, at_provider, session_of, sign_in};

/// A field, or a header.
type Pair<'a> = (&'a str, &'a str);

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_gets_a_key_that_counts_on_every_pod_over_three_pods() {
    let deployment = deployment().await;
    let [first, second, third] = &deployment.pods[..] else { panic!("three pods") };
    let agent = Agent::new();
    let page =
        agent.follow_until(agent.get(&first.public(&for_redirect(EDITOR))).await, |to| !to.as_str().contains("/sso/")).await;
    let callback = at_provider(&deployment.idp, &agent, page, ALICE).await;
    let page = agent.get(&at(second, &callback)).await;
    let page = agent.get(&at(third, &page.location().expect("back to the application's address"))).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("vscode://publisher.ext"), "{}", page.body);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("form-action 'self' vscode:") && policy.contains("frame-ancestors 'none'"), "{policy}");

    let answer = decide(&agent, &page, "allow").await;
    let target = answer.location().expect("to the application");
    assert!(target.as_str().starts_with("vscode://publisher.ext/callback?window=1&access_token=sk-"), "{target}");
    let told = fields(&target);
    assert_eq!((told["token_type"].as_str(), told["state"].as_str()), ("Bearer", "s t&1"));
    let left: u64 = told["expires_in"].parse().unwrap();
    assert!((86_340..=86_400).contains(&left), "{left}");
    for pod in &deployment.pods {
        let (status, id) = key_at_check(pod, &told["access_token"]).await;
        assert!(status == 200 && !id.is_empty(), "{status} {id}");
        assert!(!pod.log().contains(&told["access_token"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_before_the_person_agrees_and_nothing_when_they_refuse() {
    let site = OnePod::start(|_| (), |_| ()).await;
    let agent = Agent::new();
    let page = asked(&site, &agent, &for_redirect(EDITOR)).await;
    let again = agent.get(&site.pod.public(&for_redirect(EDITOR))).await;
    assert_eq!(again.status, 200, "it is asked each time: {}", again.body);
    assert_sealed(&again);
    let target = decide(&agent, &page, "deny").await.location().expect("to the application");
    let told = fields(&target);
    assert_eq!((told["error"].as_str(), told["state"].as_str()), ("access_denied", "s t&1"));
    assert!(!told.contains_key("access_token") && told["error_description"].ends_with('.'));
    assert_eq!(keys_made(&site).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_redirect_the_answer_is_json_and_a_fragment_stays_out_of_the_query() {
    let site = OnePod::start(|_| (), |_| ()).await;
    let agent = Agent::new();
    let page = asked(&site, &agent, &address(&[("response_type", "oauth_token")])).await;
    let answer = decide(&agent, &page, "allow").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = answer.json();
    assert_eq!(told["token_type"], "Bearer");
    assert_eq!(key_at_check(&site.pod, told["access_token"].as_str().unwrap()).await.0, 200);

    let loopback = [("redirect_uri", "http://127.0.0.1:51234/cb?run=7"), ("response_mode", "fragment")];
    let path = address(&[&[("response_type", "oauth_token")][..], &loopback].concat());
    let page = agent.get(&site.pod.public(&path)).await;
    assert!(page.body.contains("127.0.0.1:51234"), "{}", page.body);
    let target = decide(&agent, &page, "allow").await.location().unwrap();
    assert!(target.as_str().starts_with("http://127.0.0.1:51234/cb?run=7#access_token=sk-"), "{target}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_host_is_remembered_by_its_exact_address_and_for_that_person_alone() {
    let listed = |pod: &mut PodOptions| pod.further = "apps: {redirect_hosts: [app.example.com]}\n".to_owned();
    let site = OnePod::start(|_| (), listed).await;
    let agent = Agent::new();
    let path = for_redirect("https://app.example.com/cb");
    let page = asked(&site, &agent, &path).await;
    assert!(decide(&agent, &page, "allow").await.location().unwrap().as_str().contains("access_token=sk-"));

    let at_once = agent.get(&site.pod.public(&path)).await;
    assert!(at_once.location().unwrap().as_str().starts_with("https://app.example.com/cb?access_token=sk-"), "{}", at_once.body);
    let elsewhere = agent.get(&site.pod.public(&for_redirect("https://app.example.com/cb2"))).await;
    assert_eq!(elsewhere.status, 200, "another address asks again");
    let other = Agent::new();
    sign_in(&site.idp, &other, &site.pod, BOB).await;
    assert_eq!(other.get(&site.pod.public(&path)).await.status, 200, "another person is asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_from_our_own_page_makes_no_key() {
    let site = OnePod::start(|_| (), |_| ()).await;
    let agent = Agent::new();
    let page = asked(&site, &agent, &for_redirect(EDITOR)).await;
    let (form, session) = (page.form(), session_of(&agent));
    let own: Vec<(&str, &str)> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let with = |csrf: &'static str| -> Vec<(&str, &str)> {
        own.iter()
            .map(|(name, value)| (*name, if *name == "csrf" { csrf } else { *value }))
            .chain([("decision", "allow")])
            .collect()
    };
    let whole: Vec<(&str, &str)> = own.iter().copied().chain([("decision", "allow")]).collect();
    let here = ("sec-fetch-site", "same-origin");
    let cases: [(&str, Vec<Pair>, Vec<Pair>); 5] = [
        ("another site", whole.clone(), vec![("sec-fetch-site", "cross-site")]),
        ("a sibling", whole.clone(), vec![("sec-fetch-site", "same-site")]),
        ("another origin", whole.clone(), vec![("origin", "https://evil.example")]),
        ("no token", with(""), vec![here]),
        ("a wrong token", with("AAAA"), vec![here]),
    ];
    for (what, fields, headers) in cases {
        let answer = agent.post_with(form.action.as_str(), &fields, &headers).await;
        assert_eq!((answer.status, answer.location()), (403, None), "{what}: {}", answer.body);
        assert_sealed(&answer);
    }
    let stranger = Agent::new();
    sign_in(&site.idp, &stranger, &site.pod, BOB).await;
    assert_ne!(session_of(&stranger), session);
    assert_eq!(stranger.submit(&form, &[("decision", "allow")]).await.status, 403, "another session's token");
    assert_eq!(keys_made(&site).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_application_ten_keys_live_and_the_oldest_goes_first() {
    let site = OnePod::start(|_| (), |_| ()).await;
    let agent = Agent::new();
    sign_in(&site.idp, &agent, &site.pod, ALICE).await;
    let mut keys = Vec::new();
    for run in 0..11 {
        // Another port and query each time: it is one application all the same.
        let redirect = format!("http://localhost:{}/cb?run={run}", 50_000 + run);
        keys.push(given(&site, &agent, &redirect).await);
    }
    let other = given(&site, &agent, "http://localhost:50000/other").await;
    let mut statuses = Vec::new();
    for key in &keys {
        statuses.push(key_at_check(&site.pod, key).await.0);
    }
    assert_eq!(statuses, [&[401][..], &[200; 10]].concat());
    assert_eq!(key_at_check(&site.pod, &other).await.0, 200);
}

async fn given(site: &OnePod, agent: &Agent, redirect: &str) -> String {
    let page = agent.get(&site.pod.public(&for_redirect(redirect))).await;
    fields(&decide(agent, &page, "allow").await.location().expect("to the application"))["access_token"].clone()
}

async fn keys_made(site: &OnePod) -> f64 {
    site.pod.metric("vestibule_key_changes_total", &[r#"change="made""#]).await
}
