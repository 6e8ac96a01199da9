//! Session tokens, API keys and onboarding tokens: the input itself, and edits of valid ones.

use std::sync::{Arc, LazyLock};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use vestibule::api_keys::PresentedKey;
use vestibule::clock::SystemClock;
use vestibule::local_accounts::OnboardingClaims;
use vestibule::secret::{Digest, KeyRing, OpaqueToken, TokenKind};
use vestibule::store::Shard;
use vestibule::users::SessionToken;

const AUDIENCE: &str = "https://llm.example.com";

static RING: LazyLock<KeyRing> = LazyLock::new(|| KeyRing::ephemeral(Arc::new(SystemClock)));

struct ValidCredentials {
    session: OpaqueToken,
    key: String,
    token: String,
}

static VALID: LazyLock<ValidCredentials> = LazyLock::new(|| ValidCredentials {
    session: OpaqueToken::mint(&RING, TokenKind::Session, 63),
    key: key_of([63; 33]),
    token: claims().sign(&RING),
});

pub fn holds(input: &[u8]) {
    let presented = String::from_utf8_lossy(input);
    check_no_opaque_token_is_valid(&presented);
    check_key_spelling(&presented);
    assert!(OnboardingClaims::verify(&RING, AUDIENCE, &presented).is_none(), "{presented:?}");
    if let Some(edited) = edited(VALID.session.expose(), input) {
        check_no_opaque_token_is_valid(&edited);
    }
    if let Some(edited) = edited(&VALID.key, input) {
        check_key_spelling(&edited);
    }
    if let Some(edited) = edited(&VALID.token, input) {
        assert!(OnboardingClaims::verify(&RING, AUDIENCE, &edited).is_none(), "{edited:?}");
    }
    valid_credentials_are_accepted();
}

fn check_no_opaque_token_is_valid(text: &str) {
    for kind in [TokenKind::Session, TokenKind::Flow] {
        assert!(OpaqueToken::parse(&RING, kind, text).is_err(), "{text:?} as a {kind:?}");
    }
    assert!(SessionToken::parse(&RING, text).is_none(), "{text:?}");
}

/// Anybody can compute a key's checksum, so valid keys may occur: each has exactly one spelling.
fn check_key_spelling(text: &str) {
    let Some(key) = PresentedKey::parse(text) else { return };
    let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix("sk-").expect("every key begins so")).expect("it is base64url");
    assert_eq!(key_of(*bytes.first_chunk().expect("it is whole")), text);
    assert_eq!((key.shard, key.digest), (Shard::new(bytes[0]).expect("below 64"), Digest::of(text.as_bytes())));
}

/// Shard and random bytes, with the checksum of both.
fn key_of(body: [u8; 33]) -> String {
    let checksum = Digest::of(&[&b"vestibule key  1"[..], &body].concat());
    format!("sk-{}", URL_SAFE_NO_PAD.encode([&body[..], &checksum.as_bytes()[..4]].concat()))
}

/// Pairs of a position and a byte to write there; `None` if nothing changes or the result is no text.
fn edited(valid: &str, edits: &[u8]) -> Option<String> {
    let mut bytes = valid.as_bytes().to_vec();
    for edit in edits.chunks_exact(2) {
        let place = usize::from(edit[0]) % bytes.len();
        bytes[place] = edit[1];
    }
    String::from_utf8(bytes).ok().filter(|edited| edited != valid)
}

fn valid_credentials_are_accepted() {
    assert!(OpaqueToken::parse(&RING, TokenKind::Session, VALID.session.expose()).is_ok());
    let token = SessionToken::parse(&RING, VALID.session.expose()).expect("the key ring signed it");
    assert_eq!(token.digest(), VALID.session.digest());
    assert!(PresentedKey::parse(&VALID.key).is_some());
    assert!(OnboardingClaims::verify(&RING, AUDIENCE, &VALID.token).is_some());
}

fn claims() -> OnboardingClaims {
    OnboardingClaims {
        iss: AUDIENCE.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: "u".to_owned(),
        iat: 1,
        exp: 2,
        token_type: OnboardingClaims::token_type(),
        invitation_id: "i".to_owned(),
        user_id: "u".to_owned(),
        user_email: "ada@example.com".to_owned(),
    }
}
