//! `/auth/nginx`: one check from nginx or ingress-nginx, answered in their terms.
//!
//! The hot path: no middleware, no log line unless something is wrong, no store command for what is cached.

mod allow_response;

use std::{
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::{Duration, Instant},
};

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

use super::{
    CookieNames, RETURN_PARAMETER, connections::BusyConnection, credential_headers, drain::Drain, error, request_id::RequestId,
};
use crate::{
    access::CredentialSources,
    check::{CheckQuery, CheckRequest, Checker, Decision, UnavailableCause},
    clock::Clock,
    gateway::nginx,
    metrics::{CheckOutcome, CredentialLabel, GatewayLabel, Metrics},
    principal::IdentityHeaders,
};

/// Later ones are 503. nginx waits for 5 s by the template, and leaves out a pod that was too late: a slow store would take all
/// of them away, also from those whom no store has to be asked about.
const ANSWERED_WITHIN: Duration = Duration::from_secs(4);

/// How long a check that can't be understood is not mentioned again.
const COMPLAIN_AGAIN: Duration = Duration::from_secs(10);

/// With a longer one the answer's headers could be more than nginx reads.
const LONGEST_SIGN_IN: usize = 2048;
const ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const SIGN_IN: HeaderName = HeaderName::from_static("x-vestibule-sign-in");

/// What a check needs.
pub struct CheckService {
    checker: Arc<Checker>,
    /// The names of all cookies that are none of the upstream's.
    our_cookies: [&'static str; 3],
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    drain: Drain,
    complained: Mutex<Option<Instant>>,
}

/// Routes of the check listener. Every method and every suffix of the path is taken: gateways differ.
pub fn check(service: Data<CheckService>) -> impl FnOnce(&mut ServiceConfig) + Clone {
    move |app| {
        app.app_data(service);
        // Apart, since two patterns in one resource are a regular expression for each request.
        app.service(web::resource("/auth/nginx").to(answer));
        app.service(web::resource("/auth/nginx/{suffix:.*}").to(answer));
        app.default_service(web::to(nowhere));
    }
}

/// A panic is an answer too; nginx makes a refusal of it.
async fn answer(request: HttpRequest, service: Data<CheckService>) -> HttpResponse {
    let began = service.clock.monotonic();
    let (under_way, _busy) = (service.drain.enter(), BusyConnection::mark(&request));
    let mut label = CredentialLabel::None;
    let answered = AssertUnwindSafe(judge(&request, &service, &mut label)).catch_unwind().await;
    let (outcome, mut response) = answered.unwrap_or_else(|_| {
        service.metrics.panics.inc();
        (
            CheckOutcome::Unavailable,
            error::json(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "An unexpected error occurred."),
        )
    });
    under_way.close_if_draining(&mut response);
    let took = service.clock.monotonic().saturating_duration_since(began);
    service.metrics.check(GatewayLabel::Nginx, outcome, label, took);
    response
}

async fn judge(request: &HttpRequest, service: &CheckService, label: &mut CredentialLabel) -> (CheckOutcome, HttpResponse) {
    let values = |name: HeaderName| request.headers().get_all(name).map(|value| value.as_bytes());
    let original = match nginx::parse_original(values(ORIGINAL_URL), values(ORIGINAL_METHOD)) {
        Ok(original) => original,
        Err(malformed) => return service.misconfigured(request, malformed.reason(), &malformed.to_string()),
    };
    let query = match CheckQuery::parse(request.query_string()) {
        Ok(query) => query,
        Err(malformed) => return service.misconfigured(request, malformed.reason(), &malformed.to_string()),
    };
    let find = |places| {
        let found = service.checker.credentials().parse(places, |place| credential_headers::values(request.headers(), place));
        *label = CredentialLabel::from(&found);
        found
    };
    let decision = in_time(service.checker.decide(&original, &query.restrictions, find)).await;
    tell(&decision, RequestId::given(request.headers()));
    let (outcome, mut response) =
        respond(&decision, &ClientHeaders { headers: request.headers(), our_cookies: &service.our_cookies, echo: query.echo });
    if outcome == CheckOutcome::Unauthenticated {
        point_to_sign_in(&mut response, &original);
    }
    (outcome, response)
}

/// Most are decided at once, and need no timer.
async fn in_time(decide: impl Future<Output = Decision>) -> Decision {
    let mut decide = pin!(decide);
    match futures::poll!(decide.as_mut()) {
        Poll::Ready(decision) => decision,
        Poll::Pending => {
            let decided = tokio::time::timeout(ANSWERED_WITHIN, decide).await;
            decided.unwrap_or(Decision::Unavailable(UnavailableCause::Timeout))
        }
    }
}

/// A line for who is signed in and may not; what anybody can cause as often as they like is told only where
/// it is asked for. The id is the gateway's, so that its log and this one can be read together.
fn tell(decision: &Decision, request_id: Option<&str>) {
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
        Decision::DeniedForAll(reason) => {
            tracing::debug!(request_id, reason = reason.reason(), error = %reason, "auth request denied")
        }
        Decision::Unauthenticated(reason) => {
            tracing::debug!(request_id, reason = reason.reason(), "auth request not authenticated")
        }
        Decision::Unavailable(cause) => tracing::debug!(request_id, error = %cause, "auth request failed"),
        Decision::RoleMapNotLoaded => {
            tracing::debug!(request_id, error = "no role map has been loaded yet", "auth request failed")
        }
    }
}

