//! Login flows: begun on any pod, and taken exactly once by any pod.

mod capacity;
mod encrypted_target;
mod one_time_records;
mod record;

pub use capacity::FlowStage;
pub use encrypted_target::EncryptedTarget;
pub use one_time_records::{OneTimeRecord, OneTimeRecords};

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;

use self::capacity::FlowCapacity;
use self::record::{FlowRecord, PendingLogin, TargetPlace};
use super::{LoginFlowSettings, RequiredAuthentication};
use crate::{
    clock::{self, Clock},
    return_target::{Continuation, ReturnTarget},
    secret::{Digest, EncryptionPurpose, OpaqueToken, TokenKind, random_bytes},
    store::{self, Conflict, RecordKey, RecordKind, Records, Shard},
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
    flows: OneTimeRecords,
    clock: Arc<dyn Clock>,
}

/// The parameters of the redirect to the provider that are new for each login.
pub struct AuthorizationRequest {
    pub state: String,
    pub nonce: String,
    pub verifier: String,
    pub authentication: RequiredAuthentication,
    /// The return target, if the browser must keep it.
    pub target: Option<EncryptedTarget>,
}

/// The parts of a callback that identify its login flow and its browser.
#[derive(Clone, Copy)]
pub struct PresentedFlow<'a> {
    pub state: &'a str,
    pub browser: Option<&'a BrowserBinding>,
    /// The text of the flow's [`EncryptedTarget`].
    pub target: Option<&'a str>,
}

/// A login flow that was taken. No other request can finish it.
pub struct LoginFlow {
    pub nonce: String,
    pub verifier: String,
    /// The maximum time since the user's authentication, if it is limited.
    pub max_age: Option<Duration>,
    /// True if the request did not allow the provider to ask the user (`prompt=none`).
    pub is_silent: bool,
    pub continuation: Continuation,
}

/// A limit that protects the store from anonymous requests. It refuses only new login flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FlowLimit {
    #[error("the store holds the maximum number of login flows")]
    Pending,
    #[error("Redis uses more than 90% of its memory")]
    Memory,
}

