//! Tests of the `upstream_credential` section.

use rstest::rstest;

use super::{config, mistakes, parsed};
use crate::access::UpstreamCredential;
use crate::secret::{SigningAlgorithm, new_signing_key};

const URL: &str = "public_url: https://llm.example.com\n";
/// Credentials need a gateway secret or a trusted network.
const TRUSTED: &[(&str, &str)] = &[("VESTIBULE__CHECK__TRUST_NETWORK", "true")];

#[test]
fn no_credential_is_sent_by_default() {
    let read = config(URL, TRUSTED).upstream_credential;
    assert_eq!(read.default, None);
    assert!(read.static_credentials.is_empty() && read.assertion.is_none() && read.names().is_empty());
}

#[test]
fn credentials_keep_their_order() {
    let text = format!(
        "{URL}upstream_credential:
  default: litellm
  static:
    - {{name: litellm, roles: [proxy_admin], teams: [research], authorization: Bearer sk-1}}
    - {{name: litellm, authorization: sk-2}}
    - {{authorization: Basic YTpi}}
"
    );
    let read = config(&text, TRUSTED).upstream_credential;
    assert_eq!(read.default, Some(UpstreamCredential::Static("litellm".into())));
    assert_eq!(read.names(), ["litellm", "static"]);
    assert_eq!((read.static_credentials[0].roles.len(), read.static_credentials[0].teams.len()), (1, 1));
    assert_eq!(read.static_credentials[2].value.expose_initial(), "Basic YTpi");
    assert!(!format!("{read:?}").contains("sk-1"));
}

#[test]
fn a_static_credential_without_access_rules_causes_a_warning_that_names_both() {
    let folder = tempfile::tempdir().unwrap();
    let role_map = folder.path().join("roles.yaml");
    let warnings = |text: String| parsed(&text, TRUSTED).unwrap().warnings;
    let fixed = "upstream_credential: {static: [{name: litellm, authorization: sk-hidden}, {name: data, authorization: b}]}\n";
    let file = format!("role_map: {{file: {}}}\n", role_map.display());
    std::fs::write(&role_map, "version: 1").unwrap();
    for text in [fixed.to_owned(), format!("{fixed}{file}")] {
        let found = warnings(text);
        assert!(found.len() == 1 && found[0].starts_with("upstream_credential.static (data, litellm): "), "{found:?}");
        assert!(found[0].contains("`access`") && !found[0].contains("hidden"), "{found:?}");
    }
    assert_eq!(warnings(file.clone()), Vec::<String>::new());
    assert_eq!(warnings(format!("{fixed}role_map: {{config_map: {{name: roles}}}}")), Vec::<String>::new(), "not loaded yet");
    std::fs::write(&role_map, "version: 1\naccess: [{paths: [/**]}]").unwrap();
    assert_eq!(warnings(format!("{fixed}{file}")), Vec::<String>::new());
}

#[test]
fn an_assertion_has_the_public_url_as_issuer_and_the_configured_audience() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.pem");
    std::fs::write(&path, new_signing_key(SigningAlgorithm::EdDsa) + &new_signing_key(SigningAlgorithm::Es256)).unwrap();
    let text = format!(
        "{URL}upstream_credential: {{default: assertion, assertion: {{audience: litellm, authorization: true, keys_file: {}}}}}",
        path.display()
    );
    let read = config(&text, TRUSTED).upstream_credential;
    assert_eq!(read.names(), ["assertion"]);
    let assertion = read.assertion.unwrap();
    assert_eq!((assertion.issuer.as_str(), assertion.audience.as_str()), ("https://llm.example.com", "litellm"));
    assert!(assertion.as_authorization);
}

