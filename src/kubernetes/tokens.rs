//! What the API server knows of the tokens that it signs: its name, its keys, and whether one still counts.

use std::time::Duration;

use http::Request;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::Client;
use serde::Deserialize;

use super::connect::ConnectError;
use crate::causes::causes;

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Where the API server itself has its keys. Discovery may name another host, and what is sent to this client's
/// server is the pod's own token.
const KEYS: &str = "/openid/v1/jwks";

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(5);

/// The API server of this pod, or of the kubeconfig.
#[derive(Clone)]
pub struct TokenAuthority(Client);

/// What the API server said of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reviewed {
    Good,
    Refused,
}

/// Why it says nothing. Never tells the token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TokenAuthorityError {
    #[error("the API server does not answer: {0}")]
    Unreachable(String),
    #[error("the API server refuses {path}: {message}; {remedy}")]
    Forbidden { path: &'static str, message: String, remedy: &'static str },
    #[error("the API server's answer to {0} can't be read")]
    Malformed(&'static str),
}

impl TokenAuthority {
    /// Reads how the API server is reached; it is not asked yet.
    pub async fn new() -> Result<Self, ConnectError> {
        let mut config = kube::Config::infer().await?;
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(ANSWER);
        Ok(Self(Client::try_from(config)?))
    }

    /// Who it says that its tokens are from, and its key set's document.
    pub async fn issuer_and_keys(&self) -> Result<(String, String), TokenAuthorityError> {
        #[derive(Deserialize)]
        struct Discovered {
            issuer: String,
        }
        let discovered: Discovered =
            serde_json::from_str(&self.get(DISCOVERY).await?).map_err(|_| TokenAuthorityError::Malformed(DISCOVERY))?;
        Ok((discovered.issuer, self.get(KEYS).await?))
    }

    /// Whether a token still counts, for one of these audiences.
    pub async fn review(&self, token: &str, audiences: &[String]) -> Result<Reviewed, TokenAuthorityError> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(audiences.to_vec()) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let body = serde_json::to_vec(&review).map_err(|_| TokenAuthorityError::Malformed(REVIEWS))?;
        let request = Request::post(REVIEWS).header("content-type", "application/json").body(body);
        // The answer repeats the token: it is read here, where nothing of it gets into the log.
        let answer = self.send(request, REVIEWS).await?;
        let answer: TokenReview = serde_json::from_str(&answer).map_err(|_| TokenAuthorityError::Malformed(REVIEWS))?;
        Ok(judge(&answer.status.unwrap_or_default(), audiences))
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
        let answer = tokio::time::timeout(ANSWER, self.0.request_text(request)).await;
        let answer = answer.map_err(|_| TokenAuthorityError::Unreachable(format!("not within {ANSWER:?}")))?;
        answer.map_err(|error| failed(path, error))
    }
}

fn failed(path: &'static str, error: kube::Error) -> TokenAuthorityError {
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

/// A token that is not authenticated may come with a reason, in words that only people can tell apart.
fn judge(status: &TokenReviewStatus, audiences: &[String]) -> Reviewed {
    // An authenticator that knows nothing of audiences leaves them out, and has judged none.
    let meant = || status.audiences.iter().flatten().any(|audience| audiences.contains(audience));
    if status.authenticated == Some(true) && meant() { Reviewed::Good } else { Reviewed::Refused }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::good(Some(true), Some(vec!["a", "b"]), Reviewed::Good)]
    #[case::other_audience(Some(true), Some(vec!["b"]), Reviewed::Refused)]
    #[case::judged_without_audience(Some(true), None, Reviewed::Refused)]
    #[case::refused(Some(false), Some(vec!["a"]), Reviewed::Refused)]
    #[case::nothing_said(None, Some(vec!["a"]), Reviewed::Refused)]
    fn only_who_is_authenticated_for_our_audience_is_good(
        #[case] authenticated: Option<bool>,
        #[case] audiences: Option<Vec<&str>>,
        #[case] expected: Reviewed,
    ) {
        let audiences = audiences.map(|audiences| audiences.into_iter().map(str::to_owned).collect());
        let status = TokenReviewStatus { authenticated, audiences, ..TokenReviewStatus::default() };
        assert_eq!(judge(&status, &["a".to_owned()]), expected);
    }
}
