//! Login flows: begun on any pod, and taken exactly once by any pod.

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

/// The time that a user has to sign in at the provider.
const LIFETIME: Duration = Duration::from_secs(600);

/// Longer targets are left out of `state`, since some providers limit its length.
const LONGEST_HINT: usize = 256;

/// Identifies the browser that began a login: the digest of a cookie that all its tabs share.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BrowserBinding(Digest);

/// The store of login flows.
pub struct LoginFlows {
    records: Records,
    clock: Arc<dyn Clock>,
}

/// The parameters of the redirect to the provider that are new for each login.
pub struct AuthorizationRequest {
    pub state: String,
    pub nonce: String,
    pub verifier: String,
}

/// A login flow that was taken. No other request can finish it.
pub struct LoginFlow {
    pub nonce: String,
    pub verifier: String,
    pub continuation: Continuation,
}

#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The record is gone, or never existed. `retry` is the target in `state` itself.
    #[error("the login is unknown or has expired")]
    Unknown { retry: Option<ReturnTarget> },
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
struct FlowRecord {
    begun: Timestamp,
    continuation: Continuation,
    /// `None` after the flow was taken.
    #[serde(default, rename = "waiting")]
    pending: Option<PendingLogin>,
}

#[derive(Serialize, Deserialize)]
struct PendingLogin {
    provider: String,
    nonce: String,
    verifier: String,
    browser: [u8; 32],
}

impl Record for FlowRecord {
    const KIND: Kind = Kind::Flow;
}

impl LoginFlows {
    pub fn new(records: Records, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock }
    }

    /// Begins a login flow and stores it under the digest of its `state`.
    pub async fn begin(
        &self,
        provider: &str,
        browser: &BrowserBinding,
        continuation: Continuation,
    ) -> Result<AuthorizationRequest, store::Error> {
        let state = self.new_state(&continuation);
        let request = AuthorizationRequest { state, nonce: random_text(), verifier: random_text() };
        let key = key(&request.state);
        let pending = PendingLogin {
            provider: provider.to_owned(),
            nonce: request.nonce.clone(),
            verifier: request.verifier.clone(),
            browser: *browser.0.as_bytes(),
        };
        let flow = FlowRecord { begun: self.clock.now(), continuation, pending: Some(pending) };
        // A key of 256 random bits is always new, so no version is expected.
        let _ = self.records.change(key.shard).put(&key, &flow, Ttl::For(LIFETIME)).commit().await?;
        Ok(request)
    }

    /// Takes a login flow. Every further attempt fails with [`TakeError::Finished`].
    pub async fn take(&self, state: &str, provider: &str, browser: Option<&BrowserBinding>) -> Result<LoginFlow, TakeError> {
        let unknown = || TakeError::Unknown { retry: self.retry_target(state) };
        if !self.is_ours(state) {
            return Err(unknown());
        }
        let key = key(state);
        let stored = self.records.get_patiently::<FlowRecord>(&key).await?.ok_or_else(unknown)?;
        let FlowRecord { begun, continuation, pending } = stored.value;
        let Some(pending) = pending else { return Err(TakeError::Finished { continuation }) };
        if browser.is_none_or(|browser| !browser.matches(&pending.browser)) {
            return Err(TakeError::OtherBrowser { continuation });
        }
        if pending.provider != provider {
            return Err(TakeError::OtherProvider { continuation });
        }
        let tombstone = FlowRecord { begun, continuation: continuation.clone(), pending: None };
        let ttl = Ttl::For(self.remaining(begun));
        let taken =
            self.records.change(key.shard).expect_version(&key, stored.version).put(&key, &tombstone, ttl).commit().await?;
        match taken {
            Ok(_) => Ok(LoginFlow { nonce: pending.nonce, verifier: pending.verifier, continuation }),
            Err(_) => Err(TakeError::Finished { continuation }),
        }
    }

    /// Returns the target in `state`, which is readable without the record.
    pub fn retry_target(&self, state: &str) -> Option<ReturnTarget> {
        let (token, hint) = split_hint(state)?;
        let encrypted = URL_SAFE_NO_PAD.decode(hint).ok()?;
        let target = self.records.ring().decrypt(EncryptionPurpose::State, token.as_bytes(), &encrypted).ok()?;
        serde_json::from_slice(&target).ok()
    }

    /// Returns a new `state`: an opaque token and the encrypted target, which stays readable when the record is gone.
    fn new_state(&self, continuation: &Continuation) -> String {
        // The digest of the whole `state` determines the record's shard, so the token's shard is not used.
        let token = OpaqueToken::mint(self.records.ring(), TokenKind::Flow, 0);
        let target = continuation.retry_target();
        if target.as_str().len() > LONGEST_HINT {
            return token.expose().to_owned();
        }
        let target = serde_json::to_vec(target).expect("a path is a text");
        let hint = self.records.ring().encrypt(EncryptionPurpose::State, token.expose().as_bytes(), &target);
        format!("{}.{}", token.expose(), URL_SAFE_NO_PAD.encode(hint))
    }

    fn is_ours(&self, state: &str) -> bool {
        let token = split_hint(state).map_or(state, |(token, _)| token);
        OpaqueToken::parse(self.records.ring(), TokenKind::Flow, token).is_ok()
    }

    fn remaining(&self, begun: Timestamp) -> Duration {
        LIFETIME.saturating_sub(clock::since(begun, self.clock.now()))
    }
}

impl BrowserBinding {
    /// The length of the cookie's value.
    const TEXT_LEN: usize = 43;

