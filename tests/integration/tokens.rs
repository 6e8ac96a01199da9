//! Bearer tokens instead of API keys: those of a real OpenID Provider here, those of ServiceAccounts in [`workloads`].

mod audiences;
mod http_proxy;
mod key_age;
mod pairwise_subjects;
mod pods;
mod workloads;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::Url;
use vestibule::secret::Digest;

use crate::support::agent::Agent;
use crate::support::auth_request::{CREDENTIAL_HEADERS, auth_request};
use crate::support::fleet::Fleet;
use crate::support::idp::{Idp, client};
use crate::support::pod::{Pod, PodOptions, random_key};
use crate::support::raw_http::Answer;
use crate::support::steps::{ALICE, TestUser, sign_in};
use crate::support::{http_client, wait};

const PATIENCE: Duration = Duration::from_secs(30);

/// The redirect URI of a command-line tool.
pub const CLI: &str = "http://localhost:1/callback";

const ROLE_MAP: &str = "
version: 1
default_role: customer
rules:
  - {claim: azp, match: batch, role: internal_user}
  - {source: access_token, claim: resource_access.litellm.roles, match: llm-admins, role: proxy_admin}
teams:
  - {claim: azp, match: batch}
access:
  - {paths: [/ui/**], credentials: [token, session, key]}
";

/// A pod that accepts the access tokens of its provider, with a batch job and a command-line tool as clients.
struct TokenFleet {
    fleet: Fleet,
    secret: String,
}

impl TokenFleet {
    async fn start(issuer: &str) -> Self {
        let secret = random_key();
        let batch = json!({
            "client_id": "batch", "client_secret": secret, "grant_types": ["client_credentials"],
            "redirect_uris": [], "response_types": [],
        });
        let cli = client("cli", &secret, &[CLI.to_owned()], &[]);
        let accepting = |pod: &mut PodOptions| {
            pod.role_map = Some(ROLE_MAP.to_owned());
            pod.further = format!("token_issuers:\n  - {issuer}\n");
        };
        let fleet = Fleet::builder().idp_with(|idp| idp.clients.extend([batch, cli])).config(accepting).start().await;
        Self { fleet, secret }
    }

    fn pod(&self) -> &Pod {
        self.fleet.pod(0)
    }

    fn idp(&self) -> &Idp {
        self.fleet.idp()
    }

    /// A token of the batch job, by the client credentials grant.
    async fn batch_token(&self) -> String {
        let answer = self.ask_for_tokens("batch", &[("grant_type", "client_credentials")]).await;
        text(&answer, "access_token")
    }

    async fn tokens_of(&self, user: TestUser) -> (String, String) {
        tokens_of(self.idp(), &self.secret, user).await
    }

    async fn ask_for_tokens(&self, client: &str, form: &[(&str, &str)]) -> Value {
        ask_for_tokens(self.idp().issuer(), (client, &self.secret), form).await
    }

    async fn checks(&self, result: &str) -> f64 {
        self.pod().metric("vestibule_token_checks_total", &[&format!("result=\"{result}\"")]).await
    }
}

/// The access token and id_token of a user of the command-line tool.
pub async fn tokens_of(idp: &Idp, secret: &str, user: TestUser) -> (String, String) {
    let verifier = random_key();
    let challenge = URL_SAFE_NO_PAD.encode(Digest::of(verifier.as_bytes()).as_bytes());
    let mut address = Url::parse(&format!("{}/auth", idp.issuer())).expect("an issuer is a URL");
    address.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", "cli"),
        ("redirect_uri", CLI),
        ("scope", "openid profile email"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("state", "s"),
    ]);
    let agent = Agent::new();
    let page = agent.get(address.as_str()).await;
    let page = idp.sign_in(&agent, page, user.name, user.password).await;
    let callback = page.location().unwrap_or_else(|| panic!("{}: {}", page.url, page.body));
    let code = callback.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    let form = [("grant_type", "authorization_code"), ("code", &*code), ("redirect_uri", CLI), ("code_verifier", &*verifier)];
    let answer = ask_for_tokens(idp.issuer(), ("cli", secret), &form).await;
    (text(&answer, "access_token"), text(&answer, "id_token"))
}

async fn ask_for_tokens(issuer: &str, (client, secret): (&str, &str), form: &[(&str, &str)]) -> Value {
    let request = http_client().post(format!("{issuer}/token")).basic_auth(client, Some(secret)).form(form);
    request.send().await.expect("the provider answers").json().await.expect("tokens come as JSON")
}

fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned()
}

/// The claims of a token, which is not verified.
fn claims_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("claims are JSON")
}

async fn check_token(pod: &Pod, token: &str) -> Answer {
    auth_request(pod, &[("authorization", &format!("Bearer {token}"))]).await
}

#[track_caller]
fn assert_refused(answer: &Answer) {
    assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("invalid_token")), "{answer:?}");
    assert!(answer.one("www-authenticate").contains("invalid_token"), "{answer:?}");
}

const OF_CORP: &str = "{id: corp-api, provider: corp, audiences: [litellm], unregistered: allow}";

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_jobs_token_passes_in_every_header_and_cached_tokens_cause_no_requests() {
    let fleet = TokenFleet::start(OF_CORP).await;
    let token = fleet.batch_token().await;
    for header in CREDENTIAL_HEADERS {
        let value = if header == "authorization" { format!("Bearer {token}") } else { token.clone() };
        let answer = auth_request(fleet.pod(), &[(header, &value)]).await;
        assert_eq!(answer.status, 200, "{header}: {answer:?}");
        assert_eq!(answer.one("x-auth-request-user"), "corp-api:batch");
        assert_eq!(answer.one("x-auth-request-role"), "internal_user");
        assert_eq!(answer.one("x-auth-request-groups"), "batch");
        assert_eq!(answer.one("x-auth-request-key"), "");
    }
    let (commands, checks) = (fleet.fleet.commands(0).await, fleet.checks("remembered").await);
    let fetched = fleet.pod().metric("vestibule_token_issuer_refreshes_total", &[]).await;
    for _ in 0..200 {
        assert_eq!(check_token(fleet.pod(), &token).await.status, 200);
    }
    assert_eq!(fleet.checks("remembered").await - checks, 200.0);
    assert_eq!(fleet.fleet.commands(0).await - commands, 0.0);
    assert_eq!(fleet.pod().metric("vestibule_token_issuer_refreshes_total", &[]).await - fetched, 0.0);
    assert!(!fleet.pod().log().contains(&token), "a token stands in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_token_belongs_to_the_user_after_the_first_sign_in_and_an_id_token_never_passes() {
    let fleet = TokenFleet::start(OF_CORP).await;
    let (access, id) = fleet.tokens_of(ALICE).await;
    assert_refused(&check_token(fleet.pod(), &id).await);

    // An unregistered subject has the role of its claims, and no default role.
    let unregistered = check_token(fleet.pod(), &access).await;
    assert_eq!(unregistered.one("x-auth-request-user"), "corp-api:alice");
    assert_eq!(unregistered.one("x-auth-request-role"), "proxy_admin");

    let cookie = sign_in(fleet.idp(), &Agent::new(), fleet.pod(), ALICE).await;
    let session = auth_request(fleet.pod(), &[("cookie", &format!("vestibule={cookie}"))]).await;
    let user = session.one("x-auth-request-user").to_owned();
    let known = async || {
        let answer = check_token(fleet.pod(), &access).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.one("x-auth-request-user") == user).then_some(answer)
    };
    let answer = wait::until("the token to belong to the user", PATIENCE, known).await;
    assert_eq!(answer.one("x-auth-request-role"), "proxy_admin");

    // The claims of the token apply.
    fleet.idp().set_access_token_claims("alice", json!({})).await;
    let (lesser, _) = fleet.tokens_of(ALICE).await;
    let answer = check_token(fleet.pod(), &lesser).await;
    assert_eq!((answer.one("x-auth-request-user"), answer.one("x-auth-request-role")), (&*user, "customer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_another_audience_or_of_an_unknown_issuer_is_refused_and_the_cookie_is_not_tried() {
    let fleet = TokenFleet::start("{id: corp-api, provider: corp, audiences: [another-api], unregistered: allow}").await;
    let cookie = sign_in(fleet.idp(), &Agent::new(), fleet.pod(), ALICE).await;
    let cookie = format!("vestibule={cookie}");
    assert_eq!(auth_request(fleet.pod(), &[("cookie", &cookie)]).await.status, 200);
    let batch = fleet.batch_token().await;
    let [header, payload, signature]: [&str; 3] = batch.split('.').collect::<Vec<_>>().try_into().expect("three parts");
    let foreign =
        URL_SAFE_NO_PAD.encode(json!({"iss": "https://elsewhere.example", "sub": "x", "aud": "another-api"}).to_string());
    let unsigned = URL_SAFE_NO_PAD.encode(json!({"alg": "none"}).to_string());
    let tokens = [batch.clone(), format!("{header}.{foreign}.{signature}"), format!("{unsigned}.{payload}.{signature}")];
    for token in tokens {
        assert_refused(&check_token(fleet.pod(), &token).await);
        assert_refused(&auth_request(fleet.pod(), &[("authorization", &format!("Bearer {token}")), ("cookie", &cookie)]).await);
    }
    assert_eq!(fleet.checks("refused").await, 6.0);
    let of_nobody = fleet.pod().metric("vestibule_token_checks_total", &[r#"issuer="""#, r#"result="refused""#]).await;
    assert_eq!(of_nobody, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_are_fetched_for_a_token_that_names_one_and_tokens_of_removed_keys_are_refused() {
    let fleet = TokenFleet::start(OF_CORP).await;
    let old = fleet.batch_token().await;
    assert_eq!(check_token(fleet.pod(), &old).await.status, 200);

    // Keys stay valid while the provider does not answer.
    fleet.idp().fail().await;
    assert_eq!(check_token(fleet.pod(), &old).await.status, 200);
    fleet.idp().resume().await;

    fleet.idp().replace_keys().await;
    let new = fleet.batch_token().await;
    assert_eq!(check_token(fleet.pod(), &new).await.status, 200);
    assert_refused(&check_token(fleet.pod(), &old).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_known_keys_the_answer_is_503() {
    let issuer = "{id: away, issuer: 'http://127.0.0.1:1', audiences: [litellm]}";
    let pod = Pod::start(PodOptions { further: format!("token_issuers:\n  - {issuer}\n"), ..PodOptions::new() }).await;
    let payload = URL_SAFE_NO_PAD.encode(json!({"iss": "http://127.0.0.1:1", "sub": "x", "aud": "litellm"}).to_string());
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "RS256", "kid": "k"}).to_string());
    let answer = check_token(&pod, &format!("{header}.{payload}.c2ln")).await;
    assert_eq!((answer.status, &answer.json()["error"]), (503, &json!("temporarily_unavailable")), "{answer:?}");
    assert!(pod.metric("vestibule_token_issuer_refreshes_total", &[r#"outcome="error""#]).await >= 1.0);
    assert_eq!(pod.metric("vestibule_token_checks_total", &[r#"issuer="away""#, r#"result="unavailable""#]).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_token_gives_an_application_a_key_that_expires_with_it_and_cannot_manage_keys() {
    let fleet = TokenFleet::start(OF_CORP).await;
    let agent = Agent::new();
    let (token, _) = fleet.tokens_of(ALICE).await;
    let bearer = format!("Bearer {token}");
    let url = fleet.pod().public("/sso/key/generate?response_type=oauth_token");
    // An unregistered subject cannot own a key.
    let unregistered = agent.get_with(&url, &[("authorization", &bearer)]).await;
    assert_eq!(
        (unregistered.status, unregistered.json()["error"].as_str()),
        (403, Some("access_denied")),
        "{}",
        unregistered.body
    );

    sign_in(fleet.idp(), &agent, fleet.pod(), ALICE).await;
    let response = Agent::new().get_with(&url, &[("authorization", &bearer)]).await;
    assert_eq!(response.status, 200, "{}", response.body);
    let claims = claims_of(&token);
    let life = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    let remaining = response.json()["expires_in"].as_u64().unwrap();
    assert!(remaining <= life && remaining + 60 >= life, "{remaining} of {life}");
    let key = response.json()["access_token"].as_str().unwrap().to_owned();
    let (by_key, by_token) = (check_token(fleet.pod(), &key).await, check_token(fleet.pod(), &token).await);
    for header in ["x-auth-request-user", "x-auth-request-role", "x-auth-request-groups"] {
        assert_eq!(by_key.one(header), by_token.one(header), "{header}");
    }
    assert_eq!(by_key.one("x-auth-request-role"), "proxy_admin");

    let job = format!("Bearer {}", fleet.batch_token().await);
    let refused = Agent::new().get_with(&url, &[("authorization", &job)]).await;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (403, Some("access_denied")), "{}", refused.body);
    for credential in [&bearer, &job] {
        let api = fleet.pod().public("/vestibule/api/keys");
        let answer = Agent::new().get_with(&api, &[("authorization", credential)]).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (403, Some("access_denied")), "{}", answer.body);
    }
}
