//! The top level of the configuration and its small sections, and the rules between sections.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::secrets::{SecretFields, key_ring};
use super::store::Reach;
use super::token_issuer::{Before, Surroundings};
use super::{
    Cache, Config, ConfigMapSource, Format, Listen, LocalAccounts, Log, Provider, RoleMapSource, Sessions, Shutdown, TokenIssuer,
    UpstreamCredentials, apps, keys, local_accounts, provider, rate_limits, store, token_issuer, ui, upstream_credential, values,
};
use crate::origin::PublicUrl;
use crate::principal::Role;
use crate::roles::{Configured, RoleMap};
use crate::yaml::decode::{Declaration, Field, Kind, Section, describe, field};
use crate::yaml::shown;

/// Every section is read before any is asked for, so that all mistakes are found.
pub fn read(root: &mut Section<'_>, warnings: &mut Vec<String>) -> Option<Config> {
    let public_url = root.optional(PUBLIC_URL, &values::PUBLIC_URL);
    let contact = root.or_default(CONTACT, &values::NAME, "your administrator");
    let replicas = root.or_default(REPLICAS, &REPLICA_COUNT, "1");
    let workers = root.optional(WORKERS, &WORKER_COUNT);
    let max_connections = root.or_default(MAX_CONNECTIONS, &CONNECTION_COUNT, "4096");
    let trusted_proxies = root.list(TRUSTED_PROXIES, &values::NETWORK, &[]);
    let rate_limits = root.section("rate_limits", rate_limits::DOC, rate_limits::read);
    let key_ring = root.secret(&KEY_RING);
    let mut public = None;
    let listen = root.section("listen", LISTEN, |section| read_listen(section, &mut public, warnings));
    let mut reach = None;
    let store = root.section("store", store::DOC, |section| store::read(section, &mut reach));
    let providers = read_providers(root);
    let public_url = public_url.and_then(|url| default_public_url(root, url, public));
    let token_issuers = read_token_issuers(root, public_url.as_ref(), providers.as_deref());
    let sessions = root.section("sessions", "How long people stay signed in.", read_sessions);
    let cache = root.section("cache", "What a check may answer without asking the store.", read_cache);
    let admin_roles = root.list(ADMIN_ROLES, &ROLE, &["proxy_admin"]);
    let keys = root.section("keys", keys::DOC, |section| keys::read(section, admin_roles.as_deref()));
    let local_accounts = root.section("local_accounts", local_accounts::DOC, |section| {
        local_accounts::read(section, providers.as_ref().map(|providers| !providers.is_empty()))
    });
    let upstream_credential = root.section("upstream_credential", upstream_credential::DOC, |section| {
        upstream_credential::read(section, public_url.as_ref())
    });
    // A section with mistakes is not known here.
    let configured = Configured {
        providers: claims_of(providers.as_deref(), token_issuers.as_deref(), local_accounts.as_ref()),
        upstream_credentials: upstream_credential.as_ref().map(UpstreamCredentials::names),
    };
    let role_map = root.section("role_map", ROLE_MAP, |section| read_role_map(section, &configured));
    let apps = root.section("apps", apps::DOC, apps::read);
    let ui = root.section("ui", ui::DOC, ui::read);
    let log = root.section("log", "The log, on standard error.", read_log);
    let shutdown = root.section("shutdown", "What happens after SIGTERM. Both are counted from the signal.", read_shutdown);
    check_sharing(root, reach, replicas, key_ring.as_ref().map(Option::is_some))?;
    Some(Config {
        public_url: public_url?,
        listen: listen?,
        contact: contact?,
        replicas: replicas?,
        workers: workers?.unwrap_or_else(cores),
        max_connections: max_connections?,
        trusted_proxies: trusted_proxies?,
        rate_limits: rate_limits?,
        store: store?,
        key_ring: key_ring?,
        providers: providers?,
        token_issuers: token_issuers?,
        sessions: sessions?,
        cache: cache?,
        keys: keys?,
        admin_roles: admin_roles?,
        local_accounts: local_accounts?,
        role_map: role_map?,
        upstream_credential: upstream_credential?,
        apps: apps?,
        ui: ui?,
        log: log?,
        shutdown: shutdown?,
    })
}

