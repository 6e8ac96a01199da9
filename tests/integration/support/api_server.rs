//! Starts a Kubernetes API server with etcd and no other part of a cluster. Needs no root.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec, TokenReview, TokenReviewSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Role, RoleBinding};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::process::{Child, OnFailure};
use super::scratch::Scratch;
use super::{ports, wait};

const START: Duration = Duration::from_secs(180);
pub const ISSUER: &str = "https://kubernetes.default.svc";
const NAMESPACE: &str = "llm";
const ACCOUNT: &str = "vestibule";

pub struct ApiServer {
    server: Child,
    client: Client,
    admin: PathBuf,
    /// The number of tokens that the pods' ServiceAccount has had.
    tokens: u32,
    etcd_port: u16,
    port: u16,
    /// The address that the discovery document gives for the server's keys.
    jwks_listener: TcpListener,
    scratch: Scratch,
    // Dropped last, because the server connects to it.
    _etcd: Child,
}

/// The permission of the pods' ServiceAccount to write Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayWriteEvents {
    Yes,
    No,
}

impl ApiServer {
    /// Starts a server with the namespace `llm`, which has a ServiceAccount with the documented permissions.
    pub async fn start(events: MayWriteEvents) -> Self {
        let scratch = Scratch::new("api-server");
        let (etcd_port, port) = (ports::free(), ports::free());
        let token = super::pod::random_key();
        write(&scratch, "tokens.csv", &format!("{token},admin,admin,\"system:masters\"\n"));
        create_signing_key(&scratch.path().join("sa.key"));
        let etcd = start_etcd(&scratch, etcd_port);
        let jwks_listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback is free");
        jwks_listener.set_nonblocking(true).expect("a listener can be asked without waiting");
        let server = start_server(&scratch, etcd_port, port, &[&jwks_argument(&jwks_listener)]);
        let admin = write(&scratch, "admin.kubeconfig", &kubeconfig(&scratch, port, &json!({"token": token})));
        // The certificate is made when the server starts.
        let certificate = scratch.path().join("certs/apiserver.crt");
        wait::until("the API server's certificate", START, async || certificate.exists().then_some(())).await;
        let client = client(&admin).await;
        let mut this = Self { server, client, admin, tokens: 0, etcd_port, port, jwks_listener, scratch, _etcd: etcd };
        this.answers().await;
        this.prepare(events).await;
        this
    }

    /// The kubeconfig of the pods' ServiceAccount.
    pub fn pod_kubeconfig(&self) -> PathBuf {
        self.pod_kubeconfig_by(self.port)
    }

