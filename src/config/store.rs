//! The `store` section: memory for one replica, or Redis that all replicas share.

use std::time::Duration;

use rustls::pki_types::ServerName;

use super::secrets::{SecretFields, one_line};
use super::values;
use crate::store::{ClientCertificateFiles, RedisSettings, RedisUrl, TlsError, TlsSettings, Topology};
use crate::yaml::decode::{Kind, Section, field};

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a process has one of it")]
pub enum StoreConfig {
    Memory,
    Redis(RedisSettings),
}

pub const DOC: &str = "Storage of login flows, sessions, users and keys. All fields except `url` are for Redis only.";

/// Fields that have no effect with the memory store.
const REDIS_ONLY: [&str; 12] = [
    "username",
    "password",
    "password_file",
    "sentinel_username",
    "sentinel_password",
    "sentinel_password_file",
    "key_prefix",
    "ca_file",
    "cert_file",
    "key_file",
    "tls_server_name",
    "command_timeout",
];
const TLS_ONLY: [&str; 4] = ["ca_file", "cert_file", "key_file", "tls_server_name"];
const SENTINEL_ONLY: [&str; 3] = ["sentinel_username", "sentinel_password", "sentinel_password_file"];

/// The replicas that share the store. It depends only on the URL, so that it is known even if other fields have mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreScope {
    OneReplica,
    AllReplicas,
}

pub fn read(section: &mut Section<'_>, scope: &mut Option<StoreScope>) -> Option<StoreConfig> {
    let url = section.or_default(
        field(
            "url",
            "`memory` for one replica. For Redis `redis://host:port/database`, \
             `redis-sentinel://host:port,host:port/master/database` or `redis-cluster://host:port,host:port`; \
             with TLS `rediss://`, `rediss-sentinel://` or `rediss-cluster://`. It must not contain a password.",
        ),
        &URL,
        "memory",
    );
    *scope = url.as_ref().map(|target| match target {
        StoreUrl::Memory => StoreScope::OneReplica,
        StoreUrl::Redis(_) => StoreScope::AllReplicas,
    });
    let username = section.optional(field("username", "ACL user of Redis.").unset("the default user"), &values::NAME);
    let password = section.secret(&PASSWORD);
    let sentinel_username = section.optional(field("sentinel_username", "ACL user of the Sentinels."), &values::NAME);
    let sentinel_password = section.secret(&SENTINEL_PASSWORD);
    let key_prefix = section.or_default(
        field("key_prefix", "Prefix of all keys and channels. It must be the same on all replicas."),
        &KEY_PREFIX,
        "vestibule:",
    );
    let tls = read_tls(section);
    let command_timeout = section.or_default(
        field("command_timeout", "Timeout of a Redis command, after which the store counts as unavailable."),
        &COMMAND_TIMEOUT,
        "300ms",
    );
    let url = url.and_then(|url| check_companions(section, url));
    let StoreUrl::Redis(url) = url? else {
        return Some(StoreConfig::Memory);
    };
    let tls = tls.map(|tls| url.tls.then_some(tls));
    Some(StoreConfig::Redis(RedisSettings {
        url,
        username: username?,
        password: password?,
        sentinel_username: sentinel_username?,
        sentinel_password: sentinel_password?,
        key_prefix: key_prefix?,
        tls: tls?,
        command_timeout: command_timeout?,
    }))
}

fn read_tls(section: &mut Section<'_>) -> Option<TlsSettings> {
    let ca_file = section.optional(
        field("ca_file", "PEM file with the CA certificates that are trusted for Redis.").unset("the system's CA certificates"),
        &values::CA_FILE,
    );
    let certificate = section.optional(
        field("cert_file", "PEM file with the client certificate and its chain. Read again when it changes, with `key_file`."),
        &values::FILE,
    );
    let key = section.optional(field("key_file", "PEM file with the key of `cert_file`."), &values::FILE);
    let server_name = section.optional(
        field(
            "tls_server_name",
            "Name that the servers' certificates must have, for servers that announce addresses which are not in their certificates.",
        )
        .unset("the host name or address of each connection"),
        &SERVER_NAME,
    );
    let client_certificate = match (certificate?, key?) {
        (Some(certificate), Some(key)) => Some(read_certificate(section, ClientCertificateFiles { certificate, key })?),
        (None, None) => None,
        (Some(_), None) => {
            section.complain("cert_file", "requires `key_file`");
            return None;
        }
        (None, Some(_)) => {
            section.complain("key_file", "requires `cert_file`");
            return None;
        }
    };
    Some(TlsSettings { ca_file: ca_file?, client_certificate, server_name: server_name? })
}

