//! Odd tokens and answers over three pods: each login begins on one pod, its callback reaches a second one, and a third one
//! answers for the session.

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::cases::id_token;
use crate::login::parameter;
use crate::support::agent::{Agent, Page};
use crate::support::auth_request::auth_request;
use crate::support::faulty_idp::FaultyIdp;
use crate::support::fleet::Fleet;
use crate::support::pod::{ProviderSection, random_key};
use crate::support::steps::{assert_not_signed_in, assert_page, assert_signed_in, at, begin, check, session_of};

const AT_ONCE: usize = 4;

/// JSON text that is nested deeper than most parsers accept.
fn deep() -> String {
    format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000))
}

fn raw_id_token(members: Value) -> Value {
    json!({"idToken": {"raw": members}})
}

/// Tokens and answers that have everything that a login needs.
fn odd_logins() -> Vec<Value> {
    vec![
        raw_id_token(json!({"exp": "4000000000.75", "iat": "1.5e9", "nbf": "-1e400"})),
        raw_id_token(json!({"iat": "-1", "auth_time": "1e999", "updated_at": deep(), "locale": "9".repeat(5_000)})),
        raw_id_token(json!({"name": "1,\"name\":{},\"name\":[]", "email_verified": "\"\\ud800\"", "zoneinfo": "[[],{}]"})),
        id_token(json!({"aud": ["vestibule", "vestibule"], "azp": null, "nbf": "now", "jti": 7, "acr": [], "amr": "pwd"})),
        json!({"idToken": {"header": {"kid": {}, "x5t": 1, "jwk": [], "b64": false}}}),
        json!({"token": {"gzip": true}, "userinfo": {"gzip": true}}),
        json!({"token": {"status": 202, "raw": {"expires_in": "-1e400", "scope": deep(), "x": "1,\"x\":2", "y": "\"\\ud800\""}}}),
        json!({"userinfo": {"signedBy": "provider", "type": "application/json"}}),
        json!({"userinfo": {"signedBy": "provider", "type": "text/plain; charset=utf-8"}}),
        json!({"userinfo": {"status": 203, "raw": {"address": deep(), "phone_number": "1E+400", "email": "\"a@b.c\",\"email\":[]"}}}),
        // Userinfo is optional.
        json!({"userinfo": {"status": 401, "type": "text/html", "body": "<h1>Hello</h1>"}}),
    ]
}

/// `text` in UTF-16, in base64.
fn utf16(text: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>())
}

