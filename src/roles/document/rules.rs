//! `rules` and `teams`: what claims give.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::mistakes::{Mistakes, What, line};
use super::{RoleList, said};
use crate::principal::{ClaimPath, Source};
use crate::roles::Origin;
use crate::roles::condition::{Case, Condition, Place, Split};
use crate::roles::glob::Glob;
use crate::roles::rules::Rule;
use crate::roles::teams::{TeamRule, fits_a_list};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    #[serde(default, deserialize_with = "said")]
    provider: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "said")]
    source: Option<Spanned<Source>>,
    #[serde(default, deserialize_with = "said")]
    claim: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "said")]
    split: Option<Spanned<Split>>,
    #[serde(default, deserialize_with = "said")]
    r#match: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "said")]
    ignore_case: Option<Spanned<bool>>,
    #[serde(default, deserialize_with = "said")]
    all: Option<Spanned<Vec<Spanned<RawCondition>>>>,
    role: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTeamRule {
    #[serde(default, deserialize_with = "said")]
    provider: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "said")]
    source: Option<Spanned<Source>>,
    claim: Spanned<String>,
    #[serde(default, deserialize_with = "said")]
    split: Option<Spanned<Split>>,
    #[serde(default, deserialize_with = "said")]
    r#match: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "said")]
    ignore_case: Option<Spanned<bool>>,
    #[serde(default, deserialize_with = "said")]
    strip: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "said")]
    map: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCondition {
    #[serde(default, deserialize_with = "said")]
    source: Option<Spanned<Source>>,
    claim: Spanned<String>,
    #[serde(default, deserialize_with = "said")]
    split: Option<Spanned<Split>>,
    r#match: Spanned<String>,
    #[serde(default, deserialize_with = "said")]
    ignore_case: Option<Spanned<bool>>,
}

pub(super) fn compile_rule(raw: RawRule, origin: Origin, roles: &RoleList, mistakes: &mut Mistakes) -> Option<Rule> {
    let rank = roles.rank(&raw.role, format!("{}.role", origin.name), mistakes);
    let provider = compile_provider(raw.provider.as_ref(), &origin, mistakes);
    let conditions = conditions_of(raw, &origin, mistakes);
    let (rank, provider, conditions) = (rank?, provider?, conditions?);
    Some(Rule { origin, provider, conditions, rank, role: roles.at(rank) })
}

pub(super) fn compile_team_rule(raw: RawTeamRule, origin: Origin, mistakes: &mut Mistakes) -> Option<TeamRule> {
    let name = origin.name.clone();
    let provider = compile_provider(raw.provider.as_ref(), &origin, mistakes);
    if let Some(strip) = raw.strip.as_ref().filter(|strip| strip.value.is_empty()) {
        mistakes.add(format!("{name}.strip"), line(strip), What::EmptyStrip);
    }
    let map = raw.map.as_ref().map(|map| compile_map(map, &origin, mistakes));
    // A map selects by itself.
    let pattern = match (&raw.r#match, &map) {
        (Some(pattern), _) => Some((pattern.value.as_str(), line(pattern))),
        (None, Some(_)) => Some(("*", origin.line)),
        (None, None) => None,
    };
    let Some((pattern, pattern_line)) = pattern else {
        mistakes.add(format!("{name}.match"), origin.line, What::Required);
        return None;
    };
    let place = place(&raw.claim, raw.source, raw.split, raw.ignore_case, name.as_str(), mistakes);
    let condition = compile_pattern(place, (pattern, pattern_line), name.as_str(), mistakes);
    let strip = raw.strip.map(|strip| strip.value.into()).unwrap_or_default();
    Some(TeamRule { origin, provider: provider?, condition: condition?, strip, map })
}

/// The provider that a rule is about, if it names one.
fn compile_provider(named: Option<&Spanned<String>>, origin: &Origin, mistakes: &mut Mistakes) -> Option<Option<Box<str>>> {
    match named {
        Some(empty) if empty.value.is_empty() => {
            mistakes.add(format!("{}.provider", origin.name), line(empty), What::EmptyProvider);
            None
        }
        named => Some(named.map(|id| id.value.as_str().into())),
    }
}

