//! The pages for signing in and out.

use askama::Template;

use super::{AccountSummary, Frame, Problem, SitePage, filters};

/// The configuration that [`SetupPage`] shows as the next step.
pub const EXAMPLE_CONFIG: &str = include_str!("../../templates/example.yaml");

/// The commands that it shows for that file.
const EXAMPLE_COMMANDS: &str = "vestibule check-config --config vestibule.yaml\nvestibule --config vestibule.yaml";

/// The choice of a provider, and the form for a password.
#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
pub struct SignInPage {
    pub frame: Frame,
    /// At least one, unless there is a password form; [`SetupPage`] is the page for neither.
    pub providers: Vec<ProviderLink>,
    pub password: Option<PasswordForm>,
    /// A sentence that explains why the user must sign in.
    pub notice: Option<String>,
}

/// A provider to choose.
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
    /// The return target, which the form sends back as `rd`.
    pub rd: Option<String>,
    /// The authentication that the links to providers require. The form sends it back, for the page of a refused attempt.
    pub authenticate: Option<&'static str>,
    /// The email of a refused attempt.
    pub email: String,
    pub problem: Option<Problem>,
    /// The contact for a new invitation.
    pub contact: String,
}

/// The sign-in page of an installation without a provider, for its operator.
#[derive(Debug, Template)]
#[template(path = "not_configured.html")]
pub struct SetupPage {
    pub frame: Frame,
    /// The configured parts, one sentence each.
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
    /// The path to which the form is posted.
    pub action: String,
    pub stay_href: String,
}

/// The provider's session after the user signs out here.
#[derive(Debug, Clone)]
pub enum ProviderLogout {
    /// The browser is sent to the provider, which ends its session too.
    Ends { provider: String },
    /// The provider offers no logout.
    Stays,
    /// The user has signed in with a password.
    NoProvider,
}

/// Confirms that the session has ended.
#[derive(Debug, Template)]
#[template(path = "signed_out.html")]
pub struct SignedOutPage {
    pub frame: Frame,
    pub sign_in_href: String,
    /// A sentence about the provider's session.
    pub provider_note: Option<String>,
}

impl PasswordForm {
    /// True if the email or the password is wrong.
    fn is_wrong(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.is_about("password"))
    }

    /// The providers' button has the focus if it comes first. An email that was typed before needs no focus.
    fn has_focus_on_email(&self, providers: &[ProviderLink]) -> bool {
        self.email.is_empty() && (providers.is_empty() || self.problem.is_some())
    }
}
