//! A real nginx with `deploy/nginx/vestibule.conf.template`, the file that operators use.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::auth_request::GATEWAY_SECRET;
use super::process::{Child, OnFailure};
use super::scratch::Scratch;
use super::{peer_file, repository, wait};

const START: Duration = Duration::from_secs(10);
const TEMPLATE: &str = "deploy/nginx/vestibule.conf.template";
/// The first line of the server that is copied for each additional host.
const PROTECTED_HOST: &str = "# The protected host.";
/// Subrequests are also logged, with the pod that answered each check.
const LOG_FORMAT: &str = "$request_method $uri $status pod=$upstream_addr request=\"$request\"";

/// A pod's public and check port.
pub type PodPorts = (u16, u16);

/// Information about the gateway for tasks that cannot borrow it.
pub struct GatewayInfo {
    /// The origin, without a path.
    pub origin: String,
    pub access_log: PathBuf,
}

pub struct Nginx {
    port: u16,
    info: Arc<GatewayInfo>,
    _child: Child,
    _scratch: Scratch,
}

/// The template's variables.
pub struct NginxOptions<'a> {
    pub port: u16,
    /// The protected hosts. The first one is `VESTIBULE_SERVER_NAME`.
    pub hosts: &'a [&'a str],
    pub pods: &'a [PodPorts],
    /// The upstream's port.
    pub upstream: u16,
    /// The value of `VESTIBULE_ALLOW_SERVICE_WORKERS`.
    pub service_workers: &'a str,
    pub check_url: CheckUrl,
}

/// The URL that nginx sends auth requests to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CheckUrl {
    #[default]
    NamesHost,
    /// Also names a route of the role map.
    NamesRoute(&'static str),
    /// As in the first version's template. Its pods refuse a URL that names a host.
    Plain,
}

impl Nginx {
    /// Starts nginx with the template; it distributes requests over the pods and protects the upstream.
    pub async fn start(options: NginxOptions<'_>) -> Self {
        Self::start_with(options.port, &options.render()).await
    }

    /// Starts nginx with the contents of its `http` block.
    pub async fn start_with(port: u16, http_block: &str) -> Self {
        let scratch = Scratch::new("nginx");
        scratch.write("vestibule.conf", http_block);
        let main = scratch.write("nginx.conf", &main_config(scratch.path()));
        let mut command = Command::new(peer_file(".venv/peer-nginx"));
        command.arg("-p").arg(scratch.path()).arg("-c").arg(main).args(["-e", "stderr"]);
        let log = scratch.path().join("nginx.log");
        let mut child = Child::spawn("nginx", command, &log, OnFailure::ShowLog);
        wait::until("nginx to listen", START, async || {
            let exited = child.has_exited();
            assert!(exited.is_none(), "nginx ended:\n{}", child.log());
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        let info = GatewayInfo { origin: format!("http://localhost:{port}"), access_log: scratch.path().join("access.log") };
        Self { port, info: Arc::new(info), _child: child, _scratch: scratch }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn info(&self) -> &Arc<GatewayInfo> {
        &self.info
    }

    pub fn access_log_file(&self) -> &Path {
        &self.info.access_log
    }

    pub fn access_log(&self) -> String {
        std::fs::read_to_string(&self.info.access_log).unwrap_or_default()
    }
}

impl NginxOptions<'_> {
    fn render(&self) -> String {
        let template = std::fs::read_to_string(repository(TEMPLATE)).expect("the template is there");
        let (common, host) = template.split_once(PROTECTED_HOST).expect("the template has a server for the protected host");
        let host = match self.check_url {
            CheckUrl::NamesHost => format!("{PROTECTED_HOST}{host}"),
            CheckUrl::NamesRoute(route) => {
                let named = format!("?host=${{VESTIBULE_SERVER_NAME}}&route={route}");
                format!("{PROTECTED_HOST}{}", host.replace("?host=${VESTIBULE_SERVER_NAME}", &named))
            }
            CheckUrl::Plain => format!("{PROTECTED_HOST}{}", host.replace("?host=${VESTIBULE_SERVER_NAME}", "")),
        };
        let servers = self.hosts.iter().map(|name| host.replace("${VESTIBULE_SERVER_NAME}", name));
        let all: String = std::iter::once(common.to_owned()).chain(servers).collect();
        let values = [
            ("LISTEN", format!("127.0.0.1:{}", self.port)),
            ("PUBLIC_SERVERS", self.servers(|pod| pod.0)),
            ("CHECK_SERVERS", self.servers(|pod| pod.1)),
            ("UPSTREAM", format!("127.0.0.1:{}", self.upstream)),
            ("GATEWAY_SECRET", GATEWAY_SECRET.to_owned()),
            ("ALLOW_SERVICE_WORKERS", self.service_workers.to_owned()),
        ];
        values.iter().fold(all, |text, (name, value)| text.replace(&format!("${{VESTIBULE_{name}}}"), value))
    }

    fn servers(&self, port: fn(&PodPorts) -> u16) -> String {
        let lines: Vec<String> = self.pods.iter().map(|pod| format!("server 127.0.0.1:{} max_fails=0;", port(pod))).collect();
        lines.join("\n    ")
    }
}

fn main_config(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "daemon off;\n\
         master_process off;\n\
         pid {directory}/nginx.pid;\n\
         error_log stderr notice;\n\
         events {{ worker_connections 2048; }}\n\
         http {{\n\
             client_body_temp_path {directory}/body;\n\
             proxy_temp_path {directory}/proxy;\n\
             fastcgi_temp_path {directory}/fastcgi;\n\
             uwsgi_temp_path {directory}/uwsgi;\n\
             scgi_temp_path {directory}/scgi;\n\
             log_format tests '{LOG_FORMAT}';\n\
             log_subrequest on;\n\
             access_log {directory}/access.log tests;\n\
             include {directory}/vestibule.conf;\n\
         }}\n"
    )
}
