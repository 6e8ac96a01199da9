//! An identity provider that goes wrong when it is told to (npm `oauth2-mock-server`): see
//! `tests/peers/faulty-idp.mjs` for the faults that it knows.

use std::process::Command;
use std::time::Duration;

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

    /// What is to go wrong with the login that has this code; with all others nothing does.
    pub async fn fault(&self, code: &str, fault: &Value) {
        self.tell(&json!({"code": code, "fault": fault})).await;
    }

    /// What everybody gets who asks for the path, until it is told otherwise; null is the right answer.
    pub async fn spoil(&self, path: &str, fault: &Value) {
        self.tell(&json!({"path": path, "fault": fault})).await;
    }

    /// How often a path was asked for.
    pub async fn requests(&self, path: &str) -> u64 {
        self.ask("/stats").await[path].as_u64().unwrap_or_default()
    }

    /// Every code and token that it has handed out.
    pub async fn issued(&self) -> Vec<String> {
        serde_json::from_value(self.ask("/issued").await).expect("a list of texts")
    }

    async fn tell(&self, fault: &Value) {
        let answer = self.http.post(self.side_door("/fault")).json(fault).send().await.expect("the side door answers");
        assert!(answer.status().is_success(), "{fault}: {}", answer.status());
    }

    async fn ask(&self, path: &str) -> Value {
        let answer = self.http.get(self.side_door(path)).send().await.expect("the side door answers");
        answer.json().await.expect("the side door answers JSON")
    }

    fn side_door(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.admin)
    }
}
