//! Faulty answers to a refresh token: only a refusal of the token ends the session, and everything else changes nothing.

use serde_json::{Value, json};
use url::Url;
use vestibule::users::{RefreshToken, Session};

use super::super::parameter;
use super::*;
use crate::support::faulty_idp::FaultyIdp;
use crate::support::pod::{PodOptions, ProviderSection, random_key};
use crate::support::steps::{assert_signed_in, at, begin};

/// The effect of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// The claims are replaced: the role is this one.
    Refreshed(&'static str),
    /// The claims stay, and the token of the answer is used next.
    TokenKept,
    /// The claims and the token stay.
    Nothing,
    /// The session ends.
    Refused,
}

struct Case(&'static str, Value, Effect);

const ADMIN: Effect = Effect::Refreshed("proxy_admin");
const VIEWER: Effect = Effect::Refreshed("internal_user_viewer");

fn cases() -> Vec<Case> {
    let no_role = json!({"claims": {"resource_access": null}});
    let id_token = |claims: Value| json!({"idToken": {"claims": claims}});
    let answer = |status: u16, body: Value| json!({"token": {"status": status, "body": body.to_string()}});
    let error = |status: u16, code: &str| answer(status, json!({"error": code}));
    vec![
        Case("correct", json!({}), ADMIN),
        Case("lost role", json!({"accessToken": no_role}), VIEWER),
        Case("no id_token", json!({"idToken": "absent", "accessToken": no_role}), VIEWER),
        Case("opaque access token", json!({"accessToken": {"text": "opaque"}}), VIEWER),
        Case("no refresh token", json!({"token": {"claims": {"refresh_token": null}}}), ADMIN),
        Case("odd refresh token", json!({"token": {"claims": {"refresh_token": ["x"]}}}), ADMIN),
        Case("no expiry, no scope", json!({"token": {"claims": {"expires_in": null, "scope": 7}}}), ADMIN),
        Case("repeated nonce", id_token(json!({"nonce": null})), ADMIN),
        Case("userinfo refused", json!({"userinfo": {"status": 403, "body": "{}"}}), ADMIN),
        Case("userinfo failed", json!({"userinfo": {"status": 500, "body": "{}"}}), Effect::TokenKept),
        Case("userinfo of another user", json!({"userinfo": {"claims": {"sub": "eve"}}}), Effect::TokenKept),
        Case("another nonce", id_token(json!({"nonce": "forged"})), Effect::TokenKept),
        Case("another issuer", id_token(json!({"iss": "https://evil.example"})), Effect::TokenKept),
        Case("another audience", id_token(json!({"aud": "other"})), Effect::TokenKept),
        Case("another authorized party", id_token(json!({"azp": "other"})), Effect::TokenKept),
        Case("no subject", id_token(json!({"sub": null})), Effect::TokenKept),
        Case("user claim of another user", id_token(json!({"oid": "7"})), Effect::TokenKept),
        Case("expired id_token", id_token(json!({"exp": {"in": -3600}})), Effect::TokenKept),
        Case("wrong signature", json!({"idToken": {"signedBy": "unrelated key"}}), Effect::TokenKept),
        Case("unsigned", json!({"idToken": {"signedBy": "none"}}), Effect::TokenKept),
        Case("another subject", id_token(json!({"sub": "eve"})), Effect::Nothing),
        Case("invalid client", error(401, "invalid_client"), Effect::Nothing),
        Case("unauthorized client", error(400, "unauthorized_client"), Effect::Nothing),
        Case("invalid scope", error(400, "invalid_scope"), Effect::Nothing),
        Case("interaction required", error(400, "interaction_required"), Effect::Nothing),
        Case("unknown error", error(400, "AADSTS90033"), Effect::Nothing),
        Case("overloaded", error(429, "invalid_grant"), Effect::Nothing),
        Case("server error", error(503, "invalid_grant"), Effect::Nothing),
        Case("a page", json!({"token": {"type": "text/html", "body": "<html>"}}), Effect::Nothing),
        Case("an empty answer", json!({"token": {"body": ""}}), Effect::Nothing),
        Case("refused", error(400, "invalid_grant"), Effect::Refused),
        Case("refused by GitHub", error(200, "bad_refresh_token"), Effect::Refused),
    ]
}

/// A pod whose provider returns faulty answers on request, and the user of all sign-ins.
pub(super) struct FaultyRefresh {
    pub fleet: Fleet,
    pub idp: FaultyIdp,
    pub user: String,
}

impl FaultyRefresh {
    pub async fn start(adjust: impl Fn(&mut PodOptions)) -> Self {
        let idp = FaultyIdp::start().await;
        let mut provider = ProviderSection::corp(idp.issuer(), random_key());
        provider.further.push("refresh: {interval: 10s, max_age: 60s}".to_owned());
        provider.further.push("trust_login_time: true".to_owned());
        let fleet = Fleet::builder().standalone().provider(provider).config(adjust).start().await;
        let mut faulty = Self { fleet, idp, user: String::new() };
        let cookie = session_header(&faulty.sign_in().await);
        faulty.user = auth_request(faulty.pod(), &[("cookie", &cookie)]).await.one("x-auth-request-user").to_owned();
        faulty
    }

    pub fn pod(&self) -> &Pod {
        self.fleet.pod(0)
    }

    pub async fn sign_in(&self) -> Agent {
        let agent = Agent::new();
        self.sign_in_with(&agent, &json!({})).await;
        agent
    }

    /// Signs in, and returns the request to the provider, whose answer has a fault.
    pub async fn sign_in_with(&self, agent: &Agent, fault: &Value) -> Url {
        let question = begin(agent, self.pod(), "/").await.location().expect("a redirect to the provider");
        let callback = agent.get(question.as_str()).await.location().expect("the provider shows no form");
        self.idp.fault(&parameter(&callback, "code"), fault).await;
        assert_signed_in(&agent.get(&at(self.pod(), &callback)).await);
        question
    }

    pub async fn session(&self, agent: &Agent) -> Option<Session> {
        let digest = Digest::of(session_of(agent).as_bytes());
        let key = Session::key(shard_of(&self.user), &digest);
        self.fleet.records().await.get::<Session>(&key).await.expect("it can be read").map(|stored| stored.value)
    }

    async fn count(&self, result: &str) -> f64 {
        self.pod().metric("vestibule_claims_refreshes_total", &[&format!("result=\"{result}\"")]).await
    }

    /// Uses claims that are older than the interval until a refresh has had this result.
    pub async fn refresh(&self, credential: (&str, &str), result: &str) {
        let before = self.count(result).await;
        self.fleet.change_user(&self.user, |user| age_identity(user, "corp", DUE)).await;
        let counted = async || {
            auth_request(self.pod(), &[credential]).await;
            (self.count(result).await > before).then_some(())
        };
        wait::until(&format!("a refresh that is {result}"), PATIENCE, counted).await;
    }

    async fn assert_effect(&self, Case(name, fault, effect): &Case) {
        let agent = self.sign_in().await;
        let cookie = session_header(&agent);
        let former = self.session(&agent).await.and_then(|session| session.refresh_token).expect("a refresh token");
        self.idp.fault("refresh", fault).await;
        let result = match effect {
            Effect::Refreshed(_) => "refreshed",
            Effect::TokenKept | Effect::Nothing => "failed",
            Effect::Refused => "refused",
        };
        eprintln!("{name}: expecting {result}");
        self.refresh(("cookie", &cookie), result).await;
        match effect {
            Effect::Refreshed(role) => {
                let has_role =
                    async |pod: &Pod| auth_request(pod, &[("cookie", &cookie)]).await.one("x-auth-request-role") == *role;
                until_everywhere(&self.fleet.pods, &format!("{name}: {role}"), PATIENCE, has_role).await;
            }
            Effect::Refused => self.until_refused(&cookie).await,
            Effect::TokenKept | Effect::Nothing => {
                let answer = auth_request(self.pod(), &[("cookie", &cookie)]).await;
                assert_eq!((answer.status, answer.one("x-auth-request-role")), (200, "proxy_admin"), "{name}");
            }
        }
        self.assert_token(name, &agent, &former, *effect).await;
        // The next case begins with the claims of an administrator.
        self.idp.fault("refresh", &json!({})).await;
    }

    async fn until_refused(&self, cookie: &str) {
        let is_refused = async |pod: &Pod| auth_request(pod, &[("cookie", cookie)]).await.status == 401;
        until_everywhere(&self.fleet.pods, "401", PATIENCE, is_refused).await;
    }

    /// Asserts that the session has the token for the next refresh.
    async fn assert_token(&self, name: &str, agent: &Agent, former: &RefreshToken, effect: Effect) {
        let keeps_former = effect == Effect::Nothing || name.ends_with("refresh token");
        let has_token = async || match self.session(agent).await {
            // A failure is counted before it is stored.
            Some(session) => {
                let token = session.refresh_token.expect("the session keeps a token");
                (token.is_same(former) == keeps_former).then_some(())
            }
            None => (effect == Effect::Refused).then_some(()),
        };
        wait::until(&format!("{name}: the token of the next refresh"), PATIENCE, has_token).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_refusal_of_the_token_ends_the_session() {
    let faulty = FaultyRefresh::start(|pod| {
        pod.further.push_str("log: {level: \"trace,notify=warn,inotify=warn\"}\n");
        pod.further.push_str("token_issuers: [{id: corp-api, provider: corp, audiences: [litellm], user_claim: oid}]\n");
    });
    let faulty = faulty.await;
    let other = json!({"idToken": {"claims": {"sub": "eve", "oid": "7"}}, "userinfo": {"claims": {"sub": "eve"}}});
    faulty.sign_in_with(&Agent::new(), &other).await;
    for case in cases() {
        faulty.assert_effect(&case).await;
    }
    // The use of a token refreshes the claims with the token of the user's session.
    let _session = faulty.sign_in().await;
    let bearer = format!("Bearer {}", faulty.idp.last_access_token().await);
    assert_eq!(auth_request(faulty.pod(), &[("authorization", &bearer)]).await.status, 200);
    faulty.refresh(("authorization", &bearer), "refreshed").await;
    let log = faulty.pod().log();
    for secret in faulty.idp.issued().await {
        assert!(!log.contains(&secret), "a token or code is in the log");
    }
    assert!(log.contains("claims not refreshed") && log.contains("refresh token refused"));
}
