//! Tables of mistakes, each with its exact path, place and text.

use rstest::rstest;

use super::{mistakes, parsed};

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_the_file() {
    let text = "
public_url: http://llm.example.com
replicas: 3
colour: red
listen: {public: here}
key_ring_file: /no/such/ring
providers:
  - id: a
    issuer: https://a.example
  - id: a
    client_id: x
    logout: never
sessions:
  idle: 10
  idle: 10s
log: text
";
    let env = [("VESTIBULE__CACHE__ENTRIES", "many"), ("VESTIBULE__SHUTDOWN__DELAI", "1s")];
    let found = parsed(text, &env).unwrap_err();
    let places: Vec<_> = found.iter().map(|mistake| format!("{} {}", mistake.place, mistake.path)).collect();
    let expected = [
        "line 2 public_url",
        "line 3 replicas",
        "line 4 colour",
        "line 5 listen.public",
        "line 6 key_ring_file",
        "line 8 providers[0].client_id",
        "line 10 providers[1].id",
        "line 10 providers[1].issuer",
        "line 12 providers[1].logout",
        "line 14 sessions.idle",
        "line 15 sessions.idle",
        "line 16 log",
        "VESTIBULE__CACHE__ENTRIES cache.entries",
        "VESTIBULE__SHUTDOWN__DELAI shutdown.delai",
    ];
    assert_eq!(places, expected);
    assert_eq!((found.len(), found.to_string().lines().count()), (14, 14));
}

#[test]
fn a_malformed_value_neither_hides_nor_causes_other_mistakes() {
    let text = "store: *redis
replicas: 3
workers: many
";
    let found = mistakes(text, &[]);
    assert_eq!(found, ["line 1: is not valid YAML: a value begins with `*`, which needs quotes"]);
    let found = mistakes("log: {level: &a debug, format: *a}\nworkers: many\n", &[]);
    assert_eq!(found.len(), 3, "{found:?}");
}

#[rstest]
#[case("- a", &["line 1: must be a map of fields, such as `{name: value}`"])]
#[case("just text", &["line 1: must be a map of fields, such as `{name: value}`"])]
#[case("replicas: 1\nreplicas: 2", &["replicas (line 2): is given twice, first in line 1; keep one of them"])]
#[case("replicas: 1\n---\nreplicas: 2", &["line 2: a second document begins here; only one is read, so remove the `---`"])]
#[case("replicas: &a 1", &["replicas (line 1): has an anchor (`&name`), which is not read here; remove it, or quote the value"])]
#[case("replicas: !!int 1", &["replicas (line 1): has a tag (`!name`), which is not read here; remove it, or quote the value"])]
#[case("listen: {a", &["line 1: is not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'"])]
#[case("listen: 127.0.0.1:4180", &["listen (line 1): must be a map of fields, such as `{name: value}`"])]
#[case("listen:\n  metrics: 127.0.0.1:9090", &["listen.metrics (line 2): is unknown; remove it. Known fields: public, check, admin"])]
#[case("provider: []", &["provider (line 1): is unknown; did you mean `providers`?"])]
#[case("colour: red", &["colour (line 1): is unknown; remove it. Known fields: public_url, origins, contact, replicas, workers, max_connections, trusted_proxies, rate_limits, check, key_ring, key_ring_file, listen, store, http_proxy, http_proxy_credentials, http_proxy_credentials_file, no_proxy, providers, token_issuers, scim, logins, sessions, cache, admin_roles, keys, local_accounts, upstream_credential, identity_headers, role_map, api, apps, ui, log, shutdown"])]
#[case("client_id: x\n\"evil\\e[31m\": y", &["client_id (line 1): is unknown; remove it. Known fields: public_url, origins, contact, replicas, workers, max_connections, trusted_proxies, rate_limits, check, key_ring, key_ring_file, listen, store, http_proxy, http_proxy_credentials, http_proxy_credentials_file, no_proxy, providers, token_issuers, scim, logins, sessions, cache, admin_roles, keys, local_accounts, upstream_credential, identity_headers, role_map, api, apps, ui, log, shutdown", r"evil\u{1b}[31m (line 2): is unknown; remove it. Known fields: public_url, origins, contact, replicas, workers, max_connections, trusted_proxies, rate_limits, check, key_ring, key_ring_file, listen, store, http_proxy, http_proxy_credentials, http_proxy_credentials_file, no_proxy, providers, token_issuers, scim, logins, sessions, cache, admin_roles, keys, local_accounts, upstream_credential, identity_headers, role_map, api, apps, ui, log, shutdown"])]
fn mistakes_in_the_document_itself(#[case] text: &str, #[case] expected: &[&str]) {
    assert_eq!(mistakes(text, &[]), expected);
}

