//! The page that an invited person sets their password on.

use askama::Template;
use jiff::Timestamp;

use super::{Frame, Place, Problem, filters};

/// Asks for a password twice, posted to `/onboarding` as `new_password` and `repeat_password`.
#[derive(Template)]
#[template(path = "onboarding.html")]
pub struct OnboardingPage {
    pub frame: Frame,
    pub email: String,
    pub role: Option<String>,
    /// Until when the link is good.
    pub expires: Timestamp,
    /// Characters of the shortest password that is taken.
    pub minimum: u64,
    pub problem: Option<Problem>,
    /// Sent back: what the link holds, and the anti-CSRF token.
    pub invite_link: String,
    pub csrf: String,
}

impl OnboardingPage {
    fn is_new_refused(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.is_about("new_password"))
    }
}
