//! API keys of applications: `/sso/key/generate`, where an application obtains a key through the browser or with a credential.

pub(super) mod consents;
mod provenance;

use std::sync::Arc;

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
    cors, credential_headers,
    error::{self, Failure},
    fetch_metadata,
    form_token::{FormId, FormTokenError},
    page_request::account,
    page_with,
    pages::{self, AppKeyPage, ConsentState, Frame, SitePage, text::Text},
    paths::{LoginAuthentication, authenticating_href},
    redirect, security_headers,
};
use provenance::SignInTarget;

use crate::{
    access::CredentialSources,
    api_keys::app_requests::{
        AllowedOrigins, AppKeySettings, AppRequest, AppResponse, KeyRequest, PATH, RedirectKind, RequestError,
    },
    api_keys::{KeyDuration, KeyParameters, KeyWithSecret, KeysError},
    check::{
        AuthenticatedCredential, AuthenticatedPrincipal, AuthenticationError, AuthenticationFailure, Credential, CredentialError,
        ParsedCredential,
    },
    login::LoginFailure,
    return_target::ReturnTarget,
    users::SessionToken,
};

/// The purpose in the tokens of this page's forms.
const FORM: &str = "app-key";

type FormPairs = Vec<(String, String)>;

pub(super) async fn authorize(request: HttpRequest, services: Services) -> HttpResponse {
    let app_request = AppKeyRequest { request: &request, services: &services };
    match AppRequest::parse(request.query_string(), &services.app_keys.redirects) {
        Err(wrong) => refuse_request(wrong),
        Ok(AppRequest::Page) => redirect(StatusCode::FOUND, SitePage::Keys.href()),
        Ok(AppRequest::Key(wanted)) => app_request.answer_request(&wanted).await,
    }
}

/// Handles the consent form of [`authorize`].
pub(super) async fn submit(request: HttpRequest, form: Form<FormPairs>, services: Services) -> HttpResponse {
    let app_request = AppKeyRequest { request: &request, services: &services };
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(form.iter()).finish();
    match AppRequest::parse(&query, &services.app_keys.redirects) {
        Err(wrong) => refuse_request(wrong),
        Ok(AppRequest::Page) => refuse_request(RequestError::ResponseType),
        Ok(AppRequest::Key(wanted)) => app_request.answer_form(&wanted, &form).await,
    }
}

pub(super) async fn preflight(request: HttpRequest, services: Services) -> HttpResponse {
    cors::preflight(&services.app_keys.origins, &request)
}

/// Reports a failed login to the application that has begun it; `None` if no application has, or only the user can act on
/// the failure.
pub(super) fn login_failed(failed: &LoginFailure, settings: &AppKeySettings, request: &HttpRequest) -> Option<HttpResponse> {
    login_error(failed.again.as_ref()?, &Failure::from(failed), settings, request)
}

/// Reports to the application that the login can't begin.
pub(super) fn login_unavailable(target: &ReturnTarget, settings: &AppKeySettings, request: &HttpRequest) -> Option<HttpResponse> {
    login_error(target, &Failure::sign_in_unavailable(), settings, request)
}

fn login_error(
    target: &ReturnTarget,
    failure: &Failure,
    settings: &AppKeySettings,
    request: &HttpRequest,
) -> Option<HttpResponse> {
    let report = failure.report()?;
    let query = target.as_str().strip_prefix(PATH)?.strip_prefix('?')?;
    let Ok(AppRequest::Key(wanted)) = AppRequest::parse(query, &settings.redirects) else { return None };
    let mut response = error_response(&wanted, StatusCode::BAD_REQUEST, report.code, &report.description);
    set_headers(&settings.origins, request, response.headers_mut());
    Some(response)
}

/// A request of an application.
struct AppKeyRequest<'a> {
    request: &'a HttpRequest,
    services: &'a Services,
}

