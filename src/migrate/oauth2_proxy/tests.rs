//! Tests that the converted documents are accepted, and let the same users sign in.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::option::{self, Form};
use super::*;
use crate::principal::Source;
use crate::role_map::RoleMap;
use crate::{config, explain};

const SECRET: &str = "not-for-the-output-4242";

fn options(flags: &[&str]) -> Options {
    let mut options = Options::default();
    options.read_flags(&flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>()).unwrap();
    options
}

/// The files to which a configuration may refer.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["client-secret", "redis-password", "redis-sentinel-password"] {
            std::fs::write(directory.path().join(name), "0123456789abcdef").unwrap();
        }
        let clock = crate::clock::SystemClock;
        std::fs::write(directory.path().join("keyring"), &*crate::secret::new_dated_key(crate::clock::Clock::now(&clock)))
            .unwrap();
        Self(directory)
    }

    fn settings(&self) -> OptionSettings {
        OptionSettings { public_url: None, directory: self.path().display().to_string() }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Converts the options, and requires that `check-config` accepts the documents.
fn accepted(options: &Options) -> (OptionConversion, RoleMap) {
    let files = Files::new();
    let conversion = convert(options, &files.settings()).unwrap();
    std::fs::write(files.path().join("roles.yaml"), conversion.role_map.document()).unwrap();
    let configuration = files.path().join("vestibule.yaml");
    std::fs::write(&configuration, conversion.configuration.document()).unwrap();
    let loaded = config::load(Some(&configuration), std::iter::empty());
    let loaded = loaded
        .unwrap_or_else(|error| panic!("{error}\n{}\n{}", conversion.configuration.document(), conversion.role_map.document()));
    let map = RoleMap::parse(&conversion.role_map.document()).unwrap();
    map.check_configured(&loaded.config.configured()).unwrap();
    (conversion, map)
}

/// True if a user with these claims gets a role.
fn may_sign_in(map: &RoleMap, provider: &str, claims: serde_json::Value) -> bool {
    let claims = crate::json::parse_object(claims.to_string().as_bytes()).unwrap();
    let identity = explain::parse_identity(claims, provider.to_owned(), Source::IdToken).unwrap();
    map.explain(&[identity]).role.is_some()
}

const BASE: [&str; 3] =
    ["--client-id=app", "--client-secret=not-for-the-output-4242", "--redirect-url=https://llm.example.com/oauth2/callback"];

#[rstest]
#[case(&["--provider=oidc", "--oidc-issuer-url=https://idp.example.com", "--email-domain=example.com"])]
#[case(&["--provider=keycloak-oidc", "--oidc-issuer-url=https://kc.example.com/realms/x", "--email-domain=*", "--allowed-role=admin", "--allowed-role=app:user"])]
#[case(&["--provider=keycloak", "--login-url=https://kc.example.com/realms/x/protocol/openid-connect/auth", "--email-domain=*", "--keycloak-group=/a"])]
#[case(&["--email-domain=*", "--google-group=a@example.com", "--google-admin-email=ada@example.com"])]
#[case(&["--provider=gitlab", "--email-domain=*", "--gitlab-group=acme"])]
#[case(&["--provider=github", "--email-domain=*", "--github-org=acme", "--github-team=red,blue", "--github-user=ada"])]
#[case(&["--provider=azure", "--azure-tenant=11111111-2222-3333-4444-555555555555", "--email-domain=*"])]
#[case(&["--provider=entra-id", "--oidc-issuer-url=https://login.microsoftonline.com/1/v2.0", "--email-domain=*", "--entra-id-allowed-tenant=1"])]
#[case(&["--provider=adfs", "--oidc-issuer-url=https://adfs.example.com/adfs", "--email-domain=*", "--oidc-groups-claim=https://example.com/groups"])]
#[case(&["--provider=oidc", "--oidc-issuer-url=https://idp.example.com", "--email-domain=*", "--skip-oidc-discovery",
    "--login-url=https://idp.example.com/a", "--redeem-url=https://idp.example.com/t", "--oidc-jwks-url=https://idp.example.com/k",
    "--profile-url=https://idp.example.com/u", "--scope=email groups", "--prompt=login", "--acr-values=a b", "--oidc-email-claim=upn",
    "--oidc-extra-audience=other", "--oidc-enabled-signing-alg=RS256,HS256", "--cookie-expire=8h", "--cookie-refresh=1h",
    "--http-address=0.0.0.0:4180", "--trusted-proxy-ip=10.0.0.0/8", "--extra-jwt-issuers=https://ci.example.com=llm",
    "--insecure-oidc-allow-unverified-email", "--provider-display-name=Corp: \"SSO\""])]
