//! The command line, run like an operator does.

mod migrate;
mod role_map;

use std::process::{Command, Output};

use vestibule::secret::RingKeys;

use crate::support::agent::Agent;
use crate::support::auth_request::GATEWAY_SECRET;
use crate::support::pod::{Pod, PodOptions};
use crate::support::scratch::Scratch;

/// Runs the binary without the environment of the developer, which could configure it.
pub fn vestibule(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vestibule")).args(arguments).env_clear().output().expect("the binary was built")
}

fn check_config(yaml: &str) -> Output {
    let scratch = Scratch::new("cli");
    let file = scratch.write("vestibule.yaml", yaml);
    vestibule(&["check-config", "--config", &file.to_string_lossy()])
}

#[test]
fn a_new_key_is_valid_in_a_key_ring() {
    let (first, second) = (vestibule(&["key-ring", "new"]), vestibule(&["key-ring", "new"]));
    assert!(first.status.success() && first.stdout != second.stdout);
    let text = String::from_utf8([first.stdout, second.stdout].concat()).unwrap();
    assert_eq!(text.lines().count(), 4, "each with its date");
    let ring = RingKeys::parse(&text).expect("both are keys");
    assert!(ring.created().is_some());
}

#[test]
fn a_valid_configuration_is_reported_as_valid() {
    let output = check_config("public_url: https://llm.example.com\n");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "the configuration is valid\n");
}

const WITHOUT_PROXIES: &str = "trusted_proxies: is not set, so there are no limits per client address";

