//! Checks that no mistake, warning or `Debug` output repeats a secret.

use rstest::rstest;

use super::{KEY, parsed};

const SECRET: &str = "hunter2-very-secret";

/// Returns all printable forms of the result.
fn printed(text: &str, env: &[(&str, &str)]) -> String {
    match parsed(text, env) {
        Ok(loaded) => format!("{loaded:?} {loaded:#?}"),
        Err(mistakes) => format!("{mistakes} {mistakes:?}"),
    }
}

fn provider(fields: &str) -> String {
    format!("providers:\n  - id: a\n    issuer: https://a.example\n    client_id: x\n{fields}")
}

#[rstest]
#[case::good("    client_secret: hunter2-very-secret")]
#[case::beside_a_mistake("    client_secret: hunter2-very-secret\n    logout: never")]
#[case::twice("    client_secret: hunter2-very-secret\n    client_secret: hunter2-very-secret")]
#[case::and_a_file("    client_secret: hunter2-very-secret\n    client_secret_file: /nope")]
#[case::in_a_map("    client_secret: {value: hunter2-very-secret}")]
#[case::in_a_list("    client_secret: [hunter2-very-secret]")]
#[case::with_a_tag("    client_secret: !hunter2-very-secret x")]
#[case::as_an_alias("    client_secret: *hunter2-very-secret")]
#[case::as_an_anchor("    client_secret: &hunter2-very-secret x")]
#[case::in_quotes_never_closed("    client_secret: \"hunter2-very-secret")]
#[case::with_control_characters("    client_secret: \"hunter2-very-secret\\n\\e\"")]
#[case::beginning_badly("    client_secret: @hunter2-very-secret")]
#[case::misspelt("    client_secert: hunter2-very-secret")]
#[case::never_sent("    client_secret: hunter2-very-secret\n    token_endpoint_auth_method: none")]
#[case::in_the_place_of_a_path("    client_secret_file: hunter2-very-secret")]
#[case::in_an_endpoint("    userinfo_endpoint: https://u:hunter2-very-secret@a.example/")]
#[case::in_a_parameter("    authorization_params: {client_secret: hunter2-very-secret}")]
fn a_providers_secret_is_not_echoed(#[case] fields: &str) {
    assert!(!printed(&provider(fields), &[]).contains("hunter2"));
}

#[rstest]
#[case("store: {url: 'redis://:hunter2-very-secret@redis'}")]
#[case("store: {url: 'redis://user:hunter2-very-secret@redis:6379/x'}")]
#[case("store: {url: 'hunter2-very-secret'}")]
#[case("store: {password: hunter2-very-secret}")]
#[case("store: {url: 'redis://redis', password: hunter2-very-secret, sentinel_password: hunter2-very-secret}")]
#[case("public_url: https://user:hunter2-very-secret@llm.example.com")]
#[case("public_url: http://user:hunter2-very-secret@llm.example.com")]
#[case("http_proxy: http://user:hunter2-very-secret@proxy.example.com:3128")]
#[case("http_proxy: http://proxy.example.com:3128\nhttp_proxy_credentials: user:hunter2-very-secret")]
#[case("http_proxy: http://proxy.example.com:3128\nhttp_proxy_credentials: hunter2-very-secret")]
#[case("http_proxy_credentials: user:hunter2-very-secret")]
#[case("http_proxy: user:hunter2-very-secret@proxy.example.com:3128")]
#[case("providers: [{http_proxy: 'http://hunter2-very-secret@proxy'}]")]
#[case("providers: [{directory: {kind: google, service_account: hunter2-very-secret}}]")]
#[case(
    "providers: [{directory: {kind: google, service_account: '{\"type\": \"service_account\", \"client_email\": \"a@b\", \"private_key\": \"hunter2-very-secret\"}'}}]"
)]
#[case("key_ring: hunter2-very-secret")]
#[case("key_ring: |\n  hunter2-very-secret\n  hunter2-very-secret")]
#[case("key_ring: [hunter2-very-secret]")]
#[case("providers: [{issuer: 'https://user:hunter2-very-secret@a.example'}]")]
fn a_secret_elsewhere_is_not_echoed(#[case] text: &str) {
    assert!(!printed(text, &[]).contains("hunter2"));
}

#[test]
fn keys_of_a_key_ring_are_not_echoed() {
    let twice = format!("key_ring: |\n  {KEY}\n  {KEY}\n");
    let good = format!("key_ring: {KEY}\nstore: {{url: 'redis://redis', password: {SECRET}}}");
    for text in [&twice, &good] {
        let printed = printed(text, &[]);
        assert!(!printed.contains("AAAA") && !printed.contains("hunter2"), "{printed}");
    }
}

#[rstest]
#[case("VESTIBULE__KEY_RING")]
#[case("VESTIBULE__STORE__PASSWORD")]
#[case("VESTIBULE__STORE__PASSWORD_FILE")]
#[case("VESTIBULE__STORE__SENTINEL_PASSWORD")]
#[case("VESTIBULE__STORE__URL")]
#[case("VESTIBULE__PROVIDERS__0__CLIENT_SECRET")]
#[case("VESTIBULE__PROVIDERS__0__CLIENT_SECRET_FILE")]
#[case("VESTIBULE__PROVIDERS__0__CLIENT_SECRET__VALUE")]
#[case("VESTIBULE__PROVIDERS__CORP__CLIENT_SECRET")]
#[case("VESTIBULE__PROVIDERS__7__CLIENT_SECRET")]
#[case("VESTIBULE__PROVIDER__CLIENT_SECRET")]
#[case("VESTIBULE__PROVIDERS")]
#[case("VESTIBULE__")]
#[case("VESTIBULE__store__password")]
#[case("VESTIBULE_STORE_PASSWORD")]
#[case("GENERIC_CLIENT_SECRET")]
fn a_variables_secret_is_not_echoed(#[case] variable: &str) {
    for value in [SECRET, "[{client_secret: hunter2-very-secret, x: y", "@hunter2-very-secret"] {
        let printed = printed("", &[(variable, value)]);
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}

#[test]
fn the_content_of_a_secret_file_is_not_echoed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    for content in ["hunter2-very-secret", "hunter2-very-secret\nhunter2-very-secret", "hunter2\u{1b}"] {
        std::fs::write(&file, content).unwrap();
        for field in ["key_ring_file: ", "store:\n  url: redis://r\n  password_file: "] {
            let printed = printed(&format!("{field}{}", file.display()), &[]);
            assert!(!printed.contains("hunter2"), "{printed}");
        }
    }
}
