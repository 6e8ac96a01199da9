//! Identity headers with names that a header cannot carry as they are, through nginx from three pods.

use serde_json::{Value, json};

use super::ask;
use crate::support::fleet::Fleet;
use crate::support::idp::IdpOptions;
use crate::support::pod::PodOptions;
use crate::support::steps::{ALICE, IDENTITY_HEADERS};

const MAP: &str = r#"version: 1
default_role: internal_user
teams:
  - {provider: corp, claim: memberOf, capture: "CN={team},OU=Groups,*"}
  - {provider: corp, claim: roles, split: json, match: "*"}
access:
  - {paths: [/chat/**], identity_headers: {encoding: percent}}
  - {paths: [/plain/**], identity_headers: {encoding: utf8}}
  - {paths: [/**]}
"#;

const NAME: &str = "J\u{fc}rgen 100%, a%2Cb";

/// Alice is in groups whose names contain a comma, and owns one whose name contains the end of the pattern.
fn claims() -> Value {
    json!({
        "preferred_username": NAME,
        "email": "alice@example.com",
        "email_verified": true,
        "memberOf": [
            "CN=Data Science,OU=Groups,DC=x",
            r"CN=Sales\, EMEA,OU=Groups,DC=x",
            r"CN=M\C3\BCnchen,OU=Groups,DC=x",
            r"CN=admins\,OU=Groups\,DC=x,OU=Self-service,DC=x",
        ],
        "roles": "[\"a%2Cadmins\", 12345678901234567890123]",
    })
}

const ENCODED: &str = "12345678901234567890123,Data%20Science,M%C3%BCnchen,Sales%2C%20EMEA,a%252Cadmins";
const PLAIN: &str = "12345678901234567890123,Data Science,M\u{fc}nchen,a%2Cadmins";

/// The headers at the upstream. Node reads them as Latin-1.
async fn received(fleet: &Fleet, path: &str, cookie: &str) -> Value {
    let forged: Vec<(&str, &str)> = IDENTITY_HEADERS.iter().map(|name| (*name, "forged,admins")).collect();
    let answer = ask(fleet.nginx().port(), path, &[&forged[..], &[("Cookie", cookie)]].concat()).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    let headers = answer.json()["headers"].clone();
    assert!(!headers.to_string().contains("forged"), "{path}: {headers}");
    headers
}

fn latin1(header: &Value) -> String {
    let bytes = header.as_str().expect("the upstream received the header").chars().map(|c| u8::try_from(u32::from(c)));
    String::from_utf8(bytes.collect::<Result<_, _>>().expect("Latin-1")).expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_headers_are_encoded_by_rule_and_by_configuration() {
    for configured in ["utf8", "percent"] {
        let settings = |pod: &mut PodOptions| {
            pod.role_map = Some(MAP.to_owned());
            pod.further += &format!("identity_headers: {{encoding: {configured}}}\n");
        };
        let claims = |idp: &mut IdpOptions| idp.accounts[0].claims = claims();
        let fleet = Fleet::builder().pods(3).cluster().idp_with(claims).nginx().config(settings).start().await;
        let cookie = fleet.session_header(ALICE).await;
        // A path that an upstream may read as one of the other rule is encoded: otherwise an upstream that decodes could read a
        // team as another team.
        let encoded = ["/chat/x", "/plain/..%2fchat/x"];
        let plain = ["/plain/x"];
        let by_default = ["/x"];
        let (plain, encoded) = match configured {
            "utf8" => ([&plain[..], &by_default].concat(), encoded.to_vec()),
            _ => (plain.to_vec(), [&encoded[..], &by_default].concat()),
        };
        // Each pod answers some of the requests.
        for path in encoded.iter().cycle().take(9) {
            let seen = received(&fleet, path, &cookie).await;
            assert_eq!(seen["x-auth-request-groups"], ENCODED, "{path}");
            assert_eq!(seen["x-auth-request-preferred-username"], "J%C3%BCrgen%20100%25,%20a%252Cb", "{path}");
            assert_eq!(
                (&seen["x-auth-request-email"], &seen["x-auth-request-role"]),
                (&json!("alice@example.com"), &json!("internal_user"))
            );
        }
        for path in plain.iter().cycle().take(6) {
            let seen = received(&fleet, path, &cookie).await;
            assert_eq!(latin1(&seen["x-auth-request-groups"]), PLAIN, "{path}");
            assert_eq!(latin1(&seen["x-auth-request-preferred-username"]), NAME, "{path}");
        }
    }
}
