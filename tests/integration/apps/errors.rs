//! Failures are reported to the application; an invalid request is not redirected.

use super::{EDITOR, address, assert_not_cached, fields, for_redirect};
use crate::support::agent::Agent;
use crate::support::fleet::Fleet;
use crate::support::http_client;
use crate::support::pod::PodOptions;
use crate::support::proxy::FaultProxy;
use crate::support::redis::{Options, Standalone};
use crate::support::steps::{ALICE, BOB, at, at_provider, sign_in};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_allowed_is_400_without_a_redirect() {
    let fleet = Fleet::builder().idp().start().await;
    let agent = Agent::new();
    sign_in(fleet.idp(), &agent, fleet.pod(0), ALICE).await;
    let token = ("response_type", "oauth_token");
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[token, ("redirect_uri", "https://evil.example/cb")], "invalid_request"),
        (&[token, ("redirect_uri", "javascript:alert(1)")], "invalid_request"),
        (&[token, ("redirect_uri", "http://localhost\r\n:1/")], "invalid_request"),
        (&[("response_type", "code"), ("redirect_uri", EDITOR)], "unsupported_response_type"),
        (&[("redirect_uri", "https://evil.example/cb")], "invalid_request"),
        (&[token, token], "invalid_request"),
        (&[token, ("response_mode", "form_post")], "invalid_request"),
    ];
    for browser in [&agent, &Agent::new()] {
        for (parameters, code) in cases {
            let answer = browser.get(&fleet.pod(0).public(&address(parameters))).await;
            assert_eq!((answer.status, answer.location()), (400, None), "{parameters:?}: {}", answer.body);
            assert_eq!(answer.json()["error"], code, "{parameters:?}");
            assert_not_cached(&answer);
        }
    }
    let page = agent.get(&fleet.pod(0).public("/sso/key/generate")).await;
    assert_eq!(page.location().unwrap().path(), "/vestibule/keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_refusal_is_reported_to_the_application() {
    let fleet = Fleet::builder().idp().start().await;
    let agent = Agent::new();
    let page = agent.browse_until_away(&fleet.pod(0).public(&for_redirect(EDITOR))).await;
    let callback = fleet.idp().cancel(&agent, page).await.location().expect("back to us");
    let answer = agent.get(&at(fleet.pod(0), &callback)).await;
    let target = answer.location().unwrap_or_else(|| panic!("{}", answer.body));
    assert!(target.as_str().starts_with("vscode://publisher.ext/callback?window=1&error=access_denied&"), "{target}");
    assert_eq!(fields(&target)["state"], "s t&1");
    assert_not_cached(&answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_role_and_a_failed_sign_in_are_reported_to_the_application() {
    let nobody = |pod: &mut PodOptions| pod.role_map = Some("{version: 1, default_role: none}".to_owned());
    let fleet = Fleet::builder().idp().config(nobody).start().await;
    let agent = Agent::new();
    let page = agent.browse_until_away(&fleet.pod(0).public(&for_redirect(EDITOR))).await;
    let callback = at_provider(fleet.idp(), &agent, page, BOB).await;
    let target = agent.get(&at(fleet.pod(0), &callback)).await.location().expect("to the application");
    assert_eq!(fields(&target)["error"], "access_denied");

    let page = agent.browse_until_away(&fleet.pod(0).public(&address(&[("response_type", "oauth_token")]))).await;
    let callback = page.location().filter(|to| to.path() == "/sso/callback");
    let callback = match callback {
        Some(callback) => callback,
        None => at_provider(fleet.idp(), &agent, page, BOB).await,
    };
    fleet.idp().fail().await;
    let answer = agent.get(&at(fleet.pod(0), &callback)).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some("server_error")), "{}", answer.body);
    fleet.idp().resume().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_error_code_is_reported_if_applications_know_it() {
    let fleet = Fleet::builder().idp().start().await;
    for (provider_code, reported) in [
        ("temporarily_unavailable", "temporarily_unavailable"),
        ("login_required", "login_required"),
        ("consent_required", "consent_required"),
        ("invalid_scope", "server_error"),
        ("no_such_word", "server_error"),
    ] {
        let agent = Agent::new();
        let page = agent.browse_until_away(&fleet.pod(0).public(&for_redirect(EDITOR))).await;
        let state = page
            .location()
            .expect("to the provider")
            .query_pairs()
            .find(|(name, _)| name == "state")
            .expect("a state")
            .1
            .into_owned();
        let query = [("error", provider_code), ("state", &state), ("iss", fleet.idp().issuer())];
        let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let answer = agent.get(&fleet.pod(0).public(&format!("/sso/callback?{query}"))).await;
        let target = answer.location().unwrap_or_else(|| panic!("{provider_code}: {}", answer.body));
        assert_eq!(
            (fields(&target)["error"].as_str(), fields(&target)["state"].as_str()),
            (reported, "s t&1"),
            "{provider_code}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_login_flow_is_reported_to_the_application_if_the_browser_has_its_target() {
    let mut fleet = Fleet::builder().idp().start().await;
    let in_cookies = format!("vscode://publisher.ext/{}", "a".repeat(1000));
    for redirect in [EDITOR, &in_cookies] {
        let agent = Agent::new();
        let page = agent.browse_until_away(&fleet.pod(0).public(&for_redirect(redirect))).await;
        let callback = at_provider(fleet.idp(), &agent, page, ALICE).await;
        // The memory store is empty, as after ten minutes.
        fleet.pods[0].restart().await;
        let answer = agent.get(&at(fleet.pod(0), &callback)).await;
        let target = answer.location().unwrap_or_else(|| panic!("{redirect}: {}", answer.body));
        assert!(target.as_str().starts_with(redirect), "{target}");
        assert_eq!((&*fields(&target)["error"], &*fields(&target)["state"]), ("invalid_request", "s t&1"));
        let without_cookies = Agent::new().get(&at(fleet.pod(0), &callback)).await;
        let has_target = without_cookies.location().is_some_and(|target| target.as_str().starts_with(redirect));
        assert_eq!(has_target, redirect == EDITOR, "a short target is in the state: {}", without_cookies.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_store_is_reported_before_and_after_the_provider() {
    let redis = Standalone::start(Options::default()).await;
    let proxy = FaultProxy::start(redis.node.port()).await;
    let with_redis = |pod: &mut PodOptions| pod.store = vec![format!("url: {}", proxy.url())];
    let fleet = Fleet::builder().idp().config(with_redis).start().await;
    let agent = Agent::new();
    let page = agent.browse_until_away(&fleet.pod(0).public(&for_redirect(EDITOR))).await;
    let callback = at(fleet.pod(0), &at_provider(fleet.idp(), &agent, page, ALICE).await);
    proxy.refuse();
    let begun = agent.browse_until_away(&fleet.pod(0).public(&for_redirect(EDITOR))).await;
    let finished = agent.get(&callback).await;
    for answer in [begun, finished] {
        let target = answer.location().unwrap_or_else(|| panic!("{}: {}", answer.url, answer.body));
        assert_eq!(fields(&target)["error"], "temporarily_unavailable", "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_handler_have_the_same_headers() {
    let fleet = Fleet::builder().idp().start().await;
    let url = fleet.pod(0).public("/sso/key/generate");
    let http = http_client();
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (method, header, body, status) in [
        ("PUT", form, "", 405),
        ("OPTIONS", ("origin", "https://evil.example"), "", 204),
        ("POST", form, "%", 401),
        ("POST", ("content-type", "text/plain"), "x", 400),
    ] {
        let request = http.request(method.parse().unwrap(), &url).header(header.0, header.1).body(body);
        let answer = request.send().await.unwrap();
        for (name, value) in [("cache-control", "no-store"), ("pragma", "no-cache"), ("referrer-policy", "no-referrer")] {
            let found = answer.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(found, Some(value), "{name} of {method}");
        }
        assert!([status, 400].contains(&answer.status().as_u16()), "{method}: {}", answer.status());
        assert_eq!(answer.headers().get_all("vary").iter().filter(|value| *value == "Origin").count(), 1, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_in_another_browser_shows_the_user_a_page_and_reports_nothing_to_the_application() {
    let fleet = Fleet::builder().idp().start().await;
    let (mine, thief) = (Agent::new(), Agent::new());
    let page = mine.browse_until_away(&fleet.pod(0).public(&for_redirect(EDITOR))).await;
    let callback = at_provider(fleet.idp(), &mine, page, ALICE).await;
    let answer = thief.get(&at(fleet.pod(0), &callback)).await;
    assert_eq!((answer.status, answer.location()), (400, None));
    assert!(answer.body.contains("another browser"), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_survives_the_choice_of_a_provider() {
    let fleet = Fleet::builder().idp().idp().start().await;
    let agent = Agent::new();
    let path = format!("{}&response_mode=fragment", for_redirect(EDITOR));
    let choice = agent.browse(&fleet.pod(0).public(&path)).await;
    let link = choice.links().into_iter().find(|link| link.as_str().contains("provider=partner")).expect("a choice");
    let page = agent.get(link.as_str()).await;
    let callback = at_provider(fleet.partner_idp(), &agent, page, ALICE).await;
    let page = agent.follow(agent.get(&at(fleet.pod(0), &callback)).await).await;
    let target = super::decide(&agent, &page, "allow").await.location().expect("to the application");
    assert_eq!(fields(&target)["state"], "s t&1");
    assert!(target.as_str().starts_with("vscode://publisher.ext/callback?window=1#access_token=sk-"), "{target}");
}
