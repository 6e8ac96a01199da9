//! A real LiteLLM behind nginx and three pods, asked by OpenAI's own clients with our keys. It knows its own key alone.

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::keys::{By, Made, make, revoke, status};
use crate::nginx::raw;
use crate::shared::{BOB, session_line, signed_in};
use crate::support::deployment::{Deployment, DeploymentOptions};
use crate::support::litellm::{COUNTER, Handler, LiteLlm, PARROT, PARROT_SAYS, python};
use crate::support::nginx::Nginx;
use crate::support::pod::{random_key, until_everywhere};
use crate::support::process::{Child, OnFailure};
use crate::support::scratch::Scratch;
use crate::support::{peer_file, ports, repository};

const PATIENCE: Duration = Duration::from_secs(60);

/// Two clients that people have.
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

struct Site {
    deployment: Deployment,
    litellm: LiteLlm,
    nginx: Nginx,
    session: String,
}

/// LiteLLM's own key.
fn own_key() -> &'static str {
    static KEY: OnceLock<String> = OnceLock::new();
    KEY.get_or_init(|| format!("sk-{}", random_key()))
}

async fn site() -> &'static Site {
    static SITE: OnceCell<Site> = OnceCell::const_new();
    let start = async || {
        let options = DeploymentOptions {
            adjust: |pod| {
                let credential = json!({"default": "litellm", "static": [{"name": "litellm", "authorization": own_key()}]});
                pod.further += &format!("upstream_credential: {credential}\n");
            },
            ..DeploymentOptions::default()
        };
        let (deployment, litellm) = tokio::join!(Deployment::start(options), LiteLlm::start(own_key()));
        let pods: Vec<_> = deployment.pods.iter().map(|pod| (pod.public_port(), pod.check_port())).collect();
        let nginx = Nginx::start(ports::free(), &pods, litellm.port()).await;
        let session = session_line(&signed_in(&deployment, BOB).await)["vestibule=".len()..].to_owned();
        Site { deployment, litellm, nginx, session }
    };
    SITE.get_or_init(start).await
}

impl Site {
    async fn make_key(&self) -> Made {
        make(&self.deployment.pods[0], By::Page(&self.session), json!({})).await
    }

    /// One of the clients, asking through nginx.
    fn start_client(&self, client: fn() -> Command, key: &str, question: &[&str], scratch: &Scratch) -> Child {
        let mut command = client();
        command.arg(format!("http://localhost:{}/v1", self.nginx.port())).args(question).env("OPENAI_API_KEY", key);
        Child::spawn("client", command, &scratch.path().join("client.log"), OnFailure::ShowLog)
    }