pub fn declarations() -> Vec<Declaration> {
    describe(|root| read(root, &mut Vec::new()))
}

const LISTEN: &str = "Addresses to listen on; port 0 takes a free one.";

const ROLE_MAP: &str = "The document that turns claims into roles.";

const PUBLIC_URL: Field = field(
    "public_url",
    "The one origin that browsers see, without a path. `https://` makes cookies Secure and `__Host-`; `http://` is \
     for loopback hosts.",
)
.unset("`http://` and `listen.public`");

const CONTACT: Field = field("contact", "Whom people ask for access, as the pages say it: a team, an email address, a channel.");

const ADMIN_ROLES: Field =
    field("admin_roles", "Roles whose holders manage people, their invitations and everybody's keys.").unset("nobody's");

const ROLE: Kind<Role> = Kind { name: "role", parse: |text| values::name(text).map(Role::new) };

const REPLICAS: Field = field("replicas", "How many copies run; only to refuse a memory store that they would not share.");

const WORKERS: Field = field("workers", "HTTP worker threads of each listener.").unset("the cores");

const MAX_CONNECTIONS: Field =
    field("max_connections", "Open connections of one worker of a listener; further ones wait until one ends.");

const CONNECTION_COUNT: Kind<usize> = Kind { name: "number", parse: |text| values::count(text, 1..=1_000_000) };

const TRUSTED_PROXIES: Field =
    field("trusted_proxies", "Whose `X-Forwarded-For` is believed: the gateway's addresses, such as `[10.0.0.0/8]`.")
        .unset("nobody's");

const KEY_RING: SecretFields = SecretFields {
    inline: field("key_ring", "The key ring's text, if it must stand here."),
    file: field(
        "key_ring_file",
        "A file with one base64url 32-byte key a line, as `vestibule key-ring new` prints it: the first seals, every \
         one opens. Re-read when it changes. Required with Redis.",
    ),
    check: key_ring,
};

const REPLICA_COUNT: Kind<u32> = Kind { name: "number", parse: |text| values::count(text, 1..=1000) };

const WORKER_COUNT: Kind<usize> = Kind { name: "number", parse: |text| values::count(text, 1..=256) };

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn default_public_url(root: &mut Section<'_>, given: Option<PublicUrl>, listen: Option<SocketAddr>) -> Option<PublicUrl> {
    if given.is_some() {
        return given;
    }
    let url = PublicUrl::parse(&format!("http://{}", listen?)).ok();
    if url.is_none() {
        root.complain("public_url", "is required when `listen.public` is no loopback address: write what browsers see");
    }
    url
}

/// What several replicas, or one and its Redis, need of each other.
fn check_sharing(root: &mut Section<'_>, reach: Option<Reach>, replicas: Option<u32>, has_key_ring: Option<bool>) -> Option<()> {
    match reach? {
        Reach::OneReplica if replicas? > 1 => {
            root.complain(
                "replicas",
                "needs a store that all of them share: a login that one began, another could not finish; \
                 set `store.url` to a Redis, or `replicas` to 1",
            );
            None
        }
        Reach::EveryReplica if !has_key_ring? => {
            root.complain(
                "key_ring_file",
                "is required with Redis: records are sealed with it, on every replica alike; \
                 `vestibule key-ring new` prints a key to put into the file",
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
        section.or_default(field("public", "Browsers and programs, through the gateway."), &values::ADDRESS, "127.0.0.1:4180");
    let check = section.or_default(
        field("check", "The gateway's questions. Only the gateway may reach it: an answer holds the upstream's credential."),
        &values::ADDRESS,
        "127.0.0.1:4181",
    );
    let admin = section.or_default(field("admin", "`/metrics`, `/livez` and `/readyz`."), &values::ADDRESS, "127.0.0.1:4182");
    *known = public;
    let (public, check, admin) = (public?, check?, admin?);
    check_apart(section, [("public", public), ("check", check), ("admin", admin)])?;
    Some(Listen { public, check, admin })
}

/// Two listeners on one port would fail at the start with a message that names neither.
fn check_apart(section: &mut Section<'_>, listeners: [(&'static str, SocketAddr); 3]) -> Option<()> {
    let mut apart = Some(());
    for (index, (name, address)) in listeners.iter().enumerate() {
        if let Some((other, _)) = listeners[..index].iter().find(|(_, other)| overlap(*address, *other)) {
            section.complain(name, format!("{address} is `listen.{other}`'s address too; each needs its own"));
            apart = None;
        }
    }
    apart
}

fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_host = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && same_host
}

