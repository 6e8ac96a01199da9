//! Reads `rules` and `teams`: the rules that grant roles and teams by claims.

use std::collections::HashMap;

use super::{RoleList, require_pattern};
use crate::glob::Glob;
use crate::principal::{ClaimPath, Source};
use crate::role_map::capture::Capture;
use crate::role_map::condition::{Case, Condition, ValueSelector};
use crate::role_map::rules::Rule;
use crate::role_map::split::Split;
use crate::role_map::teams::{TeamRule, is_valid_team_name};
use crate::yaml::decode::Section;
use crate::yaml::shown;

const REQUIRED: &str = "is required";
const REQUIRED_PATTERN: &str = "is required, unless there is a `capture` or a `map`";
const REQUIRED_OR_ALL: &str = "is required, unless `all` lists conditions";

pub(super) fn read_rule(section: &mut Section<'_>, roles: &RoleList<'_>) -> Option<Rule> {
    let origin = roles.origin(section);
    let role = section.required_value("role", |name| roles.find_granted(name));
    let provider = read_provider(section);
    let conditions = read_conditions(section);
    let (rank, role) = role?;
    Some(Rule { origin, provider: provider?, conditions: conditions?, rank, role })
}

pub(super) fn read_team_rule(section: &mut Section<'_>, roles: &RoleList<'_>) -> Option<TeamRule> {
    let origin = roles.origin(section);
    let provider = read_provider(section);
    let strip = section.value("strip", |text| match text {
        "" => Err("is empty; remove the field to keep values unchanged"),
        text => Ok(Box::from(text)),
    });
    let map = read_team_map(section);
    let has_map = section.is_given("map");
    let case = read_case(section);
    let selector = read_selector(section, case, REQUIRED);
    let capture = section.value("capture", |text| require_pattern(Capture::parse(text, case)));
    let has_capture = section.is_given("capture");
    let pattern = match read_pattern(section, case)? {
        // A map selects values by its keys, and a capture by its pattern.
        None if has_map || has_capture => Glob::parse("*").ok(),
        None => {
            section.complain("match", REQUIRED_PATTERN);
            None
        }
        pattern => pattern,
    };
    Some(TeamRule {
        origin,
        provider: provider?,
        condition: Condition { selector: selector?, pattern: pattern? },
        capture: capture?,
        strip: strip?.unwrap_or_default(),
        map: map?,
    })
}

/// Reads the provider whose claims a rule matches; `None` if the rule names none.
pub(super) fn read_provider(section: &mut Section<'_>) -> Option<Option<Box<str>>> {
    section.value("provider", |id| match id {
        "" => Err("is empty; write a provider's id, or remove the field"),
        id => Ok(Box::from(id)),
    })
}

pub(super) fn read_boolean(section: &mut Section<'_>, name: &'static str) -> Option<Option<bool>> {
    section.value(name, |text| match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "on" => Ok(true),
        "false" | "no" | "n" | "off" => Ok(false),
        _ => Err(format!("must be true or false, not {}", shown(text))),
    })
}

pub(super) fn parse_claim_path(text: &str) -> Result<ClaimPath, String> {
    ClaimPath::parse(text).map_err(|error| format!("the claim's path {error}"))
}

fn read_conditions(section: &mut Section<'_>) -> Option<Vec<Condition>> {
    let all = section.maps("all", |section| read_condition(section, REQUIRED));
    if !section.is_given("all") {
        return Some(vec![read_condition(section, REQUIRED_OR_ALL)?]);
    }
    for name in ["claim", "match", "source", "split", "ignore_case"] {
        section.refuse(name, "stands beside `all`; move it into one of the conditions of `all`");
    }
    let all = all?.unwrap_or_default();
    if all.is_empty() {
        section.complain("all", "lists no condition, so that the rule would match every user");
    }
    Some(all)
}

/// Reads all fields before it returns, so that each mistake is reported.
fn read_condition(section: &mut Section<'_>, missing: &str) -> Option<Condition> {
    let case = read_case(section);
    let selector = read_selector(section, case, missing);
    let pattern = read_pattern(section, case)?;
    if pattern.is_none() {
        section.complain("match", missing);
    }
    Some(Condition { selector: selector?, pattern: pattern? })
}

fn read_selector(section: &mut Section<'_>, case: Case, missing: &str) -> Option<ValueSelector> {
    let claim = section.value("claim", parse_claim_path);
    let source = section.value("source", |text| {
        Source::parse(text)
            .ok_or_else(|| format!("must be id_token, access_token, userinfo, directory or scim, not {}", shown(text)))
    });
    let split = section.value("split", |text| {
        let expected = "space, comma, semicolon, pipe, json or brackets";
        Split::parse(text).ok_or_else(|| format!("must be {expected}, not {}", shown(text)))
    });
    let claim = claim?;
    if claim.is_none() {
        section.complain("claim", missing);
    }
    Some(ValueSelector { source: source?, claim: claim?, split: split?, case })
}

fn read_case(section: &mut Section<'_>) -> Case {
    match read_boolean(section, "ignore_case") {
        Some(Some(true)) => Case::Ignored,
        _ => Case::Sensitive,
    }
}

/// Reads a pattern and folds it to lower case if the condition ignores case.
fn read_pattern(section: &mut Section<'_>, case: Case) -> Option<Option<Glob>> {
    section.value("match", |text| require_pattern(Glob::parse(&case.fold(text))))
}

fn read_team_map(section: &mut Section<'_>) -> Option<Option<HashMap<Box<str>, Box<str>>>> {
    let map = section.entries("map", |_| Ok(()), parse_team_name)?;
    if map.as_ref().is_some_and(Vec::is_empty) {
        section.complain("map", "maps no value, so that no user would be in a team");
    }
    Some(map.map(|map| map.into_iter().map(|(value, name)| (value.into(), name)).collect()))
}

/// Parses a team's name, which a header must be able to carry.
pub(super) fn parse_team_name(name: &str) -> Result<Box<str>, String> {
    let text =
        "can't be a team's name: it must not be empty and must have no comma, no control character and no blank at its ends";
    if is_valid_team_name(name) { Ok(name.into()) } else { Err(format!("{} {text}", shown(name))) }
}
