//! Hands a session over to another host: a browser requests it there, and redeems a code for it, once.
//!
//! The browser has no cookie of `public_url` on the other host. So the request is bound to a cookie of the other host, travels
//! through `public_url`, where the session is, and returns with a code.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    clock::{self, Clock},
    oidc::{BeginFlowError, BrowserBinding, FlowStage, OneTimeRecord, OneTimeRecords},
    return_target::ReturnTarget,
    secret::{Digest, EncryptionPurpose, HostToken, OpaqueToken, TokenKind},
    store::{self, Conflict, Record, RecordKey, RecordKind, Records},
    users::shard_of,
};

/// The time that a user has to sign in at `public_url`: that of a login flow.
const REQUEST_LIFETIME: Duration = Duration::from_secs(600);

/// The lifetime of a code, and of the tombstone that remains of it.
const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// The maximum length of a request's text, which is part of the return target of a login.
const LONGEST_REQUEST: usize = 4000;

/// The handovers in progress.
pub struct Handovers {
    codes: OneTimeRecords,
    clock: Arc<dyn Clock>,
}

/// A browser's request on another host. Its text is encrypted, so that neither its target nor its browser can be replaced.
pub struct HandoverRequest {
    /// The digest of the text.
    id: Digest,
    content: RequestContent,
}

#[derive(Serialize, Deserialize)]
struct RequestContent {
    host: String,
    /// The fingerprint of the browser on this host.
    browser: String,
    /// The digest of the session cookie on this host, which the handover may replace. `None` without one.
    #[serde(default)]
    session: Option<String>,
    target: ReturnTarget,
    begun: Timestamp,
}

/// A session that was handed over.
#[derive(Debug, PartialEq, Eq)]
pub struct Handover {
    pub user: String,
    /// The digest of the session's token on `public_url`.
    pub session: Digest,
}

#[derive(Debug, thiserror::Error)]
pub enum TakeHandoverError {
    #[error("the code is unknown or has expired")]
    Unknown,
    #[error("the code was used before")]
    Used,
    #[error("the code was issued for another request")]
    OtherRequest,
    #[error("the code was issued for another host")]
    OtherHost,
    #[error("the handover was begun in another browser")]
    OtherBrowser,
    #[error("the handover was begun with another session on this host, or without one")]
    OtherSession,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl TakeHandoverError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unknown => "code_unknown",
            Self::Used => "code_used",
            Self::OtherRequest => "other_request",
            Self::OtherHost => "other_host",
            Self::OtherBrowser => "other_browser",
            Self::OtherSession => "other_session",
            Self::Store(error) => error.reason(),
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct HandoverRecord {
    begun: Timestamp,
    /// `None` after the code was used.
    #[serde(default)]
    pending: Option<PendingHandover>,
}

#[derive(Clone, Serialize, Deserialize)]
struct PendingHandover {
    /// The digest of the request, which names the host and the browser.
    request: String,
    user: String,
    session: String,
}

impl Record for HandoverRecord {
    const KIND: RecordKind = RecordKind::Handover;
}

impl OneTimeRecord for HandoverRecord {
    const LIFETIME: Duration = CODE_LIFETIME;
    const PENDING: FlowStage = FlowStage::PendingHandover;
    const FINISHED: FlowStage = FlowStage::FinishedHandover;

    fn begun(&self) -> Timestamp {
        self.begun
    }

    fn tombstone(&self) -> Self {
        Self { pending: None, ..self.clone() }
    }
}

impl Handovers {
    /// The store holds at most `max_pending` unused codes.
    pub fn new(records: Records, max_pending: u32, clock: Arc<dyn Clock>) -> Self {
        Self { codes: OneTimeRecords::new(records, max_pending), clock }
    }

    /// Returns the text of a request. `session` is the digest of the browser's session cookie on the host. A target that is too
    /// long is left out in parts: first its query, then all of it.
    pub fn request(&self, host: &str, browser: &BrowserBinding, session: Option<Digest>, target: &ReturnTarget) -> String {
        let targets = [target.clone(), path_of(target)].into_iter();
        let mut texts = targets.map(|target| self.encrypt(host, browser, session, target));
        let short = texts.find(|text| text.len() <= LONGEST_REQUEST);
        short.unwrap_or_else(|| self.encrypt(host, browser, session, ReturnTarget::root()))
    }

    fn encrypt(&self, host: &str, browser: &BrowserBinding, session: Option<Digest>, target: ReturnTarget) -> String {
        let begun = self.clock.now();
        let begun = Timestamp::from_second(begun.as_second()).unwrap_or(begun);
        let (browser, session) = (browser.fingerprint(), session.map(|session| session.to_hex()));
        let content = RequestContent { host: host.to_owned(), browser, session, target, begun };
        let json = serde_json::to_vec(&content).expect("a request is plain data");
        URL_SAFE_NO_PAD.encode(self.codes.ring().encrypt(EncryptionPurpose::Handover, b"", &json))
    }

