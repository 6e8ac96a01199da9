//! `/sso/frontchannel-logout`: receives the requests by which a provider's page ends a session.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Path, Query},
};
use serde::Deserialize;

use crate::{
    frontchannel_logout::NamedProvider,
    http::{
        Services,
        api::{ApiError, Endpoint},
        error::Failure,
        rate_limit,
    },
};

/// The parameters of a request (OpenID Connect Front-Channel Logout 1.0, section 3). An empty one counts as absent.
#[derive(Deserialize)]
struct LogoutQuery {
    iss: Option<String>,
    sid: Option<String>,
}

/// The endpoint at this path. The path of a provider ends with its id.
pub(super) fn endpoint(path: &'static str) -> Endpoint {
    Endpoint::new(path).with_query().get(receive)
}

async fn receive(request: HttpRequest, provider: Option<Path<String>>, services: Services) -> HttpResponse {
    let query = match read_query(&request, &services) {
        Ok(query) => query,
        Err(error) => return error.respond(),
    };
    let (provider, sid) = match query.target(provider.as_deref().map(String::as_str)) {
        Ok(target) => target,
        Err(error) => return error.respond(),
    };
    match services.frontchannel_logout.accept(provider, sid).await {
        Ok(()) => HttpResponse::Ok().finish(),
        Err(error) => Failure::from(&error).json(),
    }
}

fn read_query(request: &HttpRequest, services: &Services) -> Result<LogoutQuery, ApiError> {
    rate_limit::limit_provider_logout(services, request)?;
    Query::from_query(request.query_string()).map(Query::into_inner).map_err(|_| ApiError::Malformed)
}

impl LogoutQuery {
    /// Returns the provider and its session. No cookie identifies the session, so that `sid` is required.
    fn target<'a>(&'a self, id: Option<&'a str>) -> Result<(NamedProvider<'a>, &'a str), ApiError> {
        let given = |value: &'a Option<String>| value.as_deref().filter(|value| !value.is_empty());
        let sid = given(&self.sid).ok_or_else(|| ApiError::missing("sid"))?;
        let provider = match (id, given(&self.iss)) {
            (Some(id), issuer) => NamedProvider::Id { id, issuer },
            (None, Some(issuer)) => NamedProvider::Issuer(issuer),
            (None, None) => return Err(ApiError::missing("iss")),
        };
        Ok((provider, sid))
    }
}
