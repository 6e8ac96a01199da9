use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    access::AccessRules,
    check::CheckRequest,
    clock::{Clock, manual::ManualClock},
    principal::{IdentityHeaders, Role, Team},
    role_map::RoleMap,
    secret::{ConfiguredSecret, NewSigningKeys, SigningAlgorithm, SigningKeys, new_signing_key},
};

const KEYS: [(&str, &[&str], &[&str], &str); 4] = [
    ("litellm", &["proxy_admin"], &[], "Bearer for-admins"),
    ("litellm", &["internal_user"], &["research"], "Bearer for-research"),
    ("litellm", &[], &[], "Bearer for-all"),
    ("vllm", &[], &["data"], "Bearer for-data"),
];

fn static_credential(name: &str, roles: &[&str], teams: &[&str], header: CredentialHeader, value: &str) -> StaticCredential {
    StaticCredential::new(StaticCredentialSettings {
        name: name.to_owned(),
        roles: roles.iter().copied().map(Role::new).collect(),
        teams: teams.iter().copied().map(Team::new).collect(),
        header,
        form: CredentialForm::Verbatim,
        value: ConfiguredSecret::Inline(value.into()),
    })
}

fn static_credentials() -> Vec<StaticCredential> {
    let credentials = KEYS
        .iter()
        .map(|(name, roles, teams, value)| static_credential(name, roles, teams, CredentialHeader::authorization(), value));
    credentials.collect()
}

fn evaluation(role: &str, teams: &[&str]) -> Evaluation {
    let grant = Grant { role: Some(Role::new(role)), teams: teams.iter().copied().map(Team::new).collect(), ..Grant::default() };
    let identity = IdentityHeaders {
        user: "u-1".into(),
        email: "ada@example.com".into(),
        role: role.into(),
        groups: teams.join(","),
        ..IdentityHeaders::default()
    };
    Evaluation::new(1, grant, identity)
}

fn upstream(default: Option<&str>, assertions: Option<Assertions>) -> UpstreamCredentialPolicy {
    let default = default.map(|default| UpstreamCredential::parse(default).unwrap());
    UpstreamCredentialPolicy::new(default, static_credentials(), assertions, Arc::new(Metrics::new()))
}

fn assertions(clock: &ManualClock, as_authorization: bool) -> (Assertions, Arc<SigningKeys>) {
    let key = new_signing_key(SigningAlgorithm::EdDsa);
    let keys = Arc::new(SigningKeys::new(NewSigningKeys::parse(&key).unwrap(), Arc::new(clock.clone())));
    let (issuer, audience) = ("https://llm".to_owned(), "litellm".to_owned());
    let settings = AssertionSettings { issuer, audience, keys: ConfiguredSecret::Inline(key.into()), as_authorization };
    (Assertions::new(settings, Arc::clone(&keys), Arc::new(clock.clone()), Arc::new(Metrics::new())), keys)
}

