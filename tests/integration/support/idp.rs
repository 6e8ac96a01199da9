//! A real OpenID Provider (npm `oidc-provider`), configured like a Keycloak realm.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::agent::{Agent, Page};
use super::process::{Child, OnFailure};
use super::scratch::Scratch;
use super::{owner_client, peer_file, ports};

const START: Duration = Duration::from_secs(20);

/// A user of the provider. `claims` are in the id_token and userinfo, `access_token_claims` only in the access token.
#[derive(Debug, Clone)]
pub struct Account {
    pub username: &'static str,
    pub password: &'static str,
    pub claims: Value,
    pub access_token_claims: Value,
}

/// The `accessTokenFormat` setting. The audience of `Jwt` is `litellm`, like that of a Keycloak API client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFormat {
    Jwt,
    Opaque,
}

#[derive(Debug, Clone)]
pub struct IdpOptions {
    /// A free port if `None`.
    pub port: Option<u16>,
    /// The path of the issuer: `/realms/test`.
    pub issuer_path: String,
    /// Client metadata of oidc-provider; see [`client`].
    pub clients: Vec<Value>,
    pub accounts: Vec<Account>,
    pub token_format: TokenFormat,
    /// The account that is signed in without a form.
    pub auto_login: Option<String>,
    /// More settings of tests/peers/idp/settings.mjs.
    pub further: Value,
}

pub struct Idp {
    child: Child,
    issuer: String,
    admin: u16,
    settings: PathBuf,
    http: reqwest::Client,
    scratch: Scratch,
}

impl Default for IdpOptions {
    fn default() -> Self {
        Self {
            port: None,
            issuer_path: "/realms/test".to_owned(),
            clients: Vec::new(),
            accounts: accounts(),
            token_format: TokenFormat::Jwt,
            auto_login: None,
            further: json!({}),
        }
    }
}

/// The users of the tests and the demo. [`super::fleet::ROLE_MAP`] makes alice a proxy_admin and bob an internal_user. carol
/// has the default role and an unverified address, and dora has more claims than `max_claims` allows.
pub fn accounts() -> Vec<Account> {
    vec![
        Account {
            username: "alice",
            password: "alice-in-wonderland",
            claims: user_claims("Alice Adams", "alice", true, &["/engineering/platform", "/teams/research"]),
            access_token_claims: json!({"resource_access": {"litellm": {"roles": ["llm-admins"]}}}),
        },
        Account {
            username: "bob",
            password: "bob-the-builder",
            claims: user_claims("Bob Brown", "bob", true, &["/engineering/tools", "/teams/research", "/teams/data"]),
            access_token_claims: json!({"resource_access": {"litellm": {"roles": ["llm-user"]}}}),
        },
        Account {
            username: "carol",
            password: "carol-sings-well",
            claims: user_claims("Carol Clark", "carol", false, &[]),
            access_token_claims: json!({}),
        },
        account_with_large_claims(),
    ]
}

/// A user with 4,000 groups: more than 64 KiB of claims in each token.
fn account_with_large_claims() -> Account {
    let groups: Vec<String> = (0..4000).map(|number| format!("/everything/{number:04}")).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    Account {
        username: "dora",
        password: "dora-the-explorer",
        claims: user_claims("Dora Dunn", "dora", true, &groups),
        access_token_claims: json!({}),
    }
}

/// A confidential client. Its redirect URIs start with `origin`, the public URL; `after_logout` lists the redirects after a
/// logout.
pub fn client(id: &str, secret: &str, redirect_uris: &[String], after_logout: &[String]) -> Value {
    json!({
        "client_id": id,
        "client_secret": secret,
        "redirect_uris": redirect_uris,
        "post_logout_redirect_uris": after_logout,
        "token_endpoint_auth_method": "client_secret_basic",
        "id_token_signed_response_alg": "RS256",
    })
}

fn user_claims(name: &str, user: &str, verified: impl Into<Value>, groups: &[&str]) -> Value {
    json!({
        "name": name,
        "preferred_username": user,
        "email": format!("{user}@example.com"),
        "email_verified": verified.into(),
        "groups": groups,
    })
}

