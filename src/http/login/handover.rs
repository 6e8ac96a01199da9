//! `/sso/handover`, and `/sso/login` on a further origin: gives the session of `public_url` to the browser on another host.
//!
//! 1. `/sso/login` on the other host binds a request to the browser there, and redirects to `public_url`.
//! 2. `/sso/handover?start=…` on `public_url` issues a code for the browser's session. Without a session, a login leads back here.
//! 3. `/sso/handover?code=…` on the other host takes the code, sets the cookie, and redirects to the target.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Query};
use serde::Deserialize;
use url::form_urlencoded;

use super::{
    login_target::LoginTarget,
    provider::{BeginQuery, log_refusal},
    refuse_script, rejected_header,
};
use crate::{
    handover::{Handover, HandoverRequest, TakeHandoverError},
    http::{
        RETURN_PARAMETER, Services,
        browser_binding::binding,
        error::Failure,
        fetch_metadata::can_be_navigation,
        paths::{authenticating_href, login_href},
        redirect,
    },
    login::BeginError,
    origin::PublicUrl,
    principal_cache::LookupError,
    return_target::ReturnTarget,
    secret::Digest,
};

const PATH: &str = "/sso/handover";

/// The extractor refuses repeated parameters.
#[derive(Deserialize)]
pub(super) struct HandoverQuery {
    /// The target of a login at `public_url` for a page on another host.
    rd: Option<String>,
    /// The text of a request.
    start: Option<String>,
    code: Option<String>,
}

/// Begins a handover, on the host that receives the session.
pub(super) async fn begin(
    request: &HttpRequest,
    query: &BeginQuery,
    services: &Services,
    origin: &PublicUrl,
) -> Result<HttpResponse, Failure> {
    let target = query.target_on(origin.host())?;
    if let Some(explanation) = rejected_header::explain(request, services, &target).await {
        return Ok(explanation);
    }
    let site = &services.site;
    let (binding, new_cookie) = binding(request, site);
    let text = services.handovers.request(origin.host(), &binding, site.cookies.session_id_in(request), &target);
    let handover = path_with("start", &text);
    // If this host already has a current session, a handover would change nothing: the user wants to sign in again, or the page does
    // not accept sessions and would redirect forever.
    let needs_login = !query.is_of_gateway() || find_session(request, services).await.is_ok_and(|session| session.is_some());
    let path = match ReturnTarget::parse(&handover, "") {
        Ok(target) if needs_login => authenticating_href(&target, query.provider_id(), query.authentication()),
        _ => handover,
    };
    let mut response = redirect(StatusCode::FOUND, &site.public_url.join(&path));
    if let Some(value) = new_cookie {
        // As in the sign-in page.
        let _ = response.add_cookie(&site.cookies.login_cookie(&value));
    }
    Ok(response)
}

/// The target of a login at `public_url` whose user continues at a page of another host.
pub(super) fn target_after_login(origin: &PublicUrl, target: &ReturnTarget) -> ReturnTarget {
    let path_to = |target: &ReturnTarget| path_with(RETURN_PARAMETER, &origin.join(target.as_str()));
    let targets = [target, &ReturnTarget::root()];
    targets.into_iter().find_map(|target| ReturnTarget::parse(&path_to(target), "").ok()).unwrap_or_else(ReturnTarget::root)
}

/// The origin that a login leads to, if its target is a handover.
pub(super) fn origin_of<'a>(target: &ReturnTarget, services: &'a Services) -> Option<&'a PublicUrl> {
    let query = target.as_str().strip_prefix(PATH)?.strip_prefix('?')?;
    let (name, value) = form_urlencoded::parse(query.as_bytes()).next()?;
    let site = &services.site;
    match &*name {
        "start" => site.origins.find(services.handovers.parse_request(&value)?.host()),
        RETURN_PARAMETER => match LoginTarget::parse(&value, site).ok()? {
            LoginTarget::OnOrigin(origin, _) => Some(origin),
            LoginTarget::Own(_) => None,
        },
        _ => None,
    }
}

pub(super) async fn show(request: HttpRequest, query: Query<HandoverQuery>, services: Services) -> HttpResponse {
    if !can_be_navigation(&request) {
        return refuse_script(&request, &services);
    }
    let outcome = match services.site.further_origin(request.headers()) {
        Some(origin) => receive(&request, &query, &services, origin).await,
        None => send(&request, &query, &services).await,
    };
    outcome.unwrap_or_else(|failure| failure.respond(&request, &services.site))
}

/// Issues a code at `public_url`.
async fn send(request: &HttpRequest, query: &HandoverQuery, services: &Services) -> Result<HttpResponse, Failure> {
    let site = &services.site;
    if let (Some(rd), None) = (&query.rd, &query.start) {
        return match log_refusal(LoginTarget::parse(rd, site))? {
            LoginTarget::Own(target) => Ok(redirect(StatusCode::SEE_OTHER, &site.public_url.join(target.as_str()))),
            LoginTarget::OnOrigin(origin, target) => Ok(redirect_to_start(origin, &target)),
        };
    }
    let text = query.start.as_deref().unwrap_or_default();
    let known = services.handovers.parse_request(text).and_then(|started| Some((site.origins.find(started.host())?, started)));
    let (origin, started) = known.ok_or_else(|| refuse(&TakeHandoverError::Unknown, &ReturnTarget::root()))?;
    if services.handovers.has_expired(&started) {
        return Ok(redirect_to_start(origin, started.target()));
    }
    match find_session(request, services).await {
        Ok(Some(session)) => issue(services, origin, text, &started, &session).await,
        Ok(None) => {
            let here = ReturnTarget::parse(&path_with("start", text), "")?;
            Ok(redirect(StatusCode::FOUND, &login_href(&here, None)))
        }
        Err(error) => {
            tracing::error!(%error, suppressed = tracing::field::Empty, "session lookup failed");
            Err(Failure::credential_unavailable().retry_at(""))
        }
    }
}