#[rstest]
#[case("public_url: llm.example.com", &["public_url (line 1): must be an origin such as https://llm.example.com"])]
#[case("public_url: http://llm.example.com", &["public_url (line 1): must be https://; http:// is accepted for loopback hosts only, since cookies would travel in clear"])]
#[case("\npublic_url: https://llm.example.com/app", &["public_url (line 2): must be an origin without path, query and fragment; the gateway routes paths"])]
#[case("public_url: https://u:p@llm.example.com", &["public_url (line 1): must not contain a user name or password"])]
#[case("public_url: https://llm.example.com.", &["public_url (line 1): the host must not end with a dot: browsers treat it as another origin"])]
#[case("public_url: {a: b}", &["public_url (line 1): must be a single value, not a map"])]
#[case("replicas: 0", &["replicas (line 1): must be a whole number from 1 to 1000, not `0`"])]
#[case("replicas: three", &["replicas (line 1): must be a whole number from 1 to 1000, not `three`"])]
#[case("replicas: 3", &["replicas (line 1): needs a store that all replicas share; set `store.url` to a Redis URL, or `replicas` to 1"])]
#[case("workers: 1000", &["workers (line 1): must be a whole number from 1 to 256, not `1000`"])]
#[case("workers: -1", &["workers (line 1): must be a whole number from 1 to 256, not `-1`"])]
#[case("origins: https://chat.example.com", &["origins (line 1): must be a list, such as `[a, b]`; an empty one is `[]`"])]
#[case("public_url: https://llm.example.com\norigins:\n  - http://chat.example.com\n  - https://chat.example.com/app\n  - chat.example.com", &["origins[0] (line 3): must be https://; http:// is accepted for loopback hosts only, since cookies would travel in clear", "origins[1] (line 4): must be an origin without path, query and fragment; the gateway routes paths", "origins[2] (line 5): must be an origin such as https://llm.example.com"])]
#[case("public_url: https://llm.example.com\norigins: [https://chat.example.com, https://chat.example.com/]", &["origins[1] (line 2): is listed twice; keep one of them"])]
#[case("public_url: https://llm.example.com\norigins: [https://chat.example.com, https://CHAT.example.com:8443]", &["origins (line 2): lists the host `chat.example.com` again; cookies ignore ports, so each host can be used once"])]
#[case("public_url: https://llm.example.com\norigins: [https://llm.example.com:8443]", &["origins (line 2): lists the host `llm.example.com` again; cookies ignore ports, so each host can be used once"])]
#[case("public_url: https://llm.example.com\norigins: [http://localhost, https://u@chat.example.com, https://*.example.com, https://chat.example.com?a=1]", &["origins[1] (line 2): must not contain a user name or password", "origins[2] (line 2): the host must be a name of letters, digits, hyphens and dots, or an IP address", "origins[3] (line 2): must be an origin without path, query and fragment; the gateway routes paths"])]
#[case("public_url: https://llm.example.com\norigins: [http://chat.localhost, https://llm.example.com]", &["origins (line 2): lists the host `llm.example.com` again; cookies ignore ports, so each host can be used once", "origins (line 2): lists `http://chat.localhost`, whose scheme is not that of `public_url` (https)"])]
#[case("origins: [https://chat.example.com]", &["origins (line 1): lists `https://chat.example.com`, whose scheme is not that of `public_url` (http)"])]
#[case("public_url: https://llm.example.com\norigins: [https://chat.example.com]\nui:\n  origins:\n    - {origin: https://mcp.example.com}\n    - {name: Chat}\n    - {origin: https://chat.example.com, accent: red}\n    - {origin: https://chat.example.com}", &["ui.origins[0].origin (line 5): is not one of `origins`", "ui.origins[1].origin (line 6): is required", "ui.origins[2].accent (line 7): the accent color must be written as #rrggbb, such as #4353c9", "ui.origins[3].origin (line 8): has another entry; keep one of them"])]
#[case("origins: [http://127.0.0.1:9999]", &["origins (line 1): lists the host `127.0.0.1` again; cookies ignore ports, so each host can be used once"])]
#[case("trusted_proxies: 10.0.0.0/8", &["trusted_proxies (line 1): must be a list, such as `[a, b]`; an empty one is `[]`"])]
#[case("trusted_proxies:\n  - 10.0.0.1/8\n  - 0.0.0.0/0\n  - gateway\n  - [a]", &["trusted_proxies[0] (line 2): has host bits set; did you mean 10.0.0.0/8?", "trusted_proxies[1] (line 3): would trust X-Forwarded-For from every address; set the gateway's network", "trusted_proxies[2] (line 4): must be an address or a network such as 10.0.0.0/8, not `gateway`", "trusted_proxies[3] (line 5): must be a single value, not a list"])]
#[case("trusted_proxies: [10.0.0.1, 10.0.0.1/32]", &["trusted_proxies[1] (line 1): is listed twice; keep one of them"])]
#[case("trusted_proxies: [10.0.0.0/8, '::ffff:10.0.0.0/104']", &["trusted_proxies[1] (line 1): is listed twice; keep one of them"])]
#[case("trusted_proxies: ['::ffff:0.0.0.0/96', '::/64']", &["trusted_proxies[0] (line 1): would trust X-Forwarded-For from every address; set the gateway's network", "trusted_proxies[1] (line 1): would trust X-Forwarded-For from every address; set the gateway's network"])]
#[case("key_ring: short", &["key_ring (line 1): must have one key per line, 32 bytes in base64url without padding, as `vestibule key-ring new` prints it; line 1 is invalid"])]
#[case("key_ring_file: /no/such/ring", &["key_ring_file (line 1): can't be read: No such file or directory (os error 2)"])]
#[case("key_ring: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nkey_ring_file: /no/such/ring", &["key_ring_file (line 2): and `key_ring` (line 1) are both given; keep one of them"])]
fn mistakes_in_the_top_level(#[case] text: &str, #[case] expected: &[&str]) {
    assert_eq!(mistakes(text, &[]), expected);
}