#[case(&["--provider=oidc", "--oidc-issuer-url=https://idp.example.com", "--email-domain=*", "--session-store-type=redis",
    "--redis-connection-url=rediss://u:not-for-the-output-4242@redis.example.com/2"])]
#[case(&["--provider=oidc", "--oidc-issuer-url=https://idp.example.com", "--email-domain=*", "--session-store-type=redis",
    "--redis-use-sentinel", "--redis-sentinel-master-name=m", "--redis-sentinel-connection-urls=redis://a:1,redis://b:2", "--redis-password=not-for-the-output-4242"])]
#[case(&["--provider=oidc", "--oidc-issuer-url=https://idp.example.com", "--email-domain=*", "--session-store-type=redis",
    "--redis-use-cluster", "--redis-cluster-connection-urls=redis://a,redis://b:7000"])]
#[case(&["--provider=oidc", "--oidc-issuer-url=https://idp.example.com", "--email-domain=*", "--skip-auth-route=GET=^/metrics$",
    "--skip-auth-regex=^/static/", "--skip-auth-preflight"])]
fn converted_documents_are_accepted(#[case] flags: &[&str]) {
    let (conversion, _) = accepted(&options(&[&BASE[..], flags].concat()));
    let all = conversion.configuration.document() + &conversion.role_map.document() + &conversion.remarks.join("\n");
    assert!(!all.contains(SECRET), "{all}");
}

fn oidc(flags: &[&str]) -> RoleMap {
    accepted(&options(&[&BASE[..], &["--provider=oidc", "--oidc-issuer-url=https://idp.example.com"], flags].concat())).1
}

#[test]
fn a_domain_admits_verified_addresses_only() {
    let map = oidc(&["--email-domain=example.com,.sub.example.org"]);
    let admits = |email: &str, verified: bool| may_sign_in(&map, "sso", json!({"email": email, "email_verified": verified}));
    assert!(admits("ada@Example.com", true) && admits("ada@a.sub.example.org", true));
    assert!(!admits("ada@example.com", false) && !admits("ada@sub.example.org", true) && !admits("ada@notexample.com", true));
    assert!(!admits("ada@example.com.evil.org", true));
    let unverified = oidc(&["--email-domain=example.com", "--insecure-oidc-allow-unverified-email"]);
    assert!(may_sign_in(&unverified, "sso", json!({"email": "ada@example.com"})));
}

#[test]
fn groups_and_domains_are_both_required() {
    let map = oidc(&["--email-domain=example.com", "--allowed-group=a*", "--allowed-group=b"]);
    let admits =
        |group: &str, email: &str| may_sign_in(&map, "sso", json!({"groups": [group], "email": email, "email_verified": true}));
    assert!(admits("a*", "ada@example.com") && admits("b", "ada@example.com"));
    assert!(!admits("ab", "ada@example.com") && !admits("b", "ada@example.org"));
}

#[test]
fn groups_of_google_come_from_its_directory() {
    let flags = [
        "--email-domain=*",
        "--google-group=llm@example.com",
        "--google-admin-email=ada@example.com",
        "--google-service-account-json=/x.json",
    ];
    let conversion = convert(&options(&[&BASE[..], &flags].concat()), &Files::new().settings()).unwrap();
    let configuration = conversion.configuration.document();
    assert!(configuration.contains("service_account_file: /x.json\n      subject: \"ada@example.com\""), "{configuration}");
    let map = RoleMap::parse(&conversion.role_map.document()).unwrap();
    assert!(may_sign_in(&map, "google", json!({"id_token": {}, "directory": {"groups": ["llm@example.com"]}})));
    assert!(!may_sign_in(&map, "google", json!({"id_token": {"groups": ["llm@example.com"]}})));
}

