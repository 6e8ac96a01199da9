//! What one client address may not do as often as it likes: 429 before, or for unknown credentials after, it is done.

use actix_web::{
    HttpRequest,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{StatusCode, header::HeaderMap},
    middleware::Next,
    web::Data,
};

use super::{Site, api::refused::Refused, credential, error};
use crate::{
    access::Places,
    check::Credential,
    metrics::Metrics,
    rate_limits::{Activity, Exceeded, RateLimits},
};

type Answered<B> = Result<ServiceResponse<EitherBody<B>>, actix_web::Error>;

/// A password that is sent there has quotas of its own, and is not refused for what others have begun.
pub(super) async fn login_starts<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Answered<B> {
    if !request.method().is_safe() {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    }
    before(Activity::LoginStart, request, next).await
}

pub(super) async fn callbacks<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Answered<B> {
    before(Activity::Callback, request, next).await
}

/// Of invitations, by the page of the link.
pub(super) async fn claims<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Answered<B> {
    before(Activity::Claim, request, next).await
}

/// Of invitations, by programs.
pub(super) fn claim_by_program(request: &HttpRequest) -> Result<(), Refused> {
    spend(Activity::Claim, request).map_err(Refused::RateLimited)
}

async fn before<B: MessageBody>(activity: Activity, request: ServiceRequest, next: Next<B>) -> Answered<B> {
    match spend(activity, request.request()) {
        Ok(()) => next.call(request).await.map(ServiceResponse::map_into_left_body),
        Err(exceeded) => {
            let response = error::too_often(exceeded, request.request());
            Ok(request.into_response(response).map_into_right_body())
        }
    }
}

/// A credential is known to be none when it was looked at, so that no valid one is ever refused.
pub(super) async fn unknown_credentials<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Answered<B> {
    let is_by_header = presents_a_credential(request.headers());
    let response = next.call(request).await?;
    if is_by_header
        && response.status() == StatusCode::UNAUTHORIZED
        && let Err(exceeded) = spend(Activity::UnknownCredential, response.request())
    {
        return Ok(response.into_response(error::rate_limited(exceeded)).map_into_right_body());
    }
    Ok(response.map_into_left_body())
}

/// In a header: a cookie that is none of ours is told by its MAC and costs nothing.
fn presents_a_credential(headers: &HeaderMap) -> bool {
    let values = |place| credential::values(headers, place);
    matches!(Credential::find(Places::ALL, "", values), Ok(Credential::Header(_)) | Err(_))
}

fn spend(activity: Activity, request: &HttpRequest) -> Result<(), Exceeded> {
    let services = (request.app_data::<Data<Site>>(), request.app_data::<Data<RateLimits>>());
    let (Some(site), Some(limits)) = services else { return Ok(()) };
    let Some(address) = site.proxies.told(request) else { return Ok(()) };
    limits.spend(activity, address).inspect_err(|_| {
        tracing::info!(activity = activity.as_str(), "rate limited");
        if let Some(metrics) = request.app_data::<Data<Metrics>>() {
            metrics.rate_limited(activity);
        }
    })
}