    /// What it says in the end.
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
async fn openais_clients_chat_and_stream_with_our_key_while_litellm_knows_its_own_alone() {
    let site = site().await;
    let made = site.make_key().await;
    for client in CLIENTS {
        let said = site.ask(client, &made.key, &[PARROT, "Hello"]).await;
        assert_eq!(said, json!({"text": PARROT_SAYS, "pieces": 1}));
        let streamed = site.ask(client, &made.key, &[COUNTER, "5", "stream"]).await;
        assert_eq!(streamed, json!({"text": "word 1 word 2 word 3 word 4 word 5 ", "pieces": 5}));
        let foreign = format!("sk-{}", random_key());
        for wrong in [&foreign, own_key()] {
            assert_eq!(site.ask(client, wrong, &[PARROT, "Hello"]).await, json!({"status": 401}));
        }
    }
    let body = json!({"model": PARROT, "messages": [{"role": "user", "content": "Hello"}]}).to_string();
    let around = async |key: &str| {
        let http = crate::support::http_client();
        let url = format!("http://127.0.0.1:{}/v1/chat/completions", site.litellm.port());
        let request = http.post(url).bearer_auth(key).header("content-type", "application/json").body(body.clone());
        request.send().await.expect("LiteLLM answers").status().as_u16()
    };
    assert_eq!(around(own_key()).await, 200);
    let refused = around(&made.key).await;
    assert!((400..500).contains(&refused), "it knows no key of ours: {refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_header_of_a_clients_reaches_it_in_the_place_of_its_own_key() {
    let site = site().await;
    let made = site.make_key().await;
    // Each of these goes before Authorization there, or is taken where that is missing.
    for (name, value) in [
        ("x-litellm-api-key", made.key.as_str()),
        ("x-api-key", &made.key),
        ("api-key", &made.key),
        ("x-goog-api-key", &made.key),
    ] {
        let answer = raw::send(site.nginx.port(), "GET", "/v1/models", &[("Accept", "application/json"), (name, value)]).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        let names: Vec<_> = answer.json()["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
        assert!(names.contains(&json!(PARROT)), "{names:?}");
    }
}

/// The Python of the documentation that defines LiteLLM's handler.
fn documented_handler() -> String {
    let page = std::fs::read_to_string(repository("docs/upstream.md")).expect("the page is there");
    let block = page.split("```python\n").skip(1).find(|block| block.contains("async def user_api_key_auth"));
    block.and_then(|block| block.split("```").next()).expect("the page has the handler").to_owned()
}

/// The site of the other tests of upstream credentials has the keys.
#[tokio::test(flavor = "multi_thread")]
async fn litellm_verifies_assertions_by_the_documented_handler_and_believes_nobody_else() {
    let site = super::site().await;
    let (keys_at, issuer) = (site.url("/vestibule/jwks.json"), site.url(""));
    let environment =
        [("VESTIBULE_JWKS_URL", keys_at.as_str()), ("VESTIBULE_ISSUER", &issuer), ("VESTIBULE_AUDIENCE", super::AUDIENCE)];
    let handler = Handler { module: &documented_handler(), environment: &environment };
    let litellm = LiteLlm::start_with(own_key(), Some(handler)).await;
    let pods: Vec<_> = site.pods.iter().map(|pod| (pod.public_port(), pod.check_port())).collect();
    let nginx = Nginx::start(ports::free(), &pods, litellm.port()).await;
    let session = session_line(&signed_in(site, BOB).await)["vestibule=".len()..].to_owned();
    let made = make(&site.pods[0], By::Page(&session), json!({})).await;
    let ask = async |port: u16, name: &str, value: &str| {
        let headers = [("Host", "vouched.example.com"), ("Accept", "application/json"), (name, value)];
        raw::send(port, "GET", "/v1/models", &headers).await.status
    };
    assert_eq!(ask(nginx.port(), "x-api-key", &made.key).await, 200);
    assert_eq!(ask(nginx.port(), "x-api-key", "sk-foreign").await, 401);
    let assertion = checked(&site.pods[0], &made.key).await;
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

/// The assertion that a pod sends for a key.
async fn checked(pod: &crate::support::pod::Pod, key: &str) -> String {
    let headers = [("x-original-url", "http://localhost/vouched/x"), ("x-original-method", "GET"), ("x-api-key", key)];
    raw::send(pod.check_port(), "GET", "/auth/nginx", &headers).await.one("x-vestibule-assertion").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_on_all_pods_and_a_stream_that_was_open_goes_on_to_its_end() {
    let site = site().await;
    for client in CLIENTS {
        let made = site.make_key().await;
        let scratch = Scratch::new("openai-stream");
        let mut child = site.start_client(client, &made.key, &[COUNTER, "60", "stream"], &scratch);
        child.wait_for_line(PATIENCE, |line| line.contains("word 1 ").then_some(())).await;
        let reply = revoke(&site.deployment.pods[1], By::Page(&site.session), &made.id).await;
        assert_eq!(reply.status(), 200, "{reply:?}");
        let refused = async |pod: &crate::support::pod::Pod| status(pod, &made.key).await == 401;
        let took = until_everywhere(&site.deployment.pods, "401", PATIENCE, refused).await;
        assert!(!child.log().contains("\"pieces\""), "the stream ended before the key was refused everywhere");
        println!("refused on three pods {took:?} after the revocation");
        assert_eq!(site.ask(client, &made.key, &[PARROT, "Hello"]).await, json!({"status": 401}));
        assert_eq!(finished(child).await["pieces"], 60, "what was let through goes on");
    }
}
