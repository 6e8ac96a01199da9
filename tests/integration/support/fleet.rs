//! The fleet of a test: pods, their shared store, and the peers around them.
//!
//! `Fleet::builder().pods(3).cluster().idp().nginx().start().await` starts what operators run. The defaults are one pod and the
//! memory store, without peers.

mod builder;
mod checks;
mod sign_in;
mod store;

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::OnceCell;

pub use builder::FleetBuilder;
pub use checks::{Answer, Refusal, admin};
pub use sign_in::Browser;

use super::cpu_turns::Turn;
use super::idp::Idp;
use super::nginx::{CheckUrl, Nginx, NginxOptions, PodPorts};
use super::pod::{Pod, PodOptions, until_everywhere};
use super::ports;
use super::redis::{Cluster, Standalone};
use super::scratch::Scratch;
use super::upstream::Upstream;
use super::wait;
use store::Store;

/// The default role map of a fleet.
pub const ROLE_MAP: &str = r#"version: 1
default_role: internal_user_viewer
rules:
  - {provider: corp, claim: resource_access.litellm.roles, match: "llm-admin*", role: proxy_admin}
  - {provider: corp, claim: groups, match: "/engineering/*", role: internal_user}
teams:
  - {provider: corp, claim: groups, match: "/teams/*", strip: /teams/}
"#;

const DEADLINE: Duration = Duration::from_secs(60);

/// Fields are dropped in this order: clients before servers.
pub struct Fleet {
    nginx: Option<Nginx>,
    pub pods: Vec<Pod>,
    upstream: Option<Upstream>,
    store: Store,
    idps: Vec<Idp>,
    pub key_ring_file: PathBuf,
    public_url: String,
    /// The options of a pod before the test's configuration is applied.
    template: PodOptions,
    /// Sends requests without cookies.
    pub http: reqwest::Client,
    _key_ring: Scratch,
    _turn: Option<Turn>,
}

impl Fleet {
    pub fn builder<'a>() -> FleetBuilder<'a> {
        FleetBuilder::new()
    }

