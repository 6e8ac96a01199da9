//! Claims in any shape: those that a login does not need never fail it, those that it needs cannot be forged, and rules read
//! exactly what the provider sent.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use super::{FaultyFleet, cases::id_token};
use crate::support::agent::Agent;
use crate::support::cli::vestibule;
use crate::support::faulty_idp::FaultyIdp;
use crate::support::fleet::Fleet;
use crate::support::pod::{ProviderSection, random_key};
use crate::support::scratch::Scratch;
use crate::support::steps::{assert_not_signed_in, assert_page, assert_signed_in, check, session_of};

/// The number of logins of each property.
const LOGINS: usize = 48;

/// Claims of OpenID Connect and of common providers that no login needs.
const UNNEEDED: [&str; 40] = [
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "email",
    "email_verified",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "phone_number",
    "phone_number_verified",
    "address",
    "updated_at",
    "auth_time",
    "acr",
    "amr",
    "sid",
    "jti",
    "nbf_text",
    "c_hash",
    "s_hash",
    "session_state",
    "login_hint",
    "groups",
    "roles",
    "wids",
    "upn",
    "oid",
    "tid",
    "ver",
    "events",
    "_claim_names",
    "https://example.com/claims",
    "typ",
];

/// JSON text, with numbers in every spelling and texts that are not Unicode.
fn json_text() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,30})([.][0-9]{1,20})?([eE][+-]?[0-9]{1,3})?";
    let text = prop_oneof![
        any::<String>().prop_map(|text| json!(text).to_string()),
        Just(r#""\ud83d""#.to_owned()),
        Just(r#""""#.to_owned()),
        Just(r#""\u0000""#.to_owned()),
    ];
    let leaf = prop_oneof![2 => number.prop_map(String::from), 2 => text, 1 => "null|true|false".prop_map(String::from)];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let member = (any::<String>(), inner.clone()).prop_map(|(name, value)| format!("{}:{value}", json!(name)));
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(|values| format!("[{}]", values.join(","))),
            prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

/// Generates values without an async runtime's help. A failure names the value.
struct Generator(TestRunner);

impl Generator {
    fn new() -> Self {
        Self(TestRunner::new(Config::default()))
    }

    fn next<T: std::fmt::Debug>(&mut self, strategy: &impl Strategy<Value = T>) -> T {
        strategy.new_tree(&mut self.0).expect("the strategy has values").current()
    }

    fn claims(&mut self, names: &[&str]) -> Map<String, Value> {
        let text = json_text();
        names.iter().map(|name| ((*name).to_owned(), self.next(&text).into())).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_are_not_needed_never_fail_a_login() {
    let idp = FaultyIdp::start().await;
    let mut provider = ProviderSection::corp(idp.issuer(), random_key());
    provider.further.push("max_claims: 1MiB".to_owned());
    let fleet = FaultyFleet { fleet: Fleet::builder().provider(provider).start().await, idp };
    let mut generator = Generator::new();
    for _ in 0..LOGINS {
        let (token, userinfo) = (generator.claims(&UNNEEDED), generator.claims(&UNNEEDED));
        // It is sent in a header, whose length is limited.
        let access_token = generator.claims(&["groups", "email"]);
        let fault = json!({"idToken": {"raw": token}, "accessToken": {"raw": access_token}, "userinfo": {"raw": userinfo}});
        let agent = Agent::new();
        let page = fleet.log_in(&agent, &fault).await;
        assert!(page.status == 302 || page.status == 303, "{}: {fault}\n{:?}", page.status, fleet.lines("login failed"));
        assert_signed_in(&page);
        assert_eq!(agent.get(&fleet.pod().public("/sso/session")).await.status, 200, "{fault}");
    }
}

/// A needed claim, and a value of it that must not be accepted.
fn forged() -> impl Strategy<Value = (&'static str, String)> {
    let is_number = |text: &str| text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let name = prop::sample::select(vec!["iss", "sub", "aud", "exp", "iat", "nonce", "azp", "at_hash"]);
    (name, json_text()).prop_filter("the value is valid", move |(name, value)| match *name {
        // A number can be a valid time, and null counts as absent.
        "exp" | "iat" => !is_number(value),
        "azp" | "at_hash" => value != "null",
        _ => true,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_value_of_a_needed_claim_opens_no_session() {
    let (fleet, mut generator, forged) = (FaultyFleet::start().await, Generator::new(), forged());
    for _ in 0..3 * LOGINS {
        let (name, value) = generator.next(&forged);
        let agent = Agent::new();
        let page = fleet.log_in(&agent, &json!({"idToken": {"raw": {name: value}}})).await;
        assert_page(&page, 502, "Sign-in could not be confirmed");
        assert_not_signed_in(&page);
        assert_eq!(agent.get(&fleet.pod().public("/sso/session")).await.status, 401, "{name}: {value}");
    }
    for _ in 0..LOGINS {
        let value = generator.next(&json_text());
        let page = fleet.log_in(&Agent::new(), &json!({"userinfo": {"raw": {"sub": value}}})).await;
        assert_page(&page, 502, "Sign-in could not be confirmed");
        assert_not_signed_in(&page);
    }
}

/// Rules that make a team of each value, and grant a role for one spelling of a number.
const MAP: &str = r#"version: 1
roles: [proxy_admin, internal_user]
default_role: internal_user
rules:
  - {claim: id_token_level, match: "1.5", role: proxy_admin}
teams:
  - {claim: id_token_level, match: "*"}
  - {claim: userinfo_level.of, match: "*"}
  - {claim: address.formatted, match: "*"}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn rules_read_what_the_provider_sent_as_an_explanation_does() {
    let idp = FaultyIdp::start().await;
    let provider = ProviderSection::corp(idp.issuer(), random_key());
    let fleet = Fleet::builder().provider(provider).config(|pod| pod.role_map = Some(MAP.to_owned())).start().await;
    let fleet = FaultyFleet { fleet, idp };
    let numbers = ["1e2", "1E+2", "1.50", "100.0", "-0.0", "116544810872468347481", "18446744073709551616.0", "1e400"];
    let raw = json!({"id_token_level": format!("[{}]", numbers.join(","))});
    let userinfo = json!({
        "userinfo_level": format!(r#"{{"of": [{}], "at": "2026-01-02T03:04:05.000+01:00"}}"#, numbers.map(|n| format!("{n}0")).join(",")),
        "address": r#"{"formatted": "2026-01-02T03:04:05.000+01:00", "country": null}"#,
    });
    let agent = Agent::new();
    assert_signed_in(&fleet.log_in(&agent, &json!({"idToken": {"raw": raw}, "userinfo": {"raw": userinfo}})).await);
    let page = check(&agent, fleet.pod(), &session_of(&agent)).await;
    assert_eq!(page.header("x-auth-request-role"), Some("internal_user"), "1.50 is not 1.5");
    let groups = page.header("x-auth-request-groups").expect("every identity header is there").to_owned();
    let mut teams: Vec<&str> = groups.split(',').collect();
    teams.sort_unstable();
    let mut expected: Vec<String> = numbers.iter().map(|n| (*n).to_owned()).chain(numbers.map(|n| format!("{n}0"))).collect();
    expected.push("2026-01-02T03:04:05.000+01:00".to_owned());
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(teams, expected);
    assert_eq!(explained_teams(&raw, &userinfo), expected);
    // The claims are the same after the store.
    assert_signed_in(&fleet.log_in(&agent, &json!({"idToken": {"raw": raw}, "userinfo": {"raw": userinfo}})).await);
    let again = check(&agent, fleet.pod(), &session_of(&agent)).await;
    assert_eq!(again.header("x-auth-request-groups"), Some(groups.as_str()));
}

/// The teams that `role-map explain` names for these claims, whose values are JSON text.
fn explained_teams(id_token: &Value, userinfo: &Value) -> Vec<String> {
    let scratch = Scratch::new("explained-claims");
    let (map, claims) = (scratch.path().join("roles.yaml"), scratch.path().join("claims.json"));
    std::fs::write(&map, MAP).unwrap();
    let object = |raw: &Value| {
        let members = raw.as_object().expect("an object").iter();
        let members: Vec<_> = members.map(|(name, text)| format!("{name:?}:{}", text.as_str().expect("JSON text"))).collect();
        format!("{{{}}}", members.join(","))
    };
    std::fs::write(&claims, format!(r#"{{"id_token": {}, "userinfo": {}}}"#, object(id_token), object(userinfo))).unwrap();
    let text = |path: &std::path::Path| path.to_str().expect("the path is Unicode").to_owned();
    let output = vestibule(&["role-map", "explain", &text(&map), "--claims", &text(&claims), "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let explanation: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let teams = explanation["teams"].as_array().expect("a list");
    teams.iter().map(|team| team["what"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_address_counts_only_with_a_flag_that_means_true() {
    let fleet = FaultyFleet::start().await;
    let flags = [
        ("true", true),
        (r#""true""#, true),
        (r#""TRUE""#, true),
        ("1", true),
        ("1.0", false),
        (r#""1""#, false),
        (r#""yes""#, false),
        ("[true]", false),
        ("false", false),
        ("null", false),
    ];
    for (flag, counts) in flags {
        let agent = Agent::new();
        let userinfo = json!({"userinfo": {"raw": {"email_verified": flag}}});
        assert_signed_in(&fleet.log_in(&agent, &userinfo).await);
        let page = check(&agent, fleet.pod(), &session_of(&agent)).await;
        let email = if counts { "johndoe@example.com" } else { "" };
        assert_eq!(page.header("x-auth-request-email"), Some(email), "{flag}");
    }
    let odd = id_token(json!({"email": ["a@example.com"], "sid": {"a": 1}}));
    assert_signed_in(&fleet.log_in(&Agent::new(), &odd).await);
    let ignored = fleet.lines("claim ignored");
    for expected in [r#"claim="email" found="a list""#, r#"claim="sid" found="an object""#] {
        assert!(ignored.iter().any(|line| line.contains(expected)), "{expected}: {ignored:?}");
    }
}
