//! The HTTP listeners: routes, middleware and responses.

mod account;
mod api;
mod api_keys;
mod api_routes;
mod app_keys;
mod browser_binding;
pub mod check;
pub mod connections;
mod cookies;
mod cors;
mod credential_headers;
mod display_names;
pub mod drain;
mod error;
mod fetch_metadata;
mod form_token;
pub mod health;
mod invitations;
mod jwks;
mod login;
mod page_origin;
mod page_request;
mod page_settings;
mod pagination;
mod passwords;
mod paths;
mod rate_limit;
mod redacted_path;
mod request;
mod request_id;
mod role_map;
mod scim;
mod security_headers;
mod services;
mod sessions;
mod sign_in_methods;
mod users;

pub use cookies::CookieNames;
pub use form_token::FormTokens;
pub use page_settings::Site;
pub use paths::RETURN_PARAMETER;
pub use services::Services;

use std::{io::ErrorKind, sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, Route,
    body::BoxBody,
    error::{PayloadError, UrlencodedError},
    guard,
    http::{Method, StatusCode, header},
    middleware::{Next, from_fn},
    web::{self, FormConfig, QueryConfig, ServiceConfig},
};

use api::endpoint::Endpoint;
use drain::Drain;
use request::Observer;
use security_headers::{FormTargets, Scripts};

use crate::pages;

/// The size limit of forms, in bytes.
const LARGEST_FORM: usize = 16 << 10;

/// Routes of the public listener. A client must send a request's body within `body_deadline`.
pub fn public(services: Services, drain: Drain, body_deadline: Duration) -> impl FnOnce(&mut ServiceConfig) + Clone {
    move |app| {
        let observer = Observer::new(&services, drain, body_deadline);
        // The last one is the outermost: it sees every response.
        let pages = web::scope("")
            .wrap(from_fn(page_origin::redirect_pages(&services)))
            .wrap(from_fn(move |request, next: Next<BoxBody>| observer.clone().observe(request, next)))
            .configure(|app| login::routes(app, &services))
            .configure(account::routes)
            .configure(api_keys::page::routes)
            .configure(sessions::page::routes)
            .configure(sign_in_methods::page::routes)
            .configure(users::page::routes)
            .configure(invitations::page::routes)
            .configure(role_map::page::routes)
            .service(Endpoint::new("/sso/session").with_query().get(sessions::current_session::show).into_resource())
            .service(
                // HEAD is not routed, since it would create a key without showing it.
                web::resource(crate::api_keys::app_requests::PATH)
                    .wrap(from_fn(rate_limit::limit_unknown_credentials(&services)))
                    .wrap(from_fn(app_keys::add_response_headers(&services)))
                    .route(web::get().to(app_keys::authorize))
                    .route(web::post().to(app_keys::submit))
                    .route(web::method(Method::OPTIONS).to(app_keys::preflight)),
            )
            .service(Endpoint::new(jwks::PATH).with_query().get(jwks::show).into_resource())
            .route("/vestibule/assets/{name}", get().to(asset))
            .service(api_routes::routes(&services))
            .configure(|app| scim::routes(app, &services))
            .default_service(web::to(error::not_found));
        app.app_data(forms(&services.site)).app_data(queries(&services.site)).app_data(services).service(pages);
    }
}

fn forms(site: &Arc<Site>) -> FormConfig {
    let site = Arc::clone(site);
    FormConfig::default().limit(LARGEST_FORM).error_handler(move |cause, request| match cause {
        UrlencodedError::Payload(PayloadError::Io(cause)) if cause.kind() == ErrorKind::TimedOut => {
            error::reject_slow_body(request, &site)
        }
        _ => error::reject_malformed_query(request, &site),
    })
}

fn queries(site: &Arc<Site>) -> QueryConfig {
    let site = Arc::clone(site);
    QueryConfig::default().error_handler(move |_, request| error::reject_malformed_query(request, &site))
}

/// A route for GET and HEAD.
fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn asset(request: HttpRequest, name: web::Path<String>, services: Services) -> HttpResponse {
    let Some(asset) = services.site.asset(request.headers(), &name) else { return HttpResponse::NotFound().finish() };
    let mut response = HttpResponse::Ok().content_type(asset.content_type).finish();
    security_headers::for_asset(response.headers_mut(), &asset);
    response.set_body(BoxBody::new(asset.body))
}

fn page(status: StatusCode, body: String) -> HttpResponse {
    page_with(status, body, &FormTargets::OwnOnly, &Scripts::None)
}

fn page_with(status: StatusCode, body: String, targets: &FormTargets<'_>, scripts: &Scripts<'_>) -> HttpResponse {
    let mut response = HttpResponse::build(status).content_type("text/html; charset=utf-8").body(body);
    security_headers::for_page(response.headers_mut(), targets, scripts);
    response
}

fn redirect(status: StatusCode, to: &str) -> HttpResponse {
    HttpResponse::build(status).insert_header((header::LOCATION, to)).finish()
}
