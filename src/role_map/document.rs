//! Parses and compiles the role map's YAML document and reports all its mistakes at once.

mod access_rules;
mod litellm;
mod references;
mod routes;
mod rules;

use std::fmt::Display;
use std::iter;

use self::litellm::Litellm;
use super::local_grants::LocalClaimsPolicy;
use super::rules::{Rule, Rules};
use super::teams::{CommaPolicy, TeamRule, TeamRules};
use super::{MissingSourcePolicy, Rank, RoleMap, RuleOrigin};
use crate::access::{self as path_access, AccessRules, RouteRules};
use crate::principal::{HeaderEncoding, Role, RuleName, Source};
use crate::yaml::decode::{Section, decode_strict};
use crate::yaml::{self, Mistake, Mistakes, Subset, shown};

pub use self::references::ConfiguredNames;
pub(super) use self::references::check_configured;

/// The document without its fragments.
struct BaseDocument {
    roles: Vec<Role>,
    delegated: Vec<Role>,
    default_role: Option<Role>,
    missing_source: MissingSourcePolicy,
    granting: GrantRules,
    access: Option<Vec<path_access::AccessRule>>,
    routes: RouteRules,
    litellm: Litellm,
}

/// The rules that both the document and its fragments have. A fragment has no other fields, so it cannot extend its own
/// rights.
struct GrantRules {
    rules: Vec<Rule>,
    teams: Vec<TeamRule>,
}

/// The roles that rules may name.
struct RoleList<'a> {
    /// In the order of privilege, the highest first.
    roles: &'a [Role],
    /// The roles that rules of a fragment may grant; `None` for the document itself, whose rules may grant all roles.
    delegated: Option<&'a [Role]>,
    /// The fragment's name.
    fragment: Option<&'a str>,
}

const VERSION: &str = "1";
const NO_ROLE: &str = "none";
const DEFAULT_ROLE: &str = "internal_user_viewer";
const DEFAULT_ROLES: [&str; 7] =
    ["proxy_admin", "proxy_admin_viewer", "org_admin", "team", "internal_user", "internal_user_viewer", "customer"];
const MAX_ROLE_BYTES: usize = 64;

/// The document's JSON Schema, for editors.
pub fn schema() -> &'static str {
    include_str!("document/schema.json")
}

/// Parses the document with its fragments, given as pairs of name and text. Mistakes in a fragment begin with its name.
pub(super) fn parse<'a>(text: &str, fragments: impl Iterator<Item = (&'a str, &'a str)>) -> Result<RoleMap, Mistakes> {
    let base = read(text, read_base)?;
    let GrantRules { mut rules, mut teams } = base.granting;
    teams.extend(base.litellm.teams);
    let mut mistakes = Vec::new();
    for (name, text) in fragments {
        let roles = RoleList { roles: &base.roles, delegated: Some(&base.delegated), fragment: Some(name) };
        match read(text, |section| read_granting(section, &roles)) {
            Ok(granting) => {
                rules.extend(granting.rules);
                teams.extend(granting.teams);
            }
            Err(wrong) => mistakes.extend(wrong.into_iter().map(|mistake| mistake_of_fragment(name, mistake))),
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes.into());
    }
    let named_sources = named_sources(&rules, &teams);
    Ok(RoleMap {
        roles: base.roles,
        default_role: base.default_role,
        rules: Rules::new(rules),
        teams: TeamRules::new(teams, comma_policy(base.access.as_deref().unwrap_or_default())),
        mappings: base.litellm.mappings,
        access: base.access.map(AccessRules::new),
        routes: base.routes,
        identity_encoding: HeaderEncoding::default(),
        missing_source: base.missing_source,
        grants: base.litellm.grants,
        local: LocalClaimsPolicy::Evaluate,
        named_sources,
    })
}

/// The role map without a configured document: all users get the default role.
pub(super) fn default_map() -> RoleMap {
    parse("version: 1", iter::empty()).expect("the minimal document is valid")
}

