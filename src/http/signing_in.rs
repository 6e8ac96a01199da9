//! Everybody's ways in and out: at a provider, with a password, by an invitation.

mod login;
mod logout;
mod onboarding;
mod password;

use actix_web::{
    dev::HttpServiceFactory,
    middleware::from_fn,
    web::{self, ServiceConfig},
};

use super::{api::address::Address, get, rate};

pub(super) fn routes(app: &mut ServiceConfig) {
    app.service(
        web::resource("/sso/login").wrap(from_fn(rate::login_starts)).route(get().to(login::begin)).post(password::sign_in),
    )
    .service(callback("/sso/callback"))
    .service(callback("/sso/callback/{provider}"))
    .service(web::resource("/sso/logout").route(get().to(logout::ask)).post(logout::act))
    .service(web::resource("/onboarding").wrap(from_fn(rate::claims)).route(get().to(onboarding::show)).post(onboarding::act))
    .service(Address::new("/onboarding/get_token").with_query().get(onboarding::get_token).into_resource())
    .service(Address::new("/onboarding/claim_token").post(onboarding::claim_token).into_resource());
}

/// A resource of two patterns would be a regular expression for each request. A head alone would use the login up and bring the
/// browser nothing.
fn callback(path: &'static str) -> impl HttpServiceFactory {
    web::resource(path).wrap(from_fn(rate::callbacks)).route(web::get().to(login::callback))
}
