//! Only the form of our own page signs a user out.

use super::{assert_refused, assert_removes_the_session_cookie, check_status, session_status, sign_out, sign_out_form};
use crate::support::agent::Agent;
use crate::support::fleet::Fleet;
use crate::support::steps::{ALICE, BOB, session_header};

const SAME_ORIGIN: (&str, &str) = ("sec-fetch-site", "same-origin");

async fn assert_still_signed_in(fleet: &Fleet, agent: &Agent) {
    let cookie = session_header(agent);
    for pod in &fleet.pods {
        assert_eq!(check_status(agent, pod, &cookie).await, 200);
    }
    assert_eq!(session_status(agent, &fleet.url("")).await, 200);
}

/// The token in the form of the sign-out page.
async fn token(fleet: &Fleet, agent: &Agent) -> String {
    let form = sign_out_form(agent, &fleet.url("")).await;
    let [(name, token)] = &form.fields[..] else { panic!("{form:?}") };
    assert_eq!(name, "csrf");
    token.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_shows_the_form_and_never_signs_out() {
    let fleet = Fleet::shared().await;
    let agent = fleet.signed_in(ALICE).await;
    let form = sign_out_form(&agent, &fleet.url("")).await;
    assert_eq!(form.action.as_str(), fleet.url("/sso/logout"));
    let token = token(fleet, &agent).await;
    for query in ["", "?confirm=1", &format!("?csrf={token}"), "?logout=yes&rd=/"] {
        let page = agent.get(&fleet.url(&format!("/sso/logout{query}"))).await;
        assert_refused(&page, 200);
        assert_still_signed_in(fleet, &agent).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_without_the_sessions_token_is_refused() {
    let fleet = Fleet::shared().await;
    let (agent, other) = (fleet.signed_in(ALICE).await, fleet.signed_in(BOB).await);
    let (right, of_another) = (token(fleet, &agent).await, token(fleet, &other).await);
    let (longer, other_case) = (format!("{right}A"), right.to_ascii_uppercase());
    let url = fleet.url("/sso/logout");
    for wrong in ["", "x", "AAAA", &of_another, &right[1..], &longer, &other_case] {
        assert_refused(&agent.post_with(&url, &[("csrf", wrong)], &[SAME_ORIGIN]).await, 403);
    }
    assert_refused(&agent.post_with(&url, &[], &[SAME_ORIGIN]).await, 403);
    assert_refused(&agent.post_with(&url, &[("CSRF", &right)], &[SAME_ORIGIN]).await, 403);
    assert_refused(&agent.post_with(&format!("{url}?csrf={right}"), &[], &[SAME_ORIGIN]).await, 403);
    assert_refused(&agent.post_with(&url, &[("csrf", &right), ("csrf", "x")], &[SAME_ORIGIN]).await, 400);
    assert_still_signed_in(fleet, &agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_from_another_site_is_refused_even_with_the_right_token() {
    let fleet = Fleet::shared().await;
    let agent = fleet.signed_in(ALICE).await;
    let (token, own) = (token(fleet, &agent).await, fleet.url(""));
    let longer = format!("{own}.evil.example");
    let foreign: [&[(&str, &str)]; 9] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "")],
        &[("sec-fetch-site", "cross-site"), ("origin", &own)],
        &[("origin", "http://evil.example")],
        &[("origin", "http://localhost")],
        &[("sec-fetch-site", "cross-site"), ("origin", "null")],
        &[("origin", &longer)],
    ];
    for headers in foreign {
        let page = agent.post_with(&fleet.url("/sso/logout"), &[("csrf", &token)], headers).await;
        assert_refused(&page, 403);
        assert!(page.body.contains("You are still signed in"), "{}", page.body);
    }
    assert_still_signed_in(fleet, &agent).await;
}

/// The token is sent by browsers without `Sec-Fetch-Site`, by those without `Origin`, and by those that send `Origin: null` from
/// a page without a referrer, like ours.
#[tokio::test(flavor = "multi_thread")]
async fn older_browsers_can_sign_out() {
    let fleet = Fleet::shared().await;
    let own = fleet.url("");
    let older: [&[(&str, &str)]; 3] = [&[("origin", &own)], &[("origin", "null")], &[]];
    for headers in older {
        let agent = fleet.signed_in(ALICE).await;
        let token = token(fleet, &agent).await;
        let page = agent.post_with(&fleet.url("/sso/logout"), &[("csrf", &token)], headers).await;
        assert_eq!(page.status, 303, "{}", page.body);
        assert_removes_the_session_cookie(&page);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_ends_one_browsers_session_and_no_other() {
    let fleet = Fleet::shared().await;
    let (one, other) = (fleet.signed_in(ALICE).await, fleet.signed_in(ALICE).await);
    let cookie = session_header(&one);
    let page = sign_out(&one, &fleet.url("")).await;
    assert_eq!(page.status, 303, "{}", page.body);
    assert_removes_the_session_cookie(&page);
    assert_still_signed_in(fleet, &other).await;
    assert_eq!(session_status(&one, &fleet.url("")).await, 401);
    let again = one.post(&fleet.url("/sso/logout"), &[]).await;
    assert!(again.status == 200 && again.body.contains("You are signed out"), "{}", again.body);
    super::all_pods::assert_refused_everywhere_soon(fleet, &one, &cookie).await;
}