#[test]
fn a_public_host_without_trusted_proxies_is_a_warning_of_a_valid_configuration() {
    let stderr_of = |yaml: &str| {
        let output = check_config(yaml);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    let warned = stderr_of("public_url: https://llm.example.com\n");
    assert!(warned.starts_with(&format!("warning: {WITHOUT_PROXIES}")) && warned.lines().count() == 1, "{warned}");
    assert_eq!(stderr_of("public_url: https://llm.example.com\ntrusted_proxies: [10.0.0.0/8]\n"), "");
    assert_eq!(stderr_of("public_url: http://localhost:4180\n"), "");
}

#[test]
fn a_static_credential_without_access_rules_is_a_warning_that_names_both() {
    let scratch = Scratch::new("cli");
    let access = "access: [{paths: [/**]}]\n";
    for (file, rules, is_warned) in [("open.yaml", "", true), ("limited.yaml", access, false)] {
        let map = scratch.write(file, &format!("version: 1\ndefault_role: internal_user\n{rules}"));
        let yaml = format!(
            "public_url: http://localhost:4180\nrole_map: {{file: {}}}\ncheck: {{secret: {GATEWAY_SECRET}}}\n\
             upstream_credential: {{default: litellm, static: [{{name: litellm, authorization: Bearer sk-hunter2}}]}}\n",
            map.display()
        );
        let output = check_config(&yaml);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        let warning = "warning: upstream_credential.static (litellm): the role map has no `access` rules";
        assert_eq!(stderr.contains(warning), is_warned, "{file}: {stderr}");
        assert!(stderr.lines().count() == usize::from(is_warned) && !stderr.contains("hunter2"), "{file}: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_logs_that_trusted_proxies_are_missing() {
    let is_warned = async |further: &str| {
        let public_url = "https://llm.example.com".to_owned();
        let pod = Pod::start(PodOptions { public_url, further: further.to_owned(), ..PodOptions::new() }).await;
        pod.log().lines().any(|line| line.contains("configuration warning") && line.contains(WITHOUT_PROXIES))
    };
    assert!(is_warned("").await);
    assert!(!is_warned("trusted_proxies: [10.0.0.0/8]\n").await);
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_places_and_without_secrets() {
    let yaml =
        "public_url: http://llm.example.com\nreplicas: 3\nproviders:\n  - id: a\n    isuer: x\n    client_secret: hunter2\n";
    let output = check_config(yaml);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for part in ["public_url (line 1)", "replicas (line 2)", "providers[0].isuer (line 5)"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert!(!stderr.contains("hunter2"), "{stderr}");
}

#[test]
fn mistakes_in_referenced_files_are_reported_with_all_others() {
    let scratch = Scratch::new("cli");
    let map =
        scratch.write("roles.yaml", "{version: 1, rules: [{claim: a, match: b, role: king}, {claim: '', match: b, role: team}]}");
    let ring = scratch.write("ring", "hunter2");
    let ca = scratch.write("ca.pem", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n");
    let output = check_config(&format!(
        "replicas: many\nrole_map: {{file: {}}}\nkey_ring_file: {}\nstore: {{url: 'rediss://a', ca_file: {}}}\nlog: {{level: 'foo=nolevel'}}\n",
        map.display(),
        ring.display(),
        ca.display()
    ));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let wanted = [
        "replicas (line 1): ",
        "role_map.file (line 2): rules[0].role (line 1): role `king`",
        "role_map.file (line 2): rules[1].claim (line 1): ",
        "key_ring_file (line 3): ",
        "store.ca_file (line 4): ",
        "log.level (line 5): ",
    ];
    for part in wanted {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert!(stderr.lines().count() == wanted.len() && !stderr.contains("hunter2"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_request_id_is_kept_and_logged() {
    let pod = Pod::start(PodOptions::new()).await;
    let agent = Agent::new();
    let refused = pod.public("/sso/login?rd=//evil.example.com");
    let page = agent.get_with(&refused, &[("x-request-id", "0a1b2c3d4e5f6071")]).await;
    assert_eq!((page.status, page.header("x-request-id")), (400, Some("0a1b2c3d4e5f6071")));
    assert!(page.body.contains("0a1b2c3d4e5f6071"));
    let page = agent.get_with(&refused, &[("x-request-id", "no\"t sane")]).await;
    assert!(page.header("x-request-id").is_some_and(|id| id != "no\"t sane" && id.len() >= 8));
    let log = pod.log();
    assert!(log.contains("login refused") && log.contains("0a1b2c3d4e5f6071"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_logged_with_its_request_id_at_level_warn_too() {
    let pod = Pod::start(PodOptions { further: "log: {level: warn}\n".to_owned(), ..PodOptions::new() }).await;
    let (agent, check) = (Agent::new(), format!("http://127.0.0.1:{}/auth/nginx", pod.check_port()));
    let refusals = [
        (pod.public("/sso/login?rd=//evil.example.com"), "login refused", 400),
        (pod.public("/sso/login?provider=nobody"), "login refused", 404),
        (pod.public("/sso/callback?state=a&state=b"), "request refused", 400),
        (check, "malformed auth request", 403),
    ];
    for (number, (address, event, status)) in refusals.into_iter().enumerate() {
        let id = format!("refusal-number-{number}");
        assert_eq!(agent.get_with(&address, &[("x-request-id", &id)]).await.status, status, "{address}");
        let log = pod.log();
        assert!(
            log.lines().any(|line| line.contains(event) && line.contains(&id) && line.contains("reason=")),
            "{address}: {log}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_and_page_explain_what_to_configure_if_no_user_can_sign_in() {
    let options = PodOptions { further: "local_accounts: {enabled: false}\n".to_owned(), ..PodOptions::new() };
    let pod = Pod::start(options).await;
    let page = Agent::new().get(&pod.public("/sso/login")).await;
    assert_eq!(page.status, 200);
    let log = pod.log();
    for sentence in ["No identity provider is configured.", "kept in this process", "No role map is configured", "/auth/nginx"] {
        assert!(page.body.contains(sentence), "{sentence}: {}", page.body);
    }
    let summary = log.lines().find(|line| line.contains("configuration summary")).expect("a line in the log");
    for field in ["local_accounts=false", r#"store="memory""#, r#"role_map="built_in""#, "check=127.0.0.1:"] {
        assert!(summary.contains(field), "{field}: {summary}");
    }
    assert!(!summary.contains("providers="), "{summary}");
    assert!(page.body.contains("client_secret_file") && page.body.contains("check-config"), "{}", page.body);
    assert!(log.contains("no sign-in method configured; set providers or local_accounts"), "{log}");
}