/// The role map while the configured document is missing: it grants no role and allows access to no path.
pub(super) fn closed_map() -> RoleMap {
    let map = parse("{version: 1, default_role: none, access: []}", iter::empty());
    RoleMap { local: LocalClaimsPolicy::Ignore, ..map.expect("the document that grants nothing is valid") }
}

fn read<T>(text: &str, read: impl FnOnce(&mut Section<'_>) -> Option<T>) -> Result<T, Vec<Mistake>> {
    let parsed = yaml::parse(text, Subset::Core);
    let mut mistakes = parsed.mistakes;
    match decode_strict(parsed.root, read) {
        Ok(value) if mistakes.is_empty() => Ok(value),
        decoded => {
            mistakes.extend(decoded.err().unwrap_or_default());
            Err(mistakes)
        }
    }
}

fn mistake_of_fragment(name: &str, mistake: Mistake) -> Mistake {
    let path = if mistake.path.is_empty() { name.to_owned() } else { format!("{name}: {}", mistake.path) };
    Mistake { path, ..mistake }
}

fn read_base(section: &mut Section<'_>) -> Option<BaseDocument> {
    let version = section.required_value("version", |text| match text {
        VERSION => Ok(()),
        _ => Err(format!("{} is unknown to this release; write {VERSION}", shown(text))),
    });
    let listed = read_roles(section);
    let roles = RoleList { roles: &listed, delegated: None, fragment: None };
    let litellm = section.section(litellm::SECTION, "", |section| litellm::read(section, &roles));
    let granting = read_granting(section, &roles);
    let delegated = section.values("delegate", |name| roles.find(name));
    let access = section.maps("access", |section| access_rules::read(section, &roles));
    let routes = routes::read(section, &roles);
    let default_role = read_default_role(section, &roles);
    let missing_source = read_missing_source(section, granting.as_ref());
    version?;
    Some(BaseDocument {
        delegated: delegated?.unwrap_or_default(),
        default_role: default_role?,
        missing_source: missing_source?,
        granting: granting?,
        access: access?,
        routes: routes?,
        litellm: litellm?,
        roles: listed,
    })
}

fn read_granting(section: &mut Section<'_>, roles: &RoleList<'_>) -> Option<GrantRules> {
    let rules = section.maps("rules", |section| rules::read_rule(section, roles));
    let teams = section.maps("teams", |section| rules::read_team_rule(section, roles));
    Some(GrantRules { rules: rules?.unwrap_or_default(), teams: teams?.unwrap_or_default() })
}

/// Uses the default list if no name in the list is valid, so that the rest of the document is validated too.
fn read_roles(section: &mut Section<'_>) -> Vec<Role> {
    let mut roles: Vec<Role> = Vec::new();
    let listed = section.values("roles", |name| {
        if !is_role_name(name) {
            let text = "can't be a role's name: write 1 to 64 visible ASCII characters without a comma, and not `none`";
            return Err(format!("{} {text}", shown(name)));
        }
        if roles.iter().any(|role| role.as_str() == name) {
            return Err(format!("role {} is listed twice; its position in the list defines its privilege", shown(name)));
        }
        roles.push(Role::new(name));
        Ok(())
    });
    if listed.is_some_and(|listed| listed.is_some_and(|listed| listed.is_empty())) {
        section.complain("roles", "names no role; leave it out for the default list");
    }
    if roles.is_empty() { DEFAULT_ROLES.into_iter().map(Role::new).collect() } else { roles }
}

/// A role's name is sent in a header without encoding.
fn is_role_name(name: &str) -> bool {
    (1..=MAX_ROLE_BYTES).contains(&name.len())
        && name != NO_ROLE
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

fn read_default_role(section: &mut Section<'_>, roles: &RoleList<'_>) -> Option<Option<Role>> {
    let written = section.value("default_role", |name| match name {
        NO_ROLE => Ok(None),
        name => roles.find(name).map(Some),
    })?;
    if written.is_none() && roles.find(DEFAULT_ROLE).is_err() {
        let text = format!("the list of roles lacks {DEFAULT_ROLE}; write the default role, or none");
        section.complain("default_role", text);
    }
    Some(written.unwrap_or_else(|| roles.find(DEFAULT_ROLE).ok()))
}

fn read_missing_source(section: &mut Section<'_>, granting: Option<&GrantRules>) -> Option<MissingSourcePolicy> {
    let written = section.value("missing_source", |text| match text {
        "ignore" => Ok(MissingSourcePolicy::Ignore),
        "refuse" => Ok(MissingSourcePolicy::Deny),
        _ => Err(format!("must be ignore or refuse, not {}", shown(text))),
    })?;
    let written = written.unwrap_or(MissingSourcePolicy::Ignore);
    let has_effect = granting.is_none_or(|granting| !named_sources(&granting.rules, &granting.teams).is_empty());
    if written == MissingSourcePolicy::Deny && !has_effect {
        section.complain("missing_source", "has no effect, since no rule names its `source`");
    }
    Some(written)
}

/// Names with a comma are kept if an upstream can receive them.
fn comma_policy(access: &[path_access::AccessRule]) -> CommaPolicy {
    let is_percent = |rule: &path_access::AccessRule| rule.identity_encoding == Some(HeaderEncoding::Percent);
    if access.iter().any(is_percent) { CommaPolicy::Keep } else { CommaPolicy::Drop }
}

fn named_sources(rules: &[Rule], teams: &[TeamRule]) -> Vec<(Option<Box<str>>, Source)> {
    let by_rules = rules.iter().flat_map(|rule| rule.conditions.iter().map(|condition| (&rule.provider, condition)));
    let by_teams = teams.iter().map(|rule| (&rule.provider, &rule.condition));
    let mut named = Vec::new();
    for (provider, condition) in by_rules.chain(by_teams) {
        let Some(source) = condition.selector.source else { continue };
        if !named.iter().any(|(known, name)| known == provider && *name == source) {
            named.push((provider.clone(), source));
        }
    }
    named
}

impl RoleList<'_> {
    fn find(&self, name: &str) -> Result<Role, String> {
        self.roles.iter().find(|role| role.as_str() == name).cloned().ok_or_else(|| self.describe_unknown(name))
    }

    /// Finds a role that a rule grants, with its rank.
    fn find_granted(&self, name: &str) -> Result<(Rank, Role), String> {
        let rank = self.roles.iter().position(|role| role.as_str() == name).ok_or_else(|| self.describe_unknown(name))?;
        let role = &self.roles[rank];
        if self.delegated.is_some_and(|delegated| !delegated.contains(role)) {
            return Err(format!(
                "role {} is not delegated; `delegate` in the role map lists the roles that fragments may grant",
                shown(name)
            ));
        }
        Ok((rank, role.clone()))
    }

    fn describe_unknown(&self, name: &str) -> String {
        let known: Vec<_> = self.roles.iter().map(Role::as_str).collect();
        format!("role {} is not in the list of roles: {}", shown(name), known.join(", "))
    }

    /// The name and line of the rule in this section.
    fn origin(&self, section: &Section<'_>) -> RuleOrigin {
        let path = section.path();
        let name = self.fragment.map_or_else(|| path.to_owned(), |fragment| format!("{fragment}: {path}"));
        RuleOrigin { name: RuleName::new(name), line: section.line() }
    }
}

/// Reads the list of a field that restricts a rule; empty if the field is not set.
fn read_restrictions<T>(section: &mut Section<'_>, name: &'static str, parse: impl FnMut(&str) -> Result<T, String>) -> Vec<T> {
    let values = section.values(name, parse).flatten();
    if values.as_ref().is_some_and(Vec::is_empty) {
        section.complain(name, "is empty, so that nothing would match; remove the field for no restriction");
    }
    values.unwrap_or_default()
}

fn require_pattern<T>(parsed: Result<T, impl Display>) -> Result<T, String> {
    parsed.map_err(|error| format!("the pattern {error}"))
}
