//! Anti-CSRF tokens of forms. A token is bound to a session and a form, expires, and is accepted once on all pods together.

use std::{sync::Arc, time::Duration};

use actix_web::HttpRequest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;

use super::{Site, fetch_metadata};
use crate::{
    clock::{Clock, since},
    secret::{Digest, Mac, MacPurpose, random_bytes},
    store::{self, Quota, QuotaUsage, RecordKey, RecordKind, Records, Shard},
};

/// A page can be open for this long before its form is sent.
pub(super) const LIFE: Duration = Duration::from_secs(12 * 3600);

/// The store remembers a used token for longer than any pod accepts it, even if their clocks differ.
const MEMORY: Duration = LIFE.saturating_add(Duration::from_secs(3600));

const ID_LEN: usize = 16;
const TIME_LEN: usize = 8;

/// Issues tokens without a write to the store, and remembers the used ones.
pub struct FormTokens {
    records: Records,
    clock: Arc<dyn Clock>,
}

/// A form, and the session or browser that it is shown to.
#[derive(Clone, Copy)]
pub(super) struct FormId<'a> {
    pub purpose: &'a str,
    pub bound_to: &'a str,
}

/// A form that is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum FormTokenError {
    #[error("the form is not from a page of this session")]
    Foreign,
    #[error("the form was open for too long")]
    Expired,
    #[error("the form was sent before")]
    Used,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// The parts of a token.
struct FormToken {
    id: [u8; ID_LEN],
    issued: [u8; TIME_LEN],
}

impl FormTokens {
    pub fn new(records: Records, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock }
    }

    pub(super) fn issue(&self, form: FormId<'_>) -> String {
        let token = FormToken { id: random_bytes(), issued: self.clock.now().as_second().to_be_bytes() };
        let mac: Mac = self.records.ring().mac(MacPurpose::Csrf, &token.signed(&form.session_digest(), form.purpose));
        URL_SAFE_NO_PAD.encode([&token.id[..], &token.issued, &mac].concat())
    }

    /// Accepts a form from our own page, once.
    pub(super) async fn accept(
        &self,
        request: &HttpRequest,
        site: &Site,
        form: FormId<'_>,
        token: &str,
    ) -> Result<(), FormTokenError> {
        if !fetch_metadata::is_own_form(request, site) {
            return Err(FormTokenError::Foreign);
        }
        let token = self.verify(form, token, LIFE)?;
        let used = Digest::of(&token.id);
        let key = RecordKey::new(Shard::of(&used), RecordKind::Counter, format!("form:{}", used.to_hex()));
        match self.records.store().spend(&key, Quota { limit: 1, window: MEMORY }).await? {
            QuotaUsage::Within { .. } => Ok(()),
            QuotaUsage::Exceeded { .. } => Err(FormTokenError::Used),
        }
    }

    /// True if this form's token is valid and at most this old. The token stays valid.
    pub(super) fn is_valid(&self, form: FormId<'_>, token: &str, max_age: Duration) -> bool {
        self.verify(form, token, max_age).is_ok()
    }

    /// Returns a token that is valid as long as its session, for the form that ends the session: it cannot be sent twice, and
    /// users can sign out even if the store has no room to remember it.
    pub(super) fn issue_for_session_end(&self, form: FormId<'_>) -> String {
        let session = form.session_digest();
        URL_SAFE_NO_PAD.encode(self.records.ring().mac(MacPurpose::Csrf, &[form.purpose.as_bytes(), session.as_bytes()]))
    }

    /// True if the form that ends the session is from our own page.
    pub(super) fn accepts_session_end(&self, request: &HttpRequest, site: &Site, form: FormId<'_>, token: &str) -> bool {
        let Ok(token) = URL_SAFE_NO_PAD.decode(token) else { return false };
        let session = form.session_digest();
        let signed: [&[u8]; 2] = [form.purpose.as_bytes(), session.as_bytes()];
        fetch_metadata::is_own_form(request, site) && self.records.ring().verify_mac(MacPurpose::Csrf, &signed, &token)
    }

    fn verify(&self, form: FormId<'_>, text: &str, max_age: Duration) -> Result<FormToken, FormTokenError> {
        let (token, mac) = FormToken::parse(text).ok_or(FormTokenError::Foreign)?;
        let session = form.session_digest();
        let signed = token.signed(&session, form.purpose);
        if !self.records.ring().verify_mac(MacPurpose::Csrf, &signed, &mac) {
            return Err(FormTokenError::Foreign);
        }
        let issued = Timestamp::from_second(i64::from_be_bytes(token.issued)).map_err(|_| FormTokenError::Foreign)?;
        if since(issued, self.clock.now()) < max_age { Ok(token) } else { Err(FormTokenError::Expired) }
    }
}