#[test]
fn every_account_may_sign_in_if_oauth2_proxy_admits_it() {
    assert!(may_sign_in(&oidc(&["--email-domain=*"]), "sso", json!({"sub": "1"})));
}

#[rstest]
#[case(&["--authenticated-emails-file=/etc/emails"])]
#[case(&["--email-domain=*", "--bitbucket-team=x"])]
#[case(&[])]
fn nobody_may_sign_in_if_no_rule_can_express_who(#[case] flags: &[&str]) {
    let claims = json!({"sub": "1", "email": "ada@example.com", "email_verified": true, "groups": ["x"]});
    assert!(!may_sign_in(&oidc(flags), "sso", claims));
}

#[rstest]
#[case(&["--email-domain=*", "--github-repo=acme/x"], json!({"userinfo": {"login": "ada"}}), false)]
#[case(&["--email-domain=example.com"], json!({"userinfo": {"email": "ada@example.com"}}), false)]
#[case(&["--email-domain=*", "--github-org=Acme"], json!({"userinfo": {"login": "a"}, "directory": {"organizations": ["acme"]}}), true)]
#[case(&["--email-domain=*", "--github-org=acme", "--github-team=red"], json!({"userinfo": {"login": "a"}, "directory": {"organizations": ["acme"], "teams": ["acme/blue"]}}), false)]
#[case(&["--email-domain=*", "--github-org=acme", "--github-user=ada"], json!({"userinfo": {"login": "ada"}}), true)]
fn github_restricts_users(#[case] flags: &[&str], #[case] claims: serde_json::Value, #[case] expected: bool) {
    let (_, map) = accepted(&options(&[&BASE[..], &["--provider=github"], flags].concat()));
    assert_eq!(may_sign_in(&map, "github", claims), expected);
}

#[test]
fn sources_are_read_in_their_order() {
    let mut options = Options::default();
    options
        .read_config(
            "client_id = \"file\"\nemail_domains = [\"a.com\", \"b.com\"]\nCOOKIE_SECURE = true\npass_access_token = false\n",
        )
        .unwrap();
    let variables = [
        ("OAUTH2_PROXY_CLIENT_ID", "variable"),
        ("OAUTH2_PROXY_ALLOWED_GROUPS", "x,y"),
        ("OAUTH2_PROXY_PORT_4180_TCP", "tcp://x"),
        ("HOME", "/"),
    ];
    options.read_variables(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).unwrap();
    assert_eq!(options.text("client-id"), Some("variable"));
    options.read_flags(&["--client-id".to_owned(), "flag".to_owned(), "--reverse-proxy".to_owned()]).unwrap();
    assert_eq!((options.text("client-id"), options.list("email-domain").len()), (Some("flag"), 2));
    assert_eq!(options.list("allowed-group"), ["x", "y"]);
    assert!(options.is_on("reverse-proxy") && options.is_on("cookie-secure"));
    let remarks = without_counterpart(&options);
    assert!(
        remarks.iter().any(|remark| remark.starts_with("cookie-secure"))
            && !remarks.iter().any(|remark| remark.starts_with("pass-access"))
    );
}

#[rstest]
#[case("- --provider=oidc\n- \"--email-domain=*\"\n")]
#[case("[\"--provider=oidc\", \"--email-domain=*\"]")]
#[case("# flags\n--provider=oidc\n--email-domain=*\n")]
fn flags_are_read_from_a_file(#[case] text: &str) {
    let flags = flags_of_text(text).unwrap();
    assert!(flags.iter().any(|flag| flag.ends_with("--provider=oidc")), "{flags:?}");
}

#[rstest]
#[case("client_secret = \"not-for-the-output-4242\" x", "line 1: is not valid TOML")]
#[case("provider = \"oidc\"\nunknown_option = 1", "`unknown_option`: not an option")]
#[case("[section]\nx = 1", "`section`: not an option")]
fn other_files_are_mistakes(#[case] text: &str, #[case] expected: &str) {
    let error = Options::default().read_config(text).unwrap_err();
    assert!(error.contains(expected) && !error.contains(SECRET), "{error}");
}

