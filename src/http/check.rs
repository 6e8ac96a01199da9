//! Answers the auth requests of gateways: `/auth/nginx`, `/auth/traefik`, `/auth/caddy`, `/auth/envoy/{host}/…`,
//! `/auth/haproxy` and `/auth/apisix`.
//!
//! This is the hot path: no middleware, no log line unless something is wrong, and no store command for cached entries.

mod allow_response;
mod denial;
mod refusal;
mod sign_in;

use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, task::Poll, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
    web::{self, Data, ServiceConfig},
};

use futures::FutureExt;

use allow_response::{ClientHeaders, allow};
use denial::RelayedDenial;
use refusal::Refusal;

use super::{Site, connections::BusyConnection, credential_headers, drain::Drain, error, request_id::RequestId};
use crate::{
    check::gateway::{CheckUrl, Dialect, GatewayHeader, connection, secret::GatewayAuthentication},
    check::{CheckQuery, CheckRequest, Checker, Decision, RuleDenial, UnavailableCause, UpstreamRequest},
    clock::Clock,
    metrics::{CheckOutcome, CredentialLabel, Metrics},
    origin::ProtectedHosts,
};

/// A check that takes longer is answered with 503. With the documented configuration nginx waits for 5 s and then avoids the
/// pod. A slow store would otherwise make all pods unavailable, also for checks that need no store.
const CHECK_TIMEOUT: Duration = Duration::from_secs(4);

const GATEWAY_SECRET: HeaderName = HeaderName::from_static("x-vestibule-gateway-secret");

// Constants, since a name in text form is parsed and copied for each request.
const ORIGINAL_URL: HeaderName = HeaderName::from_static(GatewayHeader::OriginalUrl.as_str());
const ORIGINAL_METHOD: HeaderName = HeaderName::from_static(GatewayHeader::OriginalMethod.as_str());
const FORWARDED_METHOD: HeaderName = HeaderName::from_static(GatewayHeader::ForwardedMethod.as_str());
const FORWARDED_PROTO: HeaderName = HeaderName::from_static(GatewayHeader::ForwardedProto.as_str());
const FORWARDED_HOST: HeaderName = HeaderName::from_static(GatewayHeader::ForwardedHost.as_str());
const FORWARDED_URI: HeaderName = HeaderName::from_static(GatewayHeader::ForwardedUri.as_str());

/// The services of the check listener.
pub struct CheckService {
    checker: Arc<Checker>,
    site: Arc<Site>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    drain: Drain,
    /// The hosts of an auth request whose URL names none.
    hosts: ProtectedHosts,
    gateways: GatewayAuthentication,
}

/// Routes of the check listener. Every method and every suffix of the path is accepted, since gateways differ. The router would
/// decode the path, which is the client's, so there is only one route.
pub fn check(service: Data<CheckService>) -> impl FnOnce(&mut ServiceConfig) + Clone {
    move |app| {
        app.app_data(service).default_service(web::to(answer));
    }
}

async fn answer(request: HttpRequest, service: Data<CheckService>) -> HttpResponse {
    let _busy = BusyConnection::mark(&request);
    let uri = request.uri();
    match CheckUrl::find(uri.path(), uri.query(), uri.authority().map(|authority| authority.as_str())) {
        Some(url) => answer_check(&request, &service, url).await,
        None => service.refuse(&request, None, &Refusal::UnknownPath).1,
    }
}

/// Answers a check. A panic becomes a 500, on which gateways refuse the request.
async fn answer_check(request: &HttpRequest, service: &CheckService, url: CheckUrl<'_>) -> HttpResponse {
    let began = service.clock.monotonic();
    let in_flight = service.drain.enter();
    let mut label = CredentialLabel::None;
    let answered = AssertUnwindSafe(evaluate(request, service, url, &mut label)).catch_unwind().await;
    let (outcome, mut response) = answered.unwrap_or_else(|_| {
        service.metrics.panics.inc();
        (
            CheckOutcome::Unavailable,
            error::json(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "An unexpected error occurred."),
        )
    });
    in_flight.close_if_draining(&mut response);
    let took = service.clock.monotonic().saturating_duration_since(began);
    service.metrics.check(url.dialect.label(), outcome, label, took);
    response
}

async fn evaluate(
    request: &HttpRequest,
    service: &CheckService,
    url: CheckUrl<'_>,
    label: &mut CredentialLabel,
) -> (CheckOutcome, HttpResponse) {
    let (original, query) = match service.parse(request, url) {
        Ok(parsed) => parsed,
        Err(refusal) => return service.refuse(request, Some(url.dialect), &refusal),
    };
    let find = |places| {
        let found = service
            .checker
            .credentials()
            .parse_on(original.host, places, |place| credential_headers::values(request.headers(), place));
        *label = CredentialLabel::from(&found);
        found
    };
    let decision = with_timeout(service.checker.decide(&original, &query.restrictions, find)).await;
    log_decision(&decision, RequestId::find(request.headers()));
    let client = ClientHeaders { headers: request.headers(), own: service.checker.credentials().own(), echo: query.echo };
    let response = match UpstreamRequest::of(&decision, |source| client.has_own_credential(source)) {
        Some(upstream) => allow(url.dialect, &upstream, &client),
        None if url.dialect == Dialect::Nginx => denial::for_nginx(&decision, &original),
        None => RelayedDenial::new(&service.site, request.headers()).respond(&decision, &original),
    };
    (outcome_of(&decision), response)
}

