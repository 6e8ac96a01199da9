//! Reads the top level of the configuration and its small sections, and checks the sections against each other.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use super::http_proxy::{self, ProxyFields};
use super::origins::{self, Origins};
use super::scim::ScimDirectory;
use super::secrets::{SecretFields, key_ring};
use super::store::StoreScope;
use super::token_issuer::{EarlierIssuers, ValidationContext};
use super::{
    Config, ConnectionLimits, Listen, LocalAccounts, Log, LogFormat, Shutdown, api, api_keys, app_keys, check, identity_headers,
    local_accounts, provider, rate_limits, role_map, scim, store, token_issuer, ui, upstream_credential, values,
};
use crate::api_keys::{KeySettings, app_requests::AppKeySettings};
use crate::bearer_tokens::IssuerSettings;
use crate::client_address::ProxyNetwork;
use crate::oidc::{LoginFlowSettings, ProviderSettings};
use crate::origin::PublicUrl;
use crate::principal::{HeaderEncoding, Role};
use crate::principal_cache::CacheSettings;
use crate::role_map::ConfiguredNames;
use crate::upstream::UpstreamCredentialSettings;
use crate::users::Limits;
use crate::yaml::decode::{Declaration, Field, Kind, Section, describe, field};

/// Reads every section before any result is used, so that all mistakes are reported.
pub fn read(root: &mut Section<'_>, warnings: &mut Vec<String>) -> Option<Config> {
    let origins = origins::read(root);
    let contact = root.or_default(CONTACT, &values::NAME, "your administrator");
    let replicas = root.or_default(REPLICAS, &REPLICA_COUNT, "1");
    let (connections, trusted_proxies) = (read_connections(root), root.list(TRUSTED_PROXIES, &values::NETWORK, &[]));
    let rate_limits = root.section("rate_limits", rate_limits::DOC, rate_limits::read);
    let check = root.section("check", check::DOC, check::read);
    let key_ring = root.secret(&KEY_RING);
    let (mut public, mut scope) = (None, None);
    let listen = root.section("listen", LISTEN, |section| read_listen(section, &mut public, warnings));
    let store = root.section("store", store::DOC, |section| store::read(section, &mut scope));
    let (proxy, providers) = read_providers(root);
    let (public_url, origins) = origins.complete(root, public);
    let (providers, token_issuers) = read_token_issuers(root, public_url.as_ref(), &proxy, providers, warnings);
    let (providers, directory) = read_scim(root, providers);
    let ((logins, sessions), cache) = (read_logins_and_sessions(root), root.section("cache", CACHE, read_cache));
    let admin_roles = root.list(ADMIN_ROLES, &ROLE, &["proxy_admin"]);
    let keys = root.section("keys", api_keys::DOC, |section| api_keys::read(section, providers.as_deref()));
    let local_accounts = read_local_accounts(root, providers.as_deref());
    let (upstream_credential, identity_encoding) = read_upstream_headers(root, public_url.as_ref());
    let sources = claim_sources(providers.as_deref(), token_issuers.as_deref(), local_accounts.as_ref());
    let configured = configured_names(sources, upstream_credential.as_ref(), directory.as_ref());
    let role_map = root.section("role_map", role_map::DOC, |section| role_map::read(section, &configured, warnings));
    let (api, apps) = (root.section("api", api::DOC, api::read), read_apps(root, keys.as_ref()));
    let (ui, log) = (read_ui(root, origins.as_ref()), root.section("log", "The log on standard error.", read_log));
    let shutdown = root.section("shutdown", SHUTDOWN, read_shutdown);
    let protected = check::require_secret(root, check.as_ref(), upstream_credential.as_ref());
    check_sharing(root, scope, replicas, key_ring.as_ref().map(Option::is_some)).and(protected)?;
    let Origins { public_url, further: origins, protected_hosts } = origins?;
    warnings.extend(proxies_warning(&public_url, trusted_proxies.as_deref()?));
    Some(Config {
        public_url,
        origins,
        protected_hosts,
        listen: listen?,
        contact: contact?,
        replicas: replicas?,
        connections: connections?,
        trusted_proxies: trusted_proxies?,
        rate_limits: rate_limits?,
        check: check?,
        store: store?,
        key_ring: key_ring?,
        providers: providers?,
        token_issuers: token_issuers?,
        scim: directory?,
        logins: logins?,
        sessions: sessions?,
        cache: cache?,
        keys: keys?,
        admin_roles: admin_roles?,
        local_accounts: local_accounts?,
        role_map: role_map?,
        upstream_credential: upstream_credential?,
        identity_encoding: identity_encoding?,
        api: api?,
        apps: apps?,
        ui: ui?,
        log: log?,
        shutdown: shutdown?,
    })
}

