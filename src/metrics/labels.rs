//! The values that labels have.

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
    /// The dialect that a check came in.
    GatewayLabel { Nginx => "nginx" }
);
label!(
    /// How a check was answered.
    CheckOutcome {
        Allowed => "allowed",
        Unauthenticated => "unauthenticated",
        Forbidden => "forbidden",
        Malformed => "malformed",
        Unavailable => "unavailable",
    }
);
label!(
    /// By what a check was to be passed.
    CredentialLabel { None => "none", Session => "session", Key => "key", Header => "header" }
);
label!(
    /// What was looked up in the principal cache.
    LookUpLabel { Session => "session", Key => "key", Person => "person" }
);
label!(
    /// What became of a key by somebody's will.
    KeyChange { Made => "made", Regenerated => "regenerated", Revoked => "revoked" }
);
label!(
    /// How a login ended.
    LoginOutcome {
        Success => "success",
        Denied => "denied_by_provider",
        Refused => "refused",
        NoRole => "no_role",
        MissingSource => "missing_source",
        ProviderFailed => "provider_failed",
        StoreFailed => "store_failed",
    }
);
label!(
    /// Whether an attempt succeeded.
    Outcome { Ok => "ok", Error => "error" }
);
label!(
    /// How a command to the store ended.
    StoreOutcome { Ok => "ok", Conflict => "conflict", Unavailable => "unavailable", Unknown => "unknown" }
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
    /// Where the answer to a look-up came from.
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
    CacheMap { Credentials => "credentials", Users => "users", Unknown => "unknown" }
);
label!(
    /// Why a shard of the cache was emptied.
    FlushReason { Gap => "gap", Behind => "behind", Replaced => "replaced", Lagged => "lagged", KeyRing => "key_ring" }
);
label!(
    /// What became of a notice.
    NoticeOutcome { Applied => "applied", Copy => "copy", Gap => "gap", Unreadable => "unreadable" }
);

label!(
    /// What became of a token that was presented.
    TokenResult { Remembered => "remembered", Verified => "verified", Refused => "refused", Unavailable => "unavailable" }
);
label!(
    /// What the API server said of a token.
    ReviewOutcome { Good => "good", Refused => "refused", Error => "error" }
);
label!(
    /// What was sent to the upstream in the place of the client's credential.
    UpstreamCredentialLabel {
        None => "none",
        Pass => "pass",
        Static => "static",
        Assertion => "assertion",
        Unmatched => "unmatched",
    }
);