fn read_providers(root: &mut Section<'_>) -> Option<Vec<Provider>> {
    let mut ids = Vec::new();
    root.sections("providers", provider::DOC, |section| provider::read(section, &mut ids))
}

fn read_token_issuers(
    root: &mut Section<'_>,
    public_url: Option<&PublicUrl>,
    providers: Option<&[Provider]>,
) -> Option<Vec<TokenIssuer>> {
    let (around, mut before) = (Surroundings { public_url, providers }, Before::default());
    root.sections("token_issuers", token_issuer::DOC, |section| token_issuer::read(section, &around, &mut before))
}

/// Whose claims rules may name.
fn claims_of(
    providers: Option<&[Provider]>,
    issuers: Option<&[TokenIssuer]>,
    local: Option<&LocalAccounts>,
) -> Option<Vec<String>> {
    Some(super::claims_of(providers?, issuers?, local?.enabled))
}

fn read_sessions(section: &mut Section<'_>) -> Option<Sessions> {
    let idle = section.or_default(field("idle", "Who hasn't been seen for so long signs in again."), &SESSION_LIMIT, "12h");
    let absolute =
        section.or_default(field("absolute", "So long after signing in everybody signs in again."), &SESSION_LIMIT, "7d");
    let (idle, absolute) = (idle?, absolute?);
    if idle > absolute {
        let (name, text) = if section.is_given("idle") {
            ("idle", "must not be longer than `sessions.absolute`, which ends the session anyway")
        } else {
            ("absolute", "must not be shorter than `sessions.idle`, which is 12h unless it is set")
        };
        section.complain(name, text);
        return None;
    }
    Some(Sessions { idle, absolute })
}

const SESSION_LIMIT: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| {
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(365 * 86_400));
        let reason = "must be from 1s to 365d: at least a request must fit in, and who left a year ago must not get in";
        values::duration(text, least, most, reason)
    },
};

fn read_cache(section: &mut Section<'_>) -> Option<Cache> {
    let revocation_grace = section.or_default(
        field(
            "revocation_grace",
            "How long checks go on with what was last proven while the store is away; so long a sign-out may then \
             stay unseen. At least 6s.",
        ),
        &GRACE,
        "60s",
    );
    let entries = section.or_default(
        field("entries", "How many credentials are remembered. A session and its person take 2.5 KB, more with larger claims."),
        &Kind { name: "number", parse: |text| values::count(text, 100..=10_000_000) },
        "100000",
    );
    Some(Cache { revocation_grace: revocation_grace?, entries: entries? })
}

const GRACE: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| {
        let (least, most) = (Duration::from_secs(6), Duration::from_secs(3600));
        let reason = "must be from 6s to 1h: losing one primary stops a cluster's client for about 3.5s, which must \
                      not refuse everybody; and so long a revoked session may be served in an outage";
        values::duration(text, least, most, reason)
    },
};

/// The document is judged here, so that its mistakes come with all the others.
fn read_role_map(section: &mut Section<'_>, configured: &Configured) -> Option<RoleMapSource> {
    let meant = section.not_without_value("file");
    let file = section.optional(
        field("file", "The role map; watched. It must be there at the start; a later edit that is bad, or a file that is gone, leaves the last good one in force.").unset("a default map"),
        &values::FILE,
    );
    let config_map = section.section("config_map", "A ConfigMap with the role map, watched; instead of `file`.", read_config_map);
    let fragments = section.section("fragments", "ConfigMaps that are merged into `config_map`'s.", |section| {
        section.optional(
            field("selector", "Selects them by labels, in the same namespace: `vestibule/role-map=fragment`.").unset("none"),
            &values::NAME,
        )
    });
    if let Some(Some(path)) = &file {
        let wrong = role_map_mistakes(path, configured);
        wrong.into_iter().for_each(|wrong| section.complain("file", wrong));
    }
    meant?;
    match (file?, config_map?, fragments?) {
        (Some(_), Some(_), _) => {
            section.complain("config_map", "stands beside `file`; take one of them out");
            None
        }
        (_, None, Some(_)) => {
            section.complain("fragments", "needs `config_map`, into which they are merged");
            None
        }
        (_, Some((name, namespace, key)), fragments) => {
            Some(RoleMapSource::ConfigMap(ConfigMapSource { name, namespace, key, fragments }))
        }
        (Some(path), None, None) => Some(RoleMapSource::File(path)),
        (None, None, None) => Some(RoleMapSource::BuiltIn),
    }
}

