mod spellings;

use rstest::rstest;

use super::*;
use crate::principal::Team;

fn rule(paths: &[&str], allow: AccessLevel) -> AccessRule {
    AccessRule {
        name: RuleName::new(paths.join(" ")),
        line: 1,
        hosts: Vec::new(),
        paths: paths.iter().map(|path| PathPattern::parse(path).unwrap()).collect(),
        methods: Vec::new(),
        allow,
        roles: Vec::new(),
        teams: Vec::new(),
        credentials: Vec::new(),
        read: CredentialSources::ALL,
        upstream_credential: None,
        identity_encoding: None,
    }
}

fn get(path: &str) -> CheckRequest<'_> {
    CheckRequest { method: "GET", scheme: "https", host: "llm.example.com", path, query: None }
}

fn grant(role: &str, teams: &[&str]) -> Grant {
    Grant { role: Some(Role::new(role)), teams: teams.iter().copied().map(Team::new).collect(), ..Grant::default() }
}

fn names<'a>(matched: &MatchedRules<'a>) -> Vec<&'a str> {
    matched.rules().iter().map(|rule| rule.name.as_str()).collect()
}

#[test]
fn the_first_rule_that_matches_decides() {
    let post = AccessRule { methods: vec![Method::parse("POST").unwrap()], ..rule(&["/a"], AccessLevel::Nobody) };
    let other_host =
        AccessRule { hosts: vec![HostPattern::parse("*.example.org").unwrap()], ..rule(&["/b"], AccessLevel::Nobody) };
    let all =
        AccessRules::new(vec![post, other_host, rule(&["/a", "/b"], AccessLevel::SignedIn), rule(&[], AccessLevel::Anyone)]);
    let matched = |request: CheckRequest<'_>| names(&all.match_request(&request).unwrap()).concat();
    assert_eq!(matched(CheckRequest { method: "POST", ..get("/a") }), "/a");
    assert_eq!(matched(CheckRequest { method: "post", ..get("/a") }), "/a");
    assert_eq!(matched(get("/a")), "/a /b");
    assert_eq!(matched(CheckRequest { host: "LLM.example.org.", ..get("/b") }), "/b");
    assert_eq!(matched(get("/b")), "/a /b");
    assert_eq!(matched(get("/c")), "", "a rule without paths is for every path");
}

#[test]
fn a_path_interpretation_that_no_rule_matches_is_refused() {
    let rules = AccessRules::new(vec![rule(&["/a/*"], AccessLevel::Anyone)]);
    assert!(rules.match_request(&get("/a/b")).is_ok());
    assert_eq!(rules.match_request(&get("/b")).unwrap_err(), MatchError::NoRule);
    assert_eq!(rules.match_request(&get("/a/b%2Fc")).unwrap_err(), MatchError::NoRule);
    assert_eq!(rules.match_request(&get("/a/%zz")).unwrap_err(), MatchError::Path(PathError::InvalidEncoding));
    assert_eq!(AccessRules::new(Vec::new()).match_request(&get("/")).unwrap_err(), MatchError::NoRule);
}

#[test]
fn every_matched_rule_must_allow_the_request() {
    let admins = AccessRule { roles: vec![Role::new("admin")], ..rule(&["/admin/**"], AccessLevel::SignedIn) };
    let rules = AccessRules::new(vec![admins, rule(&["/public/**"], AccessLevel::Anyone)]);
    let matched = rules.match_request(&get("/public/%2e%2e/admin/x")).unwrap();
    assert_eq!(names(&matched), ["/public/**", "/admin/**"]);
    assert!(!matched.is_open_to_anyone());
    assert_eq!(matched.authorize(&grant("admin", &[]), CredentialKind::ApiKey), Ok(()));
    let unmet = matched.authorize(&grant("user", &[]), CredentialKind::ApiKey).unwrap_err();
    assert_eq!((unmet.rule.as_str(), unmet.requirement), ("/admin/**", Requirement::Role));
    assert!(rules.match_request(&get("/public/x/")).unwrap().is_open_to_anyone());
}

