//! What can be wrong with a document, and how it is told.

use serde_saphyr::{Spanned, UserMessageFormatter};

use super::DEFAULT_ROLE;
use crate::access;
use crate::principal::ClaimPathError;
use crate::roles::glob::GlobError;
use crate::roles::litellm::FnmatchError;

/// Why a document was refused. It is refused whole: half a role map grants the wrong things.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleMapError {
    /// It is no YAML, or not of the document's shape.
    #[error("{message}")]
    Document { line: Option<u64>, message: String },
    /// Its shape is right and what it says isn't: every mistake, in the document's order.
    #[error("{}", one_a_line(.0))]
    Mistakes(Vec<Mistake>),
}

impl RoleMapError {
    /// Each mistake by itself.
    pub fn one_by_one(&self) -> Vec<String> {
        match self {
            Self::Mistakes(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
            document @ Self::Document { .. } => vec![document.to_string()],
        }
    }
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} (line {line}): {what}")]
pub struct Mistake {
    /// The field's path: `rules[2].role`.
    pub field: String,
    pub line: u64,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum What {
    #[error("version {0} is unknown to this release; write 1")]
    Version(u64),
    #[error("names no role; leave it out for the default list")]
    NoRoles,
    #[error("{0:?} can't be a role's name: 1 to 64 visible ASCII characters without a comma, and not \"none\"")]
    RoleName(String),
    #[error("role {0:?} is listed twice; its place in the list is its privilege")]
    RoleTwice(String),
    #[error("role {role:?} is not in the list of roles: {known}")]
    UnknownRole { role: String, known: String },
    #[error("role {0:?} is not delegated: who may give it is said by `delegate` in the role map")]
    NotDelegated(String),
    #[error("the list of roles lacks {DEFAULT_ROLE}, so say which one is the default, or none")]
    DefaultRole,
    #[error("the claim's path {0}")]
    Claim(#[from] ClaimPathError),
    #[error("the pattern {0}")]
    Match(#[from] GlobError),
    #[error("{0}")]
    Fnmatch(#[from] FnmatchError),
    #[error("is empty; name a provider's id, or leave it out")]
    EmptyProvider,
    #[error("is empty; leave it out to keep values as they are")]
    EmptyStrip,
    #[error("provider {0:?} is not configured")]
    UnknownProvider(String),
    #[error("with several providers a rule must name its own: anybody's claims would count")]
    NoProvider,
    #[error("is required")]
    Required,
    #[error("is required, unless `all` lists conditions")]
    RequiredOrAll,
    #[error("stands beside `all`; move it into one of the conditions there")]
    BesideAll,
    #[error("lists no condition, and so would hold for everybody")]
    NoCondition,
    #[error("maps no value, so that nobody would be in a team")]
    EmptyMap,
    #[error("has no effect, since no rule names its `source`")]
    NoNamedSource,
    #[error("{0:?} can't be a team's name: no comma, control character or blank at its ends, and not empty")]
    TeamName(String),
    #[error("is empty, and so nothing would ever do; leave it out for no restriction")]
    EmptyList,
    #[error("has no effect beside `allow: {0}`; take one of them out")]
    BesideAllow(&'static str),
    #[error("must be {expected}, not {found:?}")]
    Choice { expected: &'static str, found: String },
    #[error("the pattern {0}")]
    Path(#[from] access::PathPatternError),
    #[error("the pattern {0}")]
    Host(#[from] access::HostPatternError),
    #[error("{0}")]
    Method(#[from] access::MethodError),
    #[error(transparent)]
    UpstreamCredential(#[from] access::UpstreamCredentialError),
    #[error("assertion says who somebody is, and beside `allow: anyone` nobody is looked up")]
    AssertsNobody,
    /// With what is. What was written may be a credential in the wrong place.
    #[error("names nothing that is configured under `upstream_credential`: there is {0}")]
    UnknownUpstreamCredential(String),
    #[error("needs `{0}` beside it")]
    Needs(&'static str),
}

/// Collects mistakes, so that an operator sees all of them at once.
#[derive(Default)]
pub(super) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub fn add(&mut self, field: impl Into<String>, line: u64, what: impl Into<What>) {
        self.0.push(Mistake { field: field.into(), line, what: what.into() });
    }

    /// The value, or the mistake that was made instead of it.
    pub fn judge<T, E: Into<What>>(&mut self, judged: Result<T, E>, field: impl Into<String>, line: u64) -> Option<T> {
        judged.map_err(|what| self.add(field, line, what)).ok()
    }

    pub fn into_result(mut self) -> Result<(), RoleMapError> {
        if self.0.is_empty() {
            return Ok(());
        }
        self.0.sort_by_key(|mistake| mistake.line);
        self.0.dedup_by(|later, earlier| later.field == earlier.field && later.what == earlier.what);
        Err(RoleMapError::Mistakes(self.0))
    }
}

pub(super) fn line<T>(spanned: &Spanned<T>) -> u64 {
    spanned.referenced.line()
}

/// The parser's own picture of the place spans lines; a log line wants one.
pub(super) fn shape_error(error: &serde_saphyr::Error) -> RoleMapError {
    let message = error.without_snippet().render_with_formatter(&UserMessageFormatter);
    RoleMapError::Document {
        line: error.location().map(|location| location.line()),
        message: message.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

fn one_a_line(mistakes: &[Mistake]) -> String {
    let lines: Vec<_> = mistakes.iter().map(Mistake::to_string).collect();
    lines.join("\n")
}
