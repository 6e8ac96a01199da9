//! Pods that are asked one by one, without a gateway in between, and the people who use them.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;
use vestibule::secret::Digest;
use vestibule::store::{Key, Kind, Shard};

use crate::support::agent::{Agent, Page};
use crate::support::deployment::ROLE_MAP;
use crate::support::http_client;
use crate::support::idp::{Idp, IdpOptions, client};
use crate::support::pod::{Pod, PodOptions, ProviderSection, key_ring, random_key};
use crate::support::scratch::Scratch;
use crate::support::wait::until;

pub const DEADLINE: Duration = Duration::from_secs(30);
pub const COOKIE: &str = "vestibule";
const PERSON: &str = "alice";

/// One identity provider, and a pod for each of the stores' URLs.
pub struct Site {
    pub pods: Vec<Pod>,
    pub idp: Idp,
    pub key_ring_file: PathBuf,
    http: reqwest::Client,
    _key_ring: Scratch,
}

/// A signed-in browser.
pub struct Browser {
    pub agent: Agent,
    /// What its session cookie says.
    pub cookie: String,
}

/// What a pod said to a check.
pub struct Answer {
    pub status: u16,
    pub sets_cookie: bool,
    pub closes: bool,
    pub began: Instant,
    pub ended: Instant,
}

/// When a session stopped being served.
pub struct Refusal {
    /// How long after the moment in question the last check began that still passed.
    pub last_passed: Duration,
    /// How long after it the first one was refused.
    pub refused: Duration,
}

impl Site {
    /// `further` is top-level YAML of every pod.
    pub async fn start(stores: &[String], further: &str) -> Self {
        Self::start_with(stores, |pod, _| pod.further.push_str(further)).await
    }

    /// `adjust` has the last word on a pod's options, and is told the issuer.
    pub async fn start_with(stores: &[String], adjust: impl Fn(&mut PodOptions, &str)) -> Self {
        let (ring, key_ring_file) = key_ring();
        let mut options: Vec<PodOptions> = stores.iter().map(|url| pod_options(url, &key_ring_file)).collect();
        let public_url = options[0].public_url.clone();
        let secret = random_key();
        let idp = Idp::start(idp_options(&public_url, &secret)).await;
        let mut pods = Vec::new();
        for (number, mut pod) in options.drain(..).enumerate() {
            pod.name = format!("pod-{number}");
            pod.public_url.clone_from(&public_url);
            pod.providers = vec![provider(&idp, &secret)];
            adjust(&mut pod, idp.issuer());
            pods.push(Pod::start(pod).await);
        }
        let site = Self { pods, idp, key_ring_file, http: http_client(), _key_ring: ring };
        site.wait_for_provider().await;
        site
    }

    /// Kills the pod and starts it again with the same file and ports.
    pub async fn restart(&mut self, pod: usize) {
        self.pods[pod].restart().await;
        self.wait_for_provider().await;
    }

    /// Pods are ready without their provider, and logins are not possible until it is known.
    async fn wait_for_provider(&self) {
        for pod in &self.pods {
            until("the pod to live", DEADLINE, async || admin(pod, "/livez").await.filter(|(status, _)| *status == 200)).await;
            let metric = "vestibule_provider_ready";
            until("the provider", DEADLINE, async || (pod.metric(metric, &[]).await == 1.0).then_some(())).await;
        }
    }

    /// A new session of the same person, begun and finished on this pod.
    pub async fn sign_in(&self, pod: usize) -> Browser {
        let agent = Agent::new();
        let callback = self.callback(pod, &agent).await;
        let page = agent.get(&callback).await;
        assert_eq!(page.status, 303, "{}", page.body);
        let cookie = agent.cookie("localhost", COOKIE).expect("a session's cookie").value;
        Browser { agent, cookie }
    }

    /// A login as far as the address on this pod that finishes it.
    pub async fn callback(&self, pod: usize, agent: &Agent) -> String {
        let page = agent.get(&self.pods[pod].public("/sso/login?provider=corp&rd=%2F")).await;
        let back = agent.follow_until(page, |target| target.path().starts_with("/sso/callback")).await;
        let mut callback = back.location().unwrap_or_else(|| panic!("no callback: {}", back.body));
        callback.set_port(Some(self.pods[pod].public_port())).expect("http has ports");
        callback.to_string()
    }

    /// The form of the logout page, with its anti-CSRF token.
    pub async fn logout_form(&self, pod: usize, browser: &Browser) -> Vec<(String, String)> {
        browser.agent.get(&self.pods[pod].public("/sso/logout")).await.form().fields
    }

    pub async fn confirm_logout(&self, pod: usize, browser: &Browser, form: &[(String, String)]) -> Page {
        let fields: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        browser.agent.post(&self.pods[pod].public("/sso/logout"), &fields).await
    }

    pub async fn sign_out(&self, pod: usize, browser: &Browser) {
        let form = self.logout_form(pod, browser).await;
        let page = self.confirm_logout(pod, browser, &form).await;
        assert_eq!(page.status, 303, "{}", page.body);
    }