type ConfigMapPlace = (String, Option<String>, String);

/// `None` inside where no ConfigMap is named.
fn read_config_map(section: &mut Section<'_>) -> Option<Option<ConfigMapPlace>> {
    let meant = section.not_without_value("name");
    let name = section.optional(field("name", "Its name.").unset("no ConfigMap"), &OBJECT_NAME);
    let namespace = section.optional(field("namespace", "Its namespace.").unset("the pod's own"), &OBJECT_NAME);
    let key = section.or_default(field("key", "The key of the document in it."), &values::NAME, "roles.yaml");
    meant?;
    let (name, namespace, key) = (name?, namespace?, key?);
    if name.is_none() && (namespace.is_some() || section.is_given("key")) {
        section.complain("name", "is required");
        return None;
    }
    Some(name.map(|name| (name, namespace, key)))
}

/// A DNS subdomain name, as Kubernetes wants it.
const OBJECT_NAME: Kind<String> = Kind {
    name: "name",
    parse: |text| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        let ends = |edge: Option<&u8>| edge.is_some_and(u8::is_ascii_alphanumeric);
        let good =
            text.len() <= 253 && text.bytes().all(allowed) && ends(text.as_bytes().first()) && ends(text.as_bytes().last());
        if good { Ok(text.to_owned()) } else { Err("must be a name of Kubernetes: up to 253 of a-z, 0-9, - and .".to_owned()) }
    },
};

fn role_map_mistakes(path: &Path, configured: &Configured) -> Vec<String> {
    let judged = match std::fs::read_to_string(path) {
        Err(error) => return vec![format!("{} can't be read: {error}", shown(&path.to_string_lossy()))],
        Ok(text) => RoleMap::parse(&text).and_then(|map| map.check_configured(configured)),
    };
    judged.err().map(|mistakes| mistakes.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

fn read_log(section: &mut Section<'_>) -> Option<Log> {
    let format = section.or_default(field("format", "For people, or for machines."), &FORMAT, "text");
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
        filter.map(|_| text.to_owned()).map_err(|error| format!("is no filter: {error}"))
    },
};

const FORMAT: Kind<Format> =
    Kind { name: "`text` or `json`", parse: |text| values::choice(text, &[("text", Format::Text), ("json", Format::Json)]) };

fn read_shutdown(section: &mut Section<'_>) -> Option<Shutdown> {
    let delay = section.or_default(
        field("delay", "How long requests are still accepted once `/readyz` fails, while the gateway learns of it."),
        &Kind { name: "duration", parse: |text| shutdown_limit(text, Duration::ZERO) },
        "5s",
    );
    let deadline = section.or_default(
        field("deadline", "When what is still running is cut off. Keep it below the pod's `terminationGracePeriodSeconds`."),
        &Kind { name: "duration", parse: |text| shutdown_limit(text, Duration::from_secs(1)) },
        "30s",
    );
    let (delay, deadline) = (delay?, deadline?);
    if delay >= deadline {
        let (name, text) = if section.is_given("delay") {
            ("delay", "must be shorter than `shutdown.deadline`, or nothing has time to finish")
        } else {
            ("deadline", "must be longer than `shutdown.delay`, which is 5s unless it is set")
        };
        section.complain(name, text);
        return None;
    }
    Some(Shutdown { delay, deadline })
}

fn shutdown_limit(text: &str, least: Duration) -> Result<Duration, String> {
    let reason = format!("must be from {}s to 1h: after that the pod has been killed anyway", least.as_secs());
    values::duration(text, least, Duration::from_secs(3600), &reason)
}
