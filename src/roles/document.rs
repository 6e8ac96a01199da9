//! The role map's document: read from YAML, judged whole, compiled.

use serde::{Deserialize, Deserializer};
use serde_saphyr::options::MergeKeyPolicy;
use serde_saphyr::{Spanned, UserMessageFormatter};

use super::claim::{ClaimPath, ClaimPathError};
use super::glob::{Glob, GlobError};
use super::{Origin, RoleMap, Rule, Selector, TeamRule};
use crate::principal::{Role, RuleName};

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
    #[error("the list of roles lacks {DEFAULT_ROLE}, so say which one is the default, or none")]
    DefaultRole,
    #[error("the claim's path {0}")]
    Claim(#[from] ClaimPathError),
    #[error("the pattern {0}")]
    Match(#[from] GlobError),
    #[error("is empty; name a provider's id, or leave it out")]
    EmptyProvider,
    #[error("is empty; leave it out to keep values as they are")]
    EmptyStrip,
    #[error("provider {0:?} is not configured")]
    UnknownProvider(String),
    #[error("with several providers a rule must name its own: anybody's claims would count")]
    NoProvider,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: Spanned<u64>,
    #[serde(default, deserialize_with = "said")]
    roles: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default, deserialize_with = "said")]
    default_role: Option<Spanned<String>>,
    #[serde(default)]
    rules: Vec<Spanned<RawRule>>,
    #[serde(default)]
    teams: Vec<Spanned<RawTeamRule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    #[serde(default, deserialize_with = "said")]
    provider: Option<Spanned<String>>,
    claim: Spanned<String>,
    r#match: Spanned<String>,
    role: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTeamRule {
    #[serde(default, deserialize_with = "said")]
    provider: Option<Spanned<String>>,
    claim: Spanned<String>,
    r#match: Spanned<String>,
    #[serde(default, deserialize_with = "said")]
    strip: Option<Spanned<String>>,
}

/// A field that is there has a value. To a plain `Option`, `default_role: null` or `provider: ~`
/// would look like the field's absence, which grants more than the operator meant.
fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// Collects mistakes, so that an operator sees all of them at once.
#[derive(Default)]
struct Mistakes(Vec<Mistake>);

const VERSION: u64 = 1;
const NO_ROLE: &str = "none";
const DEFAULT_ROLE: &str = "internal_user_viewer";
const DEFAULT_ROLES: [&str; 7] =
    ["proxy_admin", "proxy_admin_viewer", "org_admin", "team", "internal_user", "internal_user_viewer", "customer"];
const LONGEST_ROLE: usize = 64;

pub(super) fn parse(text: &str) -> Result<RoleMap, RoleMapError> {
    let document: Document = serde_saphyr::from_str_with_options(text, yaml()).map_err(|error| shape_error(&error))?;
    let mut mistakes = Mistakes::default();
    let map = compile(document, &mut mistakes);
    mistakes.into_result()?;
    Ok(map)
}

/// Merge keys and tags would let a document say other than what it shows.
fn yaml() -> serde_saphyr::Options {
    serde_saphyr::options! {
        merge_keys: MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        reject_tagged_field_names: true,
    }
}

/// What holds where nothing is configured: everybody who signs in gets the default role.
pub(super) fn default_map() -> RoleMap {
    RoleMap { default_role: Some((Role::new(DEFAULT_ROLE), RuleName::new("default_role"))), rules: Vec::new(), teams: Vec::new() }
}

/// The rules that don't fit the configured providers.
pub(super) fn check_providers(map: &RoleMap, configured: &[&str]) -> Result<(), RoleMapError> {
    let mut mistakes = Mistakes::default();
    let rules = map.rules.iter().map(|rule| &rule.selector);
    for selector in rules.chain(map.teams.iter().map(|team| &team.selector)) {
        let what = match &selector.provider {
            Some(id) if !configured.contains(&&**id) => What::UnknownProvider(id.to_string()),
            None if configured.len() > 1 => What::NoProvider,
            _ => continue,
        };
        let Origin { name, line } = &selector.origin;
        mistakes.add(format!("{name}.provider"), *line, what);
    }
    mistakes.into_result()
}

fn compile(document: Document, mistakes: &mut Mistakes) -> RoleMap {
    if document.version.value != VERSION {
        let what = What::Version(document.version.value);
        mistakes.add("version".into(), line(&document.version), what);
    }
    let roles = compile_roles(document.roles, mistakes);
    RoleMap {
        default_role: compile_default(document.default_role, &roles, mistakes),
        rules: compile_each("rules", document.rules, mistakes, |rule, origin, mistakes| {
            compile_rule(rule, origin, &roles, mistakes)
        }),
        teams: compile_each("teams", document.teams, mistakes, compile_team_rule),
    }
}

/// Where the list is no list, the default one stands in, so that the rest is judged all the same.
fn compile_roles(listed: Option<Spanned<Vec<Spanned<String>>>>, mistakes: &mut Mistakes) -> Vec<Role> {
    if let Some(empty) = listed.as_ref().filter(|listed| listed.value.is_empty()) {
        mistakes.add("roles".into(), line(empty), What::NoRoles);
    }
    match listed {
        Some(listed) if !listed.value.is_empty() => listed_roles(listed.value, mistakes),
        _ => DEFAULT_ROLES.into_iter().map(Role::new).collect(),
    }
}

