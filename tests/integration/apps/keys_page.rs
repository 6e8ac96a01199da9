//! The page of API keys: keys are created, shown once, listed and revoked with forms.

use serde_json::json;

use super::key_at_check;
use crate::support::agent::Agent;
use crate::support::api::{Auth, create_key};
use crate::support::fleet::Fleet;
use crate::support::steps::{ALICE, BOB, session_of, sign_in};

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_created_shown_once_and_revoked() {
    let fleet = Fleet::builder().idp().start().await;
    let agent = Agent::new();
    sign_in(fleet.idp(), &agent, fleet.pod(0), ALICE).await;
    let url = fleet.pod(0).public("/vestibule/keys");
    let page = agent.get(&url).await;
    assert!(page.body.contains("You have no keys."), "{}", page.body);
    let response = agent.submit(&page.form(), &[("action", "make"), ("key_alias", "my laptop"), ("duration", "7d")]).await;
    assert_eq!(response.status, 200, "{}", response.body);
    let secret = between(&response.body, "<code class=\"secret\">", "</code>").expect("the key").to_owned();
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(key_at_check(fleet.pod(0), &secret).await.0, 200);

    let listed = agent.get(&url).await;
    assert!(listed.body.contains("my laptop") && !listed.body.contains(&secret), "{}", listed.body);
    let id = between(&listed.body, "name=\"token_id\" value=\"", "\"").unwrap().to_owned();
    let other_browser = Agent::new();
    sign_in(fleet.idp(), &other_browser, fleet.pod(0), BOB).await;
    let theirs = other_browser.get(&url).await;
    other_browser.submit(&theirs.form(), &[("action", "revoke"), ("token_id", &id)]).await;
    assert_eq!(key_at_check(fleet.pod(0), &secret).await.0, 200, "another user cannot revoke it");

    assert_eq!(agent.submit(&listed.form(), &[("action", "revoke"), ("token_id", &id)]).await.status, 303);
    assert_eq!(key_at_check(fleet.pod(0), &secret).await.0, 401);
    assert!(agent.get(&url).await.body.contains("You have no keys."));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_changes_nothing_and_invalid_input_is_explained() {
    let fleet = Fleet::builder().idp().start().await;
    let agent = Agent::new();
    sign_in(fleet.idp(), &agent, fleet.pod(0), ALICE).await;
    let url = fleet.pod(0).public("/vestibule/keys");
    let foreign = agent.post(&url, &[("csrf", "AAAA"), ("action", "make"), ("key_alias", "x"), ("duration", "1d")]).await;
    assert_eq!(foreign.status, 403);
    for (name, duration) in [("", "1d"), ("x", "forever"), ("a\u{7}b", "1d"), (&"n".repeat(129), "1d")] {
        let form = agent.get(&url).await.form();
        let page = agent.submit(&form, &[("action", "make"), ("key_alias", name), ("duration", duration)]).await;
        assert_eq!(page.status, 400, "{name:?} {duration}: {}", page.body);
        assert!(page.body.contains("role=\"alert\""));
    }
    let patterns: String = (0..20).map(|number| format!("/{number}/{}\n", "a".repeat(300))).collect();
    let page = agent
        .submit(
            &agent.get(&url).await.form(),
            &[("action", "make"), ("key_alias", "x"), ("duration", "7d"), ("paths", &patterns)],
        )
        .await;
    assert_eq!(page.status, 400, "{}", page.body);
    assert!(page.body.contains("role=\"alert\"") && page.body.contains("at most 64 path patterns"), "{}", page.body);
    assert!(agent.get(&url).await.body.contains("You have no keys."));
    let signed_out = Agent::new().get(&url).await;
    assert!(signed_out.location().unwrap().as_str().contains("/sso/login?rd=%2Fvestibule%2Fkeys"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_keys_are_listed_in_pages() {
    let fleet = Fleet::builder().idp().start().await;
    let agent = Agent::new();
    sign_in(fleet.idp(), &agent, fleet.pod(0), ALICE).await;
    let session = session_of(&agent);
    for number in 0..53 {
        create_key(fleet.pod(0), Auth::Session(&session), json!({"key_alias": format!("no {number}.")})).await;
    }
    let first = agent.get(&fleet.pod(0).public("/vestibule/keys")).await;
    let next = first.links().into_iter().find(|link| link.query().is_some_and(|query| query.starts_with("after=")));
    let second = agent.get(next.expect("a link to further keys").as_str()).await;
    assert!(!second.body.contains("Next page"), "{}", second.body);
    let on = |page: &str| (0..53).filter(|number| page.contains(&format!(">no {number}.<"))).count();
    assert_eq!((on(&first.body), on(&second.body)), (50, 3));
}
