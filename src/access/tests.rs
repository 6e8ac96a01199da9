mod spellings;

use rstest::rstest;

use super::*;
use crate::principal::Team;

fn rule(paths: &[&str], allow: Allow) -> Rule {
    Rule {
        name: RuleName::new(paths.join(" ")),
        line: 1,
        hosts: Vec::new(),
        paths: paths.iter().map(|path| PathPattern::parse(path).unwrap()).collect(),
        methods: Vec::new(),
        allow,
        roles: Vec::new(),
        teams: Vec::new(),
        credentials: Vec::new(),
        read: Places::ALL,
        upstream_credential: None,
    }
}

fn get(path: &str) -> CheckRequest<'_> {
    CheckRequest { method: "GET", scheme: "https", host: "llm.example.com", path, query: None }
}

fn grant(role: &str, teams: &[&str]) -> Grant {
    Grant { role: Some(Role::new(role)), teams: teams.iter().copied().map(Team::new).collect(), ..Grant::default() }
}

fn names<'a>(selected: &Selected<'a>) -> Vec<&'a str> {
    selected.rules().iter().map(|rule| rule.name.as_str()).collect()
}

#[test]
fn the_first_rule_that_selects_decides() {
    let post = Rule { methods: vec![Method::parse("POST").unwrap()], ..rule(&["/a"], Allow::Nobody) };
    let other_host = Rule { hosts: vec![HostPattern::parse("*.example.org").unwrap()], ..rule(&["/b"], Allow::Nobody) };
    let all = AccessRules::new(vec![post, other_host, rule(&["/a", "/b"], Allow::SignedIn), rule(&[], Allow::Anyone)]);
    let selected = |request: CheckRequest<'_>| names(&all.select(&request).unwrap()).concat();
    assert_eq!(selected(CheckRequest { method: "POST", ..get("/a") }), "/a");
    assert_eq!(selected(CheckRequest { method: "post", ..get("/a") }), "/a");
    assert_eq!(selected(get("/a")), "/a /b");
    assert_eq!(selected(CheckRequest { host: "LLM.example.org.", ..get("/b") }), "/b");
    assert_eq!(selected(get("/b")), "/a /b");
    assert_eq!(selected(get("/c")), "", "a rule without paths is for every path");
}

#[test]
fn what_no_rule_selects_is_refused_in_every_reading() {
    let rules = AccessRules::new(vec![rule(&["/a/*"], Allow::Anyone)]);
    assert!(rules.select(&get("/a/b")).is_ok());
    assert_eq!(rules.select(&get("/b")).unwrap_err(), Refused::NoRule);
    assert_eq!(rules.select(&get("/a/b%2Fc")).unwrap_err(), Refused::NoRule);
    assert_eq!(rules.select(&get("/a/%zz")).unwrap_err(), Refused::Unreadable(Unreadable::BrokenEncoding));
    assert_eq!(AccessRules::new(Vec::new()).select(&get("/")).unwrap_err(), Refused::NoRule);
}

#[test]
fn every_rule_that_a_reading_selects_has_to_allow() {
    let admins = Rule { roles: vec![Role::new("admin")], ..rule(&["/admin/**"], Allow::SignedIn) };
    let rules = AccessRules::new(vec![admins, rule(&["/public/**"], Allow::Anyone)]);
    let selected = rules.select(&get("/public/%2e%2e/admin/x")).unwrap();
    assert_eq!(names(&selected), ["/public/**", "/admin/**"]);
    assert!(!selected.is_open_to_anyone());
    assert_eq!(selected.permits(&grant("admin", &[]), CredentialKind::Key), Ok(()));
    let unmet = selected.permits(&grant("user", &[]), CredentialKind::Key).unwrap_err();
    assert_eq!((unmet.rule.as_str(), unmet.what), ("/admin/**", Requirement::Role));
    assert!(rules.select(&get("/public/x/")).unwrap().is_open_to_anyone());
}

#[rstest]
#[case::met("user", &["research"], CredentialKind::Key, Ok(()))]
#[case::one_of_several("viewer", &["x", "research"], CredentialKind::Token, Ok(()))]
#[case::role("customer", &["research"], CredentialKind::Key, Err(Requirement::Role))]
#[case::team("user", &["Research"], CredentialKind::Key, Err(Requirement::Team))]
#[case::no_team("user", &[], CredentialKind::Key, Err(Requirement::Team))]
#[case::credential("user", &["research"], CredentialKind::Session, Err(Requirement::Credential))]
fn all_of_a_rules_requirements_have_to_be_met(
    #[case] role: &str,
    #[case] teams: &[&str],
    #[case] by: CredentialKind,
    #[case] expected: Result<(), Requirement>,
) {
    let asking = Rule {
        roles: ["user", "viewer"].map(Role::new).into(),
        teams: vec!["research".into()],
        credentials: vec![CredentialKind::Key, CredentialKind::Token],
        ..rule(&["/**"], Allow::SignedIn)
    };
    let rules = AccessRules::new(vec![asking]);
    let selected = rules.select(&get("/x")).unwrap();
    assert_eq!(selected.permits(&grant(role, teams), by).map_err(|unmet| unmet.what), expected);
}

