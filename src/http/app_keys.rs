//! API keys of applications: `/sso/key/generate`, where an application obtains a key through the browser or with a credential.

pub(super) mod trusted_redirects;

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    body::BoxBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderValue},
    },
    middleware::Next,
    web::Form,
};
use futures::future::{FutureExt, LocalBoxFuture};
use serde_json::json;
use url::form_urlencoded;

use super::{
    FormTargets, Scripts, Services,
    api_keys::manager,
    cors, credential_headers, csrf, error,
    page_request::account,
    page_with,
    pages::{self, AppKeyPage, ConsentState, Frame, Place, Warning},
    paths::login_href,
    redirect, security_headers,
};
use crate::{
    access::CredentialSources,
    api_keys::{KeyDuration, KeyParameters, KeyWithSecret, KeysError},
    app_keys::{AllowedOrigins, AppRequest, AppResponse, KeyRequest, PATH, RedirectKind, RedirectPolicy, RequestError},
    check::{
        AuthenticatedCredential, AuthenticatedPrincipal, AuthenticationError, AuthenticationFailure, Credential, CredentialError,
        ParsedCredential,
    },
    login::{LoginFailed, Why},
    return_to::ReturnTarget,
    session::SessionToken,
};

/// The purpose in the tokens of this page's forms.
const FORM: &str = "app-key";

/// Settings of keys for applications.
pub struct AppKeySettings {
    pub redirects: RedirectPolicy,
    pub origins: AllowedOrigins,
    pub life: Duration,
}

type Fields = Vec<(String, String)>;

pub(super) async fn ask(request: HttpRequest, services: Services) -> HttpResponse {
    let app_request = AppKeyRequest { request: &request, services: &services };
    match AppRequest::parse(request.query_string(), &services.app_keys.redirects) {
        Err(wrong) => refused(wrong),
        Ok(AppRequest::Page) => redirect(StatusCode::FOUND, Place::Keys.href()),
        Ok(AppRequest::Key(wanted)) => app_request.answer_request(&wanted).await,
    }
}

/// The user has answered the page that [`ask`] showed.
pub(super) async fn answer(request: HttpRequest, form: Form<Fields>, services: Services) -> HttpResponse {
    let app_request = AppKeyRequest { request: &request, services: &services };
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(form.iter()).finish();
    match AppRequest::parse(&query, &services.app_keys.redirects) {
        Err(wrong) => refused(wrong),
        Ok(AppRequest::Page) => refused(RequestError::ResponseType),
        Ok(AppRequest::Key(wanted)) => app_request.answer_form(&wanted, &form).await,
    }
}

pub(super) async fn preflight(request: HttpRequest, services: Services) -> HttpResponse {
    cors::preflight(&services.app_keys.origins, &request)
}

/// A login that an application began and that can't begin or failed, told to the application; `None` where it is the
/// person's to mend.
pub(super) fn login_failed(failed: &LoginFailed, settings: &AppKeySettings, request: &HttpRequest) -> Option<HttpResponse> {
    let (code, description) = match &failed.why {
        Why::Denied { error, .. } => (code_of(error), "The identity provider did not sign the person in."),
        Why::NoRole => ("access_denied", "No role is granted to the person."),
        Why::Disabled => ("access_denied", "The person is disabled."),
        Why::MissingSource(_) => ("access_denied", "Too little is known of the person to grant a role."),
        Why::Unknown => ("invalid_request", "The sign-in has expired. Begin again."),
        Why::Exchange(_) | Why::Issuer => ("server_error", "The sign-in could not be confirmed."),
        Why::NoRoleMapYet | Why::StoreBefore(_) | Why::StoreAfter(_) => UNAVAILABLE,
        Why::NoState | Why::NoCode | Why::Finished | Why::OtherBrowser | Why::OtherProvider => return None,
        Why::NotSignedIn | Why::Taken => return None,
    };
    login_error(failed.again.as_ref()?, code, description, settings, request)
}

/// The same for a login that can't begin.
pub(super) fn login_unavailable(target: &ReturnTarget, settings: &AppKeySettings, request: &HttpRequest) -> Option<HttpResponse> {
    let (code, description) = UNAVAILABLE;
    login_error(target, code, description, settings, request)
}

const UNAVAILABLE: (&str, &str) = ("temporarily_unavailable", "Nobody can be signed in at the moment. Try again soon.");

