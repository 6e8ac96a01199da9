//! Origins of password attempts, and problems with passwords, as the pages show them.

mod weakness;

use actix_web::{HttpRequest, http::StatusCode};

use super::Site;
use crate::{
    local_accounts::{ChangeError, Origin, Unfit},
    pages::{PasswordProblem, text::text},
};

/// Returns the origin of a password attempt.
pub(super) fn origin<'a>(request: &HttpRequest, site: &Site, device: Option<&'a str>) -> Origin<'a> {
    Origin { device, address: site.proxies.forwarded_client(request) }
}

/// Returns the problem with a password that was not changed. Callers handle [`ChangeError::Store`] and
/// [`ChangeError::NoPassword`] themselves.
pub(super) fn problem_of(refused: ChangeError) -> (StatusCode, PasswordProblem) {
    match refused {
        ChangeError::Wrong | ChangeError::NoPassword => (StatusCode::FORBIDDEN, PasswordProblem::Wrong),
        ChangeError::TooMany { retry_after } => (StatusCode::TOO_MANY_REQUESTS, PasswordProblem::TooMany { retry_after }),
        ChangeError::Unfit(unfit) => (StatusCode::BAD_REQUEST, unfit_problem(unfit)),
        ChangeError::Busy | ChangeError::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, PasswordProblem::Busy),
    }
}

pub(super) fn unfit_problem(unfit: Unfit) -> PasswordProblem {
    match unfit {
        Unfit::TooShort { min } => PasswordProblem::TooShort { minimum: min as u64 },
        Unfit::TooLong => PasswordProblem::TooLong,
        Unfit::Weak(feedback) => {
            let warning = feedback.as_ref().and_then(|feedback| feedback.warning()).map(weakness::warning);
            let suggestions = feedback.iter().flat_map(|feedback| feedback.suggestions());
            let say = |id: &'static str| text(id, &[]);
            let suggestions = suggestions.map(|suggestion| say(weakness::suggestion(*suggestion))).collect();
            PasswordProblem::Weak { warning: warning.map(say), suggestions }
        }
    }
}
