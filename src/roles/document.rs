//! The role map's document: read from YAML, judged whole, compiled.

mod access;
mod configured;
mod litellm;
mod mistakes;
mod rules;

use std::iter;

use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;
use serde_saphyr::options::MergeKeyPolicy;

use self::access::RawAccessRule;
use self::litellm::{Compiled, RawLitellm};
use self::mistakes::{Mistakes, line, shape_error};
use self::rules::{RawRule, RawTeamRule};
use super::local::Local;
use super::rules::Rules;
use super::teams::TeamRules;
use super::{Grants, MissingSource, Origin, Rank, RoleMap};
use crate::access::AccessRules;
use crate::principal::{Role, RuleName, Source};

pub use self::configured::Configured;
pub(super) use self::configured::check;
pub use self::mistakes::{Mistake, RoleMapError, What};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: Spanned<u64>,
    #[serde(default, deserialize_with = "said")]
    roles: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default, deserialize_with = "said")]
    default_role: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "said")]
    missing_source: Option<Spanned<String>>,
    #[serde(default)]
    rules: Vec<Spanned<RawRule>>,
    #[serde(default)]
    teams: Vec<Spanned<RawTeamRule>>,
    /// An empty list is a list: nothing is selected, and so everything is refused.
    #[serde(default, deserialize_with = "said")]
    access: Option<Vec<Spanned<RawAccessRule>>>,
    #[serde(default, deserialize_with = "said")]
    litellm_jwtauth: Option<Spanned<RawLitellm>>,
    #[serde(default, deserialize_with = "said")]
    delegate: Option<Vec<Spanned<String>>>,
}

/// What others than the document's owner add to it. It holds nothing that could widen what it may do.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fragment {
    #[serde(default)]
    rules: Vec<Spanned<RawRule>>,
    #[serde(default)]
    teams: Vec<Spanned<RawTeamRule>>,
}

/// A field that is there has a value. To a plain `Option`, `default_role: null` or `provider: ~`
/// would look like the field's absence, which grants more than the operator meant.
fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// The roles of a document, the highest privilege first.
#[derive(Clone)]
struct RoleList {
    roles: Vec<Role>,
    /// What a fragment's rules may give; in the document itself, all of them.
    delegated: Option<Vec<Role>>,
}

const VERSION: u64 = 1;
const NO_ROLE: &str = "none";
const DEFAULT_ROLE: &str = "internal_user_viewer";
const DEFAULT_ROLES: [&str; 7] =
    ["proxy_admin", "proxy_admin_viewer", "org_admin", "team", "internal_user", "internal_user_viewer", "customer"];
const LONGEST_ROLE: usize = 64;

/// The document's JSON Schema, for editors.
pub fn schema() -> &'static str {
    include_str!("document/schema.json")
}

/// The document with fragments, each under its name. The mistakes of a fragment's rules begin with its name.
pub(super) fn parse<'a>(text: &str, fragments: impl Iterator<Item = (&'a str, &'a str)>) -> Result<RoleMap, RoleMapError> {
    let document: Document = read(text)?;
    let fragments = fragments.map(|(name, text)| Ok((name, read(text)?))).collect::<Result<Vec<_>, _>>()?;
    let mut mistakes = Mistakes::default();
    let map = compile(document, fragments, &mut mistakes);
    mistakes.into_result()?;
    Ok(map)
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, RoleMapError> {
    serde_saphyr::from_str_with_options(text, yaml()).map_err(|error| shape_error(&error))
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
    parse("version: 1", iter::empty()).expect("the smallest document is a document")
}

/// What holds while the document that restricts is gone: nobody gets a role, and no path is open to anyone.
pub(super) fn closed_map() -> RoleMap {
    let map = parse("{version: 1, default_role: none, access: []}", iter::empty());
    RoleMap { local: Local::Ignored, ..map.expect("a document that grants nothing is a document") }
}

fn compile(document: Document, fragments: Vec<(&str, Fragment)>, mistakes: &mut Mistakes) -> RoleMap {
    if document.version.value != VERSION {
        let what = What::Version(document.version.value);
        mistakes.add("version", line(&document.version), what);
    }
    let roles = compile_roles(document.roles, mistakes);
    let Compiled { mappings, teams: litellm_teams, grants } = match document.litellm_jwtauth {
        None => Compiled { mappings: None, teams: None, grants: Grants::FollowClaims },
        Some(section) => litellm::compile(section, &roles, mistakes),
    };
    let mut rules = compile_each("rules", document.rules, |raw, origin| rules::compile_rule(raw, origin, &roles, mistakes));
    let mut teams = compile_each("teams", document.teams, |raw, origin| rules::compile_team_rule(raw, origin, mistakes));
    teams.extend(litellm_teams);
    let delegated = RoleList { delegated: Some(compile_delegated(document.delegate, &roles, mistakes)), ..roles.clone() };
    for (name, fragment) in fragments {
        let section = format!("{name}: rules");
        rules
            .extend(compile_each(&section, fragment.rules, |raw, origin| rules::compile_rule(raw, origin, &delegated, mistakes)));
        let section = format!("{name}: teams");
        teams.extend(compile_each(&section, fragment.teams, |raw, origin| rules::compile_team_rule(raw, origin, mistakes)));
    }
    let (rules, teams) = (Rules::new(rules), TeamRules::new(teams));
    let access = document
        .access
        .map(|access| compile_each("access", access, |raw, origin| access::compile(raw, &origin, &roles, mistakes)));
    let named_sources = named_sources(&rules, &teams);
    RoleMap {
        default_role: compile_default(document.default_role, &roles, mistakes),
        missing_source: compile_missing_source(document.missing_source, &named_sources, mistakes),
        access: access.map(AccessRules::new),
        roles: roles.roles,
        rules,
        teams,
        mappings,
        grants,
        local: Local::Counts,
        named_sources,
    }
}

