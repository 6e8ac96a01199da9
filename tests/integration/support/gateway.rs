//! Real gateways with the templates in deploy/ that operators use, in front of the pods of one fleet.
//!
//! All gateways of a fleet have the port of its public URL, each at its own loopback address. A client that resolves the public
//! URL's host to one of these addresses uses that gateway for everything, including sign-ins.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::auth_request::GATEWAY_SECRET;
use super::balancer::Balancer;
use super::fleet::Fleet;
use super::process::{Child, OnFailure};
use super::scratch::Scratch;
use super::{peer_file, raw_http, repository, wait};

const START: Duration = Duration::from_secs(60);
const RENDER: &str = "deploy/render.sh";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway {
    Nginx,
    Traefik,
    Caddy,
    Envoy,
    Haproxy,
}

impl Gateway {
    pub const ALL: [Self; 5] = [Self::Nginx, Self::Traefik, Self::Caddy, Self::Envoy, Self::Haproxy];

    fn address(self) -> Ipv4Addr {
        match self {
            Self::Nginx => Ipv4Addr::LOCALHOST,
            Self::Traefik => Ipv4Addr::new(127, 0, 1, 1),
            Self::Caddy => Ipv4Addr::new(127, 0, 1, 2),
            Self::Envoy => Ipv4Addr::new(127, 0, 1, 3),
            Self::Haproxy => Ipv4Addr::new(127, 0, 1, 4),
        }
    }

    /// True if clients receive the check's denials. nginx only knows 401 and 403, and answers with pages of its own.
    pub fn relays_denials(self) -> bool {
        self != Self::Nginx
    }

    /// True if the check and the upstream receive a normalized path instead of the client's.
    pub fn normalizes_paths(self) -> bool {
        self == Self::Traefik
    }
}

/// A running gateway.
pub struct RunningGateway {
    pub gateway: Gateway,
    pub address: SocketAddr,
    /// `None` for nginx, which the fleet owns.
    _process: Option<(Child, Scratch)>,
}

/// All gateways in front of a fleet that was built with nginx.
pub struct Gateways {
    all: Vec<RunningGateway>,
    _balancers: [Balancer; 2],
}

/// The variables of the templates.
pub struct Variables {
    pub listen: SocketAddr,
    pub public: u16,
    pub check: u16,
    pub upstream: u16,
}

impl Gateways {
    pub async fn start(fleet: &Fleet) -> Self {
        let (public, check) = fleet.pod_ports().into_iter().unzip();
        let balancers = [Balancer::start(public), Balancer::start(check)];
        let [public, check] = balancers.each_ref().map(Balancer::port);
        let (port, upstream) = (fleet.nginx().port(), fleet.upstream().port());
        let running = Gateway::ALL.map(|gateway| {
            let listen = SocketAddr::from((gateway.address(), port));
            start(gateway, Variables { listen, public, check, upstream })
        });
        Self { all: futures::future::join_all(running).await, _balancers: balancers }
    }

    /// Runs the steps against all gateways side by side. A panic of a step names its gateway.
    pub async fn each<'a>(&'a self, steps: impl AsyncFn(&'a RunningGateway)) {
        let runs = self.all.iter().map(|running| {
            let steps = &steps;
            async move {
                let steps = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(steps(running)));
                steps.await.err().map(|_| running.gateway)
            }
        });
        let failed: Vec<Gateway> = futures::future::join_all(runs).await.into_iter().flatten().collect();
        assert!(failed.is_empty(), "failed on {failed:?}");
    }
}

impl RunningGateway {
    /// A browser that reaches the public URL through this gateway.
    pub fn agent(&self) -> super::agent::Agent {
        super::agent::Agent::through(self.address)
    }
}

