//! Pods with an identity provider whose tokens a test writes.

use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::agent::Agent;
use crate::support::faulty_idp::FaultyIdp;
use crate::support::fleet::{Fleet, FleetBuilder};
use crate::support::pod::{ProviderSection, random_key};
use crate::support::steps::{assert_signed_in, at, begin, session_of};

/// Pods whose provider signs any logout token.
pub struct ScriptedFleet {
    pub fleet: Fleet,
    idp: FaultyIdp,
    secret: String,
}

impl ScriptedFleet {
    pub async fn start() -> Self {
        Self::start_with(|builder| builder.pods(3).cluster()).await
    }

    pub async fn start_with<'a>(adjust: impl FnOnce(FleetBuilder<'a>) -> FleetBuilder<'a>) -> Self {
        let (idp, secret) = (FaultyIdp::start().await, random_key());
        let provider = ProviderSection::corp(idp.issuer(), secret.clone());
        Self { fleet: adjust(Fleet::builder().provider(provider)).start().await, idp, secret }
    }

    /// Opens a session whose id_token has these claims, and returns its token.
    pub async fn sign_in(&self, claims: Value) -> String {
        let (agent, pod) = (Agent::new(), self.fleet.pod(0));
        let question = begin(&agent, pod, "/").await.location().expect("a redirect to the provider");
        let callback = agent.get(question.as_str()).await.location().expect("the provider shows no form");
        let code = callback.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
        let fault = json!({"idToken": {"claims": claims}, "userinfo": {"claims": {"sub": claims["sub"]}}});
        self.idp.fault(&code, &fault).await;
        assert_signed_in(&agent.get(&at(pod, &callback)).await);
        session_of(&agent)
    }

    pub async fn token(&self, fault: Value) -> String {
        self.idp.logout_token(&self.secret, &fault).await
    }

    /// Waits until no pod serves the session, and asserts that this does not take longer than the documented bound.
    pub async fn assert_ended_everywhere(&self, session: &str, since: Instant) {
        for pod in 0..self.fleet.pods.len() {
            self.fleet.refused(pod, session, since).await.assert_within_bound("a back-channel logout");
        }
    }

    pub async fn warm(&self, session: &str) {
        for pod in 0..self.fleet.pods.len() {
            self.fleet.warm(pod, session).await;
        }
    }

    pub async fn is_live(&self, session: &str) -> bool {
        self.fleet.passing(session).await == self.fleet.pods.len()
    }
}

/// The status and the error code of an answer, which no cache may store.
pub async fn answer(response: Response) -> (u16, String) {
    assert_eq!(response.headers().get("cache-control").and_then(|value| value.to_str().ok()), Some("no-store"));
    let status = response.status().as_u16();
    let text = response.text().await.expect("it comes whole");
    match status {
        200 => assert_eq!(text, ""),
        _ => assert!(serde_json::from_str::<Value>(&text).is_ok_and(|body| body["error_description"].is_string()), "{text}"),
    }
    let code = serde_json::from_str::<Value>(&text).map(|body| body["error"].as_str().unwrap_or_default().to_owned());
    (status, code.unwrap_or_default())
}
