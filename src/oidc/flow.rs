//! Logins in flight: begun on any pod, taken exactly once on any other.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    clock::{self, Clock},
    continuation::Continuation,
    return_to::ReturnTarget,
    secret::{Digest, EncryptionPurpose, OpaqueToken, TokenKind, random_bytes},
    store::{self, Key, Kind, Record, Records, Shard, Ttl},
};

/// How long a person has to sign in at the provider.
pub const LIFE: Duration = Duration::from_secs(600);

/// Longer targets are left out of `state`: some providers bound its length.
const LONGEST_HINT: usize = 256;

/// The browser that began a login: the digest of the cookie that all its tabs share.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Binding(Digest);

pub struct Flows {
    records: Records,
    clock: Arc<dyn Clock>,
}

/// What the redirect to the provider carries.
pub struct Started {
    pub state: String,
    pub nonce: String,
    pub verifier: String,
}

/// A login that is now this request's to finish.
pub struct Taken {
    pub nonce: String,
    pub verifier: String,
    pub continuation: Continuation,
}

#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// Not there (any more), or never ours. What `state` itself says of where to start again.
    #[error("the login is unknown or has expired")]
    Unknown { again: Option<ReturnTarget> },
    #[error("the login was finished before")]
    Finished { continuation: Continuation },
    #[error("the login was begun in another browser")]
    OtherBrowser { continuation: Continuation },
    #[error("the login was begun with another provider")]
    OtherProvider { continuation: Continuation },
    #[error(transparent)]
    Store(#[from] store::Error),
}

#[derive(Serialize, Deserialize)]
struct Flow {
    begun: Timestamp,
    continuation: Continuation,
    /// `None` is a tombstone: the login was taken.
    #[serde(default)]
    waiting: Option<Waiting>,
}

#[derive(Serialize, Deserialize)]
struct Waiting {
    provider: String,
    nonce: String,
    verifier: String,
    browser: [u8; 32],
}

impl Record for Flow {
    const KIND: Kind = Kind::Flow;
}

impl Flows {
    pub fn new(records: Records, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock }
    }

    /// Writes a new login down, under the digest of its `state`.
    pub async fn begin(&self, provider: &str, browser: &Binding, continuation: Continuation) -> Result<Started, store::Error> {
        let state = self.state(&continuation);
        let started = Started { state, nonce: random_text(), verifier: random_text() };
        let key = key(&started.state);
        let waiting = Waiting {
            provider: provider.to_owned(),
            nonce: started.nonce.clone(),
            verifier: started.verifier.clone(),
            browser: *browser.0.as_bytes(),
        };
        let flow = Flow { begun: self.clock.now(), continuation, waiting: Some(waiting) };
        // 256 random bits are never there already, so nothing is expected.
        let _ = self.records.change(key.shard).put(&key, &flow, Ttl::For(LIFE)).commit().await?;
        Ok(started)
    }

    /// Takes a login, once: whoever comes later is told that it was finished.
    pub async fn take(&self, state: &str, provider: &str, browser: Option<&Binding>) -> Result<Taken, TakeError> {
        let unknown = || TakeError::Unknown { again: self.again(state) };
        if !self.is_ours(state) {
            return Err(unknown());
        }
        let key = key(state);
        let stored = self.records.get_patiently::<Flow>(&key).await?.ok_or_else(unknown)?;
        let Flow { begun, continuation, waiting } = stored.value;
        let Some(waiting) = waiting else { return Err(TakeError::Finished { continuation }) };
        if browser.is_none_or(|browser| !browser.is(&waiting.browser)) {
            return Err(TakeError::OtherBrowser { continuation });
        }
        if waiting.provider != provider {
            return Err(TakeError::OtherProvider { continuation });
        }
        let tombstone = Flow { begun, continuation: continuation.clone(), waiting: None };
        let rest = Ttl::For(self.rest(begun));
        let taken =
            self.records.change(key.shard).expect_version(&key, stored.version).put(&key, &tombstone, rest).commit().await?;
        match taken {
            Ok(_) => Ok(Taken { nonce: waiting.nonce, verifier: waiting.verifier, continuation }),
            Err(_) => Err(TakeError::Finished { continuation }),
        }
    }

    /// Where the login of this `state` was to return, as far as `state` itself tells.
    pub fn again(&self, state: &str) -> Option<ReturnTarget> {
        let (handle, hint) = split(state)?;
        let sealed = URL_SAFE_NO_PAD.decode(hint).ok()?;
        let target = self.records.ring().decrypt(EncryptionPurpose::State, handle.as_bytes(), &sealed).ok()?;
        serde_json::from_slice(&target).ok()
    }

    /// A handle, and where to start again: sealed into `state`, so that it is known when the record is gone.
    fn state(&self, continuation: &Continuation) -> String {
        // The record is found by the digest of the whole, so the handle's own shard is not used.
        let handle = OpaqueToken::mint(self.records.ring(), TokenKind::Flow, 0);
        let target = continuation.retry_target();
        if target.as_str().len() > LONGEST_HINT {
            return handle.expose().to_owned();
        }
        let target = serde_json::to_vec(target).expect("a path is a text");
        let hint = self.records.ring().encrypt(EncryptionPurpose::State, handle.expose().as_bytes(), &target);
        format!("{}.{}", handle.expose(), URL_SAFE_NO_PAD.encode(hint))
    }

    fn is_ours(&self, state: &str) -> bool {
        let handle = split(state).map_or(state, |(handle, _)| handle);
        OpaqueToken::parse(self.records.ring(), TokenKind::Flow, handle).is_ok()
    }

    fn rest(&self, begun: Timestamp) -> Duration {
        LIFE.saturating_sub(clock::since(begun, self.clock.now()))
    }
}

