//! With secrets in all places, none appears in a record, a log line, a metric or a refusal.

mod secrets;
mod wire;

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::json;
use url::Url;
use vestibule::secret::{SigningAlgorithm, new_signing_key};

use super::steps::DEADLINE;
use crate::support::agent::{Agent, Page};
use crate::support::api::{self, ApiKey, ApiResponse, Auth};
use crate::support::auth_request::{GATEWAY_SECRET, SECRET_HEADER};
use crate::support::fleet::{Browser, Fleet};
use crate::support::local_accounts::LOCAL_ACCOUNTS;
use crate::support::local_accounts::{self, OTHER_PASSWORD, PASSWORD};
use crate::support::pod::{Pod, PodOptions, key_ring};
use crate::support::records::PREFIX;
use crate::support::redis::{DumpedRecord, Options, SecuredRedis, Standalone, secured_redis};
use crate::support::scratch::Scratch;
use crate::support::steps::{ALICE, SESSION, at_provider};
use crate::support::wait::until;
use secrets::Secrets;
use wire::RecordingProxy;

/// The most verbose log that an operator may configure.
const TRACE: &str = "log: {level: \"trace,notify=warn,inotify=warn,mio=warn\"}\n";
const REDIS_PASSWORD: &str = "redis-p%40ss:w/rd";
const UPSTREAM: [&str; 2] = ["sk-upstream-of-everybody", "Basic dXBzdHJlYW06cGFzc3dvcmQtb2YtYWRtaW5z"];
const WRONG: &str = "a wrong password/that a user typed";
const ADA: &str = "ada@example.com";

/// All secrets of a pod's configuration: the first pod has them inline, the second one in files.
struct ConfiguredSecrets {
    files: Scratch,
    assertion: String,
}

impl ConfiguredSecrets {
    fn new() -> Self {
        let (files, assertion) = (Scratch::new("secrets"), new_signing_key(SigningAlgorithm::Es256));
        files.write("redis", REDIS_PASSWORD);
        files.write("upstream", UPSTREAM[1]);
        files.write("assertion", &assertion);
        Self { files, assertion }
    }

    fn configure(&self, pod: &mut PodOptions) {
        let inline = pod.name == "pod-0";
        let field = |name: &str, file: &str, value: &str| match inline {
            true => format!("{name}: {}", json!(value)),
            false => format!("{name}_file: {}", json!(self.files.path().join(file))),
        };
        pod.store.extend(["username: vestibule".to_owned(), field("password", "redis", REDIS_PASSWORD)]);
        let (upstream, keys) =
            (field("authorization", "upstream", UPSTREAM[usize::from(!inline)]), field("keys", "assertion", &self.assertion));
        pod.further = format!(
            "{TRACE}{LOCAL_ACCOUNTS}upstream_credential: {{default: litellm, static: [{{name: litellm, {upstream}}}], assertion: {{audience: a, {keys}}}}}\n"
        );
    }

    fn secrets(&self, fleet: &Fleet) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add("Redis password", REDIS_PASSWORD);
        secrets.add("gateway secret", GATEWAY_SECRET);
        UPSTREAM.iter().for_each(|credential| secrets.add("upstream credential", credential));
        secrets.add_all("assertion key", &self.assertion, "(?m)^([A-Za-z0-9+/=]{20,})$");
        let ring = std::fs::read_to_string(&fleet.key_ring_file).expect("the key ring is there");
        secrets.add("key ring", ring.trim());
        secrets.add_bytes("key ring, decoded", &URL_SAFE_NO_PAD.decode(ring.trim()).expect("it is base64url"));
        let config = std::fs::read_to_string(fleet.pods[0].config_file()).expect("the configuration is there");
        secrets.add_all("client secret", &config, r#"client_secret: "([^"]+)""#);
        for personal in
            ["alice@example.com", "Alice Adams", "/engineering/platform", "/teams/research", "llm-admins", ADA, "$argon2id$"]
        {
            secrets.add("personal", personal);
        }
        // In the format of a record: the name alone is too common a word.
        secrets.add("subject", r#""alice""#);
        secrets
    }
}

/// The answers of refused requests.
#[derive(Default)]
struct Refusals(Vec<Vec<u8>>);

impl Refusals {
    fn page(&mut self, page: Page) {
        assert!(page.status >= 400, "{}: {}", page.status, page.url);
        self.0.push(format!("{:?}\n{}", page.headers, page.body).into_bytes());
    }

