//! The pages before and after a session: sign-in, and sign-out.

use askama::Template;

use super::{AccountSummary, Frame, Place, Problem, filters};

/// The configuration that [`SetupPage`] shows as the next step.
pub const EXAMPLE_CONFIG: &str = include_str!("../../templates/example.yaml");

/// The commands that it shows for that file.
const EXAMPLE_COMMANDS: &str = "vestibule check-config --config vestibule.yaml\nvestibule --config vestibule.yaml";

/// The choice between providers, or the one button where there is no choice; a password, where that is a way in.
#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
pub struct SignInPage {
    pub frame: Frame,
    /// At least one, unless there is a password form; [`SetupPage`] is the page for neither.
    pub providers: Vec<ProviderLink>,
    pub password: Option<PasswordForm>,
    /// Why the person is asked, where that needs saying: one sentence.
    pub notice: Option<String>,
}

/// A provider that a person may choose.
#[derive(Debug, Clone)]
pub struct ProviderLink {
    pub name: String,
    pub href: String,
}

/// Signing in by email and password, posted to `/sso/login` as `user_email` and `password`.
#[derive(Debug, Clone)]
pub struct PasswordForm {
    /// The anti-CSRF token that the form sends back.
    pub csrf: String,
    /// Where the person goes on to, sent back as `rd`.
    pub rd: Option<String>,
    /// What was typed before.
    pub email: String,
    pub problem: Option<Problem>,
    /// Whom people ask for a new invitation.
    pub contact: String,
}

/// The sign-in page of an installation without any provider, written for its operator.
#[derive(Debug, Template)]
#[template(path = "not_configured.html")]
pub struct SetupPage {
    pub frame: Frame,
    /// What is on, one plain sentence each.
    pub facts: Vec<String>,
    /// The first provider's redirect URI, to be registered there.
    pub redirect_uri: String,
}

/// Asks before a session is ended.
#[derive(Template)]
#[template(path = "sign_out.html")]
pub struct SignOutPage {
    pub frame: Frame,
    /// The anti-CSRF token that the form sends back.
    pub csrf: String,
    pub account: AccountSummary,
    pub at_provider: ProviderLogout,
    /// Where the form is posted.
    pub action: String,
    pub stay_href: String,
}

/// What becomes of the session at the provider when ours ends.
#[derive(Debug, Clone)]
pub enum ProviderLogout {
    /// The browser goes on to it, and it ends its own session too.
    Ends { provider: String },
    /// It offers no logout.
    Stays,
    /// There is none: the person signed in with a password.
    NoProvider,
}

/// Says that the session has ended.
#[derive(Debug, Template)]
#[template(path = "signed_out.html")]
pub struct SignedOutPage {
    pub frame: Frame,
    pub sign_in_href: String,
    /// What became of the session at the provider: one sentence.
    pub provider_note: Option<String>,
}

impl PasswordForm {
    /// Whether what was typed is to be blamed.
    fn is_wrong(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.is_about("password"))
    }

    /// Where the providers come first, so does their button; and an email that was typed before needs no second look.
    fn begins_with_email(&self, providers: &[ProviderLink]) -> bool {
        self.email.is_empty() && (providers.is_empty() || self.problem.is_some())
    }
}
