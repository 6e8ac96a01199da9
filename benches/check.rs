//! What a check costs, beside an empty handler of the same framework with as many workers, asked by `wrk` in the same run.
//!
//! `make bench`. Only the ratios are of interest: figures by themselves are the machine's. `BENCH_SECONDS` sets how long
//! each is asked.

#[path = "../tests/integration"]
mod integration {
    pub mod support;
}

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use actix_web::{App, HttpResponse, HttpServer, web};
use integration::support::agent::Agent;
use integration::support::deployment::{Deployment, DeploymentOptions, ROLE_MAP};
use integration::support::http_client;
use integration::support::pod::{Pod, random_key};
use integration::support::steps::{ALICE, session_of};
use serde_json::{Value, json};

const CONNECTIONS: u32 = 64;
const ROUNDS: usize = 3;

const ACCESS: &str = "access:
  - {paths: [/open/**], allow: anyone}
  - {paths: [/vouched/**], upstream_credential: assertion}
  - {paths: [/**]}
";

/// One kind of request.
struct Case {
    name: &'static str,
    port: u16,
    headers: Vec<(&'static str, String)>,
    /// Whether it is let through.
    passes: bool,
}

/// What `wrk` measured.
#[derive(Clone, Copy)]
struct Measured {
    rate: f64,
    p50: f64,
    p99: f64,
}

#[tokio::main]
async fn main() {
    // `cargo test --benches` runs this too, and there is nothing to show by it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let site = Site::start().await;
    let empty = Case { name: "an empty handler", port: empty_handler(), headers: Vec::new(), passes: true };
    println!("One worker, {CONNECTIONS} connections, {} s each, the best of {ROUNDS} rounds\n", seconds());
    println!("{:34} {:>10} {:>7} {:>9} {:>9} {:>16}", "", "per second", "ratio", "p50 ms", "p99 ms", "store per check");
    let cases = site.cases().await;
    for case in &cases {
        ask(case, 1);
    }
    let mut best: Vec<Option<Measured>> = vec![None; cases.len()];
    let mut baseline: Option<Measured> = None;
    let mut stored = vec![0.0; cases.len()];
    for _ in 0..ROUNDS {
        baseline = better(baseline, ask(&empty, seconds()));
        for (place, case) in cases.iter().enumerate() {
            let (commands, checks) = (site.commands().await, site.checks().await);
            best[place] = better(best[place], ask(case, seconds()));
            stored[place] = (site.commands().await - commands) / (site.checks().await - checks);
        }
    }
    let baseline = baseline.expect("there is a round");
    println!("{:34} {baseline}", empty.name);
    for ((case, measured), stored) in cases.iter().zip(best).zip(stored) {
        let measured = measured.expect("there is a round");
        let ratio = measured.rate / baseline.rate;
        println!(
            "{:34} {:>10.0} {ratio:>7.2} {:>9.2} {:>9.2} {stored:>16.5}",
            case.name, measured.rate, measured.p50, measured.p99
        );
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10.0} {:>7.2} {:>9.2} {:>9.2}", self.rate, 1.0, self.p50, self.p99)
    }
}

fn seconds() -> u32 {
    std::env::var("BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

fn better(known: Option<Measured>, new: Measured) -> Option<Measured> {
    known.filter(|known| known.rate >= new.rate).or(Some(new))
}

/// A pod over a Redis cluster, and what people and programs present to it.
struct Site {
    deployment: Deployment,
    secret: String,
}

impl Site {
    async fn start() -> Self {
        let secret = random_key();
        let mut options = DeploymentOptions {
            pods: 1,
            adjust: |pod| {
                let rules = ROLE_MAP.replace("rules:\n", "rules:\n  - {claim: azp, match: batch, role: internal_user}\n");
                pod.role_map = Some(rules + ACCESS);
                let key = assertion_key();
                let assertion = json!({"assertion": {"audience": "bench", "keys": key}});
                pod.further += &format!(
                    "workers: 1\ntoken_issuers:\n  - {{id: corp-api, provider: corp, audiences: [litellm]}}\nupstream_credential: {assertion}\n"
                );
            },
            binary: Some(binary()),
            ..DeploymentOptions::default()
        };
        options.idp.clients.push(json!({
            "client_id": "batch", "client_secret": secret, "grant_types": ["client_credentials"],
            "redirect_uris": [], "response_types": [],
        }));
        Self { deployment: Deployment::start(options).await, secret }
    }

    fn pod(&self) -> &Pod {
        &self.deployment.pods[0]
    }

    async fn cases(&self) -> Vec<Case> {
        let agent = Agent::new();
        self.deployment.sign_in(&agent, "/", ALICE.name, ALICE.password).await;
        let session = session_of(&agent);
        let cookie = ("cookie", format!("vestibule={session}"));
        let key = self.make_key(&[&cookie, &("sec-fetch-site", "same-origin".to_owned())], json!({"manage_keys": true})).await;
        let bearer = |secret: &str| ("authorization", format!("Bearer {secret}"));
        let child = self.make_key(&[&bearer(&key)], json!({})).await;
        let token = self.token().await;
        let ask = |name, path: &str, headers: Vec<(&'static str, String)>, passes| Case {
            name,
            port: self.pod().check_port(),
            headers: [
                vec![("x-original-url", format!("http://localhost{path}")), ("x-original-method", "GET".to_owned())],
                headers,
            ]
            .concat(),
            passes,
        };
        vec![
            ask("a session", "/v1/models", vec![cookie.clone()], true),
            ask("a key", "/v1/models", vec![bearer(&key)], true),
            ask("a key that a key made", "/v1/models", vec![bearer(&child)], true),
            ask("a JWT", "/v1/models", vec![bearer(&token)], true),
            ask("a session, with an assertion", "/vouched/x", vec![cookie.clone()], true),
            ask("a path that is open to anyone", "/open/x", vec![], true),
            ask("nothing presented", "/v1/models", vec![], false),
            ask("an unknown key", "/v1/models", vec![bearer(&unknown_key())], false),
        ]
    }

    async fn make_key(&self, headers: &[&(&'static str, String)], body: Value) -> String {
        let request = http_client().post(self.pod().public("/vestibule/api/keys")).json(&body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let made: Value = request.send().await.expect("the pod answers").json().await.expect("JSON");
        made["key"].as_str().unwrap_or_else(|| panic!("no key: {made}")).to_owned()
    }

    async fn token(&self) -> String {
        let request = http_client().post(format!("{}/token", self.deployment.idp.issuer()));
        let request = request.basic_auth("batch", Some(&self.secret)).form(&[("grant_type", "client_credentials")]);
        let answer: Value = request.send().await.expect("the provider answers").json().await.expect("JSON");
        answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
    }

    /// Commands to the store but for the round of each second, which is there without any check.
    async fn commands(&self) -> f64 {
        let mut all = 0.0;
        for operation in ["get", "commit", "list"] {
            all += self.pod().metric("vestibule_store_commands_total", &[&format!("operation=\"{operation}\"")]).await;
        }
        all
    }

    async fn checks(&self) -> f64 {
        self.pod().metric("vestibule_checks_total", &[]).await
    }
}

/// It has the form of one and the checksum of none.
fn unknown_key() -> String {
    format!("sk-{}", random_key())
}

fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_vestibule"))
}

fn assertion_key() -> String {
    let output = Command::new(binary()).args(["assertion-key", "new"]).output().expect("the binary runs");
    String::from_utf8(output.stdout).expect("PEM is text")
}

/// 200, and nothing else.
fn empty_handler() -> u16 {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async {
            let server = HttpServer::new(|| App::new().default_service(web::to(async || HttpResponse::Ok().finish())));
            let server = server.workers(1).disable_signals().bind("127.0.0.1:0").expect("a free port");
            tell.send(server.addrs()[0].port()).expect("somebody waits for it");
            server.run().await
        })
    });
    told.recv().expect("the server is bound")
}

fn ask(case: &Case, seconds: u32) -> Measured {
    let mut command = Command::new("wrk");
    command.args([
        "--threads",
        "1",
        "--latency",
        "--connections",
        &CONNECTIONS.to_string(),
        "--duration",
        &format!("{seconds}s"),
    ]);
    for (name, value) in &case.headers {
        command.arg("--header").arg(format!("{name}: {value}"));
    }
    let output = command.arg(format!("http://127.0.0.1:{}/auth/nginx", case.port)).output();
    let output = output.unwrap_or_else(|error| panic!("wrk doesn't start ({error}): run `make bench`"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {text}", case.name);
    let refused = text.contains("Non-2xx or 3xx responses");
    assert_eq!(refused, !case.passes, "{}: {text}", case.name);
    let value = |label: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(label));
        line.unwrap_or_else(|| panic!("no {label}: {text}")).trim().to_owned()
    };
    let rate = value("Requests/sec:").parse().expect("a rate");
    Measured { rate, p50: milliseconds(&value("50%")), p99: milliseconds(&value("99%")) }
}

/// `1.23ms`, `456.00us` or `1.20s`.
fn milliseconds(text: &str) -> f64 {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    let parsed = units.into_iter().find_map(|(unit, size)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * size));
    parsed.unwrap_or_else(|| panic!("no time: {text}"))
}
