//! The administration pages of users and invitations.

use askama::Template;
use jiff::Timestamp;

use super::{Choice, Frame, GrantRule, LifetimeOption, LinkedIdentity, Problem, SitePage, filters};

/// The list of users.
#[derive(Debug, Template)]
#[template(path = "users.html")]
pub struct UsersPage {
    pub frame: Frame,
    pub users: Vec<UserRow>,
    /// The search text, sent as `q`.
    pub query: String,
    /// True if not all users were searched.
    pub is_cut: bool,
    pub next_href: Option<String>,
}

/// A user in the list.
#[derive(Debug, Clone)]
pub struct UserRow {
    pub id: String,
    /// The name, else the email, else the subject.
    pub name: String,
    /// Shown below the name; `None` if the name is the email.
    pub email: Option<String>,
    pub role: Option<String>,
    /// The rule that grants the role, and its line in the role map.
    pub rule: Option<GrantRule>,
    pub line: Option<u64>,
    pub teams: Vec<String>,
    pub last_sign_in: Option<Timestamp>,
    /// The names of the sign-in methods.
    pub methods: Vec<String>,
    pub disabled: bool,
    pub is_you: bool,
}

/// One user. The forms are posted to its own path as `disable`, `enable`, `end_sessions` or `delete`.
#[derive(Template)]
#[template(path = "user.html")]
pub struct UserPage {
    pub frame: Frame,
    pub id: String,
    pub name: String,
    pub email: Option<String>,
    pub role: Option<String>,
    pub rule: Option<GrantRule>,
    /// The rule's line in the role map.
    pub line: Option<u64>,
    pub teams: Vec<String>,
    pub first_seen: Timestamp,
    pub last_sign_in: Option<Timestamp>,
    pub identities: Vec<LinkedIdentity>,
    /// The role of the first sign-in is kept.
    pub pinned: bool,
    pub disabled: bool,
    pub sessions: u64,
    pub keys: u64,
    pub power: EditPermission,
    /// The URL that invites the user again to set a new password; `None` if the user has no password.
    pub invite_href: Option<String>,
    /// The anti-CSRF token that the forms send back.
    pub csrf: String,
}

/// The permission of the administrator to change a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditPermission {
    May,
    /// The user is the administrator.
    Yourself,
    /// The user's role is above the administrator's.
    Above,
}

/// The list of invitations, and the form that creates one.
#[derive(Template)]
#[template(path = "invitations.html")]
pub struct InvitationsPage {
    pub frame: Frame,
    pub form: InvitationForm,
    /// The new invitation. Its link is shown only once.
    pub created: Option<NewInvitation>,
    pub problem: Option<Problem>,
    /// The sign-in URL if creating an invitation needs a fresh sign-in; `None` if the sign-in is fresh.
    pub sign_in_href: Option<String>,
    pub invitations: Vec<InvitationRow>,
    pub next_href: Option<String>,
    /// The anti-CSRF token that the forms send back.
    pub csrf: String,
}

/// The form that creates an invitation: `make` with `user_email`, `user_role`, `teams` and `duration`.
#[derive(Debug, Clone, Default)]
pub struct InvitationForm {
    pub email: String,
    /// The administrator's own role and those below it.
    pub roles: Vec<Choice>,
    /// Separated by commas or lines.
    pub teams: String,
    /// True if the user has an account, whose role and teams are filled in.
    pub again: bool,
    pub lifetimes: Vec<LifetimeOption>,
}

/// A new invitation. It has no `Debug`, because it contains the link.
pub struct NewInvitation {
    pub email: String,
    pub link: String,
    pub expires: Timestamp,
}

/// An invitation in a list. The form `withdraw` with its `invitation_id` revokes it.
#[derive(Debug, Clone)]
pub struct InvitationRow {
    pub id: String,
    pub email: String,
    pub role: String,
    pub teams: Vec<String>,
    pub created: Timestamp,
    /// The name of its creator; `None` for the command line.
    pub created_by: Option<String>,
    pub expires: Timestamp,
    pub state: InvitationState,
}

/// The state of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationState {
    Open,
    Accepted,
    Expired,
}
