//! Invites users with local accounts, accepts invitations and signs in with passwords.

use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::agent::{Agent, Page};
use super::api::{ApiResponse, Auth, send};
use super::cli::vestibule;
use super::fleet::Fleet;
use super::pod::Pod;
use super::steps::{ALICE, at_provider};

pub const PASSWORD: &str = "violin-otter-97-gravel";
pub const OTHER_PASSWORD: &str = "marble-lantern-52-swift";

/// The configuration that enables local accounts, with cheap password hashes because tests create many.
pub const LOCAL_ACCOUNTS: &str = "local_accounts: {enabled: true, argon2: {memory: 8MiB, iterations: 1}}\n";

/// A user who has accepted an invitation.
pub struct LocalUser {
    pub id: String,
    pub cookie: String,
    pub device: String,
}

impl LocalUser {
    pub fn auth(&self) -> Auth<'_> {
        Auth::Session(&self.cookie)
    }
}

impl Fleet {
    /// Three pods with two administrators: a user with the role proxy_admin, and one with the lower role org_admin.
    pub async fn with_two_administrators() -> (Self, LocalUser, LocalUser) {
        let administrators = "admin_roles: [proxy_admin, org_admin]\n";
        let fleet = Self::builder().pods(3).cluster().idp().local_accounts().yaml(administrators).start().await;
        let top = fleet.create_user("top@example.com", "proxy_admin").await;
        let lower = fleet.create_user("lower@example.com", "org_admin").await;
        (fleet, top, lower)
    }

    /// The link of an invitation that the command line creates.
    pub fn invite(&self, email: &str, role: &str) -> String {
        invitation_link(self.pod(0), email, role)
    }

    /// Invites a user and accepts the invitation.
    pub async fn create_user(&self, email: &str, role: &str) -> LocalUser {
        let link = self.invite(email, role);
        let response = accept_invitation(self.pod(1), &link, PASSWORD).await;
        assert_eq!(response.status(), 200, "{response:?}");
        let cookie = |name| response.cookie(name).expect("an acceptance sets the cookie");
        let id = response.json()["user_id"].as_str().expect("an id").to_owned();
        LocalUser { id, cookie: cookie("vestibule"), device: cookie("vestibule-device") }
    }
}

/// The link of an invitation that the command line creates with the pod's configuration.
pub fn invitation_link(pod: &Pod, email: &str, role: &str) -> String {
    let output = invite(pod, &["--email", email, "--role", role]);
    assert!(output.status.success(), "{output:?}");
    link_in(&String::from_utf8(output.stdout).expect("an address is text"))
}

/// Links alice's identity at the provider on the first pod, up to the callback that completes it.
pub async fn link_callback(fleet: &Fleet, agent: &Agent) -> Url {
    let page = agent.get(&fleet.pod(0).public("/vestibule/sign-in")).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let form = page.forms().into_iter().find(|form| form.fields.iter().any(|(name, value)| name == "action" && value == "link"));
    let away = agent.submit(&form.expect("a form that links"), &[("provider", "corp")]).await;
    assert_eq!(away.status, 200, "{}", away.body);
    let provider = away.links().into_iter().find(|link| link.query().is_some_and(|query| query.contains("code_challenge")));
    let page = agent.get(provider.expect("a link to the provider").as_str()).await;
    at_provider(fleet.idp(), agent, page, ALICE).await
}

/// Runs `vestibule invite` with the pod's configuration.
pub fn invite(pod: &Pod, arguments: &[&str]) -> Output {
    let config = pod.config_file().to_string_lossy();
    vestibule(&[&["invite", "--config", &config], arguments].concat())
}

/// The value of `invite_link=` in the text.
pub fn link_in(text: &str) -> String {
    let (_, rest) = text.split_once("/onboarding?invite_link=").unwrap_or_else(|| panic!("no link: {text}"));
    rest.split_whitespace().next().expect("a link is not empty").to_owned()
}

/// Exchanges an invitation link for an onboarding token.
pub async fn get_token(pod: &Pod, link: &str) -> ApiResponse {
    send(pod, Method::GET, &format!("/onboarding/get_token?invite_link={link}"), &[], None).await
}

/// The claims of an onboarding token, unverified.
pub fn claims_of(token: &str) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let claims = token.split('.').nth(1).expect("a JWT has three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("it is base64url")).expect("it is JSON")
}

/// Accepts an invitation on the pod with a token of the same pod.
pub async fn accept_invitation(pod: &Pod, link: &str, password: &str) -> ApiResponse {
    accept_invitation_with(pod, link, password, &[]).await
}

/// Accepts an invitation with additional headers.
pub async fn accept_invitation_with(pod: &Pod, link: &str, password: &str, headers: &[(&str, &str)]) -> ApiResponse {
    let response = get_token(pod, link).await;
    if response.status() != 200 {
        return response;
    }
    let token = response.json()["token"].as_str().expect("a token").to_owned();
    let user = claims_of(&token)["user_id"].as_str().expect("an id").to_owned();
    accept_with(pod, &token, json!({"invitation_link": link, "user_id": user, "password": password}), headers).await
}

pub async fn accept_with_token(pod: &Pod, token: &str, body: Value) -> ApiResponse {
    accept_with(pod, token, body, &[]).await
}

async fn accept_with(pod: &Pod, token: &str, body: Value, headers: &[(&str, &str)]) -> ApiResponse {
    let bearer = format!("Bearer {token}");
    let headers = [&[("authorization", bearer.as_str()), ("content-type", "application/json")], headers].concat();
    send(pod, Method::POST, "/onboarding/claim_token", &headers, Some(body.to_string())).await
}

/// Signs in with the form of the sign-in page.
pub async fn sign_in_with_form(pod: &Pod, agent: &Agent, path: &str, email: &str, password: &str) -> Page {
    let page = agent.get(&pod.public(path)).await;
    let form = page.form();
    agent.submit(&form, &[("user_email", email), ("password", password)]).await
}

/// Signs in with JSON.
pub async fn sign_in_with_json(pod: &Pod, email: &str, password: &str, headers: &[(&str, &str)]) -> ApiResponse {
    let all = [&[("content-type", "application/json")], headers].concat();
    let body = json!({"user_email": email, "password": password}).to_string();
    send(pod, Method::POST, "/vestibule/api/sign-in", &all, Some(body)).await
}
