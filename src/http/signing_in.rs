//! Everybody's ways in and out: at a provider, with a password, by an invitation.

mod login;
mod logout;
mod onboarding;
mod password;

use actix_web::web::{self, ServiceConfig};

use super::get;

pub(super) fn routes(app: &mut ServiceConfig) {
    app.service(web::resource("/sso/login").route(get().to(login::begin)).post(password::sign_in))
        // A head alone would use the login up and bring the browser nothing.
        .route("/sso/callback", web::get().to(login::callback))
        .route("/sso/callback/{provider}", web::get().to(login::callback))
        .service(web::resource("/sso/logout").route(get().to(logout::ask)).post(logout::act))
        .service(web::resource("/onboarding").route(get().to(onboarding::show)).post(onboarding::act))
        .route("/onboarding/get_token", web::get().to(onboarding::get_token))
        .route("/onboarding/claim_token", web::post().to(onboarding::claim_token));
}
