//! People without an identity provider, over three pods that share a Redis Cluster.

mod claiming;
mod many;
mod people;
mod signing_in;
mod starting;

use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::cache::site::Site;
use crate::cli::vestibule;
use crate::keys::{By, Reply, call, send};
use crate::support::agent::{Agent, Page};
use crate::support::pod::{Pod, PodOptions};
use crate::support::redis::Cluster;

pub const PASSWORD: &str = "violin-otter-97-gravel";
pub const ANOTHER: &str = "marble-lantern-52-swift";

/// Hashes that cost little: tests make many.
pub const LOCAL: &str = "local_accounts: {enabled: true, argon2: {memory: 8MiB, iterations: 1}}\n";

/// Three pods with local accounts beside a provider at which everybody is alice.
pub struct Village {
    pub site: Site,
    pub redis: Cluster,
}

/// Somebody who has claimed an invitation.
pub struct Resident {
    pub id: String,
    pub cookie: String,
    pub device: String,
}

impl Village {
    pub async fn new() -> Self {
        Self::with("").await
    }

    /// `further` is top-level YAML of every pod.
    pub async fn with(further: &str) -> Self {
        Self::adjusted(|pod| pod.further.push_str(further)).await
    }

    /// `adjust` has the last word on a pod's options.
    pub async fn adjusted(adjust: impl Fn(&mut PodOptions)) -> Self {
        let redis = Cluster::start().await;
        let urls = [redis.url(), redis.url(), redis.url()];
        let site = Site::start_with(&urls, |pod, _| {
            with_local_accounts(pod);
            adjust(pod);
        });
        Self { site: site.await, redis }
    }

    pub fn pod(&self, number: usize) -> &Pod {
        &self.site.pods[number % self.site.pods.len()]
    }

    /// A link that the operator makes.
    pub fn invite(&self, email: &str, role: &str) -> String {
        invitation_link(self.pod(0), email, role)
    }

    pub async fn resident(&self, email: &str, role: &str) -> Resident {
        let link = self.invite(email, role);
        let reply = claim(self.pod(1), &link, PASSWORD).await;
        assert_eq!(reply.status(), 200, "{reply:?}");
        let cookie = |name| reply.cookie(name).expect("who has claimed has the cookie");
        let id = reply.json()["user_id"].as_str().expect("an id").to_owned();
        Resident { id, cookie: cookie("vestibule"), device: cookie("vestibule-device") }
    }

    /// How many checks of the three pods let a session through.
    pub async fn passing(&self, cookie: &str) -> usize {
        let mut passing = 0;
        for pod in 0..self.site.pods.len() {
            passing += usize::from(self.site.status(pod, cookie).await == 200);
        }
        passing
    }
}

impl Resident {
    pub fn by(&self) -> By<'_> {
        By::Page(&self.cookie)
    }
}

/// Adds local accounts to a pod whose provider is `corp`.
pub fn with_local_accounts(pod: &mut PodOptions) {
    pod.further.push_str(LOCAL);
    let map = pod.role_map.take().expect("there is a role map");
    // With local accounts a rule has to say whose claims it is about.
    pod.role_map = Some(map.replace("{claim:", "{provider: corp, claim:"));
}

/// A link that the operator makes beside this pod.
pub fn invitation_link(pod: &Pod, email: &str, role: &str) -> String {
    let output = invite(pod, &["--email", email, "--role", role]);
    assert!(output.status.success(), "{output:?}");
    link_in(&String::from_utf8(output.stdout).expect("an address is text"))
}

/// Links an identity of the provider, as far as the callback that finishes it.
pub async fn link_callback(pod: &Pod, agent: &Agent) -> Url {
    let page = agent.get(&pod.public("/vestibule/sign-in")).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let form = page.forms().into_iter().find(|form| form.fields.iter().any(|(name, value)| name == "action" && value == "link"));
    let away = agent.submit(&form.expect("a form that links"), &[("provider", "corp")]).await;
    assert_eq!(away.status, 200, "{}", away.body);
    let provider = away.links().into_iter().find(|link| link.query().is_some_and(|query| query.contains("code_challenge")));
    let page = agent.get(provider.expect("a link to the provider").as_str()).await;
    let back = agent.follow_until(page, |target| target.path().starts_with("/sso/callback")).await;
    back.location().expect("a redirect to the callback")
}

/// `vestibule invite` beside a pod, with its configuration.
pub fn invite(pod: &Pod, arguments: &[&str]) -> Output {
    let config = pod.config_file().to_string_lossy();
    vestibule(&[&["invite", "--config", &config], arguments].concat())
}

/// What stands behind `invite_link=`.
pub fn link_in(text: &str) -> String {
    let (_, rest) = text.split_once("/onboarding?invite_link=").unwrap_or_else(|| panic!("no link: {text}"));
    rest.split_whitespace().next().expect("a link is not empty").to_owned()
}

pub async fn get_token(pod: &Pod, link: &str) -> Reply {
    send(pod, Method::GET, &format!("/onboarding/get_token?invite_link={link}"), &[], None).await
}

/// What an onboarding token says, unverified.
pub fn claims_of(token: &str) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let claims = token.split('.').nth(1).expect("a JWT has three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("it is base64url")).expect("it is JSON")
}

/// A token from the pod and, with it, a claim there.
pub async fn claim(pod: &Pod, link: &str, password: &str) -> Reply {
    let reply = get_token(pod, link).await;
    if reply.status() != 200 {
        return reply;
    }
    let token = reply.json()["token"].as_str().expect("a token").to_owned();
    let user = claims_of(&token)["user_id"].as_str().expect("an id").to_owned();
    claim_with(pod, &token, json!({"invitation_link": link, "user_id": user, "password": password})).await
}

pub async fn claim_with(pod: &Pod, token: &str, body: Value) -> Reply {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    send(pod, Method::POST, "/onboarding/claim_token", &headers, Some(body.to_string())).await
}

/// A sign-in by the page's form.
pub async fn sign_in(pod: &Pod, agent: &Agent, path: &str, email: &str, password: &str) -> Page {
    let page = agent.get(&pod.public(path)).await;
    let form = page.form();
    agent.submit(&form, &[("user_email", email), ("password", password)]).await
}

/// A sign-in by JSON.
pub async fn sign_in_by_json(pod: &Pod, email: &str, password: &str, headers: &[(&str, &str)]) -> Reply {
    let all = [&[("content-type", "application/json")], headers].concat();
    let body = json!({"user_email": email, "password": password}).to_string();
    send(pod, Method::POST, "/vestibule/api/sign-in", &all, Some(body)).await
}

pub async fn get(pod: &Pod, by: By<'_>, path: &str) -> Value {
    let reply = call(pod, by, Method::GET, path, None).await;
    assert_eq!(reply.status(), 200, "{path}: {reply:?}");
    reply.json()
}

pub async fn post(pod: &Pod, by: By<'_>, path: &str, body: Value) -> Reply {
    call(pod, by, Method::POST, path, Some(body)).await
}
