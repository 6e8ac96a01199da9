//! Converts the session store of oauth2-proxy.

use url::Url;

use super::OptionSettings;
use super::input::Options;
use crate::yaml::emit::Map;
use crate::yaml::shown;

/// Returns the section `store`; `None` for the store in memory.
pub fn convert(options: &Options, settings: &OptionSettings, remarks: &mut Vec<String>) -> Option<Map> {
    if options.text("session-store-type") != Some("redis") {
        remarks.push(
            "Sessions are kept in memory, for one replica. Configure Redis in `store` and a `key_ring_file` for several."
                .to_owned(),
        );
        return None;
    }
    let Some(address) = address(options) else {
        remarks
            .push("The URL of Redis is missing or has no conversion: write `store.url` and `key_ring_file` yourself.".to_owned());
        return None;
    };
    let directory = settings.directory.trim_end_matches('/');
    let mut map =
        Map::new().with("url", address.url).with_some("username", options.text("redis-username").or(address.username.as_deref()));
    let mut secret = |field: &str, name: &str, is_set: bool| {
        if is_set {
            let file = format!("{directory}/{name}");
            remarks.push(format!("Write the password into {}.", shown(&file)));
            map.set(field, file);
        }
    };
    secret("password_file", "redis-password", options.is_set("redis-password") || address.has_password);
    secret("sentinel_password_file", "redis-sentinel-password", options.is_set("redis-sentinel-password"));
    map.set_some("ca_file", options.text("redis-ca-path"));
    Some(map)
}

/// The address of Redis in Vestibule's notation, which has no password.
struct RedisAddress {
    url: String,
    username: Option<String>,
    has_password: bool,
}

fn address(options: &Options) -> Option<RedisAddress> {
    let (form, urls, default_port) = if options.is_on("redis-use-sentinel") {
        ("-sentinel", options.list("redis-sentinel-connection-urls"), 26_379)
    } else if options.is_on("redis-use-cluster") {
        ("-cluster", options.list("redis-cluster-connection-urls"), 6379)
    } else {
        ("", options.list("redis-connection-url"), 6379)
    };
    let urls: Vec<_> = urls.iter().map(|url| Url::parse(url).ok()).collect::<Option<_>>()?;
    let first = urls.first().filter(|first| matches!(first.scheme(), "redis" | "rediss"))?;
    let host = |url: &Url| Some(format!("{}:{}", url.host_str()?, url.port().unwrap_or(default_port)));
    let hosts: Vec<_> = urls.iter().map(host).collect::<Option<_>>()?;
    let database = first.path().trim_matches('/').parse::<u8>().ok();
    let path = match (form, options.text("redis-sentinel-master-name"), database) {
        ("-sentinel", Some(master), database) => {
            format!("/{master}{}", database.map(|number| format!("/{number}")).unwrap_or_default())
        }
        ("-sentinel", None, _) => return None,
        ("", _, Some(number)) => format!("/{number}"),
        _ => String::new(),
    };
    Some(RedisAddress {
        url: format!("{}{form}://{}{path}", first.scheme(), hosts.join(",")),
        username: Some(first.username()).filter(|name| !name.is_empty()).map(str::to_owned),
        has_password: urls.iter().any(|url| url.password().is_some()),
    })
}