    fn reply(&mut self, reply: &ApiResponse) {
        assert!(reply.status() >= 400, "{reply:?}");
        self.0.push(format!("{reply:?}").into_bytes());
        self.0.push(reply.json().to_string().into_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_a_record_a_log_a_metric_or_a_refusal() {
    let configured = ConfiguredSecrets::new();
    let user = format!("--user vestibule on >{REDIS_PASSWORD} ~* &* +@all");
    let redis =
        Standalone::start(Options { arguments: user.split(' ').map(str::to_owned).collect(), ..Options::default() }).await;
    let wire = RecordingProxy::listen().await;
    let fleet = Fleet::builder()
        .pods(2)
        .store_at(redis.url())
        .idp()
        .config(|pod| {
            configured.configure(pod);
            wire.put_between(pod);
        })
        .start()
        .await;
    wire.lead_to(&fleet).await;

    let (mut secrets, mut refusals) = (configured.secrets(&fleet), Refusals::default());
    run_logins(&fleet, &mut secrets, &mut refusals).await;
    use_local_accounts(&fleet, &mut secrets, &mut refusals).await;
    secrets.add_all("verifier", &wire.seen(), "code_verifier=([A-Za-z0-9._~-]+)");
    secrets.add_all("token", &wire.seen(), r#""(?:access_token|id_token|refresh_token)":"([^"]+)""#);
    secrets.add_all("token's signature", &wire.seen(), r#""(?:access_token|id_token)":"[^".]+\.[^".]+\.([^"]+)""#);
    secrets.add_all("client credentials", &wire.seen(), "(?i)authorization: Basic ([A-Za-z0-9+/=]+)");

    let dump = redis.node.dump().await;
    let kept = ["flow", "identity", "session", "user", "key", "key_secret", "keys_of", "password", "invitation", "counter"];
    assert!(kinds(&dump).is_superset(&kept.map(str::to_owned).into()), "{:?}", kinds(&dump));
    let found = secrets.found_in(dump.iter().flat_map(|(key, parts)| parts.iter().chain([key])).map(Vec::as_slice));
    assert!(found.is_empty(), "in Redis: {found:#?}");
    for pod in &fleet.pods {
        let (log, metrics) = (pod.log(), pod.metrics().await);
        assert!(log.contains("TRACE"), "the log is not verbose");
        println!("{} secrets, {} keys, {} refusals, {} KiB of log", secrets.len(), dump.len(), refusals.0.len(), log.len() >> 10);
        let found = secrets.found_in([log.as_bytes(), metrics.as_bytes()]);
        assert!(found.is_empty(), "in the log or a metric: {found:#?}");
    }
    let found = secrets.found_in(refusals.0.iter().map(Vec::as_slice));
    assert!(found.is_empty(), "in an answer: {found:#?}");
}

/// Logins on both pods, one abandoned and one completed, and every refusal on the way.
async fn run_logins(fleet: &Fleet, secrets: &mut Secrets, refusals: &mut Refusals) {
    let mut browsers = Vec::new();
    for pod in [0, 1, 0] {
        let agent = Agent::new();
        let callback = start_login(fleet, pod, &agent, secrets).await;
        refusals.page(Agent::new().get(callback.as_str()).await);
        refusals.page(agent.get(&without(&callback, "code")).await);
        refusals.page(agent.get(&format!("{}&iss=https%3A%2F%2Fevil.example.com", without(&callback, "iss"))).await);
        let callback = start_login(fleet, pod, &agent, secrets).await;
        let page = agent.get(callback.as_str()).await;
        assert_eq!(page.status, 303, "{}", page.body);
        refusals.page(Agent::new().get(callback.as_str()).await);
        let cookie = agent.cookie("localhost", SESSION).expect("a session's cookie").value;
        secrets.add("session cookie", &cookie);
        browsers.push(Browser { agent, cookie });
    }
    let target = start_login(fleet, 1, &Agent::new(), secrets).await;
    refusals.page(Agent::new().get(&target.as_str().replace("state=", "state=x")).await);
    fleet.sign_out(1, &browsers[2]).await;
    refusals.page(browsers[2].agent.get_with(&fleet.pods[0].check("/auth/nginx"), &as_nginx(&browsers[2].cookie)).await);
    refusals.page(browsers[0].agent.post(&fleet.pods[0].public("/sso/logout"), &[("csrf", &browsers[0].cookie)]).await);
    for secret in [parameter(&target, "state"), parameter(&target, "code"), browsers[0].cookie.clone()] {
        send_misplaced_secret(&fleet.pods[1], &secret, refusals).await;
    }
    use_keys(fleet, &browsers[0], secrets, refusals).await;
}

async fn start_login(fleet: &Fleet, pod: usize, agent: &Agent, secrets: &mut Secrets) -> Url {
    let page = agent.get(&fleet.pods[pod].public("/sso/login?provider=corp&rd=%2Fapp%2Fsecret-page")).await;
    let provider = page.location().expect("a redirect to the provider");
    for name in ["state", "nonce"] {
        secrets.add("state or nonce", &parameter(&provider, name));
    }
    let login = agent.cookies("localhost").into_iter().find(|cookie| cookie.name == "vestibule-login");
    secrets.add("login cookie", &login.expect("a login's cookie").value);
    let mut callback = at_provider(fleet.idp(), agent, page, ALICE).await;
    secrets.add("code", &parameter(&callback, "code"));
    callback.set_port(Some(fleet.pods[pod].public_port())).expect("http has ports");
    callback
}

/// A key that is created, used, listed and rotated with a grace period.
async fn use_keys(fleet: &Fleet, browser: &Browser, secrets: &mut Secrets, refusals: &mut Refusals) {
    let by = Auth::Session(&browser.cookie);
    let created_key = api::create_key(&fleet.pods[1], by, json!({"key_alias": "Alice's notebook", "manage_keys": true})).await;
    secrets.add("alias", "Alice's notebook");
    assert_eq!(api::key_status(&fleet.pods[0], &created_key.key).await, 200);
    assert_eq!(api::key_status(&fleet.pods[0], &created_key.key.to_lowercase()).await, 401);
    let again =
        api::rotate_key(&fleet.pods[0], Auth::Key(&created_key.key), &created_key.id, json!({"overlap": "1h"})).await.into_key();
    let ended = api::create_key(&fleet.pods[0], by, json!({})).await;
    assert_eq!(api::revoke_key(&fleet.pods[0], by, &ended.id).await.status(), 200);
    for ApiKey { key, .. } in [&created_key, &again, &ended] {
        let random = key.strip_prefix("sk-").expect("keys begin so");
        secrets.add("key", random);
        secrets.add_bytes("key, decoded", &URL_SAFE_NO_PAD.decode(random).expect("it is base64url")[1..]);
    }
    refusals.reply(&api::call(&fleet.pods[1], Auth::Key(&ended.key), Method::GET, "/vestibule/api/keys", None).await);
    refusals.reply(
        &api::call(&fleet.pods[0], Auth::Key(&again.key), Method::GET, &format!("/vestibule/api/keys?{}", again.key), None).await,
    );
    refusals.reply(
        &api::call(&fleet.pods[0], by, Method::POST, "/vestibule/api/keys", Some(json!({again.key.clone(): again.key}))).await,
    );
    refusals.reply(&api::revoke_key(&fleet.pods[0], by, &again.key).await);
    let page =
        Agent::new().get_with(&fleet.pods[1].public(&format!("/nowhere/{}", created_key.id)), &[("x-api-key", &again.key)]).await;
    refusals.page(page);
    send_misplaced_secret(&fleet.pods[0], &again.key, refusals).await;
}

/// An accepted and an open invitation, and correct and wrong passwords.
async fn use_local_accounts(fleet: &Fleet, secrets: &mut Secrets, refusals: &mut Refusals) {
    let pod = |number: usize| &fleet.pods[number % 2];
    let link = |email: &str| {
        let output = local_accounts::invite(pod(0), &["--email", email, "--role", "internal_user"]);
        assert!(output.status.success(), "{output:?}");
        local_accounts::link_in(&String::from_utf8(output.stdout).expect("an address is text"))
    };
    let (taken, open) = (link(ADA), link("bob@example.com"));
    for link in [&taken, &open] {
        secrets.add("invitation", link.split('.').nth(1).expect("a link has a secret"));
    }
    let token = local_accounts::get_token(pod(1), &open).await.json()["token"].as_str().expect("a token").to_owned();
    secrets.add("onboarding token", token.rsplit('.').next().expect("a JWT has a signature"));
    for password in [PASSWORD, OTHER_PASSWORD, WRONG] {
        secrets.add("password", password);
    }
    let claim =
        json!({"invitation_link": open, "user_id": local_accounts::claims_of(&token)["user_id"], "password": "password1"});
    refusals.reply(&local_accounts::accept_with_token(pod(0), &token, claim).await);
    refusals.reply(&local_accounts::accept_with_token(pod(0), &format!("{token}x"), json!({"password": PASSWORD})).await);
    let accepted = local_accounts::accept_invitation(pod(1), &taken, PASSWORD).await;
    for name in ["vestibule", "vestibule-device"] {
        secrets.add(name, &accepted.cookie(name).expect("an acceptance sets the cookie"));
    }
    refusals.reply(&local_accounts::get_token(pod(0), &taken).await);
    refusals.reply(&local_accounts::get_token(pod(0), &open.replace('.', ".x")).await);
    refusals.page(Agent::new().get(&pod(0).public(&format!("/onboarding?invite_link={taken}"))).await);
    assert_eq!(local_accounts::sign_in_with_json(pod(0), ADA, PASSWORD, &[]).await.status(), 200);
    for (number, password) in [OTHER_PASSWORD, WRONG].into_iter().enumerate() {
        refusals.reply(&local_accounts::sign_in_with_json(pod(number), ADA, password, &[]).await);
        refusals.page(
            local_accounts::sign_in_with_form(pod(number), &Agent::new(), "/sso/login", "nobody@example.com", password).await,
        );
    }
    for secret in [&open, &token] {
        send_misplaced_secret(pod(0), secret, refusals).await;
    }
    let broken = format!("{{\"user_email\": \"{ADA}\", \"password\": \"{PASSWORD}");
    let headers = [("content-type", "application/json")];
    refusals.reply(&api::send(pod(0), Method::POST, "/vestibule/api/sign-in", &headers, Some(broken)).await);
}

/// A secret in the wrong place: as an id, in several encodings, and in a query.
async fn send_misplaced_secret(pod: &Pod, secret: &str, refusals: &mut Refusals) {
    let agent = Agent::new();
    let escaped = format!("%{:02x}{}", secret.as_bytes()[0], &secret[1..]);
    let spellings =
        [escaped, secret.replacen(['-', '.'], "%2D", 1), format!("invite_link={secret}"), format!("Bearer%20{secret}")];
    for spelt in spellings.iter().map(String::as_str).chain([secret]) {
        for before in [
            "/",
            "/nowhere/",
            "/sso/callback/",
            "/vestibule/api/keys/",
            "/nowhere?code=",
            "/nowhere?",
            "/vestibule/api/keys?state=",
        ] {
            refusals.page(agent.get(&pod.public(&format!("{before}{spelt}"))).await);
        }
        // The sign-in URL contains the whole target; no other value may.
        let url = format!("http://localhost/ui/{spelt}?token={spelt}");
        let question = [SECRET_HEADER, ("x-original-url", url.as_str()), ("x-original-method", "GET")];
        assert_eq!(agent.get_with(&pod.check("/auth/nginx"), &question).await.status, 401);
        let response = agent.get_with(&pod.check(&format!("/auth/nginx?allow_roles={spelt}")), &as_nginx("")).await;
        assert!([401, 403].contains(&response.status), "{}", response.status);
    }
}

fn as_nginx(cookie: &str) -> [(&'static str, &str); 4] {
    [SECRET_HEADER, ("x-original-url", "http://localhost/ui/"), ("x-original-method", "GET"), ("authorization", cookie)]
}

fn without(url: &Url, name: &str) -> String {
    let kept: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(known, _)| known != name).collect();
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(kept);
    url.into()
}

fn parameter(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.unwrap_or_else(|| panic!("no {name} in {url}")).1.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_with_the_most_verbose_log_logs_no_password() {
    let redis = SecuredRedis::start("the-first-password").await;
    let (_ring, file) = key_ring();
    let mut options = PodOptions::new();
    options.store = vec![
        format!("url: {}", redis.url()),
        format!("username: {}", secured_redis::USER),
        format!("password_file: {}", redis.password_file().display()),
        format!("ca_file: {}", redis.ca_file().display()),
    ];
    options.key_ring_file = Some(file.clone());
    options.further = "log: {level: trace}\n".to_owned();
    let pod = Pod::start(options).await;

    redis.write_password_file("the-second-password");
    until("the password to be read again", DEADLINE, async || pod.log().contains("secret reloaded").then_some(())).await;
    redis.change_password("the-second-password");
    let rounds = async || pod.metric("vestibule_store_commands_total", &["sequences", "\"ok\""]).await;
    let before = rounds().await;
    until("the store to answer with the new one", DEADLINE, async || (rounds().await >= before + 3.0).then_some(())).await;

    let log = pod.log();
    assert!(log.lines().count() > 50, "the log is not verbose");
    let ring = std::fs::read_to_string(file).expect("the key ring is there");
    for secret in ["the-first-password", "the-second-password", ring.trim()] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
}

/// The kinds of keys: `session` for `vestibule:{3}:session:…`.
fn kinds(dump: &[DumpedRecord]) -> BTreeSet<String> {
    let kind = |key: &[u8]| {
        let key = String::from_utf8(key.to_vec()).expect("our keys are text");
        let rest = key.strip_prefix(PREFIX).unwrap_or_else(|| panic!("not our key: {key}"));
        rest.split(':').nth(1).expect("shard, kind, id").to_owned()
    };
    dump.iter().map(|(key, _)| kind(key)).collect()
}
