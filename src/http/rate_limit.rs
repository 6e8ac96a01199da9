//! Rate limits per client address: requests above a limit are answered 429.

use actix_web::{
    HttpRequest,
    body::BoxBody,
    dev::{ServiceRequest, ServiceResponse},
    http::StatusCode,
    middleware::Next,
};
use futures::future::{FutureExt, LocalBoxFuture};

use super::{Services, api::api_error::ApiError, credential_headers::has_credential, error::Failure, request::forwarded_client};
use crate::client_address::rate_limits::{Activity, RateLimitError};

pub(super) type ResponseFuture = LocalBoxFuture<'static, Result<ServiceResponse, actix_web::Error>>;

/// Middleware that counts requests for pages as `activity`. Form submissions are not counted: the password form has quotas of
/// its own.
pub(super) fn limit_page_views(
    services: &Services,
    activity: Activity,
) -> impl Fn(ServiceRequest, Next<BoxBody>) -> ResponseFuture + use<> {
    let limit = limit(services, activity);
    move |request, next| if request.method().is_safe() { limit(request, next) } else { next.call(request).boxed_local() }
}

/// Middleware that counts every request as `activity`, before it is handled.
pub(super) fn limit(services: &Services, activity: Activity) -> impl Fn(ServiceRequest, Next<BoxBody>) -> ResponseFuture + use<> {
    let services = services.clone();
    move |request, next| match spend(&services, activity, request.request()) {
        Ok(()) => next.call(request).boxed_local(),
        Err(exceeded) => {
            let response = Failure::from(exceeded).respond(request.request(), &services.site);
            std::future::ready(Ok(request.into_response(response))).boxed_local()
        }
    }
}

/// Counts a program's attempt to accept an invitation.
pub(super) fn limit_acceptance(services: &Services, request: &HttpRequest) -> Result<(), ApiError> {
    spend(services, Activity::Onboarding, request).map_err(ApiError::RateLimited)
}

/// Counts a logout that an identity provider reports.
pub(super) fn limit_provider_logout(services: &Services, request: &HttpRequest) -> Result<(), ApiError> {
    spend(services, Activity::BackchannelLogout, request).map_err(ApiError::RateLimited)
}

/// Counts a request of the company's directory.
pub(super) fn limit_scim(services: &Services, request: &HttpRequest) -> Result<(), RateLimitError> {
    spend(services, Activity::Scim, request)
}

/// Middleware that counts unknown credentials in headers, after they were looked up: a valid credential is never refused. A forged
/// session cookie is detected by its MAC and costs nothing.
pub(super) fn limit_unknown_credentials(services: &Services) -> impl Fn(ServiceRequest, Next<BoxBody>) -> ResponseFuture + use<> {
    let services = services.clone();
    move |request, next| {
        let (services, is_in_header) = (services.clone(), has_credential(request.headers()));
        async move {
            let response = next.call(request).await?;
            if is_in_header
                && response.status() == StatusCode::UNAUTHORIZED
                && let Err(exceeded) = spend(&services, Activity::UnknownCredential, response.request())
            {
                return Ok(response.into_response(Failure::from(exceeded).json()));
            }
            Ok(response)
        }
        .boxed_local()
    }
}

fn spend(services: &Services, activity: Activity, request: &HttpRequest) -> Result<(), RateLimitError> {
    let Some(address) = forwarded_client(request, &services.site) else { return Ok(()) };
    services.rate_limits.spend(activity, address).inspect_err(|_| {
        tracing::info!(activity = activity.as_str(), suppressed = tracing::field::Empty, "rate limit exceeded");
        services.metrics.rate_limited(activity);
    })
}