/// Where the list is no list, the default one stands in, so that the rest is judged all the same.
fn compile_roles(listed: Option<Spanned<Vec<Spanned<String>>>>, mistakes: &mut Mistakes) -> RoleList {
    if let Some(empty) = listed.as_ref().filter(|listed| listed.value.is_empty()) {
        mistakes.add("roles", line(empty), What::NoRoles);
    }
    let roles = match listed {
        Some(listed) if !listed.value.is_empty() => listed_roles(listed.value, mistakes),
        _ => DEFAULT_ROLES.into_iter().map(Role::new).collect(),
    };
    RoleList { roles, delegated: None }
}

fn compile_delegated(listed: Option<Vec<Spanned<String>>>, roles: &RoleList, mistakes: &mut Mistakes) -> Vec<Role> {
    let numbered = listed.unwrap_or_default().into_iter().enumerate();
    numbered.filter_map(|(index, role)| Some(roles.at(roles.rank(&role, format!("delegate[{index}]"), mistakes)?))).collect()
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

fn compile_default(said: Option<Spanned<String>>, roles: &RoleList, mistakes: &mut Mistakes) -> Option<Role> {
    let rank = match said {
        Some(name) if name.value == NO_ROLE => return None,
        Some(name) => roles.rank(&name, "default_role".to_owned(), mistakes)?,
        None => {
            let found = roles.position(DEFAULT_ROLE);
            mistakes.judge(found.ok_or(What::DefaultRole), "default_role", 1)?
        }
    };
    Some(roles.at(rank))
}

fn compile_missing_source(
    said: Option<Spanned<String>>,
    named: &[(Option<Box<str>>, Source)],
    mistakes: &mut Mistakes,
) -> MissingSource {
    let Some(said) = said else { return MissingSource::Ignored };
    let what = match said.value.as_str() {
        "ignore" => return MissingSource::Ignored,
        "refuse" if !named.is_empty() => return MissingSource::Refused,
        "refuse" => What::NoNamedSource,
        _ => What::Choice { expected: "ignore or refuse", found: said.value.clone() },
    };
    mistakes.add("missing_source", line(&said), what);
    MissingSource::Refused
}

fn named_sources(rules: &Rules, teams: &TeamRules) -> Vec<(Option<Box<str>>, Source)> {
    let by_rules = rules.iter().flat_map(|rule| rule.conditions.iter().map(|condition| (&rule.provider, condition)));
    let by_teams = teams.iter().map(|rule| (&rule.provider, &rule.condition));
    let mut named = Vec::new();
    for (provider, condition) in by_rules.chain(by_teams) {
        let Some(source) = condition.place.source else { continue };
        if !named.iter().any(|(known, name)| known == provider && *name == source) {
            named.push((provider.clone(), source));
        }
    }
    named
}

fn compile_each<Raw, Compiled>(
    section: &str,
    raw: Vec<Spanned<Raw>>,
    mut compile: impl FnMut(Raw, Origin) -> Option<Compiled>,
) -> Vec<Compiled> {
    let numbered = raw.into_iter().enumerate();
    numbered
        .filter_map(|(index, rule)| {
            let origin = Origin { name: RuleName::new(format!("{section}[{index}]")), line: line(&rule) };
            compile(rule.value, origin)
        })
        .collect()
}

impl RoleList {
    fn position(&self, name: &str) -> Option<Rank> {
        self.roles.iter().position(|role| role.as_str() == name)
    }

    fn at(&self, rank: Rank) -> Role {
        self.roles[rank].clone()
    }

    fn find(&self, name: &str) -> Result<Role, What> {
        self.position(name).map(|rank| self.at(rank)).ok_or_else(|| self.unknown(name))
    }

    /// A role's place in the list: the smaller, the more it may do.
    fn rank(&self, name: &Spanned<String>, field: String, mistakes: &mut Mistakes) -> Option<Rank> {
        let found = self.position(&name.value).ok_or_else(|| self.unknown(&name.value));
        let rank = mistakes.judge(found, field.as_str(), line(name))?;
        let withheld = self.delegated.as_ref().is_some_and(|delegated| !delegated.contains(&self.roles[rank]));
        if withheld {
            mistakes.add(field, line(name), What::NotDelegated(name.value.clone()));
        }
        (!withheld).then_some(rank)
    }

    fn unknown(&self, name: &str) -> What {
        let known: Vec<_> = self.roles.iter().map(Role::as_str).collect();
        What::UnknownRole { role: name.to_owned(), known: known.join(", ") }
    }
}