impl AppKeyRequest<'_> {
    async fn answer_request(&self, wanted: &KeyRequest) -> HttpResponse {
        match self.credential() {
            Ok(None) | Err(CredentialError::MalformedSession) => self.redirect_to_sign_in(wanted),
            Ok(Some(Credential::Session(token))) => self.ask_user(wanted, token).await,
            credential => match self.services.checker.authenticate(credential).await {
                // A derived key has no more rights than its parent and is revoked with it, so no consent is needed.
                Ok(principal) => self.issue_key(wanted, &principal).await,
                Err(AuthenticationError::Unauthenticated(failure)) => unauthorized(failure),
                Err(AuthenticationError::Unavailable(cause)) => unavailable(wanted, &cause.to_string()),
            },
        }
    }

    async fn ask_user(&self, wanted: &KeyRequest, token: SessionToken<'_>) -> HttpResponse {
        let principal = match self.authenticate(token).await {
            Ok(principal) => principal,
            Err(FreshSessionError::SignInNeeded) => return self.redirect_to_sign_in(wanted),
            Err(FreshSessionError::Unavailable(cause)) => return unavailable(wanted, &cause),
        };
        if !fetch_metadata::can_be_navigation(self.request) {
            tracing::warn!(reason = "not_a_navigation", user = principal.evaluation.identity.user, "app key request refused");
            return error::navigation_required().json();
        }
        match self.consent(wanted, &principal).await {
            Ok(consent) => self.page(wanted, &principal, token.expose(), consent),
            Err(cause) => unavailable(wanted, &cause),
        }
    }

    async fn answer_form(&self, wanted: &KeyRequest, form: &FormPairs) -> HttpResponse {
        let field = |name: &str| form.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value);
        let Some(cookie) = self.services.site.cookies.session_in(self.request) else { return self.sign_in_again(wanted) };
        if let Err(refused) = self.accept_form(&cookie, field("csrf")).await {
            return self.refuse_form(wanted, &refused);
        }
        let Ok(token) = self.services.checker.credentials().parse_session(&cookie) else {
            return self.sign_in_again(wanted);
        };
        let principal = match self.authenticate(token).await {
            Ok(principal) => principal,
            Err(FreshSessionError::SignInNeeded) => return self.sign_in_again(wanted),
            Err(FreshSessionError::Unavailable(cause)) => return unavailable(wanted, &cause),
        };
        if field("decision") != "allow" {
            tracing::info!(user = principal.evaluation.identity.user, "app key request denied by user");
            return error_response(wanted, StatusCode::FORBIDDEN, "access_denied", "The user denied the request.");
        }
        let response = self.issue_key(wanted, &principal).await;
        if response.status().is_success() || response.status().is_redirection() {
            self.store_consent(wanted, &principal).await;
        }
        response
    }

    async fn accept_form(&self, cookie: &str, token: &str) -> Result<(), FormTokenError> {
        let Services { form_tokens, site, .. } = self.services;
        form_tokens.accept(self.request, site, FormId { purpose: FORM, bound_to: cookie }, token).await
    }

    fn refuse_form(&self, wanted: &KeyRequest, refused: &FormTokenError) -> HttpResponse {
        if let FormTokenError::Store(cause) = refused {
            return unavailable(wanted, &cause.to_string());
        }
        tracing::warn!(reason = refused.reason(), suppressed = tracing::field::Empty, "app key request refused");
        match refused {
            FormTokenError::Foreign => {
                error::json(StatusCode::FORBIDDEN, "access_denied", "The response did not come from a page of this site.")
            }
            _ => {
                let failure = Failure::from(refused).action("action-again", return_target(wanted).as_str());
                failure.respond(self.request, &self.services.site)
            }
        }
    }

    /// Returns the user of the session, if the sign-in is fresh.
    async fn authenticate(&self, token: SessionToken<'_>) -> Result<AuthenticatedPrincipal, FreshSessionError> {
        match self.services.checker.authenticate(Ok(Some(Credential::Session(token)))).await {
            Err(AuthenticationError::Unauthenticated(_)) => Err(FreshSessionError::SignInNeeded),
            Err(AuthenticationError::Unavailable(cause)) => Err(FreshSessionError::Unavailable(cause.to_string())),
            Ok(principal) => match &principal.credential {
                AuthenticatedCredential::Session(signed_in)
                    if self.services.keys.is_fresh(signed_in.session.authenticated_at) =>
                {
                    Ok(principal)
                }
                _ => Err(FreshSessionError::SignInNeeded),
            },
        }
    }

    fn sign_in_again(&self, wanted: &KeyRequest) -> HttpResponse {
        error::sign_in_again()
            .action("action-sign-in", recent_sign_in_href(&return_target(wanted)))
            .respond(self.request, &self.services.site)
    }

    /// Redirects to the sign-in, which returns to this request.
    fn redirect_to_sign_in(&self, wanted: &KeyRequest) -> HttpResponse {
        let SignInTarget { target, new_cookie } = provenance::sign_in_target(self.request, self.services, wanted);
        let mut response = redirect(StatusCode::FOUND, &recent_sign_in_href(&target));
        if let Some(value) = new_cookie {
            // Adding fails only for values that can't stand in a header; ours is base64url.
            let _ = response.add_cookie(&self.services.site.cookies.login_cookie(&value));
        }
        response
    }

    fn credential(&self) -> ParsedCredential<'_> {
        let headers = self.request.headers();
        self.services.checker.credentials().parse(CredentialSources::ALL, |place| credential_headers::values(headers, place))
    }

    fn page(&self, wanted: &KeyRequest, principal: &AuthenticatedPrincipal, cookie: &str, consent: ConsentState) -> HttpResponse {
        let AuthenticatedCredential::Session(_) = &principal.credential else { return self.redirect_to_sign_in(wanted) };
        let scripts = match &consent {
            ConsentState::Asked { .. } => Scripts::None,
            ConsentState::GivenBefore => Scripts::Of(&self.services.site.public_url),
        };
        let body = pages::render(&AppKeyPage {
            frame: Frame::of(&self.services.site.brand),
            application: wanted.redirect.as_ref().map(|redirect| redirect.display_name()),
            account: account(&principal.evaluation),
            life: self.services.app_keys.life,
            consent,
            fields: wanted.fields().into_iter().map(|(name, value)| (name, value.to_owned())).collect(),
            csrf: self.services.form_tokens.issue(FormId { purpose: FORM, bound_to: cookie }),
            action: PATH,
        });
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
            Ok(created) => key_response(wanted, &created, keys.remaining(&created.key)),
            // The credential was revoked after it was authenticated.
            Err(KeysError::Ended) => unauthorized(AuthenticationFailure::UnknownCredential),
            Err(KeysError::NoRole) => {
                error_response(wanted, StatusCode::FORBIDDEN, "access_denied", "No role is granted to the user.")
            }
            Err(KeysError::Full) => {
                error_response(wanted, StatusCode::FORBIDDEN, "access_denied", "The maximum number of keys is reached.")
            }
            Err(KeysError::TooManyPatterns) => error_response(
                wanted,
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "This key has too many path patterns to create another key.",
            ),
            Err(KeysError::TooDeep | KeysError::Disabled | KeysError::NotManaging | KeysError::NoSuchUser) => {
                error_response(wanted, StatusCode::FORBIDDEN, "access_denied", "This credential cannot create keys.")
            }
            Err(error) => {
                tracing::error!(%error, "app key creation failed");
                error_response(
                    wanted,
                    StatusCode::SERVICE_UNAVAILABLE,
                    "temporarily_unavailable",
                    "Keys cannot be created at the moment. Try again later.",
                )
            }
        }
    }

    /// An app consent applies only to https redirects, whose hosts the operator has listed. On the user's own machine any
    /// program may receive the redirect. It also requires a click of the user in the application, since any page can lead a
    /// browser here.
    async fn consent(&self, wanted: &KeyRequest, principal: &AuthenticatedPrincipal) -> Result<ConsentState, String> {
        let asked = ConsentState::Asked { warning: warning(wanted) };
        let by_click = self.request.headers().get("sec-fetch-user").is_some_and(|value| value == "?1");
        let continues = by_click && provenance::is_from_application(self.request, self.services, wanted);
        let Some(redirect) = https_redirect(wanted).filter(|_| continues) else { return Ok(asked) };
        let consents =
            self.services.users.app_consents(&principal.evaluation.identity.user).await.map_err(|error| error.to_string())?;
        Ok(if consents.iter().any(|known| known == redirect) { ConsentState::GivenBefore } else { asked })
    }

    async fn store_consent(&self, wanted: &KeyRequest, principal: &AuthenticatedPrincipal) {
        let Some(redirect) = https_redirect(wanted) else { return };
        if let Err(error) = self.services.users.add_app_consent(&principal.evaluation.identity.user, redirect).await {
            tracing::warn!(%error, "app consent not stored");
        }
    }
}

