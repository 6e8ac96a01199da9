//! The composition root: builds the process from a configuration, runs it and shuts it down.

mod invite;
mod re_encrypt;
mod services;

pub use invite::{InvitationRequest, invite};
pub use re_encrypt::{ReEncryptionReport, re_encrypt};

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{
    App, HttpServer,
    dev::{Server, ServerHandle},
    web::{self, Data},
};
use tokio::task::JoinHandle;

use crate::{
    clock::Clock,
    config::{Config, Shutdown},
    http::{
        self, Services,
        check::CheckService,
        connections::Connections,
        drain::Drain,
        health::{HealthService, Readiness},
    },
};
use services::Parts;

/// Longer than gateways keep idle connections, so that the gateway closes them first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Time for sending the last responses when no request is in progress any more.
const LAST_RESPONSES: Duration = Duration::from_secs(1);

/// Timeout for receiving a request's head.
const REQUEST_HEAD: Duration = Duration::from_secs(5);

/// Timeout for receiving a request's body. Forms are small.
const REQUEST_BODY: Duration = Duration::from_secs(30);

/// A request to stop the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM. Gateways need some time to stop sending requests.
    Graceful,
    /// SIGINT, from a terminal without a gateway.
    Interrupt,
}

/// A process with bound listeners. [`BoundServer::run`] serves requests.
pub struct BoundServer {
    pub public: SocketAddr,
    pub check: SocketAddr,
    pub admin: SocketAddr,
    servers: HttpServers,
    readiness: Readiness,
    drain: Drain,
    shutdown: Shutdown,
    tasks: Tasks,
    parts: Parts,
}

struct HttpServers {
    pages: Vec<Server>,
    admin: Server,
}

/// Background tasks, which are aborted on drop.
struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Builds all services and binds the listeners. Background tasks connect to the store and the providers.
pub async fn build(config: Config, clock: Arc<dyn Clock>) -> anyhow::Result<BoundServer> {
    let readiness = Readiness::default();
    let mut parts = Parts::build(&config, &clock).await?;
    let mut tasks = Tasks(parts.start_tasks(&readiness));
    let (drain, connections) = (Drain::default(), Connections::default());
    let listeners = Listeners { config: &config, connections: &connections };
    let public = listeners.public(&parts.services, &drain)?;
    let check = listeners.check(&parts, &clock, &drain)?;
    let admin = listeners.admin(&parts.services, &readiness)?;
    tasks.0.push(tokio::spawn(connections.close_stalled()));
    let server = BoundServer {
        public: public.1,
        check: check.1,
        admin: admin.1,
        servers: HttpServers { pages: vec![public.0, check.0], admin: admin.0 },
        readiness,
        drain,
        shutdown: config.shutdown,
        tasks,
        parts,
    };
    server.parts.print_bootstrap_invitation(&config).await?;
    let BoundServer { public, check, admin, .. } = &server;
    tracing::info!(%public, %check, %admin, public_url = %config.public_url, "listening");
    Ok(server)
}

