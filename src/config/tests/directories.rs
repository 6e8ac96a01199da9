//! Tests of the section `providers[].directory`.

use std::time::Duration;

use rstest::rstest;

use super::{config, mistakes};
use crate::oidc::{DirectoryKind, DirectorySettings, EntraCredential, LookupCondition};

const ENTRA: &str = "https://login.microsoftonline.com/1111/v2.0";

/// The configuration of a provider with this issuer and directory.
fn oidc(issuer: &str, directory: &str) -> String {
    let scopes = "scopes: [openid, read_api]";
    format!("providers: [{{id: a, issuer: '{issuer}', client_id: x, client_secret: s, {scopes}, directory: {{{directory}}}}}]")
}

fn oauth2(host: &str, directory: &str) -> String {
    let endpoints = format!(
        "authorization_endpoint: 'https://{host}/authorize', token_endpoint: 'https://{host}/token', \
         userinfo_endpoint: 'https://{host}/user'"
    );
    format!("providers: [{{id: a, kind: oauth2, client_id: x, {endpoints}, directory: {{{directory}}}}}]")
}

fn read(text: &str) -> DirectorySettings {
    config(text, &[]).providers.remove(0).directory.expect("a directory")
}

#[test]
fn no_directory_is_the_default() {
    for directory in ["", "kind: null"] {
        assert!(config(&oidc(ENTRA, directory), &[]).providers[0].directory.is_none());
    }
}

#[test]
fn entra_id_uses_the_users_token_after_an_overage_by_default() {
    let settings = read(&oidc(ENTRA, "kind: entra_id"));
    let DirectoryKind::EntraId { when, credential } = &settings.kind else { panic!("{settings:?}") };
    assert_eq!((when, credential), (&LookupCondition::Overage, &EntraCredential::User));
    assert_eq!((settings.interval, settings.max_age), (Duration::from_secs(900), Duration::from_secs(86_400)));
    let client = "kind: entra_id, when: always, credential: client, token_endpoint: 'https://login.example/token', interval: 10s";
    let settings = read(&oidc(ENTRA, client));
    let DirectoryKind::EntraId { when, credential } = &settings.kind else { panic!("{settings:?}") };
    let token_endpoint = "https://login.example/token".parse().unwrap();
    assert_eq!((when, credential), (&LookupCondition::Always, &EntraCredential::Client { token_endpoint }));
    assert_eq!(settings.interval, Duration::from_secs(10));
}

#[rstest]
#[case::entra(oidc(ENTRA, "kind: entra_id"), "https://graph.microsoft.com/")]
#[case::entra_of_version_1(oidc("https://sts.windows.net/1111/", "kind: entra_id"), "https://graph.microsoft.com/")]
#[case::national_cloud(
    oidc("https://login.microsoftonline.us/1111/v2.0", "kind: entra_id, api_url: 'https://graph.microsoft.us'"),
    "https://graph.microsoft.us/"
)]
#[case::github(oauth2("github.com", "kind: github"), "https://api.github.com/")]
#[case::github_enterprise(
    oauth2("git.example.com", "kind: github, api_url: 'https://git.example.com/api/v3'"),
    "https://git.example.com/api/v3"
)]
#[case::gitlab(oidc("https://gitlab.com", "kind: gitlab"), "https://gitlab.com/api/v4")]
#[case::self_managed(oidc("https://gitlab.example.com:8443", "kind: gitlab"), "https://gitlab.example.com:8443/api/v4")]
#[case::with_a_path(oidc("https://example.com/gitlab/", "kind: gitlab"), "https://example.com/gitlab/api/v4")]
fn the_api_belongs_to_the_installation_that_issues_the_tokens(#[case] text: String, #[case] expected: &str) {
    assert_eq!(read(&text).api_url.as_str(), expected);
}