#[rstest]
#[case("listen: {public: 0.0.0.0:4180}", &["public_url: is required if `listen.public` is not a loopback address; set the origin that browsers use"])]
#[case("role_map:\n  file:", &["role_map.file (line 2): has no value; write one, or remove the field"])]
#[case("role_map:\n  config_map: {name: null}", &["role_map.config_map.name (line 2): has no value; write one, or remove the field"])]
#[case("role_map: {file: , config_map: {name: }}\nkey_ring_file: ''", &["role_map.file (line 1): has no value; write one, or remove the field", "role_map.config_map.name (line 1): has no value; write one, or remove the field", "key_ring_file (line 2): can't be read: No such file or directory (os error 2)"])]
#[case("listen:\n  public: :4180", &["listen.public (line 2): must be an IP address and a port such as 127.0.0.1:4180; to listen on every interface, write 0.0.0.0:4180"])]
#[case("listen:\n  check: localhost:4181", &["listen.check (line 2): must be an IP address and a port such as 127.0.0.1:4180; not `localhost:4181`"])]
#[case("listen:\n  admin: 127.0.0.1", &["listen.admin (line 2): must be an IP address and a port such as 127.0.0.1:4180; not `127.0.0.1`"])]
#[case("listen:\n  admin: 127.0.0.1:4180", &["listen.admin (line 2): 127.0.0.1:4180 is also the address of `listen.public`; each listener needs its own"])]
#[case("public_url: https://a.example\nlisten:\n  public: 0.0.0.0:4181", &["listen.check (line 2): 127.0.0.1:4181 is also the address of `listen.public`; each listener needs its own"])]
#[case("listen:\n  grpc: 127.0.0.1:4183", &["listen.grpc (line 2): is unknown; remove it. Known fields: public, check, admin"])]
#[case("listen:\n  public: 127.0.0.1:99999", &["listen.public (line 2): must be an IP address and a port such as 127.0.0.1:4180; not `127.0.0.1:99999`"])]
fn mistakes_in_listeners(#[case] text: &str, #[case] expected: &[&str]) {
    assert_eq!(mistakes(text, &[]), expected);
}

#[rstest]
#[case("store: memory", &["store (line 1): must be a map of fields, such as `{name: value}`"])]
#[case("store: {url: valkey://redis}", &["store.url (line 1): must be `memory`, or a URL that begins with redis://, rediss://, redis-sentinel://, rediss-sentinel://, redis-cluster:// or rediss-cluster://"])]
#[case("key_ring: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nstore:\n  url: redis://u:p@redis", &["store.url (line 3): must not contain a user name or password; write them into `username` and `password_file`"])]
#[case("key_ring: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nstore:\n  url: redis://r0,r1", &["store.url (line 3): must name one host; for several use redis-cluster:// or redis-sentinel:// (with TLS rediss-cluster:// or rediss-sentinel://)"])]
#[case("key_ring: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nstore:\n  url: redis-sentinel://s1", &["store.url (line 3): must end with the master's name and optionally the database's number, as in redis-sentinel://sentinel:26379/mymaster/0"])]
#[case("key_ring: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nstore:\n  url: redis-cluster://r0/1", &["store.url (line 3): must have no path: a cluster has one database"])]
#[case("store: {url: 'redis://redis'}", &["key_ring_file: is required with Redis: all replicas encrypt records with it; `vestibule key-ring new` prints a key for the file"])]
#[case("store:\n  username: me\n  key_prefix: 'x:'", &["store.username (line 2): has no effect with the memory store; set `store.url` or remove it", "store.key_prefix (line 3): has no effect with the memory store; set `store.url` or remove it"])]
#[case("key_ring: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nstore:\n  url: redis://r\n  sentinel_username: s", &["store.sentinel_username (line 4): requires a redis-sentinel:// or rediss-sentinel:// URL"])]
#[case("key_ring: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nstore:\n  url: rediss://r\n  ca_file: /no/such/ca.pem", &["store.ca_file (line 4): `/no/such/ca.pem` can't be read: No such file or directory (os error 2)"])]
#[case("key_ring: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nstore:\n  url: rediss://r\n  cert_file: /x", &["store.cert_file (line 4): requires `key_file`"])]
#[case("key_ring: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nstore:\n  url: rediss://r\n  key_file: /x", &["store.key_file (line 4): requires `cert_file`"])]
#[case("key_ring: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nstore:\n  url: redis://r\n  tls_server_name: r", &["store.tls_server_name (line 4): requires TLS, as in rediss://"])]
#[case("key_ring: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nstore:\n  url: rediss://r\n  tls_server_name: a b", &["store.tls_server_name (line 4): must be a host name or an IP address"])]
#[case("key_ring: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nstore:\n  url: redis://r\n  key_prefix: '{a}'", &[r"store.key_prefix (line 4): must contain no white space, control characters, braces (they would decide the cluster's slots) and none of * ? [ ] \ (ACL patterns read them)"])]
#[case("key_ring: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nstore:\n  url: redis://r\n  key_prefix: ''", &["store.key_prefix (line 4): must not be empty: it separates Vestibule's keys from those of other applications"])]
#[case("key_ring: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nstore:\n  url: redis://r\n  key_prefix: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", &["store.key_prefix (line 4): must not be longer than 64 bytes"])]
#[case("key_ring: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nstore:\n  url: redis://r\n  command_timeout: 1ms", &["store.command_timeout (line 4): must be from 10ms to 10s"])]
#[case("key_ring: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nstore:\n  url: redis://r\n  password_file: /no/such/password", &["store.password_file (line 4): can't be read: No such file or directory (os error 2)"])]
#[case("key_ring: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nstore:\n  url: redis://r\n  username: ''", &["store.username (line 4): must not be empty"])]
#[case("replicas: 2\nstore:\n  url: redis://r\n  password_file: /no/such/password", &["store.password_file (line 4): can't be read: No such file or directory (os error 2)", "key_ring_file: is required with Redis: all replicas encrypt records with it; `vestibule key-ring new` prints a key for the file"])]
fn mistakes_in_the_store(#[case] text: &str, #[case] expected: &[&str]) {
    assert_eq!(mistakes(text, &[]), expected);
}

