//! Chooses the parts of a fleet and starts them.

use std::path::PathBuf;

use futures::future::join_all;

use super::super::auth_request::GATEWAY_SECRET;
use super::super::cpu_turns::wait_for_turn;
use super::super::idp::{Idp, IdpOptions, client};
use super::super::local_accounts::LOCAL_ACCOUNTS;
use super::super::nginx::{CheckUrl, Nginx, NginxOptions};
use super::super::pod::{Pod, PodOptions, ProviderSection, key_ring, random_key};
use super::super::upstream::Upstream;
use super::super::{http_client, ports};
use super::store::{Store, StoreKind};
use super::{Fleet, ROLE_MAP};

/// The ids of the identity providers, in the order in which a test adds them.
const PROVIDERS: [(&str, &str); 2] = [("corp", "Example Corp"), ("partner", "Example Partner")];

type AdjustIdp<'a> = Box<dyn FnOnce(&mut IdpOptions) + 'a>;
type ConfigurePod<'a> = Box<dyn FnMut(&mut PodOptions) + 'a>;

pub struct FleetBuilder<'a> {
    pods: usize,
    store: StoreKind,
    idps: Vec<AdjustIdp<'a>>,
    binary: Option<PathBuf>,
    is_heavy: bool,
    /// The port of nginx.
    nginx: Option<u16>,
    check_url: CheckUrl,
    /// The hosts of nginx. The first one is that of the public URL.
    hosts: &'static [&'static str],
    configure: Vec<ConfigurePod<'a>>,
}

impl<'a> FleetBuilder<'a> {
    pub(super) fn new() -> Self {
        Self {
            pods: 1,
            store: StoreKind::Memory,
            idps: Vec::new(),
            binary: None,
            is_heavy: false,
            nginx: None,
            check_url: CheckUrl::default(),
            hosts: &["localhost"],
            configure: Vec::new(),
        }
    }

    pub fn pods(self, pods: usize) -> Self {
        Self { pods, ..self }
    }

    /// Uses a Redis server that no other fleet shares.
    pub fn standalone(self) -> Self {
        Self { store: StoreKind::Standalone, ..self }
    }

    /// Uses the Redis cluster that fleets share, with a separate key prefix. For tests that neither stop a node nor empty the
    /// store.
    pub fn cluster(self) -> Self {
        Self { store: StoreKind::SharedCluster, ..self }
    }

    /// Uses a Redis cluster that no other fleet shares.
    pub fn own_cluster(self) -> Self {
        Self { store: StoreKind::OwnCluster, ..self }
    }

    /// Uses a Redis that the test started, or a proxy in front of one.
    pub fn store_at(self, url: String) -> Self {
        Self { store: StoreKind::Urls(vec![url]), ..self }
    }

    /// Starts a pod for each URL of a Redis, which may be that of a proxy.
    pub fn stores<const N: usize>(self, urls: [String; N]) -> Self {
        Self { pods: N, store: StoreKind::Urls(urls.into()), ..self }
    }

    /// Adds an identity provider: `corp` first, then `partner`.
    pub fn idp(self) -> Self {
        self.idp_with(|_| ())
    }

    pub fn idp_with(mut self, adjust: impl FnOnce(&mut IdpOptions) + 'a) -> Self {
        self.idps.push(Box::new(adjust));
        self
    }

    /// Adds an identity provider that the test started.
    pub fn provider(self, section: ProviderSection) -> Self {
        self.config(move |pod| pod.providers.push(section.clone()))
    }

    /// Sets the binary of all pods; the default is the one that cargo built for the tests.
    pub fn binary(self, binary: PathBuf) -> Self {
        Self { binary: Some(binary), ..self }
    }

    pub fn local_accounts(self) -> Self {
        self.yaml(LOCAL_ACCOUNTS)
    }

    /// Marks a test that puts load on the fleet: it waits until few others of these run.
    pub fn heavy(self) -> Self {
        Self { is_heavy: true, ..self }
    }

    /// Adds nginx in front of the pods and an upstream behind it.
    pub fn nginx(self) -> Self {
        self.nginx_at(ports::free())
    }

    pub fn nginx_at(self, port: u16) -> Self {
        Self { nginx: Some(port), ..self }
    }

    /// Selects the URL that nginx sends auth requests to.
    pub fn check_url(self, check_url: CheckUrl) -> Self {
        Self { check_url, ..self }
    }

