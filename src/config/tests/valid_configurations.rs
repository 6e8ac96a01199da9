//! Tests of valid configurations.

use std::path::Path;
use std::time::Duration;

use crate::api_keys::app_requests::{AllowedOrigins, RedirectPolicy};
use crate::origin::PublicUrl;
use crate::principal::{ClaimPath, EmailTrust, ProfileClaims};
use crate::principal_cache::CacheSettings;

use super::{CERTIFICATE, KEY, config, mistakes, parsed};
use crate::config::{LoadError, LogFormat, RoleMapSource, StoreConfig, load};
use crate::jwt::Algorithm;
use crate::kubernetes::ConfigMapSource;
use crate::oidc::{
    AuthMethod, ManualEndpoints, OAuth2Settings, OpenIdConnectSettings, ProtocolSettings, ProviderSettings, RpLogout,
    UserInfoPolicy,
};
use crate::store::{RedisSettings, Topology};
use crate::users::{LinkAttribute, LinkClaim};

const HOUR: Duration = Duration::from_secs(3600);

fn redis(text: &str, env: &[(&str, &str)]) -> RedisSettings {
    match config(&format!("key_ring: {KEY}\n{text}"), env).store {
        StoreConfig::Redis(redis) => redis,
        StoreConfig::Memory => panic!("the store is memory"),
    }
}

#[test]
fn a_directory_has_a_link_and_its_provider_keeps_the_claim() {
    let read = |link: &str| {
        let provider = "providers:\n  - {id: corp, issuer: https://idp.example.com, client_id: vestibule}\n";
        let token = "0123456789abcdefghijklmnopqrstuv";
        config(&format!("{provider}scim: {{provider: corp, token: {token}{link}}}"), &[])
    };
    assert!(config("", &[]).scim.is_none());
    for (link, attribute, claim) in [
        ("", LinkAttribute::ExternalId, LinkClaim::Subject),
        (", link: {attribute: userName, claim: email}", LinkAttribute::UserName, LinkClaim::VerifiedEmail),
        (", link: {claim: oid}", LinkAttribute::ExternalId, LinkClaim::Other(ClaimPath::parse("oid").unwrap())),
    ] {
        let config = read(link);
        let provisioning = &config.scim.as_ref().unwrap().provisioning;
        assert_eq!((provisioning.attribute, &provisioning.claim), (attribute, &claim));
        assert_eq!((provisioning.provider.as_str(), provisioning.issuer.as_str()), ("corp", "https://idp.example.com"));
        assert_eq!(config.providers[0].link_claim, Some(claim));
        assert_eq!(config.configured().provisioned_providers, Some(vec!["corp".to_owned()]));
    }
}

fn open_id_connect(provider: &ProviderSettings) -> &OpenIdConnectSettings {
    match &provider.protocol {
        ProtocolSettings::OpenIdConnect(protocol) => protocol,
        ProtocolSettings::OAuth2(_) => panic!("the provider is of kind oauth2"),
    }
}

fn oauth2(provider: &ProviderSettings) -> &OAuth2Settings {
    match &provider.protocol {
        ProtocolSettings::OAuth2(protocol) => protocol,
        ProtocolSettings::OpenIdConnect(_) => panic!("the provider is of kind oidc"),
    }
}

