//! Restrictions of a key: a maximum role, teams and paths. A restriction never adds rights.

use serde::{Deserialize, Serialize};

use super::path_lists::PathLists;
use crate::{
    access::{PathError, PathInterpretations, PathPattern, PathSets},
    principal::{Grant, Role, Team},
    role_map::RoleMap,
};

/// One set of restrictions. The default restricts nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restrictions {
    /// The key's role is never higher than this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The only teams that the key may have. `None` allows all teams of its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teams: Option<Vec<Team>>,
    /// Patterns of the only paths that the key may be used for. Empty allows all paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

/// The maximum number of characters of a key's alias.
const MAX_ALIAS_CHARACTERS: usize = 128;

/// True if the text is a valid alias.
pub fn is_alias(text: &str) -> bool {
    let printable = !text.chars().any(char::is_control) && text.trim() == text && !text.is_empty();
    printable && text.chars().count() <= MAX_ALIAS_CHARACTERS
}

/// All restrictions of a key and its ancestors, compiled for checks.
#[derive(Debug)]
pub struct CombinedRestrictions {
    ceilings: Vec<Role>,
    teams: Vec<Vec<Team>>,
    paths: PathRestrictions,
}

#[derive(Debug)]
enum PathRestrictions {
    None,
    Sets(Box<PathSets>),
    /// A check would take too long with these patterns, so no path is allowed.
    TooLarge,
}

impl Restrictions {
    pub(super) fn ceiling(role: Option<&Role>) -> Self {
        Self { role: role.cloned(), ..Self::default() }
    }

    /// True if a key with these restrictions may manage users. A restriction of teams or paths forbids it, since users are not
    /// confined to them.
    pub(super) fn can_manage_users(&self) -> bool {
        self.teams.is_none() && self.paths.is_empty()
    }
}

impl CombinedRestrictions {
    /// Combines the restrictions of a key with those of all its ancestors.
    pub fn of<'a>(restrictions: impl IntoIterator<Item = &'a Restrictions> + Clone) -> Self {
        let all = || restrictions.clone().into_iter();
        Self {
            ceilings: all().filter_map(|restrictions| restrictions.role.clone()).collect(),
            teams: all().filter_map(|restrictions| restrictions.teams.clone()).collect(),
            paths: PathRestrictions::compile(&PathLists::of(all())),
        }
    }

    /// True if the key is refused for every path because it has too many patterns. Only records of earlier versions can.
    pub fn are_too_large(&self) -> bool {
        matches!(self.paths, PathRestrictions::TooLarge)
    }

    /// Restricts the grant of the owner. A maximum role that the role map no longer lists leaves no rights.
    pub fn grant(&self, map: &RoleMap, owner: &Grant) -> Grant {
        let lowered = |role: Role, ceiling: &Role| map.lower_role(&role, ceiling);
        let role = owner.role.clone().and_then(|role| self.ceilings.iter().try_fold(role, lowered));
        if role.is_none() {
            return Grant { missing_source: owner.missing_source, ..Grant::default() };
        }
        let kept = |team: &&Team| self.teams.iter().all(|teams| teams.contains(team));
        Grant { role, teams: owner.teams.iter().filter(kept).cloned().collect(), ..owner.clone() }
    }

    /// True if the restrictions allow every interpretation of the path. A path without a valid interpretation is allowed only
    /// if no path is restricted.
    pub fn can_access_path(&self, paths: &Result<PathInterpretations<'_>, PathError>) -> bool {
        match &self.paths {
            PathRestrictions::None => true,
            PathRestrictions::Sets(sets) => paths.as_ref().is_ok_and(|paths| sets.is_path_in_all(paths)),
            PathRestrictions::TooLarge => false,
        }
    }
}

