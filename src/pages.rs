//! Renders HTML pages from plain data. Their texts and styles are in `templates/`.

pub mod text;

mod account;
mod api_keys;
mod assets;
mod brand;
mod error;
mod filters;
mod layout;
mod onboarding;
mod problem;
mod role_map;
mod sign_in;
mod theme;
mod user_agent;
mod users;

#[cfg(test)]
mod tests;

pub use self::text::CatalogError;
pub use account::{
    AccountPage, LinkConfirmationPage, LinkableProvider, LinkedIdentity, PasswordChangeForm, SessionRow, SessionsPage,
    SignInMethodsPage,
};
pub use api_keys::{AppKeyPage, ConsentState, KeyForm, KeyRestrictions, KeyRow, KeysPage, NewKey};
pub use assets::{ASSETS, Asset, File, asset};
pub use brand::{Brand, BrandError};
pub use error::{Action, ErrorPage, Quote};
pub use layout::{Frame, Nav, SitePage};
pub use onboarding::OnboardingPage;
pub use problem::Problem;
pub use role_map::{
    ExplainForm, GrantExplanation, IdentityRow, InterpretationRow, ListWarningRow, NearMissRow, OutrankedRole, RejectedEdit,
    RequestExplanation, RoleMapPage, RoleMapSummary, TeamGrant,
};
pub use sign_in::{
    EXAMPLE_CONFIG, PasswordForm, ProviderLink, ProviderLogout, SetupPage, SignInPage, SignOutPage, SignedOutPage,
};
pub use theme::ColorError;
pub use user_agent::browser;
pub use users::{
    EditPermission, InvitationForm, InvitationRow, InvitationState, InvitationsPage, NewInvitation, UserPage, UserRow, UsersPage,
};

use std::time::Duration;

use askama::Template;

/// The signed-in user.
#[derive(Debug, Clone)]
pub struct AccountSummary {
    /// The name, else the email, else the subject.
    pub name: String,
    pub role: Option<String>,
}

/// The origin of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantRule {
    /// No rule matches, and the role map has a default role.
    Default,
    /// The invitation of a local account sets its role and teams.
    Invitation,
    /// A rule of the role map, such as `rules[2]`.
    Named(String),
}

/// A time to choose from a list.
#[derive(Debug, Clone)]
pub struct LifetimeOption {
    /// As the form sends it, such as `30d`.
    pub value: String,
    pub duration: Duration,
    pub selected: bool,
}

/// A name to choose from a list.
#[derive(Debug, Clone)]
pub struct Choice {
    pub name: String,
    pub selected: bool,
}

/// The page as a whole HTML document.
pub fn render(page: &impl Template) -> String {
    page.render().expect("a page only formats text into a String, which cannot fail")
}

impl GrantRule {
    /// By the name that the role map gives it.
    pub fn of(name: &str) -> Self {
        match name {
            "default_role" => Self::Default,
            "local.user_role" | "local.teams" => Self::Invitation,
            named => Self::Named(named.to_owned()),
        }
    }
}
