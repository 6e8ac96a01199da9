//! Tests of the `check` section.

use rstest::rstest;

use super::{config, mistakes};
use crate::config::CheckAccess;
use crate::secret::{SigningAlgorithm, new_signing_key};

const SECRET: &str = "0123456789abcdefghijklmnopqrstuv";

#[test]
fn by_default_the_check_is_open_and_needs_no_secret() {
    assert!(matches!(config("", &[]).check, CheckAccess::Open));
    assert!(matches!(config("check: {trust_network: true}", &[]).check, CheckAccess::Network));
}

#[test]
fn a_file_may_hold_several_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway-secret");
    std::fs::write(&path, format!("# new\n{SECRET}-new\n{SECRET}\n")).unwrap();
    let read = config(&format!("check: {{secret_file: {}}}", path.display()), &[]);
    assert!(matches!(read.check, CheckAccess::GatewaySecret(_)));
    assert!(!format!("{read:?}").contains(SECRET));
}

#[rstest]
#[case("{secret: hunter2}", "check.secret (line 1): must have secrets of 32 to 256 characters; line 1 is shorter or longer")]
#[case(
    "{secret: 'hunter2 hunter2 hunter2 hunter2 hunter2'}",
    "check.secret (line 1): must consist of letters, digits and -._~+/="
)]
#[case("{secret: }", "check.secret (line 1): has no value")]
#[case("{secret_file: /nope}", "check.secret_file (line 1): can't be read")]
#[case("{trust_network: maybe}", "check.trust_network (line 1): must be true or false")]
#[case("{secrets: x}", "check.secrets (line 1): is unknown")]
#[case(
    "{trust_network: true, secret: 0123456789abcdefghijklmnopqrstuv}",
    "check.trust_network (line 1): has no effect with a gateway secret"
)]
fn a_mistake_is_reported_without_the_secret(#[case] section: &str, #[case] expected: &str) {
    let found = mistakes(&format!("check: {section}"), &[]);
    assert!(found.iter().any(|mistake| mistake.starts_with(expected)), "{found:?}");
    assert!(found.iter().all(|mistake| !mistake.contains("hunter2") && !mistake.contains(SECRET)), "{found:?}");
}

#[test]
fn our_own_credentials_need_a_secret_or_a_trusted_network() {
    let key = serde_json::Value::from(new_signing_key(SigningAlgorithm::EdDsa));
    let fixed = "upstream_credential: {static: [{authorization: sk-1}]}\n".to_owned();
    let assertion = format!("upstream_credential: {{assertion: {{audience: a, keys: {key}}}}}\n");
    for (section, returned) in [(&fixed, "static credentials"), (&assertion, "identity assertions")] {
        let found = mistakes(section, &[]);
        let expected =
            format!("upstream_credential (line 1): has {returned}, which everybody who reaches the check would receive");
        assert!(found.len() == 1 && found[0].starts_with(&expected), "{found:?}");
        for enough in [format!("check: {{secret: {SECRET}}}"), "check: {trust_network: true}".to_owned()] {
            assert_eq!(mistakes(&format!("{section}{enough}"), &[]), Vec::<String>::new());
        }
        let all = mistakes(&format!("{section}replicas: 3"), &[]);
        assert_eq!(all.len(), 2, "with other mistakes: {all:?}");
    }
    assert_eq!(mistakes("upstream_credential: {default: pass, static: []}", &[]), Vec::<String>::new());
}