impl Binding {
    /// The length of the cookie's value.
    const TEXT_LEN: usize = 43;

    /// A value for a browser that has none yet.
    pub fn new_cookie() -> String {
        random_text()
    }

    /// Takes a cookie's value if it has the form of ours.
    pub fn of_cookie(value: &str) -> Option<Self> {
        let form =
            value.len() == Self::TEXT_LEN && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        form.then(|| Self(Digest::of(value.as_bytes())))
    }

    /// What else may be bound to the browser by.
    pub fn fingerprint(&self) -> String {
        self.0.to_hex()
    }

    fn is(&self, digest: &[u8; 32]) -> bool {
        use subtle::ConstantTimeEq;
        self.0.as_bytes().ct_eq(digest).into()
    }
}

/// 256 bits in 43 characters: also the length and alphabet of a PKCE verifier (RFC 7636, section 4.1).
fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

fn key(state: &str) -> Key {
    let digest = Digest::of(state.as_bytes());
    Key::new(Shard::of(&digest), Kind::Flow, digest.to_hex())
}

fn split(state: &str) -> Option<(&str, &str)> {
    state.split_once('.')
}

macro_rules! silent_debug {
    ($($name:ident),+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    )+};
}

silent_debug!(Started, Taken, Waiting, Binding);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::manual::ManualClock, secret::KeyRing, store::MemoryStore};

    struct Setup {
        flows: Flows,
        clock: ManualClock,
        browser: Binding,
    }

    fn setup() -> Setup {
        let clock = ManualClock::new();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let store = Arc::new(MemoryStore::new(Arc::clone(&shared)));
        let records = Records::new(store, Arc::new(KeyRing::ephemeral(Arc::clone(&shared))), "test:");
        let browser = Binding::of_cookie(&Binding::new_cookie()).unwrap();
        Setup { flows: Flows::new(records, shared), clock, browser }
    }

    fn to(path: &str) -> Continuation {
        Continuation::ReturnTo(ReturnTarget::parse(path, "llm.example.com").unwrap())
    }

    #[tokio::test]
    async fn a_login_is_taken_once_and_then_known_as_finished() {
        let Setup { flows, browser, .. } = setup();
        let started = flows.begin("corp", &browser, to("/app?x=1")).await.unwrap();
        let taken = flows.take(&started.state, "corp", Some(&browser)).await.unwrap();
        assert_eq!((taken.nonce, taken.verifier, taken.continuation), (started.nonce, started.verifier, to("/app?x=1")));
        let again = flows.take(&started.state, "corp", Some(&browser)).await;
        assert!(matches!(again, Err(TakeError::Finished { continuation }) if continuation == to("/app?x=1")));
    }

    #[tokio::test]
    async fn another_browser_or_provider_does_not_use_it_up() {
        let Setup { flows, browser, .. } = setup();
        let started = flows.begin("corp", &browser, to("/")).await.unwrap();
        let other = Binding::of_cookie(&Binding::new_cookie()).unwrap();
        assert!(matches!(flows.take(&started.state, "corp", None).await, Err(TakeError::OtherBrowser { .. })));
        assert!(matches!(flows.take(&started.state, "corp", Some(&other)).await, Err(TakeError::OtherBrowser { .. })));
        assert!(matches!(flows.take(&started.state, "evil", Some(&browser)).await, Err(TakeError::OtherProvider { .. })));
        assert!(flows.take(&started.state, "corp", Some(&browser)).await.is_ok());
    }

    #[tokio::test]
    async fn an_expired_login_still_tells_where_to_start_again() {
        let Setup { flows, browser, clock } = setup();
        let started = flows.begin("corp", &browser, to("/app?x=1")).await.unwrap();
        clock.advance(LIFE);
        let expired = flows.take(&started.state, "corp", Some(&browser)).await;
        assert!(matches!(expired, Err(TakeError::Unknown { again: Some(again) }) if again.as_str() == "/app?x=1"));
    }

    #[tokio::test]
    async fn a_foreign_or_altered_state_is_unknown() {
        let Setup { flows, browser, .. } = setup();
        let started = flows.begin("corp", &browser, to("/")).await.unwrap();
        let altered = format!("{}A", started.state);
        for state in ["", "x", &"A".repeat(66), &altered, "a.b"] {
            assert!(matches!(flows.take(state, "corp", Some(&browser)).await, Err(TakeError::Unknown { .. })), "{state}");
        }
    }

    #[tokio::test]
    async fn a_long_target_stays_out_of_state_and_in_the_record() {
        let Setup { flows, browser, .. } = setup();
        let long = format!("/{}", "a".repeat(2000));
        let started = flows.begin("corp", &browser, to(&long)).await.unwrap();
        assert!(started.state.len() < 100, "{}", started.state.len());
        assert_eq!(flows.take(&started.state, "corp", Some(&browser)).await.unwrap().continuation, to(&long));
    }

    #[test]
    fn verifiers_have_the_length_and_alphabet_of_rfc_7636() {
        let verifier = random_text();
        assert!((43..=128).contains(&verifier.len()));
        assert!(verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)));
    }

    #[test]
    fn only_a_cookie_of_our_form_binds() {
        assert!(Binding::of_cookie(&Binding::new_cookie()).is_some());
        for value in ["", "x", &"=".repeat(43), &"a".repeat(44)] {
            assert!(Binding::of_cookie(value).is_none(), "{value}");
        }
    }
}