#[rstest]
#[case("sessions: {idle: 8d}", &["sessions.idle (line 1): must not be longer than `sessions.absolute`, which ends the session anyway"])]
#[case("sessions: {absolute: 1h}", &["sessions.absolute (line 1): must not be shorter than `sessions.idle`, which is 12h unless it is set"])]
#[case("sessions: {idle: 10}", &["sessions.idle (line 1): needs a unit, such as 10s, 10m or 10h"])]
#[case("sessions: {idle: 0s}", &["sessions.idle (line 1): must be from 1s to 365d"])]
#[case("sessions: {absolute: 1000d}", &["sessions.absolute (line 1): must be from 1s to 365d"])]
#[case("sessions: {idle: 1.5h}", &["sessions.idle (line 1): must be a duration such as 300ms, 10s, 10m, 12h, 7d or 1h30m, not `1.5h`"])]
#[case("logins: {max_pending: 999}", &["logins.max_pending (line 1): must be a whole number from 1000 to 100000000, not `999`"])]
#[case("sessions: {max_per_user: 0}", &["sessions.max_per_user (line 1): must be a whole number from 1 to 500, not `0`"])]
#[case("cache: {revocation_grace: 5s}", &["cache.revocation_grace (line 1): must be from 6s to 1h: the failover of a cluster takes about 3.5s, and a revoked session can be served for this long in an outage"])]
#[case("cache: {revocation_grace: 2h}", &["cache.revocation_grace (line 1): must be from 6s to 1h: the failover of a cluster takes about 3.5s, and a revoked session can be served for this long in an outage"])]
#[case("cache: {entries: 1}", &["cache.entries (line 1): must be a whole number from 100 to 10000000, not `1`"])]
#[case("keys: {default_duration: 400d}", &["keys.default_duration (line 1): must not be longer than `keys.max_duration`"])]
#[case("keys: {max_duration: 30d}", &["keys.max_duration (line 1): must not be shorter than `keys.default_duration`, which is 90d unless it is set"])]
#[case("keys: {overlap_max: 0s}", &["keys.overlap_max (line 1): must be from 1s to 3650d"])]
#[case("keys: {claims_max_age: 1h}", &["keys.claims_max_age (line 1): must be from 2h to 3650d"])]
#[case("keys: {max_per_user: 0}", &["keys.max_per_user (line 1): must be a whole number from 1 to 10000, not `0`"])]
#[case("admin_roles: [a, a]", &["admin_roles[1] (line 1): is listed twice; keep one of them"])]
#[case("role_map:\n  config_map: {name: Roles}", &["role_map.config_map.name (line 2): must be a Kubernetes name: up to 253 of a-z, 0-9, - and ."])]
#[case("role_map:\n  config_map: {namespace: x}", &["role_map.config_map.name (line 2): is required"])]
#[case("role_map:\n  fragments: {selector: a=b}", &["role_map.fragments (line 2): requires `config_map`"])]
#[case("role_map: {file: /no/such/map}", &["role_map.file (line 1): `/no/such/map` can't be read: No such file or directory (os error 2)"])]
#[case("role_map: {file: ''}", &["role_map.file (line 1): must not be empty"])]
#[case("role_map: /etc/roles.yaml", &["role_map (line 1): must be a map of fields, such as `{name: value}`"])]
#[case("log:\n  format: yaml\n  level: ''", &["log.format (line 2): must be text or json, not `yaml`", "log.level (line 3): must not be empty"])]
#[case("shutdown: {delay: 30s}", &["shutdown.delay (line 1): must be shorter than `shutdown.deadline`, so that requests have time to finish"])]
#[case("shutdown: {deadline: 4s}", &["shutdown.deadline (line 1): must be longer than `shutdown.delay`, which is 5s unless it is set"])]
#[case("shutdown: {deadline: 2h}", &["shutdown.deadline (line 1): must be from 1s to 1h"])]
fn mistakes_in_limits(#[case] text: &str, #[case] expected: &[&str]) {
    assert_eq!(mistakes(text, &[]), expected);
}

