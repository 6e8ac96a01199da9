//! `/sso/key/generate`: an application obtains a key through the browser, or by a credential that it has.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderValue},
    },
    web::{Data, Form},
};
use serde_json::json;
use url::form_urlencoded;

use super::{
    FormTargets, Site,
    api::manager,
    cors, csrf, error,
    home::account,
    keys,
    links::login_href,
    page_with_forms,
    pages::{self, AppKey},
    redirect,
};
use crate::{
    access::Places,
    apps::{Asked, KeyRequest, Outcome, PATH, RedirectKind, RedirectPolicy, RequestError},
    check::{By, Checker, Credential, Recognised, Unauthenticated, Unrecognised},
    config::Origins,
    keys::{Keys, KeysError, Lasting, Made, Wish},
    login::{LoginFailed, Why},
    principals::Principals,
    return_to::ReturnTo,
    users::Users,
};

/// What every form of this page is for.
const FORM: &str = "app-key";

/// Which applications may ask, and what they get.
pub struct Apps {
    pub redirects: RedirectPolicy,
    pub origins: Origins,
    pub life: Duration,
}

type Services = (Data<Apps>, Data<Keys>, Data<Principals>, Data<Users>);
type Fields = Vec<(String, String)>;

pub(super) async fn ask(request: HttpRequest, site: Data<Site>, checker: Data<Checker>, services: Services) -> HttpResponse {
    let desk = Desk { request: &request, site: &site, checker: &checker, services: &services };
    let response = match Asked::parse(request.query_string(), &services.0.redirects) {
        Err(wrong) => refused(wrong),
        Ok(Asked::Page) => redirect(StatusCode::FOUND, keys::PATH),
        Ok(Asked::Key(wanted)) => desk.asked(&wanted).await,
    };
    desk.finish(response)
}

/// The person has answered the page that [`ask`] showed.
pub(super) async fn answer(
    request: HttpRequest,
    form: Form<Fields>,
    site: Data<Site>,
    checker: Data<Checker>,
    services: Services,
) -> HttpResponse {
    let desk = Desk { request: &request, site: &site, checker: &checker, services: &services };
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(form.iter()).finish();
    let response = match Asked::parse(&query, &services.0.redirects) {
        Err(wrong) => refused(wrong),
        Ok(Asked::Page) => refused(RequestError::ResponseType),
        Ok(Asked::Key(wanted)) => desk.answered(&wanted, &form).await,
    };
    desk.finish(response)
}

pub(super) async fn preflight(request: HttpRequest, apps: Data<Apps>) -> HttpResponse {
    cors::preflight(&apps.origins, &request)
}

/// A login that an application began and that failed, told to the application; `None` where it is the person's to mend.
pub(super) fn login_failed(failed: &LoginFailed, apps: &Apps, request: &HttpRequest) -> Option<HttpResponse> {
    let query = failed.again.as_ref()?.as_str().strip_prefix(PATH)?.strip_prefix('?')?;
    let Ok(Asked::Key(wanted)) = Asked::parse(query, &apps.redirects) else { return None };
    let (code, description) = match &failed.why {
        Why::Denied { .. } => ("access_denied", "The identity provider did not sign the person in."),
        Why::NoRole => ("access_denied", "No role is granted to the person."),
        Why::Disabled => ("access_denied", "The person is disabled."),
        Why::MissingSource(_) => ("access_denied", "Too little is known of the person to grant a role."),
        Why::Unknown => ("invalid_request", "The sign-in has expired. Begin again."),
        Why::Exchange(_) => ("server_error", "The sign-in could not be confirmed."),
        _ => return None,
    };
    let mut response = told(&wanted, StatusCode::BAD_REQUEST, code, description);
    seal(&apps.origins, request, response.headers_mut());
    Some(response)
}

/// One request, and what it takes to answer it.
struct Desk<'a> {
    request: &'a HttpRequest,
    site: &'a Site,
    checker: &'a Checker,
    services: &'a Services,
}

