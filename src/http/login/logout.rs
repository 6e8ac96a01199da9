//! `/sso/logout`: asks for confirmation, ends the session on every pod, and redirects to the provider.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Form};
use serde::Deserialize;
use url::Url;

use crate::{
    http::{
        FormTargets, Scripts, Services, Site,
        error::{self, Failure},
        fetch_metadata,
        form_token::FormId,
        page,
        page_request::account,
        page_with, redirect,
    },
    metrics::Outcome,
    pages::{self, Frame, ProviderLogout, SignOutPage, SignedOutPage},
    principal::{Evaluation, LOCAL},
    principal_cache::UserSession,
    users::{Session, SessionToken},
};

const PATH: &str = "/sso/logout";

/// The purpose in the tokens of this page's form.
const FORM: &str = "logout";

#[derive(Deserialize)]
pub(super) struct Confirmation {
    #[serde(default)]
    csrf: String,
}

pub(super) async fn show(request: HttpRequest, services: Services) -> HttpResponse {
    let Services { site, checker, .. } = &services;
    let Some(cookie) = site.cookies.session_in(&request) else { return signed_out(&request, site) };
    let host = site.page_origin(request.headers()).host();
    let Ok(token) = checker.credentials().parse_session_on(host, &cookie) else { return signed_out(&request, site) };
    match checker.load_session(&token).await {
        Ok(Some(_)) if !fetch_metadata::can_be_navigation(&request) => error::navigation_required().respond(&request, site),
        Ok(Some((signed_in, evaluation))) => confirm(&request, &services, &cookie, &signed_in, &evaluation),
        Ok(None) => signed_out(&request, site),
        Err(unanswered) => unavailable(&request, site, &unanswered.to_string()),
    }
}

/// The page that asks before the session is ended.
fn confirm(
    request: &HttpRequest,
    services: &Services,
    cookie: &str,
    signed_in: &UserSession,
    evaluation: &Evaluation,
) -> HttpResponse {
    let Services { site, login, form_tokens, .. } = services;
    let provider = login.providers().get(&signed_in.session.provider);
    let elsewhere = provider.and_then(|provider| Some((provider, provider.end_session_endpoint()?)));
    let at_provider = match &elsewhere {
        Some((provider, _)) => ProviderLogout::Ends { provider: provider.name().to_owned() },
        None if signed_in.session.provider == LOCAL => ProviderLogout::NoProvider,
        None => ProviderLogout::Stays,
    };
    let body = pages::render(&SignOutPage {
        frame: Frame::of(site.page_brand(request.headers())),
        csrf: form_tokens.issue_for_session_end(FormId { purpose: FORM, bound_to: cookie }),
        account: account(evaluation),
        at_provider,
        action: PATH.to_owned(),
        stay_href: "/vestibule/".to_owned(),
    });
    let targets = elsewhere.map(|(_, endpoint)| match site.further_origin(request.headers()) {
        // From there, the provider redirects the browser to `public_url`.
        Some(_) => format!("{} {}", policy_source(&endpoint), site.public_url),
        None => policy_source(&endpoint),
    });
    page_with(StatusCode::OK, body, &targets.as_deref().map_or(FormTargets::OwnOnly, FormTargets::And), &Scripts::None)
}

pub(super) async fn submit(request: HttpRequest, form: Form<Confirmation>, services: Services) -> HttpResponse {
    let site = &services.site;
    let Some(cookie) = site.cookies.session_in(&request) else { return signed_out(&request, site) };
    let form_id = FormId { purpose: FORM, bound_to: &cookie };
    if !services.form_tokens.accepts_session_end(&request, site, form_id, &form.csrf) {
        tracing::warn!(reason = "foreign_form", suppressed = tracing::field::Empty, "logout refused");
        return refusal().respond(&request, site);
    }
    // A token that the key ring did not sign belongs to no session.
    let host = site.page_origin(request.headers()).host();
    let ended = match services.checker.credentials().parse_session_on(host, &cookie) {
        Ok(token) => end_session(&services, &token).await,
        Err(_) => Ok(None),
    };
    match ended {
        Ok(ended) => follow(&services, ended.as_ref()),
        Err(cause) => {
            services.metrics.logout(Outcome::Error);
            tracing::error!(error = cause, suppressed = tracing::field::Empty, "logout not confirmed");
            uncertain().respond(&request, site)
        }
    }
}

/// Redirects the browser to the provider's logout, or to the page that confirms the logout.
fn follow(services: &Services, ended: Option<&Session>) -> HttpResponse {
    services.metrics.logout(Outcome::Ok);
    let next = ended.and_then(|session| provider_logout(services, session));
    let mut response = redirect(StatusCode::SEE_OTHER, next.as_ref().map_or(PATH, Url::as_str));
    // An empty value can always stand in a header.
    let _ = response.add_cookie(&services.site.cookies.expired_session_cookie());
    response
}

/// Ends the session on this pod at once, and on other pods by the invalidation message of the commit.
async fn end_session(services: &Services, token: &SessionToken<'_>) -> Result<Option<Session>, String> {
    let digest = &token.digest();
    let Some(UserSession { session: known, .. }) = services.principals.session(token).await.map_err(|error| error.to_string())?
    else {
        return Ok(None);
    };
    let session = services.users.session(&known.user, digest).await.map_err(|error| error.to_string())?;
    services.users.end_session(&known.user, digest).await.map_err(|error| error.to_string())?;
    tracing::info!(user = known.user, provider = known.provider, "logout succeeded");
    Ok(session)
}

fn provider_logout(services: &Services, session: &Session) -> Option<Url> {
    let provider = services.login.providers().get(&session.provider)?;
    let return_url = Url::parse(&services.site.public_url.join(PATH)).ok()?;
    provider.end_session_url(&session.logout, return_url)
}

fn signed_out(request: &HttpRequest, site: &Site) -> HttpResponse {
    let (frame, sign_in_href) = (Frame::of(site.page_brand(request.headers())), "/sso/login".to_owned());
    page(StatusCode::OK, pages::render(&SignedOutPage { frame, sign_in_href, provider_note: None }))
}

fn unavailable(request: &HttpRequest, site: &Site, cause: &str) -> HttpResponse {
    tracing::error!(error = cause, suppressed = tracing::field::Empty, "logout failed");
    Failure::credential_unavailable().retry_at(PATH).respond(request, site)
}

fn uncertain() -> Failure {
    Failure::of_page(StatusCode::SERVICE_UNAVAILABLE, "error-perhaps-signed-out").action("action-again", PATH)
}

fn refusal() -> Failure {
    Failure::of_page(StatusCode::FORBIDDEN, "error-still-signed-in").action("action-sign-out", PATH)
}

/// Returns a URL as a source in a content security policy, without query, fragment and characters that end a source.
fn policy_source(url: &Url) -> String {
    let mut source = url.clone();
    source.set_query(None);
    source.set_fragment(None);
    source.as_str().replace([';', ','], "")
}