    /// Like [`ApiServer::pod_kubeconfig`], with another port.
    pub fn pod_kubeconfig_by(&self, port: u16) -> PathBuf {
        let user = json!({"tokenFile": self.token_file()});
        write(&self.scratch, &format!("pod-{port}.kubeconfig"), &kubeconfig(&self.scratch, port, &user))
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn kill(&mut self) {
        self.server.kill9();
    }

    pub async fn restart(&mut self) {
        self.start_again(&[]).await;
    }

    /// Restarts the server, which then also accepts tokens of this issuer, and announces the first one.
    pub async fn restart_with_issuer(&mut self, additional: &str) {
        self.kill();
        self.start_again(&[&format!("--service-account-issuer={additional}")]).await;
    }

    /// Compacts etcd to the last revision and restarts the server. A watch from an earlier revision then gets 410.
    pub async fn restart_compacted(&mut self) {
        self.kill();
        let last = self.etcd("kv/range", json!({"key": "AA==", "limit": 1})).await["header"]["revision"].clone();
        self.etcd("kv/compaction", json!({"revision": last, "physical": true})).await;
        self.start_again(&["--watch-cache=false"]).await;
    }

    async fn etcd(&self, call: &str, body: Value) -> Value {
        let url = format!("http://127.0.0.1:{}/v3/{call}", self.etcd_port);
        let answer = super::owner_client().post(url).json(&body).send().await.expect("etcd answers");
        assert!(answer.status().is_success(), "{call}: {answer:?}");
        answer.json().await.expect("etcd speaks JSON")
    }

    async fn start_again(&mut self, arguments: &[&str]) {
        let jwks_argument = jwks_argument(&self.jwks_listener);
        let arguments = [arguments, &[jwks_argument.as_str()]].concat();
        self.server = start_server(&self.scratch, self.etcd_port, self.port, &arguments);
        self.client = client(&self.admin).await;
        self.answers().await;
    }

    /// Creates the ConfigMap, or replaces its document.
    pub async fn apply(&self, name: &str, labels: Value, text: &str) {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "labels": labels},
            "data": {"roles.yaml": text},
        });
        let params = PatchParams::apply("tests").force();
        self.config_maps().patch(name, &params, &Patch::Apply(object)).await.expect("the ConfigMap is taken");
    }

    pub async fn delete(&self, name: &str) {
        self.config_maps().delete(name, &DeleteParams::default()).await.expect("the ConfigMap is deleted");
    }

    /// Reasons and messages of the Events about a ConfigMap, the oldest first.
    pub async fn events_about(&self, name: &str) -> Vec<(String, String)> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), NAMESPACE);
        let about = ListParams::default().fields(&format!("involvedObject.name={name}"));
        let mut found = events.list(&about).await.expect("Events are listed").items;
        found.sort_by_key(|event| event.resource_version());
        found.into_iter().map(|event| (event.reason.unwrap_or_default(), event.message.unwrap_or_default())).collect()
    }

    /// The resource version of a list request.
    pub async fn version(&self) -> String {
        let listed = self.config_maps().list(&ListParams::default()).await.expect("ConfigMaps are listed");
        listed.metadata.resource_version.expect("a list has a version")
    }

    /// The status of the first event of a watch from this version, if it is an error.
    pub async fn refusal_of_watch_from(&self, version: &str) -> Option<u16> {
        let config_maps = self.config_maps();
        let watch = config_maps.watch(&WatchParams::default(), version).await;
        match watch {
            Ok(events) => match Box::pin(events).next().await {
                Some(Ok(WatchEvent::Error(status))) => Some(status.code),
                _ => None,
            },
            Err(kube::Error::Api(status)) => Some(status.code),
            Err(error) => panic!("{error}"),
        }
    }

    /// Replaces the token in the pods' file, revokes the previous token and returns it.
    pub async fn rotate_token(&mut self) -> String {
        let old = std::fs::read_to_string(self.token_file()).expect("there is a token");
        let bound_to = self.bound_to();
        self.create_token().await;
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        secrets.delete(&bound_to, &DeleteParams::default()).await.expect("the Secret is deleted");
        old
    }

    /// True if the token may list ConfigMaps.
    pub async fn is_token_accepted(&self, token: &str) -> bool {
        let kubeconfig =
            write(&self.scratch, "by-token.kubeconfig", &kubeconfig(&self.scratch, self.port, &json!({"token": token})));
        let config_maps: Api<ConfigMap> = Api::namespaced(client(&kubeconfig).await, NAMESPACE);
        config_maps.list(&ListParams::default()).await.is_ok()
    }

    fn token_file(&self) -> PathBuf {
        self.scratch.path().join("token")
    }

    fn bound_to(&self) -> String {
        format!("token-{}", self.tokens)
    }

    /// The token is valid while the Secret that it is bound to exists.
    async fn create_token(&mut self) {
        self.tokens += 1;
        let name = self.bound_to();
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        create(&secrets, json!({"metadata": {"name": name}}), "Secret").await;
        let object =
            BoundObjectReference { kind: Some("Secret".into()), api_version: Some("v1".into()), name: Some(name), uid: None };
        let spec =
            TokenRequestSpec { expiration_seconds: Some(3600), bound_object_ref: Some(object), ..TokenRequestSpec::default() };
        let token = self.request_token(NAMESPACE, ACCOUNT, spec).await;
        // Renamed into place like the kubelet does, so that no reader sees a partial token.
        let new = write(&self.scratch, "token.new", &token);
        std::fs::rename(new, self.token_file()).expect("a file is renamed");
    }

    /// Permits the pods to read the server's token issuer metadata and to create TokenReviews.
    pub async fn allow_reviews(&self) {
        let bindings: Api<ClusterRoleBinding> = Api::all(self.client.clone());
        for role in ["system:service-account-issuer-discovery", "system:auth-delegator"] {
            let binding = json!({
                "metadata": {"name": role.replace("system:", "vestibule-")},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
            });
            create(&bindings, binding, "ClusterRoleBinding").await;
        }
        // The server creates its own roles after it starts to answer, and applies them shortly after.
        let pods = client(&self.pod_kubeconfig()).await;
        let reviews: Api<TokenReview> = Api::all(pods.clone());
        let (discovery, review) = ("/.well-known/openid-configuration", review_of_empty_token());
        let allowed = async || {
            let discovered = pods.request_text(http::Request::get(discovery).body(Vec::new()).expect("a path")).await.is_ok();
            (discovered && reviews.create(&PostParams::default(), &review).await.is_ok()).then_some(())
        };
        wait::until("permissions for the pods", START, allowed).await;
    }

    pub async fn add_namespace(&self, name: &str) {
        create(&Api::<Namespace>::all(self.client.clone()), json!({"metadata": {"name": name}}), "Namespace").await;
    }

    pub async fn add_account(&self, namespace: &str, name: &str) {
        create(&self.accounts(namespace), json!({"metadata": {"name": name}}), "ServiceAccount").await;
    }

    pub async fn delete_account(&self, namespace: &str, name: &str) {
        self.accounts(namespace).delete(name, &DeleteParams::default()).await.expect("the ServiceAccount is deleted");
    }

    /// Requests a token like the one that the kubelet projects into a pod.
    pub async fn token(&self, namespace: &str, account: &str, audience: &str) -> String {
        let spec = TokenRequestSpec { audiences: vec![audience.to_owned()], ..TokenRequestSpec::default() };
        self.request_token(namespace, account, spec).await
    }

    /// The key that signs tokens, as PEM.
    pub fn signing_key(&self) -> Vec<u8> {
        std::fs::read(self.scratch.path().join("sa.key")).expect("the server signs with it")
    }

    /// True if a client connected to the address that the discovery document gives for the keys.
    pub fn has_jwks_request(&self) -> bool {
        self.jwks_listener.accept().is_ok()
    }

    async fn request_token(&self, namespace: &str, account: &str, spec: TokenRequestSpec) -> String {
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let answer = self.accounts(namespace).create_token_request(account, &PostParams::default(), &request).await;
        answer.expect("a ServiceAccount has tokens").status.expect("a created token is returned").token
    }

    fn accounts(&self, namespace: &str) -> Api<ServiceAccount> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    async fn answers(&self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let roles: Api<Role> = Api::namespaced(self.client.clone(), "kube-system");
        // The server creates its own roles last.
        let ready = async || {
            let listed = namespaces.get("default").await.is_ok() && roles.list(&ListParams::default()).await.is_ok();
            listed.then_some(())
        };
        wait::until("the API server", START, ready).await;
    }

    async fn prepare(&mut self, events: MayWriteEvents) {
        let client = self.client.clone();
        create(&Api::<Namespace>::all(client.clone()), json!({"metadata": {"name": NAMESPACE}}), "Namespace").await;
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
        create(&accounts, json!({"metadata": {"name": ACCOUNT}}), "ServiceAccount").await;
        let mut rules = vec![json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]})];
        if events == MayWriteEvents::Yes {
            rules.push(json!({"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]}));
        }
        let roles: Api<Role> = Api::namespaced(client.clone(), NAMESPACE);
        create(&roles, json!({"metadata": {"name": ACCOUNT}, "rules": rules}), "Role").await;
        let binding = json!({
            "metadata": {"name": ACCOUNT},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        });
        create(&Api::<RoleBinding>::namespaced(client, NAMESPACE), binding, "RoleBinding").await;
        self.create_token().await;
    }
}

fn review_of_empty_token() -> TokenReview {
    let spec = TokenReviewSpec { token: Some("none".to_owned()), audiences: None };
    TokenReview { spec, ..TokenReview::default() }
}

async fn create<K>(api: &Api<K>, object: Value, kind: &str)
where
    K: serde::Serialize + serde::de::DeserializeOwned + Clone + std::fmt::Debug,
{
    let object = serde_json::from_value(object).expect("the object has its kind's fields");
    api.create(&PostParams::default(), &object).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
}

async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("the kubeconfig was written");
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("the kubeconfig is complete")).expect("the client can be made")
}

