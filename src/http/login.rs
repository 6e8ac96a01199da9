//! Sign-in and sign-out: with a provider, a password or an invitation, and sign-out by a provider.

mod backchannel_logout;
mod frontchannel_logout;
mod handover;
pub(super) mod json;
mod login_target;
mod logout;
mod onboarding;
mod password;
mod portal;
mod provider;
mod rejected_header;
mod sign_in_page;
mod silent_login;
mod target_cookies;

use actix_web::{
    HttpRequest, HttpResponse,
    dev::HttpServiceFactory,
    middleware::from_fn,
    web::{self, ServiceConfig},
};

use super::{Services, api::endpoint::Endpoint, error, get, rate_limit};
use crate::client_address::rate_limits::Activity;

pub(super) fn routes(app: &mut ServiceConfig, services: &Services) {
    app.service(
        web::resource("/sso/login")
            .wrap(from_fn(rate_limit::limit_page_views(services, Activity::LoginStart)))
            .route(get().to(provider::begin))
            .post(password::sign_in),
    )
    .service(
        web::resource("/sso/handover")
            .wrap(from_fn(rate_limit::limit(services, Activity::LoginStart)))
            .route(web::get().to(handover::show)),
    )
    .service(callback("/sso/callback", services))
    .service(callback("/sso/callback/{provider}", services))
    .service(web::resource("/sso/logout").route(get().to(logout::show)).post(logout::submit))
    .service(backchannel_logout::endpoint("/sso/backchannel-logout").into_resource())
    .service(backchannel_logout::endpoint("/sso/backchannel-logout/{provider}").into_resource())
    .service(frontchannel_logout::endpoint("/sso/frontchannel-logout").into_resource())
    .service(frontchannel_logout::endpoint("/sso/frontchannel-logout/{provider}").into_resource())
    .service(
        web::resource("/onboarding")
            .wrap(from_fn(rate_limit::limit(services, Activity::Onboarding)))
            .route(get().to(onboarding::show))
            .post(onboarding::submit),
    )
    .service(Endpoint::new("/onboarding/get_token").with_query().get(onboarding::get_token).into_resource())
    .service(Endpoint::new("/onboarding/claim_token").post(onboarding::accept_invitation).into_resource());
}

/// Refuses to answer a script or a frame of this origin, which could read the token of a form that replaces the session.
fn refuse_script(request: &HttpRequest, services: &Services) -> HttpResponse {
    tracing::warn!(reason = "not_a_navigation", suppressed = tracing::field::Empty, "login refused");
    error::navigation_required().respond(request, &services.site)
}

/// One resource per path, since two patterns in one resource are a regular expression for each request. Only GET is routed: a
/// HEAD request would consume the login flow without a result for the browser.
fn callback(path: &'static str, services: &Services) -> impl HttpServiceFactory + use<> {
    let limit = rate_limit::limit(services, Activity::Callback);
    web::resource(path).wrap(from_fn(limit)).route(web::get().to(provider::callback))
}
