//! Administrators' pages.

mod invitations;
mod people;
mod role_map;

use actix_web::web::{self, ServiceConfig};

use super::get;

pub(super) fn routes(app: &mut ServiceConfig) {
    app.route("/vestibule/people", get().to(people::list))
        .service(web::resource("/vestibule/people/{id}").route(get().to(people::show)).post(people::act))
        .service(web::resource("/vestibule/invitations").route(get().to(invitations::show)).post(invitations::act))
        .service(web::resource("/vestibule/role-map").route(get().to(role_map::show)).post(role_map::act));
}