fn start_etcd(scratch: &Scratch, port: u16) -> Child {
    let url = format!("http://127.0.0.1:{port}");
    let mut command = Command::new(binary("etcd"));
    command.args(["--unsafe-no-fsync", "--data-dir"]).arg(scratch.path().join("etcd"));
    command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
    command.args(["--listen-peer-urls", "http://127.0.0.1:0", "--log-level", "error"]);
    Child::spawn("etcd", command, &scratch.path().join("etcd.log"), OnFailure::Quiet)
}

/// The server argument that makes the discovery document name another host.
fn jwks_argument(jwks_listener: &TcpListener) -> String {
    let port = jwks_listener.local_addr().expect("it is bound").port();
    format!("--service-account-jwks-uri=https://127.0.0.1:{port}/openid/v1/jwks")
}

fn start_server(scratch: &Scratch, etcd: u16, port: u16, arguments: &[&str]) -> Child {
    let path = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
    let mut command = Command::new(binary("kube-apiserver"));
    command.args([
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", path("certs")),
        format!("--service-account-key-file={}", path("sa.key")),
        format!("--service-account-signing-key-file={}", path("sa.key")),
        format!("--service-account-issuer={ISSUER}"),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        format!("--token-auth-file={}", path("tokens.csv")),
    ]);
    command.args(arguments);
    Child::spawn("kube-apiserver", command, &scratch.path().join("kube-apiserver.log"), OnFailure::ShowLog)
}

/// A binary in the output directory of `tests/cluster/build.sh`.
fn binary(name: &str) -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let home = variable("CLUSTER_HOME").or_else(|| Some(cache()?.join("vestibule-cluster")));
    let path = home.expect("HOME is set").join("bin").join(name);
    assert!(path.exists(), "{} is missing: run `make cluster`", path.display());
    path
}

fn kubeconfig(scratch: &Scratch, port: u16, user: &Value) -> String {
    let authority = scratch.path().join("certs/apiserver.crt");
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("https://127.0.0.1:{port}"), "certificate-authority": authority}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": NAMESPACE}}],
    })
    .to_string()
}

/// Creates the key that the server signs tokens with.
fn create_signing_key(path: &Path) {
    let output = Command::new("openssl").args(["genrsa", "-out"]).arg(path).arg("2048").output();
    let output = output.unwrap_or_else(|error| panic!("openssl doesn't start ({error}): run `make peers`"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn write(scratch: &Scratch, name: &str, text: &str) -> PathBuf {
    let path = scratch.path().join(name);
    std::fs::write(&path, text).expect("the scratch directory is writable");
    path
}