    /// Adds further hosts to nginx, and to `origins`.
    pub fn further_hosts(self) -> Self {
        let port = ports::free();
        let origins = format!("origins: [http://chat.localhost:{port}, http://mcp.localhost:{port}]\n");
        Self { hosts: &["localhost", "chat.localhost", "mcp.localhost"], ..self.nginx_at(port).yaml(origins) }
    }

    /// Adds top-level YAML to the configuration of each pod.
    pub fn yaml(self, yaml: impl AsRef<str> + 'a) -> Self {
        self.config(move |pod| pod.further.push_str(yaml.as_ref()))
    }

    /// Adds a line to the section of each identity provider.
    pub fn provider_setting(self, line: &'a str) -> Self {
        self.config(move |pod| pod.providers.iter_mut().for_each(|provider| provider.further.push(line.to_owned())))
    }

    /// Changes the options of each pod, after all other methods of the builder.
    pub fn config(mut self, change: impl FnMut(&mut PodOptions) + 'a) -> Self {
        self.configure.push(Box::new(change));
        self
    }

    pub async fn start(mut self) -> Fleet {
        let turn = if self.is_heavy { Some(wait_for_turn().await) } else { None };
        let template = PodOptions::new();
        let public_url = self.nginx.map_or(template.public_url.clone(), |port| format!("http://localhost:{port}"));
        let idps = self.idps.drain(..).zip(PROVIDERS).map(|(adjust, provider)| start_idp(provider, &public_url, adjust));
        let upstream = async { if self.nginx.is_some() { Some(Upstream::start().await) } else { None } };
        let (idps, store, upstream) = tokio::join!(join_all(idps), Store::start(self.store), upstream);
        let (ring, key_ring_file) = key_ring();
        let (idps, providers) = idps.into_iter().unzip();
        let template = PodOptions {
            public_url: public_url.clone(),
            store: store.section(0),
            key_ring_file: Some(key_ring_file.clone()),
            providers,
            role_map: Some(ROLE_MAP.to_owned()),
            gateway_secret: Some(GATEWAY_SECRET),
            further: if self.pods > 1 { format!("replicas: {}\n", self.pods) } else { String::new() },
            binary: self.binary.unwrap_or(template.binary),
            ..template
        };
        let pods = (0..self.pods).map(|number| {
            let mut pod = PodOptions { name: format!("pod-{number}"), store: store.section(number), ..template.clone() };
            if number > 0 {
                pod.ports = [ports::free(), ports::free(), ports::free()];
            }
            self.configure.iter_mut().for_each(|change| change(&mut pod));
            Pod::start(pod)
        });
        let pods = join_all(pods).await;
        let mut fleet = Fleet {
            nginx: None,
            pods,
            upstream,
            store,
            idps,
            key_ring_file,
            public_url,
            template,
            http: http_client(),
            _key_ring: ring,
            _turn: turn,
        };
        if let (Some(port), Some(upstream)) = (self.nginx, &fleet.upstream) {
            let (hosts, pods) = (self.hosts, &fleet.pod_ports()[..]);
            let options =
                NginxOptions { port, hosts, pods, upstream: upstream.port(), service_workers: "", check_url: self.check_url };
            fleet.nginx = Some(Nginx::start(options).await);
        }
        fleet.wait_for_providers().await;
        fleet
    }
}

async fn start_idp((id, name): (&str, &str), public_url: &str, adjust: impl FnOnce(&mut IdpOptions)) -> (Idp, ProviderSection) {
    let secret = random_key();
    let mut options = IdpOptions { clients: vec![vestibule_client(id, public_url, &secret)], ..IdpOptions::default() };
    if id != PROVIDERS[0].0 {
        options.issuer_path = format!("/realms/{id}");
    }
    adjust(&mut options);
    let idp = Idp::start(options).await;
    let section = ProviderSection {
        id: id.to_owned(),
        name: name.to_owned(),
        issuer: idp.issuer().to_owned(),
        client_id: "vestibule".to_owned(),
        client_secret: secret,
        further: Vec::new(),
    };
    (idp, section)
}

fn vestibule_client(id: &str, public_url: &str, secret: &str) -> serde_json::Value {
    let addresses = |paths: &[&str]| -> Vec<String> { paths.iter().map(|path| format!("{public_url}{path}")).collect() };
    // The product chooses the target of the redirect after the provider's logout. The provider accepts all plausible ones.
    let after_logout = ["", "/", "/sso/logout", "/sso/signed-out", "/sso/logged-out", "/vestibule/"];
    let callback = format!("/sso/callback/{id}");
    client("vestibule", secret, &addresses(&["/sso/callback", &callback]), &addresses(&after_logout))
}