/// nginx takes 401 and 403 for answers, and makes a 500 of everything else but 2xx.
fn respond(decision: &Decision, own: &ClientHeaders<'_>) -> (CheckOutcome, HttpResponse) {
    let text = decision.description();
    match decision {
        Decision::Allow { evaluation, read, upstream_headers } => {
            (CheckOutcome::Allowed, allow(&evaluation.identity, *read, upstream_headers, own))
        }
        Decision::AllowAnyone { upstream_headers } => {
            (CheckOutcome::Allowed, allow(&IdentityHeaders::default(), CredentialSources::NONE, upstream_headers, own))
        }
        Decision::Unauthenticated(why) => {
            let (challenge, code) = match why {
                crate::check::AuthenticationFailure::NoCredential => (error::CHALLENGE, "login_required"),
                _ => (error::CHALLENGE_INVALID, "invalid_token"),
            };
            (CheckOutcome::Unauthenticated, error::challenged(code, text, challenge))
        }
        Decision::Forbidden { .. } | Decision::DeniedForAll(_) => {
            (CheckOutcome::Forbidden, error::json(StatusCode::FORBIDDEN, "access_denied", text))
        }
        Decision::Unavailable(_) | Decision::RoleMapNotLoaded => {
            (CheckOutcome::Unavailable, error::json(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", text))
        }
    }
}

/// Where a browser signs in and comes back from. Plain nginx has no way to escape an address for a query,
/// so it takes this one; ingress-nginx makes its own.
fn point_to_sign_in(response: &mut HttpResponse, original: &CheckRequest<'_>) {
    let whole = original.query.map_or_else(|| original.path.to_owned(), |query| format!("{}?{query}", original.path));
    let targets = [Some(whole.as_str()), Some(original.path), None].into_iter();
    // What is too long to come back to is left out as a whole, and not cut somewhere.
    let mut addresses = targets.map(sign_in_address).filter(|address| address.len() <= LONGEST_SIGN_IN);
    if let Some(value) = addresses.next().and_then(|address| HeaderValue::try_from(address).ok()) {
        response.headers_mut().insert(SIGN_IN, value);
    }
}

fn sign_in_address(target: Option<&str>) -> String {
    let Some(target) = target else { return "/sso/login".to_owned() };
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair(RETURN_PARAMETER, target).finish();
    format!("/sso/login?{query}")
}

impl CheckService {
    pub fn new(checker: Arc<Checker>, cookies: &CookieNames, metrics: Arc<Metrics>, clock: Arc<dyn Clock>, drain: Drain) -> Self {
        let our_cookies = [cookies.session, cookies.login, cookies.device];
        Self { checker, our_cookies, metrics, clock, drain, complained: Mutex::default() }
    }

    /// Said now and then only: odd requests are the clients' to send, and the log is not theirs to fill.
    fn misconfigured(&self, request: &HttpRequest, reason: &str, error: &str) -> (CheckOutcome, HttpResponse) {
        let now = self.clock.monotonic();
        let mut complained = self.complained.lock().expect("no code that holds this lock panics");
        if complained.is_none_or(|last| now.duration_since(last) >= COMPLAIN_AGAIN) {
            *complained = Some(now);
            let request_id = RequestId::given(request.headers());
            tracing::warn!(request_id, reason, error, "malformed auth request; check the gateway's X-Original-* headers");
        }
        drop(complained);
        (
            CheckOutcome::Malformed,
            error::json(StatusCode::FORBIDDEN, "invalid_request", "The gateway's question can't be understood."),
        )
    }
}

async fn nowhere(request: HttpRequest, service: Data<CheckService>) -> HttpResponse {
    let _busy = BusyConnection::mark(&request);
    service.misconfigured(&request, "unknown_gateway_path", "no gateway family has its path; /auth/nginx is the one of nginx").1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign_in_for(path: &str, query: Option<&str>) -> String {
        let mut response = HttpResponse::Unauthorized().finish();
        point_to_sign_in(&mut response, &CheckRequest { method: "GET", scheme: "http", host: "a", path, query });
        response.headers().get(SIGN_IN).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn the_sign_in_comes_back_to_the_whole_target_escaped() {
        assert_eq!(sign_in_for("/a", None), "/sso/login?rd=%2Fa");
        assert_eq!(sign_in_for("/a%2Fb", Some("x=1&y=%26")), "/sso/login?rd=%2Fa%252Fb%3Fx%3D1%26y%3D%2526");
    }

    #[test]
    fn a_long_query_is_left_out_whole_and_a_long_path_too() {
        let long = "a".repeat(LONGEST_SIGN_IN);
        assert_eq!(sign_in_for("/a", Some(&long)), "/sso/login?rd=%2Fa");
        assert_eq!(sign_in_for(&format!("/{long}"), None), "/sso/login");
    }
}
