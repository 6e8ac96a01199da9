//! The services that handlers use.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload};

use super::{Site, form_token::FormTokens};
use crate::{
    administration::Administration,
    api_keys::{Keys, app_requests::AppKeySettings},
    backchannel_logout::BackchannelLogout,
    check::Checker,
    claims_refresh::ClaimsRefresher,
    client_address::rate_limits::RateLimits,
    frontchannel_logout::FrontchannelLogout,
    handover::Handovers,
    local_accounts::Accounts,
    login::Login,
    metrics::Metrics,
    principal_cache::Principals,
    role_map::RoleMaps,
    scim::Scim,
    upstream::UpstreamCredentialPolicy,
    users::{Policy, Users},
};

/// All services of the public listener. Handlers receive them as an argument, and middleware when it is created.
#[derive(Clone)]
pub struct Services {
    pub site: Arc<Site>,
    pub form_tokens: Arc<FormTokens>,
    pub login: Arc<Login>,
    pub handovers: Arc<Handovers>,
    pub backchannel_logout: Arc<BackchannelLogout>,
    pub frontchannel_logout: Arc<FrontchannelLogout>,
    pub checker: Arc<Checker>,
    pub refresher: Arc<ClaimsRefresher>,
    pub users: Arc<Users>,
    pub policy: Arc<Policy>,
    pub keys: Arc<Keys>,
    pub app_keys: Arc<AppKeySettings>,
    pub administration: Arc<Administration>,
    /// `None` if local accounts are disabled.
    pub local_accounts: Option<Arc<Accounts>>,
    pub role_maps: Arc<RoleMaps>,
    pub upstream: Arc<UpstreamCredentialPolicy>,
    pub principals: Arc<Principals>,
    /// `None` if no directory provisions users.
    pub scim: Option<Arc<Scim>>,
    pub rate_limits: Arc<RateLimits>,
    pub metrics: Arc<Metrics>,
}

impl FromRequest for Services {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(request.app_data::<Self>().cloned().expect("the routes are registered together with their services")))
    }
}
