//! The options about sessions, cookies and their store.

use super::Form::{List, Single, Switch};
use super::OptionEffect::{Converted, Missing, Replaced};
use super::{OptionSection, option};

const COOKIE: &str = "cookies always have the prefix `__Host-` and the attributes Secure, HttpOnly and SameSite=Lax.";
const CSRF: &str = "a login flow is kept in the store, and its cookie is for one browser.";

pub(super) const SECTIONS: &[OptionSection] = &[
    OptionSection {
        title: "Cookies",
        entries: &[
            option("cookie-expire", "cookie_expire", Single, Converted, "`sessions.absolute`; `sessions.idle` is new."),
            option("cookie-refresh", "cookie_refresh", Single, Converted, "`providers[].refresh.interval`, in the background."),
            option(
                "cookie-domain",
                "cookie_domains",
                List,
                Replaced,
                "cookies are for one host. List the further hosts in `origins`; each has its own cookie.",
            ),
            option("cookie-name", "cookie_name", Single, Replaced, COOKIE),
            option("cookie-path", "cookie_path", Single, Replaced, "cookies are for all paths of the host."),
            option(
                "cookie-secret",
                "cookie_secret",
                Single,
                Replaced,
                "the key ring encrypts sessions in the store; `vestibule key-ring new` creates a key.",
            ),
            option(
                "cookie-secret-file",
                "cookie_secret_file",
                Single,
                Replaced,
                "the key ring encrypts sessions in the store; `vestibule key-ring new` creates a key.",
            ),
            option("cookie-secure", "cookie_secure", Switch, Replaced, COOKIE),
            option("cookie-httponly", "cookie_httponly", Switch, Replaced, COOKIE),
            option("cookie-samesite", "cookie_samesite", Single, Replaced, COOKIE),
            option("cookie-csrf-expire", "cookie_csrf_expire", Single, Replaced, CSRF),
            option("cookie-csrf-per-request", "cookie_csrf_per_request", Switch, Replaced, CSRF),
            option("cookie-csrf-per-request-limit", "cookie_csrf_per_request_limit", Single, Replaced, CSRF),
            option("cookie-csrf-samesite", "cookie_csrf_samesite", Single, Replaced, CSRF),
        ],
    },
    OptionSection {
        title: "Session store",
        entries: &[
            option(
                "session-store-type",
                "session_store_type",
                Single,
                Converted,
                "`store.url`. Sessions are never kept in cookies: several replicas need Redis.",
            ),
            option(
                "session-cookie-minimal",
                "session_cookie_minimal",
                Switch,
                Replaced,
                "the session cookie has only a random token.",
            ),
            option("redis-connection-url", "redis_connection_url", Single, Converted, "`store.url`, without the password."),
            option("redis-use-cluster", "redis_use_cluster", Switch, Converted, "`redis-cluster://` in `store.url`."),
            option(
                "redis-cluster-connection-urls",
                "redis_cluster_connection_urls",
                List,
                Converted,
                "the hosts of `store.url`.",
            ),
            option("redis-use-sentinel", "redis_use_sentinel", Switch, Converted, "`redis-sentinel://` in `store.url`."),
            option(
                "redis-sentinel-connection-urls",
                "redis_sentinel_connection_urls",
                List,
                Converted,
                "the hosts of `store.url`.",
            ),
            option(
                "redis-sentinel-master-name",
                "redis_sentinel_master_name",
                Single,
                Converted,
                "the first part of the path of `store.url`.",
            ),
            option("redis-username", "redis_username", Single, Converted, "`store.username`."),
            option("redis-password", "redis_password", Single, Converted, "`store.password_file`; the password is not printed."),
            option(
                "redis-sentinel-password",
                "redis_sentinel_password",
                Single,
                Converted,
                "`store.sentinel_password_file`; the password is not printed.",
            ),
            option("redis-ca-path", "redis_ca_path", Single, Converted, "`store.ca_file`."),
            option(
                "redis-insecure-skip-tls-verify",
                "redis_insecure_skip_tls_verify",
                Switch,
                Missing,
                "certificates of Redis are always verified; set `store.ca_file`.",
            ),
            option(
                "redis-connection-idle-timeout",
                "redis_connection_idle_timeout",
                Single,
                Replaced,
                "connections to Redis are checked while they are open.",
            ),
        ],
    },
];