#[rstest]
#[case("providers: corp", &["providers (line 1): must be a list, such as `[a, b]`; an empty one is `[]`"])]
#[case("providers:\n  - corp", &["providers[0] (line 2): must be a map of fields, such as `{name: value}`"])]
#[case("providers:\n  - {}", &["providers[0].id (line 2): is required", "providers[0].issuer (line 2): is required", "providers[0].client_id (line 2): is required"])]
#[case("providers:\n  corp: {id: a}", &["providers (line 1): must be a list, such as `[a, b]`; an empty one is `[]`"])]
#[case("providers:\n  - id: Corp\n    issuer: idp.example.com\n    client_id: ''", &["providers[0].id (line 2): must be 1 to 32 of the letters a-z, 0-9 and -, not `Corp`", "providers[0].issuer (line 3): must be an absolute URL such as https://idp.example.com/path", "providers[0].client_id (line 4): must not be empty"])]
#[case("providers:\n  - id: local\n    issuer: http://idp.example.com\n    client_id: x", &["providers[0].id (line 2): must not be `local`, which is reserved for local accounts", "providers[0].issuer (line 3): must be an https:// URL; http is accepted for loopback hosts only"])]
#[case("providers:\n  - id: a\n    issuer: https://idp.example.com/?a=b\n    client_id: x", &["providers[0].issuer (line 3): must not have a query (`?…`): no issuer has one"])]
#[case("providers:\n  - id: a\n    issuer: https://idp.example.com#a\n    client_id: x", &["providers[0].issuer (line 3): must not have a fragment (`#…`)"])]
#[case("providers:\n  - id: a\n    issuer: https://u@idp.example.com\n    client_id: x\n    name: \"a\\nb\"", &["providers[0].issuer (line 3): must not contain a user name or password", "providers[0].name (line 5): must not contain control characters"])]
#[case("providers:\n  - {id: a, issuer: https://a.example, client_id: x}\n  - {id: a, issuer: https://b.example, client_id: x}", &["providers[1].id (line 3): `a` is already the `id` of another provider"])]
fn mistakes_in_the_list_of_providers(#[case] text: &str, #[case] expected: &[&str]) {
    assert_eq!(mistakes(text, &[]), expected);
}