#[test]
fn an_empty_configuration_is_valid() {
    let loaded = load(None, std::iter::empty()).unwrap();
    let config = loaded.config;
    assert!(loaded.warnings.is_empty());
    assert_eq!(config.public_url.origin(), "http://127.0.0.1:4180");
    assert_eq!(config.listen.public.to_string(), "127.0.0.1:4180");
    assert_eq!(config.listen.check.to_string(), "127.0.0.1:4181");
    assert_eq!(config.listen.admin.to_string(), "127.0.0.1:4182");
    assert_eq!(config.replicas, 1);
    assert!(config.connections.workers >= 1);
    assert!(config.trusted_proxies.is_empty() && config.providers.is_empty());
    assert!(matches!(config.store, StoreConfig::Memory));
    assert!(config.key_ring.is_none() && config.role_map == RoleMapSource::BuiltIn);
    assert_eq!((config.sessions.idle, config.sessions.absolute), (12 * HOUR, 7 * 24 * HOUR));
    let keys = &config.keys;
    assert_eq!((keys.max_per_user, keys.default_duration, keys.max_duration), (100, 90 * 24 * HOUR, 365 * 24 * HOUR));
    assert_eq!((keys.overlap_max, keys.claims_max_age, keys.sign_in_within), (7 * 24 * HOUR, 30 * 24 * HOUR, HOUR));
    assert_eq!(config.admin_roles, [crate::principal::Role::new("proxy_admin")]);
    assert_eq!(config.cache, CacheSettings { revocation_grace: Duration::from_secs(60), entries: 100_000 });
    assert_eq!((config.log.format, config.log.level.as_str()), (LogFormat::Text, "info"));
    assert_eq!((config.shutdown.delay, config.shutdown.deadline), (Duration::from_secs(5), Duration::from_secs(30)));
}

#[test]
fn the_hosts_of_public_url_and_origins_are_protected() {
    let config =
        config("public_url: https://llm.example.com\norigins: [https://chat.example.com:8443, https://localhost:1]", &[]);
    let origins: Vec<_> = config.origins.iter().map(PublicUrl::origin).collect();
    assert_eq!(origins, ["https://chat.example.com:8443", "https://localhost:1"]);
    for (host, protected) in [
        ("llm.example.com", true),
        ("Chat.Example.com", true),
        ("localhost", true),
        ("127.0.0.1", false),
        ("example.com", false),
        ("docs.example.com", false),
    ] {
        assert_eq!(config.protected_hosts.contains(host), protected, "{host}");
    }
}

#[test]
fn without_public_url_every_name_of_the_loopback_interface_is_protected() {
    let default = config("", &[]).protected_hosts;
    assert!(["localhost", "127.0.0.1", "[::1]"].iter().all(|host| default.contains(host)));
    assert!(!default.contains("llm.example.com") && !default.contains("127.0.0.2"));
    let given = config("public_url: http://127.0.0.1:4180", &[]).protected_hosts;
    assert!(given.contains("127.0.0.1") && !given.contains("localhost") && !given.contains("[::1]"));
}

#[test]
fn a_minimal_provider_has_safe_defaults() {
    let config = config("providers: [{id: corp, issuer: 'https://idp.example.com', client_id: vestibule}]", &[]);
    let provider = &config.providers[0];
    assert_eq!(provider.name, "corp");
    assert_eq!(provider.token_endpoint_auth_method, AuthMethod::Auto);
    assert_eq!(provider.scopes, ["openid", "profile", "email"]);
    let algorithms = [Algorithm::RS256, Algorithm::ES256, Algorithm::PS256, Algorithm::EdDSA];
    let protocol = open_id_connect(provider);
    assert_eq!(protocol.algorithms, algorithms);
    assert!(provider.client_secret.is_none() && protocol.endpoints.is_none() && provider.ca_file.is_none());
    assert!(protocol.userinfo_endpoint.is_none() && protocol.end_session_endpoint.is_none());
    assert!(protocol.trusted_audiences.is_empty() && protocol.userinfo == UserInfoPolicy::Optional);
    assert_eq!(provider.profile, ProfileClaims::standard(EmailTrust::WhenVerified));
    assert!(provider.authorization_params.is_empty());
    assert_eq!((protocol.logout, provider.max_claims), (RpLogout::Hint, 64 << 10));
    assert_eq!((provider.max_claims_age, provider.refresh), (None, None));
}

