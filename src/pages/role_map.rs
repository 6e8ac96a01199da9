//! The administration page of the role map and of explanations.

use askama::Template;
use jiff::Timestamp;

use super::{Choice, Frame, GrantRule, LinkedIdentity, Problem, SitePage, filters};

/// The active role map, its last rejected edit, and a form that explains a user's role.
#[derive(Template)]
#[template(path = "role_map.html")]
pub struct RoleMapPage {
    pub frame: Frame,
    /// `None` until a role map is loaded.
    pub active: Option<RoleMapSummary>,
    pub refused: Option<RejectedEdit>,
    pub form: ExplainForm,
    pub problem: Option<Problem>,
    pub explained: Option<GrantExplanation>,
    /// The anti-CSRF token that the form sends back.
    pub csrf: String,
}

/// The active role map.
#[derive(Debug, Clone)]
pub struct RoleMapSummary {
    pub version: u64,
    /// The source: a file, a ConfigMap or the built-in one.
    pub source: String,
    pub since: Timestamp,
    pub rules: u64,
    /// Highest privilege first.
    pub roles: Vec<String>,
    pub default_role: Option<String>,
}

/// An edit that was rejected, so that the previous role map stays active.
#[derive(Debug, Clone)]
pub struct RejectedEdit {
    pub at: Timestamp,
    pub mistakes: Vec<String>,
}

/// The form `explain`, with `person`, or with `claims` and `provider`. For a decision it also has `url`, `method` and
/// `credential`.
#[derive(Debug, Clone, Default)]
pub struct ExplainForm {
    /// An id or an email.
    pub user: String,
    /// As JSON.
    pub claims: String,
    pub providers: Vec<Choice>,
    pub url: String,
    pub method: String,
    pub credentials: Vec<Choice>,
}

/// The grant of a user or of claims, with its reasons.
#[derive(Debug, Clone, Default)]
pub struct GrantExplanation {
    /// The user's name; `None` for claims.
    pub user: Option<String>,
    /// True if not all users were searched, so that another one may have the same email.
    pub is_cut: bool,
    /// The user's identities; none for claims.
    pub identities: Vec<IdentityRow>,
    pub role: Option<String>,
    pub rule: Option<GrantRule>,
    pub line: Option<u64>,
    /// The source whose absence makes the role map refuse the user.
    pub refused_for_missing: Option<String>,
    pub teams: Vec<TeamGrant>,
    /// Values that matched and are not teams.
    pub dropped_teams: Vec<TeamGrant>,
    pub outranked: Vec<OutrankedRole>,
    pub near_misses: Vec<NearMissRow>,
    pub warnings: Vec<ListWarningRow>,
    pub missing_sources: Vec<String>,
    /// Claims that count as absent, because they do not fit their use.
    pub ignored_claims: Vec<String>,
    /// Users who have signed in before keep their first grant.
    pub first_login_only: bool,
    pub access: Option<RequestExplanation>,
}

/// An identity of a user, and whether it grants nothing because it was verified too long ago.
#[derive(Debug, Clone)]
pub struct IdentityRow {
    pub identity: LinkedIdentity,
    pub has_expired: bool,
}

/// A team, and the rule that grants it.
#[derive(Debug, Clone)]
pub struct TeamGrant {
    pub team: String,
    pub rule: GrantRule,
    pub line: Option<u64>,
}

/// A rule that matches and grants a lower role.
#[derive(Debug, Clone)]
pub struct OutrankedRole {
    pub role: String,
    pub rule: GrantRule,
    pub line: Option<u64>,
}

/// A rule that does not match, and the reason.
#[derive(Debug, Clone)]
pub struct NearMissRow {
    pub rule: String,
    pub line: u64,
    /// The role that it would grant; `None` for a rule that grants teams.
    pub role: Option<String>,
    pub reason: String,
}

/// A rule that reads a list as one value.
#[derive(Debug, Clone)]
pub struct ListWarningRow {
    pub rule: String,
    pub line: u64,
    pub reason: String,
}

/// The decision about a request.
#[derive(Debug, Clone)]
pub struct RequestExplanation {
    pub allowed: bool,
    pub reason: String,
    pub interpretations: Vec<InterpretationRow>,
}

/// A path interpretation, and the access rule that matches it.
#[derive(Debug, Clone)]
pub struct InterpretationRow {
    pub derivation: String,
    pub path: String,
    pub rule: Option<String>,
}

impl ExplainForm {
    fn has_claims(&self) -> bool {
        !self.claims.is_empty()
    }
}