/// The fields are added to a correct provider, from line 5 on.
#[rstest]
#[case("isuer: x", &["providers[0].isuer (line 5): is unknown; did you mean `issuer`?"])]
#[case("logout: never", &["providers[0].logout (line 5): must be hint, id_token_hint or off, not `never`"])]
#[case("trust_email: yes", &["providers[0].trust_email (line 5): must be true or false, not `yes`"])]
#[case("client_secret: ''", &["providers[0].client_secret (line 5): must not be empty"])]
#[case("client_secret_file: /no/such/secret", &["providers[0].client_secret_file (line 5): can't be read: No such file or directory (os error 2)"])]
#[case("client_secret: a\n    client_secret_file: /no/such/secret", &["providers[0].client_secret_file (line 6): and `client_secret` (line 5) are both given; keep one of them"])]
#[case("client_secret_file:", &["providers[0].client_secret_file (line 5): has no value; write one, or remove the field"])]
#[case("client_secret: a\n    client_secret_file: ~", &["providers[0].client_secret_file (line 6): has no value; write one, or remove the field"])]
#[case("client_secret: {a: b}", &["providers[0].client_secret (line 5): must be a single value, not a map"])]
#[case("token_endpoint_auth_method: client_secret_basic", &["providers[0].token_endpoint_auth_method (line 5): needs `client_secret_file`"])]
#[case("token_endpoint_auth_method: basic", &["providers[0].token_endpoint_auth_method (line 5): must be auto, client_secret_basic, client_secret_post or none, not `basic`"])]
#[case("client_secret: a\n    token_endpoint_auth_method: none", &["providers[0].token_endpoint_auth_method (line 6): `none` sends no client secret; remove the secret or choose another method"])]
#[case("scopes: openid", &["providers[0].scopes (line 5): must be a list, such as `[a, b]`; an empty one is `[]`"])]
#[case("scopes: [profile]", &["providers[0].scopes (line 5): must contain `openid`; otherwise the provider issues no id_token"])]
#[case("scopes: [openid, 'a b']", &["providers[0].scopes[1] (line 5): must be one scope without white space or quotes, not `a b`"])]
#[case("scopes: [openid, openid]", &["providers[0].scopes[1] (line 5): is listed twice; keep one of them"])]
#[case("algorithms: []", &["providers[0].algorithms (line 5): must not be empty: no token would be accepted"])]
#[case("algorithms: [RS256, none]", &["providers[0].algorithms[1] (line 5): must not be `none`: unsigned tokens can be forged"])]
#[case("algorithms: [HS256]", &["providers[0].algorithms[0] (line 5): must not be an HS algorithm: its key is shared, so that tokens can be forged"])]
#[case("algorithms: [rs256]", &["providers[0].algorithms[0] (line 5): must be RS256, RS384, RS512, ES256, ES384, PS256, PS384, PS512 or EdDSA, not `rs256`"])]
#[case("token_endpoint: https://idp.example.com/token", &["providers[0].authorization_endpoint (line 2): is required: authorization_endpoint, token_endpoint and jwks_uri replace discovery only together", "providers[0].jwks_uri (line 2): is required: authorization_endpoint, token_endpoint and jwks_uri replace discovery only together"])]
#[case("authorization_endpoint: http://idp.example.com/auth\n    jwks_uri: /jwks", &["providers[0].token_endpoint (line 2): is required: authorization_endpoint, token_endpoint and jwks_uri replace discovery only together", "providers[0].authorization_endpoint (line 5): must be an https:// URL; http is accepted for loopback hosts only", "providers[0].jwks_uri (line 6): must be an absolute URL such as https://idp.example.com/path"])]
#[case("userinfo_endpoint: https://idp.example.com/#me", &["providers[0].userinfo_endpoint (line 5): must not have a fragment (`#…`)"])]
#[case("end_session_endpoint: ftp://idp.example.com", &["providers[0].end_session_endpoint (line 5): must be an absolute URL such as https://idp.example.com/path"])]
#[case("http_proxy: 'http://me:hunter2@proxy'", &["providers[0].http_proxy (line 5): must not contain a user name or password; use `http_proxy_credentials_file`"])]
#[case("http_proxy: ''\n    no_proxy: ['*.example.com']", &["providers[0].http_proxy (line 5): must be an http:// or https:// URL such as http://proxy.example.com:3128", "providers[0].no_proxy[0] (line 6): must be a domain, an address, a network such as 10.0.0.0/8 or `*`, without scheme, port and brackets; `example.com` includes its subdomains; write it without `*.`"])]
#[case("ca_file: /dev/null", &["providers[0].ca_file (line 5): `/dev/null` must contain certificates in PEM form (-----BEGIN CERTIFICATE-----)"])]
#[case("max_claims: 64KB", &["providers[0].max_claims (line 5): must be a size such as 512, 64KiB or 1MiB (units of 1024 bytes), not `64KB`"])]
#[case("max_claims_age: 59s", &["providers[0].max_claims_age (line 5): must be from 1m to 3650d"])]
#[case("refresh: {interval: 9s}", &["providers[0].refresh.interval (line 5): must be from 10s to 365d"])]
#[case("refresh: {interval: 1h, max_age: 1h}", &["providers[0].refresh.max_age (line 5): must be longer than `interval`"])]
#[case("refresh: {interval: 30d, max_age: 31d}", &["keys.claims_max_age: must be longer than `refresh.interval` of the provider `corp`"])]
#[case("refresh: {token: forever}", &["providers[0].refresh.token (line 5): must be session or offline, not `forever`"])]
#[case("max_claims: 100", &["providers[0].max_claims (line 5): must be from 1KiB to 1MiB"])]
#[case("end_session_parameters: {client_secret: x}", &["providers[0].end_session_parameters.client_secret (line 5): must not be sent: users see the URL; remove it"])]
#[case("end_session_parameters: {id_token_hint: x}", &["providers[0].end_session_parameters.id_token_hint (line 5): is set by `logout: id_token_hint`; remove it"])]
#[case("end_session_parameters: {a b: x}", &["providers[0].end_session_parameters.a b (line 5): is not a valid parameter name: use letters, digits and _ - . :"])]
#[case("end_session_parameters: {logout_uri: x}\n    logout: 'off'", &["providers[0].end_session_parameters (line 5): has no effect with `logout: off`; remove one of them"])]
#[case("authorization_params: {state: x}", &["providers[0].authorization_params.state (line 5): is set by Vestibule; remove it"])]
#[case("authorization_params: {Redirect_URI: x, prompt: login}", &["providers[0].authorization_params.Redirect_URI (line 5): is set by Vestibule; remove it"])]
#[case("authorization_params: {a b: x}", &["providers[0].authorization_params.a b (line 5): is not a valid parameter name: use letters, digits and _ - . :"])]
#[case("authorization_params: {prompt: [login]}", &["providers[0].authorization_params.prompt (line 5): must be a single value, not a list"])]
#[case("authorization_params: prompt", &["providers[0].authorization_params (line 5): must be a map, such as `{name: value}`"])]
fn mistakes_in_a_provider(#[case] fields: &str, #[case] expected: &[&str]) {
    let provider = "providers:\n  - id: corp\n    issuer: https://idp.example.com\n    client_id: vestibule\n    ";
    assert_eq!(mistakes(&format!("{provider}{fields}"), &[]), expected);
}

