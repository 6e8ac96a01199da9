//! The administrators' pages about people and their invitations.

use askama::Template;
use jiff::Timestamp;

use super::{Choice, Frame, GrantRule, LifetimeOption, LinkedIdentity, Place, Problem, filters};

/// Everybody who is known here.
#[derive(Debug, Template)]
#[template(path = "people.html")]
pub struct UsersPage {
    pub frame: Frame,
    pub people: Vec<UserRow>,
    /// What was searched for, sent as `q`.
    pub query: String,
    /// Whether not everybody was looked at.
    pub is_cut: bool,
    pub next_href: Option<String>,
}

/// A person in a list.
#[derive(Debug, Clone)]
pub struct UserRow {
    pub id: String,
    /// The name, the email or the subject: whichever is known first.
    pub name: String,
    /// Shown below the name, so leave it out where it is the name.
    pub email: Option<String>,
    pub role: Option<String>,
    /// By what the role is given, and its line in the role map.
    pub rule: Option<GrantRule>,
    pub line: Option<u64>,
    pub teams: Vec<String>,
    pub last_sign_in: Option<Timestamp>,
    /// The names of the providers that they are known at, and a password's if there is one.
    pub methods: Vec<String>,
    pub disabled: bool,
    pub is_you: bool,
}

/// One person. The forms are posted to its own address as `disable`, `enable`, `end_sessions` or `delete`.
#[derive(Template)]
#[template(path = "person.html")]
pub struct UserPage {
    pub frame: Frame,
    pub id: String,
    pub name: String,
    pub email: Option<String>,
    pub role: Option<String>,
    pub rule: Option<GrantRule>,
    /// Where the rule stands in the role map.
    pub line: Option<u64>,
    pub teams: Vec<String>,
    pub first_seen: Timestamp,
    pub last_sign_in: Option<Timestamp>,
    pub identities: Vec<LinkedIdentity>,
    /// The role is kept from the first sign-in.
    pub pinned: bool,
    pub disabled: bool,
    pub sessions: u64,
    pub keys: u64,
    pub power: EditPermission,
    /// Where they can be invited again, which lets them set a new password; none where they have none.
    pub invite_href: Option<String>,
    /// The anti-CSRF token that the forms send back.
    pub csrf: String,
}

/// Whether the administrator may change a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditPermission {
    May,
    /// It is themselves.
    Yourself,
    /// The person's role is above theirs.
    Above,
}

/// Invitations: the form that makes one, and those that there are.
#[derive(Template)]
#[template(path = "invitations.html")]
pub struct InvitationsPage {
    pub frame: Frame,
    pub form: InvitationForm,
    /// The invitation that was just made: the only time that its link is seen.
    pub made: Option<NewInvitation>,
    pub problem: Option<Problem>,
    /// Where to sign in before one can be made; none where that was done lately.
    pub sign_in_href: Option<String>,
    pub invitations: Vec<InvitationRow>,
    pub next_href: Option<String>,
    /// The anti-CSRF token that the forms send back.
    pub csrf: String,
}

/// The form that makes one: `make` with `user_email`, `user_role`, `teams` and `duration`.
#[derive(Debug, Clone, Default)]
pub struct InvitationForm {
    pub email: String,
    /// No higher than the administrator's own.
    pub roles: Vec<Choice>,
    /// As they were typed: commas or lines between them.
    pub teams: String,
    /// Whether it is for somebody who has an account, whose role and teams are filled in.
    pub again: bool,
    pub lasting: Vec<LifetimeOption>,
}

/// An invitation that was just made. Without `Debug`, for the link's sake.
pub struct NewInvitation {
    pub email: String,
    pub link: String,
    pub expires: Timestamp,
}

/// An invitation in a list. `withdraw` with its `invitation_id` takes it back.
#[derive(Debug, Clone)]
pub struct InvitationRow {
    pub id: String,
    pub email: String,
    pub role: String,
    pub teams: Vec<String>,
    pub made: Timestamp,
    /// Who made it; none for the command line.
    pub made_by: Option<String>,
    pub expires: Timestamp,
    pub state: InvitationState,
}

/// What became of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationState {
    Open,
    Accepted,
    Expired,
}