/// Tokens and answers without something that a login needs, or with a second, other value of it.
fn faulty_logins() -> Vec<Value> {
    let second = |member: &str| raw_id_token(json!({"x": format!("1,{member}")}));
    let answer = |body: &str| json!({"token": {"type": "application/json", "body": body}});
    vec![
        second(r#""aud":"other""#),
        second(r#""sub":"eve""#),
        second(r#""nonce":"n""#),
        second(r#""iss":["https://evil.example.com"]"#),
        second(r#""exp":1"#),
        second("\"y\":NaN"),
        second("\"y\":Infinity"),
        second("\"y\":1}{\"z\":2"),
        raw_id_token(json!({"exp": "1e400"})),
        raw_id_token(json!({"exp": "\"4000000000\""})),
        raw_id_token(json!({"exp": "-4e9"})),
        raw_id_token(json!({"iat": "4e9"})),
        raw_id_token(json!({"nonce": deep()})),
        id_token(json!({"aud": [["vestibule"]]})),
        id_token(json!({"aud": {"vestibule": true}})),
        id_token(json!({"aud": [], "azp": "vestibule"})),
        id_token(json!({"azp": {}})),
        id_token(json!({"nonce": 7})),
        json!({"idToken": {"header": {"alg": "rs256"}}}),
        json!({"idToken": {"header": {"typ": 7}}}),
        json!({"idToken": {"header": {"zip": "DEF"}}}),
        answer("access_token=a&id_token=i&token_type=bearer"),
        answer("eyJhbGciOiJub25lIn0.e30."),
        answer(r#"[{"id_token": "i"}]"#),
        answer(r#"{"id_token": "i"} trailing"#),
        answer(r#"{"id_token": "i", "expires_in": NaN}"#),
        json!({"token": {"bytes": utf16(r#"{"id_token": "i"}"#)}}),
        json!({"token": {"status": 204, "body": ""}}),
        json!({"userinfo": {"bytes": utf16(r#"{"sub": "johndoe"}"#)}}),
        json!({"userinfo": {"body": r#"[{"sub": "johndoe"}]"#}}),
        json!({"userinfo": {"body": r#"{"sub": "johndoe", "sub": "eve"}"#}}),
        json!({"userinfo": {"body": r#"{"sub": ["johndoe"]}"#}}),
        json!({"userinfo": {"signedBy": "none", "type": "application/json"}}),
        json!({"userinfo": {"signedBy": "unrelated key", "type": "text/plain"}}),
    ]
}

/// Three pods whose provider returns odd and faulty answers on request.
struct FaultyProviderFleet {
    fleet: Fleet,
    idp: FaultyIdp,
}

impl FaultyProviderFleet {
    async fn start() -> Self {
        let idp = FaultyIdp::start().await;
        let provider = ProviderSection::corp(idp.issuer(), random_key());
        Self { fleet: Fleet::builder().pods(3).cluster().provider(provider).start().await, idp }
    }

    /// Begins a login on one pod, and opens its callback on the next one.
    async fn log_in(&self, agent: &Agent, number: usize, fault: &Value) -> Page {
        let question = begin(agent, self.fleet.pod(number), "/ui/").await.location().expect("begin gives a redirect");
        let callback = agent.get(question.as_str()).await.location().expect("the provider shows no form");
        self.idp.fault(&parameter(&callback, "code"), fault).await;
        agent.get(&at(self.fleet.pod(number + 1), &callback)).await
    }

    async fn assert_signs_in(&self, number: usize, fault: &Value) {
        let agent = Agent::new();
        let page = self.log_in(&agent, number, fault).await;
        assert_eq!(page.status, 303, "{fault:.300}: {}", page.body);
        assert_signed_in(&page);
        let session = session_of(&agent);
        let answer = check(&agent, self.fleet.pod(number + 2), &session).await;
        assert_eq!((answer.status, answer.header("x-auth-request-role")), (200, Some("proxy_admin")), "{fault:.300}");
        for pod in &self.fleet.pods {
            let cookie = format!("vestibule={session}");
            assert_eq!(auth_request(pod, &[("cookie", &cookie)]).await.status, 200, "{fault:.300}");
        }
    }

    async fn assert_fails(&self, number: usize, fault: &Value) {
        let agent = Agent::new();
        let page = self.log_in(&agent, number, fault).await;
        assert_ne!(page.status, 303, "{fault:.300}");
        assert_page(&page, 502, "Sign-in could not be confirmed");
        assert_not_signed_in(&page);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_answers_sign_in_and_faulty_ones_do_not_when_each_request_reaches_another_pod() {
    let fleet = FaultyProviderFleet::start().await;
    let (odd, faulty) = (odd_logins(), faulty_logins());
    stream::iter(odd.iter().enumerate())
        .for_each_concurrent(AT_ONCE, async |(number, fault)| fleet.assert_signs_in(number, fault).await)
        .await;
    stream::iter(faulty.iter().enumerate())
        .for_each_concurrent(AT_ONCE, async |(number, fault)| fleet.assert_fails(number, fault).await)
        .await;
    for pod in &fleet.fleet.pods {
        assert_eq!(pod.metric("vestibule_panics_total", &[]).await, 0.0);
    }
    let refused = fleet.fleet.metric("vestibule_logins_total", &["outcome=\"provider_failed\""]).await;
    assert_eq!(refused, faulty.len() as f64, "no login is counted twice");
}