impl Desk<'_> {
    async fn asked(&self, wanted: &KeyRequest) -> HttpResponse {
        match self.credential() {
            Ok(Credential::None) => sign_in(wanted),
            Ok(Credential::Session(cookie)) => self.in_person(wanted, cookie).await,
            credential => match self.checker.recognise(credential).await {
                // A child is no wider than what makes it and goes with it, so nobody has to be asked.
                Ok(recognised) => self.give(wanted, &recognised).await,
                Err(Unrecognised::Unauthenticated(why)) => unauthorised(why),
                Err(Unrecognised::Unavailable(cause)) => unavailable(wanted, &cause.to_string()),
            },
        }
    }

    async fn in_person(&self, wanted: &KeyRequest, cookie: &str) -> HttpResponse {
        let recognised = match self.person(wanted, cookie).await {
            Ok(recognised) => recognised,
            Err(response) => return response,
        };
        match self.is_remembered(wanted, &recognised).await {
            Ok(true) => self.give(wanted, &recognised).await,
            Ok(false) => self.consent(wanted, &recognised, cookie),
            Err(cause) => unavailable(wanted, &cause),
        }
    }

    async fn answered(&self, wanted: &KeyRequest, form: &Fields) -> HttpResponse {
        let field = |name: &str| form.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value);
        let Some(cookie) = self.site.cookies.session_in(self.request) else { return sign_in(wanted) };
        if !csrf::same_origin(self.request, self.site) || !csrf::matches(&self.site.ring, FORM, &cookie, field("csrf")) {
            tracing::warn!(reason = "not from our own page", "a key for an application refused");
            return error::json(StatusCode::FORBIDDEN, "access_denied", "The answer did not come from this site's own page.");
        }
        let recognised = match self.person(wanted, &cookie).await {
            Ok(recognised) => recognised,
            Err(response) => return response,
        };
        if field("decision") != "allow" {
            tracing::info!(user = recognised.judged.identity.user, "a key for an application refused by the person");
            return told(wanted, StatusCode::FORBIDDEN, "access_denied", "The person refused.");
        }
        let response = self.give(wanted, &recognised).await;
        if response.status().is_success() || response.status().is_redirection() {
            self.remember(wanted, &recognised).await;
        }
        response
    }

    /// Whose session it is, if they have signed in lately; otherwise what to answer.
    async fn person(&self, wanted: &KeyRequest, cookie: &str) -> Result<Recognised, HttpResponse> {
        match self.checker.recognise(Ok(Credential::Session(cookie))).await {
            Err(Unrecognised::Unauthenticated(_)) => Err(sign_in(wanted)),
            Err(Unrecognised::Unavailable(cause)) => Err(unavailable(wanted, &cause.to_string())),
            Ok(recognised) => match &recognised.by {
                By::Session(signed_in) if self.services.1.is_fresh(signed_in.session.created) => Ok(recognised),
                _ => Err(sign_in(wanted)),
            },
        }
    }

    fn credential(&self) -> Result<Credential<'_>, crate::check::Ambiguous> {
        let values = |name: &'static str| self.request.headers().get_all(name).map(|value| value.as_bytes());
        Credential::find(Places::ALL, self.site.cookies.session, values)
    }

    fn consent(&self, wanted: &KeyRequest, recognised: &Recognised, cookie: &str) -> HttpResponse {
        let By::Session(signed_in) = &recognised.by else { return sign_in(wanted) };
        let body = pages::render(&AppKey {
            application: wanted.redirect.as_ref().map_or_else(|| "your command line".to_owned(), |redirect| redirect.shown()),
            account: account(signed_in, &recognised.judged),
            life: self.services.0.life,
            warning: warning(wanted),
            fields: wanted.fields().into_iter().map(|(name, value)| (name, value.to_owned())).collect(),
            csrf: csrf::token(&self.site.ring, FORM, cookie),
            action: PATH,
        });
        let target = wanted.redirect.as_ref().map(|redirect| redirect.form_target());
        page_with_forms(StatusCode::OK, body, target.as_deref().map_or(FormTargets::OwnOnly, FormTargets::And))
    }

    async fn give(&self, wanted: &KeyRequest, recognised: &Recognised) -> HttpResponse {
        let (apps, service, principals, _) = self.services;
        let application = wanted.redirect.as_ref().map_or_else(|| "command line".to_owned(), |redirect| redirect.application());
        let wish = Wish {
            lasting: Some(Lasting::of(apps.life)),
            application: Some(application.clone()),
            alias: Some(application),
            ..Wish::default()
        };
        match service.make_for_application(&manager(recognised), &wish).await {
            Ok((made, ended)) => {
                ended.into_iter().for_each(|id| principals.forget_key(id));
                given(wanted, &made, service.remaining(&made.key))
            }
            // It was good a moment ago, and has been revoked since.
            Err(KeysError::Ended) => unauthorised(Unauthenticated::UnknownCredential),
            Err(KeysError::NoRole) => told(wanted, StatusCode::FORBIDDEN, "access_denied", "No role is granted to the person."),
            Err(KeysError::Full) => {
                told(wanted, StatusCode::FORBIDDEN, "access_denied", "The person has as many keys as are allowed.")
            }
            Err(KeysError::TooDeep | KeysError::Disabled | KeysError::NotManaging | KeysError::NoSuchUser) => {
                told(wanted, StatusCode::FORBIDDEN, "access_denied", "This credential makes no keys.")
            }
            Err(error) => {
                tracing::error!(%error, "a key for an application can't be made");
                told(wanted, StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "Keys can't be made at the moment.")
            }
        }
    }

    /// Only for hosts that the operator has listed: on the person's own machine anything may wait at an address.
    async fn is_remembered(&self, wanted: &KeyRequest, recognised: &Recognised) -> Result<bool, String> {
        let Some(redirect) = listed(wanted) else { return Ok(false) };
        let users = &self.services.3;
        users.trusts(&recognised.judged.identity.user, redirect).await.map_err(|error| error.to_string())
    }

    async fn remember(&self, wanted: &KeyRequest, recognised: &Recognised) {
        let Some(redirect) = listed(wanted) else { return };
        if let Err(error) = self.services.3.trust(&recognised.judged.identity.user, redirect).await {
            tracing::warn!(%error, "an answer is not remembered");
        }
    }

    fn finish(&self, mut response: HttpResponse) -> HttpResponse {
        seal(&self.services.0.origins, self.request, response.headers_mut());
        response
    }
}