fn read_ui(root: &mut Section<'_>, origins: Option<&Origins>) -> Option<ui::Ui> {
    let further = origins.map(|origins| origins.further.as_slice());
    root.section("ui", ui::DOC, |section| ui::read(section, further))
}

pub fn declarations() -> Vec<Declaration> {
    describe(|root| read(root, &mut Vec::new()))
}

const CACHE: &str = "Cache of credentials and users, which answers most auth requests without the store.";
const SHUTDOWN: &str = "Graceful shutdown after SIGTERM. Both durations are counted from the signal.";
const LISTEN: &str = "Addresses of the listeners. Port 0 selects a free port.";

const CONTACT: Field =
    field("contact", "Contact for access requests, as shown on the pages: a team, an email address, a channel.");

const ADMIN_ROLES: Field = field("admin_roles", "Roles that may manage users, invitations and all users' keys.").unset("none");

const ROLE: Kind<Role> = Kind { name: "role", parse: |text| values::name(text).map(Role::new) };

const REPLICAS: Field =
    field("replicas", "Number of replicas. It is only used to refuse the memory store with more than one replica.");

const WORKERS: Field = field("workers", "HTTP worker threads per listener.").unset("the number of CPU cores");

const MAX_CONNECTIONS: Field =
    field("max_connections", "Maximum number of open connections per worker of a listener. Further connections wait.");

const CONNECTION_COUNT: Kind<usize> = Kind { name: "number", parse: |text| values::count(text, 1..=1_000_000) };

const TRUSTED_PROXIES: Field = field(
    "trusted_proxies",
    "Networks of the gateways whose `X-Forwarded-For` is trusted, such as `[10.0.0.0/8]`. An IPv4 network also matches IPv4 \
         connections to a listener on `[::]`.",
)
.unset("none");

const KEY_RING: SecretFields = SecretFields {
    inline: field("key_ring", "Inline key ring. Prefer `key_ring_file`."),
    file: field(
        "key_ring_file",
        "File with one 32-byte key in base64url per line, as `vestibule key-ring new` prints it. The first key is the primary \
         key, which encrypts; all keys decrypt. Read again when it changes. Required with Redis.",
    ),
    check: key_ring,
};

const REPLICA_COUNT: Kind<u32> = Kind { name: "number", parse: |text| values::count(text, 1..=1000) };

const WORKER_COUNT: Kind<usize> = Kind { name: "number", parse: |text| values::count(text, 1..=256) };

fn read_connections(root: &mut Section<'_>) -> Option<ConnectionLimits> {
    let workers = root.optional(WORKERS, &WORKER_COUNT);
    let max_connections = root.or_default(MAX_CONNECTIONS, &CONNECTION_COUNT, "4096");
    Some(ConnectionLimits { workers: workers?.unwrap_or_else(cpu_cores), max_connections: max_connections? })
}

fn cpu_cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Browsers reach a public host through a gateway, whose address all of them would share.
fn proxies_warning(public_url: &PublicUrl, trusted_proxies: &[ProxyNetwork]) -> Option<String> {
    let is_missing = trusted_proxies.is_empty() && !public_url.is_loopback();
    is_missing.then(|| {
        "trusted_proxies: is not set, so there are no limits per client address, and one client can use up the limits of all \
         others; set the gateway's networks"
            .to_owned()
    })
}

