//! The `store` section: memory for one replica, or a Redis that all replicas share.

use std::path::PathBuf;
use std::time::Duration;

use super::redis_url::{RedisUrl, Topology};
use super::secrets::{Secret, SecretFields, one_line};
use super::values;
use crate::yaml::decode::{Kind, Section, field};

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a process has one of it")]
pub enum Store {
    Memory,
    Redis(Redis),
}

#[derive(Clone, Debug)]
pub struct Redis {
    pub url: RedisUrl,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub sentinel_username: Option<String>,
    pub sentinel_password: Option<Secret>,
    pub key_prefix: String,
    pub ca_file: Option<PathBuf>,
    pub command_timeout: Duration,
}

pub const DOC: &str = "Where logins, sessions and people live. What follows `url` is for Redis only.";

/// What is written there is of no use to the memory store.
const REDIS_ONLY: [&str; 9] = [
    "username",
    "password",
    "password_file",
    "sentinel_username",
    "sentinel_password",
    "sentinel_password_file",
    "key_prefix",
    "ca_file",
    "command_timeout",
];
const SENTINEL_ONLY: [&str; 3] = ["sentinel_username", "sentinel_password", "sentinel_password_file"];

/// Who shares what is in the store. It is known as soon as the URL is, whatever else is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    OneReplica,
    EveryReplica,
}

pub fn read(section: &mut Section<'_>, reach: &mut Option<Reach>) -> Option<Store> {
    let url = section.or_default(
        field(
            "url",
            "`memory` serves one replica. Otherwise `redis://host:port/database`, \
             `redis-sentinel://host:port,host:port/master` or `redis-cluster://host:port,host:port`; \
             with TLS `rediss://`, `rediss-sentinel://`, `rediss-cluster://`. It holds no password.",
        ),
        &URL,
        "memory",
    );
    *reach = url.as_ref().map(|target| match target {
        Target::Memory => Reach::OneReplica,
        Target::Redis(_) => Reach::EveryReplica,
    });
    let username = section.optional(field("username", "The ACL user.").unset("the default user"), &values::NAME);
    let password = section.secret(&PASSWORD);
    let sentinel_username =
        section.optional(field("sentinel_username", "The ACL user on the Sentinels themselves."), &values::NAME);
    let sentinel_password = section.secret(&SENTINEL_PASSWORD);
    let key_prefix = section.or_default(
        field("key_prefix", "What every key and channel begins with. All replicas must have the same."),
        &KEY_PREFIX,
        "vestibule:",
    );
    let ca_file = section.optional(
        field("ca_file", "PEM certificates of the authorities that may vouch for Redis.").unset("the system's"),
        &values::CA_FILE,
    );
    let command_timeout = section.or_default(
        field("command_timeout", "How long a command may take before the store counts as away."),
        &COMMAND_TIMEOUT,
        "300ms",
    );
    let url = url.and_then(|url| check_companions(section, url));
    let Target::Redis(url) = url? else {
        return Some(Store::Memory);
    };
    Some(Store::Redis(Redis {
        url,
        username: username?,
        password: password?,
        sentinel_username: sentinel_username?,
        sentinel_password: sentinel_password?,
        key_prefix: key_prefix?,
        ca_file: ca_file?,
        command_timeout: command_timeout?,
    }))
}

enum Target {
    Memory,
    Redis(RedisUrl),
}

const URL: Kind<Target> = Kind {
    name: "`memory` or URL",
    parse: |text| match text {
        "memory" => Ok(Target::Memory),
        _ => RedisUrl::parse(text).map(Target::Redis).map_err(|error| error.to_string()),
    },
};

const KEY_PREFIX: Kind<String> = Kind { name: "text", parse: key_prefix };

const COMMAND_TIMEOUT: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| {
        let (least, most) = (Duration::from_millis(10), Duration::from_secs(10));
        let reason = "must be from 10ms to 10s: a shorter one fails on a healthy network, during a longer one gateways give up";
        values::duration(text, least, most, reason)
    },
};

const PASSWORD: SecretFields = SecretFields {
    inline: field("password", "The password, if it must stand here."),
    file: field("password_file", "A file that holds the password, re-read when it changes."),
    check: one_line,
};

const SENTINEL_PASSWORD: SecretFields = SecretFields {
    inline: field("sentinel_password", "The password on the Sentinels themselves, if it must stand here."),
    file: field("sentinel_password_file", "A file that holds it, re-read when it changes."),
    check: one_line,
};

/// A field that would be passed over is a misunderstanding, and often a URL that was forgotten.
fn check_companions(section: &mut Section<'_>, target: Target) -> Option<Target> {
    let mut refuse = |names: &[&'static str], text: &str| {
        let given: Vec<_> = names.iter().copied().filter(|name| section.is_given(name)).collect();
        for name in &given {
            section.complain(name, text);
        }
        given.is_empty()
    };
    let fits = match &target {
        Target::Memory => refuse(&REDIS_ONLY, "means nothing to the memory store; set `store.url` or take it out"),
        Target::Redis(url) => {
            let sentinel = matches!(url.topology, Topology::Sentinel { .. })
                || refuse(&SENTINEL_ONLY, "means something with a redis-sentinel:// or rediss-sentinel:// URL only");
            let tls = url.tls || refuse(&["ca_file"], "means something with TLS only, as in rediss://");
            sentinel && tls
        }
    };
    fits.then_some(target)
}

fn key_prefix(text: &str) -> Result<String, String> {
    const LONGEST: usize = 64;
    let refused = |c: char| c.is_whitespace() || c.is_control() || "{}*?[]\\".contains(c);
    match text {
        "" => Err("must not be empty: it keeps our keys apart from others'".to_owned()),
        _ if text.len() > LONGEST => Err(format!("must not be longer than {LONGEST} bytes")),
        _ if text.contains(refused) => {
            Err("must hold no white space, control characters, braces (they would decide the cluster's slots) \
                 and none of * ? [ ] \\ (ACL patterns read them)"
                .to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}
