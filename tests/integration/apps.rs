//! Applications that obtain keys at `/sso/key/generate`, on real pods and through a real provider.

mod consent;
mod credential;
mod errors;
mod keys_page;
mod pods;

use std::collections::HashMap;

use url::Url;

use crate::support::agent::{Agent, Page};
use crate::support::fleet::Fleet;
use crate::support::pod::Pod;
use crate::support::steps::{ALICE, IDENTITY_HEADERS, at, at_provider, check_with};

const EDITOR: &str = "vscode://publisher.ext/callback?window=1";

/// The URL that an application opens.
pub fn address(fields: &[(&str, &str)]) -> String {
    let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    format!("/sso/key/generate?{query}")
}

pub fn for_redirect(redirect: &str) -> String {
    address(&[("response_type", "oauth_token"), ("redirect_uri", redirect), ("state", "s t&1")])
}

/// Alice opens the application's URL, signs in, and reaches the authorization page.
async fn authorization_page(fleet: &Fleet, agent: &Agent, path: &str) -> Page {
    let page = agent.browse_until_away(&fleet.pod(0).public(path)).await;
    let callback = at_provider(fleet.idp(), agent, page, ALICE).await;
    let page = agent.follow(agent.get(&at(fleet.pod(0), &callback)).await).await;
    assert_eq!(page.status, 200, "{}: {}", page.url, page.body);
    assert!(page.body.contains("<title>Authorize an application"), "{}", page.body);
    page
}

/// The user's click on one of the two buttons.
async fn decide(agent: &Agent, page: &Page, decision: &str) -> Page {
    let answer = agent.submit(&page.form(), &[("decision", decision)]).await;
    assert_not_cached(&answer);
    answer
}

/// The fields of the query or of the fragment.
fn fields(url: &Url) -> HashMap<String, String> {
    let text = url.fragment().or(url.query()).unwrap_or_default();
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

/// Asserts the headers of all answers of this endpoint.
#[track_caller]
fn assert_not_cached(page: &Page) {
    let expected = [("cache-control", "no-store"), ("pragma", "no-cache"), ("referrer-policy", "no-referrer")];
    for (name, value) in expected {
        assert_eq!(page.header(name), Some(value), "{name} of {}: {}", page.url, page.body);
    }
}

/// The status of an auth request with the key, and the key id that the upstream receives.
async fn key_at_check(pod: &Pod, key: &str) -> (u16, String) {
    let bearer = format!("Bearer {key}");
    let answer = check_with(&Agent::new(), pod, "", &[("authorization", &bearer)]).await;
    (answer.status, answer.header(IDENTITY_HEADERS[5]).unwrap_or_default().to_owned())
}
