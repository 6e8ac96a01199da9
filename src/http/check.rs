//! `/auth/nginx`: answers the auth requests of nginx and ingress-nginx.
//!
//! This is the hot path: no middleware, no log line unless something is wrong, and no store command for cached entries.

mod allow_response;
mod refusal;

use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, task::Poll, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{HeaderName, HeaderValue},
    },
    web::{self, Data, ServiceConfig},
};

use futures::FutureExt;
use url::form_urlencoded;

use allow_response::{ClientHeaders, allow};
use refusal::Refusal;

use super::{RETURN_PARAMETER, connections::BusyConnection, credential_headers, drain::Drain, error, request_id::RequestId};
use crate::{
    access::CredentialSources,
    check::gateway::{nginx, secret::GatewayAuthentication},
    check::{CheckQuery, CheckRequest, Checker, Decision, RuleDenial, UnavailableCause},
    clock::Clock,
    metrics::{CheckOutcome, CredentialLabel, GatewayLabel, Metrics},
    origin::ProtectedHosts,
    principal::IdentityHeaders,
};

/// A check that takes longer is answered with 503. With the documented configuration nginx waits for 5 s and then avoids the
/// pod. A slow store would thus make all pods unavailable, also for checks that need no store.
const CHECK_TIMEOUT: Duration = Duration::from_secs(4);

/// The length limit of the sign-in URL, since nginx limits the size of response headers.
const LONGEST_SIGN_IN: usize = 2048;
const ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const GATEWAY_SECRET: HeaderName = HeaderName::from_static("x-vestibule-gateway-secret");
const SIGN_IN: HeaderName = HeaderName::from_static("x-vestibule-sign-in");

/// The services of the check listener.
pub struct CheckService {
    checker: Arc<Checker>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    drain: Drain,
    /// The hosts of an auth request whose URL names none.
    hosts: ProtectedHosts,
    gateways: GatewayAuthentication,
}

/// Routes of the check listener. Every method and every suffix of the path is accepted, since gateways differ.
pub fn check(service: Data<CheckService>) -> impl FnOnce(&mut ServiceConfig) + Clone {
    move |app| {
        app.app_data(service);
        // Two resources, since two patterns in one resource are a regular expression for each request.
        app.service(web::resource("/auth/nginx").to(answer));
        app.service(web::resource("/auth/nginx/{suffix:.*}").to(answer));
        app.default_service(web::to(refuse_unknown_path));
    }
}

/// Answers a check. A panic becomes a 500, on which nginx refuses the request.
async fn answer(request: HttpRequest, service: Data<CheckService>) -> HttpResponse {
    let began = service.clock.monotonic();
    let (in_flight, _busy) = (service.drain.enter(), BusyConnection::mark(&request));
    let mut label = CredentialLabel::None;
    let answered = AssertUnwindSafe(evaluate(&request, &service, &mut label)).catch_unwind().await;
    let (outcome, mut response) = answered.unwrap_or_else(|_| {
        service.metrics.panics.inc();
        (
            CheckOutcome::Unavailable,
            error::json(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "An unexpected error occurred."),
        )
    });
    in_flight.close_if_draining(&mut response);
    let took = service.clock.monotonic().saturating_duration_since(began);
    service.metrics.check(GatewayLabel::Nginx, outcome, label, took);
    response
}

