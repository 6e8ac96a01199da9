//! A user allows or denies an application's request, and the application receives the result at its redirect URI.

use std::{collections::HashMap, time::Duration};

use reqwest::Method;
use serde_json::json;

use super::{EDITOR, address, assert_not_cached, authorization_page, decide, fields, for_redirect, key_at_check};
use crate::support::agent::Agent;
use crate::support::api::{self, Auth};
use crate::support::fleet::Fleet;
use crate::support::pod::{Pod, PodOptions};
use crate::support::steps::{ALICE, BOB, assert_page, at, at_provider, restart_target, session_of, sign_in};
use crate::support::wait::until;

const PATIENCE: Duration = Duration::from_secs(30);

/// A field, or a header.
type Pair<'a> = (&'a str, &'a str);

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_gets_a_key_that_every_pod_accepts() {
    let fleet = Fleet::shared().await;
    let [first, second, third] = &fleet.pods[..] else { panic!("three pods") };
    let agent = Agent::new();
    let page =
        agent.follow_until(agent.get(&first.public(&for_redirect(EDITOR))).await, |to| !to.as_str().contains("/sso/")).await;
    let callback = at_provider(fleet.idp(), &agent, page, ALICE).await;
    let page = agent.get(&at(second, &callback)).await;
    let page = agent.get(&at(third, &page.location().expect("back to the application's address"))).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("vscode://publisher.ext"), "{}", page.body);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("form-action 'self' vscode:") && policy.contains("frame-ancestors 'none'"), "{policy}");

    let answer = decide(&agent, &page, "allow").await;
    let target = answer.location().expect("to the application");
    assert!(target.as_str().starts_with("vscode://publisher.ext/callback?window=1&access_token=sk-"), "{target}");
    let parameters = fields(&target);
    assert_eq!((parameters["token_type"].as_str(), parameters["state"].as_str()), ("Bearer", "s t&1"));
    let remaining: u64 = parameters["expires_in"].parse().unwrap();
    assert!((86_340..=86_400).contains(&remaining), "{remaining}");
    for pod in &fleet.pods {
        let (status, id) = key_at_check(pod, &parameters["access_token"]).await;
        assert!(status == 200 && !id.is_empty(), "{status} {id}");
        assert!(!pod.log().contains(&parameters["access_token"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_is_created_before_the_user_allows_it_or_after_the_user_denies_it() {
    let fleet = Fleet::builder().idp().start().await;
    let agent = Agent::new();
    let page = authorization_page(&fleet, &agent, &for_redirect(EDITOR)).await;
    let again = agent.get(&fleet.pod(0).public(&for_redirect(EDITOR))).await;
    assert_eq!(again.status, 200, "the user is asked each time: {}", again.body);
    assert_not_cached(&again);
    let target = decide(&agent, &page, "deny").await.location().expect("to the application");
    let parameters = fields(&target);
    assert_eq!((parameters["error"].as_str(), parameters["state"].as_str()), ("access_denied", "s t&1"));
    assert!(!parameters.contains_key("access_token") && parameters["error_description"].ends_with('.'));
    assert_eq!(keys_made(&fleet).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_redirect_uri_the_answer_is_json_and_a_fragment_stays_out_of_the_query() {
    let fleet = Fleet::builder().idp().start().await;
    let agent = Agent::new();
    let page = authorization_page(&fleet, &agent, &address(&[("response_type", "oauth_token")])).await;
    let answer = decide(&agent, &page, "allow").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = answer.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(key_at_check(fleet.pod(0), body["access_token"].as_str().unwrap()).await.0, 200);

    let loopback = [("redirect_uri", "http://127.0.0.1:51234/cb?run=7"), ("response_mode", "fragment")];
    let path = address(&[&[("response_type", "oauth_token")][..], &loopback].concat());
    let page = agent.get(&fleet.pod(0).public(&path)).await;
    assert!(page.body.contains("127.0.0.1:51234"), "{}", page.body);
    let target = decide(&agent, &page, "allow").await.location().unwrap();
    assert!(target.as_str().starts_with("http://127.0.0.1:51234/cb?run=7#access_token=sk-"), "{target}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_consent_for_a_listed_host_applies_to_one_exact_url_and_one_user() {
    let listed = |pod: &mut PodOptions| pod.further = "apps: {redirect_hosts: [app.example.com]}\n".to_owned();
    let fleet = Fleet::builder().idp().config(listed).start().await;
    let agent = Agent::new();
    let path = for_redirect("https://app.example.com/cb");
    let page = authorization_page(&fleet, &agent, &path).await;
    assert!(decide(&agent, &page, "allow").await.location().unwrap().as_str().contains("access_token=sk-"));

    let key_count = keys_made(&fleet).await;
    let by_click = [
        ("sec-fetch-user", "?1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("referer", "https://app.example.com/"),
    ];
    let on = agent.get_with(&fleet.pod(0).public(&path), &by_click).await;
    assert!(on.body.contains("Continue to <bdi>app.example.com</bdi>") && on.status == 200, "{}", on.body);
    assert_eq!(keys_made(&fleet).await, key_count, "a GET creates no key");
    let policy = on.header("content-security-policy").unwrap();
    assert!(policy.contains(&format!("script-src {};", fleet.pod(0).public("/vestibule/assets/"))), "{policy}");
    // Sent by the page's script, or by the user.
    assert!(decide(&agent, &on, "allow").await.location().unwrap().as_str().contains("access_token=sk-"));

    let asks = async |agent: &Agent, path: &str, headers: &[(&str, &str)]| {
        let page = agent.get_with(&fleet.pod(0).public(path), headers).await;
        assert_eq!(page.status, 200, "{}", page.body);
        page.body.contains(">Authorize</button>") && !page.body.contains("<script")
    };
    assert!(asks(&agent, &path, &by_click[3..]).await, "without a click the user is asked");
    for referer in ["", "https://evil.example/", "http://app.example.com/", "https://app.example.com:8443/", "null"] {
        let elsewhere = [&by_click[..3], &[("referer", referer)]].concat();
        assert!(asks(&agent, &path, &elsewhere).await, "after a click on {referer:?} the user is asked");
    }
    let mark = format!("{path}&from_application=AAAA");
    assert!(asks(&agent, &mark, &by_click[..3]).await, "with a forged mark the user is asked");
    assert!(asks(&agent, &for_redirect("https://app.example.com/cb2"), &by_click).await, "another URL is asked about");
    let other = Agent::new();
    sign_in(fleet.idp(), &other, fleet.pod(0), BOB).await;
    assert!(asks(&other, &path, &by_click).await, "another user is asked");

    let keys = agent.get(&fleet.pod(0).public("/vestibule/keys")).await;
    assert!(keys.body.contains("name=\"redirect_uri\" value=\"https://app.example.com/cb\""), "{}", keys.body);
    let forget = [("action", "forget"), ("redirect_uri", "https://app.example.com/cb")];
    assert_eq!(agent.submit(&keys.form(), &forget).await.status, 303);
    assert!(asks(&agent, &path, &by_click).await, "the consent is withdrawn");
    assert!(!agent.get(&fleet.pod(0).public("/vestibule/keys")).await.body.contains("name=\"redirect_uri\""));

    // The same through the JSON API.
    decide(&agent, &agent.get(&fleet.pod(0).public(&path)).await, "allow").await;
    let session = session_of(&agent);
    let redirects = "/vestibule/api/redirects";
    let listed = async || api::call(fleet.pod(0), Auth::Session(&session), Method::GET, redirects, None).await.json();
    assert_eq!(listed().await["redirect_uris"], json!(["https://app.example.com/cb"]));
    let one = format!("{redirects}?redirect_uri=https%3A%2F%2Fapp.example.com%2Fcb");
    assert_eq!(api::call(fleet.pod(0), Auth::Session(&session), Method::DELETE, &one, None).await.status(), 200);
    assert_eq!(listed().await["redirect_uris"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_is_too_old_is_repeated_through_a_link_because_of_form_action() {
    let soon = |pod: &mut PodOptions| pod.further = "keys: {sign_in_within: 3s}\n".to_owned();
    let fleet = Fleet::builder().idp().config(soon).start().await;
    let agent = Agent::new();
    let page = authorization_page(&fleet, &agent, &for_redirect(EDITOR)).await;
    let keys_url = fleet.pod(0).public("/vestibule/keys");
    let keys = agent.get(&keys_url).await;
    let stale = until("the sign-in to be too long ago", PATIENCE, async || {
        let page = agent.get(&keys_url).await;
        page.body.contains("Your last sign-in was too long ago").then_some(page)
    })
    .await;
    assert!(!stale.body.contains("value=\"make\""), "{}", stale.body);
    let answers = [
        (decide(&agent, &page, "allow").await, "/sso/key/generate"),
        (agent.submit(&keys.form(), &[("action", "make"), ("key_alias", "x"), ("duration", "1d")]).await, "/vestibule/keys"),
    ];
    for (answer, back_to) in answers {
        assert_page(&answer, 401, "Sign in again");
        assert!(restart_target(&answer).starts_with(back_to), "{}", answer.body);
    }
    assert_eq!(keys_made(&fleet).await, 0.0);
    let again = agent.get(&fleet.pod(0).public(&for_redirect(EDITOR))).await;
    assert_eq!(again.location().expect("to sign in").path(), "/sso/login");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_from_another_page_creates_no_key() {
    let fleet = Fleet::builder().idp().start().await;
    let agent = Agent::new();
    let page = authorization_page(&fleet, &agent, &for_redirect(EDITOR)).await;
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
    let cases: [(&str, Vec<Pair>, Vec<Pair>); 7] = [
        ("another site", whole.clone(), vec![("sec-fetch-site", "cross-site")]),
        ("a sibling", whole.clone(), vec![("sec-fetch-site", "same-site")]),
        ("another origin", whole.clone(), vec![("origin", "https://evil.example")]),
        ("a script of our origin", whole.clone(), vec![here, ("sec-fetch-mode", "cors")]),
        ("a frame of our origin", whole.clone(), vec![here, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]),
        ("no token", with(""), vec![here]),
        ("a wrong token", with("AAAA"), vec![here]),
    ];
    for (what, fields, headers) in cases {
        let answer = agent.post_with(form.action.as_str(), &fields, &headers).await;
        assert_eq!((answer.status, answer.location()), (403, None), "{what}: {}", answer.body);
        assert_not_cached(&answer);
    }
    let other_browser = Agent::new();
    sign_in(fleet.idp(), &other_browser, fleet.pod(0), BOB).await;
    assert_ne!(session_of(&other_browser), session);
    assert_eq!(other_browser.submit(&form, &[("decision", "allow")]).await.status, 403, "another session's token");
    assert_eq!(keys_made(&fleet).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn twelve_quick_authorizations_end_no_key_and_later_ones_end_the_oldest() {
    let fleet = Fleet::builder().pods(3).standalone().idp().start().await;
    let agent = Agent::new();
    sign_in(fleet.idp(), &agent, fleet.pod(0), ALICE).await;
    let (mut keys, mut refused) = (Vec::new(), 0);
    for run in 0..12_u16 {
        // Another port and query each time still belong to one application.
        let redirect = format!("http://localhost:{}/cb?run={run}", 50_000 + run);
        let answer = answer(fleet.pod(usize::from(run % 3)), &agent, &redirect).await;
        match answer.get("access_token") {
            Some(key) => keys.push(key.clone()),
            None => {
                assert_eq!(answer["error"], "access_denied", "{answer:?}");
                refused += 1;
            }
        }
    }
    assert_eq!((keys.len(), refused), (10, 2));
    let statuses = async || {
        let mut statuses = Vec::new();
        for key in &keys {
            statuses.push(key_at_check(fleet.pod(0), key).await.0);
        }
        statuses
    };
    assert_eq!(statuses().await, [200; 10], "none has ended");

    let (_, oldest) = key_at_check(fleet.pod(0), &keys[0]).await;
    fleet.change_key(&oldest, |key| key.created -= Duration::from_secs(60)).await;
    let next = answer(fleet.pod(1), &agent, "http://localhost:50012/cb").await["access_token"].clone();
    let other = answer(fleet.pod(2), &agent, "http://localhost:50000/other").await["access_token"].clone();
    until("the oldest key to end", PATIENCE, async || (key_at_check(fleet.pod(0), &keys[0]).await.0 == 401).then_some(())).await;
    assert_eq!(statuses().await, [&[401][..], &[200; 9]].concat());
    for key in [next, other] {
        assert_eq!(key_at_check(fleet.pod(0), &key).await.0, 200);
    }
}

/// The fields that the application receives after the user has agreed.
async fn answer(pod: &Pod, agent: &Agent, redirect: &str) -> HashMap<String, String> {
    let page = agent.get(&pod.public(&for_redirect(redirect))).await;
    fields(&decide(agent, &page, "allow").await.location().expect("to the application"))
}

async fn keys_made(fleet: &Fleet) -> f64 {
    fleet.pod(0).metric("vestibule_key_changes_total", &[r#"change="made""#]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_app_gets_a_key_at_a_private_use_uri_with_one_slash() {
    let fleet = Fleet::builder().idp().yaml("apps: {redirect_schemes: [com.example.app]}\n").start().await;
    let agent = Agent::new();
    let page = authorization_page(&fleet, &agent, &for_redirect("com.example.app:/callback")).await;
    assert!(page.body.contains("com.example.app:/"), "{}", page.body);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("form-action 'self' com.example.app:;"), "{policy}");
    let target = decide(&agent, &page, "allow").await.location().expect("to the application");
    assert!(target.as_str().starts_with("com.example.app:/callback?access_token=sk-"), "{target}");
    assert_eq!(key_at_check(fleet.pod(0), &fields(&target)["access_token"]).await.0, 200);
    for other in ["com.example.app:callback", "com.example.app:/.//evil.example/", "com.example.other:/callback", "vscode:/ext"] {
        let answer = agent.get(&fleet.pod(0).public(&for_redirect(other))).await;
        assert_eq!((answer.status, answer.location()), (400, None), "{other}: {}", answer.body);
    }
}