/// The reason why no user can be asked for consent.
enum FreshSessionError {
    SignInNeeded,
    Unavailable(String),
}

fn https_redirect(wanted: &KeyRequest) -> Option<&str> {
    wanted.redirect.as_ref().filter(|redirect| redirect.kind() == RedirectKind::Https).map(|redirect| redirect.as_str())
}

/// A warning to show before the user agrees.
fn warning(wanted: &KeyRequest) -> Option<Text> {
    match wanted.redirect.as_ref().map(|redirect| redirect.kind()) {
        Some(RedirectKind::CustomScheme | RedirectKind::Loopback) => Some(Text::of("app-key-warning-own-machine")),
        None => Some(Text::of("app-key-warning-shown-here")),
        Some(RedirectKind::Https) => None,
    }
}

/// The consent needs a recent sign-in, so a new one must be recent too.
fn recent_sign_in_href(target: &ReturnTarget) -> String {
    authenticating_href(target, None, LoginAuthentication::Recent)
}

fn return_target(wanted: &KeyRequest) -> ReturnTarget {
    wanted.return_target().unwrap_or_else(ReturnTarget::root)
}

fn key_response(wanted: &KeyRequest, created: &KeyWithSecret, expires_in: u64) -> HttpResponse {
    let secret = created.secret.expose();
    match wanted.location(AppResponse::Key { secret, expires_in }) {
        Some(location) => redirect(StatusCode::SEE_OTHER, &location),
        None => {
            let mut body = json!({"access_token": secret, "token_type": "Bearer", "expires_in": expires_in});
            with_state(&mut body, wanted);
            HttpResponse::Ok().json(body)
        }
    }
}

