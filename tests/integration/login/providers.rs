//! Several providers; providers that are unavailable, rotate their keys, or are configured without discovery.

use std::collections::HashMap;
use std::time::Duration;

use crate::support::agent::Agent;
use crate::support::fleet::Fleet;
use crate::support::idp::IdpOptions;
use crate::support::pod::{PodOptions, random_key};
use crate::support::scratch::Scratch;
use crate::support::steps::{
    ALICE, BOB, CAROL, assert_not_signed_in, assert_page, assert_signed_in, at, at_provider, begin, check, restart_target,
    sign_in, until_callback,
};
use crate::support::wait;

const PATIENCE: Duration = Duration::from_secs(60);
/// Requests to a provider time out after 10 s; readiness waits for 3 s, and longer on a busy machine.
const HANG: Duration = Duration::from_secs(9);

#[tokio::test(flavor = "multi_thread")]
async fn with_several_providers_there_is_a_choice_and_a_named_provider_skips_it() {
    let fleet = Fleet::builder().idp().idp().start().await;
    let page = Agent::new().get(&fleet.pod(0).public("/sso/login?rd=/ui/")).await;
    assert_page(&page, 200, "Sign in");
    let links: Vec<String> = page.links().iter().filter_map(|link| link.query().map(str::to_owned)).collect();
    assert!(
        links.iter().any(|query| query.contains("provider=corp")) && links.iter().any(|query| query.contains("provider=partner"))
    );
    let page = Agent::new().get(&fleet.pod(0).public("/sso/login?rd=/ui/&provider=partner")).await;
    let issuer = fleet.partner_idp().issuer();
    assert!(page.status == 302 && page.location().unwrap().as_str().starts_with(issuer));
    let page = Agent::new().get(&fleet.pod(0).public("/sso/login?provider=nobody")).await;
    assert_page(&page, 404, "Unknown identity provider");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_provider_signs_in_on_its_own_callback_only() {
    let fleet = Fleet::builder().idp().idp().start().await;
    let partner = fleet.partner_idp();
    let agent = Agent::new();
    let page = agent.get(&fleet.pod(0).public("/sso/login?rd=/ui/p&provider=partner")).await;
    let callback = at_provider(partner, &agent, page, BOB).await;
    assert_eq!(callback.path(), "/sso/callback/partner");
    let query = callback.query().unwrap();
    for (path, status) in [("/sso/callback", 400), ("/sso/callback/corp", 404), ("/sso/callback/other", 404)] {
        let page = agent.get(&fleet.pod(0).public(&format!("{path}?{query}"))).await;
        assert_eq!(page.status, status, "{path}: {}", page.body);
    }
    assert_eq!(fleet.idp().stats().await["token"], 0, "no code of one provider is sent to another");
    assert_signed_in(&agent.get(&at(fleet.pod(0), &callback)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_one_provider_is_not_accepted_from_another() {
    let fleet = Fleet::builder().idp().idp().start().await;
    let partner = fleet.partner_idp();
    let agent = Agent::new();
    let page = agent.get(&fleet.pod(0).public("/sso/login?rd=/ui/p&provider=partner")).await;
    let foreign = at_provider(partner, &agent, page, BOB).await;
    let foreign: HashMap<String, String> = foreign.query_pairs().into_owned().collect();
    for (name, status, title, reason) in [
        ("iss", 400, "Wrong identity provider", "iss is missing or another issuer's"),
        ("code", 502, "Sign-in could not be confirmed", "invalid_grant"),
    ] {
        let agent = Agent::new();
        let page = agent.get(&fleet.pod(0).public("/sso/login?rd=/ui/c&provider=corp")).await;
        let mut callback = at_provider(fleet.idp(), &agent, page, ALICE).await;
        let mut answer: HashMap<String, String> = callback.query_pairs().into_owned().collect();
        answer.insert(name.to_owned(), foreign[name].clone());
        callback.query_pairs_mut().clear().extend_pairs(answer);
        let page = agent.get(&at(fleet.pod(0), &callback)).await;
        assert_page(&page, status, title);
        assert_not_signed_in(&page);
        assert_eq!(restart_target(&page), "/ui/c");
        let log = fleet.pod(0).log();
        assert!(log.lines().any(|line| line.contains("login failed") && line.contains(reason)), "{name}: {log}");
    }
    assert_eq!(partner.stats().await["token"], 0, "neither code is sent to the other provider");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_replaced_between_login_and_callback_are_fetched_once_for_all_login_flows() {
    let fleet = Fleet::builder().idp().start().await;
    let users = [ALICE, BOB, CAROL, ALICE, BOB];
    let agents: Vec<Agent> = users.iter().map(|_| Agent::new()).collect();
    let mut begun = Vec::new();
    for (agent, user) in agents.iter().zip(users) {
        let page = begin(agent, fleet.pod(0), "/ui/").await;
        begun.push((agent, user, page));
    }
    fleet.idp().replace_keys().await;
    let mut callbacks = Vec::new();
    for (agent, user, page) in begun {
        callbacks.push((agent, at(fleet.pod(0), &at_provider(fleet.idp(), agent, page, user).await)));
    }
    let answers = futures::future::join_all(callbacks.iter().map(|(agent, callback)| agent.get(callback))).await;
    for page in &answers {
        assert_signed_in(page);
    }
    let fetches = fleet.pod(0).metric("vestibule_provider_refreshes_total", &["outcome=\"ok\""]).await;
    assert_eq!(fetches, 2.0, "the one at the start, and one for all {} logins", answers.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_at_the_start_is_reached_when_it_is_available() {
    let mut fleet = Fleet::builder().idp().start().await;
    fleet.idp_mut().kill9();
    fleet.pods[0].restart().await;
    let page = Agent::new().get(&fleet.pod(0).public("/sso/login?rd=/ui/")).await;
    assert_page(&page, 503, "Sign-in is not possible right now");
    assert!(fleet.pod(0).is_ready().await);
    fleet.idp_mut().restart().await;
    wait::until("the provider to be found", PATIENCE, async || {
        (fleet.pod(0).metric("vestibule_provider_ready", &[]).await == 1.0).then_some(())
    })
    .await;
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/", ALICE).await;
    assert_signed_in(&agent.get(&at(fleet.pod(0), &callback)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_hangs_at_the_start_delays_readiness_by_three_seconds_at_most() {
    let mut fleet = Fleet::builder().idp().start().await;
    fleet.idp().pause().await;
    let ((), took) = wait::timed(fleet.pods[0].restart()).await;
    println!("ready {took:.1?} after the start, with a provider that hangs");
    assert!(took < HANG, "{took:?}");
    assert_eq!(fleet.pod(0).metric("vestibule_provider_ready", &[]).await, 0.0);
    fleet.idp().resume().await;
    wait::until("the provider to be found", PATIENCE, async || {
        (fleet.pod(0).metric("vestibule_provider_ready", &[]).await == 1.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_after_an_outage_does_not_wait_for_the_back_off() {
    let mut fleet = Fleet::builder().idp().start().await;
    fleet.idp().fail().await;
    fleet.pods[0].restart().await;
    // The next attempt is in eight seconds.
    let grown = async || fleet.pod(0).log().contains("retry_in=8s").then_some(());
    wait::until("the back-off to grow", PATIENCE, grown).await;
    fleet.idp().resume().await;
    let agents: Vec<Agent> = (0..5).map(|_| Agent::new()).collect();
    let begun = futures::future::join_all(agents.iter().map(|agent| begin(agent, fleet.pod(0), "/ui/"))).await;
    let fetches = fleet.pod(0).metric("vestibule_provider_refreshes_total", &["outcome=\"ok\""]).await;
    assert_eq!(fetches, 1.0, "one for all {} logins", begun.len());
    let callback = at_provider(fleet.idp(), &agents[0], begun[0].clone(), ALICE).await;
    assert_signed_in(&agents[0].get(&at(fleet.pod(0), &callback)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_during_an_outage_rarely_send_requests_to_the_provider() {
    let mut fleet = Fleet::builder().idp().start().await;
    fleet.idp().fail().await;
    fleet.pods[0].restart().await;
    let grown = async || fleet.pod(0).log().contains("retry_in=8s").then_some(());
    wait::until("the back-off to grow", PATIENCE, grown).await;
    let failures = async || fleet.pod(0).metric("vestibule_provider_refreshes_total", &["outcome=\"error\""]).await;
    let before = failures().await;
    for _ in 0..20 {
        let page = Agent::new().get(&fleet.pod(0).public("/sso/login?rd=/ui/")).await;
        assert_page(&page, 503, "Sign-in is not possible right now");
    }
    let count = failures().await - before;
    assert!((1.0..10.0).contains(&count), "{count}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_default_signature_algorithm_is_accepted_and_excluded_ones_are_not() {
    for (signed, others) in
        [("RS256", "ES256, PS256, EdDSA"), ("ES256", "RS256"), ("PS256", "RS256, PS384"), ("EdDSA", "RS256, ES256")]
    {
        let signing = |idp: &mut IdpOptions| idp.clients[0]["id_token_signed_response_alg"] = signed.into();
        let fleet = Fleet::builder().idp_with(signing).start().await;
        let session = sign_in(fleet.idp(), &Agent::new(), fleet.pod(0), ALICE).await;
        assert_eq!(check(&Agent::new(), fleet.pod(0), &session).await.status, 200, "{signed}");

        let restrict_algorithms = |pod: &mut PodOptions| pod.providers[0].further.push(format!("algorithms: [{others}]"));
        let (fleet, agent) = (Fleet::builder().idp_with(signing).config(restrict_algorithms).start().await, Agent::new());
        let callback = until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/", ALICE).await;
        let page = agent.get(&at(fleet.pod(0), &callback)).await;
        assert_page(&page, 502, "Sign-in could not be confirmed");
        assert_not_signed_in(&page);
        let log = fleet.pod(0).log();
        assert!(log.lines().any(|line| line.contains("login failed") && line.contains("does not verify")), "{signed}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn configured_endpoints_replace_discovery() {
    let by_hand = |pod: &mut PodOptions| {
        let provider = &mut pod.providers[0];
        let issuer = provider.issuer.clone();
        provider.further = vec![
            format!("authorization_endpoint: {issuer}/auth"),
            format!("token_endpoint: {issuer}/token"),
            format!("jwks_uri: {issuer}/jwks"),
        ];
    };
    let fleet = Fleet::builder().idp().config(by_hand).start().await;
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/", ALICE).await;
    assert_signed_in(&agent.get(&at(fleet.pod(0), &callback)).await);
    assert_eq!(fleet.idp().stats().await["discovery"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_login_flow_sends_pkce_s256_and_a_unique_state_and_nonce() {
    let fleet = Fleet::builder().idp().start().await;
    for user in [ALICE, BOB, CAROL] {
        let agent = Agent::new();
        let callback = until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/", user).await;
        assert_signed_in(&agent.get(&at(fleet.pod(0), &callback)).await);
    }
    let stats = fleet.idp().stats().await;
    assert!(stats["codeChallengeMethods"].as_array().unwrap().iter().all(|method| method == "S256"), "{stats}");
    let lengths = stats["codeVerifierLengths"].as_array().unwrap();
    assert!(lengths.len() == 3 && lengths.iter().all(|length| (43..=128).contains(&length.as_u64().unwrap())), "{stats}");
    assert_eq!((stats["codeVerifiersOutsideAlphabet"].as_u64(), stats["statesAndNoncesSeenTwice"].as_u64()), (Some(0), Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_during_the_callback_causes_a_page_with_a_restart() {
    let fleet = Fleet::builder().idp().start().await;
    let agent = Agent::new();
    let callback = at(fleet.pod(0), &until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/again", ALICE).await);
    fleet.idp().fail().await;
    let page = agent.get(&callback).await;
    assert_page(&page, 502, "Sign-in could not be confirmed");
    assert_not_signed_in(&page);
    assert_eq!(restart_target(&page), "/ui/again");
    assert_eq!(fleet.pod(0).logins("provider_failed").await, 1.0);
    fleet.idp().resume().await;
    let callback = until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/again", ALICE).await;
    assert_signed_in(&agent.get(&at(fleet.pod(0), &callback)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn state_and_nonce_have_256_random_bits_and_the_url_stays_short() {
    let fleet = Fleet::builder().idp().start().await;
    let long = format!("/ui/{}", "a".repeat(3000));
    for target in ["/", "/ui/?tab=keys", &long] {
        let question = begin(&Agent::new(), fleet.pod(0), target).await.location().expect("begin gives a redirect");
        let values: HashMap<String, String> = question.query_pairs().into_owned().collect();
        assert_eq!((values["response_type"].as_str(), values["scope"].as_str()), ("code", "openid profile email"));
        for name in ["state", "nonce", "code_challenge"] {
            assert!((43..=512).contains(&values[name].len()), "{name}={}", values[name]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_client_secret_is_used_without_a_restart() {
    let scratch = Scratch::new("client-secret");
    let file = scratch.path().join("secret");
    let mut fleet = Fleet::builder()
        .idp()
        .config(|pod| {
            let provider = &mut pod.providers[0];
            scratch.write("secret", &std::mem::take(&mut provider.client_secret));
            provider.further.push(format!("client_secret_file: {}", file.display()));
        })
        .start()
        .await;
    sign_in(fleet.idp(), &Agent::new(), fleet.pod(0), ALICE).await;
    let fresh = random_key();
    fleet.idp_mut().restart_with_client_secret("vestibule", &fresh).await;
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/", ALICE).await;
    assert_page(&agent.get(&at(fleet.pod(0), &callback)).await, 502, "Sign-in could not be confirmed");

    // Renamed into place, as Kubernetes replaces a mounted secret.
    std::fs::rename(scratch.write("secret.new", &format!("{fresh}\n")), &file).expect("the directory is ours");
    let read = async || fleet.pod(0).log().contains("secret reloaded").then_some(());
    wait::until("the file to be read again", PATIENCE, read).await;
    sign_in(fleet.idp(), &Agent::new(), fleet.pod(0), BOB).await;
    assert!(!fleet.pod(0).log().contains(&fresh));
}
