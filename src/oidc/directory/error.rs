//! The reasons for which a look-up fails.

use std::time::Duration;

use super::{listing::PageError, service_account::ServiceAccountError};
use crate::{
    metrics::DirectoryOutcome,
    oidc::{http::HttpClientError, token_response::TokenResponseError},
};

/// The reason why a look-up has no complete result. The texts contain no token and nothing about the user.
#[derive(Debug, thiserror::Error)]
pub(super) enum DirectoryError {
    #[error(transparent)]
    Http(#[from] HttpClientError),
    #[error("the directory throttles requests, and accepts the next one in {0:?}")]
    Throttled(Duration),
    #[error("the directory has throttled requests, and accepts the next one in {0:?}")]
    Held(Duration),
    #[error("a page of the answer: {0}")]
    Page(#[from] PageError),
    #[error("the next page is on another host than api_url")]
    ForeignPage,
    #[error("the next page is one that was read before")]
    RepeatedPage,
    #[error("the answer has more than {0} pages")]
    TooManyPages(usize),
    #[error("the answer has more than {0} groups")]
    TooManyGroups(usize),
    #[error("the answer is larger than {0} bytes")]
    AnswerTooLarge(usize),
    #[error("the claims are {size} bytes large, more than max_claims ({limit}) allows")]
    ClaimsTooLarge { size: usize, limit: usize },
    #[error("the answer is not complete after {0:?}")]
    Time(Duration),
    #[error("the login has no access token")]
    NoAccessToken,
    #[error("the id_token has no usable claim oid")]
    NoObjectId,
    #[error("the token endpoint: {0}")]
    Token(#[from] TokenResponseError),
    #[error("the service account: {0}")]
    ServiceAccount(#[from] ServiceAccountError),
}

impl DirectoryError {
    /// True if the API does not accept the access token.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Http(HttpClientError::Status { status: 401, .. }))
    }

    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Http(HttpClientError::Status { status: 400..=499, .. }) => "request_refused",
            Self::Http(HttpClientError::TooLarge { .. }) | Self::AnswerTooLarge(_) => "answer_too_large",
            Self::Http(_) => "request_failed",
            Self::Throttled(_) | Self::Held(_) => "throttled",
            Self::Page(_) => "answer_malformed",
            Self::ForeignPage => "next_page_on_other_host",
            Self::RepeatedPage => "next_page_repeated",
            Self::TooManyPages(_) => "too_many_pages",
            Self::TooManyGroups(_) => "too_many_groups",
            Self::ClaimsTooLarge { .. } => "claims_too_large",
            Self::Time(_) => "time_limit",
            Self::NoAccessToken => "access_token_missing",
            Self::NoObjectId => "user_id_missing",
            Self::Token(_) => "token_request_failed",
            Self::ServiceAccount(_) => "service_account_key_invalid",
        }
    }

    pub fn outcome(&self) -> DirectoryOutcome {
        match self {
            Self::Throttled(_) | Self::Held(_) => DirectoryOutcome::Throttled,
            Self::Http(HttpClientError::Status { status: 400..=499, .. }) => DirectoryOutcome::Refused,
            Self::Http(HttpClientError::TooLarge { .. })
            | Self::AnswerTooLarge(_)
            | Self::TooManyPages(_)
            | Self::TooManyGroups(_)
            | Self::ClaimsTooLarge { .. }
            | Self::Time(_) => DirectoryOutcome::Limit,
            _ => DirectoryOutcome::Failed,
        }
    }
}