    /// `None` unless a pod of this deployment wrote the text.
    pub fn parse_request(&self, text: &str) -> Option<HandoverRequest> {
        let encrypted = URL_SAFE_NO_PAD.decode(text).ok()?;
        let json = self.codes.ring().decrypt(EncryptionPurpose::Handover, b"", &encrypted).ok()?;
        let content = serde_json::from_slice(&json).ok()?;
        Some(HandoverRequest { id: Digest::of(text.as_bytes()), content })
    }

    pub fn has_expired(&self, request: &HandoverRequest) -> bool {
        clock::since(request.content.begun, self.clock.now()) >= REQUEST_LIFETIME
    }

    /// Issues the code with which the browser of the request receives this session.
    pub async fn issue(&self, request: &HandoverRequest, handover: &Handover) -> Result<OpaqueToken, BeginFlowError> {
        self.codes.require_memory().await?;
        let Handover { user, session } = handover;
        let pending = PendingHandover { request: request.id.to_hex(), user: user.clone(), session: session.to_hex() };
        let record = HandoverRecord { begun: self.clock.now(), pending: Some(pending) };
        let new_key = || {
            // The digest of the code determines the record's shard, so the token's shard is not used.
            let code = OpaqueToken::mint(self.codes.ring(), TokenKind::Handover, 0);
            let key = RecordKey::of_digest(RecordKind::Handover, &code.digest());
            (code, key)
        };
        self.codes.create(&record, new_key).await
    }

    /// Takes the session of a code, for the host and the browser that present it, and the browser's session cookie on this host. A
    /// known code is used up also if it is refused: it is then known to somebody whom it was not issued for.
    pub async fn take(
        &self,
        code: &str,
        request: &HandoverRequest,
        host: &str,
        browser: Option<&BrowserBinding>,
        session: Option<Digest>,
    ) -> Result<Handover, TakeHandoverError> {
        let code = OpaqueToken::parse(self.codes.ring(), TokenKind::Handover, code).map_err(|_| TakeHandoverError::Unknown)?;
        let key = RecordKey::of_digest(RecordKind::Handover, &code.digest());
        let stored = self.codes.get::<HandoverRecord>(&key).await?.ok_or(TakeHandoverError::Unknown)?;
        let pending = stored.value.pending.as_ref().ok_or(TakeHandoverError::Used)?;
        // The lifetime of the tombstone does not depend on the clock of the pod that issued the code.
        self.codes.finish(&key, &stored, self.clock.now(), CODE_LIFETIME).await?.map_err(|Conflict| TakeHandoverError::Used)?;
        if pending.request != request.id.to_hex() {
            return Err(TakeHandoverError::OtherRequest);
        }
        if request.content.host != host {
            return Err(TakeHandoverError::OtherHost);
        }
        if browser.is_none_or(|browser| !request.is_of(browser)) {
            return Err(TakeHandoverError::OtherBrowser);
        }
        if session.is_some_and(|session| !request.can_replace(&session)) {
            return Err(TakeHandoverError::OtherSession);
        }
        let session = Digest::from_hex(&pending.session).ok_or(TakeHandoverError::Unknown)?;
        Ok(Handover { user: pending.user.clone(), session })
    }

    /// Returns the session's cookie value on this host.
    pub fn session_token(&self, Handover { user, session }: &Handover, host: &str) -> String {
        HostToken { shard: shard_of(user).number(), digest: *session }.sign(self.codes.ring(), host)
    }
}

impl HandoverRequest {
    pub fn host(&self) -> &str {
        &self.content.host
    }

    /// The return target on the host.
    pub fn target(&self) -> &ReturnTarget {
        &self.content.target
    }

    fn is_of(&self, browser: &BrowserBinding) -> bool {
        use subtle::ConstantTimeEq;
        browser.fingerprint().as_bytes().ct_eq(self.content.browser.as_bytes()).into()
    }

    /// A script of this host can set the cookie of another browser, but it cannot read the session cookie.
    fn can_replace(&self, session: &Digest) -> bool {
        self.content.session.as_deref() == Some(session.to_hex().as_str())
    }
}

/// Returns the target without its query.
fn path_of(target: &ReturnTarget) -> ReturnTarget {
    let path = target.as_str().split('?').next().unwrap_or_default();
    ReturnTarget::parse(path, "").unwrap_or_else(|_| ReturnTarget::root())
}

impl fmt::Debug for HandoverRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandoverRequest").field("host", &self.content.host).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
