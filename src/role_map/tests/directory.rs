//! Tests of rules that name the source `scim`.

use rstest::rstest;

use super::*;

#[rstest]
#[case(&["corp"], "{provider: corp, source: scim, claim: groups, match: a, role: customer}", None)]
#[case(&["corp"], "{source: scim, claim: groups, match: a, role: customer}", None)]
#[case(&["corp"], "{provider: partner, claim: groups, match: a, role: customer}", None)]
#[case(&["corp"], "{provider: partner, source: scim, claim: groups, match: a, role: customer}", Some("scim has no claims of provider `partner`; `scim.provider` is corp"))]
#[case(&[], "{provider: corp, all: [{source: scim, claim: groups, match: a}], role: customer}", Some("scim has no claims, because `scim` is not configured"))]
fn rules_of_the_directory_need_one(#[case] provisioned: &[&str], #[case] rule: &str, #[case] expected: Option<&str>) {
    let provisioned_providers = Some(provisioned.iter().map(|id| (*id).to_owned()).collect());
    let configured = ConfiguredNames { provisioned_providers, ..providers(&["corp", "partner"]) };
    let map = RoleMap::parse(&format!("version: 1\nrules:\n  - {rule}")).unwrap();
    let mistakes = map.check_configured(&configured).err().unwrap_or_default();
    let found: Vec<_> = mistakes.iter().filter(|mistake| mistake.path == "rules[0].source").map(|m| m.text.as_str()).collect();
    assert_eq!(found, Vec::from_iter(expected));
    assert!(map.check_configured(&providers(&["corp", "partner"])).is_ok() || rule.starts_with("{source"), "nothing is checked");
}