fn claims(assertion: &IdentityAssertion) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(assertion.jwt.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// Returns the `Authorization` that a path receives by these rules.
fn authorization(
    upstream: &UpstreamCredentialPolicy,
    access: &AccessRules,
    path: &str,
    principal: Option<&Evaluation>,
) -> String {
    let request = CheckRequest { method: "GET", scheme: "https", host: "llm", path, query: None };
    let matched = access.match_request(&request).unwrap();
    match upstream.choose_headers(Some(&matched), principal).authorization {
        Authorization::Remove => "nothing".to_owned(),
        Authorization::Passthrough => "the client's own".to_owned(),
        Authorization::Value(value) => value,
    }
}

fn access(rules: &str) -> RoleMap {
    RoleMap::parse(&format!("version: 1\naccess:\n{rules}")).unwrap()
}

#[rstest]
#[case("proxy_admin", &["research"], "Bearer for-admins")]
#[case("internal_user", &["data", "research"], "Bearer for-research")]
#[case("internal_user", &["data"], "Bearer for-all")]
#[case("customer", &[], "Bearer for-all")]
fn the_first_static_credential_for_role_and_teams_is_sent(#[case] role: &str, #[case] teams: &[&str], #[case] expected: &str) {
    let sent = upstream(Some("litellm"), None).choose_headers(None, Some(&evaluation(role, teams)));
    assert_eq!(sent.authorization, Authorization::Value(expected.to_owned()));
}

#[test]
fn without_a_static_credential_for_the_principal_none_is_sent() {
    let upstream = upstream(Some("vllm"), None);
    assert_eq!(
        upstream.choose_headers(None, Some(&evaluation("proxy_admin", &["research"]))).authorization,
        Authorization::Remove
    );
    assert!(matches!(upstream.choose_headers(None, Some(&evaluation("team", &["data"]))).authorization, Authorization::Value(_)));
    let metrics = String::from_utf8(upstream.metrics.render()).unwrap();
    assert!(metrics.contains(r#"vestibule_upstream_credentials_total{sent="unmatched"} 1"#), "{metrics}");
}

const RULES: &str = "
  - {paths: [/open/**], allow: anyone}
  - {paths: [/open-with-key/**], allow: anyone, upstream_credential: litellm}
  - {paths: [/open-and-empty/**], allow: anyone, upstream_credential: none}
  - {paths: [/none/**], upstream_credential: none}
  - {paths: [/pass/**], upstream_credential: pass}
  - {paths: [/vllm/**], upstream_credential: vllm}
  - {paths: [/theirs/**, /theirs-too/**], read: [session]}
  - {paths: [/**]}
";

#[rstest]
#[case::not_set("/x", ["nothing", "nothing", "Bearer for-admins"])]
#[case::open_but_authenticated("/open/x", ["nothing", "nothing", "Bearer for-admins"])]
#[case::open_with_key("/open-with-key/x", ["Bearer for-admins"; 3])]
#[case::open_and_empty("/open-and-empty/x", ["nothing"; 3])]
#[case::none("/none/x", ["nothing"; 3])]
#[case::pass("/pass/x", ["the client's own"; 3])]
#[case::another("/vllm/x", ["Bearer for-data"; 3])]
#[case::not_read("/theirs/x", ["the client's own", "nothing", "Bearer for-admins"])]
#[case::read_by_another_interpretation("/open/../theirs/x", ["nothing", "nothing", "Bearer for-admins"])]
#[case::read_by_neither("/theirs/../theirs-too/x", ["the client's own", "nothing", "Bearer for-admins"])]
#[case::passed_but_read("/pass/../theirs/x", ["nothing"; 3])]
#[case::interpretations_that_differ("/pass/../vllm/x", ["nothing"; 3])]
#[case::interpretations_that_agree("/none/../none/x", ["nothing"; 3])]
fn the_rule_chooses_the_credential_before_the_default(#[case] path: &str, #[case] expected: [&str; 3]) {
    let map = access(RULES);
    let principal = evaluation("proxy_admin", &["data"]);
    for (default, expected) in [None, Some("none"), Some("litellm")].into_iter().zip(expected) {
        assert_eq!(
            authorization(&upstream(default, None), map.access().unwrap(), path, Some(&principal)),
            expected,
            "{default:?}"
        );
    }
}

#[test]
fn the_header_of_an_anonymous_caller_is_passed_on() {
    let map = access(RULES);
    for default in [None, Some("none"), Some("litellm")] {
        assert_eq!(
            authorization(&upstream(default, None), map.access().unwrap(), "/open/x", None),
            "the client's own",
            "{default:?}"
        );
    }
}

#[test]
fn an_anonymous_caller_gets_no_static_credential_that_requires_a_role() {
    let map = access(RULES);
    assert_eq!(authorization(&upstream(None, None), map.access().unwrap(), "/open-with-key/x", None), "Bearer for-all");
}

/// Returns the entries of one credential, some of them in other headers.
fn with_headers(entries: &[(&str, &[&str], &str)]) -> UpstreamCredentialPolicy {
    let entry = |(header, roles, value): &(&str, &[&str], &str)| {
        static_credential("litellm", roles, &[], CredentialHeader::parse(header).unwrap(), value)
    };
    let entries = entries.iter().map(entry).collect();
    let default = Some(UpstreamCredential::Static("litellm".into()));
    UpstreamCredentialPolicy::new(default, entries, None, Arc::new(Metrics::new()))
}

fn others(sent: &UpstreamHeaders) -> Vec<(&str, Option<&str>)> {
    sent.others.iter().map(|other| (other.header.as_str(), other.value.as_deref())).collect()
}

const OTHER_HEADERS: &str = "
  - {paths: [/open/**], allow: anyone, upstream_credential: litellm}
  - {paths: [/own/**], read: [x-litellm-api-key, session]}
  - {paths: [/**]}
";

#[rstest]
#[case::not_read("/own/x", true, Authorization::Passthrough)]
#[case::open("/open/x", false, Authorization::Passthrough)]
#[case::read("/x", true, Authorization::Remove)]
#[case::read_by_another_interpretation("/own/../x", true, Authorization::Remove)]
fn with_a_credential_in_another_header_authorization_goes_on_unless_it_was_read(
    #[case] path: &str,
    #[case] is_authenticated: bool,
    #[case] expected: Authorization,
) {
    let map = access(OTHER_HEADERS);
    let request = CheckRequest { method: "GET", scheme: "https", host: "llm", path, query: None };
    let matched = map.access().unwrap().match_request(&request).unwrap();
    let principal = evaluation("internal_user", &[]);
    let upstream = with_headers(&[("X-LiteLLM-Api-Key", &[], "Bearer sk-1")]);
    let sent = upstream.choose_headers(Some(&matched), is_authenticated.then_some(&principal));
    assert_eq!((others(&sent), &sent.authorization), (vec![("x-litellm-api-key", Some("Bearer sk-1"))], &expected));
    let shown = format!("{sent:?}");
    assert!(!shown.contains("sk-1") && shown.contains("x-litellm-api-key"), "{shown}");
}

#[test]
fn the_headers_of_the_other_entries_are_removed() {
    let upstream = with_headers(&[
        ("x-admin-key", &["proxy_admin"], "for-admins"),
        ("authorization", &["internal_user"], "for-users"),
        ("x-key", &["customer"], "for-customers"),
    ]);
    let map = access(OTHER_HEADERS);
    let request = CheckRequest { method: "GET", scheme: "https", host: "llm", path: "/own/x", query: None };
    let matched = map.access().unwrap().match_request(&request).unwrap();
    for (role, authorization, expected) in [
        ("proxy_admin", Authorization::Remove, [("x-key", None), ("x-admin-key", Some("for-admins"))]),
        ("internal_user", Authorization::Value("for-users".into()), [("x-admin-key", None), ("x-key", None)]),
        ("customer", Authorization::Remove, [("x-admin-key", None), ("x-key", Some("for-customers"))]),
        ("team", Authorization::Remove, [("x-admin-key", None), ("x-key", None)]),
    ] {
        let sent = upstream.choose_headers(Some(&matched), Some(&evaluation(role, &[])));
        assert_eq!((others(&sent), &sent.authorization), (expected.to_vec(), &authorization), "{role}");
    }
}

#[test]
fn an_assertion_has_the_claims_of_the_principal() {
    let clock = ManualClock::new();
    let (assertions, _) = assertions(&clock, false);
    let upstream = upstream(Some("assertion"), Some(assertions));
    let sent = upstream.choose_headers(None, Some(&evaluation("team", &["a", "b"])));
    assert_eq!(sent.authorization, Authorization::Remove, "the client's header must not pass as an assertion");
    let now = clock.now().as_second();
    let expected = json!({"iss": "https://llm", "aud": "litellm", "sub": "u-1", "iat": now - 30, "exp": now + 300,
        "email": "ada@example.com", "role": "team", "teams": ["a", "b"]});
    assert_eq!(claims(sent.assertion.as_ref().unwrap()), expected);
    assert_eq!(upstream.public_keys().keys.len(), 1);
    let shown = format!("{sent:?}");
    assert!(!shown.contains(&*sent.assertion.unwrap().jwt), "{shown}");
}

#[test]
fn an_assertion_is_also_sent_in_authorization_if_configured() {
    let (assertions, _) = assertions(&ManualClock::new(), true);
    let sent = upstream(Some("assertion"), Some(assertions)).choose_headers(None, Some(&evaluation("team", &[])));
    let jwt = &sent.assertion.as_ref().unwrap().jwt;
    assert_eq!(sent.authorization, Authorization::Value(format!("Bearer {jwt}")));
    assert!(!format!("{:?}", sent.authorization).contains(&**jwt));
}

#[test]
fn an_assertion_is_cached_until_it_is_old_or_its_key_is_removed() {
    let clock = ManualClock::new();
    let (assertions, keys) = assertions(&clock, false);
    let upstream = upstream(Some("assertion"), Some(assertions));
    let principal = evaluation("team", &[]);
    let sign = || upstream.choose_headers(None, Some(&principal)).assertion.unwrap();
    let first = sign();
    clock.advance(Duration::from_secs(179));
    assert!(Arc::ptr_eq(&first, &sign()));
    clock.advance(Duration::from_secs(1));
    let second = sign();
    assert!(!Arc::ptr_eq(&first, &second));
    assert_eq!(claims(&second)["exp"], clock.now().as_second() + 300);
    keys.replace(NewSigningKeys::parse(&new_signing_key(SigningAlgorithm::Es256)).unwrap());
    let third = sign();
    assert_ne!(third.kid, second.kid);
    let other = upstream.choose_headers(None, Some(&evaluation("team", &[]))).assertion.unwrap();
    assert!(!Arc::ptr_eq(&third, &other), "each evaluation has its own");
}

#[test]
fn an_assertion_ends_with_the_claims_that_it_states() {
    let clock = ManualClock::new();
    let (assertions, _) = assertions(&clock, false);
    let valid_until = clock.now() + Duration::from_secs(10);
    let principal = Evaluation { valid_until, ..evaluation("team", &[]) };
    let sent = upstream(Some("assertion"), Some(assertions)).choose_headers(None, Some(&principal));
    assert_eq!(claims(&sent.assertion.unwrap())["exp"], valid_until.as_second());
}

#[test]
fn an_anonymous_caller_gets_no_assertion() {
    let (assertions, _) = assertions(&ManualClock::new(), true);
    let sent = upstream(Some("assertion"), Some(assertions)).choose_headers(None, None);
    assert_eq!((sent.authorization, sent.assertion.is_none()), (Authorization::Remove, true));
}