#[derive(Debug, thiserror::Error)]
pub enum BeginFlowError {
    #[error(transparent)]
    Limit(#[from] FlowLimit),
    #[error(transparent)]
    Store(#[from] store::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The record is gone, or never existed. `retry` is the target that the browser has.
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

impl LoginFlows {
    pub fn new(records: Records, settings: LoginFlowSettings, clock: Arc<dyn Clock>) -> Self {
        Self { flows: OneTimeRecords::new(records, settings.max_pending), clock }
    }

    /// Begins a login flow and stores it under the digest of its `state`.
    pub async fn begin(
        &self,
        provider: &str,
        browser: &BrowserBinding,
        continuation: Continuation,
        authentication: RequiredAuthentication,
    ) -> Result<AuthorizationRequest, BeginFlowError> {
        self.flows.require_memory().await?;
        let (nonce, verifier) = (random_text(), random_text());
        let pending = PendingLogin::new(provider, &nonce, &verifier, browser).with_authentication(authentication);
        let flow = FlowRecord::new(self.clock.now(), continuation.clone(), pending);
        let new_key = || {
            let state = self.new_state(&continuation);
            let key = key(&state);
            (state, key)
        };
        let state = self.flows.create(&flow, new_key).await?;
        let is_with_browser = flow.target == TargetPlace::Browser && split_hint(&state).is_none();
        let target = is_with_browser.then(|| EncryptedTarget::new(self.flows.ring(), &state, continuation.retry_target()));
        Ok(AuthorizationRequest { state, nonce, verifier, authentication, target })
    }

    /// Takes a login flow. Every further attempt fails with [`TakeError::Finished`].
    pub async fn take(&self, presented: PresentedFlow<'_>, provider: &str) -> Result<LoginFlow, TakeError> {
        let unknown = || TakeError::Unknown { retry: self.retry_target(presented) };
        if !self.is_ours(presented.state) {
            return Err(unknown());
        }
        let key = key(presented.state);
        let stored = self.flows.get::<FlowRecord>(&key).await?.ok_or_else(unknown)?;
        let continuation = self.continuation_of(&stored.value, presented);
        let Some(pending) = &stored.value.pending else { return Err(TakeError::Finished { continuation }) };
        if presented.browser.is_none_or(|browser| !pending.is_of(browser)) {
            return Err(TakeError::OtherBrowser { continuation });
        }
        if pending.provider != provider {
            return Err(TakeError::OtherProvider { continuation });
        }
        match self.flows.finish(&key, &stored, self.clock.now(), self.remaining(stored.value.begun)).await? {
            Ok(()) => {
                let (nonce, verifier) = (pending.nonce.clone(), pending.verifier.clone());
                Ok(LoginFlow { nonce, verifier, max_age: pending.max_age(), is_silent: pending.is_silent, continuation })
            }
            Err(Conflict) => Err(TakeError::Finished { continuation }),
        }
    }

    /// Returns the target that the browser has, in `state` or in a cookie. It is readable without the record.
    pub fn retry_target(&self, presented: PresentedFlow<'_>) -> Option<ReturnTarget> {
        let PresentedFlow { state, target, .. } = presented;
        let in_cookie = || EncryptedTarget::decrypt(self.flows.ring(), state, target?);
        self.target_in_state(state).or_else(in_cookie)
    }

    fn target_in_state(&self, state: &str) -> Option<ReturnTarget> {
        let (token, hint) = split_hint(state)?;
        let encrypted = URL_SAFE_NO_PAD.decode(hint).ok()?;
        let target = self.flows.ring().decrypt(EncryptionPurpose::State, token.as_bytes(), &encrypted).ok()?;
        serde_json::from_slice(&target).ok()
    }

    /// Returns the continuation with its return target. A browser that has lost the target is sent to `/`.
    fn continuation_of(&self, record: &FlowRecord, presented: PresentedFlow<'_>) -> Continuation {
        let continuation = record.continuation.clone();
        match (record.target, self.retry_target(presented)) {
            (TargetPlace::Browser, Some(target)) => continuation.with_retry_target(target),
            _ => continuation,
        }
    }

    /// Returns a new `state`: an opaque token and the encrypted target, which stays readable when the record is gone.
    fn new_state(&self, continuation: &Continuation) -> String {
        // The digest of the whole `state` determines the record's shard, so the token's shard is not used.
        let token = OpaqueToken::mint(self.flows.ring(), TokenKind::Flow, 0);
        let target = continuation.retry_target();
        if target.as_str().len() > LONGEST_HINT {
            return token.expose().to_owned();
        }
        let target = serde_json::to_vec(target).expect("a path is a text");
        let hint = self.flows.ring().encrypt(EncryptionPurpose::State, token.expose().as_bytes(), &target);
        format!("{}.{}", token.expose(), URL_SAFE_NO_PAD.encode(hint))
    }

    fn is_ours(&self, state: &str) -> bool {
        let token = split_hint(state).map_or(state, |(token, _)| token);
        OpaqueToken::parse(self.flows.ring(), TokenKind::Flow, token).is_ok()
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

    fn digest(&self) -> &Digest {
        &self.0
    }
}

/// Returns 256 random bits as 43 characters, whose length and alphabet also fit a PKCE verifier (RFC 7636, section 4.1).
fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

fn key(state: &str) -> RecordKey {
    let digest = Digest::of(state.as_bytes());
    RecordKey::new(Shard::of(&digest), RecordKind::Flow, digest.to_hex())
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

redacted_debug!(AuthorizationRequest, LoginFlow, BrowserBinding, EncryptedTarget);

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
        let settings = LoginFlowSettings { max_pending: 1000 };
        Setup { flows: LoginFlows::new(records, settings, shared), clock, browser }
    }

    fn to(path: &str) -> Continuation {
        Continuation::ReturnTo(ReturnTarget::parse(path, "llm.example.com").unwrap())
    }

    fn presented<'a>(request: &'a AuthorizationRequest, browser: Option<&'a BrowserBinding>) -> PresentedFlow<'a> {
        let target = request.target.as_ref().map(|target| target.text.as_str());
        PresentedFlow { state: &request.state, browser, target }
    }

    #[tokio::test]
    async fn a_second_attempt_to_take_a_flow_fails_as_finished() {
        let Setup { flows, browser, .. } = setup();
        let request = flows.begin("corp", &browser, to("/app?x=1"), RequiredAuthentication::Any).await.unwrap();
        let taken = flows.take(presented(&request, Some(&browser)), "corp").await.unwrap();
        assert_eq!((&taken.nonce, &taken.verifier), (&request.nonce, &request.verifier));
        assert_eq!(taken.continuation, to("/app?x=1"));
        let again = flows.take(presented(&request, Some(&browser)), "corp").await;
        assert!(matches!(again, Err(TakeError::Finished { continuation }) if continuation == to("/app?x=1")));
    }

    #[tokio::test]
    async fn a_flow_keeps_the_required_authentication() {
        let Setup { flows, browser, .. } = setup();
        let hour = Duration::from_secs(3600);
        for (required, max_age) in [
            (RequiredAuthentication::Any, None),
            (RequiredAuthentication::Silent, None),
            (RequiredAuthentication::Within(hour), Some(hour)),
            (RequiredAuthentication::Again(hour), Some(hour)),
        ] {
            let request = flows.begin("corp", &browser, to("/"), required).await.unwrap();
            assert_eq!(request.authentication, required);
            let taken = flows.take(presented(&request, Some(&browser)), "corp").await.unwrap();
            assert_eq!((taken.max_age, taken.is_silent), (max_age, required == RequiredAuthentication::Silent));
        }
    }

    #[tokio::test]
    async fn another_browser_or_provider_does_not_consume_the_flow() {
        let Setup { flows, browser, .. } = setup();
        let request = flows.begin("corp", &browser, to("/"), RequiredAuthentication::Any).await.unwrap();
        let other = BrowserBinding::parse_cookie(&BrowserBinding::new_cookie()).unwrap();
        assert!(matches!(flows.take(presented(&request, None), "corp").await, Err(TakeError::OtherBrowser { .. })));
        assert!(matches!(flows.take(presented(&request, Some(&other)), "corp").await, Err(TakeError::OtherBrowser { .. })));
        assert!(matches!(flows.take(presented(&request, Some(&browser)), "evil").await, Err(TakeError::OtherProvider { .. })));
        assert!(flows.take(presented(&request, Some(&browser)), "corp").await.is_ok());
    }

    #[tokio::test]
    async fn the_target_is_known_after_the_flow_has_expired() {
        let Setup { flows, browser, clock } = setup();
        let request = flows.begin("corp", &browser, to("/app?x=1"), RequiredAuthentication::Any).await.unwrap();
        clock.advance(LIFETIME);
        let expired = flows.take(presented(&request, Some(&browser)), "corp").await;
        assert!(matches!(expired, Err(TakeError::Unknown { retry: Some(retry) }) if retry.as_str() == "/app?x=1"));
    }

    #[tokio::test]
    async fn a_foreign_or_altered_state_is_unknown() {
        let Setup { flows, browser, .. } = setup();
        let request = flows.begin("corp", &browser, to("/"), RequiredAuthentication::Any).await.unwrap();
        let altered = format!("{}A", request.state);
        for state in ["", "x", &"A".repeat(66), &altered, "a.b"] {
            let presented = PresentedFlow { state, browser: Some(&browser), target: None };
            assert!(matches!(flows.take(presented, "corp").await, Err(TakeError::Unknown { .. })), "{state}");
        }
    }

    #[tokio::test]
    async fn a_long_target_is_with_the_browser_and_neither_in_the_record_nor_in_state() {
        let Setup { flows, browser, .. } = setup();
        for (length, is_in_cookie) in [(200, false), (257, true), (4000, true)] {
            let long = format!("/{}", "a".repeat(length - 1));
            let request = flows.begin("corp", &browser, to(&long), RequiredAuthentication::Any).await.unwrap();
            assert_eq!(request.target.is_some(), is_in_cookie, "{length}");
            assert!(request.state.len() < 500, "{}", request.state.len());
            let stored = flows.flows.records().store().get(&key(&request.state)).await.unwrap().unwrap();
            let version = format!("{}:", stored.version);
            assert!(version.len() + stored.ciphertext.len() <= record::LONGEST_RECORD, "{length}");
            assert_eq!(flows.take(presented(&request, Some(&browser)), "corp").await.unwrap().continuation, to(&long));
            let again = flows.take(presented(&request, Some(&browser)), "corp").await;
            assert!(matches!(again, Err(TakeError::Finished { continuation }) if continuation == to(&long)), "{length}");
        }
    }

    #[tokio::test]
    async fn a_browser_that_has_lost_its_target_is_sent_to_the_root_and_no_other_target_is_accepted() {
        let Setup { flows, browser, .. } = setup();
        let [one, other] = ["/one", "/other"].map(|path| to(&format!("{path}{}", "a".repeat(1000))));
        let requests = [
            flows.begin("corp", &browser, one, RequiredAuthentication::Any).await.unwrap(),
            flows.begin("corp", &browser, other, RequiredAuthentication::Any).await.unwrap(),
        ];
        for (request, target) in [(&requests[0], None), (&requests[1], requests[0].target.as_ref().map(|of| of.text.as_str()))] {
            let presented = PresentedFlow { state: &request.state, browser: Some(&browser), target };
            assert_eq!(flows.take(presented, "corp").await.unwrap().continuation, to("/"));
        }
    }

    /// Begins flows until one is refused; returns the others.
    async fn fill(flows: &LoginFlows, browser: &BrowserBinding) -> Vec<AuthorizationRequest> {
        let mut begun = Vec::new();
        loop {
            match flows.begin("corp", browser, to("/"), RequiredAuthentication::Any).await {
                Ok(request) => begun.push(request),
                Err(BeginFlowError::Limit(FlowLimit::Pending)) => return begun,
                Err(error) => panic!("{error}"),
            }
            assert!(begun.len() <= 1024, "more than the shares of all shards");
        }
    }

    #[tokio::test]
    async fn pending_flows_are_bounded_and_those_that_began_can_finish() {
        let Setup { flows, browser, clock } = setup();
        let begun = fill(&flows, &browser).await;
        assert!(begun.len() >= 16, "{}", begun.len());
        for request in &begun {
            flows.take(presented(request, Some(&browser)), "corp").await.unwrap();
        }
        assert!(flows.begin("corp", &browser, to("/"), RequiredAuthentication::Any).await.is_ok(), "finished flows make room");
        let _ = fill(&flows, &browser).await;
        clock.advance(LIFETIME + Duration::from_secs(60 + 120));
        assert!(fill(&flows, &browser).await.len() >= 16, "expired flows make room");
    }

    #[tokio::test]
    async fn tombstones_are_bounded_and_a_flow_without_one_is_taken_once() {
        let Setup { flows, browser, .. } = setup();
        let (mut finished, mut unknown) = (0, 0);
        for _ in 0..2000 {
            let request = flows.begin("corp", &browser, to("/"), RequiredAuthentication::Any).await.unwrap();
            flows.take(presented(&request, Some(&browser)), "corp").await.unwrap();
            match flows.take(presented(&request, Some(&browser)), "corp").await.err() {
                Some(TakeError::Finished { .. }) => finished += 1,
                Some(TakeError::Unknown { .. }) => unknown += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(finished <= 1024 && unknown > 0, "{finished} tombstones, {unknown} flows without one");
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
