//! Tests the access section of documents.

use rstest::rstest;

use super::*;
use crate::access::{CheckRequest, CredentialSource, MatchError};
use crate::principal::CredentialKind;

const DOCUMENT: &str = r#"
version: 1
access:
  - {paths: [/health/**], allow: anyone}
  - {paths: [/internal/**], allow: nobody}
  - {hosts: ["*.example.com"], paths: [/ui/**], methods: [GET], credentials: [session], roles: [proxy_admin]}
  - {paths: [/v1/**], teams: [research], read: [x-api-key, session]}
  - {hosts: [llm.example.com], allow: signed_in}
"#;

fn request<'a>(method: &'a str, host: &'a str, path: &'a str) -> CheckRequest<'a> {
    CheckRequest { method, scheme: "https", host, path, query: None }
}

fn grant(role: &str, teams: &[&str]) -> Grant {
    Grant { role: Some(Role::new(role)), teams: teams.iter().copied().map(Team::new).collect(), ..Grant::default() }
}

#[rstest]
#[case::role("GET", "/ui/x", "proxy_admin", CredentialKind::Session, Ok(true))]
#[case::other_role("GET", "/ui/x", "team", CredentialKind::Session, Ok(false))]
#[case::other_credential("GET", "/ui/x", "proxy_admin", CredentialKind::ApiKey, Ok(false))]
#[case::other_method("POST", "/ui/x", "team", CredentialKind::Session, Ok(true))]
#[case::team("POST", "/v1/x", "customer", CredentialKind::ApiKey, Ok(false))]
#[case::nobody("GET", "/internal/x", "proxy_admin", CredentialKind::Session, Ok(false))]
fn a_section_is_compiled(
    #[case] method: &str,
    #[case] path: &str,
    #[case] role: &str,
    #[case] by: CredentialKind,
    #[case] expected: Result<bool, MatchError>,
) {
    let map = RoleMap::parse(DOCUMENT).unwrap();
    let selected = map.access().unwrap().match_request(&request(method, "llm.example.com", path));
    assert_eq!(selected.map(|selected| selected.authorize(&grant(role, &[]), by).is_ok()), expected);
}

#[test]
fn the_matching_rule_defines_credential_places_and_access() {
    let map = RoleMap::parse(DOCUMENT).unwrap();
    let select = |path| map.access().unwrap().match_request(&request("GET", "llm.example.com", path)).unwrap();
    let sources = select("/v1/x").credential_sources();
    assert!(
        sources.contains(CredentialSource::XApiKey)
            && sources.contains(CredentialSource::Session)
            && !sources.contains(CredentialSource::Authorization)
    );
    assert!(select("/health/live").is_open_to_anyone());
    assert!(!select("/v1/x").is_open_to_anyone());
    assert_eq!(select("/internal").rule_for_nobody().map(RuleName::as_str), Some("access[1]"));
    assert!(select("/v1/x").authorize(&grant("customer", &["research"]), CredentialKind::Jwt).is_ok());
}

#[test]
fn an_empty_section_denies_everything() {
    let map = RoleMap::parse("{version: 1, access: []}").unwrap();
    assert!(matches!(map.access().unwrap().match_request(&request("GET", "a", "/")), Err(MatchError::NoRule)));
    assert!(RoleMap::parse("version: 1").unwrap().access().is_none());
}

#[rstest]
#[case::path("{paths: [ui/**]}", "access[0].paths[0] (line 2): the pattern ")]
#[case::host("{hosts: ['https://x/']}", "access[0].hosts[0] (line 2): the pattern ")]
#[case::method("{methods: [get]}", "access[0].methods[0] (line 2): ")]
#[case::allow("{allow: everyone}", "access[0].allow (line 2): must be anyone, signed_in or nobody, not `everyone`")]
#[case::role("{roles: [king]}", "access[0].roles[0] (line 2): role `king` is not in the list")]
#[case::team("{teams: ['a,b']}", "access[0].teams[0] (line 2): `a,b` can't be a team's name")]
#[case::credential("{credentials: [cookie]}", "access[0].credentials[0] (line 2): must be session, key or token")]
#[case::place("{read: [cookie]}", "access[0].read[0] (line 2): must be authorization, ")]
#[case::empty_paths("{paths: []}", "access[0].paths (line 2): is empty, so that nothing would match")]
#[case::empty_roles("{roles: []}", "access[0].roles (line 2): is empty, so that nothing would match")]
#[case::beside_anyone("{allow: anyone, roles: [team]}", "access[0].roles (line 2): has no effect beside `allow: anyone`")]
#[case::beside_nobody("{allow: nobody, teams: [x]}", "access[0].teams (line 2): has no effect beside `allow: nobody`")]
fn mistakes_are_reported_with_field_and_line(#[case] rule: &str, #[case] expected: &str) {
    let Err(error) = RoleMap::parse(&format!("version: 1\naccess: [{rule}]")) else { panic!("it is a mistake") };
    assert!(error.to_string().starts_with(expected), "{error}");
}
