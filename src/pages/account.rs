//! A person's own pages: who they are, their sessions, their ways to sign in.

use std::time::Duration;

use askama::Template;
use jiff::Timestamp;

use super::{AccountSummary, Frame, GrantRule, Place, Problem, filters, text::Text};

/// Who am I: the account, its grant and its session.
#[derive(Debug, Template)]
#[template(path = "home.html")]
pub struct AccountPage {
    pub frame: Frame,
    pub account: AccountSummary,
    /// Shown below the name, so leave it out where it is the name.
    pub email: Option<String>,
    pub rule: Option<GrantRule>,
    pub teams: Vec<String>,
    /// The provider's name; none for a password.
    pub provider: Option<String>,
    pub session_ends: Timestamp,
    pub idle_limit: Option<Duration>,
}

/// A person's sessions.
#[derive(Template)]
#[template(path = "sessions.html")]
pub struct SessionsPage {
    pub frame: Frame,
    /// This browser's first.
    pub sessions: Vec<SessionRow>,
    /// The anti-CSRF token that the forms send back.
    pub csrf: String,
}

/// A session in a list. `end` with its `session_id` ends it; `end_others` ends all but this browser's.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// What the form names it by; never what the browser's cookie holds.
    pub id: String,
    /// Such as `Firefox on Linux`; none where the browser did not say.
    pub browser: Option<String>,
    /// The provider's name; none for a password.
    pub provider: Option<String>,
    pub begun: Timestamp,
    pub last_used: Timestamp,
    pub is_this_browser: bool,
}

/// How a person may sign in: their linked identities and their password.
#[derive(Template)]
#[template(path = "sign_in_methods.html")]
pub struct SignInMethodsPage {
    pub frame: Frame,
    pub identities: Vec<LinkedIdentity>,
    /// Providers that no identity is of yet.
    pub linkable: Vec<LinkableProvider>,
    /// None where the account has no password.
    pub password: Option<PasswordChangeForm>,
    pub notice: Option<Text>,
    /// Where to sign in before anything is linked or unlinked; none where that was done lately.
    pub sign_in_href: Option<String>,
    /// The anti-CSRF token that the forms send back.
    pub csrf: String,
}

/// An identity that is linked to a person. `unlink` with its `issuer` and `subject` takes it away.
#[derive(Debug, Clone)]
pub struct LinkedIdentity {
    pub issuer: String,
    pub subject: String,
    /// The provider's name; none for a password.
    pub provider: Option<String>,
    /// Who the person is there: an email, a name or a subject.
    pub account: String,
    /// When that was last proven, where it is known.
    pub verified: Option<Timestamp>,
    /// Never for the only one.
    pub may_be_unlinked: bool,
}

/// A provider that may be linked. `link` with it as `provider` begins that.
#[derive(Debug, Clone)]
pub struct LinkableProvider {
    pub id: String,
    pub name: String,
}

/// The form that changes a password: `password` with `current_password`, `new_password` and `repeat_password`.
#[derive(Debug, Clone)]
pub struct PasswordChangeForm {
    /// For password managers, which keep the two together.
    pub email: String,
    /// Characters of the shortest password that is taken.
    pub minimum: u64,
    pub problem: Option<Problem>,
}

/// Asks before the browser goes to a provider to prove an identity.
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

    /// Whether the form is to be filled in from its beginning, where the person then stands.
    fn begins_again(&self) -> bool {
        self.problem.is_some() && !self.is_new_refused()
    }

    fn is_new_refused(&self) -> bool {
        self.is_about("new_password")
    }

    fn is_about(&self, field: &str) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.is_about(field))
    }
}