#[test]
fn without_a_role_nobody_has_one_of_a_rules_roles() {
    let rules = AccessRules::new(vec![Rule { roles: vec![Role::new("")], ..rule(&["/**"], Allow::SignedIn) }]);
    let unmet = rules.select(&get("/")).unwrap().permits(&Grant::default(), CredentialKind::Session).unwrap_err();
    assert_eq!(unmet.what, Requirement::Role);
}

#[test]
fn nobody_is_nobody_and_anyone_with_a_requirement_is_not_anyone() {
    let asking = Rule { credentials: vec![CredentialKind::Key], ..rule(&["/b"], Allow::Anyone) };
    let rules = AccessRules::new(vec![rule(&["/a"], Allow::Nobody), asking]);
    let unmet = rules.select(&get("/a")).unwrap().permits(&grant("admin", &[]), CredentialKind::Key).unwrap_err();
    assert_eq!(unmet.what, Requirement::Nobody);
    assert!(!rules.select(&get("/b")).unwrap().is_open_to_anyone());
}

#[test]
fn a_credential_is_looked_for_wherever_one_of_the_rules_does() {
    let reading = |path, place| Rule { read: [place].into_iter().collect(), ..rule(&[path], Allow::SignedIn) };
    let rules = AccessRules::new(vec![reading("/a", Place::Session), reading("/b/**", Place::XApiKey)]);
    let reads = |path| rules.select(&get(path)).unwrap().reads();
    assert_eq!(reads("/a"), [Place::Session].into_iter().collect());
    assert_eq!(reads("/b"), [Place::XApiKey].into_iter().collect());
    assert_eq!(reads("/b/../a"), [Place::Session, Place::XApiKey].into_iter().collect());
}

#[test]
fn what_one_rule_reads_does_not_do_for_another() {
    let reading = |path, place| Rule { read: [place].into_iter().collect(), ..rule(&[path], Allow::SignedIn) };
    let rules = AccessRules::new(vec![reading("/a", Place::XApiKey), reading("/b/**", Place::Session)]);
    let unmet = |path, by| rules.select(&get(path)).unwrap().permits(&grant("user", &[]), by).map_err(|unmet| unmet.what);
    assert_eq!(unmet("/a", CredentialKind::Key), Ok(()));
    assert_eq!(unmet("/b/x", CredentialKind::Session), Ok(()));
    assert_eq!(unmet("/b/../a", CredentialKind::Session), Err(Requirement::Credential));
    assert_eq!(unmet("/b/../a", CredentialKind::Key), Err(Requirement::Credential));
}

#[rstest]
#[case("/admin/x", &["/admin/**"])]
#[case("/Admin/x", &["/**", "/admin/**"])]
#[case("/Exact", &["/Exact"])]
#[case("/exact", &["/**", "/Exact"])]
#[case("/EXACT", &["/**", "/Exact"])]
#[case("/other", &["/**"])]
fn a_path_is_judged_in_both_cases_of_letters(#[case] path: &str, #[case] expected: &[&str]) {
    let rules = ["/admin/**", "/Exact", "/**"].map(|path| rule(&[path], Allow::SignedIn));
    let rules = AccessRules::new(rules.into());
    assert_eq!(names(&rules.select(&get(path)).unwrap()), expected);
}

#[test]
fn explaining_names_every_reading_and_its_rule() {
    let rules = AccessRules::new(vec![rule(&["/admin/**"], Allow::SignedIn), rule(&["/a/**"], Allow::Anyone)]);
    let explained = rules.explain(&get("/a/..%2FAdmin")).unwrap();
    let said: Vec<_> = explained
        .iter()
        .map(|reading| format!("{} {}: {}", reading.path, reading.how, reading.rule.map_or("-", |rule| rule.name.as_str())))
        .collect();
    let expected = [
        "/a/..%2FAdmin as sent: /a/**",
        "/a/..%2fadmin in lower case: /a/**",
        "/a/../Admin decoded: /a/**",
        "/a/../admin decoded, then in lower case: /a/**",
        "/Admin decoded, then dot segments resolved: -",
        "/admin decoded, then dot segments resolved, then in lower case: /admin/**",
    ];
    assert_eq!(said, expected);
    assert_eq!(rules.explain(&get("/..")).unwrap_err(), Unreadable::AboveRoot);
}

#[test]
fn names_of_allow_and_of_credential_kinds_are_read_back() {
    for allow in [Allow::Anyone, Allow::SignedIn, Allow::Nobody] {
        assert_eq!(Allow::parse(allow.as_str()), Some(allow));
    }
    assert_eq!(Allow::parse("everyone"), None);
    for kind in CredentialKind::ALL {
        assert_eq!(CredentialKind::parse(kind.as_str()), Some(kind));
    }
    assert_eq!(CredentialKind::parse("cookie"), None);
}