/// Checks that the store and the key ring suit the number of replicas.
fn check_sharing(
    root: &mut Section<'_>,
    scope: Option<StoreScope>,
    replicas: Option<u32>,
    has_key_ring: Option<bool>,
) -> Option<()> {
    match scope? {
        StoreScope::OneReplica if replicas? > 1 => {
            root.complain(
                "replicas",
                "needs a store that all replicas share; set `store.url` to a Redis URL, or `replicas` to 1",
            );
            None
        }
        StoreScope::AllReplicas if !has_key_ring? => {
            root.complain(
                "key_ring_file",
                "is required with Redis: all replicas encrypt records with it; `vestibule key-ring new` prints a key for the file",
            );
            None
        }
        _ => Some(()),
    }
}

fn read_listen(section: &mut Section<'_>, known: &mut Option<SocketAddr>, warnings: &mut Vec<String>) -> Option<Listen> {
    // Remove in 0.3.0.
    warnings.extend(section.take_obsolete("grpc", "off"));
    let public =
        section.or_default(field("public", "Browsers and API clients, through the gateway."), &values::ADDRESS, "127.0.0.1:4180");
    let check = section.or_default(
        field(
            "check",
            "Auth requests from the gateway. Only the gateway may reach it, because responses contain the upstream credential.",
        ),
        &values::ADDRESS,
        "127.0.0.1:4181",
    );
    let admin = section.or_default(field("admin", "`/metrics`, `/livez` and `/readyz`."), &values::ADDRESS, "127.0.0.1:4182");
    *known = public;
    let (public, check, admin) = (public?, check?, admin?);
    check_addresses_differ(section, [("public", public), ("check", check), ("admin", admin)])?;
    Some(Listen { public, check, admin })
}

/// Checks that listeners have different addresses. Otherwise the start would fail without naming them.
fn check_addresses_differ(section: &mut Section<'_>, listeners: [(&'static str, SocketAddr); 3]) -> Option<()> {
    let mut result = Some(());
    for (index, (name, address)) in listeners.iter().enumerate() {
        if let Some((other, _)) = listeners[..index].iter().find(|(_, other)| is_same_address(*address, *other)) {
            section.complain(name, format!("{address} is also the address of `listen.{other}`; each listener needs its own"));
            result = None;
        }
    }
    result
}

fn is_same_address(a: SocketAddr, b: SocketAddr) -> bool {
    let (one, other) = (a.ip().to_canonical(), b.ip().to_canonical());
    let same_host = one == other || one.is_unspecified() || other.is_unspecified();
    a.port() != 0 && a.port() == b.port() && same_host
}

/// Returns the top level's proxy as well. It is none if its fields have mistakes, which are reported with all others.
fn read_providers(root: &mut Section<'_>) -> (ProxyFields, Option<Vec<ProviderSettings>>) {
    let proxy = http_proxy::read_top_level(root).unwrap_or_default();
    let providers = provider::read_all(root, &proxy);
    (proxy, providers)
}

/// Returns the providers with the claims that the token issuers need.
fn read_token_issuers(
    root: &mut Section<'_>,
    public_url: Option<&PublicUrl>,
    proxy: &ProxyFields,
    providers: Option<Vec<ProviderSettings>>,
    warnings: &mut Vec<String>,
) -> (Option<Vec<ProviderSettings>>, Option<Vec<IssuerSettings>>) {
    let context = ValidationContext { public_url, providers: providers.as_deref(), proxy };
    let mut earlier = EarlierIssuers::default();
    let issuers =
        root.sections("token_issuers", token_issuer::DOC, |section| token_issuer::read(section, &context, &mut earlier));
    let providers = providers.map(|providers| token_issuer::relate(providers, issuers.as_deref(), warnings));
    (providers, issuers)
}

