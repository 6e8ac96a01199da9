//! The endpoints of the JSON API.

use actix_web::{
    dev::HttpServiceFactory,
    middleware::from_fn,
    web::{self, Data},
};

use super::{
    Services,
    api::{ApiError, Endpoint, openapi},
    api_keys, app_keys, invitations, login,
    paths::API,
    rate_limit, role_map, sessions, sign_in_methods, users,
};

/// All endpoints of the API.
pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        api_keys::json::all(),
        api_keys::json::one(),
        api_keys::json::rotate(),
        app_keys::consents::all(),
        sessions::json::all(),
        sessions::json::one(),
        sign_in_methods::json::all(),
        sign_in_methods::json::unlink(),
        sign_in_methods::password::change(),
        login::json::sign_in(),
        invitations::json::all(),
        invitations::json::one(),
        users::json::all(),
        users::json::one(),
        users::json::disable(),
        users::json::enable(),
        users::json::sessions(),
        role_map::json::active(),
        role_map::json::explain(),
        openapi::document(),
    ]
}

pub(super) fn routes(services: &Services) -> impl HttpServiceFactory + use<> {
    let scope = web::scope(API).app_data(Data::new(openapi::DocumentCache::default()));
    let scope = endpoints().into_iter().fold(scope, |scope, endpoint| scope.service(endpoint.into_resource()));
    scope
        .default_service(web::to(async || ApiError::NotFound.respond()))
        .wrap(from_fn(rate_limit::limit_unknown_credentials(services)))
}