impl FormId<'_> {
    fn session_digest(&self) -> Digest {
        Digest::of(self.bound_to.as_bytes())
    }
}

impl FormToken {
    fn parse(text: &str) -> Option<(Self, Vec<u8>)> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (id, rest) = bytes.split_first_chunk()?;
        let (issued, mac) = rest.split_first_chunk()?;
        Some((Self { id: *id, issued: *issued }, mac.to_vec()))
    }

    fn signed<'a>(&'a self, session: &'a Digest, purpose: &'a str) -> [&'a [u8]; 4] {
        [purpose.as_bytes(), session.as_bytes(), &self.id, &self.issued]
    }
}

impl FormTokenError {
    /// The stable token for the `reason` field of log events.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Foreign => "foreign_form",
            Self::Expired => "form_expired",
            Self::Used => "form_already_sent",
            Self::Store(error) => error.reason(),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::{clock::manual::ManualClock, secret::KeyRing, store::MemoryStore};

    const FORM: FormId<'_> = FormId { purpose: "/vestibule/keys", bound_to: "session" };

    fn tokens(clock: &ManualClock) -> FormTokens {
        let clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let ring = Arc::new(KeyRing::ephemeral(Arc::clone(&clock)));
        FormTokens::new(Records::new(Arc::new(MemoryStore::new(Arc::clone(&clock))), ring, ""), clock)
    }

    async fn outcome(tokens: &FormTokens, form: FormId<'_>, token: &str) -> &'static str {
        let request = TestRequest::post().to_http_request();
        tokens.accept(&request, &Site::for_tests(), form, token).await.map_or_else(|refused| refused.reason(), |()| "accepted")
    }

    #[tokio::test]
    async fn a_token_is_accepted_once_until_it_expires() {
        let clock = ManualClock::new();
        let tokens = tokens(&clock);
        let (first, second, late) = (tokens.issue(FORM), tokens.issue(FORM), tokens.issue(FORM));
        assert_eq!(outcome(&tokens, FORM, &first).await, "accepted");
        assert_eq!(outcome(&tokens, FORM, &first).await, "form_already_sent");
        assert_eq!(outcome(&tokens, FORM, &second).await, "accepted", "each page has a token of its own");
        clock.advance(LIFE);
        assert_eq!(outcome(&tokens, FORM, &late).await, "form_expired");
        assert_eq!(outcome(&tokens, FORM, &first).await, "form_expired", "a used token never becomes valid again");
    }

    #[tokio::test]
    async fn a_token_belongs_to_one_session_and_one_form_and_cannot_be_changed() {
        let tokens = tokens(&ManualClock::new());
        let token = tokens.issue(FORM);
        for other in [FormId { purpose: "logout", ..FORM }, FormId { bound_to: "other", ..FORM }] {
            assert_eq!(outcome(&tokens, other, &token).await, "foreign_form");
        }
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            assert_eq!(outcome(&tokens, FORM, &URL_SAFE_NO_PAD.encode(changed)).await, "foreign_form", "{position}");
        }
        for invalid in ["", "AAAA", "?", &token[1..], &format!("{token}A"), &tokens.issue_for_session_end(FORM)] {
            assert_eq!(outcome(&tokens, FORM, invalid).await, "foreign_form", "{invalid}");
        }
        assert_eq!(outcome(&tokens, FORM, &token).await, "accepted", "a refused attempt does not use the token up");
    }

    #[test]
    fn a_token_for_the_end_of_a_session_belongs_to_that_session_and_that_form() {
        let (tokens, site) = (tokens(&ManualClock::new()), Site::for_tests());
        let accepts = |form, token: &str| tokens.accepts_session_end(&TestRequest::post().to_http_request(), &site, form, token);
        let token = tokens.issue_for_session_end(FORM);
        assert!(accepts(FORM, &token));
        assert!(!accepts(FormId { bound_to: "other", ..FORM }, &token) && !accepts(FormId { purpose: "other", ..FORM }, &token));
        assert!(!accepts(FORM, "") && !accepts(FORM, &tokens.issue(FORM)));
    }

    #[tokio::test]
    async fn a_script_does_not_use_a_token_up() {
        let tokens = tokens(&ManualClock::new());
        let token = tokens.issue(FORM);
        let script = TestRequest::post().insert_header(("sec-fetch-mode", "cors")).to_http_request();
        let refused = tokens.accept(&script, &Site::for_tests(), FORM, &token).await;
        assert!(matches!(refused, Err(FormTokenError::Foreign)), "{refused:?}");
        assert_eq!(outcome(&tokens, FORM, &token).await, "accepted");
    }
}
