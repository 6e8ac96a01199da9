//! The page on which an invited user sets a password.

use askama::Template;
use jiff::Timestamp;

use super::{Frame, Problem, SitePage, filters};

/// Asks for a password twice, posted to `/onboarding` as `new_password` and `repeat_password`.
#[derive(Template)]
#[template(path = "onboarding.html")]
pub struct OnboardingPage {
    pub frame: Frame,
    pub email: String,
    pub role: Option<String>,
    /// The expiry of the link.
    pub expires: Timestamp,
    /// The minimum length of a password in characters.
    pub minimum: u64,
    pub problem: Option<Problem>,
    /// The link's secret and the anti-CSRF token, which the form sends back.
    pub invite_link: String,
    pub csrf: String,
}

impl OnboardingPage {
    fn is_new_refused(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.is_about("new_password"))
    }
}