fn read_certificate(section: &mut Section<'_>, files: ClientCertificateFiles) -> Option<ClientCertificateFiles> {
    match files.read() {
        Ok(_) => Some(files),
        Err(error) => {
            let name = if matches!(error, TlsError::Certificate { .. }) { "cert_file" } else { "key_file" };
            section.complain(name, error.problem());
            None
        }
    }
}

enum StoreUrl {
    Memory,
    Redis(RedisUrl),
}

const URL: Kind<StoreUrl> = Kind {
    name: "`memory` or URL",
    parse: |text| match text {
        "memory" => Ok(StoreUrl::Memory),
        _ => RedisUrl::parse(text).map(StoreUrl::Redis).map_err(|error| error.to_string()),
    },
};

const SERVER_NAME: Kind<ServerName<'static>> = Kind {
    name: "host name",
    parse: |text| ServerName::try_from(text.to_owned()).map_err(|_| "must be a host name or an IP address".to_owned()),
};

const KEY_PREFIX: Kind<String> = Kind { name: "text", parse: key_prefix };

const COMMAND_TIMEOUT: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| {
        let (least, most) = (Duration::from_millis(10), Duration::from_secs(10));
        let reason = "must be from 10ms to 10s";
        values::duration(text, least, most, reason)
    },
};

const PASSWORD: SecretFields = SecretFields {
    inline: field("password", "Inline password. Prefer `password_file`."),
    file: field("password_file", "File with the password. Read again when it changes."),
    check: one_line,
};

const SENTINEL_PASSWORD: SecretFields = SecretFields {
    inline: field("sentinel_password", "Inline password of the Sentinels. Prefer `sentinel_password_file`."),
    file: field("sentinel_password_file", "File with the password of the Sentinels. Read again when it changes."),
    check: one_line,
};

/// Rejects fields that would have no effect, often because `url` was forgotten.
fn check_companions(section: &mut Section<'_>, target: StoreUrl) -> Option<StoreUrl> {
    let mut reject = |names: &[&'static str], text: &str| {
        let given: Vec<_> = names.iter().copied().filter(|name| section.is_given(name)).collect();
        for name in &given {
            section.complain(name, text);
        }
        given.is_empty()
    };
    let fits = match &target {
        StoreUrl::Memory => reject(&REDIS_ONLY, "has no effect with the memory store; set `store.url` or remove it"),
        StoreUrl::Redis(url) => {
            let sentinel = matches!(url.topology, Topology::Sentinel { .. })
                || reject(&SENTINEL_ONLY, "requires a redis-sentinel:// or rediss-sentinel:// URL");
            let tls = url.tls || reject(&TLS_ONLY, "requires TLS, as in rediss://");
            sentinel && tls
        }
    };
    fits.then_some(target)
}

fn key_prefix(text: &str) -> Result<String, String> {
    const LONGEST: usize = 64;
    let is_forbidden = |c: char| c.is_whitespace() || c.is_control() || "{}*?[]\\".contains(c);
    match text {
        "" => Err("must not be empty: it separates Vestibule's keys from those of other applications".to_owned()),
        _ if text.len() > LONGEST => Err(format!("must not be longer than {LONGEST} bytes")),
        _ if text.contains(is_forbidden) => {
            Err("must contain no white space, control characters, braces (they would decide the cluster's slots) \
                 and none of * ? [ ] \\ (ACL patterns read them)"
                .to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}