#[rstest]
#[case::met("user", &["research"], CredentialKind::ApiKey, Ok(()))]
#[case::one_of_several("viewer", &["x", "research"], CredentialKind::Jwt, Ok(()))]
#[case::role("customer", &["research"], CredentialKind::ApiKey, Err(Requirement::Role))]
#[case::team("user", &["Research"], CredentialKind::ApiKey, Err(Requirement::Team))]
#[case::no_team("user", &[], CredentialKind::ApiKey, Err(Requirement::Team))]
#[case::credential("user", &["research"], CredentialKind::Session, Err(Requirement::Credential))]
fn all_requirements_of_a_rule_must_be_met(
    #[case] role: &str,
    #[case] teams: &[&str],
    #[case] credential: CredentialKind,
    #[case] expected: Result<(), Requirement>,
) {
    let requiring = AccessRule {
        roles: ["user", "viewer"].map(Role::new).into(),
        teams: vec!["research".into()],
        credentials: vec![CredentialKind::ApiKey, CredentialKind::Jwt],
        ..rule(&["/**"], AccessLevel::SignedIn)
    };
    let rules = AccessRules::new(vec![requiring]);
    let matched = rules.match_request(&get("/x")).unwrap();
    assert_eq!(matched.authorize(&grant(role, teams), credential).map_err(|unmet| unmet.requirement), expected);
}

#[test]
fn an_empty_role_does_not_match_a_principal_without_a_role() {
    let rules = AccessRules::new(vec![AccessRule { roles: vec![Role::new("")], ..rule(&["/**"], AccessLevel::SignedIn) }]);
    let unmet = rules.match_request(&get("/")).unwrap().authorize(&Grant::default(), CredentialKind::Session).unwrap_err();
    assert_eq!(unmet.requirement, Requirement::Role);
}

#[test]
fn nobody_includes_administrators_and_anyone_with_a_requirement_is_not_open() {
    let requiring = AccessRule { credentials: vec![CredentialKind::ApiKey], ..rule(&["/b"], AccessLevel::Anyone) };
    let rules = AccessRules::new(vec![rule(&["/a"], AccessLevel::Nobody), requiring]);
    let unmet = rules.match_request(&get("/a")).unwrap().authorize(&grant("admin", &[]), CredentialKind::ApiKey).unwrap_err();
    assert_eq!(unmet.requirement, Requirement::Nobody);
    assert!(!rules.match_request(&get("/b")).unwrap().is_open_to_anyone());
}

#[test]
fn credential_sources_are_those_that_any_matched_rule_reads() {
    let rule_reading = |path, source| AccessRule { read: [source].into_iter().collect(), ..rule(&[path], AccessLevel::SignedIn) };
    let rules =
        AccessRules::new(vec![rule_reading("/a", CredentialSource::Session), rule_reading("/b/**", CredentialSource::XApiKey)]);
    let sources = |path| rules.match_request(&get(path)).unwrap().credential_sources();
    assert_eq!(sources("/a"), [CredentialSource::Session].into_iter().collect());
    assert_eq!(sources("/b"), [CredentialSource::XApiKey].into_iter().collect());
    assert_eq!(sources("/b/../a"), [CredentialSource::Session, CredentialSource::XApiKey].into_iter().collect());
}