fn login_error(
    target: &ReturnTarget,
    code: &str,
    description: &str,
    settings: &AppKeySettings,
    request: &HttpRequest,
) -> Option<HttpResponse> {
    let query = target.as_str().strip_prefix(PATH)?.strip_prefix('?')?;
    let Ok(AppRequest::Key(wanted)) = AppRequest::parse(query, &settings.redirects) else { return None };
    let mut response = error_answer(&wanted, StatusCode::BAD_REQUEST, code, description);
    mark(&settings.origins, request, response.headers_mut());
    Some(response)
}

/// The provider's own word, where it is one that an application can do something with (RFC 6749, section 4.2.2.1; OpenID
/// Connect Core, section 3.1.2.6). What else it says is about our request, not the application's.
fn code_of(error: &str) -> &'static str {
    const KNOWN: [&str; 6] = [
        "access_denied",
        "temporarily_unavailable",
        "interaction_required",
        "login_required",
        "account_selection_required",
        "consent_required",
    ];
    KNOWN.into_iter().find(|known| *known == error).unwrap_or("server_error")
}

/// A request of an application.
struct AppKeyRequest<'a> {
    request: &'a HttpRequest,
    services: &'a Services,
}

impl AppKeyRequest<'_> {
    async fn answer_request(&self, wanted: &KeyRequest) -> HttpResponse {
        match self.credential() {
            Ok(None) | Err(CredentialError::MalformedSession) => sign_in(wanted),
            Ok(Some(Credential::Session(token))) => self.ask_user(wanted, token).await,
            credential => match self.services.checker.authenticate(credential).await {
                // A child is no wider than what makes it and goes with it, so nobody has to be asked.
                Ok(principal) => self.issue_key(wanted, &principal).await,
                Err(AuthenticationError::Unauthenticated(why)) => unauthorized(why),
                Err(AuthenticationError::Unavailable(cause)) => unavailable(wanted, &cause.to_string()),
            },
        }
    }

    async fn ask_user(&self, wanted: &KeyRequest, token: SessionToken<'_>) -> HttpResponse {
        let principal = match self.authenticate(token).await {
            Ok(principal) => principal,
            Err(FreshSessionError::SignInNeeded) => return sign_in(wanted),
            Err(FreshSessionError::Unavailable(cause)) => return unavailable(wanted, &cause),
        };
        match self.consent(wanted, &principal).await {
            Ok(consent) => self.page(wanted, &principal, token.expose(), consent),
            Err(cause) => unavailable(wanted, &cause),
        }
    }

    async fn answer_form(&self, wanted: &KeyRequest, form: &Fields) -> HttpResponse {
        let field = |name: &str| form.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value);
        let Some(cookie) = self.services.site.cookies.session_in(self.request) else { return self.sign_in_again(wanted) };
        if !csrf::is_own_form(self.request, &self.services.site)
            || !csrf::matches(&self.services.site.ring, FORM, &cookie, field("csrf"))
        {
            tracing::warn!(reason = "foreign_form", "app key request refused");
            return error::json(StatusCode::FORBIDDEN, "access_denied", "The answer did not come from this site's own page.");
        }
        let Ok(token) = self.services.checker.credentials().parse_session(&cookie) else { return self.sign_in_again(wanted) };
        let principal = match self.authenticate(token).await {
            Ok(principal) => principal,
            Err(FreshSessionError::SignInNeeded) => return self.sign_in_again(wanted),
            Err(FreshSessionError::Unavailable(cause)) => return unavailable(wanted, &cause),
        };
        if field("decision") != "allow" {
            tracing::info!(user = principal.evaluation.identity.user, "app key request denied by user");
            return error_answer(wanted, StatusCode::FORBIDDEN, "access_denied", "The person refused.");
        }
        let response = self.issue_key(wanted, &principal).await;
        if response.status().is_success() || response.status().is_redirection() {
            self.remember(wanted, &principal).await;
        }
        response
    }

    /// The user of the session, if the sign-in is fresh.
    async fn authenticate(&self, token: SessionToken<'_>) -> Result<AuthenticatedPrincipal, FreshSessionError> {
        match self.services.checker.authenticate(Ok(Some(Credential::Session(token)))).await {
            Err(AuthenticationError::Unauthenticated(_)) => Err(FreshSessionError::SignInNeeded),
            Err(AuthenticationError::Unavailable(cause)) => Err(FreshSessionError::Unavailable(cause.to_string())),
            Ok(principal) => match &principal.credential {
                AuthenticatedCredential::Session(signed_in) if self.services.keys.is_fresh(signed_in.session.created) => {
                    Ok(principal)
                }
                _ => Err(FreshSessionError::SignInNeeded),
            },
        }
    }

    fn sign_in_again(&self, wanted: &KeyRequest) -> HttpResponse {
        error::sign_in_again(&login_href(&again(wanted), None)).respond(self.request, &self.services.site)
    }

    fn credential(&self) -> ParsedCredential<'_> {
        let headers = self.request.headers();
        self.services.checker.credentials().parse(CredentialSources::ALL, |place| credential_headers::values(headers, place))
    }

    fn page(&self, wanted: &KeyRequest, principal: &AuthenticatedPrincipal, cookie: &str, consent: ConsentState) -> HttpResponse {
        let AuthenticatedCredential::Session(_) = &principal.credential else { return sign_in(wanted) };
        let body = pages::render(&AppKeyPage {
            frame: Frame::of(&self.services.site.brand),
            application: wanted.redirect.as_ref().map(|redirect| redirect.display_name()),
            account: account(&principal.evaluation),
            life: self.services.app_keys.life,
            consent,
            fields: wanted.fields().into_iter().map(|(name, value)| (name, value.to_owned())).collect(),
            csrf: csrf::token(&self.services.site.ring, FORM, cookie),
            action: PATH,
        });
        let scripts = match consent {
            ConsentState::Asked { .. } => Scripts::None,
            ConsentState::GivenBefore => Scripts::Of(&self.services.site.public_url),
        };
        let target = wanted.redirect.as_ref().map(|redirect| redirect.form_target());
        page_with(StatusCode::OK, body, &target.as_deref().map_or(FormTargets::OwnOnly, FormTargets::And), &scripts)
    }

    async fn issue_key(&self, wanted: &KeyRequest, principal: &AuthenticatedPrincipal) -> HttpResponse {
        let Services { app_keys, keys, .. } = self.services;
        let application = wanted.redirect.as_ref().map_or_else(|| "command line".to_owned(), |redirect| redirect.application());
        let wish = KeyParameters {
            duration: Some(KeyDuration::of(app_keys.life)),
            application: Some(application.clone()),
            alias: Some(application),
            ..KeyParameters::default()
        };
        match keys.create_for_application(&manager(principal), &wish).await {
            Ok(made) => key_answer(wanted, &made, keys.remaining(&made.key)),
            // It was good a moment ago, and has been revoked since.
            Err(KeysError::Ended) => unauthorized(AuthenticationFailure::UnknownCredential),
            Err(KeysError::NoRole) => {
                error_answer(wanted, StatusCode::FORBIDDEN, "access_denied", "No role is granted to the person.")
            }
            Err(KeysError::Full) => {
                error_answer(wanted, StatusCode::FORBIDDEN, "access_denied", "The person has as many keys as are allowed.")
            }
            Err(KeysError::TooDeep | KeysError::Disabled | KeysError::NotManaging | KeysError::NoSuchUser) => {
                error_answer(wanted, StatusCode::FORBIDDEN, "access_denied", "This credential makes no keys.")
            }
            Err(error) => {
                tracing::error!(%error, "app key creation failed");
                error_answer(
                    wanted,
                    StatusCode::SERVICE_UNAVAILABLE,
                    "temporarily_unavailable",
                    "Keys can't be made at the moment.",
                )
            }
        }
    }

    /// Consent is remembered only for hosts that the operator has listed: on the person's own machine anything may wait at
    /// an address. And a page that leads here by itself, without the person's click, doesn't get to use it.
    async fn consent(&self, wanted: &KeyRequest, principal: &AuthenticatedPrincipal) -> Result<ConsentState, String> {
        let asked = ConsentState::Asked { warning: warning(wanted) };
        let by_click = self.request.headers().get("sec-fetch-user").is_some_and(|value| value == "?1");
        let Some(redirect) = listed(wanted).filter(|_| by_click) else { return Ok(asked) };
        let trusted =
            self.services.users.trusted(&principal.evaluation.identity.user).await.map_err(|error| error.to_string())?;
        Ok(if trusted.iter().any(|known| known == redirect) { ConsentState::GivenBefore } else { asked })
    }

    async fn remember(&self, wanted: &KeyRequest, principal: &AuthenticatedPrincipal) {
        let Some(redirect) = listed(wanted) else { return };
        if let Err(error) = self.services.users.trust(&principal.evaluation.identity.user, redirect).await {
            tracing::warn!(%error, "app consent not stored");
        }
    }
}