/// Returns the providers with the claim that links the directory's users.
fn read_scim(
    root: &mut Section<'_>,
    providers: Option<Vec<ProviderSettings>>,
) -> (Option<Vec<ProviderSettings>>, Option<Option<ScimDirectory>>) {
    let directory = root.section("scim", scim::DOC, |section| scim::read(section, providers.as_deref()));
    let providers = providers.map(|providers| scim::relate(providers, directory.as_ref().and_then(Option::as_ref)));
    (providers, directory)
}

fn read_local_accounts(root: &mut Section<'_>, providers: Option<&[ProviderSettings]>) -> Option<LocalAccounts> {
    root.section("local_accounts", local_accounts::DOC, |section| {
        local_accounts::read(section, providers.map(|providers| !providers.is_empty()))
    })
}

fn read_apps(root: &mut Section<'_>, keys: Option<&KeySettings>) -> Option<AppKeySettings> {
    let longest = keys.map(|keys| keys.max_duration);
    root.section("apps", app_keys::DOC, |section| app_keys::read(section, longest))
}

fn read_upstream_headers(
    root: &mut Section<'_>,
    public_url: Option<&PublicUrl>,
) -> (Option<UpstreamCredentialSettings>, Option<HeaderEncoding>) {
    let credentials =
        root.section("upstream_credential", upstream_credential::DOC, |section| upstream_credential::read(section, public_url));
    (credentials, root.section("identity_headers", identity_headers::DOC, identity_headers::read))
}

/// Returns the names that the role map may refer to. Names of a section with mistakes are not checked.
fn configured_names(
    providers: Option<Vec<String>>,
    upstream: Option<&UpstreamCredentialSettings>,
    directory: Option<&Option<ScimDirectory>>,
) -> ConfiguredNames {
    let upstream_credentials = upstream.map(UpstreamCredentialSettings::names);
    let provisioned_providers = directory.map(|directory| scim::provisioned_providers(directory.as_ref()));
    ConfiguredNames { providers, provisioned_providers, upstream_credentials, ..ConfiguredNames::default() }
}

/// Returns the sources of claims that role map rules may name. `None` if one of the sections has mistakes.
fn claim_sources(
    providers: Option<&[ProviderSettings]>,
    issuers: Option<&[IssuerSettings]>,
    local: Option<&LocalAccounts>,
) -> Option<Vec<String>> {
    Some(super::claim_sources(providers?, issuers?, local?))
}

fn read_logins_and_sessions(root: &mut Section<'_>) -> (Option<LoginFlowSettings>, Option<Limits>) {
    let logins = root.section("logins", "Logins at an identity provider.", read_logins);
    (logins, root.section("sessions", "Lifetime and number of sessions.", read_sessions))
}

fn read_logins(section: &mut Section<'_>) -> Option<LoginFlowSettings> {
    let max_pending = section.or_default(
        field(
            "max_pending",
            "Maximum number of login flows that the store holds at the same time, from 1000. Further logins are refused with 503, \
             without regard to client addresses; callbacks are not. Each of the 64 shards has an equal share, so that refusals \
             can begin somewhat below the maximum. A flow needs up to 1 KB.",
        ),
        &Kind { name: "number", parse: |text| values::count(text, 1_000..=100_000_000) },
        "100000",
    );
    Some(LoginFlowSettings { max_pending: max_pending? })
}

fn read_sessions(section: &mut Section<'_>) -> Option<Limits> {
    let idle = section.or_default(
        field("idle", "Idle timeout: a session ends when it has not been used for this long."),
        &SESSION_LIMIT,
        "12h",
    );
    let absolute =
        section.or_default(field("absolute", "Maximum lifetime: a session ends this long after sign-in."), &SESSION_LIMIT, "7d");
    let max_per_user = section.or_default(
        field("max_per_user", "Maximum number of sessions of a user. A further sign-in ends the oldest one."),
        &Kind { name: "number", parse: |text| values::count(text, 1..=500) },
        "100",
    );
    let (idle, absolute, max_per_user) = (idle?, absolute?, max_per_user?);
    if idle > absolute {
        let (name, text) = if section.is_given("idle") {
            ("idle", "must not be longer than `sessions.absolute`, which ends the session anyway")
        } else {
            ("absolute", "must not be shorter than `sessions.idle`, which is 12h unless it is set")
        };
        section.complain(name, text);
        return None;
    }
    Some(Limits { idle, absolute, max_per_user })
}