    /// A fleet of three pods behind nginx with a cluster, for tests that neither stop nor reconfigure a part.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Fleet> = OnceCell::const_new();
        SHARED.get_or_init(async || Self::builder().pods(3).cluster().idp().nginx().start().await).await
    }

    /// One of the pods; larger numbers wrap around.
    pub fn pod(&self, number: usize) -> &Pod {
        &self.pods[number % self.pods.len()]
    }

    /// The first identity provider, `corp`.
    pub fn idp(&self) -> &Idp {
        self.idps.first().expect("the fleet was built with an identity provider")
    }

    pub fn idp_mut(&mut self) -> &mut Idp {
        self.idps.first_mut().expect("the fleet was built with an identity provider")
    }

    /// The second identity provider, `partner`.
    pub fn partner_idp(&self) -> &Idp {
        self.idps.get(1).expect("the fleet was built with a second identity provider")
    }

    pub fn partner_idp_mut(&mut self) -> &mut Idp {
        self.idps.get_mut(1).expect("the fleet was built with a second identity provider")
    }

    /// The upstream behind nginx.
    pub fn upstream(&self) -> &Upstream {
        self.upstream.as_ref().expect("the fleet was built with nginx")
    }

    pub fn nginx(&self) -> &Nginx {
        self.nginx.as_ref().expect("the fleet was built with nginx")
    }

    /// The cluster, which other fleets may share.
    pub fn cluster(&self) -> &Cluster {
        self.store.cluster()
    }

    /// The cluster of this fleet alone, for tests that break it.
    pub fn cluster_mut(&mut self) -> &mut Cluster {
        self.store.cluster_mut()
    }

    pub fn redis(&self) -> &Standalone {
        self.store.standalone()
    }

    pub fn store_url(&self) -> String {
        self.store.url()
    }

    /// The first part of each key in the store.
    pub fn key_prefix(&self) -> &str {
        self.store.key_prefix()
    }

    /// The public URL of a path: at the gateway, or at the first pod if there is none.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }

    /// The options of an additional pod, which the gateway does not know.
    pub fn further_pod(&self, name: &str) -> PodOptions {
        let ports = [ports::free(), ports::free(), ports::free()];
        PodOptions { name: name.to_owned(), ports, ..self.template.clone() }
    }

    /// Starts another nginx in front of the pods, with another upstream.
    pub async fn nginx_to(&self, upstream: u16) -> Nginx {
        self.nginx_of(&["localhost"], upstream).await
    }

    /// Starts another nginx in front of the pods, with other hosts.
    pub async fn nginx_of(&self, hosts: &[&str], upstream: u16) -> Nginx {
        let (port, pods, check_url) = (ports::free(), &self.pod_ports()[..], CheckUrl::NamesHost);
        Nginx::start(NginxOptions { port, hosts, pods, upstream, service_workers: "", check_url }).await
    }

    /// Starts another nginx in front of the pods, whose check URL names a route of the role map.
    pub async fn nginx_with_route(&self, route: &'static str) -> Nginx {
        let (pods, upstream) = (&self.pod_ports()[..], self.upstream().port());
        let (port, check_url) = (ports::free(), CheckUrl::NamesRoute(route));
        Nginx::start(NginxOptions { port, hosts: &["localhost"], pods, upstream, service_workers: "", check_url }).await
    }

    /// Starts another nginx in front of the pods, with this value of `VESTIBULE_ALLOW_SERVICE_WORKERS`.
    pub async fn nginx_with_service_workers(&self, service_workers: &str) -> Nginx {
        let (pods, upstream) = (&self.pod_ports()[..], self.upstream().port());
        let (port, check_url) = (ports::free(), CheckUrl::NamesHost);
        Nginx::start(NginxOptions { port, hosts: &["localhost"], pods, upstream, service_workers, check_url }).await
    }

    pub fn pod_ports(&self) -> Vec<PodPorts> {
        self.pods.iter().map(|pod| (pod.public_port(), pod.check_port())).collect()
    }

    /// Kills a pod and starts it again with the same file and ports.
    pub async fn restart(&mut self, pod: usize) {
        self.pods[pod].restart().await;
        self.wait_for_providers().await;
    }

    /// Shuts a pod down gracefully and starts it again.
    pub async fn replace(&mut self, pod: usize) {
        let pod = &mut self.pods[pod];
        pod.process().term();
        let status = pod.process().wait_exit(DEADLINE).await;
        assert_eq!(status.code(), Some(0), "{}", pod.log());
        pod.restart().await;
    }

    /// Waits until each pod has reached the identity providers; a pod becomes ready earlier.
    pub async fn wait_for_providers(&self) {
        until_everywhere(&self.pods, "the pods to reach their identity providers", DEADLINE, async |pod| {
            let expected = u32::try_from(self.idps.len().min(pod.options().providers.len())).expect("few providers");
            let lives = admin(pod, "/livez").await.is_some_and(|(status, _)| status == 200);
            lives && pod.metric("vestibule_provider_ready", &[]).await >= f64::from(expected)
        })
        .await;
    }

    /// The sum of a metric over all pods.
    pub async fn metric(&self, name: &str, words: &[&str]) -> f64 {
        let values = self.pods.iter().map(|pod| pod.metric(name, words));
        futures::future::join_all(values).await.iter().sum()
    }

    /// Waits until the log of each pod has the words more often than before `change`.
    pub async fn until_logged_again(&self, words: &str, change: impl FnOnce()) {
        let count = |pod: &Pod| pod.log().matches(words).count();
        let before: Vec<usize> = self.pods.iter().map(count).collect();
        change();
        let logged = async || self.pods.iter().zip(&before).all(|(pod, before)| count(pod) > *before).then_some(());
        wait::until(words, DEADLINE, logged).await;
    }
}
