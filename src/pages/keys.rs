//! The pages about keys: a person's own, and the one that an application asks for.

use std::time::Duration;

use askama::Template;
use jiff::Timestamp;

use super::{
    AccountSummary, Choice, Frame, LifetimeOption, Place, Problem, filters,
    text::{Text, text},
};

/// A person's keys.
#[derive(Template)]
#[template(path = "keys.html")]
pub struct KeysPage {
    pub frame: Frame,
    pub keys: Vec<KeyRow>,
    /// The key that was just made: the only time that its secret is seen.
    pub made: Option<NewKey>,
    /// Why one was not made or narrowed.
    pub problem: Option<Problem>,
    pub next_href: Option<String>,
    /// Where to sign in before a key can be made; none where that was done lately.
    pub sign_in_href: Option<String>,
    /// Where keys go without asking, since the person agreed to it.
    pub trusted: Vec<String>,
    /// What the form that makes a key offers, and what was typed into it before.
    pub form: KeyForm,
    /// The anti-CSRF token that the forms send back.
    pub csrf: String,
    pub action: &'static str,
}

/// The form that makes a key: `make` with `key_alias`, `duration` and, to narrow it, `user_role`, any number of `teams`,
/// `paths` with a pattern a line, `manage_keys` and `manage_people`. Nothing chosen means as much as the person has.
#[derive(Debug, Clone, Default)]
pub struct KeyForm {
    pub name: String,
    pub lasting: Vec<LifetimeOption>,
    /// The roles that the person may give, their own first.
    pub roles: Vec<Choice>,
    /// The person's own teams.
    pub teams: Vec<Choice>,
    pub paths: String,
    pub manages_keys: bool,
    /// Offered to administrators alone.
    pub manages_people: Option<bool>,
}

/// A key in a list. `narrow` with `token_id` and the fields that narrow one takes more away; `revoke` ends it.
#[derive(Debug, Clone)]
pub struct KeyRow {
    pub id: String,
    pub name: Option<String>,
    pub made: Timestamp,
    pub ends: Timestamp,
    pub last_used: Option<Timestamp>,
    pub narrowed: KeyRestrictions,
    pub manages_keys: bool,
    pub manages_people: bool,
}

/// What a key is narrowed to. The default narrows nothing.
#[derive(Debug, Clone, Default)]
pub struct KeyRestrictions {
    /// The highest role that it can have.
    pub role: Option<String>,
    /// The only teams that it can have.
    pub teams: Option<Vec<String>>,
    /// Patterns of the only paths that it is for.
    pub paths: Vec<String>,
}

/// A key that was just made. Without `Debug`, for the secret's sake.
pub struct NewKey {
    pub name: String,
    pub secret: String,
}

/// Asks whether an application may have a key, or goes on by itself.
#[derive(Template)]
#[template(path = "app_key.html")]
pub struct AppKeyPage {
    pub frame: Frame,
    /// By what can be known of it: where the key will go. None for the command line.
    pub application: Option<String>,
    pub account: AccountSummary,
    pub life: Duration,
    pub consent: ConsentState,
    /// The application's request, to come back with the answer.
    pub fields: Vec<(&'static str, String)>,
    /// The anti-CSRF token that the form sends back.
    pub csrf: String,
    pub action: &'static str,
}

/// Whether the person is asked.
#[derive(Debug, Clone)]
pub enum ConsentState {
    Asked {
        warning: Option<Text>,
    },
    /// They have agreed before: a script goes on, or they press the button.
    GivenBefore,
}

impl KeyForm {
    /// Whether something was chosen in the part that narrows, so that it is seen.
    fn narrows(&self) -> bool {
        let chosen = |choices: &[Choice]| choices.iter().any(|choice| choice.selected);
        chosen(&self.roles)
            || chosen(&self.teams)
            || !self.paths.is_empty()
            || self.manages_keys
            || self.manages_people == Some(true)
    }
}

impl KeyRestrictions {
    fn is_nothing(&self) -> bool {
        self.role.is_none() && self.teams.is_none() && self.paths.is_empty()
    }
}

impl KeyRow {
    fn name_in_words(&self) -> String {
        self.name.clone().unwrap_or_else(|| text("keys-unnamed", &[]))
    }

    /// The teams that it may be narrowed to: those that are left, or all of the person's.
    fn teams_left(&self, own: &[Choice]) -> Vec<String> {
        self.narrowed.teams.clone().unwrap_or_else(|| own.iter().map(|team| team.name.clone()).collect())
    }
}

impl AppKeyPage {
    fn application_in_words(&self) -> String {
        self.application.clone().unwrap_or_else(|| text("app-key-command-line", &[]))
    }
}