const SESSION_LIMIT: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| {
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(365 * 86_400));
        let reason = "must be from 1s to 365d";
        values::duration(text, least, most, reason)
    },
};

fn read_cache(section: &mut Section<'_>) -> Option<CacheSettings> {
    let revocation_grace = section.or_default(
        field(
            "revocation_grace",
            "Grace period of stale serving: in an outage of the store, cached data is served for this long after its last \
             verification. A revocation may take effect this much later. From 6s to 1h.",
        ),
        &GRACE,
        "60s",
    );
    let entries = section.or_default(
        field("entries", "Maximum number of cached credentials. A session and its user need 2.5 KB, more with larger claims."),
        &Kind { name: "number", parse: |text| values::count(text, 100..=10_000_000) },
        "100000",
    );
    Some(CacheSettings { revocation_grace: revocation_grace?, entries: entries? })
}

const GRACE: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| {
        let (least, most) = (Duration::from_secs(6), Duration::from_secs(3600));
        let reason = "must be from 6s to 1h: the failover of a cluster takes about 3.5s, and a revoked session can be \
                      served for this long in an outage";
        values::duration(text, least, most, reason)
    },
};

fn read_log(section: &mut Section<'_>) -> Option<Log> {
    let format = section.or_default(field("format", "`text` for humans, `json` for machines."), &FORMAT, "text");
    let level = section.or_default(
        field(
            "level",
            "`error`, `warn`, `info`, `debug`, `trace`, or a filter such as `vestibule=debug,info`. \
         `info,actix_http::h1::dispatcher=error` also shows each malformed request.",
        ),
        &LEVEL,
        "info",
    );
    Some(Log { format: format?, level: level? })
}

const LEVEL: Kind<String> = Kind {
    name: values::NAME.name,
    parse: |text| {
        (values::NAME.parse)(text)?;
        let filter = tracing_subscriber::EnvFilter::try_new(text);
        filter.map(|_| text.to_owned()).map_err(|error| format!("is not a valid filter: {error}"))
    },
};

const FORMAT: Kind<LogFormat> = Kind {
    name: "`text` or `json`",
    parse: |text| values::choice(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)]),
};

fn read_shutdown(section: &mut Section<'_>) -> Option<Shutdown> {
    let delay = section.or_default(
        field(
            "delay",
            "Time in which requests are still accepted after `/readyz` fails, so that gateways can stop sending them.",
        ),
        &Kind { name: "duration", parse: |text| shutdown_limit(text, Duration::ZERO) },
        "5s",
    );
    let deadline = section.or_default(
        field(
            "deadline",
            "Time after which remaining requests are aborted. Keep it below the pod's `terminationGracePeriodSeconds`.",
        ),
        &Kind { name: "duration", parse: |text| shutdown_limit(text, Duration::from_secs(1)) },
        "30s",
    );
    let (delay, deadline) = (delay?, deadline?);
    if delay >= deadline {
        let (name, text) = if section.is_given("delay") {
            ("delay", "must be shorter than `shutdown.deadline`, so that requests have time to finish")
        } else {
            ("deadline", "must be longer than `shutdown.delay`, which is 5s unless it is set")
        };
        section.complain(name, text);
        return None;
    }
    Some(Shutdown { delay, deadline })
}

fn shutdown_limit(text: &str, least: Duration) -> Result<Duration, String> {
    let reason = format!("must be from {}s to 1h", least.as_secs());
    values::duration(text, least, Duration::from_secs(3600), &reason)
}
