//! Signing in and out: at a provider, with a password, by an invitation.

pub(super) mod json;
mod logout;
mod onboarding;
mod password;
mod provider;
mod sign_in_page;

use actix_web::{
    dev::HttpServiceFactory,
    middleware::from_fn,
    web::{self, ServiceConfig},
};

use super::{Services, api::endpoint::Endpoint, get, rate_limit};
use crate::rate_limits::Activity;

pub(super) fn routes(app: &mut ServiceConfig, services: &Services) {
    app.service(
        web::resource("/sso/login")
            .wrap(from_fn(rate_limit::limit_page_views(services, Activity::LoginStart)))
            .route(get().to(provider::begin))
            .post(password::sign_in),
    )
    .service(callback("/sso/callback", services))
    .service(callback("/sso/callback/{provider}", services))
    .service(web::resource("/sso/logout").route(get().to(logout::ask)).post(logout::act))
    .service(
        web::resource("/onboarding")
            .wrap(from_fn(rate_limit::limit(services, Activity::Onboarding)))
            .route(get().to(onboarding::show))
            .post(onboarding::act),
    )
    .service(Endpoint::new("/onboarding/get_token").with_query().get(onboarding::get_token).into_resource())
    .service(Endpoint::new("/onboarding/claim_token").post(onboarding::claim_token).into_resource());
}

/// A resource of two patterns would be a regular expression for each request. A HEAD request would use up the login flow and
/// give the browser nothing, so only GET is routed.
fn callback(path: &'static str, services: &Services) -> impl HttpServiceFactory + use<> {
    let limit = rate_limit::limit(services, Activity::Callback);
    web::resource(path).wrap(from_fn(limit)).route(web::get().to(provider::callback))
}