/// No user can be asked.
enum FreshSessionError {
    SignInNeeded,
    Unavailable(String),
}

fn listed(wanted: &KeyRequest) -> Option<&str> {
    wanted.redirect.as_ref().filter(|redirect| redirect.kind() == RedirectKind::Https).map(|redirect| redirect.as_str())
}

/// A warning to show before the user agrees.
fn warning(wanted: &KeyRequest) -> Option<Warning> {
    match wanted.redirect.as_ref().map(|redirect| redirect.kind()) {
        Some(RedirectKind::CustomScheme | RedirectKind::Loopback) => Some(Warning::OwnMachine),
        None => Some(Warning::ShownHere),
        Some(RedirectKind::Https) => None,
    }
}

/// Back here after a sign-in.
fn sign_in(wanted: &KeyRequest) -> HttpResponse {
    redirect(StatusCode::FOUND, &login_href(&again(wanted), None))
}

fn again(wanted: &KeyRequest) -> ReturnTarget {
    wanted.return_target().unwrap_or_else(ReturnTarget::root)
}

fn key_answer(wanted: &KeyRequest, made: &KeyWithSecret, expires_in: u64) -> HttpResponse {
    let secret = made.secret.expose();
    match wanted.location(AppResponse::Key { secret, expires_in }) {
        Some(location) => redirect(StatusCode::SEE_OTHER, &location),
        None => {
            let mut body = json!({"access_token": secret, "token_type": "Bearer", "expires_in": expires_in});
            with_state(&mut body, wanted);
            HttpResponse::Ok().json(body)
        }
    }
}

