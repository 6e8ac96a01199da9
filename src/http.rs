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
mod session;
mod signing_in;
mod told_path;
mod visit;

pub use apps::Apps;
pub use cookies::CookieNames;
pub use links::RETURN_PARAMETER;
pub use request::{BodyDeadline, ProxyTrust};

use std::{io::ErrorKind, sync::Arc};

use actix_web::{
    HttpResponse, Route,
    error::{PayloadError, UrlencodedError},
    guard,
    http::{Method, StatusCode, header},
    middleware::from_fn,
    web::{self, Data, FormConfig, ServiceConfig},
};

use api::address::Address;
use drain::Drain;

use crate::{
    accounts::Accounts, check::Checker, keys::Keys, login::Login, metrics::Metrics, origin::PublicUrl, pages, people::People,
    principal::Role, principals::Principals, rate_limits::RateLimits, roles::RoleMaps, secret::Handle, session::Limits,
    upstream::Upstream, users::Users,
};

/// Forms are small; nothing else has a body.
const LARGEST_FORM: usize = 16 << 10;

/// Local accounts, where there are any.
pub type Local = Data<Option<Accounts>>;

/// What the pages need, one service each.
#[derive(Clone)]
pub struct Public {
    pub site: Data<Site>,
    pub login: Data<Login>,
    pub checker: Data<Checker>,
    pub users: Data<Users>,
    pub keys: Data<Keys>,
    pub apps: Data<Apps>,
    pub people: Data<People>,
    pub local: Local,
    pub role_maps: Data<RoleMaps>,
    pub upstream: Data<Upstream>,
    pub principals: Data<Principals>,
    pub rate_limits: Data<RateLimits>,
    pub metrics: Data<Metrics>,
    pub drain: Drain,
    pub body_deadline: BodyDeadline,
}

/// What is the same for every page.
pub struct Site {
    pub public_url: PublicUrl,
    pub cookies: CookieNames,
    pub limits: Limits,
    pub proxies: ProxyTrust,
    pub ring: Arc<crate::secret::KeyRing>,
    /// Whether people sign in with a password that they have here.
    pub local_accounts: bool,
    /// Who manages people.
    pub admin_roles: Vec<Role>,
    /// Whom people ask for access.
    pub contact: String,
    /// What is on, for the operator who has configured nothing yet: one plain sentence each.
    pub facts: Vec<String>,
    /// Whose pages these are.
    pub brand: Arc<pages::Brand>,
}

impl Site {
    /// Gives the browser the cookies of who has signed in with a password.
    fn admit(&self, response: &mut HttpResponse, session: &Handle, device: &str) {
        let session = self.cookies.session_cookie(session.expose(), self.limits.absolute);
        for cookie in [session, self.cookies.device_cookie(device)] {
            // Adding fails only for values that can't stand in a header; ours are base64url.
            let _ = response.add_cookie(&cookie);
        }
    }
}

/// Routes of the public listener.
pub fn public(public: Public) -> impl FnOnce(&mut ServiceConfig) + Clone {
    move |app| {
        app.app_data(public.site).app_data(public.login).app_data(public.checker);
        app.app_data(public.users)
            .app_data(public.keys)
            .app_data(public.apps)
            .app_data(public.people)
            .app_data(public.local)
            .app_data(public.role_maps)
            .app_data(public.upstream)
            .app_data(public.principals)
            .app_data(public.rate_limits)
            .app_data(public.metrics);
        app.app_data(Data::new(public.drain)).app_data(public.body_deadline).app_data(forms());
        app.app_data(web::QueryConfig::default().error_handler(|_, request| error::unreadable(request)));
        let pages = web::scope("")
            .wrap(from_fn(request::observe))
            .configure(signing_in::routes)
            .configure(own::routes)
            .configure(administration::routes)
            .service(Address::new("/sso/session").with_query().get(session::show).into_resource())
            .service(
                // A head alone would make a key that nobody sees.
                web::resource(crate::apps::PATH)
                    .wrap(from_fn(rate::unknown_credentials))
                    .wrap(from_fn(apps::seal))
                    .route(web::get().to(apps::ask))
                    .route(web::post().to(apps::answer))
                    .route(web::method(Method::OPTIONS).to(apps::preflight)),
            )
            .service(Address::new(jwks::PATH).with_query().get(jwks::show).into_resource())
            .route("/vestibule/assets/{name}", get().to(asset))
            .service(api::routes())
            .default_service(web::to(error::not_found));
        app.service(pages);
    }
}

fn forms() -> FormConfig {
    FormConfig::default().limit(LARGEST_FORM).error_handler(|cause, request| match cause {
        UrlencodedError::Payload(PayloadError::Io(cause)) if cause.kind() == ErrorKind::TimedOut => error::slow(request),
        _ => error::unreadable(request),
    })
}

/// Whoever may GET may ask for the head alone.
fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn asset(name: web::Path<String>, site: Data<Site>) -> HttpResponse {
    let Some(asset) = pages::asset(&site.brand, &name) else {
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