impl PathRestrictions {
    /// A pattern that this version cannot parse matches no path, which allows less than was meant.
    fn compile(lists: &PathLists<'_>) -> Self {
        if !lists.can_be_evaluated() {
            return Self::TooLarge;
        }
        let parse = |list: &[String]| list.iter().filter_map(|path| PathPattern::parse(path).ok()).collect();
        let sets: Vec<Vec<_>> = lists.iter().map(parse).collect();
        if sets.is_empty() { Self::None } else { Self::Sets(Box::new(PathSets::new(&sets))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::RuleName;
    use rstest::rstest;

    fn restrictions(role: Option<&str>, teams: Option<&[&str]>, paths: &[&str]) -> Restrictions {
        Restrictions {
            role: role.map(Role::new),
            teams: teams.map(|teams| teams.iter().copied().map(Team::new).collect()),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }
    }

    fn owner(role: Option<&str>, teams: &[&str]) -> Grant {
        let (role, rule) = (role.map(Role::new), role.map(|_| RuleName::new("rules[0]")));
        Grant { role, rule, teams: teams.iter().copied().map(Team::new).collect(), ..Grant::default() }
    }

    #[rstest]
    #[case::nothing_set(&[], Some("proxy_admin"))]
    #[case::lower(&[Some("internal_user")], Some("internal_user"))]
    #[case::the_same(&[Some("proxy_admin")], Some("proxy_admin"))]
    #[case::the_lowest_of_several(&[Some("team"), None, Some("customer"), Some("org_admin")], Some("customer"))]
    #[case::not_listed(&[Some("king")], None)]
    #[case::one_not_listed(&[Some("customer"), Some("king")], None)]
    fn the_role_is_the_lowest_of_all(#[case] ceilings: &[Option<&str>], #[case] expected: Option<&str>) {
        let all: Vec<_> = ceilings.iter().map(|role| restrictions(*role, None, &[])).collect();
        let grant = CombinedRestrictions::of(&all).grant(&RoleMap::default(), &owner(Some("proxy_admin"), &["a"]));
        assert_eq!(grant.role, expected.map(Role::new));
        assert_eq!(grant.teams.is_empty(), expected.is_none(), "without a role there are no teams");
    }

    #[test]
    fn a_maximum_role_never_raises_a_role() {
        let combined = CombinedRestrictions::of(&[restrictions(Some("proxy_admin"), None, &[])]);
        assert_eq!(combined.grant(&RoleMap::default(), &owner(Some("customer"), &[])).role, Some(Role::new("customer")));
        assert_eq!(combined.grant(&RoleMap::default(), &owner(None, &[])).role, None);
    }

    #[test]
    fn teams_are_those_of_the_owner_that_every_restriction_allows() {
        let combined = CombinedRestrictions::of(&[
            restrictions(None, Some(&["b", "c", "x"]), &[]),
            restrictions(None, None, &[]),
            restrictions(None, Some(&["a", "c"]), &[]),
        ]);
        let grant = combined.grant(&RoleMap::default(), &owner(Some("team"), &["a", "b", "c"]));
        assert_eq!(grant.teams, [Team::new("c")]);
        let none = CombinedRestrictions::of(&[restrictions(None, Some(&[]), &[])]);
        assert!(none.grant(&RoleMap::default(), &owner(Some("team"), &["a"])).teams.is_empty());
    }

    #[rstest]
    #[case("/v1/chat", true)]
    #[case("/v1", true)]
    #[case("/v2/chat", false)]
    #[case("/v1/admin/x", false)]
    #[case("/v1/../v2", false)]
    #[case("/v1/%2e%2e/v2", false)]
    #[case("/v1/a%2fb", true)]
    #[case("/v1//x", false)]
    #[case("/V1/x", false)]
    #[case("/v1/%zz", false)]
    fn a_path_is_allowed_if_all_of_its_interpretations_are(#[case] path: &str, #[case] permitted: bool) {
        let combined = CombinedRestrictions::of(&[
            restrictions(None, None, &["/v1/**", "/health"]),
            restrictions(None, None, &["/v1", "/v1/*", "/v1/a/b"]),
        ]);
        let paths = PathInterpretations::of(path);
        assert_eq!(combined.can_access_path(&paths), permitted);
        assert!(CombinedRestrictions::of(&[Restrictions::default()]).can_access_path(&paths));
    }

    #[test]
    fn invalid_patterns_allow_no_path() {
        let paths = PathInterpretations::of("/v1");
        assert!(!CombinedRestrictions::of(&[restrictions(None, None, &["no slash"])]).can_access_path(&paths));
        assert!(CombinedRestrictions::of(&[restrictions(None, None, &["no slash", "/v1"])]).can_access_path(&paths));
    }

    #[test]
    fn several_keys_of_a_chain_are_combined() {
        let keys = [vec![restrictions(None, None, &["/v1/**"])], vec![], vec![restrictions(Some("team"), None, &["/*/a"])]];
        let combined = CombinedRestrictions::of(keys.iter().flatten());
        let allows = |path| combined.can_access_path(&PathInterpretations::of(path));
        assert!(allows("/v1/a") && !allows("/v1/b") && !allows("/v2/a"));
        assert_eq!(combined.grant(&RoleMap::default(), &owner(Some("proxy_admin"), &[])).role, Some(Role::new("team")));
    }

    #[test]
    fn a_record_with_too_many_patterns_allows_no_path() {
        let lists: Vec<Vec<_>> = (0..16).map(|list| (0..32).map(|path| format!("/{list}/{path}/**")).collect()).collect();
        let all: Vec<_> = lists.iter().map(|paths| Restrictions { paths: paths.clone(), ..Restrictions::default() }).collect();
        let within = CombinedRestrictions::of(&all[..10]);
        assert!(!within.are_too_large());
        let combined = CombinedRestrictions::of(&all);
        assert!(combined.are_too_large());
        assert!(
            !combined.can_access_path(&PathInterpretations::of("/1/1"))
                && !combined.can_access_path(&PathInterpretations::of("/%"))
        );
    }
}