/// Applies the timeout. Most decisions are ready at once and need no timer.
async fn with_timeout(decide: impl Future<Output = Decision>) -> Decision {
    let mut decide = pin!(decide);
    match futures::poll!(decide.as_mut()) {
        Poll::Ready(decision) => decision,
        Poll::Pending => {
            let decided = tokio::time::timeout(CHECK_TIMEOUT, decide).await;
            decided.unwrap_or(Decision::Unavailable(UnavailableCause::Timeout))
        }
    }
}

/// Logs a refusal of an authenticated user at info. All other refusals are at debug, since unauthenticated clients can cause
/// any number of them. The request id is the gateway's.
fn log_decision(decision: &Decision, request_id: Option<&str>) {
    match decision {
        Decision::Allow { .. } | Decision::AllowAnyone { .. } => {}
        Decision::Forbidden { user, credential, reason } => {
            tracing::info!(
                request_id,
                user,
                credential = credential.as_str(),
                reason = reason.reason(),
                rule = reason.rule(),
                "auth request denied"
            );
        }
        Decision::DeniedForAll(reason @ RuleDenial::UnknownRoute) => tracing::warn!(
            request_id,
            reason = reason.reason(),
            error = %reason,
            suppressed = tracing::field::Empty,
            "auth request for an unknown route denied"
        ),
        Decision::DeniedForAll(reason) => {
            tracing::debug!(request_id, reason = reason.reason(), error = %reason, "auth request denied")
        }
        Decision::Unauthenticated(reason) => {
            let error = reason.token_refusal().map(tracing::field::display);
            tracing::debug!(request_id, reason = reason.reason(), error, "auth request not authenticated")
        }
        Decision::Unavailable(cause) => tracing::debug!(request_id, error = %cause, "auth request failed"),
        Decision::RoleMapNotLoaded => {
            tracing::debug!(request_id, error = "no role map has been loaded yet", "auth request failed")
        }
    }
}

fn outcome_of(decision: &Decision) -> CheckOutcome {
    match decision {
        Decision::Allow { .. } | Decision::AllowAnyone { .. } => CheckOutcome::Allowed,
        Decision::Unauthenticated(_) => CheckOutcome::Unauthenticated,
        Decision::Forbidden { .. } | Decision::DeniedForAll(_) => CheckOutcome::Forbidden,
        Decision::Unavailable(_) | Decision::RoleMapNotLoaded => CheckOutcome::Unavailable,
    }
}

const fn name_of(header: GatewayHeader) -> HeaderName {
    match header {
        GatewayHeader::OriginalUrl => ORIGINAL_URL,
        GatewayHeader::OriginalMethod => ORIGINAL_METHOD,
        GatewayHeader::ForwardedMethod => FORWARDED_METHOD,
        GatewayHeader::ForwardedProto => FORWARDED_PROTO,
        GatewayHeader::ForwardedHost => FORWARDED_HOST,
        GatewayHeader::ForwardedUri => FORWARDED_URI,
        GatewayHeader::Host => header::HOST,
    }
}

impl CheckService {
    pub fn new(
        checker: Arc<Checker>,
        site: Arc<Site>,
        hosts: ProtectedHosts,
        gateways: GatewayAuthentication,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        drain: Drain,
    ) -> Self {
        Self { checker, site, metrics, clock, drain, hosts, gateways }
    }

    /// Verifies the gateway, parses what it says about the request, and requires that this is for the gateway's host.
    fn parse<'a>(&self, request: &'a HttpRequest, url: CheckUrl<'a>) -> Result<(CheckRequest<'a>, CheckQuery<'a>), Refusal> {
        let values = |name: HeaderName| request.headers().get_all(name).map(|value| value.as_bytes());
        self.gateways.verify(values(GATEWAY_SECRET))?;
        connection::verify(values(header::CONNECTION))?;
        let (original, query) = url.parse_request(request.method().as_str(), |header| values(name_of(header)))?;
        match &query.host {
            Some(named) if !named.matches(original.host) => Err(Refusal::OtherHost),
            None if !self.hosts.contains(original.host) => Err(Refusal::UnprotectedHost),
            _ => Ok((original, query)),
        }
    }

    /// Refuses an auth request without a decision. The answer does not say why, since the gateway passes it to the client.
    fn refuse(&self, request: &HttpRequest, dialect: Option<Dialect>, refusal: &Refusal) -> (CheckOutcome, HttpResponse) {
        self.metrics.check_refused(refusal.label());
        refusal.log(dialect, RequestId::find(request.headers()));
        let response = match dialect {
            None | Some(Dialect::Nginx) => error::malformed_auth_request().json(),
            Some(_) => RelayedDenial::new(&self.site, request.headers()).refuse(),
        };
        (CheckOutcome::Malformed, response)
    }
}
