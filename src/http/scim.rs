//! `/vestibule/scim/v2`: the company's directory provisions users and groups by SCIM 2.0.

mod answer;
mod discovery;
mod groups;
mod request;
mod users;

use actix_web::{
    HttpRequest, HttpResponse,
    body::BoxBody,
    dev::ServiceRequest,
    guard,
    http::{
        Method,
        header::{self, HeaderValue},
    },
    middleware::{Next, from_fn},
    web::{self, PayloadConfig, ServiceConfig},
};
use futures::future::FutureExt;

use super::{
    Services,
    paths::SCIM,
    rate_limit::{self, ResponseFuture},
};
use crate::{
    metrics::{ScimMethod, ScimResource},
    scim::Scim,
};
use answer::ScimRefusal;

/// The size limit of bodies about groups, in bytes: a group with the maximum number of members.
const LARGEST_GROUP: usize = 4 << 20;

/// The size limit of bodies about users, in bytes: far more than the attributes that are kept.
const LARGEST_USER: usize = 256 << 10;

/// The routes, if a directory is configured.
pub(super) fn routes(app: &mut ServiceConfig, services: &Services) {
    if services.scim.is_none() {
        return;
    }
    let scope = web::scope(SCIM)
        .app_data(PayloadConfig::new(LARGEST_GROUP))
        .service(users::all().app_data(PayloadConfig::new(LARGEST_USER)))
        .service(users::one().app_data(PayloadConfig::new(LARGEST_USER)))
        .service(groups::all())
        .service(groups::one())
        .configure(discovery::routes)
        .default_service(web::to(async || ScimRefusal::NoEndpoint.respond()))
        .wrap(from_fn(observe(services)));
    app.service(scope);
}

/// Middleware that limits, authenticates and counts requests, before a body is read.
fn observe(services: &Services) -> impl Fn(ServiceRequest, Next<BoxBody>) -> ResponseFuture + use<> {
    let services = services.clone();
    move |request, next| {
        let services = services.clone();
        async move {
            let (resource, method) = (resource_of(request.path()), method_of(request.method()));
            let admitted = match &services.scim {
                Some(scim) => admit(&services, scim, request.request()),
                None => Err(ScimRefusal::NoEndpoint),
            };
            let response = match admitted {
                Ok(()) => next.call(request).await?,
                Err(refusal) => request.into_response(refusal.respond()),
            };
            services.metrics.scim_request(resource, method, response.status().as_u16());
            Ok(response)
        }
        .boxed_local()
    }
}

fn admit(services: &Services, scim: &Scim, request: &HttpRequest) -> Result<(), ScimRefusal> {
    rate_limit::limit_scim(services, request)?;
    let mut given = request.headers().get_all(header::AUTHORIZATION);
    let token = given.next().and_then(bearer_token).ok_or(ScimRefusal::NoToken)?;
    match given.next().is_none() && scim.tokens.accept(token) {
        true => Ok(()),
        false => Err(ScimRefusal::WrongToken),
    }
}

/// Returns the token of a header of scheme Bearer, whose name ignores case.
fn bearer_token(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn resource_of(path: &str) -> ScimResource {
    match path.strip_prefix(SCIM).and_then(|rest| rest.split('/').nth(1)) {
        Some("Users") => ScimResource::Users,
        Some("Groups") => ScimResource::Groups,
        _ => ScimResource::Discovery,
    }
}

fn method_of(method: &Method) -> ScimMethod {
    match *method {
        Method::GET | Method::HEAD => ScimMethod::Get,
        Method::POST => ScimMethod::Post,
        Method::PUT => ScimMethod::Put,
        Method::PATCH => ScimMethod::Patch,
        Method::DELETE => ScimMethod::Delete,
        _ => ScimMethod::Other,
    }
}

/// A route for GET and HEAD.
fn get() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// The answer to a method that a resource does not have.
async fn refuse_method() -> HttpResponse {
    ScimRefusal::Method.respond()
}

/// The service of the configured directory. The routes exist only with one.
fn scim_of(services: &Services) -> Result<&Scim, ScimRefusal> {
    services.scim.as_deref().ok_or(ScimRefusal::NoEndpoint)
}