async fn evaluate(request: &HttpRequest, service: &CheckService, label: &mut CredentialLabel) -> (CheckOutcome, HttpResponse) {
    let (original, query) = match service.parse(request) {
        Ok(parsed) => parsed,
        Err(refusal) => return service.refuse(request, &refusal),
    };
    let find = |places| {
        let found = service.checker.credentials().parse(places, |place| credential_headers::values(request.headers(), place));
        *label = CredentialLabel::from(&found);
        found
    };
    let decision = with_timeout(service.checker.decide(&original, &query.restrictions, find)).await;
    log_decision(&decision, RequestId::find(request.headers()));
    let client = ClientHeaders { headers: request.headers(), own: service.checker.credentials().own(), echo: query.echo };
    let (outcome, mut response) = respond(&decision, &client);
    if outcome == CheckOutcome::Unauthenticated {
        add_sign_in_url(&mut response, &original);
    }
    (outcome, response)
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

/// Returns the response to nginx, which understands 2xx, 401 and 403 and answers every other status with 500.
fn respond(decision: &Decision, client: &ClientHeaders<'_>) -> (CheckOutcome, HttpResponse) {
    let text = decision.description();
    match decision {
        Decision::Allow { evaluation, read, identity_encoding, upstream_headers } => {
            let identity = evaluation.identity_headers(*identity_encoding);
            (CheckOutcome::Allowed, allow(identity, *read, upstream_headers, client))
        }
        Decision::AllowAnyone { upstream_headers } => {
            (CheckOutcome::Allowed, allow(&IdentityHeaders::default(), CredentialSources::NONE, upstream_headers, client))
        }
        Decision::Unauthenticated(failure) => (CheckOutcome::Unauthenticated, error::authentication_error(*failure)),
        Decision::Forbidden { .. } | Decision::DeniedForAll(_) => {
            (CheckOutcome::Forbidden, error::json(StatusCode::FORBIDDEN, "access_denied", text))
        }
        Decision::Unavailable(cause) => (CheckOutcome::Unavailable, error::unavailable(text, cause.retry_after())),
        Decision::RoleMapNotLoaded => (CheckOutcome::Unavailable, error::unavailable(text, None)),
    }
}

/// Adds the URL for the browser's sign-in, which returns to the original URL. Plain nginx uses it, since it can't escape a URL
/// for a query. ingress-nginx builds its own.
fn add_sign_in_url(response: &mut HttpResponse, original: &CheckRequest<'_>) {
    let whole = original.query.map_or_else(|| original.path.to_owned(), |query| format!("{}?{query}", original.path));
    let targets = [Some(whole.as_str()), Some(original.path), None].into_iter();
    // A target that is too long is left out as a whole and not truncated.
    let mut urls = targets.map(sign_in_url).filter(|url| url.len() <= LONGEST_SIGN_IN);
    if let Some(value) = urls.next().and_then(|url| HeaderValue::try_from(url).ok()) {
        response.headers_mut().insert(SIGN_IN, value);
    }
}

fn sign_in_url(target: Option<&str>) -> String {
    let Some(target) = target else { return "/sso/login".to_owned() };
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair(RETURN_PARAMETER, target).finish();
    format!("/sso/login?{query}")
}

impl CheckService {
    pub fn new(
        checker: Arc<Checker>,
        hosts: ProtectedHosts,
        gateways: GatewayAuthentication,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        drain: Drain,
    ) -> Self {
        Self { checker, metrics, clock, drain, hosts, gateways }
    }

    /// Verifies the gateway, parses what it says about the request, and requires that this is for the gateway's host.
    fn parse<'a>(&self, request: &'a HttpRequest) -> Result<(CheckRequest<'a>, CheckQuery<'a>), Refusal> {
        let values = |name: HeaderName| request.headers().get_all(name).map(|value| value.as_bytes());
        self.gateways.verify(values(GATEWAY_SECRET))?;
        let original = nginx::parse_original(values(ORIGINAL_URL), values(ORIGINAL_METHOD))?;
        let query = CheckQuery::parse(request.query_string())?;
        match &query.host {
            Some(named) if !named.matches(original.host) => Err(Refusal::OtherHost),
            None if !self.hosts.contains(original.host) => Err(Refusal::UnprotectedHost),
            _ => Ok((original, query)),
        }
    }

    /// Refuses an auth request without a decision. The answer does not say why, since the gateway passes it to the client.
    fn refuse(&self, request: &HttpRequest, refusal: &Refusal) -> (CheckOutcome, HttpResponse) {
        self.metrics.check_refused(refusal.label());
        refusal.log(RequestId::find(request.headers()));
        (CheckOutcome::Malformed, error::json(StatusCode::FORBIDDEN, "invalid_request", "The auth request is malformed."))
    }
}

async fn refuse_unknown_path(request: HttpRequest, service: Data<CheckService>) -> HttpResponse {
    let _busy = BusyConnection::mark(&request);
    service.refuse(&request, &Refusal::UnknownPath).1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign_in_url_for(path: &str, query: Option<&str>) -> String {
        let mut response = HttpResponse::Unauthorized().finish();
        add_sign_in_url(&mut response, &CheckRequest { method: "GET", scheme: "http", host: "a", path, query });
        response.headers().get(SIGN_IN).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn the_sign_in_url_contains_the_whole_escaped_target() {
        assert_eq!(sign_in_url_for("/a", None), "/sso/login?rd=%2Fa");
        assert_eq!(sign_in_url_for("/a%2Fb", Some("x=1&y=%26")), "/sso/login?rd=%2Fa%252Fb%3Fx%3D1%26y%3D%2526");
    }

    #[test]
    fn a_long_query_or_path_is_left_out_as_a_whole() {
        let long = "a".repeat(LONGEST_SIGN_IN);
        assert_eq!(sign_in_url_for("/a", Some(&long)), "/sso/login?rd=%2Fa");
        assert_eq!(sign_in_url_for(&format!("/{long}"), None), "/sso/login");
    }
}
