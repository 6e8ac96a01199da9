//! A provider's portal starts the sign-in (OpenID Connect Core, section 4).

use url::Url;

use super::parameter;
use crate::support::agent::{Agent, Page};
use crate::support::fleet::Fleet;
use crate::support::steps::{ALICE, assert_signed_in, at, at_provider};

/// The parameters of a portal's request.
type Fields<'a> = [(&'a str, &'a str)];

async fn fleet() -> Fleet {
    Fleet::builder().idp().idp().start().await
}

async fn get(fleet: &Fleet, agent: &Agent, fields: &Fields<'_>) -> Page {
    let address = Url::parse_with_params(&fleet.pod(0).public("/sso/login"), fields).expect("an address");
    agent.get(address.as_str()).await
}

/// Submits the form of another site, and follows the redirect.
async fn post(fleet: &Fleet, agent: &Agent, fields: &Fields<'_>) -> Page {
    let headers = [("sec-fetch-site", "cross-site"), ("origin", "https://portal.example.com")];
    let page = agent.post_with(&fleet.pod(0).public("/sso/login"), fields, &headers).await;
    assert_eq!(page.status, 303, "{}", page.body);
    assert!(page.set_cookies().is_empty(), "the browser has sent no cookies, and must not lose its own");
    agent.get(&at(fleet.pod(0), &page.location().expect("a redirect"))).await
}

/// Sends the request both ways.
async fn send(fleet: &Fleet, fields: &Fields<'_>) -> [(Agent, Page); 2] {
    let agents = [Agent::new(), Agent::new()];
    let pages = [get(fleet, &agents[0], fields).await, post(fleet, &agents[1], fields).await];
    let [one, other] = agents;
    let [page, other_page] = pages;
    [(one, page), (other, other_page)]
}

fn provider_of(page: &Page) -> Url {
    assert_eq!(page.status, 302, "{}", page.body);
    page.location().expect("a redirect to the provider")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issuer_chooses_the_provider_which_gets_the_hint_and_the_login_leads_to_the_target() {
    let fleet = fleet().await;
    let issuer = fleet.partner_idp().issuer();
    let target = fleet.url("/ui/models?tab=a%2Fb");
    let fields = [("iss", issuer), ("login_hint", "alice+x@example.com"), ("target_link_uri", target.as_str())];
    for (agent, page) in send(&fleet, &fields).await {
        let address = provider_of(&page);
        assert!(address.as_str().starts_with(issuer), "{address}");
        assert_eq!(parameter(&address, "login_hint"), "alice+x@example.com");
        let callback = at_provider(fleet.partner_idp(), &agent, page, ALICE).await;
        let finished = agent.get(&at(fleet.pod(0), &callback)).await;
        assert_signed_in(&finished);
        assert_eq!(finished.location().map(String::from), Some(target.clone()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_issuer_leads_to_the_choices_with_the_same_target() {
    let fleet = fleet().await;
    for issuer in ["https://unknown.example.com", "corp", &fleet.idp().issuer().to_uppercase()] {
        for (_, page) in send(&fleet, &[("iss", issuer), ("target_link_uri", "/ui/models"), ("login_hint", "a")]).await {
            assert_eq!(page.status, 200, "{issuer}: {}", page.body);
            let links: Vec<String> = page.links().iter().filter_map(|link| link.query().map(str::to_owned)).collect();
            for provider in ["corp", "partner"] {
                assert!(links.contains(&format!("rd=%2Fui%2Fmodels&provider={provider}")), "{links:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_target_is_ignored_and_a_foreign_rd_is_refused() {
    let fleet = fleet().await;
    let issuer = format!("{}/", fleet.idp().issuer());
    for foreign in ["https://evil.example.com/", "//evil.example.com", "/\\evil.example.com", "javascript:alert(1)", ""] {
        for (agent, page) in send(&fleet, &[("iss", issuer.as_str()), ("target_link_uri", foreign)]).await {
            let callback = at_provider(fleet.idp(), &agent, page, ALICE).await;
            let finished = agent.get(&at(fleet.pod(0), &callback)).await;
            assert_signed_in(&finished);
            assert_eq!(finished.location().map(String::from), Some(fleet.url("/")), "{foreign}");
        }
    }
    let refused = get(&fleet, &Agent::new(), &[("iss", &issuer), ("rd", "https://evil.example.com/")]).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_that_are_empty_or_too_long_are_left_out_and_a_repeated_parameter_is_refused() {
    let fleet = fleet().await;
    let (issuer, long) = (fleet.idp().issuer(), "a".repeat(513));
    for hint in ["", long.as_str(), "a\r\nb"] {
        for (_, page) in send(&fleet, &[("iss", issuer), ("login_hint", hint)]).await {
            let address = provider_of(&page);
            assert!(!address.query_pairs().any(|(name, _)| name == "login_hint"), "{address}");
        }
    }
    let hint = [("iss", issuer), ("login_hint", "a&prompt=none#x")];
    for (_, page) in send(&fleet, &hint).await {
        let address = provider_of(&page);
        assert_eq!(parameter(&address, "login_hint"), "a&prompt=none#x");
        assert!(!address.query_pairs().any(|(name, _)| name == "prompt"), "{address}");
    }
    assert_eq!(get(&fleet, &Agent::new(), &[("iss", issuer), ("iss", issuer)]).await.status, 400);
}
