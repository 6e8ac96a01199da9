//! The whole of it: an identity provider, a store, pods, nginx and an upstream. What the demo shows
//! and what most integration tests run against.

use std::path::PathBuf;

use tokio::sync::OnceCell;

use super::agent::{Agent, Page};
use super::idp::{self, Idp, IdpOptions, client};
use super::nginx::Nginx;
use super::pod::{Pod, PodOptions, ProviderSection, key_ring, random_key};
use super::ports;
use super::redis::Cluster;
use super::scratch::Scratch;
use super::upstream::Upstream;

pub const ROLE_MAP: &str = r#"version: 1
default_role: internal_user_viewer
rules:
  - {claim: resource_access.litellm.roles, match: "llm-admin*", role: proxy_admin}
  - {claim: groups, match: "/engineering/*", role: internal_user}
teams:
  - {claim: groups, match: "/teams/*", strip: /teams/}
"#;

pub struct DeploymentOptions {
    pub pods: usize,
    /// nginx's; a free one when not given.
    pub port: Option<u16>,
    pub idp: IdpOptions,
    /// The last word on every pod's options.
    pub adjust: fn(&mut PodOptions),
    /// The binary, when it isn't the one that cargo built for the tests.
    pub binary: Option<PathBuf>,
}

/// Dropped in this order: what asks before what is asked.
pub struct Deployment {
    pub nginx: Nginx,
    pub pods: Vec<Pod>,
    pub upstream: Upstream,
    pub redis: Cluster,
    pub idp: Idp,
    pub key_ring_file: PathBuf,
    recipe: Recipe,
    _key_ring: Scratch,
}

/// What the pods of a deployment have in common.
struct Recipe {
    binary: Option<PathBuf>,
    public_url: String,
    redis_url: String,
    key_ring_file: PathBuf,
    provider: ProviderSection,
    replicas: usize,
}

/// The deployment that tests share who break none of its parts: three pods, and a fourth person,
/// dora, whose claims are larger than `max_claims` allows.
pub async fn shared() -> &'static Deployment {
    static SHARED: OnceCell<Deployment> = OnceCell::const_new();
    SHARED
        .get_or_init(async || {
            let mut options = DeploymentOptions::default();
            options.idp.accounts.push(idp::person_with_much_to_tell());
            Deployment::start(options).await
        })
        .await
}

impl Default for DeploymentOptions {
    fn default() -> Self {
        Self { pods: 3, port: None, idp: IdpOptions::default(), adjust: |_| (), binary: None }
    }
}

impl Deployment {
    pub async fn start(mut options: DeploymentOptions) -> Self {
        let port = options.port.unwrap_or_else(ports::free);
        let public_url = format!("http://localhost:{port}");
        let secret = random_key();
        options.idp.clients.push(vestibule_client(&public_url, &secret));
        let (idp, redis, upstream) = tokio::join!(Idp::start(options.idp), Cluster::start(), Upstream::start());
        let (ring, key_ring_file) = key_ring();
        let recipe = Recipe {
            binary: options.binary,
            public_url,
            redis_url: redis.url(),
            key_ring_file: key_ring_file.clone(),
            provider: ProviderSection::corp(idp.issuer(), secret.as_str()),
            replicas: options.pods,
        };
        let mut pods = Vec::new();
        for number in 1..=options.pods {
            let mut pod = recipe.pod(&format!("pod-{number}"));
            (options.adjust)(&mut pod);
            pods.push(Pod::start(pod).await);
        }
        let ports: Vec<_> = pods.iter().map(|pod| (pod.public_port(), pod.check_port())).collect();
        let nginx = Nginx::start(port, &ports, upstream.port()).await;
        Self { nginx, pods, upstream, redis, idp, key_ring_file, recipe, _key_ring: ring }
    }

    /// A further pod of this deployment, not yet started and not known to nginx.
    pub fn further_pod(&self, name: &str) -> PodOptions {
        self.recipe.pod(name)
    }

    /// The public address of a path, through nginx.
    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.nginx.port())
    }

    /// Opens the path through nginx, signs in where it is asked to, and gives the page where that
    /// ends.
    pub async fn sign_in(&self, agent: &Agent, path: &str, user: &str, password: &str) -> Page {
        let page = agent.get(&self.url(path)).await;
        let issuer = self.idp.issuer().to_owned();
        let page = agent.follow_until(page, |to| to.as_str().starts_with(&issuer)).await;
        let callback = self.idp.sign_in(agent, page, user, password).await;
        agent.follow(callback).await
    }
}

impl Recipe {
    fn pod(&self, name: &str) -> PodOptions {
        let mut pod = PodOptions::new();
        pod.binary = self.binary.clone().unwrap_or(pod.binary);
        pod.name = name.to_owned();
        pod.public_url.clone_from(&self.public_url);
        pod.store = vec![format!("url: {}", self.redis_url)];
        pod.key_ring_file = Some(self.key_ring_file.clone());
        pod.providers = vec![self.provider.clone()];
        pod.role_map = Some(ROLE_MAP.to_owned());
        pod.further = format!("replicas: {}\n", self.replicas);
        pod
    }
}

fn vestibule_client(public_url: &str, secret: &str) -> serde_json::Value {
    let addresses = |paths: &[&str]| -> Vec<String> { paths.iter().map(|path| format!("{public_url}{path}")).collect() };
    // Where we send a person after the provider's logout is decided by the product; the provider
    // accepts the places that make sense.
    let after_logout = ["", "/", "/sso/logout", "/sso/signed-out", "/sso/logged-out", "/vestibule/"];
    client("vestibule", secret, &addresses(&["/sso/callback", "/sso/callback/corp"]), &addresses(&after_logout))
}