/// An error, as a redirect or as JSON, whichever the application asked for.
fn error_answer(wanted: &KeyRequest, status: StatusCode, code: &str, description: &str) -> HttpResponse {
    match wanted.location(AppResponse::Error { code, description }) {
        Some(location) => redirect(StatusCode::SEE_OTHER, &location),
        None => {
            let mut body = json!({"error": code, "error_description": description});
            with_state(&mut body, wanted);
            HttpResponse::build(status).json(body)
        }
    }
}

fn with_state(body: &mut serde_json::Value, wanted: &KeyRequest) {
    if let Some(state) = wanted.state() {
        body["state"] = state.into();
    }
}

fn unavailable(wanted: &KeyRequest, cause: &str) -> HttpResponse {
    tracing::error!(error = cause, "app key creation failed");
    error_answer(wanted, StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "Keys can't be made at the moment.")
}

/// Never a redirect: the address to redirect to may be what is wrong.
fn refused(wrong: RequestError) -> HttpResponse {
    tracing::info!(reason = wrong.reason(), "app key request refused");
    let code = if wrong == RequestError::ResponseType { "unsupported_response_type" } else { "invalid_request" };
    error::json(StatusCode::BAD_REQUEST, code, &wrong.to_string())
}

fn unauthorized(why: AuthenticationFailure) -> HttpResponse {
    error::challenged("invalid_token", why.description(), error::CHALLENGE_INVALID)
}

/// Every answer of this address goes through it, also those that no handler of it makes.
pub(super) fn seal(
    services: &Services,
) -> impl Fn(ServiceRequest, Next<BoxBody>) -> LocalBoxFuture<'static, Result<ServiceResponse, actix_web::Error>> + use<> {
    let settings = Arc::clone(&services.app_keys);
    move |request, next| {
        let settings = Arc::clone(&settings);
        async move {
            let mut response = next.call(request).await?;
            let asked = response.request().clone();
            mark(&settings.origins, &asked, response.headers_mut());
            Ok(response)
        }
        .boxed_local()
    }
}

/// Adds the headers of every answer of this address, also of errors and pages.
fn mark(origins: &AllowedOrigins, request: &HttpRequest, headers: &mut HeaderMap) {
    // A page has the person's name and the token that its form is known by: no other origin is to read it.
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    match is_page {
        true => headers.append(header::VARY, HeaderValue::from_static("Origin")),
        false if request.method() != Method::OPTIONS => cors::allow(origins, request, headers),
        false => {}
    }
    security_headers::for_credential(headers);
}
