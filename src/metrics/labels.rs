//! Label values.

macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($variant:ident => $value:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $value),+ }
            }
        }
    };
}

label!(
    /// The dialect of a check request.
    GatewayLabel {
        Nginx => "nginx",
        Traefik => "traefik",
        Caddy => "caddy",
        Envoy => "envoy",
        Haproxy => "haproxy",
        Apisix => "apisix",
    }
);
label!(
    /// The answer to a check.
    CheckOutcome {
        Allowed => "allowed",
        Unauthenticated => "unauthenticated",
        Forbidden => "forbidden",
        Malformed => "malformed",
        Unavailable => "unavailable",
    }
);
label!(
    /// The reason for refusing an auth request without a decision.
    RefusalLabel { Malformed => "malformed", Host => "host", GatewaySecret => "gateway_secret" }
);
label!(
    /// The kind of credential that a check presented.
    CredentialLabel { None => "none", Session => "session", ApiKey => "key", Header => "header" }
);
label!(
    /// The kind of object looked up in the principal cache.
    LookupLabel { Session => "session", Key => "key", User => "person" }
);
label!(
    /// A change of an API key.
    KeyChange { Created => "made", Rotated => "regenerated", Revoked => "revoked" }
);
label!(
    /// The limit that refuses to start logins.
    LoginLimit { PendingLogins => "max_pending", StoreMemory => "store_memory" }
);
label!(
    /// The outcome of a login.
    LoginOutcome {
        Success => "success",
        Denied => "denied_by_provider",
        WrongPassword => "wrong_password",
        Refused => "refused",
        NoRole => "no_role",
        MissingSource => "missing_source",
        ProviderFailed => "provider_failed",
        StoreFailed => "store_failed",
    }
);
label!(
    /// The outcome of a look-up in a directory.
    DirectoryOutcome {
        Ok => "ok",
        Cached => "cached",
        Throttled => "throttled",
        Refused => "refused",
        Limit => "limit",
        Failed => "failed",
    }
);
label!(
    /// The outcome for a logout token.
    BackchannelLogoutOutcome { Accepted => "accepted", Refused => "refused", Failed => "failed" }
);
label!(
    /// The result of sending a refresh token to a provider.
    RefreshResult {
        Refreshed => "refreshed",
        Refused => "refused",
        Failed => "failed",
        Superseded => "superseded",
        StoreFailed => "store_failed",
    }
);
label!(
    /// The resource of a SCIM request.
    ScimResource { Users => "users", Groups => "groups", Discovery => "discovery" }
);
label!(
    /// The method of a SCIM request.
    ScimMethod { Get => "get", Post => "post", Put => "put", Patch => "patch", Delete => "delete", Other => "other" }
);
label!(
    /// Success or failure.
    Outcome { Ok => "ok", Error => "error" }
);
label!(
    /// The outcome of a command to the store.
    StoreOutcome { Ok => "ok", Conflict => "conflict", Full => "full", Unavailable => "unavailable", Unknown => "unknown" }
);
label!(
    /// A command to the store.
    StoreOperation {
        Get => "get",
        Commit => "commit",
        List => "list",
        Spend => "spend",
        Sequences => "sequences",
        Scan => "scan",
    }
);
label!(
    /// The source of the answer to a look-up.
    CacheResult {
        Hit => "hit",
        Miss => "miss",
        Unknown => "unknown",
        Forged => "forged",
        Stale => "stale",
        Overloaded => "overloaded",
    }
);
label!(
    /// A map of the principal cache.
    CacheMap {
        Credentials => "credentials",
        Identities => "identities",
        Keys => "keys",
        Users => "users",
        Unknown => "unknown",
    }
);
label!(
    /// The reason for emptying a shard of the cache.
    FlushReason { Gap => "gap", Behind => "behind", Replaced => "replaced", Lagged => "lagged", KeyRing => "key_ring" }
);
label!(
    /// The outcome of an invalidation message.
    InvalidationOutcome { Applied => "applied", Copy => "copy", Gap => "gap", Unreadable => "unreadable" }
);

label!(
    /// The outcome for a token that was presented.
    TokenResult { Remembered => "remembered", Verified => "verified", Refused => "refused", Unavailable => "unavailable" }
);
label!(
    /// The API server's answer about a token.
    ReviewOutcome { Good => "good", Refused => "refused", Error => "error" }
);
label!(
    /// The credential sent to the upstream in place of the client's.
    UpstreamCredentialLabel {
        None => "none",
        Pass => "pass",
        Static => "static",
        Assertion => "assertion",
        Unmatched => "unmatched",
    }
);
