//! A user's own pages: account, sessions and sign-in methods.

use std::time::Duration;

use askama::Template;
use jiff::Timestamp;

use super::{AccountSummary, Frame, GrantRule, Problem, SitePage, filters, text::Text};

/// The account, its grant and its session.
#[derive(Debug, Template)]
#[template(path = "home.html")]
pub struct AccountPage {
    pub frame: Frame,
    pub account: AccountSummary,
    /// Shown below the name; `None` if the name is the email.
    pub email: Option<String>,
    pub rule: Option<GrantRule>,
    pub teams: Vec<String>,
    /// The provider's name; `None` for a password.
    pub provider: Option<String>,
    pub session_ends: Timestamp,
    pub idle_limit: Option<Duration>,
}

/// A user's sessions.
#[derive(Template)]
#[template(path = "sessions.html")]
pub struct SessionsPage {
    pub frame: Frame,
    /// The session of this browser comes first.
    pub sessions: Vec<SessionRow>,
    /// The anti-CSRF token that the forms send back.
    pub csrf: String,
}

/// A session in a list. `end` with its `session_id` ends it; `end_others` ends all but this browser's.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// The id in the form; never the session token.
    pub id: String,
    /// For example `Firefox on Linux`; `None` if unknown.
    pub browser: Option<String>,
    /// The provider's name; `None` for a password.
    pub provider: Option<String>,
    pub begun: Timestamp,
    pub last_used: Timestamp,
    pub is_this_browser: bool,
}

/// A user's sign-in methods: linked identities and a password.
#[derive(Template)]
#[template(path = "sign_in_methods.html")]
pub struct SignInMethodsPage {
    pub frame: Frame,
    pub identities: Vec<LinkedIdentity>,
    /// Providers that the user has no identity of.
    pub linkable: Vec<LinkableProvider>,
    /// `None` if the account has no password.
    pub password: Option<PasswordChangeForm>,
    pub notice: Option<Text>,
    /// The sign-in URL if linking and unlinking need a fresh sign-in; `None` if the sign-in is fresh.
    pub sign_in_href: Option<String>,
    /// The anti-CSRF token that the forms send back.
    pub csrf: String,
}

/// A linked identity. The form `unlink` with its `issuer` and `subject` unlinks it.
#[derive(Debug, Clone)]
pub struct LinkedIdentity {
    pub issuer: String,
    pub subject: String,
    /// The provider's name; `None` for a password.
    pub provider: Option<String>,
    /// The email, name or subject at the provider.
    pub account: String,
    /// The time of the last verification, if it is known.
    pub verified: Option<Timestamp>,
    /// False for the only identity.
    pub may_be_unlinked: bool,
}

/// A provider that can be linked by the form `link` with its id as `provider`.
#[derive(Debug, Clone)]
pub struct LinkableProvider {
    pub id: String,
    pub name: String,
}

/// The form that changes a password: `password` with `current_password`, `new_password` and `repeat_password`.
#[derive(Debug, Clone)]
pub struct PasswordChangeForm {
    /// For password managers, which store it with the password.
    pub email: String,
    /// The minimum length of a password in characters.
    pub minimum: u64,
    pub problem: Option<Problem>,
}

/// Asks before the browser is sent to a provider to link an identity.
#[derive(Debug, Template)]
#[template(path = "link_away.html")]
pub struct LinkConfirmationPage {
    pub frame: Frame,
    pub provider: String,
    pub href: String,
    pub cancel_href: String,
}

impl SessionsPage {
    fn has_others(&self) -> bool {
        self.sessions.iter().any(|session| !session.is_this_browser)
    }
}

impl PasswordChangeForm {
    fn is_wrong(&self) -> bool {
        self.is_about("current_password")
    }

    /// True if the whole form must be filled in again, so that its first field gets the focus.
    fn is_emptied(&self) -> bool {
        self.problem.is_some() && !self.is_new_refused()
    }

    fn is_new_refused(&self) -> bool {
        self.is_about("new_password")
    }

    fn is_about(&self, field: &str) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.is_about(field))
    }
}
