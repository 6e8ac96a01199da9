//! Failures of explanations by the role map.

use super::Failure;
use crate::{http::role_map::ExplanationError, pages::Problem};

impl From<&ExplanationError> for Failure {
    fn from(error: &ExplanationError) -> Self {
        let detailed = || Self::bad_request(format!("{error}."));
        match error {
            ExplanationError::UserNotFound => {
                Self::absent("There is no such user.").problem(Problem::of("explain-problem-person"))
            }
            ExplanationError::NotFoundInSearch => {
                let description =
                    "Only the first 2,000 users were searched, and none of them has this email. Set user_id instead.";
                Self::absent(description).problem(Problem::of("explain-problem-cut"))
            }
            ExplanationError::AmbiguousEmail => Self::bad_request("Several users have this email. Set user_id instead.")
                .problem(Problem::of("explain-problem-several")),
            ExplanationError::NoRoleMapYet => Self::role_map_not_loaded().problem(Problem::of("explain-problem-no-map")),
            ExplanationError::Administration(error) => error.into(),
            ExplanationError::UserAndClaims => Self::bad_request("Set user_id, or user_email, or claims with their provider.")
                .problem(Problem::of("explain-problem-one")),
            ExplanationError::Claims(reason) => {
                detailed().problem(Problem::of("explain-problem-claims").with("why", reason.as_str()))
            }
            ExplanationError::Provider => detailed().problem(Problem::of("explain-problem-provider")),
            ExplanationError::Address(reason) => {
                detailed().problem(Problem::of("explain-problem-address").with("why", reason.as_str()))
            }
            ExplanationError::Credential => {
                detailed().problem(Problem::of("explain-problem-address").with("why", error.to_string()))
            }
        }
    }
}
