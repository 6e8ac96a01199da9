//! What the pages say of passwords, and who tries one.

mod weakness;

use actix_web::{HttpRequest, http::StatusCode};

use super::Site;
use crate::{
    local_accounts::{Origin, PasswordChangeError, PasswordRejection},
    pages::{PasswordProblem, text::text},
};

/// Who tries a password, as far as that is known.
pub(super) fn origin<'a>(request: &HttpRequest, site: &Site, device: Option<&'a str>) -> Origin<'a> {
    Origin { device, address: site.proxies.told(request) }
}

/// What the pages say of a password that was not changed; [`PasswordChangeError::Store`] and [`PasswordChangeError::NoPassword`] are not its.
pub(super) fn problem_of(refused: PasswordChangeError) -> (StatusCode, PasswordProblem) {
    match refused {
        PasswordChangeError::Wrong | PasswordChangeError::NoPassword => (StatusCode::FORBIDDEN, PasswordProblem::Wrong),
        PasswordChangeError::TooMany { retry_after } => (StatusCode::TOO_MANY_REQUESTS, PasswordProblem::TooMany { retry_after }),
        PasswordChangeError::Password(unfit) => (StatusCode::BAD_REQUEST, unfit_problem(unfit)),
        PasswordChangeError::Busy | PasswordChangeError::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, PasswordProblem::Busy),
    }
}

pub(super) fn unfit_problem(unfit: PasswordRejection) -> PasswordProblem {
    match unfit {
        PasswordRejection::TooShort { min } => PasswordProblem::TooShort { minimum: min as u64 },
        PasswordRejection::TooLong => PasswordProblem::TooLong,
        PasswordRejection::Weak(feedback) => {
            let warning = feedback.as_ref().and_then(|feedback| feedback.warning()).map(weakness::warning);
            let suggestions = feedback.iter().flat_map(|feedback| feedback.suggestions());
            let say = |id: &'static str| text(id, &[]);
            let suggestions = suggestions.map(|suggestion| say(weakness::suggestion(*suggestion))).collect();
            PasswordProblem::Weak { warning: warning.map(say), suggestions }
        }
    }
}
