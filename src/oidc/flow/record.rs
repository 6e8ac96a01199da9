//! The record of a login flow. Its size is bounded: the browser keeps a long return target.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{super::RequiredAuthentication, BrowserBinding, FlowStage, LIFETIME, OneTimeRecord};
use crate::{
    return_target::{Continuation, ReturnTarget},
    store::{Record, RecordKind, Records},
};

/// The maximum length of a record in the store, in bytes.
pub(super) const LONGEST_RECORD: usize = 512;

const LONGEST_JSON: usize = LONGEST_RECORD - Records::UNSEQUENCED_OVERHEAD;

/// Version 0.1 reads these records and ignores `target`. It redirects to `/` after a login whose target the browser keeps.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct FlowRecord {
    pub begun: Timestamp,
    pub continuation: Continuation,
    #[serde(default, skip_serializing_if = "TargetPlace::is_record")]
    pub target: TargetPlace,
    /// `None` after the flow was taken.
    #[serde(default, rename = "waiting")]
    pub pending: Option<PendingLogin>,
}

/// The place of the continuation's return target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TargetPlace {
    #[default]
    Record,
    /// Encrypted, in `state` or in a cookie. The record contains `/` instead.
    Browser,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct PendingLogin {
    pub provider: String,
    pub nonce: String,
    pub verifier: String,
    browser: [u8; 32],
    /// The maximum time since the user's authentication in seconds, if it is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
    /// Version 0.1 ignores this, and shows a page if the provider has to ask the user.
    #[serde(default, rename = "silent", skip_serializing_if = "std::ops::Not::not")]
    pub is_silent: bool,
}

impl Record for FlowRecord {
    const KIND: RecordKind = RecordKind::Flow;
}

impl OneTimeRecord for FlowRecord {
    const LIFETIME: Duration = LIFETIME;
    const PENDING: FlowStage = FlowStage::Pending;
    const FINISHED: FlowStage = FlowStage::Finished;

    fn begun(&self) -> Timestamp {
        self.begun
    }

    fn tombstone(&self) -> Self {
        // Version 0.1 wrote targets of any length.
        Self { pending: None, ..self.clone() }.bounded()
    }
}

impl FlowRecord {
    /// Returns the record of a flow. The return target is in it if there is room.
    pub(super) fn new(begun: Timestamp, continuation: Continuation, pending: PendingLogin) -> Self {
        // Whole seconds are shorter.
        let begun = Timestamp::from_second(begun.as_second()).unwrap_or(begun);
        Self { begun, continuation, target: TargetPlace::Record, pending: Some(pending) }.bounded()
    }

    fn bounded(self) -> Self {
        if self.json_len() <= LONGEST_JSON {
            return self;
        }
        let continuation = self.continuation.with_retry_target(ReturnTarget::root());
        Self { continuation, target: TargetPlace::Browser, ..self }
    }

    fn json_len(&self) -> usize {
        serde_json::to_vec(self).expect("a record is plain data").len()
    }
}

impl TargetPlace {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_record(&self) -> bool {
        *self == Self::Record
    }
}

impl PendingLogin {
    pub(super) fn new(provider: &str, nonce: &str, verifier: &str, browser: &BrowserBinding) -> Self {
        let [provider, nonce, verifier] = [provider, nonce, verifier].map(str::to_owned);
        Self { provider, nonce, verifier, browser: *browser.digest().as_bytes(), max_age: None, is_silent: false }
    }

    pub(super) fn with_authentication(self, authentication: RequiredAuthentication) -> Self {
        let max_age = authentication.max_age().map(|max_age| max_age.as_secs());
        Self { max_age, is_silent: authentication == RequiredAuthentication::Silent, ..self }
    }

    pub(super) fn max_age(&self) -> Option<Duration> {
        self.max_age.map(Duration::from_secs)
    }

    pub(super) fn is_of(&self, browser: &BrowserBinding) -> bool {
        use subtle::ConstantTimeEq;
        browser.digest().as_bytes().ct_eq(&self.browser).into()
    }
}

impl fmt::Debug for PendingLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingLogin([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    /// With the longest id of a provider, and a browser binding whose digest is long in JSON.
    fn longest(continuation: Continuation) -> FlowRecord {
        let text = "x".repeat(43);
        let (provider, browser) = ("p".repeat(32), [255; 32]);
        let pending = PendingLogin { provider, nonce: text.clone(), verifier: text, browser, max_age: None, is_silent: false };
        FlowRecord::new(SystemClock.now(), continuation, pending)
    }

    fn target(len: usize) -> ReturnTarget {
        ReturnTarget::parse(&format!("/{}", "\"".repeat(len - 1)), "").unwrap()
    }

    #[test]
    fn every_record_is_within_the_limit() {
        for len in [1, 20, 30, 40, 50, 100, 1000, 4096] {
            let pending = || longest(Continuation::ReturnTo(target(1))).pending.unwrap();
            let limited = PendingLogin { max_age: Some(u64::MAX), ..pending() };
            for pending in [limited, PendingLogin { is_silent: true, ..pending() }] {
                let record = FlowRecord::new(SystemClock.now(), Continuation::ReturnTo(target(len)), pending);
                assert!(record.json_len() <= LONGEST_JSON, "{len}: {}", record.json_len());
            }
            for continuation in [
                Continuation::ReturnTo(target(len)),
                Continuation::Link { user: "019ad0c3-7f5e-7a51-8c11-3a4b5c6d7e8f".into(), retry: target(len) },
            ] {
                let record = longest(continuation.clone());
                assert!(record.json_len() <= LONGEST_JSON, "{len}: {}", record.json_len());
                assert!(record.tombstone().json_len() < record.json_len());
                assert_eq!(record.target == TargetPlace::Record, record.continuation == continuation, "{len}");
            }
        }
    }

    #[test]
    fn usual_targets_are_in_the_record() {
        for continuation in [
            Continuation::ReturnTo(ReturnTarget::parse("/ui/?page=api-keys&tab=usage", "").unwrap()),
            Continuation::Link {
                user: "019ad0c3-7f5e-7a51-8c11-3a4b5c6d7e8f".into(),
                retry: ReturnTarget::parse("/vestibule/sign-in", "").unwrap(),
            },
        ] {
            assert_eq!(longest(continuation.clone()).continuation, continuation);
        }
    }

    #[test]
    fn a_record_of_version_0_1_is_read() {
        let json = r#"{"begun":"2026-11-22T09:41:00.123456789Z","continuation":{"return_to":"/a"},"waiting":null}"#;
        let record: FlowRecord = serde_json::from_str(json).unwrap();
        assert_eq!(record.target, TargetPlace::Record);
        assert_eq!(serde_json::to_string(&record).unwrap(), json);
        let long = json.replace("/a", &format!("/{}", "a".repeat(4000)));
        let tombstone = serde_json::from_str::<FlowRecord>(&long).unwrap().tombstone();
        assert!(tombstone.json_len() <= LONGEST_JSON, "{}", tombstone.json_len());
    }
}
