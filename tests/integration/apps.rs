//! Applications that obtain keys at `/sso/key/generate`, on real pods and through a real provider.

mod asking;
mod credential;
mod failing;
mod page;
mod pods;

use std::collections::HashMap;

use url::Url;

use crate::support::agent::{Agent, Page};
use crate::support::fleet::Fleet;
use crate::support::pod::Pod;
use crate::support::steps::{ALICE, IDENTITY_HEADERS, at, at_provider, check_with};

const EDITOR: &str = "vscode://publisher.ext/callback?window=1";

/// The address that an application opens.
pub fn address(fields: &[(&str, &str)]) -> String {
    let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    format!("/sso/key/generate?{query}")
}

pub fn for_redirect(redirect: &str) -> String {
    address(&[("response_type", "oauth_token"), ("redirect_uri", redirect), ("state", "s t&1")])
}

/// Alice opens the application's address, signs in, and comes to the page that asks.
async fn asked(fleet: &Fleet, agent: &Agent, path: &str) -> Page {
    let page = agent.browse_until_away(&fleet.pod(0).public(path)).await;
    let callback = at_provider(fleet.idp(), agent, page, ALICE).await;
    let page = agent.follow(agent.get(&at(fleet.pod(0), &callback)).await).await;
    assert_eq!(page.status, 200, "{}: {}", page.url, page.body);
    assert!(page.body.contains("<title>Authorize an application"), "{}", page.body);
    page
}

/// The person's click on one of the two buttons.
async fn decide(agent: &Agent, page: &Page, decision: &str) -> Page {
    let answer = agent.submit(&page.form(), &[("decision", decision)]).await;
    assert_sealed(&answer);
    answer
}

/// What stands in the query, or in the fragment.
fn fields(url: &Url) -> HashMap<String, String> {
    let text = url.fragment().or(url.query()).unwrap_or_default();
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

/// What every answer of this address carries.
#[track_caller]
fn assert_sealed(page: &Page) {
    let expected = [("cache-control", "no-store"), ("pragma", "no-cache"), ("referrer-policy", "no-referrer")];
    for (name, value) in expected {
        assert_eq!(page.header(name), Some(value), "{name} of {}: {}", page.url, page.body);
    }
}

/// A key's status at the check, and the id that the upstream is told.
async fn key_at_check(pod: &Pod, key: &str) -> (u16, String) {
    let bearer = format!("Bearer {key}");
    let answer = check_with(&Agent::new(), pod, "", &[("authorization", &bearer)]).await;
    (answer.status, answer.header(IDENTITY_HEADERS[5]).unwrap_or_default().to_owned())
}