async fn start(gateway: Gateway, variables: Variables) -> RunningGateway {
    let address = variables.listen;
    let scratch = Scratch::new(&format!("{gateway:?}").to_lowercase());
    let Some(command) = command(gateway, &variables, &scratch) else {
        return RunningGateway { gateway, address, _process: None };
    };
    let log = scratch.path().join("gateway.log");
    let mut child = Child::spawn(&format!("{gateway:?}"), command, &log, OnFailure::ShowLog);
    // A gateway may listen before it knows its routes.
    wait::until(&format!("{gateway:?} to send auth requests"), START, async || {
        let exited = child.has_exited();
        assert!(exited.is_none(), "{gateway:?} ended:\n{}", child.log());
        tokio::net::TcpStream::connect(address).await.ok()?;
        (raw_http::send_to(address, "GET", "/", &[]).await.status == 401).then_some(())
    })
    .await;
    RunningGateway { gateway, address, _process: Some((child, scratch)) }
}

/// `None` for nginx, which the fleet starts.
fn command(gateway: Gateway, variables: &Variables, scratch: &Scratch) -> Option<Command> {
    let file = |template: &str, name: &str| {
        let routes = scratch.path().join("routes.yaml");
        scratch.write(name, &variables.render(template, &[("VESTIBULE_ROUTES", &routes.to_string_lossy())]).unwrap_or_else(fail))
    };
    let command = match gateway {
        Gateway::Nginx => return None,
        Gateway::Traefik => {
            file("deploy/traefik/vestibule.yaml.template", "routes.yaml");
            let static_file = file("deploy/traefik/static.yaml.template", "traefik.yaml");
            with_arguments(&peer_file("wheels/traefik/bin/traefik"), &["--configFile"], &static_file)
        }
        Gateway::Caddy => {
            let site = file("deploy/caddy/Caddyfile.template", "Caddyfile");
            let arguments = ["run", "--adapter", "caddyfile", "--config"];
            let mut command = with_arguments(&peer_file("wheels/caddy/bin/caddy"), &arguments, &site);
            command.env("HOME", scratch.path());
            command
        }
        Gateway::Envoy => {
            let bootstrap = file("deploy/envoy/envoy.yaml.template", "envoy.yaml");
            let arguments = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warn", "-c"];
            with_arguments(&peer_file("wheels/envoy/envoy/_bin/envoy"), &arguments, &bootstrap)
        }
        Gateway::Haproxy => {
            let script = std::fs::read_to_string(repository("deploy/haproxy/vestibule.lua")).expect("the script is there");
            scratch.write("vestibule.lua", &script);
            let config = file("deploy/haproxy/haproxy.cfg.template", "haproxy.cfg");
            // Debian installs it outside of the search path of users.
            with_arguments(Path::new("/usr/sbin/haproxy"), &["-db", "-f"], &config)
        }
    };
    Some(command)
}

fn fail(error: String) -> String {
    panic!("{error}")
}

fn with_arguments(program: &Path, arguments: &[&str], file: &Path) -> Command {
    assert!(program.exists(), "{} is missing: run `make peers`", program.display());
    let mut command = Command::new(program);
    command.args(arguments).arg(file);
    command
}

impl Variables {
    /// Fills in a template in the way that its documentation says, with additional or other variables.
    pub fn render(&self, template: &str, further: &[(&str, &str)]) -> Result<String, String> {
        let local = |port: u16| format!("127.0.0.1:{port}");
        let output = Command::new(repository(RENDER))
            .arg(repository(template))
            .env("VESTIBULE_SERVER_NAME", "localhost")
            .env("VESTIBULE_LISTEN", self.listen.to_string())
            .env("VESTIBULE_PUBLIC", local(self.public))
            .env("VESTIBULE_CHECK", local(self.check))
            .env("VESTIBULE_UPSTREAM", local(self.upstream))
            .env("VESTIBULE_GATEWAY_SECRET", GATEWAY_SECRET)
            .envs(further.iter().copied())
            .output()
            .expect("the script can be started");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("templates are UTF-8");
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }
}