/// The fields are those of `scim`, beside a correct provider.
#[rstest]
#[case("provider: corp", &["scim.token_file (line 5): is required with `provider`; the directory authenticates with a bearer token"])]
#[case("token: 0123456789abcdefghijklmnopqrstuv", &["scim.provider (line 5): is required with a token; name the provider whose directory sends it"])]
#[case("provider: partner, token: 0123456789abcdefghijklmnopqrstuv", &["scim.provider (line 5): is not the id of a configured provider"])]
#[case("provider: corp, token: short", &["scim.token (line 5): must have secrets of 32 to 256 characters; line 1 is shorter or longer"])]
#[case("provider: corp, token: 0123456789abcdefghijklmnopqrstuv, link: {attribute: id}", &["scim.link.attribute (line 5): must be externalId or userName, not `id`"])]
#[case("provider: corp, token: 0123456789abcdefghijklmnopqrstuv, link: {claim: 'groups[].id'}", &["scim.link.claim (line 5): must lead to a single value, without `[]`, `*` or `{}`"])]
#[case("provider: corp, token: 0123456789abcdefghijklmnopqrstuv, link: {claim: ''}", &["scim.link.claim (line 5): the dot path is empty"])]
fn mistakes_in_the_directory(#[case] fields: &str, #[case] expected: &[&str]) {
    let provider = "providers:\n  - id: corp\n    issuer: https://idp.example.com\n    client_id: vestibule\n";
    assert_eq!(mistakes(&format!("{provider}scim: {{{fields}}}"), &[]), expected);
}

/// The fields are added to a correct provider without OpenID Connect, from line 8 on.
#[rstest]
#[case("issuer: https://hub.example.com", &["providers[0].issuer (line 8): belongs to OpenID Connect: with `kind: oauth2` the provider's `id` is used instead; remove it"])]
#[case("jwks_uri: https://hub.example.com/keys\n    algorithms: [RS256]", &["providers[0].jwks_uri (line 8): belongs to OpenID Connect: with `kind: oauth2` there is no id_token to verify; remove it", "providers[0].algorithms (line 9): belongs to OpenID Connect: with `kind: oauth2` there is no id_token to verify; remove it"])]
#[case("logout: 'off'\n    end_session_endpoint: https://hub.example.com/end", &["providers[0].logout (line 8): belongs to OpenID Connect: with `kind: oauth2` a sign-out ends only the session of this service; remove it", "providers[0].end_session_endpoint (line 9): belongs to OpenID Connect: with `kind: oauth2` a sign-out ends only the session of this service; remove it"])]
#[case("userinfo: required\n    trusted_audiences: [a]\n    claims: {email: mail}", &["providers[0].userinfo (line 8): belongs to OpenID Connect: with `kind: oauth2` the userinfo endpoint identifies the user; remove it", "providers[0].trusted_audiences (line 9): belongs to OpenID Connect: with `kind: oauth2` there is no id_token to verify; remove it", "providers[0].claims (line 10): belongs to OpenID Connect: with `kind: oauth2` use `email_field` and `preferred_username_field`"])]
#[case("subject_field: ''", &["providers[0].subject_field (line 8): the dot path is empty"])]
#[case("subject_field: .id", &["providers[0].subject_field (line 8): the dot path has an empty step between its dots; write a dot within a name as \\."])]
#[case("email_field: 'emails[].email'", &["providers[0].email_field (line 8): must lead to a single value, without `[]`, `*` or `{}`"])]
#[case("preferred_username_field: 'a\\b'", &["providers[0].preferred_username_field (line 8): the dot path has a backslash that is not followed by a dot, a bracket, a brace, a star or a backslash"])]
#[case("subject_field: [id]", &["providers[0].subject_field (line 8): must be a single value, not a list"])]
#[case("scopes: [read:user]\n    token_endpoint_auth_method: client_secret_post", &["providers[0].token_endpoint_auth_method (line 9): needs `client_secret_file`"])]
fn mistakes_in_a_provider_without_openid_connect(#[case] fields: &str, #[case] expected: &[&str]) {
    let provider = "providers:\n  - id: hub\n    kind: oauth2\n    client_id: vestibule\n    \
                    authorization_endpoint: https://hub.example.com/auth\n    token_endpoint: https://hub.example.com/token\n    \
                    userinfo_endpoint: https://hub.example.com/user\n    ";
    assert_eq!(mistakes(&format!("{provider}{fields}"), &[]), expected);
}

