//! The edge: three listeners, their routes, and what every answer carries.

pub mod admin;
mod administration;
mod api;
mod apps;
mod binding;
pub mod check;
pub mod connections;
mod cookies;
mod cors;
mod credential;
mod csrf;
pub mod drain;
mod error;
mod jwks;
mod links;
mod names;
mod own;
mod passwords;
mod rate;
mod request;
mod request_id;
mod services;
mod session;
mod signing_in;
mod site;
mod told_path;
mod visit;

pub use apps::Apps;
pub use cookies::CookieNames;
pub use links::RETURN_PARAMETER;
pub use request::ProxyTrust;
pub use services::Services;
pub use site::Site;

use std::{io::ErrorKind, sync::Arc, time::Duration};

use actix_web::{
    HttpResponse, Route,
    body::BoxBody,
    error::{PayloadError, UrlencodedError},
    guard,
    http::{Method, StatusCode, header},
    middleware::{Next, from_fn},
    web::{self, FormConfig, QueryConfig, ServiceConfig},
};

use api::address::Address;
use drain::Drain;
use request::Observer;

use crate::{origin::PublicUrl, pages};

/// Forms are small; nothing else has a body.
const LARGEST_FORM: usize = 16 << 10;

/// Routes of the public listener. `body_deadline` is how long a client may take to send a request's body.
pub fn public(services: Services, drain: Drain, body_deadline: Duration) -> impl FnOnce(&mut ServiceConfig) + Clone {
    move |app| {
        let observer = Observer::new(&services, drain, body_deadline);
        let pages = web::scope("")
            .wrap(from_fn(move |request, next: Next<BoxBody>| observer.clone().observe(request, next)))
            .configure(|app| signing_in::routes(app, &services))
            .configure(own::routes)
            .configure(administration::routes)
            .service(Address::new("/sso/session").with_query().get(session::show).into_resource())
            .service(
                // A head alone would make a key that nobody sees.
                web::resource(crate::apps::PATH)
                    .wrap(from_fn(rate::limit_unknown_credentials(&services)))
                    .wrap(from_fn(apps::seal(&services)))
                    .route(web::get().to(apps::ask))
                    .route(web::post().to(apps::answer))
                    .route(web::method(Method::OPTIONS).to(apps::preflight)),
            )
            .service(Address::new(jwks::PATH).with_query().get(jwks::show).into_resource())
            .route("/vestibule/assets/{name}", get().to(asset))
            .service(api::routes(&services))
            .default_service(web::to(error::not_found));
        app.app_data(forms(&services.site)).app_data(queries(&services.site)).app_data(services).service(pages);
    }
}

fn forms(site: &Arc<Site>) -> FormConfig {
    let site = Arc::clone(site);
    FormConfig::default().limit(LARGEST_FORM).error_handler(move |cause, request| match cause {
        UrlencodedError::Payload(PayloadError::Io(cause)) if cause.kind() == ErrorKind::TimedOut => error::slow(request, &site),
        _ => error::unreadable(request, &site),
    })
}

fn queries(site: &Arc<Site>) -> QueryConfig {
    let site = Arc::clone(site);
    QueryConfig::default().error_handler(move |_, request| error::unreadable(request, &site))
}

/// Whoever may GET may ask for the head alone.
fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn asset(name: web::Path<String>, services: Services) -> HttpResponse {
    let Some(asset) = pages::asset(&services.site.brand, &name) else {
        return HttpResponse::NotFound().insert_header((header::CACHE_CONTROL, "no-store")).finish();
    };
    let mut response = HttpResponse::Ok();
    response.content_type(asset.content_type).insert_header((header::CACHE_CONTROL, asset.cache_control));
    if let Some(policy) = asset.policy {
        response.insert_header((header::CONTENT_SECURITY_POLICY, policy));
    }
    response.body(asset.body)
}

/// Which addresses besides our own a page's forms may lead to. Browsers apply this to redirects too.
enum FormTargets<'a> {
    OwnOnly,
    And(&'a str),
}

/// Whether a page runs our own files of script.
enum Scripts<'a> {
    None,
    /// Those below this origin's assets, and nothing else that the origin may serve.
    Of(&'a PublicUrl),
}

fn page(status: StatusCode, body: String) -> HttpResponse {
    page_with(status, body, &FormTargets::OwnOnly, &Scripts::None)
}

fn page_with(status: StatusCode, body: String, targets: &FormTargets<'_>, scripts: &Scripts<'_>) -> HttpResponse {
    let targets = match targets {
        FormTargets::OwnOnly => "'self'".to_owned(),
        FormTargets::And(other) => format!("'self' {other}"),
    };
    let scripts = match scripts {
        Scripts::None => String::new(),
        Scripts::Of(public_url) => format!("script-src {}; ", public_url.join(pages::ASSETS)),
    };
    let policy = format!(
        "default-src 'none'; {scripts}style-src 'self'; img-src 'self'; form-action {targets}; frame-ancestors 'none'; \
         base-uri 'none'"
    );
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .body(body)
}

fn redirect(status: StatusCode, to: &str) -> HttpResponse {
    HttpResponse::build(status).insert_header((header::LOCATION, to)).finish()
}
