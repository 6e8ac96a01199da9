//! A real LiteLLM behind nginx and three pods, with OpenAI's clients and our API keys. LiteLLM only accepts its own key.

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::api::{ApiKey, Auth, create_key, key_status, revoke_key};
use crate::support::auth_request::send_to_check;
use crate::support::fleet::Fleet;
use crate::support::http_client;
use crate::support::litellm::{COUNTING_MODEL, FIXED_ANSWER, FIXED_MODEL, Handler, LiteLlm, python};
use crate::support::nginx::Nginx;
use crate::support::pod::{Pod, PodOptions, random_key, until_everywhere};
use crate::support::process::{Child, OnFailure};
use crate::support::scratch::Scratch;
use crate::support::steps::{BOB, session_of};
use crate::support::{peer_file, raw_http, repository};

const PATIENCE: Duration = Duration::from_secs(60);

/// Two common clients.
const CLIENTS: [fn() -> Command; 2] = [
    || {
        let mut command = python();
        command.arg(peer_file("openai_client.py"));
        command
    },
    || {
        let mut command = Command::new("node");
        command.arg(peer_file("openai-client.mjs"));
        command
    },
];

/// A fleet, LiteLLM behind another nginx, and a session of bob.
struct LiteLlmFleet {
    fleet: Fleet,
    litellm: LiteLlm,
    nginx: Nginx,
    session: String,
}

/// The master key of LiteLLM.
fn own_key() -> &'static str {
    static KEY: OnceLock<String> = OnceLock::new();
    KEY.get_or_init(|| format!("sk-{}", random_key()))
}

async fn litellm_fleet() -> &'static LiteLlmFleet {
    static FLEET: OnceCell<LiteLlmFleet> = OnceCell::const_new();
    let start = async || {
        let with_credential = |pod: &mut PodOptions| {
            let credential = json!({"default": "litellm", "static": [{"name": "litellm", "authorization": own_key()}]});
            pod.further += &format!("upstream_credential: {credential}\n");
        };
        let fleet = Fleet::builder().pods(3).cluster().idp().config(with_credential).start();
        let (fleet, litellm) = tokio::join!(fleet, LiteLlm::start(own_key()));
        let nginx = fleet.nginx_to(litellm.port()).await;
        let session = session_of(&fleet.signed_in(BOB).await);
        LiteLlmFleet { fleet, litellm, nginx, session }
    };
    FLEET.get_or_init(start).await
}

impl LiteLlmFleet {
    async fn make_key(&self) -> ApiKey {
        create_key(&self.fleet.pods[0], Auth::Session(&self.session), json!({})).await
    }

    /// Starts one of the clients, which sends its requests through nginx.
    fn start_client(&self, client: fn() -> Command, key: &str, question: &[&str], scratch: &Scratch) -> Child {
        let mut command = client();
        command.arg(format!("http://localhost:{}/v1", self.nginx.port())).args(question).env("OPENAI_API_KEY", key);
        Child::spawn("client", command, &scratch.path().join("client.log"), OnFailure::ShowLog)
    }

    /// The final output of the client.
    async fn ask(&self, client: fn() -> Command, key: &str, question: &[&str]) -> Value {
        let scratch = Scratch::new("openai");
        let child = self.start_client(client, key, question, &scratch);
        finished(child).await
    }
}