impl Idp {
    pub async fn start(options: IdpOptions) -> Self {
        let scratch = Scratch::new("idp");
        let settings = scratch.write("settings.json", &settings(&options).to_string());
        let (child, ready) = spawn(&settings, &scratch).await;
        let text = |name: &str| ready[name].as_str().map(str::to_owned);
        Self {
            child,
            issuer: text("issuer").expect("the provider prints its issuer"),
            admin: port(&ready, "admin"),
            settings,
            http: owner_client(),
            scratch,
        }
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub fn log(&self) -> String {
        self.child.log()
    }

    pub fn kill9(&mut self) {
        self.child.kill9();
    }

    /// Starts the provider again at the same address, with new keys and without sessions.
    pub async fn restart(&mut self) {
        self.child.kill9();
        // The log is appended to; the line to wait for must be a new one.
        std::fs::remove_file(self.child.log_file()).expect("the log is there");
        let (child, ready) = spawn(&self.settings, &self.scratch).await;
        self.child = child;
        self.admin = port(&ready, "admin");
    }

    /// Like [`Idp::restart`], with another client secret.
    pub async fn restart_with_client_secret(&mut self, client: &str, secret: &str) {
        let text = std::fs::read_to_string(&self.settings).expect("the settings are there");
        let mut settings: Value = serde_json::from_str(&text).expect("the settings are JSON");
        let clients = settings["clients"].as_array_mut().expect("clients are a list");
        let client = clients.iter_mut().find(|known| known["client_id"] == client).expect("the client is known");
        client["client_secret"] = json!(secret);
        self.scratch.write("settings.json", &settings.to_string());
        self.restart().await;
    }

    /// Signs with new keys from now on; the old keys stay in the JWKS.
    pub async fn rotate_keys(&self) {
        self.post("/keys/rotate", json!({"old": "keep"})).await;
    }

    /// Signs with new keys and removes the old ones from the JWKS.
    pub async fn replace_keys(&self) {
        self.post("/keys/rotate", json!({"old": "drop"})).await;
    }

    /// Accepts connections and does not answer.
    pub async fn pause(&self) {
        self.post("/pause", json!({"how": "hang"})).await;
    }

    /// Answers 503 to all requests.
    pub async fn fail(&self) {
        self.post("/pause", json!({"how": "error"})).await;
    }

    /// Processes the next POST request and loses its answer.
    pub async fn lose_next_answer(&self) {
        self.post("/pause", json!({"how": "lose"})).await;
    }

    /// Processes the next POST request and delays its answer.
    pub async fn hold_next_answer(&self) {
        self.post("/pause", json!({"how": "hold"})).await;
    }

    /// Ends [`Idp::pause`] and [`Idp::fail`]; delayed requests are answered.
    pub async fn resume(&self) {
        self.post("/resume", json!({})).await;
    }

    /// The counters of each endpoint, see tests/peers/idp/stats.mjs.
    pub async fn stats(&self) -> Value {
        let url = format!("http://127.0.0.1:{}/stats", self.admin);
        let answer = self.http.get(url).send().await.expect("the admin endpoint answers");
        answer.json().await.expect("the admin endpoint answers JSON")
    }

    pub async fn reset_stats(&self) {
        self.post("/stats/reset", json!({})).await;
    }

    /// Replaces an account's claims; other accounts do not change.
    pub async fn set_claims(&self, user: &str, claims: Value) {
        self.post("/account", json!({"sub": user, "claims": claims})).await;
    }

    /// Deletes an account and ends its sessions at the provider.
    pub async fn delete_account(&self, user: &str) {
        self.post("/account/delete", json!({"sub": user})).await;
    }

    /// Sets the answer to `GET /user`; `null` makes the token invalid.
    pub async fn set_github_user(&self, user: &str, answer: Value) {
        self.post("/account", json!({"sub": user, "user": answer})).await;
    }

    pub async fn set_access_token_claims(&self, user: &str, claims: Value) {
        self.post("/account", json!({"sub": user, "accessTokenClaims": claims})).await;
    }

    /// Follows the redirect to the provider, submits its form, and returns the redirect with the code: its `location()` is the
    /// callback URL.
    pub async fn sign_in(&self, agent: &Agent, page: Page, user: &str, password: &str) -> Page {
        let page = self.follow_within_provider(agent, page).await;
        if page.location().is_some() {
            // The provider still has a session of the user.
            return page;
        }
        let fields = [("username", user), ("password", password), ("action", "login")];
        let answer = agent.submit(&page.form(), &fields).await;
        self.follow_within_provider(agent, answer).await
    }

    /// Follows the redirect to the provider and cancels on its form.
    pub async fn cancel(&self, agent: &Agent, page: Page) -> Page {
        let page = self.follow_within_provider(agent, page).await;
        let answer = agent.submit(&page.form(), &[("action", "cancel")]).await;
        self.follow_within_provider(agent, answer).await
    }

    /// Follows redirects within the provider.
    async fn follow_within_provider(&self, agent: &Agent, page: Page) -> Page {
        agent.follow_until(page, |target| !target.as_str().starts_with(&self.issuer)).await
    }

    async fn post(&self, path: &str, body: Value) {
        let url = format!("http://127.0.0.1:{}{path}", self.admin);
        let answer = self.http.post(url).json(&body).send().await;
        let answer = answer.expect("the admin endpoint answers");
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        assert!(status.is_success(), "{path}: {text}");
    }
}

fn settings(options: &IdpOptions) -> Value {
    let accounts: Vec<Value> = options.accounts.iter().map(Account::to_json).collect();
    let mut settings = json!({
        "port": options.port.unwrap_or_else(ports::free),
        "issuer": format!("http://127.0.0.1:{{port}}{}", options.issuer_path),
        "clients": options.clients,
        "accounts": accounts,
        "accessTokenFormat": match options.token_format {
            TokenFormat::Jwt => "jwt",
            TokenFormat::Opaque => "opaque",
        },
    });
    if let Some(user) = &options.auto_login {
        settings["autoLogin"] = json!(user);
    }
    for (name, value) in options.further.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    settings
}

impl Account {
    fn to_json(&self) -> Value {
        json!({
            "sub": self.username,
            "password": self.password,
            "claims": self.claims,
            "accessTokenClaims": self.access_token_claims,
        })
    }
}

async fn spawn(settings: &std::path::Path, scratch: &Scratch) -> (Child, Value) {
    peer_file("node_modules/oidc-provider");
    let mut command = Command::new("node");
    command.arg(peer_file("idp.mjs")).arg(settings);
    let log = scratch.path().join("idp.log");
    let mut child = Child::spawn("idp", command, &log, OnFailure::ShowLog);
    let ready = child
        .wait_for_line(START, |line| {
            let value: Value = serde_json::from_str(line).ok()?;
            value.get("listening").is_some().then_some(value)
        })
        .await;
    (child, ready)
}

fn port(ready: &Value, name: &str) -> u16 {
    let number = ready[name].as_u64().and_then(|number| u16::try_from(number).ok());
    number.unwrap_or_else(|| panic!("the provider prints its port {name}"))
}
