//! A provider without OpenID Connect: an OAuth 2.0 server with a `/user` endpoint like GitHub's.

use std::time::Duration;

use serde_json::{Value, json};
use vestibule::users::User;

use super::{parameter, recent_sign_in::is_recent};
use crate::support::agent::{Agent, Page};
use crate::support::auth_request::auth_request;
use crate::support::fleet::{Fleet, FleetBuilder};
use crate::support::idp::{IdpOptions, TokenFormat};
use crate::support::pod::{PodOptions, ProviderSection};
use crate::support::records::age_identity;
use crate::support::steps::{
    ALICE, BOB, CAROL, TestUser, assert_not_signed_in, assert_page, assert_signed_in, at, at_provider, begin, check,
    restart_target, session_header, session_of, sign_in, until_callback,
};
use crate::support::wait::{self, for_next_log_line};

const ROLES: &str = r#"version: 1
default_role: internal_user_viewer
rules:
  - {provider: hub, claim: id, match: "583231", role: proxy_admin}
  - {provider: hub, claim: plan.name, match: "pro*", role: internal_user}
"#;

/// One pod whose provider `hub` is of `kind: oauth2`. Alice has an administrator role because of her id, bob a role because of
/// his plan, and carol the default role.
async fn hub(idp: impl FnOnce(&mut IdpOptions), further: &[&str]) -> Fleet {
    hub_with(Fleet::builder(), idp, further).await
}

async fn hub_with(builder: FleetBuilder<'_>, idp: impl FnOnce(&mut IdpOptions), further: &[&str]) -> Fleet {
    let opaque = |options: &mut IdpOptions| {
        options.token_format = TokenFormat::Opaque;
        idp(options);
    };
    let adjust = |pod: &mut PodOptions| {
        let section = &mut pod.providers[0];
        section.id = "hub".to_owned();
        without_openid_connect(section);
        section.further.extend(further.iter().map(|&line| line.to_owned()));
        pod.role_map = Some(ROLES.to_owned());
    };
    let fleet = builder.idp_with(opaque).config(adjust).start().await;
    for (user, id, plan) in [(ALICE, 583_231, "free"), (BOB, 583_232, "pro-2"), (CAROL, 583_233, "free")] {
        fleet.idp().set_github_user(user.name, github_user(user, id, plan)).await;
    }
    fleet
}

fn without_openid_connect(section: &mut ProviderSection) {
    let issuer = std::mem::take(&mut section.issuer);
    section.further = vec![
        "kind: oauth2".to_owned(),
        format!("authorization_endpoint: {issuer}/auth"),
        format!("token_endpoint: {issuer}/token"),
        format!("userinfo_endpoint: {issuer}/user"),
        "subject_field: id".to_owned(),
        "preferred_username_field: login".to_owned(),
        "scopes: [\"read:user\"]".to_owned(),
    ];
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_the_login_counts_as_that_of_the_authentication() {
    let fleet = hub(|_| (), &[]).await;
    let agent = Agent::new();
    sign_in(fleet.idp(), &agent, fleet.pod(0), ALICE).await;
    assert!(is_recent(&agent, fleet.pod(0)).await);
}

/// The answer of GitHub without some thirty fields.
fn github_user(user: TestUser, id: u64, plan: &str) -> Value {
    json!({
        "login": format!("{}-of-github", user.name),
        "id": id,
        "node_id": format!("MDQ6VXNlcj{id}"),
        "type": "User",
        "site_admin": false,
        "name": user.name,
        "email": format!("{}@github.example", user.name),
        "plan": {"name": plan, "space": 400},
    })
}

/// Runs a login flow and returns a check with its identity headers.
async fn checked(fleet: &Fleet, user: TestUser) -> Page {
    let agent = Agent::new();
    let session = sign_in(fleet.idp(), &agent, fleet.pod(0), user).await;
    let page = check(&agent, fleet.pod(0), &session).await;
    assert_eq!(page.status, 200, "{}", page.body);
    page
}

fn identity<'p>(page: &'p Page, name: &str) -> &'p str {
    page.header(&format!("x-auth-request-{name}")).expect("every identity header is always there")
}

