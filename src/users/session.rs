//! Session records, their idle timeout and their maximum lifetime.

mod token;

pub use token::SessionToken;

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Generation, RefreshToken};
use crate::{
    clock::since,
    secret::Digest,
    store::{Record, RecordKey, RecordKind, Shard, Ttl},
};

/// The record of a session. It is stored under the digest of the session token, in the user's shard.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    pub user: String,
    pub created: Timestamp,
    /// Updated at most once in a tenth of the idle timeout.
    pub last_seen: Timestamp,
    /// The id of the provider that the user signed in with.
    pub provider: String,
    /// The provider's own session id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// The subject of the identity at the provider; `None` for local accounts and in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The login flow that opened the session, by the digest of its `state`; `None` after a sign-in with a password, and in
    /// records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<String>,
    #[serde(default, skip_serializing_if = "Logout::is_empty")]
    pub logout: Logout,
    /// The provider's refresh token, if it is kept with sessions. It is in this record, so that it ends together with the
    /// session, however that ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<RefreshToken>,
    /// The user's session generation at sign-in. The session ends when the user's generation changes.
    #[serde(rename = "epoch", default)]
    pub generation: Generation,
    /// The time at which the user last authenticated, at the provider or with a password; `None` if it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated_at: Option<Timestamp>,
    /// The browser's `User-Agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// The parameters of a logout at the provider (RP-Initiated Logout 1.0).
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Logout {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Kept only for providers that are configured to require it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
}

/// The idle timeout and the maximum lifetime of sessions, and their maximum number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub idle: Duration,
    pub absolute: Duration,
    /// The maximum number of sessions of a user.
    pub max_per_user: usize,
}

/// The state of a session or key at a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    Live,
    /// Past the idle timeout by this copy of the record. Another pod may have served the user since.
    Idle,
    Ended,
}

impl Record for Session {
    const KIND: RecordKind = RecordKind::Session;
}

impl Session {
    pub fn key(shard: Shard, token: &Digest) -> RecordKey {
        RecordKey::new(shard, RecordKind::Session, token.to_hex())
    }

    /// True if the session was opened with this identity, as far as its record says.
    pub fn is_of(&self, provider: &str, subject: &str) -> bool {
        self.provider == provider && self.subject.as_ref().is_none_or(|own| own == subject)
    }

    /// Returns the lifetime of the record in the store.
    pub fn ttl(&self, limits: Limits, now: Timestamp) -> Ttl {
        Ttl::For(limits.left(self.created, self.last_seen, now))
    }
}

impl Logout {
    fn is_empty(&self) -> bool {
        self.hint.is_none() && self.id_token.is_none()
    }
}

impl Limits {
    pub fn state(&self, created: Timestamp, last_seen: Timestamp, now: Timestamp) -> SessionState {
        if since(created, now) >= self.absolute {
            SessionState::Ended
        } else if since(last_seen, now) >= self.idle {
            SessionState::Idle
        } else {
            SessionState::Live
        }
    }

    /// Returns the remaining lifetime of a session that is not used again.
    pub fn left(&self, created: Timestamp, last_seen: Timestamp, now: Timestamp) -> Duration {
        let absolute = self.absolute.saturating_sub(since(created, now));
        absolute.min(self.idle.saturating_sub(since(last_seen, now)))
    }

    /// The shortest interval between two updates of `last_seen`.
    pub fn touch_after(&self) -> Duration {
        self.idle / 10
    }

    pub fn is_touch_due(&self, last_seen: Timestamp, now: Timestamp) -> bool {
        since(last_seen, now) >= self.touch_after()
    }
}

/// Shows the user and the provider, but not the logout parameters.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("user", &self.user).field("provider", &self.provider).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    const LIMITS: Limits = Limits { idle: Duration::from_secs(100), absolute: Duration::from_secs(1000), max_per_user: 100 };

    fn at(seconds: u64, start: Timestamp) -> Timestamp {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_session_is_live_until_either_limit() {
        let start = SystemClock.now();
        let state = |seen, now| LIMITS.state(start, at(seen, start), at(now, start));
        assert_eq!(state(0, 99), SessionState::Live);
        assert_eq!(state(0, 100), SessionState::Idle);
        assert_eq!(state(950, 999), SessionState::Live);
        assert_eq!(state(950, 1000), SessionState::Ended);
        assert_eq!(state(50, 0), SessionState::Live, "seen by a pod whose clock is ahead");
    }

    #[test]
    fn the_remaining_lifetime_ends_at_the_nearer_limit() {
        let start = SystemClock.now();
        assert_eq!(LIMITS.left(start, start, start), Duration::from_secs(100));
        assert_eq!(LIMITS.left(start, at(950, start), at(960, start)), Duration::from_secs(40));
        assert_eq!(LIMITS.left(start, at(950, start), at(2000, start)), Duration::ZERO);
    }

    #[test]
    fn last_seen_is_updated_after_a_tenth_of_the_idle_timeout() {
        let start = SystemClock.now();
        assert!(!LIMITS.is_touch_due(start, at(9, start)));
        assert!(LIMITS.is_touch_due(start, at(10, start)));
    }

    #[test]
    fn a_session_of_a_released_version_has_no_time_of_authentication() {
        let text = r#"{"user": "u", "created": "2026-11-28T06:15:13Z", "last_seen": "2026-11-28T06:15:13Z", "provider": "p"}"#;
        let session: Session = serde_json::from_str(text).unwrap();
        assert_eq!(session.authenticated_at, None);
    }

    #[test]
    fn debug_shows_no_hint() {
        let now = SystemClock.now();
        let logout = Logout { hint: Some("hidden".into()), id_token: Some("hidden".into()) };
        let session = Session {
            user: "u".into(),
            created: now,
            last_seen: now,
            provider: "p".into(),
            sid: Some("hidden".into()),
            subject: Some("hidden".into()),
            flow: Some("hidden".into()),
            logout,
            refresh_token: Some(RefreshToken::of_login("hidden".into(), None, now)),
            generation: Generation::random(),
            authenticated_at: None,
            agent: Some("hidden".into()),
        };
        assert!(!format!("{session:?}").contains("hidden"));
    }
}
