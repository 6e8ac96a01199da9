//! `/vestibule/api/`: what the pages do, as JSON for programs.
//!
//! Somebody is recognised as at a check, by what stands in a header or by the session's cookie. A browser
//! sends its cookie along whoever makes it ask, so that a change by cookie has to come from our own pages.

pub(super) mod fields;
mod identities;
pub(super) mod invitations;
pub(super) mod keys;
mod password;
mod people;
mod redirects;
pub(super) mod refused;
pub(super) mod role_map;
pub(super) mod sessions;
mod sign_in;

use actix_web::{
    HttpRequest, HttpResponse, Resource, Scope,
    error::PayloadError,
    http::{StatusCode, header},
    web::{self, Bytes, PayloadConfig},
};

use super::{Site, csrf, error};
use crate::{
    access::Places,
    check::{By, Checker, Credential, Recognised},
    keys::Keys,
    principal::Judged,
    sign_ins::Administrator,
};
use fields::Fields;
use refused::Refused;

pub(super) use keys::manager;

/// Far more than any call needs.
const LARGEST_BODY: usize = 16 << 10;

/// What a call is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intent {
    Look,
    Change,
    /// A secret will be shown: by a session it takes a fresh sign-in.
    ShowSecret,
}

pub(super) fn routes() -> Scope {
    web::scope("/vestibule/api")
        .app_data(PayloadConfig::new(LARGEST_BODY))
        .service(keys::all())
        .service(keys::one())
        .service(keys::regenerate())
        .service(redirects::all())
        .service(sessions::all())
        .service(sessions::one())
        .service(identities::all())
        .service(identities::unlink())
        .service(password::change())
        .service(sign_in::sign_in())
        .service(invitations::all())
        .service(invitations::one())
        .service(people::all())
        .service(people::one())
        .service(people::disable())
        .service(people::enable())
        .service(people::sessions())
        .service(role_map::in_force())
        .service(role_map::explain())
        .default_service(web::to(async || Refused::NotFound.respond()))
}

/// An address with the methods that it will be given; all others are refused.
fn resource(path: &str, allowed: &'static str) -> Resource {
    web::resource(path.to_owned()).default_service(web::to(move || {
        let mut response = Refused::Method.respond();
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allowed));
        std::future::ready(response)
    }))
}

/// Who calls, if they may do such a thing in such a way.
async fn caller(
    request: &HttpRequest,
    site: &Site,
    checker: &Checker,
    keys: &Keys,
    intent: Intent,
) -> Result<Recognised, Refused> {
    let values = |name: &'static str| request.headers().get_all(name).map(|value| value.as_bytes());
    let credential = Credential::find(Places::ALL, site.cookies.session, values);
    let recognised = checker.recognise(credential).await.map_err(Refused::Unrecognised)?;
    if let By::Session(signed_in) = &recognised.by {
        if intent != Intent::Look && !is_same_origin(request, site) {
            return Err(Refused::ForeignOrigin);
        }
        if intent == Intent::ShowSecret && !keys.is_fresh(signed_in.session.created) {
            return Err(Refused::StaleSignIn);
        }
    }
    Ok(recognised)
}

/// The caller as an administrator, in person or by a key that is for that.
fn administrator<'a>(site: &Site, caller: &'a Recognised) -> Result<Administrator<'a>, Refused> {
    let Judged { grant, identity, .. } = &*caller.judged;
    let role = grant.role.as_ref().filter(|role| site.admin_roles.contains(role)).ok_or(Refused::NotAdministrator)?;
    match manager(caller).may_manage_people() {
        true => Ok(Administrator { user: &identity.user, role }),
        false => Err(Refused::NotManagingPeople),
    }
}

/// Every browser says where a request comes from that changes something; one that says nothing is none of
/// those that people use, and a program has keys.
fn is_same_origin(request: &HttpRequest, site: &Site) -> bool {
    csrf::came_from(request, site) == csrf::CameFrom::Ourselves
}

/// The fields of a body; none of an empty one. By a session it has to be said of that one too that it is JSON, since a page
/// of another origin can't say so without asking first.
fn fields(request: &HttpRequest, body: Result<Bytes, actix_web::Error>, caller: &Recognised) -> Result<Fields, Refused> {
    let body = body.map_err(|error| unread(&error))?;
    if body.is_empty() && !matches!(caller.by, By::Session(_)) {
        return Ok(Fields::default());
    }
    json_fields(request, &body)
}

/// The fields of a body that is said to be JSON.
pub(super) fn json_fields(request: &HttpRequest, body: &Bytes) -> Result<Fields, Refused> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Refused::NotJson);
    }
    if body.is_empty() { Ok(Fields::default()) } else { Fields::parse(body).ok_or(Refused::Malformed) }
}

pub(super) fn unread(error: &actix_web::Error) -> Refused {
    match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => Refused::TooLarge,
        Some(PayloadError::Io(cause)) if cause.kind() == std::io::ErrorKind::TimedOut => Refused::Slow,
        _ => Refused::Malformed,
    }
}

pub(super) fn answer(outcome: Result<HttpResponse, Refused>) -> HttpResponse {
    outcome.unwrap_or_else(|refused| refused.respond())
}

impl Refused {
    fn respond(&self) -> HttpResponse {
        let response = error::api(self);
        if response.status().is_server_error() {
            tracing::error!(cause = %self.cause(), "a call can't be answered");
        } else {
            tracing::info!(reason = %self.cause(), "call refused");
        }
        response
    }
}

/// A plain answer.
fn json(status: StatusCode, body: serde_json::Value) -> HttpResponse {
    HttpResponse::build(status).json(body)
}
