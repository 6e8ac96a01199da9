//! A person's own pages.

mod home;
mod keys;
mod methods;
mod sessions;

use actix_web::web::{self, ServiceConfig};

use super::get;

pub(super) fn routes(app: &mut ServiceConfig) {
    app.route("/", get().to(home::to_home))
        .route("/vestibule", get().to(home::to_home))
        .route("/vestibule/", get().to(home::show))
        .service(web::resource("/vestibule/keys").route(get().to(keys::show)).post(keys::act))
        .service(web::resource("/vestibule/sessions").route(get().to(sessions::show)).post(sessions::act))
        .service(web::resource("/vestibule/sign-in").route(get().to(methods::show)).post(methods::act));
}