#[rstest]
#[case("kind: saml\n    issuer: https://a.example", &["providers[0].kind (line 3): must be oidc or oauth2, not `saml`"])]
#[case("kind: oauth2", &["providers[0].authorization_endpoint (line 2): is required with `kind: oauth2`, which has no discovery", "providers[0].token_endpoint (line 2): is required with `kind: oauth2`, which has no discovery", "providers[0].userinfo_endpoint (line 2): is required with `kind: oauth2`, which has no discovery"])]
#[case("kind: oauth2\n    issuer: https://a.example\n    token_endpoint: http://a.example/token", &["providers[0].authorization_endpoint (line 2): is required with `kind: oauth2`, which has no discovery", "providers[0].userinfo_endpoint (line 2): is required with `kind: oauth2`, which has no discovery", "providers[0].issuer (line 4): belongs to OpenID Connect: with `kind: oauth2` the provider's `id` is used instead; remove it", "providers[0].token_endpoint (line 5): must be an https:// URL; http is accepted for loopback hosts only"])]
#[case("subject_field: id\n    email_field: mail\n    preferred_username_field: login", &["providers[0].issuer (line 2): is required", "providers[0].subject_field (line 3): is only for `kind: oauth2`: OpenID Connect uses the claim `sub`; remove it", "providers[0].email_field (line 4): is only for `kind: oauth2`: OpenID Connect uses the claim `email`; remove it", "providers[0].preferred_username_field (line 5): is only for `kind: oauth2`: OpenID Connect uses the claim `preferred_username`; remove it"])]
fn mistakes_in_the_kind_of_a_provider(#[case] fields: &str, #[case] expected: &[&str]) {
    assert_eq!(mistakes(&format!("providers:\n  - id: a\n    {fields}\n    client_id: x"), &[]), expected);
}

#[rstest]
#[case("VESTIBULE__STOR__URL", "x", &["stor (VESTIBULE__STOR__URL): is unknown; did you mean `store`?"])]
#[case("VESTIBULE__STORE__URI", "x", &["store.uri (VESTIBULE__STORE__URI): is unknown; did you mean `url`?"])]
#[case("VESTIBULE__STORE", "redis://x", &["store (VESTIBULE__STORE): must be a map of fields, such as `{name: value}`"])]
#[case("VESTIBULE__PUBLIC_URL__X", "1", &["public_url (VESTIBULE__PUBLIC_URL__X): must be a single value, not a map"])]
#[case("VESTIBULE__PUBLIC_URL", "http://llm.example.com", &["public_url (VESTIBULE__PUBLIC_URL): must be https://; http:// is accepted for loopback hosts only, since cookies would travel in clear"])]
#[case("VESTIBULE__REPLICAS", "", &["replicas (VESTIBULE__REPLICAS): must be a whole number from 1 to 1000, not ``"])]
#[case("VESTIBULE__REPLICAS", " 1", &["replicas (VESTIBULE__REPLICAS): must be a whole number from 1 to 1000, not ` 1`"])]
#[case("VESTIBULE__PROVIDERS", "", &["providers (VESTIBULE__PROVIDERS): must be a list, such as `[a, b]`; an empty one is `[]`"])]
#[case("VESTIBULE__PROVIDERS", "corp", &["providers (VESTIBULE__PROVIDERS): must be a list, such as `[a, b]`; an empty one is `[]`"])]
#[case("VESTIBULE__PROVIDERS", "[{id: a", &["providers (VESTIBULE__PROVIDERS): is not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'"])]
#[case("VESTIBULE__PROVIDERS", "[{id: a, issuer: https://a.example, client_id: x, isuer: y}]", &["providers[0].isuer (VESTIBULE__PROVIDERS): is unknown; did you mean `issuer`?"])]
#[case("VESTIBULE__PROVIDERS__CORP__ID", "x", &["providers (VESTIBULE__PROVIDERS__CORP__ID): must be a list, such as `[a, b]`; an empty one is `[]`"])]
#[case("VESTIBULE__PROVIDERS__0__ID", "x", &["providers[0].issuer (VESTIBULE__PROVIDERS__0__ID): is required", "providers[0].client_id (VESTIBULE__PROVIDERS__0__ID): is required"])]
#[case("VESTIBULE__PROVIDERS__1__ID", "x", &["providers (VESTIBULE__PROVIDERS__1__ID): has 0 elements, so the next number is 0, not 1"])]
#[case("VESTIBULE__TRUSTED_PROXIES", "10.0.0.0/8", &["trusted_proxies (VESTIBULE__TRUSTED_PROXIES): must be a list, such as `[a, b]`; an empty one is `[]`"])]
#[case("VESTIBULE__TRUSTED_PROXIES__0", "gateway", &["trusted_proxies[0] (VESTIBULE__TRUSTED_PROXIES__0): must be an address or a network such as 10.0.0.0/8, not `gateway`"])]
#[case("VESTIBULE__", "x", &["VESTIBULE__: is not a field name: separate names with `__`, as in VESTIBULE__STORE__URL"])]
#[case("VESTIBULE__STORE__", "x", &["VESTIBULE__STORE__: is not a field name: separate names with `__`, as in VESTIBULE__STORE__URL"])]
#[case("VESTIBULE__store__url", "x", &["VESTIBULE__store__url: is not a field name: use capital letters, as in VESTIBULE__STORE__URL"])]
#[case("VESTIBULE__SESSIONS__IDLE", "12", &["sessions.idle (VESTIBULE__SESSIONS__IDLE): needs a unit, such as 12s, 12m or 12h"])]
fn mistakes_in_variables(#[case] variable: &str, #[case] value: &str, #[case] expected: &[&str]) {
    assert_eq!(mistakes("", &[(variable, value)]), expected);
}
