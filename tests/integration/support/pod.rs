//! A Vestibule process with its own configuration file and ports.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::process::{Child, OnFailure};
use super::scratch::Scratch;
use super::{owner_client, ports, wait};

const START: Duration = Duration::from_secs(20);

/// The state in which [`Pod::start`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    Wait,
    DontWait,
}

/// An identity provider's section, as far as tests vary it.
#[derive(Debug, Clone)]
pub struct ProviderSection {
    pub id: String,
    pub name: String,
    /// Empty for `kind: oauth2`, which has none.
    pub issuer: String,
    pub client_id: String,
    /// Omitted if empty: `further` may name a file.
    pub client_secret: String,
    /// Additional lines of the section: `logout: id_token_hint`.
    pub further: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct PodOptions {
    /// The default is the binary that cargo built for the tests; the demo uses another.
    pub binary: PathBuf,
    pub name: String,
    pub public_url: String,
    /// Public, check and admin.
    pub ports: [u16; 3],
    /// The lines of `store:`, such as `url: memory`.
    pub store: Vec<String>,
    pub key_ring_file: Option<PathBuf>,
    pub providers: Vec<ProviderSection>,
    /// The role map's text.
    pub role_map: Option<String>,
    /// The secret that gateways must send. `None` accepts every auth request.
    pub gateway_secret: Option<&'static str>,
    /// Additional top-level YAML.
    pub further: String,
    pub environment: Vec<(String, String)>,
    /// True by default: most tests create keys and users by a session through the JSON API, which is faster than the pages.
    pub session_writes: bool,
    pub ready: Readiness,
}

pub struct Pod {
    child: Child,
    options: PodOptions,
    config: PathBuf,
    http: reqwest::Client,
    scratch: Scratch,
}

/// Longer than the default, because a process may wait this long for the processor on two busy cores.
const COMMAND_TIMEOUT: &str = "1s";

impl PodOptions {
    /// The memory store, no provider and unused ports. The public URL is the pod's public port.
    pub fn new() -> Self {
        let ports = [ports::free(), ports::free(), ports::free()];
        Self {
            binary: built_binary(),
            name: "pod".to_owned(),
            public_url: format!("http://localhost:{}", ports[0]),
            ports,
            store: vec!["url: memory".to_owned()],
            key_ring_file: None,
            providers: Vec::new(),
            role_map: None,
            gateway_secret: None,
            further: String::new(),
            environment: Vec::new(),
            session_writes: true,
            ready: Readiness::Wait,
        }
    }

    /// The configuration file's text.
    fn yaml(&self, role_map: Option<&PathBuf>) -> String {
        let [public, check, admin] = self.ports.map(|port| format!("127.0.0.1:{port}"));
        let mut yaml = format!(
            "public_url: {}\nlisten: {{public: {public}, check: {check}, admin: {admin}}}\nstore:\n",
            quoted(&self.public_url)
        );
        for line in &self.store {
            push(&mut yaml, format_args!("  {line}"));
        }
        if !self.store.iter().any(|line| line.contains("memory") || line.starts_with("command_timeout")) {
            push(&mut yaml, format_args!("  command_timeout: {COMMAND_TIMEOUT}"));
        }
        if let Some(file) = &self.key_ring_file {
            push(&mut yaml, format_args!("key_ring_file: {}", quoted(&file.to_string_lossy())));
        }
        if let Some(secret) = self.gateway_secret {
            push(&mut yaml, format_args!("check: {{secret: {secret}}}"));
        }
        if !self.providers.is_empty() {
            yaml.push_str("providers:\n");
        }
        for provider in &self.providers {
            yaml.push_str(&provider.yaml());
        }
        if let Some(file) = role_map {
            push(&mut yaml, format_args!("role_map: {{file: {}}}", quoted(&file.to_string_lossy())));
        }
        // The first version does not know this section.
        if self.session_writes && self.binary == built_binary() {
            yaml.push_str("api: {session_writes: true}\n");
        }
        yaml.push_str(&self.further);
        yaml
    }
}

impl ProviderSection {
    /// The section of the provider `corp`, which most pods have.
    pub fn corp(issuer: &str, client_secret: impl Into<String>) -> Self {
        Self {
            id: "corp".to_owned(),
            name: "Example Corp".to_owned(),
            issuer: issuer.to_owned(),
            client_id: "vestibule".to_owned(),
            client_secret: client_secret.into(),
            further: Vec::new(),
        }
    }

    fn yaml(&self) -> String {
        let mut yaml = String::new();
        let fields = [
            ("name", &self.name),
            ("issuer", &self.issuer),
            ("client_id", &self.client_id),
            ("client_secret", &self.client_secret),
        ];
        push(&mut yaml, format_args!("  - id: {}", self.id));
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            push(&mut yaml, format_args!("    {name}: {}", quoted(value)));
        }
        for line in &self.further {
            push(&mut yaml, format_args!("    {line}"));
        }
        yaml
    }
}

impl Pod {
    pub async fn start(options: PodOptions) -> Self {
        let scratch = Scratch::new(&options.name);
        let role_map = options.role_map.as_ref().map(|text| scratch.write("roles.yaml", text));
        let config = scratch.write("config.yaml", &options.yaml(role_map.as_ref()));
        let child = spawn(&options, &config, &scratch);
        let mut pod = Self { child, options, config, http: owner_client(), scratch };
        if pod.options.ready == Readiness::Wait {
            pod.wait_ready().await;
        }
        pod
    }