impl BoundServer {
    /// Serves requests until the first `stop`. Then it fails readiness, waits for the delay, drains and ends. It ends
    /// immediately at the deadline or at a second `stop`.
    pub async fn run(self, mut stop: impl AsyncFnMut() -> StopSignal) -> anyhow::Result<()> {
        // The parts must live while requests are served.
        let Self { servers, readiness, drain, shutdown, tasks, parts, .. } = self;
        let handles: Vec<ServerHandle> = servers.pages.iter().map(Server::handle).collect();
        let admin = servers.admin.handle();
        let mut serving: Vec<JoinHandle<std::io::Result<()>>> = servers.pages.into_iter().map(tokio::spawn).collect();
        serving.push(tokio::spawn(servers.admin));
        let signal = tokio::select! {
            signal = stop() => signal,
            (ended, ..) = futures::future::select_all(&mut serving) => {
                anyhow::bail!("a listener ended unexpectedly: {ended:?}");
            }
        };
        let delay = match signal {
            StopSignal::Graceful => shutdown.delay,
            StopSignal::Interrupt => Duration::ZERO,
        };
        tracing::info!(?delay, deadline = ?shutdown.deadline, "graceful shutdown started");
        readiness.stop();
        parts.stop_refreshes();
        let graceful = async {
            tokio::time::sleep(delay).await;
            drain.begin();
            drain.idle().await;
            close(&handles, &drain).await;
            parts.finish_refreshes().await;
            admin.stop(false).await;
        };
        tokio::select! {
            ended = tokio::time::timeout(shutdown.deadline, graceful) => if ended.is_err() {
                tracing::warn!("shutdown deadline reached; closing open connections");
            },
            _ = stop() => tracing::warn!("second stop signal received; closing open connections"),
        }
        drop(tasks);
        tracing::info!("stopped");
        Ok(())
    }
}

/// Accepts no more connections, and sends the last responses on the open ones.
async fn close(listeners: &[ServerHandle], drain: &Drain) {
    let closed = futures::future::join_all(listeners.iter().map(|listener| listener.stop(true)));
    // Idle connections that gateways keep open are not waited for.
    let answered = async {
        drain.idle().await;
        tokio::time::sleep(LAST_RESPONSES).await;
    };
    tokio::select! {
        _ = closed => {}
        () = answered => {}
    }
}

/// The common settings of the three listeners.
struct Listeners<'a> {
    config: &'a Config,
    connections: &'a Connections,
}

impl Listeners<'_> {
    fn public(&self, services: &Services, drain: &Drain) -> anyhow::Result<(Server, SocketAddr)> {
        let routes = http::public(services.clone(), drain.clone(), REQUEST_BODY);
        self.serve(self.config.listen.public, self.config.connections.workers, move |app| routes.clone()(app))
    }

    fn check(&self, parts: &Parts, clock: &Arc<dyn Clock>, drain: &Drain) -> anyhow::Result<(Server, SocketAddr)> {
        let Parts { services, gateways, .. } = parts;
        let (checker, metrics) = (Arc::clone(&services.checker), Arc::clone(&services.metrics));
        let (hosts, gateways, clock) = (self.config.protected_hosts.clone(), gateways.clone(), Arc::clone(clock));
        let site = Arc::clone(&services.site);
        let service = CheckService::new(checker, site, hosts, gateways, metrics, clock, drain.clone());
        let routes = http::check::check(Data::new(service));
        self.serve(self.config.listen.check, self.config.connections.workers, move |app| routes.clone()(app))
    }

    fn admin(&self, services: &Services, readiness: &Readiness) -> anyhow::Result<(Server, SocketAddr)> {
        let service = HealthService {
            readiness: readiness.clone(),
            metrics: Arc::clone(&services.metrics),
            principals: Arc::clone(&services.principals),
        };
        let routes = http::health::routes(Data::new(service));
        self.serve(self.config.listen.admin, 1, move |app| routes.clone()(app))
    }

    fn serve(
        &self,
        address: SocketAddr,
        workers: usize,
        routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    ) -> anyhow::Result<(Server, SocketAddr)> {
        let shutdown = self.config.shutdown;
        let (drain, connections) = (shutdown.deadline.saturating_sub(shutdown.delay), self.connections.clone());
        let server = HttpServer::new(move || App::new().configure(routes.clone()))
            .on_connect(move |io, extensions| connections.open(io, extensions))
            .workers(workers)
            .max_connections(self.config.connections.max_connections)
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(REQUEST_HEAD)
            .shutdown_timeout(drain.as_secs())
            .disable_signals()
            .bind(address)
            .map_err(|error| anyhow::anyhow!("can't listen on {address}: {error}"))?;
        let address = server.addrs()[0];
        Ok((server.run(), address))
    }
}