#[rstest]
#[case::unknown_kind(oidc(ENTRA, "kind: ldap"), "kind (line 1): must be entra_id, google, github or gitlab, not `ldap`")]
#[case::without_kind(oidc(ENTRA, "interval: 10m"), "kind (line 1): is required: `entra_id`, `google`, `github` or `gitlab`")]
#[case::short_interval(oidc(ENTRA, "kind: entra_id, interval: 9s"), "interval (line 1): must be from 10s to 30d")]
#[case::short_age(oidc(ENTRA, "kind: entra_id, interval: 2d"), "max_age (line 1): must not be shorter than `interval`")]
#[case::plain_http(
    oidc(ENTRA, "kind: entra_id, api_url: 'http://graph.example.com'"),
    "api_url (line 1): must be an https:// URL; http is accepted for loopback hosts only"
)]
#[case::query(
    oidc(ENTRA, "kind: entra_id, api_url: 'https://graph.example.com?a=b'"),
    "api_url (line 1): must not have a query (`?…`)"
)]
#[case::foreign_field(
    oidc("https://gitlab.com", "kind: gitlab, when: always"),
    "when (line 1): is only for `kind: entra_id`, whose tokens say that groups are missing; remove it"
)]
#[case::foreign_subject(oidc(ENTRA, "kind: entra_id, subject: a"), "subject (line 1): is only for `kind: google`; remove it")]
#[case::unknown_api(
    oidc("https://idp.example.com", "kind: entra_id"),
    "api_url (line 1): is required, because the API that accepts the tokens of idp.example.com is not known"
)]
#[case::unknown_github(
    oauth2("git.example.com", "kind: github"),
    "api_url (line 1): is required, because the API that accepts the tokens of git.example.com is not known"
)]
#[case::without_id_token(
    oauth2("github.com", "kind: entra_id, api_url: 'https://graph.example.com'"),
    "kind (line 1): needs an id_token, which a provider of `kind: oauth2` does not send"
)]
#[case::without_key(
    oidc("https://accounts.google.com", "kind: google"),
    "service_account_file (line 1): is required with `kind: google`"
)]
#[case::not_a_key(
    oidc("https://accounts.google.com", "kind: google, service_account: '{}'"),
    "service_account (line 1): must be the JSON key of a service account: type is missing"
)]
#[case::client_without_endpoint(
    oidc(ENTRA, "kind: entra_id, credential: client"),
    "token_endpoint (line 1): is required with `credential: client`"
)]
#[case::endpoint_without_client(
    oidc(ENTRA, "kind: entra_id, token_endpoint: 'https://a.example/'"),
    "token_endpoint (line 1): requires `credential: client`; remove it"
)]
#[case::unknown_field(
    oidc(ENTRA, "kind: entra_id, tenant: a"),
    "tenant (line 1): is unknown; remove it. Known fields: kind, api_url, when, credential, token_endpoint, service_account, service_account_file, subject, interval, max_age"
)]
fn mistakes_are_reported(#[case] text: String, #[case] expected: &str) {
    assert_eq!(mistakes(&text, &[]), [format!("providers[0].directory.{expected}")]);
}

#[test]
fn gitlab_needs_a_scope_and_a_client_its_secret() {
    let gitlab = "providers: [{id: a, issuer: 'https://gitlab.com', client_id: x, directory: {kind: gitlab}}]";
    let expected = "providers[0].directory.kind (line 1): `gitlab` needs the scope `read_api` in the provider's `scopes`";
    assert_eq!(mistakes(gitlab, &[]), [expected]);
    let client = "kind: entra_id, credential: client, token_endpoint: 'https://a.example/'";
    let entra = format!("providers: [{{id: a, issuer: '{ENTRA}', client_id: x, directory: {{{client}}}}}]");
    let expected = "providers[0].directory.credential (line 1): `client` needs `client_secret_file`";
    assert_eq!(mistakes(&entra, &[]), [expected]);
}

#[rstest]
#[case::other_type(r#"{"type": "authorized_user"}"#, "type is not service_account")]
#[case::without_address(r#"{"type": "service_account"}"#, "client_email is missing")]
#[case::without_rsa_key(
    r#"{"type": "service_account", "client_email": "a@b", "private_key": "hunter2"}"#,
    "private_key has no RSA key in PEM format"
)]
#[case::no_object("hunter2", "it is not a JSON object")]
fn a_mistake_in_a_service_account_key_is_named_without_the_key(#[case] key: &str, #[case] expected: &str) {
    let found = mistakes(&oidc("https://accounts.google.com", &format!("kind: google, service_account: '{key}'")), &[]);
    let expected = format!("must be the JSON key of a service account: {expected}");
    assert_eq!(found, [format!("providers[0].directory.service_account (line 1): {expected}")]);
}