    pub fn options(&self) -> &PodOptions {
        &self.options
    }

    pub fn public_port(&self) -> u16 {
        self.options.ports[0]
    }

    pub fn check_port(&self) -> u16 {
        self.options.ports[1]
    }

    pub fn admin_port(&self) -> u16 {
        self.options.ports[2]
    }

    /// The URL of a path on this pod's public listener. It has the host of the public URL, so that cookies are sent to every
    /// pod.
    pub fn public(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.public_port())
    }

    pub fn check(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.check_port())
    }

    pub fn admin(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.admin_port())
    }

    /// The configuration file. Its directory also contains `roles.yaml` and the log.
    pub fn config_file(&self) -> &std::path::Path {
        &self.config
    }

    pub fn log(&self) -> String {
        self.child.log()
    }

    pub fn log_file(&self) -> &std::path::Path {
        self.child.log_file()
    }

    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The process, to send signals to it or to wait for it.
    pub fn process(&mut self) -> &mut Child {
        &mut self.child
    }

    pub fn kill9(&mut self) {
        self.child.kill9();
    }

    /// Starts the process again with the same file and ports.
    pub async fn restart(&mut self) {
        self.child.kill9();
        self.child = spawn(&self.options, &self.config, &self.scratch);
        self.wait_ready().await;
    }

    /// True if the pod runs the binary that cargo built for the tests, not one of an earlier version.
    pub fn is_current(&self) -> bool {
        self.options.binary == built_binary()
    }

    /// Sets the binary that [`Pod::restart`] starts.
    pub fn run(&mut self, binary: &std::path::Path) {
        self.options.binary = binary.to_owned();
    }

    pub async fn is_ready(&self) -> bool {
        let answer = self.http.get(self.admin("/readyz")).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    }

    pub async fn wait_ready(&mut self) {
        let name = self.options.name.clone();
        wait::until(&format!("{name} to be ready"), START, async || {
            let exited = self.child.has_exited();
            assert!(exited.is_none(), "{name} ended:\n{}", self.child.log());
            self.is_ready().await.then_some(())
        })
        .await;
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> String {
        let answer = self.http.get(self.admin("/metrics")).send().await;
        answer.expect("the admin listener answers").text().await.expect("metrics are text")
    }

    /// The number of store commands of requests, without those of the consistency check.
    pub async fn store_commands(&self) -> f64 {
        // Taken from one response: a consistency check between two responses would count as a command of a request.
        let text = self.metrics().await;
        let commands = text.lines().filter(|line| line.starts_with("vestibule_store_commands_total{"));
        let of_requests = commands.filter(|line| !line.contains("operation=\"sequences\""));
        of_requests.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    pub async fn logins(&self, outcome: &str) -> f64 {
        self.metric("vestibule_logins_total", &[&format!("outcome=\"{outcome}\"")]).await
    }

    /// The number of rejected role maps.
    pub async fn rejected_role_maps(&self) -> f64 {
        self.metric("vestibule_role_map_edits_total", &[r#"outcome="error""#]).await
    }

    /// Replaces the role map's file by a rename, as editors do.
    pub fn edit_role_map(&self, document: &str) {
        let file = self.config_file().with_file_name("roles.yaml");
        let beside = file.with_extension("new");
        std::fs::write(&beside, document).expect("the pod's directory is writable");
        std::fs::rename(&beside, &file).expect("the pod's directory is writable");
    }

    /// The sum of the metric's samples whose line contains all of the words.
    pub async fn metric(&self, name: &str, words: &[&str]) -> f64 {
        let text = self.metrics().await;
        let samples = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && words.iter().all(|word| line.contains(word))
        });
        samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }
}

/// Waits until the condition holds on every pod and returns the elapsed time.
pub async fn until_everywhere(pods: &[Pod], what: &str, patience: Duration, holds: impl AsyncFn(&Pod) -> bool) -> Duration {
    let everywhere = wait::until(what, patience, async || {
        for pod in pods {
            if !holds(pod).await {
                return None;
            }
        }
        Some(())
    });
    wait::timed(everywhere).await.1
}

/// A key ring file with one new key. Its directory exists as long as the returned [`Scratch`].
pub fn key_ring() -> (Scratch, PathBuf) {
    let scratch = Scratch::new("keyring");
    let file = scratch.write("keyring", &format!("{}\n", random_key()));
    (scratch, file)
}

/// 32 random bytes in base64url, for a line of a key ring or a client secret.
pub fn random_key() -> String {
    use base64::Engine;
    use std::io::Read;
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .expect("the kernel gives random bytes");
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// The binary that cargo built for the tests.
pub fn built_binary() -> PathBuf {
    option_env!("CARGO_BIN_EXE_vestibule").map_or_else(PathBuf::new, PathBuf::from)
}

fn spawn(options: &PodOptions, config: &std::path::Path, scratch: &Scratch) -> Child {
    let mut command = Command::new(&options.binary);
    // The VESTIBULE__ variables of the developer would change the tested configuration.
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.envs(options.environment.iter().map(|(name, value)| (name, value)));
    command.arg("--config").arg(config);
    let log = scratch.path().join(format!("{}.log", options.name));
    Child::spawn(&options.name, command, &log, OnFailure::ShowLog)
}

/// A JSON string is a YAML string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn push(yaml: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(yaml, "{line}").expect("writing to a String can't fail");
}
