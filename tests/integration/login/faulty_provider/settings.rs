//! Settings for providers that send other audiences or claims, or whose userinfo endpoint refuses the login's access token.

use serde_json::{Value, json};

use super::cases::{access_token_for_no_header, id_token, without_access_token};
use super::{FAILED, FaultyFleet};
use crate::support::agent::{Agent, Page};
use crate::support::faulty_idp::FaultyIdp;
use crate::support::fleet::Fleet;
use crate::support::pod::{ProviderSection, random_key};
use crate::support::steps::{assert_not_signed_in, assert_page, assert_signed_in, check, session_of};
use crate::support::wait;

/// A role map that refuses users without claims from userinfo.
const NEEDS_USERINFO: &str = "version: 1
missing_source: refuse
rules:
  - {source: userinfo, claim: sub, match: '*', role: internal_user}
";

async fn fleet_with(settings: &[&str], role_map: Option<&str>) -> FaultyFleet {
    let idp = FaultyIdp::start().await;
    let mut provider = ProviderSection::corp(idp.issuer(), random_key());
    provider.further.extend(settings.iter().map(|line| (*line).to_owned()));
    let configure = |pod: &mut crate::support::pod::PodOptions| {
        if let Some(document) = role_map {
            pod.role_map = Some(document.to_owned());
        }
    };
    FaultyFleet { fleet: Fleet::builder().provider(provider).config(configure).start().await, idp }
}

fn userinfo_with_status(status: u16) -> Value {
    json!({"userinfo": {"status": status, "body": "{}"}})
}

async fn headers(fleet: &FaultyFleet, agent: &Agent) -> Page {
    check(agent, fleet.pod(), &session_of(agent)).await
}

impl FaultyFleet {
    async fn assert_signs_in(&self, fault: &Value) -> Agent {
        let agent = Agent::new();
        assert_signed_in(&self.log_in(&agent, fault).await);
        agent
    }

    async fn assert_login_fails(&self, fault: &Value) {
        let page = self.log_in(&Agent::new(), fault).await;
        assert_page(&page, 502, "Sign-in could not be confirmed");
        assert_not_signed_in(&page);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn userinfo_that_refuses_the_access_token_is_absent_unless_it_is_required() {
    let optional = fleet_with(&[], None).await;
    for status in [401, 403, 404] {
        optional.assert_signs_in(&userinfo_with_status(status)).await;
        let (lines, expected) = (optional.lines("userinfo claims ignored"), format!("answered with status {status}"));
        assert!(lines.last().is_some_and(|line| line.contains(&expected)), "{expected}: {lines:?}");
    }
    for (fault, expected) in [
        (without_access_token(), "the token response has no access_token"),
        (
            json!({"token": {"claims": {"access_token": {"a": 1}}}, "idToken": {"claims": {"at_hash": null}}}),
            "has no access_token",
        ),
        (access_token_for_no_header(), "no header can carry"),
    ] {
        optional.assert_signs_in(&fault).await;
        let lines = optional.lines("userinfo claims ignored");
        assert!(lines.last().is_some_and(|line| line.contains(expected)), "{expected}: {lines:?}");
    }
    for status in [400, 429, 500, 502, 503, 307] {
        optional.assert_login_fails(&userinfo_with_status(status)).await;
    }
    optional.assert_login_fails(&json!({"userinfo": {"claims": {"sub": "eve"}}})).await;
    optional.assert_login_fails(&json!({"userinfo": {"body": "Hello"}})).await;

    let required = fleet_with(&["userinfo: required"], None).await;
    required.assert_signs_in(&json!({})).await;
    for status in [401, 403, 404, 500] {
        required.assert_login_fails(&userinfo_with_status(status)).await;
    }
    for fault in [without_access_token(), access_token_for_no_header()] {
        required.assert_login_fails(&fault).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_map_decides_about_users_without_userinfo() {
    let fleet = fleet_with(&[], Some(NEEDS_USERINFO)).await;
    let agent = fleet.assert_signs_in(&json!({})).await;
    assert_eq!(headers(&fleet, &agent).await.header("x-auth-request-role"), Some("internal_user"));
    let page = fleet.log_in(&Agent::new(), &userinfo_with_status(403)).await;
    assert_eq!(page.status, 403, "{}", page.body);
    assert_not_signed_in(&page);
}

#[tokio::test(flavor = "multi_thread")]
async fn userinfo_that_is_off_is_never_requested() {
    let fleet = fleet_with(&["userinfo: 'off'"], None).await;
    fleet.assert_signs_in(&userinfo_with_status(500)).await;
    fleet.assert_signs_in(&json!({"userinfo": {"claims": {"sub": "eve"}}})).await;
    assert_eq!(fleet.idp.requests("/userinfo").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_audience_is_accepted_only_beside_ours_and_with_our_azp() {
    let fleet = fleet_with(&["trusted_audiences: [project, '2807']"], None).await;
    let ours = json!("vestibule");
    fleet.assert_signs_in(&id_token(json!({"aud": ["vestibule", "project", "2807"], "azp": ours}))).await;
    for (claims, reason) in [
        (json!({"aud": ["vestibule", "project"]}), "azp is missing"),
        (json!({"aud": ["vestibule", "project"], "azp": "project"}), "azp names another client"),
        (json!({"aud": ["vestibule", "project"], "azp": [ours]}), "azp is a list"),
        (json!({"aud": ["project"], "azp": ours}), "another audience"),
        (json!({"aud": "project", "azp": ours}), "another audience"),
        (json!({"aud": ["vestibule", "other"], "azp": ours}), "another audience"),
        (json!({"aud": ["vestibule", 2807], "azp": ours}), "another audience"),
    ] {
        wait::for_next_log_line().await;
        let known = fleet.lines(FAILED).len();
        fleet.assert_login_fails(&id_token(claims.clone())).await;
        let lines = fleet.lines(FAILED).split_off(known);
        assert!(lines.len() == 1 && lines[0].contains(reason), "{claims}: {lines:?}");
    }
    // Userinfo is for this client only.
    let signed = json!({"userinfo": {"signedBy": "provider", "claims": {"aud": ["vestibule", "project"]}}});
    fleet.assert_login_fails(&signed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn email_address_and_user_name_can_come_from_other_claims() {
    let mapping = "claims: {email: upn, preferred_username: account.unique_name}";
    let claims = id_token(json!({"upn": "ada@corp.example.com", "account": {"unique_name": "CORP-ada"}, "email_verified": true}));
    let fleet = fleet_with(&[mapping, "trust_email: true", "userinfo: 'off'"], None).await;
    let agent = fleet.assert_signs_in(&claims).await;
    let page = headers(&fleet, &agent).await;
    assert_eq!(page.header("x-auth-request-email"), Some("ada@corp.example.com"));
    assert_eq!(page.header("x-auth-request-preferred-username"), Some("CORP-ada"));
    let user = page.header("x-auth-request-user").unwrap_or_default();
    assert!(!user.is_empty() && !user.contains("ada"), "the user's id does not change: {user}");

    let careful = fleet_with(&[mapping, "userinfo: 'off'"], None).await;
    let about_another = id_token(json!({"upn": "admin@corp.example.com", "email": "eve@example.com", "email_verified": true}));
    for (fault, email) in [(&claims, "ada@corp.example.com"), (&about_another, "")] {
        let agent = careful.assert_signs_in(fault).await;
        assert_eq!(headers(&careful, &agent).await.header("x-auth-request-email"), Some(email), "{fault}");
    }
}