#[rstest]
#[case(&["--provider=oidc"], "oidc-issuer-url: is missing")]
#[case(&["--provider=azure", "--azure-tenant=common"], "needs the id of a tenant")]
#[case(&["--provider=linkedin"], "`linkedin` has no conversion")]
#[case(&["--redirect-url=/x"], "redirect-url: is not an http or https URL")]
fn options_without_a_conversion_are_mistakes(#[case] flags: &[&str], #[case] expected: &str) {
    let mistakes = convert(&options(&[&BASE[..], flags].concat()), &Files::new().settings()).unwrap_err();
    assert!(mistakes.join("\n").contains(expected), "{mistakes:?}");
}

#[test]
fn an_alpha_configuration_is_read() {
    let mut options = options(&["--redirect-url=https://llm.example.com/oauth2/callback", "--email-domain=*"]);
    let text = "
providers:
  - id: corp
    provider: oidc
    clientID: app
    clientSecret: not-for-the-output-4242
    allowedGroups: [a, b]
    loginURLParameters: [{name: prompt, default: [login]}, {name: login_hint, allow: [{value: x}]}]
    oidcConfig: {issuerURL: https://idp.example.com, groupsClaim: roles}
upstreamConfig: {upstreams: [{id: x, path: /, uri: http://x}]}
injectRequestHeaders: []
";
    options.read_alpha(text).unwrap();
    let (conversion, map) = accepted(&options);
    assert!(may_sign_in(&map, "sso", json!({"roles": ["b"]})) && !may_sign_in(&map, "sso", json!({"roles": ["c"]})));
    let all = conversion.remarks.join("\n") + &conversion.configuration.document();
    assert!(all.contains("upstreamConfig is not converted") && all.contains("prompt: login") && !all.contains(SECRET), "{all}");
    assert!(Options::default().read_alpha("providers: [{unknown: x}]").unwrap_err().contains("`unknown`"));
}

/// Options of text, list and switch with any value.
fn any_options() -> impl Strategy<Value = BTreeMap<&'static str, String>> {
    let flags: Vec<_> = option::all().map(|entry| entry.flag).collect();
    let value = prop_oneof![any::<String>(), "[ -~]{0,12}", Just("true".to_owned()), "https?://[a-z.]{1,9}/[ -~]{0,5}"];
    prop::collection::btree_map(proptest::sample::select(flags), value, 0..12)
}

proptest! {
    #[test]
    fn no_value_breaks_the_documents(given in any_options(), provider in proptest::sample::select(vec!["oidc", "github", "google", "gitlab"])) {
        let mut flags: Vec<_> = BASE.iter().map(|flag| (*flag).to_owned()).collect();
        flags.push(format!("--provider={provider}"));
        flags.push("--oidc-issuer-url=https://idp.example.com".to_owned());
        flags.extend(given.iter().filter(|(flag, _)| **flag != "provider").map(|(flag, value)| format!("--{flag}={value}")));
        let secrets = option::all().filter(|entry| entry.form == Form::Single && (entry.flag.ends_with("secret") || entry.flag.ends_with("password")));
        flags.extend(secrets.map(|entry| format!("--{}={SECRET}", entry.flag)));
        let mut options = Options::default();
        options.read_flags(&flags).unwrap();
        let settings = OptionSettings { public_url: Some("https://llm.example.com".to_owned()), directory: "/etc/vestibule".to_owned() };
        let Ok(conversion) = convert(&options, &settings) else { return Ok(()) };
        for document in [conversion.configuration.document(), conversion.role_map.document()] {
            let parsed = crate::yaml::parse(&document, crate::yaml::Subset::Plain);
            prop_assert!(parsed.mistakes.is_empty(), "{document}\n{:?}", parsed.mistakes);
            prop_assert!(!document.contains(SECRET));
        }
        prop_assert!(!conversion.remarks.join("\n").contains(SECRET));
    }
}