async fn issue(
    services: &Services,
    origin: &PublicUrl,
    text: &str,
    started: &HandoverRequest,
    session: &Handover,
) -> Result<HttpResponse, Failure> {
    let code = services.handovers.issue(started, session).await.map_err(|error| {
        let error = BeginError::from(error);
        tracing::warn!(reason = error.reason(), %error, suppressed = tracing::field::Empty, "handover not started");
        Failure::from(&error).retry_at("")
    })?;
    let query: String =
        form_urlencoded::Serializer::new(String::new()).append_pair("code", code.expose()).append_pair("start", text).finish();
    Ok(redirect(StatusCode::FOUND, &origin.join(&format!("{PATH}?{query}"))))
}

/// Takes a code on the host that it was issued for.
async fn receive(
    request: &HttpRequest,
    query: &HandoverQuery,
    services: &Services,
    origin: &PublicUrl,
) -> Result<HttpResponse, Failure> {
    let started = query.start.as_deref().and_then(|text| services.handovers.parse_request(text));
    let started = started.ok_or_else(|| refuse(&TakeHandoverError::Unknown, &ReturnTarget::root()))?;
    let cookies = &services.site.cookies;
    let (code, binding) = (query.code.as_deref().unwrap_or_default(), cookies.binding_in(request));
    let taken = services.handovers.take(code, &started, origin.host(), binding.as_ref(), cookies.session_id_in(request));
    let to_target = || redirect(StatusCode::SEE_OTHER, &origin.join(started.target().as_str()));
    let session = match taken.await {
        Ok(session) => session,
        // The browser keeps its session, for example that of another tab. If the session has ended, the target leads to a handover
        // that may replace it.
        Err(error @ TakeHandoverError::OtherSession) => {
            log_refused_handover(&error);
            return Ok(to_target());
        }
        Err(TakeHandoverError::Used) if started.host() == origin.host() && is_signed_in(request, services).await => {
            return Ok(to_target());
        }
        Err(error) => return Err(refuse(&error, retry_target(&started, origin))),
    };
    match services.users.has_session(&session.user, &session.session).await {
        Ok(true) => {}
        // The user has signed out in the meantime.
        Ok(false) => return Err(refuse(&TakeHandoverError::Unknown, started.target())),
        Err(error) => return Err(refuse(&TakeHandoverError::Store(error), started.target())),
    }
    tracing::info!(user = session.user, host = origin.host(), "session handed over");
    let mut response = to_target();
    let token = services.handovers.session_token(&session, origin.host());
    // As in the sign-in page.
    let _ = response.add_cookie(&cookies.session_cookie(&token, services.site.limits.absolute));
    Ok(response)
}

/// The browser's session on the host of this request, if it needs no new sign-in.
async fn find_session(request: &HttpRequest, services: &Services) -> Result<Option<Handover>, LookupError> {
    let Services { site, checker, .. } = services;
    let host = site.page_origin(request.headers()).host();
    let Some(cookie) = site.cookies.session_in(request) else { return Ok(None) };
    let Ok(token) = checker.credentials().parse_session_on(host, &cookie) else { return Ok(None) };
    let session: Digest = token.digest();
    let found = checker.load_session(&token).await?;
    let current = found.filter(|(signed_in, evaluation)| !checker.needs_verification(signed_in, evaluation));
    Ok(current.map(|(signed_in, _)| Handover { user: signed_in.user.id.clone(), session }))
}

async fn is_signed_in(request: &HttpRequest, services: &Services) -> bool {
    find_session(request, services).await.is_ok_and(|session| session.is_some())
}

/// The target of another attempt on the host that refused a code.
fn retry_target<'a>(started: &'a HandoverRequest, origin: &PublicUrl) -> &'a ReturnTarget {
    static ROOT: std::sync::LazyLock<ReturnTarget> = std::sync::LazyLock::new(ReturnTarget::root);
    if started.host() == origin.host() { started.target() } else { &ROOT }
}

/// The sign-in on a further origin, which begins a handover.
pub(super) fn redirect_to_start(origin: &PublicUrl, target: &ReturnTarget) -> HttpResponse {
    redirect(StatusCode::FOUND, &origin.join(&login_href(target, None)))
}

fn refuse(error: &TakeHandoverError, target: &ReturnTarget) -> Failure {
    log_refused_handover(error);
    Failure::from(error).action("action-start-again", login_href(target, None))
}

fn log_refused_handover(error: &TakeHandoverError) {
    tracing::warn!(reason = error.reason(), %error, suppressed = tracing::field::Empty, "handover refused");
}

fn path_with(name: &str, value: &str) -> String {
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
    format!("{PATH}?{query}")
}