/// Returns an error as a redirect or as JSON, as the application requested.
fn error_response(wanted: &KeyRequest, status: StatusCode, code: &str, description: &str) -> HttpResponse {
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
    tracing::error!(error = cause, suppressed = tracing::field::Empty, "app key creation failed");
    error_response(
        wanted,
        StatusCode::SERVICE_UNAVAILABLE,
        "temporarily_unavailable",
        "Keys cannot be created at the moment. Try again later.",
    )
}

/// Returns an error as JSON. It is no redirect, since the redirect address may be invalid.
fn refuse_request(wrong: RequestError) -> HttpResponse {
    tracing::info!(reason = wrong.reason(), suppressed = tracing::field::Empty, "app key request refused");
    let code = if wrong == RequestError::ResponseType { "unsupported_response_type" } else { "invalid_request" };
    error::json(StatusCode::BAD_REQUEST, code, &wrong.to_string())
}

fn unauthorized(failure: AuthenticationFailure) -> HttpResponse {
    error::challenged("invalid_token", failure.description(), error::CHALLENGE_INVALID)
}

/// Middleware that adds the headers of this endpoint to every response, also to those of other middleware.
pub(super) fn add_response_headers(
    services: &Services,
) -> impl Fn(ServiceRequest, Next<BoxBody>) -> LocalBoxFuture<'static, Result<ServiceResponse, actix_web::Error>> + use<> {
    let settings = Arc::clone(&services.app_keys);
    move |request, next| {
        let settings = Arc::clone(&settings);
        async move {
            let mut response = next.call(request).await?;
            let request = response.request().clone();
            set_headers(&settings.origins, &request, response.headers_mut());
            Ok(response)
        }
        .boxed_local()
    }
}

/// Adds the headers of every response of this endpoint, also of errors and pages.
fn set_headers(origins: &AllowedOrigins, request: &HttpRequest, headers: &mut HeaderMap) {
    // A page contains the user's name and the form's CSRF token, so no other origin may read it.
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    match is_page {
        true => headers.append(header::VARY, HeaderValue::from_static("Origin")),
        false if request.method() != Method::OPTIONS => cors::allow(origins, request, headers),
        false => {}
    }
    security_headers::for_credential(headers);
}
