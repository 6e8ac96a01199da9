//! The administrators' page about the role map: what is in force, and why somebody gets what they get.

use askama::Template;
use jiff::Timestamp;

use super::{Choice, Frame, GrantRule, Place, Problem, filters};

/// The role map in force, its last refused edit, and a form that explains a person's role.
#[derive(Template)]
#[template(path = "role_map.html")]
pub struct RoleMapPage {
    pub frame: Frame,
    /// None until its source has told of one.
    pub in_force: Option<RoleMapSummary>,
    pub refused: Option<RejectedEdit>,
    pub form: ExplainForm,
    pub problem: Option<Problem>,
    pub explained: Option<GrantExplanation>,
    /// The anti-CSRF token that the form sends back.
    pub csrf: String,
}

/// The role map in force.
#[derive(Debug, Clone)]
pub struct RoleMapSummary {
    pub version: u64,
    /// Where it comes from: a file, a ConfigMap, the built-in one.
    pub source: String,
    pub since: Timestamp,
    pub rules: u64,
    /// Highest privilege first.
    pub roles: Vec<String>,
    pub default_role: Option<String>,
}

/// An edit that was refused, so that what was before it stayed.
#[derive(Debug, Clone)]
pub struct RejectedEdit {
    pub at: Timestamp,
    pub mistakes: Vec<String>,
}

/// What is to be explained: `explain` with `person`, or with `claims` and `provider`; and, where access is asked about,
/// `url`, `method` and `credential`.
#[derive(Debug, Clone, Default)]
pub struct ExplainForm {
    /// An id or an email.
    pub person: String,
    /// As JSON.
    pub claims: String,
    pub providers: Vec<Choice>,
    pub url: String,
    pub method: String,
    pub credentials: Vec<Choice>,
}

/// What the role map says, with its reasons.
#[derive(Debug, Clone, Default)]
pub struct GrantExplanation {
    /// Of whom; none for claims that were pasted.
    pub person: Option<String>,
    /// Whether not everybody was looked at who might have the same email.
    pub is_cut: bool,
    pub role: Option<String>,
    pub rule: Option<GrantRule>,
    pub line: Option<u64>,
    /// A source that is missing, for which the role map refuses such a person.
    pub refused_for_missing: Option<String>,
    pub teams: Vec<TeamGrant>,
    /// Values that matched and name no team.
    pub dropped_teams: Vec<TeamGrant>,
    pub outranked: Vec<OutrankedRole>,
    pub near_misses: Vec<NearMiss>,
    pub missing_sources: Vec<String>,
    /// Who has signed in before keeps what they were given then.
    pub first_login_only: bool,
    pub access: Option<RequestExplanation>,
}

/// A team, and the rule that gave it.
#[derive(Debug, Clone)]
pub struct TeamGrant {
    pub team: String,
    pub rule: GrantRule,
    pub line: Option<u64>,
}

/// A rule that held and gave less than the one that won.
#[derive(Debug, Clone)]
pub struct OutrankedRole {
    pub role: String,
    pub rule: GrantRule,
    pub line: Option<u64>,
}

/// A rule that did not hold, and why.
#[derive(Debug, Clone)]
pub struct NearMiss {
    pub rule: String,
    pub line: u64,
    /// What it would give; none for a rule that names teams.
    pub role: Option<String>,
    pub why: String,
}

/// Whether the request that was asked about may pass.
#[derive(Debug, Clone)]
pub struct RequestExplanation {
    pub allowed: bool,
    pub reason: String,
    pub readings: Vec<PathInterpretation>,
}

/// A way to read the path, and the rule that it selects.
#[derive(Debug, Clone)]
pub struct PathInterpretation {
    pub how: String,
    pub path: String,
    pub rule: Option<String>,
}

impl ExplainForm {
    fn has_claims(&self) -> bool {
        !self.claims.is_empty()
    }
}
