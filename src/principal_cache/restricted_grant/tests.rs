//! Tests of the grants of derived keys, and of the entries that they depend on.

use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

use super::super::{UserKey, entry::ReadTime};
use super::*;
use crate::{
    access::PathInterpretations,
    clock::{Clock, SystemClock},
    principal::{IdentityHeaders, ProviderSubject, Role, Team},
    users::{ClaimsMaxAge, User},
};

/// A key, or an ancestor, of a user with this role.
struct TestKey {
    user: &'static str,
    role: Option<&'static str>,
    restrictions: Value,
    holder_roles: Value,
}

const OPEN: TestKey = TestKey { user: "alice", role: Some("org_admin"), restrictions: Value::Null, holder_roles: Value::Null };

fn restricted(restrictions: Value) -> TestKey {
    TestKey { restrictions, ..OPEN }
}

impl TestKey {
    fn cached(&self) -> UserKey {
        let read = ReadTime { at: SystemClock.monotonic(), flushes: 0 };
        let or_empty = |list: &Value| if list.is_null() { json!([]) } else { list.clone() };
        let key = json!({
            "id": "0190a0b0-0000-7000-8000-000000000001",
            "user": self.user,
            "created": "2026-01-01T00:00:00Z",
            "expires": "2027-01-01T00:00:00Z",
            "limits": or_empty(&self.restrictions),
            "holder_roles": or_empty(&self.holder_roles),
            "secrets": [],
        });
        let key = Arc::new(CachedKey::new(serde_json::from_value(key).unwrap(), read));
        let user = User::new(self.user, Timestamp::UNIX_EPOCH);
        let user = Arc::new(CachedUser::new(user, &[], read, &ClaimsMaxAge::default()));
        let grant = Grant { role: self.role.map(Role::new), teams: vec![Team::new("a"), Team::new("b")], ..Grant::default() };
        user.key_evaluation.store(Some(Arc::new(Evaluation::new(1, grant, IdentityHeaders::default()))));
        UserKey { key, user }
    }
}

fn sources(key: &ActiveKey) -> GrantSources {
    GrantSources::of(key, |user| user.key_evaluation.load_full().unwrap())
}

fn active(ancestors: &[TestKey], own: &TestKey) -> ActiveKey {
    ActiveKey { own: own.cached(), ancestors: ancestors.iter().map(TestKey::cached).collect() }
}

fn grant(key: &ActiveKey) -> RestrictedGrant {
    let evaluate = |grant| Evaluation::new(1, grant, IdentityHeaders::default());
    RestrictedGrant::new(key, sources(key), &RoleMap::default(), evaluate)
}

fn role(key: &ActiveKey) -> Option<String> {
    grant(key).evaluation.grant.role.as_ref().map(ToString::to_string)
}

#[rstest]
#[case::oldest(&[restricted(json!([{"role": "team"}])), OPEN])]
#[case::parent(&[OPEN, restricted(json!([{"role": "team"}]))])]
fn a_restriction_of_any_ancestor_applies_without_a_copy(#[case] ancestors: &[TestKey]) {
    assert_eq!(role(&active(ancestors, &OPEN)).as_deref(), Some("team"));
}

#[test]
fn paths_and_teams_of_the_whole_chain_apply_and_a_copy_counts_once() {
    let top = json!([{"paths": ["/v1/**"], "teams": ["a"]}]);
    let own = json!([{"paths": ["/v1/**"], "teams": ["a"]}, {"paths": ["/v1/chat/**"]}]);
    let granted = grant(&active(&[restricted(top), OPEN], &restricted(own)));
    assert_eq!(granted.key.restrictions.len(), 2, "the copy is the restriction of the ancestor");
    assert_eq!(granted.evaluation.grant.teams, [Team::new("a")]);
    for (path, allowed) in [("/v1/chat/x", true), ("/v1/models", false), ("/ui/", false)] {
        assert_eq!(granted.restrictions.can_access_path(&PathInterpretations::of(path)), allowed, "{path}");
    }
}

#[rstest]
#[case::lower_role(Some("team"), Some("team"))]
#[case::higher_role(Some("proxy_admin"), Some("org_admin"))]
#[case::unknown_role(Some("king"), None)]
#[case::no_role(None, None)]
fn the_present_role_of_an_ancestors_owner_is_a_limit(#[case] of_ancestor: Option<&'static str>, #[case] expected: Option<&str>) {
    let ancestor = TestKey { user: "carol", role: of_ancestor, ..OPEN };
    assert_eq!(role(&active(&[ancestor], &OPEN)).as_deref(), expected);
}

#[test]
fn a_key_is_suspended_while_an_owner_in_its_chain_has_only_expired_identities() {
    let expired = |user: &UserKey| {
        let subject = ProviderSubject { provider: "corp".to_owned(), subject: "ada".to_owned(), is_refreshable: true };
        let known = user.user.key_evaluation.load_full().unwrap();
        let evaluation = Evaluation::new(1, known.grant.clone(), IdentityHeaders::default());
        user.user.key_evaluation.store(Some(Arc::new(Evaluation { expired_identities: [subject].into(), ..evaluation })));
    };
    let roleless = || TestKey { user: "carol", role: None, ..OPEN };
    for (key, expected) in [
        (active(&[roleless(), OPEN], &OPEN), Some("carol")),
        (active(&[OPEN], &roleless()), Some("carol")),
        (active(&[OPEN], &OPEN), None),
    ] {
        assert!(sources(&key).suspended_owner(&key).is_none(), "an owner without a role is not suspended");
        key.ancestors.iter().chain([&key.own]).for_each(expired);
        assert_eq!(sources(&key).suspended_owner(&key).map(|owner| owner.id.as_str()), expected);
    }
}

#[rstest]
#[case::lower_holder("team", None)]
#[case::same("org_admin", Some("org_admin"))]
#[case::higher("proxy_admin", Some("org_admin"))]
#[case::unknown("king", None)]
fn a_key_whose_secret_a_lower_user_knows_grants_nothing_nor_do_keys_derived_from_it(
    #[case] holder: &str,
    #[case] expected: Option<&str>,
) {
    let held = || TestKey { holder_roles: json!([holder]), ..OPEN };
    assert_eq!(role(&active(&[], &held())).as_deref(), expected);
    assert_eq!(role(&active(&[held(), OPEN], &OPEN)).as_deref(), expected);
}

#[test]
fn a_grant_is_valid_only_for_the_entries_that_it_was_computed_from() {
    let key = active(&[OPEN, OPEN], &OPEN);
    let granted = grant(&key);
    assert!(granted.is_of(&sources(&key)));
    for changed in 0..key.ancestors.len() {
        let mut other = key.clone();
        other.ancestors[changed] = UserKey { key: OPEN.cached().key, user: Arc::clone(&key.ancestors[changed].user) };
        assert!(!granted.is_of(&sources(&other)), "the record of ancestor {changed} was read again");
        let mut other = key.clone();
        other.ancestors[changed].user = OPEN.cached().user;
        assert!(!granted.is_of(&sources(&other)), "the owner of ancestor {changed} was evaluated again");
    }
    let mut other = key.clone();
    other.own.user = OPEN.cached().user;
    assert!(!granted.is_of(&sources(&other)));
    other = key.clone();
    other.ancestors.pop();
    assert!(!granted.is_of(&sources(&other)));
}