fn listed(wanted: &KeyRequest) -> Option<&str> {
    wanted.redirect.as_ref().filter(|redirect| redirect.kind() == RedirectKind::Https).map(|redirect| redirect.as_str())
}

/// What the person should know before they agree.
fn warning(wanted: &KeyRequest) -> Option<&'static str> {
    match wanted.redirect.as_ref().map(|redirect| redirect.kind()) {
        Some(RedirectKind::CustomScheme | RedirectKind::Loopback) => {
            Some("Agree only if you have just begun this in a program on your own machine.")
        }
        None => Some("The key is shown in this window. Agree only if you have just asked for it."),
        Some(RedirectKind::Https) => None,
    }
}

/// Back here after a sign-in.
fn sign_in(wanted: &KeyRequest) -> HttpResponse {
    redirect(StatusCode::FOUND, &login_href(&again(wanted), None))
}

fn again(wanted: &KeyRequest) -> ReturnTo {
    let target = format!("{PATH}?{}", wanted.to_query());
    ReturnTo::parse(&target, "").unwrap_or_else(|_| ReturnTo::root())
}

fn given(wanted: &KeyRequest, made: &Made, expires_in: u64) -> HttpResponse {
    let secret = made.secret.expose();
    match wanted.location(Outcome::Key { secret, expires_in }) {
        Some(location) => redirect(StatusCode::SEE_OTHER, &location),
        None => {
            let mut body = json!({"access_token": secret, "token_type": "Bearer", "expires_in": expires_in});
            with_state(&mut body, wanted);
            HttpResponse::Ok().json(body)
        }
    }
}

/// An error in the way that the application asked for.
fn told(wanted: &KeyRequest, status: StatusCode, code: &str, description: &str) -> HttpResponse {
    match wanted.location(Outcome::Error { code, description }) {
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
    tracing::error!(cause, "a key for an application can't be made");
    told(wanted, StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "Keys can't be made at the moment.")
}

/// Never led anywhere: where the answer should go is what is wrong, or may be.
fn refused(wrong: RequestError) -> HttpResponse {
    tracing::info!(reason = %wrong, "a key for an application refused");
    let code = if wrong == RequestError::ResponseType { "unsupported_response_type" } else { "invalid_request" };
    error::json(StatusCode::BAD_REQUEST, code, &wrong.to_string())
}

fn unauthorised(why: Unauthenticated) -> HttpResponse {
    error::challenged("invalid_token", why.description(), error::CHALLENGE_INVALID)
}

/// What every answer of this address carries (RFC 6749, section 5.1), errors and pages too.
fn seal(origins: &Origins, request: &HttpRequest, headers: &mut HeaderMap) {
    // A page has the person's name and the token that its form is known by: no other origin is to read it.
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    match is_page {
        true => headers.append(header::VARY, HeaderValue::from_static("Origin")),
        false => cors::allow(origins, request, headers),
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}
