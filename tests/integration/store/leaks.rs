//! Nothing secret stands in Redis or in a log.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use regex::Regex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::PREFIX;
use super::steps::DEADLINE;
use crate::accounts::{self, Village};
use crate::cache::site::{Browser, COOKIE, Site};
use crate::keys::{self, By};
use crate::support::agent::Agent;
use crate::support::http_client;
use crate::support::pod::{Pod, PodOptions, key_ring};
use crate::support::redis::{Cluster, Dumped, Secured, secured};
use crate::support::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn after_logins_and_logouts_redis_holds_nothing_secret_in_clear() {
    let redis = Cluster::start().await;
    let wire = Wire::listen().await;
    let site = Site::start_with(&[redis.url(), redis.url(), redis.url()], |pod, issuer| wire.put_between(pod, issuer)).await;
    wire.lead_to(&site).await;

    let mut secrets = Secrets::of_configuration(&site);
    let mut people = Vec::new();
    for pod in [0, 1, 2, 0] {
        people.push(secrets.watch_login(&site, pod).await);
    }
    // One login is left in flight, one session is ended.
    secrets.watch_beginning(&site, 1, &Agent::new()).await;
    site.sign_out(2, &people[3]).await;
    for browser in &people[..3] {
        assert_eq!(site.status(1, &browser.cookie).await, 200);
    }
    secrets.watch_key(&site, &people[0]).await;
    secrets.of_the_wire(&wire.seen());

    let dump = redis.dump().await;
    let (kinds, kept) =
        (kinds(&dump), ["flow", "identity", "session", "user", "key", "key_secret", "keys_of"].map(str::to_owned));
    assert!(kinds.is_superset(&kept.into()), "{kinds:?}");
    eprintln!("{} keys, {} secrets", dump.len(), secrets.0.len());
    let found: Vec<&str> = secrets.found_in(&dump);
    assert!(found.is_empty(), "in clear in Redis: {found:?}");
    for pod in &site.pods {
        let found = secrets.found_in(&[(Vec::new(), vec![pod.log().into_bytes()])]);
        assert!(found.is_empty(), "in clear in the log: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_invitations_and_passwords_redis_holds_nothing_secret_in_clear() {
    let village = Village::new().await;
    let mut secrets = Secrets(Vec::new());
    let link = village.invite("ada@example.com", "internal_user");
    secrets.add("invitation", link.split('.').nth(1).expect("a link has a secret"));
    let open = village.invite("bob@example.com", "team");
    secrets.add("open invitation", open.split('.').nth(1).expect("a link has a secret"));
    let token = accounts::get_token(village.pod(0), &open).await.json()["token"].as_str().expect("a token").to_owned();
    secrets.add("onboarding token", token.rsplit('.').next().expect("a JWT has a signature"));
    let claimed = accounts::claim(village.pod(1), &link, accounts::PASSWORD).await;
    for name in ["vestibule", "vestibule-device"] {
        secrets.add(name, &claimed.cookie(name).expect("who has claimed has the cookie"));
    }
    let wrong = "a wrong password that somebody typed";
    for (number, password) in [accounts::PASSWORD, accounts::ANOTHER, wrong].into_iter().enumerate() {
        accounts::sign_in_by_json(village.pod(number), "ada@example.com", password, &[]).await;
        secrets.add("password", password);
    }
    for personal in ["ada@example.com", "bob@example.com", "$argon2id$"] {
        secrets.add("personal", personal);
    }
    let dump = village.redis.dump().await;
    let (kinds, kept) = (kinds(&dump), ["identity", "session", "user", "password", "invitation", "counter"].map(str::to_owned));
    assert!(kinds.is_superset(&kept.into()), "{kinds:?}");
    let found = secrets.found_in(&dump);
    assert!(found.is_empty(), "in clear in Redis: {found:?}");
    for pod in &village.site.pods {
        let found = secrets.found_in(&[(Vec::new(), vec![pod.log().into_bytes()])]);
        assert!(found.is_empty(), "in clear in the log: {found:?}");
    }
}

#[test]
fn the_scan_finds_a_secret_in_every_form_that_it_looks_for() {
    let secrets = Secrets(vec![("code", "a secret of some length".into())]);
    let hex: String = b"a secret of some length".iter().map(|byte| format!("{byte:02x}")).collect();
    let in_base64 =
        ["xa secret of some lengthx", "xxa secret of some length", "a secret of some length"].map(|text| STANDARD.encode(text));
    let shown = [vec!["..a secret of some length..".to_owned(), hex.clone(), hex.to_uppercase()], in_base64.to_vec()].concat();
    for text in shown {
        assert_eq!(secrets.found_in(&[(text.clone().into_bytes(), Vec::new())]), ["code"], "{text}");
        assert_eq!(secrets.found_in(&[(Vec::new(), vec![Vec::new(), text.clone().into_bytes()])]), ["code"], "{text}");
    }
    assert!(secrets.found_in(&[(b"a secret".to_vec(), vec![])]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn at_its_most_talkative_a_pod_logs_no_password() {
    let redis = Secured::start("the-first-password").await;
    let (_ring, file) = key_ring();
    let mut options = PodOptions::new();
    options.store = vec![
        format!("url: {}", redis.url()),
        format!("username: {}", secured::USER),
        format!("password_file: {}", redis.password_file().display()),
        format!("ca_file: {}", redis.ca_file().display()),
    ];
    options.key_ring_file = Some(file.clone());
    options.further = "log: {level: trace}\n".to_owned();
    let pod = Pod::start(options).await;

    redis.write_password_file("the-second-password");
    until("the password to be read again", DEADLINE, async || pod.log().contains("a secret was read again").then_some(())).await;
    redis.change_password("the-second-password");
    let rounds = async || pod.metric("vestibule_store_commands_total", &["sequences", "\"ok\""]).await;
    let before = rounds().await;
    until("the store to answer with the new one", DEADLINE, async || (rounds().await >= before + 3.0).then_some(())).await;

    let log = pod.log();
    assert!(log.lines().count() > 50, "it is not at its most talkative");
    let ring = std::fs::read_to_string(file).expect("the key ring is there");
    for secret in ["the-first-password", "the-second-password", ring.trim()] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
}

/// What must not be seen anywhere, each with what it is.
struct Secrets(Vec<(&'static str, Vec<u8>)>);

impl Secrets {
    fn of_configuration(site: &Site) -> Self {
        let mut secrets = Self(Vec::new());
        let ring = std::fs::read_to_string(&site.key_ring_file).expect("the key ring is there");
        secrets.add("key ring", ring.trim());
        secrets.0.push(("key ring, decoded", URL_SAFE_NO_PAD.decode(ring.trim()).expect("it is base64url")));
        let config = std::fs::read_to_string(site.pods[0].config_file()).expect("the configuration is there");
        secrets.add_all("client secret", &config, r#"client_secret: "([^"]+)""#);
        let personal = ["alice@example.com", "Alice Adams", "/engineering/platform", "/teams/research", "llm-admins"];
        personal.iter().for_each(|text| secrets.add("claim", text));
        // As it would stand in a record: the name alone is too common a word.
        secrets.add("subject", r#""alice""#);
        secrets
    }

    async fn watch_login(&mut self, site: &Site, pod: usize) -> Browser {
        let agent = Agent::new();
        let callback = self.watch_beginning(site, pod, &agent).await;
        let page = agent.get(callback.as_str()).await;
        assert_eq!(page.status, 303, "{}", page.body);
        let cookie = agent.cookie("localhost", COOKIE).expect("a session's cookie").value;
        self.add("session cookie", &cookie);
        Browser { agent, cookie }
    }

    async fn watch_beginning(&mut self, site: &Site, pod: usize, agent: &Agent) -> Url {
        let page = agent.get(&site.pods[pod].public("/sso/login?rd=%2Fapp%2Fsecret-page")).await;
        let provider = page.location().expect("a redirect to the provider");
        for name in ["state", "nonce"] {
            self.add("state or nonce", &parameter(&provider, name));
        }
        let login = agent.cookies("localhost").into_iter().find(|cookie| cookie.name == "vestibule-login");
        self.add("login cookie", &login.expect("a login's cookie").value);
        let back = agent.follow_until(page, |target| target.path().starts_with("/sso/callback")).await;
        let mut callback = back.location().expect("a redirect back");
        self.add("code", &parameter(&callback, "code"));
        callback.set_port(Some(site.pods[pod].public_port())).expect("http has ports");
        callback
    }

    /// A key that is made, used, listed and regenerated with an overlap.
    async fn watch_key(&mut self, site: &Site, browser: &Browser) {
        let by = By::Page(&browser.cookie);
        let made = keys::make(&site.pods[1], by, json!({"key_alias": "Alice's notebook", "manage_keys": true})).await;
        self.add("alias", "Alice's notebook");
        assert_eq!(keys::status(&site.pods[2], &made.key).await, 200);
        assert_eq!(keys::status(&site.pods[2], &made.key.to_lowercase()).await, 401);
        let again = keys::regenerate(&site.pods[2], By::Key(&made.key), &made.id, json!({"overlap": "1h"})).await.made();
        for key in [made.key, again.key] {
            let random = key.strip_prefix("sk-").expect("keys begin so");
            self.add("key", random);
            self.0.push(("key, decoded", URL_SAFE_NO_PAD.decode(random).expect("it is base64url")[1..].to_vec()));
        }
    }

    /// What went between the pods and the token endpoint.
    fn of_the_wire(&mut self, seen: &str) {
        self.add_all("verifier", seen, "code_verifier=([A-Za-z0-9._~-]+)");
        self.add_all("token", seen, r#""(?:access_token|id_token|refresh_token)":"([^"]+)""#);
        self.add_all("client credentials", seen, "(?i)authorization: Basic ([A-Za-z0-9+/=]+)");
    }

    fn add(&mut self, what: &'static str, secret: &str) {
        assert!(secret.len() >= 6, "a short {what} would be found by chance");
        self.0.push((what, secret.as_bytes().to_vec()));
    }

    fn add_all(&mut self, what: &'static str, text: &str, pattern: &str) {
        let pattern = Regex::new(pattern).expect("a pattern");
        let found: BTreeSet<&str> =
            pattern.captures_iter(text).map(|found| found.get(1).expect("the pattern has a group").as_str()).collect();
        assert!(!found.is_empty(), "no {what} was seen");
        found.iter().for_each(|secret| self.add(what, secret));
    }

    /// What of them stands in a key or value: as it is, in hex or in base64.
    fn found_in(&self, dump: &[Dumped]) -> Vec<&'static str> {
        let texts: Vec<&[u8]> = dump.iter().flat_map(|(key, parts)| parts.iter().chain([key])).map(Vec::as_slice).collect();
        let found = |secret: &[u8]| forms(secret).iter().any(|form| texts.iter().any(|text| contains(text, form)));
        self.0.iter().filter(|(_, secret)| found(secret)).map(|(what, _)| *what).collect()
    }
}

/// How a secret may be written, whatever stands around it.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![secret.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
    for before in 0..3 {
        // In base64 the characters at both ends also depend on the neighbours.
        let shifted = [&vec![0; before][..], secret].concat();
        let whole = (shifted.len() / 3) * 3;
        for encoded in [STANDARD.encode(&shifted[..whole]), URL_SAFE_NO_PAD.encode(&shifted[..whole])] {
            forms.push(encoded.as_bytes()[if before == 0 { 0 } else { 4 }..].to_vec());
        }
    }
    forms
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    let Some(first) = part.first() else { return false };
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        if rest[at..].starts_with(part) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// The kinds of keys, `session` of `vestibule:{3}:session:…`.
fn kinds(dump: &[Dumped]) -> BTreeSet<String> {
    let kind = |key: &[u8]| {
        let key = String::from_utf8(key.to_vec()).expect("our keys are text");
        let rest = key.strip_prefix(PREFIX).unwrap_or_else(|| panic!("not our key: {key}"));
        rest.split(':').nth(1).expect("shard, kind, id").to_owned()
    };
    dump.iter().map(|(key, _)| kind(key)).collect()
}

fn parameter(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.unwrap_or_else(|| panic!("no {name} in {url}")).1.into_owned()
}

/// Stands in front of the provider's token endpoint and keeps what goes by.
struct Wire {
    port: u16,
    target: tokio::sync::watch::Sender<Option<u16>>,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Wire {
    async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (target, targets) = tokio::sync::watch::channel(None);
        let seen = Arc::<Mutex<Vec<u8>>>::default();
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut targets, kept) = (targets.clone(), Arc::clone(&kept));
                tokio::spawn(async move {
                    let port = targets.wait_for(Option::is_some).await.ok()?.expect("waited for it");
                    let server = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    tokio::join!(copy(from_client, to_server, &kept), copy(from_server, to_client, &kept));
                    Some(())
                });
            }
        });
        Self { port, target, seen }
    }

    /// Names this port for the token endpoint; the rest of what discovery would say is said by hand too.
    fn put_between(&self, pod: &mut PodOptions, issuer: &str) {
        let provider = &mut pod.providers[0];
        provider.further = vec![
            format!("authorization_endpoint: {issuer}/auth"),
            format!("token_endpoint: {}", self.instead_of(&format!("{issuer}/token"))),
            format!("jwks_uri: {issuer}/jwks"),
            format!("userinfo_endpoint: {}", self.instead_of(&format!("{issuer}/me"))),
        ];
    }

    fn instead_of(&self, address: &str) -> Url {
        let mut url = Url::parse(address).expect("an address");
        url.set_port(Some(self.port)).expect("http has ports");
        url
    }

    /// Where it leads, after making sure that the provider's addresses are the ones that pods were told.
    async fn lead_to(&self, site: &Site) {
        let issuer = site.idp.issuer();
        let discovery = http_client().get(format!("{issuer}/.well-known/openid-configuration")).send().await;
        let discovery: Value = discovery.expect("the provider is there").json().await.expect("JSON");
        let told =
            ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"].map(|name| discovery[name].as_str());
        assert_eq!(
            told,
            ["auth", "token", "jwks", "me"].map(|path| format!("{issuer}/{path}")).each_ref().map(|url| Some(url.as_str()))
        );
        self.target.send_replace(Url::parse(issuer).expect("an address").port());
    }

    fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("no holder panics")).into_owned()
    }
}

async fn copy(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, kept: &Mutex<Vec<u8>>) -> Option<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
        kept.lock().expect("no holder panics").extend_from_slice(&buffer[..length]);
        to.write_all(&buffer[..length]).await.ok()?;
    }
}