#[test]
fn a_credential_from_a_source_that_only_another_rule_reads_is_refused() {
    let rule_reading = |path, source| AccessRule { read: [source].into_iter().collect(), ..rule(&[path], AccessLevel::SignedIn) };
    let rules =
        AccessRules::new(vec![rule_reading("/a", CredentialSource::XApiKey), rule_reading("/b/**", CredentialSource::Session)]);
    let unmet =
        |path, by| rules.match_request(&get(path)).unwrap().authorize(&grant("user", &[]), by).map_err(|unmet| unmet.requirement);
    assert_eq!(unmet("/a", CredentialKind::ApiKey), Ok(()));
    assert_eq!(unmet("/b/x", CredentialKind::Session), Ok(()));
    assert_eq!(unmet("/b/../a", CredentialKind::Session), Err(Requirement::Credential));
    assert_eq!(unmet("/b/../a", CredentialKind::ApiKey), Err(Requirement::Credential));
}

#[test]
fn rules_that_disagree_about_the_encoding_of_identity_headers_give_percent_encoding() {
    let with = |path, identity_encoding| AccessRule { identity_encoding, ..rule(&[path], AccessLevel::SignedIn) };
    let rules = AccessRules::new(vec![
        with("/a/**", Some(HeaderEncoding::Percent)),
        with("/b/**", Some(HeaderEncoding::Utf8)),
        with("/**", None),
    ]);
    let encoding = |path, default| rules.match_request(&get(path)).unwrap().identity_encoding(default);
    for (path, expected) in [
        ("/a/x", [HeaderEncoding::Percent; 2]),
        ("/b/x", [HeaderEncoding::Utf8; 2]),
        ("/x", HeaderEncoding::ALL),
        ("/b/../a/x", [HeaderEncoding::Percent; 2]),
        ("/b/..%2fx", HeaderEncoding::ALL),
    ] {
        assert_eq!(HeaderEncoding::ALL.map(|default| encoding(path, default)), expected, "{path}");
    }
}

#[rstest]
#[case("/admin/x", &["/admin/**"])]
#[case("/Admin/x", &["/**", "/admin/**"])]
#[case("/Exact", &["/Exact"])]
#[case("/exact", &["/**", "/Exact"])]
#[case("/EXACT", &["/**", "/Exact"])]
#[case("/other", &["/**"])]
fn a_path_is_matched_as_sent_and_in_lower_case(#[case] path: &str, #[case] expected: &[&str]) {
    let rules = ["/admin/**", "/Exact", "/**"].map(|path| rule(&[path], AccessLevel::SignedIn));
    let rules = AccessRules::new(rules.into());
    assert_eq!(names(&rules.match_request(&get(path)).unwrap()), expected);
}

#[test]
fn an_explanation_lists_every_path_interpretation_and_its_rule() {
    let rules = AccessRules::new(vec![rule(&["/admin/**"], AccessLevel::SignedIn), rule(&["/a/**"], AccessLevel::Anyone)]);
    let explained = rules.explain(&get("/a/..%2FAdmin")).unwrap();
    let lines: Vec<_> = explained
        .iter()
        .map(|found| format!("{} {}: {}", found.path, found.derivation, found.rule.map_or("-", |rule| rule.name.as_str())))
        .collect();
    let expected = [
        "/a/..%2FAdmin as sent: /a/**",
        "/a/..%2fadmin in lower case: /a/**",
        "/a/../Admin decoded: /a/**",
        "/a/../admin decoded, then in lower case: /a/**",
        "/Admin decoded, then dot segments resolved: -",
        "/admin decoded, then dot segments resolved, then in lower case: /admin/**",
    ];
    assert_eq!(lines, expected);
    assert_eq!(rules.explain(&get("/..")).unwrap_err(), PathError::AboveRoot);
}

#[test]
fn names_of_access_levels_and_credential_kinds_are_parsed_back() {
    for allow in [AccessLevel::Anyone, AccessLevel::SignedIn, AccessLevel::Nobody] {
        assert_eq!(AccessLevel::parse(allow.as_str()), Some(allow));
    }
    assert_eq!(AccessLevel::parse("everyone"), None);
    for kind in CredentialKind::ALL {
        assert_eq!(CredentialKind::parse(kind.as_str()), Some(kind));
    }
    assert_eq!(CredentialKind::parse("cookie"), None);
}
