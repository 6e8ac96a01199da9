//! The admin listener: `/livez` and `/readyz` for the kubelet, `/metrics` for Prometheus.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use actix_web::{
    HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::{Next, from_fn},
    web::{self, Data, ServiceConfig},
};

use super::{connections::BusyConnection, get};
use crate::{metrics::Metrics, principal_cache::Principals};

/// Readiness of the pod: no blocker is left, and the process is not stopping.
#[derive(Clone, Default)]
pub struct Readiness(Arc<ReadinessState>);

#[derive(Default)]
struct ReadinessState {
    blockers: Mutex<BTreeSet<&'static str>>,
    stopping: AtomicBool,
}

/// Blocks readiness until its owner calls [`ReadinessBlocker::done`].
pub struct ReadinessBlocker {
    readiness: Readiness,
    name: &'static str,
}

#[derive(Clone)]
pub struct HealthService {
    pub readiness: Readiness,
    pub metrics: Arc<Metrics>,
    pub principals: Arc<Principals>,
}

impl Readiness {
    pub fn block(&self, name: &'static str) -> ReadinessBlocker {
        self.blockers().insert(name);
        ReadinessBlocker { readiness: self.clone(), name }
    }

    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }

    fn blockers(&self) -> std::sync::MutexGuard<'_, BTreeSet<&'static str>> {
        self.0.blockers.lock().expect("no code that holds this lock panics")
    }
}

impl ReadinessBlocker {
    pub fn done(self) {
        self.readiness.blockers().remove(self.name);
        tracing::info!(component = self.name, "component ready");
    }
}

/// Routes of the admin listener.
pub fn routes(service: Data<HealthService>) -> impl FnOnce(&mut ServiceConfig) + Clone {
    move |app| {
        app.app_data(service);
        let all = web::scope("").wrap(from_fn(observe));
        app.service(all.route("/livez", get().to(live)).route("/readyz", get().to(ready)).route("/metrics", get().to(metrics)));
    }
}

async fn observe<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, actix_web::Error> {
    let _busy = BusyConnection::mark(request.request());
    next.call(request).await
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

async fn ready(service: Data<HealthService>) -> HttpResponse {
    let text = |response: &mut actix_web::HttpResponseBuilder, body: String| {
        response.content_type("text/plain; charset=utf-8").body(body)
    };
    if service.readiness.0.stopping.load(Ordering::Relaxed) {
        return text(&mut HttpResponse::ServiceUnavailable(), "stopping\n".into());
    }
    let blockers: Vec<&str> = service.readiness.blockers().iter().copied().collect();
    match blockers.as_slice() {
        [] => text(&mut HttpResponse::Ok(), "ok\n".into()),
        blockers => text(&mut HttpResponse::ServiceUnavailable(), format!("waiting for: {}\n", blockers.join(", "))),
    }
}

async fn metrics(service: Data<HealthService>) -> HttpResponse {
    service.principals.report();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(service.metrics.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_waits_for_every_blocker() {
        let readiness = Readiness::default();
        let (store, other) = (readiness.block("store"), readiness.block("other"));
        assert_eq!(readiness.blockers().iter().copied().collect::<Vec<_>>(), ["other", "store"]);
        other.done();
        store.done();
        assert!(readiness.blockers().is_empty());
    }
}
