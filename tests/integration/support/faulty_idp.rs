//! An identity provider that returns faulty answers on request (npm `oauth2-mock-server`). `tests/peers/faulty-idp.mjs` lists
//! the faults.

use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::process::{Child, OnFailure};
use super::scratch::Scratch;
use super::{owner_client, peer_file, ports};

const START: Duration = Duration::from_secs(20);

pub struct FaultyIdp {
    child: Child,
    issuer: String,
    admin: u64,
    http: reqwest::Client,
    _scratch: Scratch,
}

impl FaultyIdp {
    pub async fn start() -> Self {
        peer_file("node_modules/oauth2-mock-server");
        let scratch = Scratch::new("faulty-idp");
        let mut command = Command::new("node");
        command.arg(peer_file("faulty-idp.mjs")).arg(ports::free().to_string());
        let log = scratch.path().join("faulty-idp.log");
        let mut child = Child::spawn("faulty-idp", command, &log, OnFailure::ShowLog);
        let (issuer, admin) = child
            .wait_for_line(START, |line| {
                let ready: Value = serde_json::from_str(line).ok()?;
                Some((ready["issuer"].as_str()?.to_owned(), ready["admin"].as_u64()?))
            })
            .await;
        Self { child, issuer, admin, http: owner_client(), _scratch: scratch }
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Sets the fault of the login with this code; other logins are not affected.
    pub async fn fault(&self, code: &str, fault: &Value) {
        self.post_fault(&json!({"code": code, "fault": fault})).await;
    }

    /// Sets the answer to all requests for the path; null restores the correct answer.
    pub async fn spoil(&self, path: &str, fault: &Value) {
        self.post_fault(&json!({"path": path, "fault": fault})).await;
    }

    /// Returns a logout token for the client `vestibule`. The fault changes its claims, header or signature.
    pub async fn logout_token(&self, client_secret: &str, fault: &Value) -> String {
        let body = json!({"client": {"id": "vestibule", "secret": client_secret}, "fault": fault});
        let answer = self.http.post(self.admin_url("/logout-token")).json(&body).send().await.expect("the side door answers");
        answer.json().await.expect("the side door answers with a token")
    }

    /// The number of requests for a path.
    pub async fn requests(&self, path: &str) -> u64 {
        self.get_admin("/stats").await[path].as_u64().unwrap_or_default()
    }

    /// All codes and tokens that the provider has issued.
    pub async fn issued(&self) -> Vec<String> {
        serde_json::from_value(self.get_admin("/issued").await).expect("a list of texts")
    }

    /// The access token for the audience `litellm` that the provider issued last.
    pub async fn last_access_token(&self) -> String {
        let is_access_token = |token: &String| {
            let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
            claims.is_some_and(|claims| serde_json::from_slice::<Value>(&claims).is_ok_and(|claims| claims["aud"] == "litellm"))
        };
        self.issued().await.into_iter().rfind(is_access_token).expect("a login has an access token")
    }

    async fn post_fault(&self, fault: &Value) {
        let answer = self.http.post(self.admin_url("/fault")).json(fault).send().await.expect("the side door answers");
        assert!(answer.status().is_success(), "{fault}: {}", answer.status());
    }

    async fn get_admin(&self, path: &str) -> Value {
        let answer = self.http.get(self.admin_url(path)).send().await.expect("the side door answers");
        answer.json().await.expect("the side door answers JSON")
    }

    fn admin_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.admin)
    }
}