fn listed_roles(names: Vec<Spanned<String>>, mistakes: &mut Mistakes) -> Vec<Role> {
    let mut roles: Vec<Role> = Vec::with_capacity(names.len());
    for (index, name) in names.into_iter().enumerate() {
        let field = format!("roles[{index}]");
        if !is_role_name(&name.value) {
            mistakes.add(field, line(&name), What::RoleName(name.value));
        } else if roles.iter().any(|role| role.as_str() == name.value) {
            mistakes.add(field, line(&name), What::RoleTwice(name.value));
        } else {
            roles.push(Role::new(name.value));
        }
    }
    roles
}

/// A role's name goes into a header as it is.
fn is_role_name(name: &str) -> bool {
    (1..=LONGEST_ROLE).contains(&name.len())
        && name != NO_ROLE
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

fn compile_default(said: Option<Spanned<String>>, roles: &[Role], mistakes: &mut Mistakes) -> Option<(Role, RuleName)> {
    let field = "default_role".to_owned();
    let rank = match said {
        Some(name) if name.value == NO_ROLE => return None,
        Some(name) => rank(&name, field, roles, mistakes)?,
        None => default_rank(field, roles, mistakes)?,
    };
    Some((roles[rank].clone(), RuleName::new("default_role")))
}

fn default_rank(field: String, roles: &[Role], mistakes: &mut Mistakes) -> Option<usize> {
    let position = position(DEFAULT_ROLE, roles);
    if position.is_none() {
        mistakes.add(field, 1, What::DefaultRole);
    }
    position
}

fn compile_each<Raw, Compiled>(
    section: &str,
    raw: Vec<Spanned<Raw>>,
    mistakes: &mut Mistakes,
    compile: impl Fn(Raw, Origin, &mut Mistakes) -> Option<Compiled>,
) -> Vec<Compiled> {
    let numbered = raw.into_iter().enumerate();
    numbered
        .filter_map(|(index, rule)| {
            let origin = Origin { name: RuleName::new(format!("{section}[{index}]")), line: line(&rule) };
            compile(rule.value, origin, mistakes)
        })
        .collect()
}

fn compile_rule(raw: RawRule, origin: Origin, roles: &[Role], mistakes: &mut Mistakes) -> Option<Rule> {
    let field = format!("{}.role", origin.name);
    let rank = rank(&raw.role, field, roles, mistakes);
    let selector = compile_selector(raw.provider, &raw.claim, &raw.r#match, origin, mistakes);
    let (rank, selector) = (rank?, selector?);
    Some(Rule { rank, role: roles[rank].clone(), selector })
}

fn compile_team_rule(raw: RawTeamRule, origin: Origin, mistakes: &mut Mistakes) -> Option<TeamRule> {
    if let Some(strip) = raw.strip.as_ref().filter(|strip| strip.value.is_empty()) {
        mistakes.add(format!("{}.strip", origin.name), line(strip), What::EmptyStrip);
    }
    let selector = compile_selector(raw.provider, &raw.claim, &raw.r#match, origin, mistakes)?;
    Some(TeamRule { selector, strip: raw.strip.map(|strip| strip.value.into()).unwrap_or_default() })
}

fn compile_selector(
    provider: Option<Spanned<String>>,
    claim: &Spanned<String>,
    pattern: &Spanned<String>,
    origin: Origin,
    mistakes: &mut Mistakes,
) -> Option<Selector> {
    let name = &origin.name;
    if let Some(empty) = provider.as_ref().filter(|id| id.value.is_empty()) {
        mistakes.add(format!("{name}.provider"), line(empty), What::EmptyProvider);
    }
    let path = ClaimPath::parse(&claim.value).map_err(|error| mistakes.add(format!("{name}.claim"), line(claim), error.into()));
    let glob = Glob::parse(&pattern.value).map_err(|error| mistakes.add(format!("{name}.match"), line(pattern), error.into()));
    Some(Selector { provider: provider.map(|id| id.value.into()), claim: path.ok()?, glob: glob.ok()?, origin })
}

/// A role's place in the list: the smaller, the more it may do.
fn rank(name: &Spanned<String>, field: String, roles: &[Role], mistakes: &mut Mistakes) -> Option<usize> {
    let position = position(&name.value, roles);
    if position.is_none() {
        let known: Vec<_> = roles.iter().map(Role::as_str).collect();
        let what = What::UnknownRole { role: name.value.clone(), known: known.join(", ") };
        mistakes.add(field, line(name), what);
    }
    position
}

fn position(name: &str, roles: &[Role]) -> Option<usize> {
    roles.iter().position(|role| role.as_str() == name)
}

impl Mistakes {
    fn add(&mut self, field: String, line: u64, what: What) {
        self.0.push(Mistake { field, line, what });
    }

    fn into_result(mut self) -> Result<(), RoleMapError> {
        if self.0.is_empty() {
            return Ok(());
        }
        self.0.sort_by_key(|mistake| mistake.line);
        Err(RoleMapError::Mistakes(self.0))
    }
}

fn line<T>(spanned: &Spanned<T>) -> u64 {
    spanned.referenced.line()
}

/// The parser's own picture of the place spans lines; a log line wants one.
fn shape_error(error: &serde_saphyr::Error) -> RoleMapError {
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