fn conditions_of(raw: RawRule, origin: &Origin, mistakes: &mut Mistakes) -> Option<Vec<Condition>> {
    let name = origin.name.as_str();
    if let Some(all) = &raw.all {
        let beside = [
            ("claim", raw.claim.as_ref().map(line)),
            ("match", raw.r#match.as_ref().map(line)),
            ("source", raw.source.as_ref().map(line)),
            ("split", raw.split.as_ref().map(line)),
            ("ignore_case", raw.ignore_case.as_ref().map(line)),
        ];
        for (field, line) in beside.into_iter().filter_map(|(field, line)| Some((field, line?))) {
            mistakes.add(format!("{name}.{field}"), line, What::BesideAll);
        }
        return all_of(all, name, mistakes);
    }
    let single = RawCondition {
        claim: required(raw.claim, name, "claim", origin.line, mistakes)?,
        r#match: required(raw.r#match, name, "match", origin.line, mistakes)?,
        source: raw.source,
        split: raw.split,
        ignore_case: raw.ignore_case,
    };
    Some(vec![compile_condition(single, name, mistakes)?])
}

fn required<T>(value: Option<T>, name: &str, field: &str, line: u64, mistakes: &mut Mistakes) -> Option<T> {
    if value.is_none() {
        mistakes.add(format!("{name}.{field}"), line, What::RequiredOrAll);
    }
    value
}

fn all_of(all: &Spanned<Vec<Spanned<RawCondition>>>, name: &str, mistakes: &mut Mistakes) -> Option<Vec<Condition>> {
    if all.value.is_empty() {
        mistakes.add(format!("{name}.all"), line(all), What::NoCondition);
        return None;
    }
    let numbered = all.value.iter().enumerate();
    // Each is compiled, so that the mistakes of all of them are told.
    let compiled: Vec<_> =
        numbered.map(|(index, raw)| compile_condition(raw.value.clone(), &format!("{name}.all[{index}]"), mistakes)).collect();
    compiled.into_iter().collect()
}

fn compile_condition(raw: RawCondition, name: &str, mistakes: &mut Mistakes) -> Option<Condition> {
    let place = place(&raw.claim, raw.source, raw.split, raw.ignore_case, name, mistakes);
    compile_pattern(place, (&raw.r#match.value, line(&raw.r#match)), name, mistakes)
}

/// The pattern is judged where the claim's path is wrong, too, so that both mistakes are told.
fn compile_pattern(place: Option<Place>, pattern: (&str, u64), name: &str, mistakes: &mut Mistakes) -> Option<Condition> {
    let (pattern, line) = pattern;
    let judged = match place {
        Some(place) => Condition::new(place, pattern).map(Some),
        None => Glob::parse(pattern).map(|_| None),
    };
    mistakes.judge(judged, format!("{name}.match"), line)?
}

fn place(
    claim: &Spanned<String>,
    source: Option<Spanned<Source>>,
    split: Option<Spanned<Split>>,
    ignore_case: Option<Spanned<bool>>,
    name: &str,
    mistakes: &mut Mistakes,
) -> Option<Place> {
    let path = mistakes.judge(ClaimPath::parse(&claim.value), format!("{name}.claim"), line(claim))?;
    let case = if ignore_case.is_some_and(|said| said.value) { Case::Ignored } else { Case::Sensitive };
    Some(Place { source: source.map(|source| source.value), claim: path, split: split.map(|split| split.value), case })
}

fn compile_map(
    map: &Spanned<BTreeMap<String, Spanned<String>>>,
    origin: &Origin,
    mistakes: &mut Mistakes,
) -> HashMap<Box<str>, Box<str>> {
    let field = format!("{}.map", origin.name);
    if map.value.is_empty() {
        mistakes.add(&field, line(map), What::EmptyMap);
    }
    for name in map.value.values().filter(|name| !fits_a_list(&name.value)) {
        mistakes.add(&field, line(name), What::TeamName(name.value.clone()));
    }
    map.value.iter().map(|(value, name)| (value.as_str().into(), name.value.as_str().into())).collect()
}
