//! The composition root: from a configuration to a running process, and to its orderly end.

mod invite;
mod parts;
mod rewrap;

pub use invite::{Invite, invite};
pub use rewrap::{Rewrapped, rewrap};

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
        admin::{AdminService, Readiness},
        check::CheckService,
        connections::Connections,
        drain::Drain,
    },
};
use parts::Parts;

/// Longer than the gateways keep an idle connection: whoever closes first should not be us.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long answers may take to leave, once nothing is under way any more.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// How long a client may take to send a request's head.
const REQUEST_HEAD: Duration = Duration::from_secs(5);

/// The same for a request's body: forms are small.
const REQUEST_BODY: Duration = Duration::from_secs(30);

/// That the process is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM: whoever routes requests here needs a while to see it.
    Orderly,
    /// SIGINT, from a terminal: nobody routes requests here.
    Interrupt,
}

/// A process that listens, and is run by [`Bound::run`].
pub struct Bound {
    pub public: SocketAddr,
    pub check: SocketAddr,
    pub admin: SocketAddr,
    servers: Servers,
    readiness: Readiness,
    drain: Drain,
    shutdown: Shutdown,
    tasks: Tasks,
    parts: Parts,
}

struct Servers {
    pages: Vec<Server>,
    admin: Server,
}

/// Background tasks, ended when they are dropped.
struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Builds everything and binds the listeners. The store and the providers are connected to meanwhile.
pub async fn build(config: Config, clock: Arc<dyn Clock>) -> anyhow::Result<Bound> {
    let readiness = Readiness::default();
    let mut parts = Parts::make(&config, &clock).await?;
    let mut tasks = Tasks(parts.start_tasks(&readiness));
    let (drain, connections) = (Drain::default(), Connections::default());
    let listen = Listen { config: &config, connections: &connections };
    let public = listen.public(&parts.services, &drain)?;
    let check = listen.check(&parts.services, &clock, &drain)?;
    let admin = listen.admin(&parts.services, &readiness)?;
    tasks.0.push(tokio::spawn(connections.end_the_stuck()));
    let bound = Bound {
        public: public.1,
        check: check.1,
        admin: admin.1,
        servers: Servers { pages: vec![public.0, check.0], admin: admin.0 },
        readiness,
        drain,
        shutdown: config.shutdown,
        tasks,
        parts,
    };
    bound.parts.print_first_link(&config).await?;
    tracing::info!(public = %bound.public, check = %bound.check, admin = %bound.admin, public_url = %config.public_url, "listening");
    Ok(bound)
}

impl Bound {
    /// Serves until the first `stop`, then fails readiness, goes on for a while, drains and ends: at the
    /// deadline or at another `stop` in any case.
    pub async fn run(self, mut stop: impl AsyncFnMut() -> Stop) -> anyhow::Result<()> {
        // The parts live as long as anything is served.
        let Self { servers, readiness, drain, shutdown, tasks, parts: _parts, .. } = self;
        let handles: Vec<ServerHandle> = servers.pages.iter().map(Server::handle).collect();
        let admin = servers.admin.handle();
        let mut serving: Vec<JoinHandle<std::io::Result<()>>> = servers.pages.into_iter().map(tokio::spawn).collect();
        serving.push(tokio::spawn(servers.admin));
        let asked = tokio::select! {
            asked = stop() => asked,
            (ended, ..) = futures::future::select_all(&mut serving) => {
                anyhow::bail!("a listener ended by itself: {ended:?}");
            }
        };
        let delay = match asked {
            Stop::Orderly => shutdown.delay,
            Stop::Interrupt => Duration::ZERO,
        };
        tracing::info!(?delay, deadline = ?shutdown.deadline, "stopping: no longer ready");
        readiness.stop();
        let orderly = async {
            tokio::time::sleep(delay).await;
            drain.begin();
            drain.idle().await;
            close(&handles, &drain).await;
            admin.stop(false).await;
        };
        tokio::select! {
            ended = tokio::time::timeout(shutdown.deadline, orderly) => if ended.is_err() {
                tracing::warn!("the deadline has come; what is still running is cut off");
            },
            _ = stop() => tracing::warn!("asked again; what is still running is cut off"),
        }
        drop(tasks);
        tracing::info!("stopped");
        Ok(())
    }
}

/// Takes no more connections, and answers what came last on those that there are.
async fn close(listeners: &[ServerHandle], drain: &Drain) {
    let closed = futures::future::join_all(listeners.iter().map(|listener| listener.stop(true)));
    // Connections that gateways keep without using them are not worth waiting for.
    let answered = async {
        drain.idle().await;
        tokio::time::sleep(LAST_BYTES).await;
    };
    tokio::select! {
        _ = closed => {}
        () = answered => {}
    }
}

/// What the three listeners have in common.
struct Listen<'a> {
    config: &'a Config,
    connections: &'a Connections,
}

impl Listen<'_> {
    fn public(&self, services: &Services, drain: &Drain) -> anyhow::Result<(Server, SocketAddr)> {
        let routes = http::public(services.clone(), drain.clone(), REQUEST_BODY);
        self.serve(self.config.listen.public, self.config.workers, move |app| routes.clone()(app))
    }

    fn check(&self, services: &Services, clock: &Arc<dyn Clock>, drain: &Drain) -> anyhow::Result<(Server, SocketAddr)> {
        let (checker, metrics) = (Arc::clone(&services.checker), Arc::clone(&services.metrics));
        let service = CheckService::new(checker, &services.site.cookies, metrics, Arc::clone(clock), drain.clone());
        let routes = http::check::check(Data::new(service));
        self.serve(self.config.listen.check, self.config.workers, move |app| routes.clone()(app))
    }

    fn admin(&self, services: &Services, readiness: &Readiness) -> anyhow::Result<(Server, SocketAddr)> {
        let service = AdminService {
            readiness: readiness.clone(),
            metrics: Arc::clone(&services.metrics),
            principals: Arc::clone(&services.principals),
        };
        let routes = http::admin::admin(Data::new(service));
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
            .max_connections(self.config.max_connections)
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(REQUEST_HEAD)
            .shutdown_timeout(drain.as_secs())
            .disable_signals()
            .bind(address)
            .map_err(|error| anyhow::anyhow!("{address} can't be listened on: {error}"))?;
        let bound = server.addrs()[0];
        Ok((server.run(), bound))
    }
}