#[rstest]
#[case("{default: }", "upstream_credential.default (line 2): has no value")]
#[case("{default: Bearer sk-hidden}", "upstream_credential.default (line 2): must be none, pass, assertion")]
#[case(
    "{default: sk-hidden}",
    "upstream_credential.default (line 2): is not a `name` in `upstream_credential.static`, which is empty"
)]
#[case(
    "{default: sk-hidden, static: [{authorization: x}]}",
    "default (line 2): is not a `name` in `upstream_credential.static`; known names: static"
)]
#[case("{default: assertion}", "upstream_credential.default (line 2): `assertion` needs")]
#[case("{static: [{name: litellm}]}", "upstream_credential.static[0].authorization_file (line 2): is required")]
#[case("{static: [{name: pass, authorization: sk-hidden}]}", "static[0].name (line 2): must not be none, pass or assertion")]
#[case("{static: [{header: x-key}]}", "static[0].value_file (line 2): is required with `header`")]
#[case("{static: [{value: sk-hidden}]}", "static[0].header (line 2): is required with `value_file`")]
#[case(
    "{static: [{header: x-key, value: sk-hidden, authorization: sk-hidden}]}",
    "static[0].header (line 2): can't be combined with"
)]
#[case("{static: [{value: sk-hidden, authorization: sk-hidden}]}", "static[0].value_file (line 2): can't be combined")]
#[case("{static: [{header: , authorization: sk-hidden}]}", "static[0].header (line 2): has no value")]
#[case("{static: [{header: Cookie, value: sk-hidden}]}", "static[0].header (line 2): has another meaning")]
#[case("{static: [{header: x_key, value: sk-hidden}]}", "static[0].header (line 2): must be a header's name")]
#[case("{static: [{header: x-key, value: \"sk-hidden\\nX: y\"}]}", "static[0].value (line 2): must be one line")]
#[case("{static: [{roles: [], authorization: sk-hidden}]}", "static[0].roles (line 2): is empty")]
#[case("{static: [{teams: , authorization: sk-hidden}]}", "static[0].teams (line 2): has no value")]
#[case(
    "{static: [{authorization: sk-hidden}, {authorization: sk-hidden}]}",
    "static[1].name (line 2): `static` already has an entry"
)]
#[case("{static: [{authorization: \"sk-hidden\\nX: y\"}]}", "static[0].authorization (line 2): must be one line")]
#[case("{static: [{authorization_file: /nope}]}", "static[0].authorization_file (line 2): can't be read")]
#[case("{assertion: {audience: litellm}}", "assertion.audience (line 2): has no effect without `keys_file`")]
#[case("{assertion: {keys: sk-hidden}}", "assertion.keys (line 2): has no PEM block")]
fn mistakes_name_their_field_and_repeat_no_secret(#[case] section: &str, #[case] expected: &str) {
    let found = mistakes(&format!("{URL}upstream_credential: {section}"), TRUSTED);
    assert!(found.iter().any(|mistake| mistake.contains(expected)), "{found:?}");
    assert!(!found.concat().contains("sk-hidden"), "{found:?}");
}

#[test]
fn a_mistake_does_not_hide_another_one() {
    let text =
        format!("{URL}upstream_credential: {{default: nosuch, assertion: {{audience: x}}, static: [{{authorization: y}}]}}");
    let found = mistakes(&text, TRUSTED);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().any(|mistake| mistake.contains("upstream_credential.default (line 2): is not a `name`")), "{found:?}");
}

#[test]
fn a_role_map_may_name_only_configured_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roles.yaml");
    let rules = "version: 1\naccess:\n  - {paths: [/a], upstream_credential: litellm}\n  - {paths: [/b], upstream_credential: assertion}\n";
    std::fs::write(&path, rules).unwrap();
    let text = format!("{URL}role_map: {{file: {}}}\n", path.display());
    let found = mistakes(&text, TRUSTED);
    assert!(
        found[0].contains("access[0].upstream_credential (line 3): is not configured under `upstream_credential`"),
        "{found:?}"
    );
    assert!(
        found[1].contains("access[1].upstream_credential (line 4): is not configured under `upstream_credential`"),
        "{found:?}"
    );
    let with = format!("{text}upstream_credential: {{static: [{{name: litellm, authorization: sk-1}}]}}");
    assert_eq!(mistakes(&with, TRUSTED).len(), 1);
}
