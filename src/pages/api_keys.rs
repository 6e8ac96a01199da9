//! The page of a user's API keys, and the page that authorizes a key for an application.

use std::time::Duration;

use askama::Template;
use jiff::Timestamp;

use super::{
    AccountSummary, Choice, Frame, LifetimeOption, Problem, SitePage, filters,
    text::{Text, text},
};

/// A user's API keys.
#[derive(Template)]
#[template(path = "keys.html")]
pub struct KeysPage {
    pub frame: Frame,
    pub keys: Vec<KeyRow>,
    /// The new key. Its secret is shown only once.
    pub created: Option<NewKey>,
    /// The problem of a refused form.
    pub problem: Option<Problem>,
    pub next_href: Option<String>,
    /// The sign-in URL if creating a key needs a fresh sign-in; `None` if the sign-in is fresh.
    pub sign_in_href: Option<String>,
    /// The redirect URIs of the applications that get keys without asking again.
    pub app_consents: Vec<String>,
    /// The form that creates a key, with the values of a refused one.
    pub form: KeyForm,
    /// The grace periods that the form offers to rotate a key.
    pub grace_periods: Vec<LifetimeOption>,
    /// The anti-CSRF token that the forms send back.
    pub csrf: String,
    pub action: &'static str,
}

/// The form that creates a key: `make` with `key_alias`, `duration` and, as restrictions, `user_role`, any number of
/// `teams`, `paths` with one pattern per line, `manage_keys` and `manage_people`. Without restrictions the key has the
/// user's role and teams.
#[derive(Debug, Clone, Default)]
pub struct KeyForm {
    pub name: String,
    pub lifetimes: Vec<LifetimeOption>,
    /// The roles that the user may choose; the user's own comes first.
    pub roles: Vec<Choice>,
    /// The user's own teams.
    pub teams: Vec<Choice>,
    pub paths: String,
    pub manages_keys: bool,
    /// `None` for users who are not administrators.
    pub manages_users: Option<bool>,
}

/// A key in a list. The form `narrow` with `token_id` restricts it further; `regenerate` with `overlap` and `keep_derived`
/// replaces its secret; `revoke` revokes it.
#[derive(Debug, Clone)]
pub struct KeyRow {
    pub id: String,
    pub name: Option<String>,
    pub created: Timestamp,
    pub ends: Timestamp,
    pub last_used: Option<Timestamp>,
    pub restrictions: KeyRestrictions,
    pub manages_keys: bool,
    pub manages_users: bool,
    /// The id of the user who created it, if that is not the owner.
    pub created_by: Option<String>,
}

/// The restrictions of a key. The default has none.
#[derive(Debug, Clone, Default)]
pub struct KeyRestrictions {
    /// The highest role of the key.
    pub role: Option<String>,
    /// The only teams of the key.
    pub teams: Option<Vec<String>>,
    /// Patterns of the only paths that the key may be used for.
    pub paths: Vec<String>,
}

/// A new key. It has no `Debug`, because it contains the secret.
pub struct NewKey {
    pub name: String,
    pub secret: String,
}

/// Asks whether an application may have a key, or continues without asking.
#[derive(Template)]
#[template(path = "app_key.html")]
pub struct AppKeyPage {
    pub frame: Frame,
    /// The application's name, from its redirect URI; `None` for the command line.
    pub application: Option<String>,
    pub account: AccountSummary,
    pub life: Duration,
    pub consent: ConsentState,
    /// The application's request, which the form sends back.
    pub fields: Vec<(&'static str, String)>,
    /// The anti-CSRF token that the form sends back.
    pub csrf: String,
    pub action: &'static str,
}

/// The state of the consent.
#[derive(Debug, Clone)]
pub enum ConsentState {
    Asked {
        warning: Option<Text>,
    },
    /// The user has agreed before: a script submits the form, or the user does.
    GivenBefore,
}

impl KeyForm {
    /// True if a restriction is chosen, so that this part of the form is open.
    fn has_restrictions(&self) -> bool {
        let chosen = |choices: &[Choice]| choices.iter().any(|choice| choice.selected);
        chosen(&self.roles)
            || chosen(&self.teams)
            || !self.paths.is_empty()
            || self.manages_keys
            || self.manages_users == Some(true)
    }
}

impl KeyRestrictions {
    fn is_empty(&self) -> bool {
        self.role.is_none() && self.teams.is_none() && self.paths.is_empty()
    }
}

impl KeyRow {
    fn name_in_words(&self) -> String {
        self.name.clone().unwrap_or_else(|| text("keys-unnamed", &[]))
    }

    /// The teams that it can be restricted to: its own, or all of the user's.
    fn available_teams(&self, own: &[Choice]) -> Vec<String> {
        self.restrictions.teams.clone().unwrap_or_else(|| own.iter().map(|team| team.name.clone()).collect())
    }
}

impl AppKeyPage {
    fn application_in_words(&self) -> String {
        self.application.clone().unwrap_or_else(|| text("app-key-command-line", &[]))
    }
}
