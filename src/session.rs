//! A signed-in browser: what is kept of it, and when it ends.

mod token;

pub use token::SessionToken;

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    clock::since,
    epoch::Epoch,
    secret::Digest,
    store::{Key, Kind, Record, Shard, Ttl},
};

/// What the store keeps of a session, under the digest of its handle in its user's shard.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    pub user: String,
    pub created: Timestamp,
    /// Written at most once in a tenth of the idle limit.
    pub last_seen: Timestamp,
    /// The id of the provider that signed the person in.
    pub provider: String,
    /// The provider's own session id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    #[serde(default, skip_serializing_if = "Logout::is_empty")]
    pub logout: Logout,
    /// Its user's when it was begun: it lasts no longer than that.
    #[serde(default)]
    pub epoch: Epoch,
    /// What the browser said that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// What the provider will want to hear when the session ends there too (RP-Initiated Logout 1.0).
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Logout {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Kept only for providers that are configured to insist on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
}

/// How long sessions last: without use, and at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub idle: Duration,
    pub absolute: Duration,
}

/// Where a session stands at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Live,
    /// Not used for too long, as far as this copy knows: another pod may have seen the person since.
    Idle,
    Ended,
}

impl Record for Session {
    const KIND: Kind = Kind::Session;
}

impl Session {
    pub fn key(shard: Shard, handle: &Digest) -> Key {
        Key::new(shard, Kind::Session, handle.to_hex())
    }

    /// How long the store has to keep the record.
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
    pub fn standing(&self, created: Timestamp, last_seen: Timestamp, now: Timestamp) -> Standing {
        if since(created, now) >= self.absolute {
            Standing::Ended
        } else if since(last_seen, now) >= self.idle {
            Standing::Idle
        } else {
            Standing::Live
        }
    }

    /// What remains of a session that is not used again.
    pub fn left(&self, created: Timestamp, last_seen: Timestamp, now: Timestamp) -> Duration {
        let absolute = self.absolute.saturating_sub(since(created, now));
        absolute.min(self.idle.saturating_sub(since(last_seen, now)))
    }

    /// Use is written down only when so much time has passed since it last was.
    pub fn touch_after(&self) -> Duration {
        self.idle / 10
    }

    pub fn wants_touch(&self, last_seen: Timestamp, now: Timestamp) -> bool {
        since(last_seen, now) >= self.touch_after()
    }
}

/// Whose session it is, and when; nothing of the handle or the provider's hints.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("user", &self.user).field("provider", &self.provider).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    const LIMITS: Limits = Limits { idle: Duration::from_secs(100), absolute: Duration::from_secs(1000) };

    fn at(seconds: u64, start: Timestamp) -> Timestamp {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_session_is_live_until_either_limit() {
        let start = SystemClock.now();
        let standing = |seen, now| LIMITS.standing(start, at(seen, start), at(now, start));
        assert_eq!(standing(0, 99), Standing::Live);
        assert_eq!(standing(0, 100), Standing::Idle);
        assert_eq!(standing(950, 999), Standing::Live);
        assert_eq!(standing(950, 1000), Standing::Ended);
        assert_eq!(standing(50, 0), Standing::Live, "seen by a pod whose clock is ahead");
    }

    #[test]
    fn what_is_left_is_the_nearer_limit() {
        let start = SystemClock.now();
        assert_eq!(LIMITS.left(start, start, start), Duration::from_secs(100));
        assert_eq!(LIMITS.left(start, at(950, start), at(960, start)), Duration::from_secs(40));
        assert_eq!(LIMITS.left(start, at(950, start), at(2000, start)), Duration::ZERO);
    }

    #[test]
    fn use_is_written_down_after_a_tenth_of_the_idle_limit() {
        let start = SystemClock.now();
        assert!(!LIMITS.wants_touch(start, at(9, start)));
        assert!(LIMITS.wants_touch(start, at(10, start)));
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
            logout,
            epoch: Epoch::begin(),
            agent: Some("hidden".into()),
        };
        assert!(!format!("{session:?}").contains("hidden"));
    }
}
