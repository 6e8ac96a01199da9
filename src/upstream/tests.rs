use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    access::AccessRules,
    check::CheckRequest,
    clock::{Clock, manual::ManualClock},
    principal::Identity,
    roles::RoleMap,
    secret::{NewSigningKeys, SigningAlgorithm, SigningKeys, new_signing_key},
};

const KEYS: [(&str, &[&str], &[&str], &str); 4] = [
    ("litellm", &["proxy_admin"], &[], "Bearer for-admins"),
    ("litellm", &["internal_user"], &["research"], "Bearer for-research"),
    ("litellm", &[], &[], "Bearer for-all"),
    ("vllm", &[], &["data"], "Bearer for-data"),
];

fn fixed() -> Vec<Fixed> {
    let fixed = KEYS.iter().map(|(name, roles, teams, value)| Fixed {
        name: (*name).into(),
        roles: roles.iter().copied().map(Role::new).collect(),
        teams: teams.iter().copied().map(Team::new).collect(),
        authorization: Arc::new(SecretCell::new(value)),
    });
    fixed.collect()
}

fn judged(role: &str, teams: &[&str]) -> Judged {
    let grant = Grant { role: Some(Role::new(role)), teams: teams.iter().copied().map(Team::new).collect(), ..Grant::default() };
    let identity = Identity {
        user: "u-1".into(),
        email: "ada@example.com".into(),
        role: role.into(),
        groups: teams.join(","),
        ..Identity::default()
    };
    Judged::new(1, grant, identity)
}

fn upstream(default: Option<&str>, assertions: Option<Assertions>) -> Upstream {
    let default = default.map(|default| UpstreamCredential::parse(default).unwrap());
    Upstream::new(default, fixed(), assertions, Arc::new(Metrics::new()))
}

fn assertions(clock: &ManualClock, as_authorization: bool) -> (Assertions, Arc<SigningKeys>) {
    let keys = NewSigningKeys::parse(&new_signing_key(SigningAlgorithm::EdDsa)).unwrap();
    let keys = Arc::new(SigningKeys::new(keys, Arc::new(clock.clone())));
    let settings = Settings { issuer: "https://llm".into(), audience: "litellm".into(), as_authorization };
    (Assertions::new(settings, Arc::clone(&keys), Arc::new(clock.clone()), Arc::new(Metrics::new())), keys)
}