    /// Returns a cookie value for a browser that has none.
    pub fn new_cookie() -> String {
        random_text()
    }

    /// Returns `None` for a value that [`Self::new_cookie`] can't return.
    pub fn parse_cookie(value: &str) -> Option<Self> {
        let is_valid =
            value.len() == Self::TEXT_LEN && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        is_valid.then(|| Self(Digest::of(value.as_bytes())))
    }

    /// Returns an identifier that binds other values, such as form tokens, to the browser.
    pub fn fingerprint(&self) -> String {
        self.0.to_hex()
    }

    fn matches(&self, digest: &[u8; 32]) -> bool {
        use subtle::ConstantTimeEq;
        self.0.as_bytes().ct_eq(digest).into()
    }
}

/// Returns 256 random bits as 43 characters, whose length and alphabet also fit a PKCE verifier (RFC 7636, section 4.1).
fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

fn key(state: &str) -> Key {
    let digest = Digest::of(state.as_bytes());
    Key::new(Shard::of(&digest), Kind::Flow, digest.to_hex())
}

fn split_hint(state: &str) -> Option<(&str, &str)> {
    state.split_once('.')
}

macro_rules! redacted_debug {
    ($($name:ident),+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    )+};
}

redacted_debug!(AuthorizationRequest, LoginFlow, PendingLogin, BrowserBinding);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::manual::ManualClock, secret::KeyRing, store::MemoryStore};

    struct Setup {
        flows: LoginFlows,
        clock: ManualClock,
        browser: BrowserBinding,
    }

    fn setup() -> Setup {
        let clock = ManualClock::new();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let store = Arc::new(MemoryStore::new(Arc::clone(&shared)));
        let records = Records::new(store, Arc::new(KeyRing::ephemeral(Arc::clone(&shared))), "test:");
        let browser = BrowserBinding::parse_cookie(&BrowserBinding::new_cookie()).unwrap();
        Setup { flows: LoginFlows::new(records, shared), clock, browser }
    }

    fn to(path: &str) -> Continuation {
        Continuation::ReturnTo(ReturnTarget::parse(path, "llm.example.com").unwrap())
    }

    #[tokio::test]
    async fn a_second_attempt_to_take_a_flow_fails_as_finished() {
        let Setup { flows, browser, .. } = setup();
        let request = flows.begin("corp", &browser, to("/app?x=1")).await.unwrap();
        let taken = flows.take(&request.state, "corp", Some(&browser)).await.unwrap();
        assert_eq!((taken.nonce, taken.verifier, taken.continuation), (request.nonce, request.verifier, to("/app?x=1")));
        let again = flows.take(&request.state, "corp", Some(&browser)).await;
        assert!(matches!(again, Err(TakeError::Finished { continuation }) if continuation == to("/app?x=1")));
    }

    #[tokio::test]
    async fn another_browser_or_provider_does_not_consume_the_flow() {
        let Setup { flows, browser, .. } = setup();
        let request = flows.begin("corp", &browser, to("/")).await.unwrap();
        let other = BrowserBinding::parse_cookie(&BrowserBinding::new_cookie()).unwrap();
        assert!(matches!(flows.take(&request.state, "corp", None).await, Err(TakeError::OtherBrowser { .. })));
        assert!(matches!(flows.take(&request.state, "corp", Some(&other)).await, Err(TakeError::OtherBrowser { .. })));
        assert!(matches!(flows.take(&request.state, "evil", Some(&browser)).await, Err(TakeError::OtherProvider { .. })));
        assert!(flows.take(&request.state, "corp", Some(&browser)).await.is_ok());
    }

    #[tokio::test]
    async fn the_target_is_known_after_the_flow_has_expired() {
        let Setup { flows, browser, clock } = setup();
        let request = flows.begin("corp", &browser, to("/app?x=1")).await.unwrap();
        clock.advance(LIFETIME);
        let expired = flows.take(&request.state, "corp", Some(&browser)).await;
        assert!(matches!(expired, Err(TakeError::Unknown { retry: Some(retry) }) if retry.as_str() == "/app?x=1"));
    }

    #[tokio::test]
    async fn a_foreign_or_altered_state_is_unknown() {
        let Setup { flows, browser, .. } = setup();
        let request = flows.begin("corp", &browser, to("/")).await.unwrap();
        let altered = format!("{}A", request.state);
        for state in ["", "x", &"A".repeat(66), &altered, "a.b"] {
            assert!(matches!(flows.take(state, "corp", Some(&browser)).await, Err(TakeError::Unknown { .. })), "{state}");
        }
    }

    #[tokio::test]
    async fn a_long_target_is_in_the_record_and_not_in_state() {
        let Setup { flows, browser, .. } = setup();
        let long = format!("/{}", "a".repeat(2000));
        let request = flows.begin("corp", &browser, to(&long)).await.unwrap();
        assert!(request.state.len() < 100, "{}", request.state.len());
        assert_eq!(flows.take(&request.state, "corp", Some(&browser)).await.unwrap().continuation, to(&long));
    }

    #[test]
    fn verifiers_have_the_length_and_alphabet_of_rfc_7636() {
        let verifier = random_text();
        assert!((43..=128).contains(&verifier.len()));
        assert!(verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)));
    }

    #[test]
    fn only_values_in_the_form_of_the_cookie_are_parsed() {
        assert!(BrowserBinding::parse_cookie(&BrowserBinding::new_cookie()).is_some());
        for value in ["", "x", &"=".repeat(43), &"a".repeat(44)] {
            assert!(BrowserBinding::parse_cookie(value).is_none(), "{value}");
        }
    }
}
