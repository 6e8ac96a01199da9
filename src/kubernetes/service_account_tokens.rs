//! Queries the API server about ServiceAccount tokens: issuer, signing keys and token reviews.

use std::time::Duration;

use http::Request;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::Client;
use serde::Deserialize;

use super::connect::ConnectError;
use crate::fetch::causes;

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// The path of the API server's keys. The `jwks_uri` of its discovery document is not used: it may name another host, to
/// which this client would send the pod's own token.
const KEYS: &str = "/openid/v1/jwks";

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The API server of this pod, or of the kubeconfig.
#[derive(Clone)]
pub struct TokenAuthority(Client);

/// The result of a token review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewResult {
    Valid,
    Rejected,
}

/// The reason why a query failed. The message never contains the token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TokenAuthorityError {
    #[error("the API server is unreachable: {0}")]
    Unreachable(String),
    #[error("the API server refuses {path}: {message}; {remedy}")]
    Forbidden { path: &'static str, message: String, remedy: &'static str },
    #[error("malformed response of the API server to {0}")]
    Malformed(&'static str),
}

impl TokenAuthority {
    /// Loads the connection settings. Sends no request yet.
    pub async fn new() -> Result<Self, ConnectError> {
        let mut config = kube::Config::infer().await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        Ok(Self(Client::try_from(config)?))
    }

    /// Returns the issuer of the API server's tokens and its JWKS document.
    pub async fn issuer_and_keys(&self) -> Result<(String, String), TokenAuthorityError> {
        #[derive(Deserialize)]
        struct DiscoveryDocument {
            issuer: String,
        }
        let discovery: DiscoveryDocument =
            serde_json::from_str(&self.get(DISCOVERY).await?).map_err(|_| TokenAuthorityError::Malformed(DISCOVERY))?;
        Ok((discovery.issuer, self.get(KEYS).await?))
    }

    /// Reviews a token: checks that it is still valid for one of these audiences.
    pub async fn review(&self, token: &str, audiences: &[String]) -> Result<ReviewResult, TokenAuthorityError> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(audiences.to_vec()) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let body = serde_json::to_vec(&review).map_err(|_| TokenAuthorityError::Malformed(REVIEWS))?;
        let request = Request::post(REVIEWS).header("content-type", "application/json").body(body);
        // The response repeats the token, so it is parsed here and never logged.
        let response = self.send(request, REVIEWS).await?;
        let response: TokenReview = serde_json::from_str(&response).map_err(|_| TokenAuthorityError::Malformed(REVIEWS))?;
        Ok(evaluate_status(&response.status.unwrap_or_default(), audiences))
    }

    async fn get(&self, path: &'static str) -> Result<String, TokenAuthorityError> {
        self.send(Request::get(path).body(Vec::new()), path).await
    }

    async fn send(
        &self,
        request: Result<Request<Vec<u8>>, http::Error>,
        path: &'static str,
    ) -> Result<String, TokenAuthorityError> {
        let request = request.map_err(|error| TokenAuthorityError::Unreachable(error.to_string()))?;
        let response = tokio::time::timeout(READ_TIMEOUT, self.0.request_text(request)).await;
        let response = response.map_err(|_| TokenAuthorityError::Unreachable(format!("no response within {READ_TIMEOUT:?}")))?;
        response.map_err(|error| classify_error(path, error))
    }
}

fn classify_error(path: &'static str, error: kube::Error) -> TokenAuthorityError {
    match error {
        kube::Error::Api(status) if status.is_forbidden() => {
            let message = status.message.clone();
            TokenAuthorityError::Forbidden { path, message, remedy: remedy(path) }
        }
        error => TokenAuthorityError::Unreachable(causes(&error)),
    }
}

fn remedy(path: &str) -> &'static str {
    if path == REVIEWS {
        "bind the ServiceAccount to the ClusterRole system:auth-delegator"
    } else {
        "bind the ServiceAccount to the ClusterRole system:service-account-issuer-discovery"
    }
}

/// Ignores the reason for a rejection, which is free text.
fn evaluate_status(status: &TokenReviewStatus, audiences: &[String]) -> ReviewResult {
    // An authenticator without support for audiences omits them, and has checked none.
    let has_audience = || status.audiences.iter().flatten().any(|audience| audiences.contains(audience));
    if status.authenticated == Some(true) && has_audience() { ReviewResult::Valid } else { ReviewResult::Rejected }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::valid(Some(true), Some(vec!["a", "b"]), ReviewResult::Valid)]
    #[case::other_audience(Some(true), Some(vec!["b"]), ReviewResult::Rejected)]
    #[case::no_audience_checked(Some(true), None, ReviewResult::Rejected)]
    #[case::not_authenticated(Some(false), Some(vec!["a"]), ReviewResult::Rejected)]
    #[case::no_result(None, Some(vec!["a"]), ReviewResult::Rejected)]
    fn only_an_authenticated_token_for_the_audience_is_valid(
        #[case] authenticated: Option<bool>,
        #[case] audiences: Option<Vec<&str>>,
        #[case] expected: ReviewResult,
    ) {
        let audiences = audiences.map(|audiences| audiences.into_iter().map(str::to_owned).collect());
        let status = TokenReviewStatus { authenticated, audiences, ..TokenReviewStatus::default() };
        assert_eq!(evaluate_status(&status, &["a".to_owned()]), expected);
    }
}
