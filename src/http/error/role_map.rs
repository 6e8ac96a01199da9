//! Failures of explanations by the role map.

use super::Failure;
use crate::{http::role_map::AskError, pages::Problem};

impl From<&AskError> for Failure {
    fn from(error: &AskError) -> Self {
        let detailed = || Self::bad_request(format!("{error}."));
        match error {
            AskError::NoSuchPerson => Self::absent("There is no such person.").problem(Problem::of("explain-problem-person")),
            AskError::NobodyLookedAt => {
                let description =
                    "Nobody of the people who were looked through has this email, and there are more. Give the user_id.";
                Self::absent(description).problem(Problem::of("explain-problem-cut"))
            }
            AskError::SeveralPeople => Self::bad_request("Several people have this email. Give the user_id of one.")
                .problem(Problem::of("explain-problem-several")),
            AskError::NoRoleMapYet => Self::role_map_not_loaded().problem(Problem::of("explain-problem-no-map")),
            AskError::People(error) => error.into(),
            AskError::OneOfTwo => Self::bad_request("Give either user_id or user_email, or claims with their provider.")
                .problem(Problem::of("explain-problem-one")),
            AskError::Claims(reason) => detailed().problem(Problem::of("explain-problem-claims").with("why", reason.as_str())),
            AskError::Provider => detailed().problem(Problem::of("explain-problem-provider")),
            AskError::Address(reason) => detailed().problem(Problem::of("explain-problem-address").with("why", reason.as_str())),
            AskError::Credential => detailed().problem(Problem::of("explain-problem-address").with("why", error.to_string())),
        }
    }
}