    /// nginx's question about a page, with a session's cookie.
    pub async fn check(&self, pod: usize, cookie: &str) -> Answer {
        self.ask(pod, ("cookie", &format!("{COOKIE}={cookie}"))).await
    }

    /// The same with any credential.
    pub async fn ask(&self, pod: usize, (name, value): (&str, &str)) -> Answer {
        let began = Instant::now();
        let request = self.http.get(self.pods[pod].check("/auth/nginx")).header(name, value);
        let answer = request.header("x-original-url", "http://localhost/app").header("x-original-method", "GET").send().await;
        let answer = answer.unwrap_or_else(|error| panic!("pod {pod}: {error:?}"));
        let sets_cookie = answer.headers().contains_key("set-cookie");
        let closes = answer.headers().get("connection").is_some_and(|value| value == "close");
        Answer { status: answer.status().as_u16(), sets_cookie, closes, began, ended: Instant::now() }
    }

    pub async fn status(&self, pod: usize, cookie: &str) -> u16 {
        self.check(pod, cookie).await.status
    }

    /// Asks without pause until the session is refused; every answer before is to let it through.
    pub async fn refused(&self, pod: usize, cookie: &str, since: Instant) -> Refusal {
        let mut last_passed = Duration::ZERO;
        loop {
            let answer = self.check(pod, cookie).await;
            match answer.status {
                200 => last_passed = answer.began.saturating_duration_since(since),
                401 => return Refusal { last_passed, refused: answer.ended.saturating_duration_since(since) },
                other => panic!("pod {pod} said {other}"),
            }
            assert!(since.elapsed() < DEADLINE, "a session that has ended is served for ever");
        }
    }

    /// Asks until the pod answers from its cache: what it read while the shard changed is not kept.
    pub async fn warm(&self, pod: usize, cookie: &str) {
        until("the session to be cached", DEADLINE, async || {
            let hits = self.lookups(pod, "hit").await;
            assert_eq!(self.status(pod, cookie).await, 200);
            (self.lookups(pod, "hit").await > hits).then_some(())
        })
        .await;
    }

    /// Commands that the pod has sent to its store because somebody asked something. The rounds that
    /// prove the cache are not among them.
    pub async fn commands(&self, pod: usize) -> f64 {
        let text = self.pods[pod].metrics().await;
        let commands = text.lines().filter(|line| line.starts_with("vestibule_store_commands_total{"));
        let asked = commands.filter(|line| !line.contains("operation=\"sequences\""));
        asked.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    pub async fn lookups(&self, pod: usize, result: &str) -> f64 {
        self.pods[pod].metric("vestibule_cache_lookups_total", &[&format!("result=\"{result}\"")]).await
    }

    pub async fn notices(&self, pod: usize, outcome: &str) -> f64 {
        self.pods[pod].metric("vestibule_notices_total", &[&format!("outcome=\"{outcome}\"")]).await
    }
}

impl Refusal {
    /// The bound that the product states while the store answers.
    pub fn assert_within_bound(&self, what: &str) {
        eprintln!("{what}: refused after {:?}; the last one passed after {:?}", self.refused, self.last_passed);
        assert!(self.last_passed <= vestibule::principals::PROVEN_FOR, "{what}: {:?}", self.last_passed);
    }
}

/// What the admin listener says; nothing while it is not there.
pub async fn admin(pod: &Pod, path: &str) -> Option<(u16, String)> {
    let answer = http_client().get(pod.admin(path)).send().await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

/// The name of a session's record in Redis.
pub fn session_key(cookie: &str) -> String {
    use base64::Engine;
    let handle = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(cookie).expect("a handle is base64url");
    let shard = Shard::new(handle[0]).expect("a handle begins with its shard");
    format!("vestibule:{}", Key::new(shard, Kind::Session, Digest::of(cookie.as_bytes()).to_hex()).name())
}

fn pod_options(url: &str, key_ring_file: &std::path::Path) -> PodOptions {
    let mut pod = PodOptions::new();
    // Patient, so that no answer is a 503 because the machine is busy.
    pod.store = vec![format!("url: {url}"), "command_timeout: 3s".to_owned()];
    pod.key_ring_file = Some(key_ring_file.to_owned());
    pod.role_map = Some(ROLE_MAP.to_owned());
    pod
}

/// Everybody who comes is the same person, and is not asked.
fn idp_options(public_url: &str, secret: &str) -> IdpOptions {
    let back = [format!("{public_url}/sso/callback")];
    let vestibule = client("vestibule", secret, &back, &[format!("{public_url}/sso/logout")]);
    IdpOptions { clients: vec![vestibule], auto_login: Some(PERSON.to_owned()), ..IdpOptions::default() }
}

fn provider(idp: &Idp, secret: &str) -> ProviderSection {
    ProviderSection::corp(idp.issuer(), secret)
}