#[test]
fn every_field_of_a_provider_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, format!("# ours\n{CERTIFICATE}")).unwrap();
    let text = format!(
        "
providers:
  - id: corp-2
    kind: oidc
    name: Corp SSO
    issuer: https://IDP.example.com/realms/a/
    client_id: vestibule
    client_secret: hunter2
    token_endpoint_auth_method: client_secret_post
    scopes: [openid, groups]
    algorithms: [PS512, ES384]
    authorization_endpoint: https://idp.example.com/auth?p=policy
    token_endpoint: https://idp.example.com/token
    jwks_uri: https://idp.example.com/jwks
    userinfo_endpoint: https://idp.example.com/userinfo
    end_session_endpoint: https://idp.example.com/logout
    end_session_parameters: {{logout_uri: https://llm.example.com/sso/logout}}
    trusted_audiences: ['2807']
    userinfo: required
    claims: {{email: upn, preferred_username: account.name}}
    trust_email: true
    ca_file: {}
    logout: id_token_hint
    max_claims: 128KiB
    max_claims_age: 15m
    refresh: {{interval: 10s, token: offline}}
    authorization_params: {{prompt: select_account, hd: example.com}}
",
        ca.display()
    );
    let provider = config(&text, &[]).providers.remove(0);
    assert_eq!((provider.id.as_str(), provider.name.as_str()), ("corp-2", "Corp SSO"));
    let protocol = open_id_connect(&provider);
    assert_eq!(protocol.issuer, "https://IDP.example.com/realms/a/", "issuers are compared letter by letter");
    assert_eq!(provider.client_secret.as_ref().unwrap().expose_initial(), "hunter2");
    assert_eq!(provider.token_endpoint_auth_method, AuthMethod::ClientSecretPost);
    assert_eq!(provider.scopes, ["openid", "groups"]);
    assert_eq!(protocol.algorithms, [Algorithm::PS512, Algorithm::ES384]);
    let endpoints = ManualEndpoints {
        authorization: "https://idp.example.com/auth?p=policy".parse().unwrap(),
        token: "https://idp.example.com/token".parse().unwrap(),
        jwks: "https://idp.example.com/jwks".parse().unwrap(),
    };
    assert_eq!(protocol.endpoints, Some(endpoints));
    assert_eq!(protocol.end_session_parameters, [("logout_uri".to_owned(), "https://llm.example.com/sso/logout".to_owned())]);
    assert_eq!(protocol.userinfo_endpoint.as_ref().unwrap().path(), "/userinfo");
    assert_eq!(protocol.end_session_endpoint.as_ref().unwrap().path(), "/logout");
    assert_eq!((protocol.trusted_audiences.as_slice(), protocol.userinfo), (&["2807".to_owned()][..], UserInfoPolicy::Required));
    let (email, preferred_username) = (path("upn"), path("account.name"));
    assert_eq!(provider.profile, ProfileClaims { email, preferred_username, email_trust: EmailTrust::Always });
    assert_eq!(provider.ca_file, Some(ca));
    assert_eq!((protocol.logout, provider.max_claims), (RpLogout::IdTokenHint, 128 << 10));
    assert_eq!(provider.max_claims_age, Some(Duration::from_secs(900)));
    assert_eq!(provider.refresh.map(|refresh| (refresh.interval, refresh.max_age)), Some((HOUR / 360, HOUR * 24)));
    let params = [("prompt", "select_account"), ("hd", "example.com")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(provider.authorization_params, params);
}

#[test]
fn a_minimal_provider_without_openid_connect_has_safe_defaults() {
    let endpoints = "authorization_endpoint: https://h.example/a, token_endpoint: https://h.example/t, userinfo_endpoint: https://h.example/u";
    let config = config(&format!("providers: [{{id: hub, kind: oauth2, client_id: x, {endpoints}}}]"), &[]);
    let provider = &config.providers[0];
    assert!(provider.scopes.is_empty(), "{:?}", provider.scopes);
    assert!(provider.profile.email_trust == EmailTrust::WhenVerified && provider.client_secret.is_none());
    assert_eq!((provider.issuer(), provider.token_endpoint_auth_method), ("hub", AuthMethod::Auto));
    let protocol = oauth2(provider);
    assert_eq!(protocol.subject_field, path("sub"));
    assert_eq!(protocol.email_field, path("email"));
    assert_eq!(protocol.preferred_username_field, path("preferred_username"));
}

#[test]
fn every_field_of_a_provider_without_openid_connect_is_read() {
    let text = "
providers:
  - id: github
    kind: oauth2
    client_id: vestibule
    client_secret: hunter2
    token_endpoint_auth_method: client_secret_post
    scopes: [read:user]
    authorization_endpoint: https://github.example/login/oauth/authorize
    token_endpoint: https://github.example/login/oauth/access_token
    userinfo_endpoint: https://api.github.example/user
    subject_field: id
    email_field: contact.mail
    preferred_username_field: login
    trust_email: true
    max_claims: 128KiB
    authorization_params: {allow_signup: 'false'}
";
    let config = config(text, &[]);
    let provider = &config.providers[0];
    assert_eq!((provider.scopes.as_slice(), provider.profile.email_trust), (&["read:user".to_owned()][..], EmailTrust::Always));
    assert_eq!((provider.token_endpoint_auth_method, provider.max_claims), (AuthMethod::ClientSecretPost, 128 << 10));
    assert_eq!(provider.authorization_params, [("allow_signup".to_owned(), "false".to_owned())]);
    let protocol = oauth2(provider);
    assert_eq!(protocol.authorization_endpoint.path(), "/login/oauth/authorize");
    assert_eq!(protocol.token_endpoint.path(), "/login/oauth/access_token");
    assert_eq!(protocol.userinfo_endpoint.as_str(), "https://api.github.example/user");
    assert_eq!(protocol.subject_field, path("id"));
    assert_eq!((&protocol.email_field, &protocol.preferred_username_field), (&path("contact.mail"), &path("login")));
}

fn path(text: &str) -> ClaimPath {
    ClaimPath::parse(text).unwrap()
}

#[test]
fn every_field_of_a_redis_store_is_read() {
    let redis = redis(
        "
store:
  url: redis-sentinel://s1:26379,s2:26380/mymaster
  username: vestibule
  password: hunter2
  sentinel_username: watcher
  sentinel_password: hunter3
  key_prefix: 'team-a:'
  command_timeout: 250ms
",
        &[],
    );
    assert_eq!(redis.url.topology, Topology::Sentinel { service: "mymaster".to_owned() });
    assert_eq!(redis.url.hosts, [("s1".to_owned(), 26379), ("s2".to_owned(), 26380)]);
    assert_eq!((redis.username.as_deref(), redis.sentinel_username.as_deref()), (Some("vestibule"), Some("watcher")));
    assert_eq!(redis.password.unwrap().expose_initial(), "hunter2");
    assert_eq!(redis.sentinel_password.unwrap().expose_initial(), "hunter3");
    assert_eq!((redis.key_prefix.as_str(), redis.command_timeout), ("team-a:", Duration::from_millis(250)));
}

#[test]
fn a_redis_store_has_defaults() {
    let redis = redis("store: {url: 'redis://redis'}", &[]);
    assert!(redis.username.is_none() && redis.password.is_none() && redis.tls.is_none());
    assert_eq!((redis.key_prefix.as_str(), redis.command_timeout), ("vestibule:", Duration::from_millis(300)));
}

#[test]
fn secrets_are_read_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let (ring, password) = (folder.path().join("ring"), folder.path().join("password"));
    std::fs::write(&ring, format!("# first\n{KEY}\n")).unwrap();
    std::fs::write(&password, "hunter2\n").unwrap();
    let text =
        format!("key_ring_file: {}\nstore: {{url: 'redis://redis', password_file: '{}'}}", ring.display(), password.display());
    let config = config(&text, &[]);
    let key_ring = config.key_ring.unwrap();
    assert_eq!((key_ring.path(), key_ring.expose_initial()), (Some(ring.as_path()), format!("# first\n{KEY}").as_str()));
    let StoreConfig::Redis(redis) = config.store else { panic!("the store is memory") };
    let secret = redis.password.unwrap();
    assert_eq!((secret.path(), secret.expose_initial()), (Some(password.as_path()), "hunter2"));
}

#[test]
fn variables_override_the_file_field_by_field() {
    let text = "
public_url: https://old.example.com
sessions: {idle: 1h, absolute: 2d}
providers:
  - {id: corp, issuer: https://idp.example.com, client_id: old}
";
    let env = [
        ("VESTIBULE__PUBLIC_URL", "https://llm.example.com"),
        ("VESTIBULE__SESSIONS__IDLE", "2h"),
        ("VESTIBULE__PROVIDERS__0__CLIENT_ID", "new"),
        ("VESTIBULE__PROVIDERS__0__SCOPES", "[openid, groups]"),
        ("VESTIBULE__PROVIDERS__0__AUTHORIZATION_PARAMS__PROMPT", "login"),
        ("VESTIBULE__PROVIDERS__1", "{id: two, issuer: https://two.example.com, client_id: x}"),
        ("VESTIBULE__TRUSTED_PROXIES__0", "10.0.0.0/8"),
        ("VESTIBULE__LOG", "{format: json}"),
        ("PATH", "/usr/bin"),
    ];
    let config = config(text, &env);
    assert_eq!(config.public_url.origin(), "https://llm.example.com");
    assert_eq!((config.sessions.idle, config.sessions.absolute), (2 * HOUR, 48 * HOUR));
    assert_eq!((config.providers[0].id.as_str(), config.providers[0].client_id.as_str()), ("corp", "new"));
    assert_eq!(config.providers[0].scopes, ["openid", "groups"]);
    assert_eq!(config.providers[0].authorization_params, [("prompt".to_owned(), "login".to_owned())]);
    assert_eq!(config.providers[1].id, "two");
    let network: ipnet::IpNet = "10.0.0.0/8".parse().unwrap();
    assert_eq!(config.trusted_proxies, [network.try_into().unwrap()]);
    assert_eq!((config.log.format, config.log.level.as_str()), (LogFormat::Json, "info"));
}

#[test]
fn variables_suffice_without_a_file() {
    let env = [
        ("VESTIBULE__KEY_RING", KEY),
        ("VESTIBULE__REPLICAS", "3"),
        ("VESTIBULE__STORE__URL", "redis-cluster://r0:6379,r1:6379"),
        ("VESTIBULE__STORE__PASSWORD", "{not: yaml"),
        ("VESTIBULE__PROVIDERS__0__ID", "corp"),
        ("VESTIBULE__PROVIDERS__0__ISSUER", "https://idp.example.com"),
        ("VESTIBULE__PROVIDERS__0__CLIENT_ID", "null"),
    ];
    let config = config("", &env);
    assert_eq!((config.replicas, config.providers[0].client_id.as_str()), (3, "null"));
    let StoreConfig::Redis(redis) = config.store else { panic!("the store is memory") };
    assert_eq!(redis.password.unwrap().expose_initial(), "{not: yaml", "a single value is taken as it is");
}

#[test]
fn sections_without_content_have_their_defaults() {
    let config = config("store:\nproviders:\nlisten: ~\nsessions: {}\npublic_url: null\n", &[]);
    assert_eq!(config.public_url.origin(), "http://127.0.0.1:4180");
    assert!(config.providers.is_empty());
}

#[test]
fn the_public_url_follows_a_loopback_listener() {
    assert_eq!(config("listen: {public: 127.0.0.1:8080}", &[]).public_url.origin(), "http://127.0.0.1:8080");
    assert_eq!(config("listen: {public: '[::1]:8080'}", &[]).public_url.origin(), "http://[::1]:8080");
}

#[test]
fn listeners_may_share_port_zero_and_a_check_listener_may_be_anywhere() {
    let text = "listen: {public: 127.0.0.1:0, check: 0.0.0.0:0, admin: 127.0.0.1:0}";
    assert_eq!(config(text, &[]).listen.check.to_string(), "0.0.0.0:0");
}

#[test]
fn a_public_host_without_trusted_proxies_causes_a_warning() {
    let warnings = |text: &str| parsed(text, &[]).unwrap().warnings;
    for text in ["public_url: https://llm.example.com", "public_url: https://llm.example.com\ntrusted_proxies: []"] {
        let found = warnings(text);
        assert!(found.len() == 1 && found[0].starts_with("trusted_proxies: is not set"), "{found:?}");
    }
    for text in [
        "",
        "public_url: https://llm.example.com\ntrusted_proxies: [10.0.0.0/8]",
        "public_url: http://localhost:8080",
        "public_url: http://127.0.0.1:8080",
        "public_url: http://[::1]:8080",
    ] {
        assert_eq!(warnings(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn the_former_grpc_setting_is_accepted_with_a_warning() {
    let warning = "has no effect; remove it, since a later version refuses it";
    assert_eq!(parsed("listen: {grpc: off}", &[]).unwrap().warnings, [format!("listen.grpc (line 1): {warning}")]);
    assert_eq!(parsed("listen:\n  grpc:\n", &[]).unwrap().warnings, [format!("listen.grpc (line 2): {warning}")]);
    let env = [("VESTIBULE__LISTEN__GRPC", "off")];
    assert_eq!(parsed("", &env).unwrap().warnings, [format!("listen.grpc (VESTIBULE__LISTEN__GRPC): {warning}")]);
}

#[test]
fn a_config_map_has_a_key_and_fragments() {
    let text = "role_map:\n  config_map: {name: roles, namespace: llm, key: map.yaml}\n  fragments: {selector: a=b}";
    let source = |namespace: Option<&str>, key: &str, fragments: Option<&str>| {
        RoleMapSource::ConfigMap(ConfigMapSource {
            name: "roles".into(),
            namespace: namespace.map(str::to_owned),
            key: key.into(),
            fragments: fragments.map(str::to_owned),
        })
    };
    assert_eq!(config(text, &[]).role_map, source(Some("llm"), "map.yaml", Some("a=b")));
    assert_eq!(config("role_map: {config_map: {name: roles}}", &[]).role_map, source(None, "roles.yaml", None));
}

#[test]
fn a_readable_role_map_file_is_accepted() {
    let map = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(map.path(), "version: 1").unwrap();
    let text = format!("role_map: {{file: {}}}", map.path().display());
    assert_eq!(config(&text, &[]).role_map, RoleMapSource::File(map.path().to_owned()));
}

#[test]
fn userinfo_and_sign_out_endpoints_may_be_set_with_discovery() {
    let text = "providers: [{id: a, issuer: 'https://a.example', client_id: x, logout: off, \
                end_session_endpoint: 'https://a.example/out', userinfo_endpoint: 'http://localhost:1/me'}]";
    let provider = config(text, &[]).providers.remove(0);
    let protocol = open_id_connect(&provider);
    assert!(protocol.endpoints.is_none());
    assert_eq!(protocol.end_session_endpoint.as_ref().unwrap().as_str(), "https://a.example/out");
    assert_eq!(protocol.userinfo_endpoint.as_ref().unwrap().as_str(), "http://localhost:1/me");
}

#[test]
fn a_file_is_loaded_with_its_variables() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "replicas: 2\nstore: {url: redis://r}\n").unwrap();
    let env = [("VESTIBULE__KEY_RING", KEY)].map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(load(Some(file.path()), env.into_iter()).unwrap().config.replicas, 2);
}

#[test]
fn an_unreadable_file_is_reported_with_its_path() {
    let error = load(Some(Path::new("/no/such/vestibule.yaml")), std::iter::empty()).unwrap_err();
    assert!(matches!(error, LoadError::Read { .. }));
    assert!(error.to_string().starts_with("/no/such/vestibule.yaml can't be read: "), "{error}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![b'#'; (1 << 20) + 1]).unwrap();
    let error = load(Some(file.path()), std::iter::empty()).unwrap_err();
    assert!(error.to_string().ends_with("a configuration file must not be larger than 1 MiB"), "{error}");
    std::fs::write(file.path(), b"\xff").unwrap();
    assert!(matches!(load(Some(file.path()), std::iter::empty()), Err(LoadError::Read { .. })));
}

#[test]
fn foreign_and_misspelled_variables_cause_warnings() {
    let env = [
        ("VESTIBULE_STORE_URL", "redis://hunter2"),
        ("VESTIBULE_PORT_4180_TCP_ADDR", "10.0.0.1"),
        ("VESTIBULE_SERVICE_HOST", "10.0.0.1"),
        ("GENERIC_CLIENT_USE_PKCE", "hunter2"),
        ("GENERIC_CLIENT_ID", "hunter2"),
    ];
    let expected = [
        "VESTIBULE_STORE_URL is ignored: separate fields with two underscores, as in VESTIBULE__STORE__URL",
        "GENERIC_CLIENT_ID is a LiteLLM variable and is ignored: use `providers[].client_id`",
        "GENERIC_CLIENT_USE_PKCE is a LiteLLM variable and is ignored: not needed, since PKCE is always on",
    ];
    assert_eq!(parsed("", &env).unwrap().warnings, expected);
    assert!(mistakes("", &env).is_empty());
}

#[test]
fn a_missing_underscore_after_the_prefix_causes_a_warning() {
    let env = [("VESTIBULE_REPLICAS", "3")];
    let expected = ["VESTIBULE_REPLICAS is ignored: separate fields with two underscores, as in VESTIBULE__REPLICAS"];
    assert_eq!(parsed("", &env).unwrap().warnings, expected);
}

#[test]
fn schemes_and_origins_of_apps_are_merged_from_file_and_variables() {
    let text = "apps: {redirect_schemes: [myide], origins: [\"https://a.example.com\"]}";
    let env = [("OAUTH_ALLOWED_REDIRECT_SCHEMES", " customapp, myide,"), ("OAUTH_ALLOWED_ORIGINS", "https://b.example.com")];
    let apps = config(text, &env).apps;
    assert_eq!(apps.redirects, RedirectPolicy::new(["myide", "customapp"].map(str::to_owned), Vec::new()));
    let origins = ["https://a.example.com", "https://b.example.com"].map(str::to_owned).to_vec();
    assert_eq!(apps.origins, AllowedOrigins::Listed(origins));
    assert_eq!(config("", &[("OAUTH_ALLOWED_ORIGINS", "*")]).apps.origins, AllowedOrigins::Any);
}

#[test]
fn a_forbidden_scheme_is_a_mistake_in_file_and_variables() {
    let wrong = mistakes("apps: {redirect_schemes: [javascript]}", &[("OAUTH_ALLOWED_REDIRECT_SCHEMES", "data,my ide")]);
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    assert!(wrong[0].contains("line 1") && wrong[0].contains("never allowed"), "{wrong:?}");
    assert!(wrong[1].contains("OAUTH_ALLOWED_REDIRECT_SCHEMES") && wrong[2].contains("must be a URI scheme"), "{wrong:?}");
}

#[test]
fn the_brand_of_an_origin_has_the_common_fields_that_it_does_not_set() {
    let ui = "ui: {name: Acme, accent: \"#112233\", origins: [{origin: https://chat.example.com, name: Chat}]}";
    let config = config(&format!("public_url: https://llm.example.com\norigins: [https://chat.example.com]\n{ui}"), &[]);
    let [(host, brand)] = &config.ui.origin_brands[..] else { panic!("one brand") };
    assert_eq!((host.as_str(), brand.name.as_str(), brand.theme.is_some()), ("chat.example.com", "Chat", true));
}