async fn finished(mut child: Child) -> Value {
    let exit = child.wait_exit(PATIENCE).await;
    let log = child.log();
    assert!(exit.success(), "{log}");
    serde_json::from_str(log.lines().last().unwrap_or_default()).unwrap_or_else(|error| panic!("{error}: {log}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_clients_chat_and_stream_with_our_key_while_litellm_only_accepts_its_own() {
    let behind = litellm_fleet().await;
    let created_key = behind.make_key().await;
    for client in CLIENTS {
        let output = behind.ask(client, &created_key.key, &[FIXED_MODEL, "Hello"]).await;
        assert_eq!(output, json!({"text": FIXED_ANSWER, "pieces": 1}));
        let streamed = behind.ask(client, &created_key.key, &[COUNTING_MODEL, "5", "stream"]).await;
        assert_eq!(streamed, json!({"text": "word 1 word 2 word 3 word 4 word 5 ", "pieces": 5}));
        let foreign = format!("sk-{}", random_key());
        for wrong in [&foreign, own_key()] {
            assert_eq!(behind.ask(client, wrong, &[FIXED_MODEL, "Hello"]).await, json!({"status": 401}));
        }
    }
    let body = json!({"model": FIXED_MODEL, "messages": [{"role": "user", "content": "Hello"}]}).to_string();
    let around = async |key: &str| {
        let http = http_client();
        let url = format!("http://127.0.0.1:{}/v1/chat/completions", behind.litellm.port());
        let request = http.post(url).bearer_auth(key).header("content-type", "application/json").body(body.clone());
        request.send().await.expect("LiteLLM answers").status().as_u16()
    };
    assert_eq!(around(own_key()).await, 200);
    let refused = around(&created_key.key).await;
    assert!((400..500).contains(&refused), "LiteLLM accepts none of our keys: {refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_client_header_replaces_litellms_own_key() {
    let behind = litellm_fleet().await;
    let key = behind.make_key().await;
    // LiteLLM prefers each of these to Authorization, or accepts it if Authorization is missing.
    for (name, value) in [
        ("x-litellm-api-key", key.key.as_str()),
        ("x-api-key", &key.key),
        ("api-key", &key.key),
        ("x-goog-api-key", &key.key),
        ("ocp-apim-subscription-key", &key.key),
    ] {
        let answer =
            raw_http::send(behind.nginx.port(), "GET", "/v1/models", &[("Accept", "application/json"), (name, value)]).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        let names: Vec<_> = answer.json()["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
        assert!(names.contains(&json!(FIXED_MODEL)), "{names:?}");
    }
}

/// The Python code of LiteLLM's handler in the documentation.
fn documented_handler() -> String {
    let page = std::fs::read_to_string(repository("docs/upstream.md")).expect("the page is there");
    let block = page.split("```python\n").skip(1).find(|block| block.contains("async def user_api_key_auth"));
    block.and_then(|block| block.split("```").next()).expect("the page has the handler").to_owned()
}

/// The fleet of the other upstream tests has the keys.
#[tokio::test(flavor = "multi_thread")]
async fn litellm_verifies_assertions_with_the_documented_handler_and_refuses_other_requests() {
    let fleet = super::fleet().await;
    let (keys_at, issuer) = (fleet.url("/vestibule/jwks.json"), fleet.url(""));
    let environment =
        [("VESTIBULE_JWKS_URL", keys_at.as_str()), ("VESTIBULE_ISSUER", &issuer), ("VESTIBULE_AUDIENCE", super::AUDIENCE)];
    let handler = Handler { module: &documented_handler(), environment: &environment };
    let litellm = LiteLlm::start_with(own_key(), Some(handler)).await;
    let nginx = fleet.nginx_of(&["localhost", "asserted.example.com"], litellm.port()).await;
    let session = session_of(&fleet.signed_in(BOB).await);
    let key = create_key(&fleet.pods[0], Auth::Session(&session), json!({})).await;
    let ask = async |port: u16, name: &str, value: &str| {
        let headers = [("Host", "asserted.example.com"), ("Accept", "application/json"), (name, value)];
        raw_http::send(port, "GET", "/v1/models", &headers).await.status
    };
    assert_eq!(ask(nginx.port(), "x-api-key", &key.key).await, 200);
    assert_eq!(ask(nginx.port(), "x-api-key", "sk-foreign").await, 401);
    let assertion = checked(&fleet.pods[0], &key.key).await;
    assert_eq!(ask(litellm.port(), "x-vestibule-assertion", &assertion).await, 200);
    let forged = format!("{}AAAA", &assertion[..assertion.len() - 4]);
    for (name, value) in [
        ("x-vestibule-assertion", forged.as_str()),
        ("x-vestibule-assertion", ""),
        ("authorization", &format!("Bearer {}", own_key())),
        ("x-auth-request-user", "forged"),
    ] {
        assert_eq!(ask(litellm.port(), name, value).await, 401, "{name}");
    }
}

/// The assertion of a pod for an API key.
async fn checked(pod: &Pod, key: &str) -> String {
    let headers = [("x-original-url", "http://localhost/asserted/x"), ("x-original-method", "GET"), ("x-api-key", key)];
    send_to_check(pod, "GET", "/auth/nginx", &headers).await.one("x-vestibule-assertion").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_on_all_pods_and_an_open_stream_continues_to_its_end() {
    let behind = litellm_fleet().await;
    for client in CLIENTS {
        let key = behind.make_key().await;
        let scratch = Scratch::new("openai-stream");
        let mut child = behind.start_client(client, &key.key, &[COUNTING_MODEL, "60", "stream"], &scratch);
        child.wait_for_line(PATIENCE, |line| line.contains("word 1 ").then_some(())).await;
        let reply = revoke_key(&behind.fleet.pods[1], Auth::Session(&behind.session), &key.id).await;
        assert_eq!(reply.status(), 200, "{reply:?}");
        let refused = async |pod: &Pod| key_status(pod, &key.key).await == 401;
        let took = until_everywhere(&behind.fleet.pods, "401", PATIENCE, refused).await;
        assert!(!child.log().contains("\"pieces\""), "the stream ended before the key was refused everywhere");
        println!("refused on three pods {took:?} after the revocation");
        assert_eq!(behind.ask(client, &key.key, &[FIXED_MODEL, "Hello"]).await, json!({"status": 401}));
        assert_eq!(finished(child).await["pieces"], 60, "an allowed request continues");
    }
}