#[tokio::test(flavor = "multi_thread")]
async fn user_and_role_come_from_userinfo_alone() {
    let fleet = hub(|_| (), &[]).await;
    let (alice, bob, carol) = (checked(&fleet, ALICE).await, checked(&fleet, BOB).await, checked(&fleet, CAROL).await);
    assert_eq!((identity(&alice, "role"), identity(&alice, "preferred-username")), ("proxy_admin", "alice-of-github"));
    assert_eq!((identity(&bob, "role"), identity(&bob, "preferred-username")), ("internal_user", "bob-of-github"));
    assert_eq!(identity(&carol, "role"), "internal_user_viewer");
    for page in [&alice, &bob, &carol] {
        assert!(!identity(page, "user").is_empty());
        assert_eq!(identity(page, "email"), "", "no claim says that it is verified");
    }
    assert_ne!(identity(&alice, "user"), identity(&bob, "user"));
    assert!(!fleet.pod(0).log().contains("github.example"), "{}", fleet.pod(0).log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_protocol_is_plain_oauth_with_pkce_and_without_a_nonce() {
    let fleet = hub(|_| (), &[]).await;
    checked(&fleet, ALICE).await;
    let stats = fleet.idp().stats().await;
    assert_eq!(stats["codeChallengeMethods"], json!(["S256"]));
    assert_eq!((&stats["scopes"], &stats["nonces"]), (&json!(["read:user"]), &json!(0)));
    assert_eq!((&stats["tokenAccept"], &stats["clientAuthentication"]), (&json!(["application/json"]), &json!(["basic"])));
    assert_eq!((&stats["token"], &stats["user"]), (&json!(1), &json!(1)));
    assert_eq!((&stats["discovery"], &stats["jwks"], &stats["userinfo"]), (&json!(0), &json!(0), &json!(0)));
    assert!(stats["userAgents"][0].as_str().is_some_and(|name| name.starts_with("vestibule/")), "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_configured_scopes_and_parameters_are_sent() {
    let bare = |pod: &mut PodOptions| {
        without_openid_connect(&mut pod.providers[0]);
        pod.providers[0].further.retain(|line| !line.starts_with("scopes"));
        pod.providers[0].further.push("authorization_params: {allow_signup: 'false'}".to_owned());
    };
    let fleet = Fleet::builder().idp().config(bare).start().await;
    let question = begin(&Agent::new(), fleet.pod(0), "/ui/").await.location().expect("begin gives a redirect");
    let mut names: Vec<String> = question.query_pairs().map(|(name, _)| name.into_owned()).collect();
    names.sort_unstable();
    let expected =
        ["allow_signup", "client_id", "code_challenge", "code_challenge_method", "redirect_uri", "response_type", "state"];
    assert_eq!(names, expected);
    assert_eq!((parameter(&question, "allow_signup"), parameter(&question, "response_type")), ("false".into(), "code".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_address_is_passed_on_only_if_the_answer_says_verified_or_the_provider_is_trusted() {
    let fleet = hub(|_| (), &["email_field: contact.mail"]).await;
    let with = |contact: Value, further: Value| {
        let mut answer = github_user(ALICE, 583_231, "free");
        answer["contact"] = contact;
        answer["email"] = further["email"].clone();
        answer["email_verified"] = further["email_verified"].clone();
        answer
    };
    let cases = [
        (json!({"mail": "a@corp.example"}), json!({"email_verified": true}), "a@corp.example"),
        (json!({"mail": "a@corp.example"}), json!({"email_verified": false}), ""),
        (json!({"mail": "a@corp.example"}), json!({"email": "b@corp.example", "email_verified": true}), ""),
        (json!({}), json!({"email": "b@corp.example", "email_verified": true}), ""),
    ];
    for (contact, further, expected) in cases {
        fleet.idp().set_github_user("alice", with(contact.clone(), further.clone())).await;
        assert_eq!(identity(&checked(&fleet, ALICE).await, "email"), expected, "{contact} {further}");
    }
    let trusted = hub(|_| (), &["trust_email: true"]).await;
    assert_eq!(identity(&checked(&trusted, ALICE).await, "email"), "alice@github.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_valid_subject_signs_nobody_in() {
    let fleet = hub(|_| (), &[]).await;
    let cases = [
        (json!({"login": "alice"}), "subject_field names is missing"),
        (json!({"id": null}), "subject_field names is missing"),
        (json!({"id": ""}), "subject_field names is empty"),
        (json!({"id": "7".repeat(256)}), "subject_field names is longer than 255 bytes"),
        (json!({"id": [583_231]}), "subject_field names is a list, neither a string nor a whole number"),
        (json!({"id": 583_231.5}), "subject_field names is a number that is not whole"),
        (json!([{"id": 583_231}]), "its answer is not a JSON object"),
        (json!(null), "answered with status 401"),
        (json!({"id": 583_231, "bio": "x".repeat(70_000)}), "more than max_claims (65536) allows"),
        (json!({"id": 583_231, "bio": "x".repeat(1_500_000)}), "answered with more than 1 MiB"),
    ];
    for (number, (answer, reason)) in cases.into_iter().enumerate() {
        for_next_log_line().await;
        fleet.idp().set_github_user("alice", answer).await;
        let agent = Agent::new();
        let callback = until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/again", ALICE).await;
        let page = agent.get(&at(fleet.pod(0), &callback)).await;
        assert_eq!(page.status, 502, "{reason}: {}", page.body);
        assert_not_signed_in(&page);
        assert_eq!(restart_target(&page), "/ui/again");
        assert!(fleet.pod(0).log().contains(reason), "{reason}: {}", fleet.pod(0).log());
        assert_eq!(fleet.pod(0).logins("provider_failed").await, (number + 1) as f64, "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subject_alone_identifies_a_user() {
    let fleet = hub(|_| (), &[]).await;
    let alice = identity(&checked(&fleet, ALICE).await, "user").to_owned();
    let commits = async || fleet.pod(0).metric("vestibule_store_commands_total", &["operation=\"commit\""]).await;
    let before = commits().await;
    assert_eq!(identity(&checked(&fleet, ALICE).await, "user"), alice);
    // Commits: the login flow created, the login flow consumed, the session. The claims are unchanged.
    assert_eq!(commits().await - before, 3.0);
    fleet.idp().set_github_user("alice", json!({"id": "583231", "login": "renamed"})).await;
    let renamed = checked(&fleet, ALICE).await;
    assert_eq!((identity(&renamed, "user"), identity(&renamed, "preferred-username")), (alice.as_str(), "renamed"));
    fleet.idp().set_github_user("alice", github_user(ALICE, 583_299, "free")).await;
    assert_ne!(identity(&checked(&fleet, ALICE).await, "user"), alice);
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_subjects_of_two_providers_are_two_users() {
    let opaque = |idp: &mut IdpOptions| idp.token_format = TokenFormat::Opaque;
    let fleet = Fleet::builder().idp().idp_with(opaque).config(|pod| without_openid_connect(&mut pod.providers[1])).start().await;
    let partner = fleet.partner_idp();
    partner.set_github_user("alice", json!({"id": "alice", "login": "alice"})).await;
    let mut users = Vec::new();
    for (idp, id) in [(fleet.idp(), "corp"), (partner, "partner")] {
        let agent = Agent::new();
        let page = agent.get(&fleet.pod(0).public(&format!("/sso/login?provider={id}"))).await;
        let callback = at_provider(idp, &agent, page, ALICE).await;
        assert_signed_in(&agent.get(&at(fleet.pod(0), &callback)).await);
        let who = agent.get(&fleet.pod(0).public("/sso/session")).await.json();
        assert_eq!(who["provider"], id);
        users.push(identity(&check(&agent, fleet.pod(0), &session_of(&agent)).await, "user").to_owned());
    }
    assert_ne!(users[0], users[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_code_is_detected_even_with_a_success_status() {
    let fleet = hub(|idp| idp.further = json!({"tokenErrors": "as-success"}), &[]).await;
    let agent = Agent::new();
    let mut callback = until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/", ALICE).await;
    let query = callback.query().expect("it has state and code").replace("code=", "code=never-issued-");
    callback.set_query(Some(&query));
    let page = agent.get(&at(fleet.pod(0), &callback)).await;
    assert_page(&page, 502, "Sign-in could not be confirmed");
    assert_not_signed_in(&page);
    assert!(fleet.pod(0).log().contains(r#"it refused with status 200: "invalid_grant""#), "{}", fleet.pod(0).log());
    assert_eq!(fleet.idp().stats().await["user"], 0, "without a token there is no userinfo request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_type_than_bearer_is_not_used() {
    let fleet = hub(|idp| idp.further = json!({"tokenType": "mac"}), &[]).await;
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/", ALICE).await;
    let page = agent.get(&at(fleet.pod(0), &callback)).await;
    assert_page(&page, 502, "Sign-in could not be confirmed");
    assert_not_signed_in(&page);
    assert!(fleet.pod(0).log().contains("token_type is another type than Bearer"), "{}", fleet.pod(0).log());
    assert_eq!(fleet.idp().stats().await["user"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_provider_does_not_delay_readiness_and_only_fails_the_callback() {
    let mut fleet = hub(|_| (), &[]).await;
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/", ALICE).await;
    fleet.idp_mut().kill9();
    assert_page(&agent.get(&at(fleet.pod(0), &callback)).await, 502, "Sign-in could not be confirmed");
    fleet.pods[0].restart().await;
    assert_eq!(fleet.pod(0).metric("vestibule_provider_ready", &[]).await, 1.0, "no metadata has to be fetched");
    begin(&Agent::new(), fleet.pod(0), "/ui/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_ends_the_session_and_does_not_redirect_to_the_provider() {
    let fleet = hub(|_| (), &[]).await;
    let agent = Agent::new();
    let session = sign_in(fleet.idp(), &agent, fleet.pod(0), ALICE).await;
    let page = agent.get(&fleet.pod(0).public("/sso/logout")).await;
    let answer = agent.submit(&page.form(), &[]).await;
    let next = answer.location().expect("a redirect");
    assert_eq!((answer.status, next.path(), next.port()), (303, "/sso/logout", Some(fleet.pod(0).public_port())));
    assert_eq!(check(&agent, fleet.pod(0), &session).await.status, 401);
    assert_eq!(fleet.idp().stats().await["endSession"], 0);
}

/// Userinfo is the only source of claims, and has no expiry of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_reads_userinfo_again_until_the_provider_refuses_the_token() {
    let issue_refresh_tokens = |options: &mut IdpOptions| {
        options.clients[0]["grant_types"] = json!(["authorization_code", "refresh_token"]);
        // A rotated token that comes with the answer of another user is not kept.
        options.further = json!({"refreshTokens": "always", "rotateRefreshTokens": false});
    };
    let settings = ["refresh: {interval: 10s, max_age: 60s}"];
    let fleet = hub_with(Fleet::builder().standalone(), issue_refresh_tokens, &settings).await;
    let agent = Agent::new();
    let session = sign_in(fleet.idp(), &agent, fleet.pod(0), BOB).await;
    let user = identity(&check(&agent, fleet.pod(0), &session).await, "user").to_owned();
    let cookie = session_header(&agent);
    let until = async |status: u16, role: &str| {
        fleet.change_user(&user, |user: &mut User| age_identity(user, "hub", Duration::from_secs(11))).await;
        let is_reached = async || {
            let answer = auth_request(fleet.pod(0), &[("cookie", &cookie)]).await;
            let has_role = answer.status != 200 || answer.one("x-auth-request-role") == role;
            (answer.status == status && has_role).then_some(())
        };
        wait::until(&format!("{status} {role}"), Duration::from_secs(60), is_reached).await;
    };
    fleet.idp().set_github_user("bob", github_user(BOB, 583_232, "free")).await;
    until(200, "internal_user_viewer").await;

    // Another user's answer to the same token, and a token that userinfo refuses, change nothing.
    for answer in [github_user(ALICE, 583_231, "pro"), Value::Null] {
        let failed = async || fleet.metric("vestibule_claims_refreshes_total", &["result=\"failed\""]).await;
        let before = failed().await;
        fleet.idp().set_github_user("bob", answer).await;
        until(200, "internal_user_viewer").await;
        wait::until("the refresh to fail", Duration::from_secs(60), async || {
            assert_eq!(auth_request(fleet.pod(0), &[("cookie", &cookie)]).await.status, 200);
            (failed().await > before).then_some(())
        })
        .await;
    }
    fleet.idp().set_github_user("bob", github_user(BOB, 583_232, "pro-2")).await;
    until(200, "internal_user").await;
    assert_eq!(fleet.idp().stats().await["tokenErrors"], json!([]));
    fleet.idp().delete_account("bob").await;
    until(401, "").await;
    let errors = fleet.idp().stats().await["tokenErrors"].clone();
    assert_eq!(errors, json!(["invalid_grant"]), "no loop");
}