fn claims(vouched: &Vouched) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(vouched.jwt.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// What is sent to a path by these rules, in a word.
fn sent(upstream: &Upstream, access: &AccessRules, path: &str, judged: Option<&Judged>) -> String {
    let request = CheckRequest { method: "GET", scheme: "https", host: "llm", path, query: None };
    let selected = access.select(&request).unwrap();
    match upstream.sends(Some(&selected), judged).authorization {
        Authorization::Nothing => "nothing".to_owned(),
        Authorization::ClientsOwn => "the client's own".to_owned(),
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
fn the_first_value_that_is_for_role_and_teams_is_sent(#[case] role: &str, #[case] teams: &[&str], #[case] expected: &str) {
    let sent = upstream(Some("litellm"), None).sends(None, Some(&judged(role, teams)));
    assert_eq!(sent.authorization, Authorization::Value(expected.to_owned()));
}

#[test]
fn where_no_value_is_for_somebody_nothing_is_sent() {
    let upstream = upstream(Some("vllm"), None);
    assert_eq!(upstream.sends(None, Some(&judged("proxy_admin", &["research"]))).authorization, Authorization::Nothing);
    assert!(matches!(upstream.sends(None, Some(&judged("team", &["data"]))).authorization, Authorization::Value(_)));
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
#[case::unsaid("/x", ["nothing", "nothing", "Bearer for-admins"])]
#[case::open_and_narrowed("/open/x", ["nothing", "nothing", "Bearer for-admins"])]
#[case::open_with_key("/open-with-key/x", ["Bearer for-admins"; 3])]
#[case::open_and_empty("/open-and-empty/x", ["nothing"; 3])]
#[case::none("/none/x", ["nothing"; 3])]
#[case::pass("/pass/x", ["the client's own"; 3])]
#[case::another("/vllm/x", ["Bearer for-data"; 3])]
#[case::not_read("/theirs/x", ["the client's own", "nothing", "Bearer for-admins"])]
#[case::not_read_but_by_another_reading("/open/../theirs/x", ["nothing", "nothing", "Bearer for-admins"])]
#[case::read_by_neither("/theirs/../theirs-too/x", ["the client's own", "nothing", "Bearer for-admins"])]
#[case::passed_but_read("/pass/../theirs/x", ["nothing"; 3])]
#[case::readings_that_differ("/pass/../vllm/x", ["nothing"; 3])]
#[case::readings_that_agree("/none/../none/x", ["nothing"; 3])]
fn the_rule_says_what_is_sent_and_else_the_default(#[case] path: &str, #[case] expected: [&str; 3]) {
    let map = access(RULES);
    let person = judged("proxy_admin", &["data"]);
    for (default, expected) in [None, Some("none"), Some("litellm")].into_iter().zip(expected) {
        assert_eq!(sent(&upstream(default, None), map.access().unwrap(), path, Some(&person)), expected, "{default:?}");
    }
}

#[test]
fn who_was_not_looked_up_keeps_what_they_sent() {
    let map = access(RULES);
    for default in [None, Some("none"), Some("litellm")] {
        assert_eq!(sent(&upstream(default, None), map.access().unwrap(), "/open/x", None), "the client's own", "{default:?}");
    }
}

#[test]
fn what_is_for_roles_is_not_for_who_was_not_looked_up() {
    let map = access(RULES);
    assert_eq!(sent(&upstream(None, None), map.access().unwrap(), "/open-with-key/x", None), "Bearer for-all");
}

#[test]
fn an_assertion_says_who_it_is_and_for_whom() {
    let clock = ManualClock::new();
    let (assertions, _) = assertions(&clock, false);
    let upstream = upstream(Some("assertion"), Some(assertions));
    let sent = upstream.sends(None, Some(&judged("team", &["a", "b"])));
    assert_eq!(sent.authorization, Authorization::Nothing, "the client's own is not to be taken for it");
    let now = clock.now().as_second();
    let expected = json!({"iss": "https://llm", "aud": "litellm", "sub": "u-1", "iat": now - 30, "exp": now + 300,
        "email": "ada@example.com", "role": "team", "teams": ["a", "b"]});
    assert_eq!(claims(sent.assertion.as_ref().unwrap()), expected);
    assert_eq!(upstream.published().keys.len(), 1);
    let shown = format!("{sent:?}");
    assert!(!shown.contains(&*sent.assertion.unwrap().jwt), "{shown}");
}

#[test]
fn an_assertion_goes_into_authorization_where_that_is_wanted() {
    let (assertions, _) = assertions(&ManualClock::new(), true);
    let sent = upstream(Some("assertion"), Some(assertions)).sends(None, Some(&judged("team", &[])));
    let jwt = &sent.assertion.as_ref().unwrap().jwt;
    assert_eq!(sent.authorization, Authorization::Value(format!("Bearer {jwt}")));
    assert!(!format!("{:?}", sent.authorization).contains(&**jwt));
}

#[test]
fn an_assertion_is_signed_once_and_anew_before_it_expires_or_when_its_key_is_gone() {
    let clock = ManualClock::new();
    let (assertions, keys) = assertions(&clock, false);
    let upstream = upstream(Some("assertion"), Some(assertions));
    let person = judged("team", &[]);
    let sign = || upstream.sends(None, Some(&person)).assertion.unwrap();
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
    let of_another = upstream.sends(None, Some(&judged("team", &[]))).assertion.unwrap();
    assert!(!Arc::ptr_eq(&third, &of_another), "each has their own");
}

#[test]
fn nobody_is_vouched_for_who_was_not_looked_up() {
    let (assertions, _) = assertions(&ManualClock::new(), true);
    let sent = upstream(Some("assertion"), Some(assertions)).sends(None, None);
    assert_eq!((sent.authorization, sent.assertion.is_none()), (Authorization::Nothing, true));
}

#[test]
fn a_token_alone_is_a_bearers() {
    assert_eq!(with_scheme("sk-1"), "Bearer sk-1");
    assert_eq!(with_scheme("Basic YTpi"), "Basic YTpi");
}
