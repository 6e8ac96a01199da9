//! The key ring: one 32-byte secret per line, from which a key is derived for each purpose.

use std::{fmt, sync::Arc, time::Duration};

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey},
    hkdf, hmac,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::{
    random_bytes,
    rotation::{Replacement, Rotation, RotationKey},
};
use crate::clock::Clock;

const KEY_LEN: usize = 32;
const FORMAT: u8 = 1;
const KEY_ID_LEN: usize = 4;
const NONCE_LEN: usize = 12;
const MAC_LEN: usize = 16;
/// Of AES-256-GCM-SIV.
const TAG_LEN: usize = 16;

/// The prefix of the comment with the creation date of the key below it.
const CREATED: &str = "# created";

/// A new primary key only decrypts for this long, until it has reached every pod.
const ENCRYPTS_AFTER: Duration = Duration::from_secs(180);

/// A truncated HMAC-SHA-256.
pub type Mac = [u8; MAC_LEN];

/// The purpose of an encrypted value. Each purpose has its own derived key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptionPurpose {
    /// A record in the store.
    Record,
    /// An invalidation message.
    Invalidation,
    /// The restart hint in the `state` of a login flow.
    State,
    /// The return target of a login flow, in a cookie.
    ReturnTarget,
    /// A handover of a session to another host, in a URL.
    Handover,
}

/// The purpose of a MAC. Each purpose has its own derived key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacPurpose {
    /// Signs opaque tokens.
    OpaqueToken,
    /// Binds a form to a session.
    Csrf,
    /// Signs device cookies, which prove an earlier sign-in with the browser.
    Device,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyRingError {
    #[error("the key ring contains no key; `vestibule key-ring new` prints one")]
    Empty,
    #[error("line {line} is not a base64url key of 32 bytes; `vestibule key-ring new` prints one")]
    Malformed { line: usize },
    #[error("line {line} repeats the key of line {first}")]
    Repeated { line: usize, first: usize },
}

/// The reason why a value could not be decrypted. Neither means that the value does not exist.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum DecryptionError {
    #[error("it was encrypted with a key that is not in the key ring")]
    UnknownKey,
    #[error("it was not encrypted for this place: it was altered or moved, or has another format")]
    Tampered,
}

/// Creates a key, as a line of the key ring.
pub fn new_key() -> String {
    URL_SAFE_NO_PAD.encode(*Zeroizing::new(random_bytes::<KEY_LEN>()))
}

/// Creates a key with a comment that states its creation date.
pub fn new_dated_key(now: Timestamp) -> String {
    format!("{CREATED} {now:.0}\n{}", new_key())
}

/// The current key ring. It is replaced as a whole when its file changes. A new primary key only decrypts at first.
pub struct KeyRing {
    keys: Rotation<RingKey>,
    /// The number of edits that removed a key.
    removals: watch::Sender<u64>,
}

/// The parsed lines of a key ring that is not in use yet.
pub struct RingKeys {
    keys: Vec<RingKey>,
    created: Option<Timestamp>,
}

struct RingKey {
    id: [u8; KEY_ID_LEN],
    record: RandomizedNonceKey,
    invalidation: RandomizedNonceKey,
    state: RandomizedNonceKey,
    return_target: RandomizedNonceKey,
    handover: RandomizedNonceKey,
    opaque_token: hmac::Key,
    csrf: hmac::Key,
    device: hmac::Key,
    onboarding: Zeroizing<[u8; KEY_LEN]>,
}

impl RingKeys {
    /// Parses one base64url key of 32 bytes per line. Blank lines and lines that begin with `#` are skipped.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let mut keys: Vec<(usize, RingKey)> = Vec::new();
        let mut created = None;
        for (number, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                // Only a comment before the primary key can state its date.
                created = line.strip_prefix(CREATED).filter(|_| keys.is_empty()).map_or(created, date);
                continue;
            }
            let key = decode(line).ok_or(KeyRingError::Malformed { line: number })?;
            if let Some((first, _)) = keys.iter().find(|(_, known)| known.id == key.id) {
                return Err(KeyRingError::Repeated { line: number, first: *first });
            }
            keys.push((number, key));
        }
        if keys.is_empty() {
            return Err(KeyRingError::Empty);
        }
        Ok(Self { keys: keys.into_iter().map(|(_, key)| key).collect(), created })
    }

    /// Returns the creation date of the primary key, if a comment above it states one.
    pub fn created(&self) -> Option<Timestamp> {
        self.created
    }
}

/// Parses the date of a comment; `None` if it is not a date.
fn date(comment: &str) -> Option<Timestamp> {
    comment.trim_start_matches(':').trim().parse().ok()
}

fn decode(line: &str) -> Option<RingKey> {
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(line).ok()?);
    let secret: &[u8; KEY_LEN] = bytes.as_slice().try_into().ok()?;
    Some(RingKey::derive(secret))
}

impl KeyRing {
    /// The number of bytes that encryption adds to a text.
    pub const OVERHEAD: usize = 1 + KEY_ID_LEN + NONCE_LEN + TAG_LEN;

    pub fn new(keys: RingKeys, clock: Arc<dyn Clock>) -> Self {
        Self { keys: Rotation::new(keys.keys, ENCRYPTS_AFTER, clock), removals: watch::Sender::new(0) }
    }

    /// Creates a ring that is lost with the process, for a store in memory.
    pub fn ephemeral(clock: Arc<dyn Clock>) -> Self {
        let key = RingKey::derive(&Zeroizing::new(random_bytes::<KEY_LEN>()));
        Self::new(RingKeys { keys: vec![key], created: None }, clock)
    }

    /// Replaces the keys. Known keys keep their age. Subscribers of [`KeyRing::removals`] are notified if a key was removed.
    pub fn replace(&self, keys: RingKeys) {
        if self.keys.replace(keys.keys) == Replacement::KeysRemoved {
            self.removals.send_modify(|count| *count += 1);
        }
    }

    /// Subscribes to edits that remove a key.
    pub fn removals(&self) -> watch::Receiver<u64> {
        self.removals.subscribe()
    }

    /// Encrypts `plaintext`. The result can be decrypted only with the same purpose and associated data.
    pub fn encrypt(&self, purpose: EncryptionPurpose, associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
        self.keys.in_use().encrypt(purpose, associated, plaintext)
    }

    /// Decrypts a value that any key of the ring encrypted.
    pub fn decrypt(&self, purpose: EncryptionPurpose, associated: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, DecryptionError> {
        let (id, nonce, body) = split(ciphertext).ok_or(DecryptionError::Tampered)?;
        let keys = self.keys.all();
        let key = keys.iter().find(|key| key.id == id).ok_or(DecryptionError::UnknownKey)?;
        let mut body = body.to_vec();
        let plain =
            key.aead(purpose).open_in_place(nonce, Aad::from(associated), &mut body).map_err(|_| DecryptionError::Tampered)?;
        let len = plain.len();
        body.truncate(len);
        key.record_use();
        Ok(body)
    }

    /// Re-encrypts a value with the primary key; `None` if the primary key encrypted it already. The caller must know that
    /// every pod has the primary key.
    pub fn reencrypt(
        &self,
        purpose: EncryptionPurpose,
        associated: &[u8],
        ciphertext: &[u8],
    ) -> Result<Option<Vec<u8>>, DecryptionError> {
        let (id, ..) = split(ciphertext).ok_or(DecryptionError::Tampered)?;
        let keys = self.keys.all();
        let primary = keys.first().filter(|primary| primary.id != id);
        let plain = Zeroizing::new(self.decrypt(purpose, associated, ciphertext)?);
        Ok(primary.map(|primary| primary.encrypt(purpose, associated, &plain)))
    }

    /// Returns the key that currently signs onboarding tokens, and its id.
    pub(super) fn onboarding_key(&self) -> (String, Zeroizing<[u8; KEY_LEN]>) {
        let key = self.keys.in_use();
        (URL_SAFE_NO_PAD.encode(key.id), key.onboarding.clone())
    }

    pub(super) fn onboarding_key_of(&self, name: &str) -> Option<Zeroizing<[u8; KEY_LEN]>> {
        let keys = self.keys.all();
        keys.iter().find(|key| URL_SAFE_NO_PAD.encode(key.id) == name).map(|key| key.onboarding.clone())
    }

    pub fn mac(&self, purpose: MacPurpose, parts: &[&[u8]]) -> Mac {
        self.keys.in_use().mac(purpose, parts)
    }

    /// True if any key of the ring created this MAC.
    pub fn verify_mac(&self, purpose: MacPurpose, parts: &[&[u8]], mac: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        self.keys.all().iter().any(|key| key.mac(purpose, parts).ct_eq(mac).into())
    }
}

/// Shows only the number of keys.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys, [redacted])", self.keys.all().len())
    }
}

impl fmt::Debug for RingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RingKeys({} keys, [redacted])", self.keys.len())
    }
}

impl RotationKey for RingKey {
    fn id(&self) -> &[u8] {
        &self.id
    }
}

impl RingKey {
    fn derive(secret: &[u8; KEY_LEN]) -> Self {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"vestibule key ring 1").extract(secret);
        let aead = |purpose: &str| {
            RandomizedNonceKey::new(&AES_256_GCM_SIV, &*expand::<KEY_LEN>(&root, purpose))
                .expect("the derived key has the algorithm's length")
        };
        let mac = |purpose: &str| hmac::Key::new(hmac::HMAC_SHA256, &*expand::<KEY_LEN>(&root, purpose));
        Self {
            id: *expand(&root, "key id"),
            record: aead("seal record"),
            invalidation: aead("seal bus"),
            state: aead("seal state"),
            return_target: aead("seal return target"),
            handover: aead("seal handover"),
            opaque_token: mac("mac handle"),
            csrf: mac("mac csrf"),
            device: mac("mac device"),
            onboarding: expand(&root, "jwt onboarding"),
        }
    }

    fn encrypt(&self, purpose: EncryptionPurpose, associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut body = plaintext.to_vec();
        let nonce = self
            .aead(purpose)
            .seal_in_place_append_tag(Aad::from(associated), &mut body)
            .expect("encryption fails only for texts of gigabytes");
        let mut ciphertext = Vec::with_capacity(1 + KEY_ID_LEN + NONCE_LEN + body.len());
        ciphertext.push(FORMAT);
        ciphertext.extend_from_slice(&self.id);
        ciphertext.extend_from_slice(nonce.as_ref());
        ciphertext.append(&mut body);
        ciphertext
    }

    fn aead(&self, purpose: EncryptionPurpose) -> &RandomizedNonceKey {
        match purpose {
            EncryptionPurpose::Record => &self.record,
            EncryptionPurpose::Invalidation => &self.invalidation,
            EncryptionPurpose::State => &self.state,
            EncryptionPurpose::ReturnTarget => &self.return_target,
            EncryptionPurpose::Handover => &self.handover,
        }
    }

    fn mac(&self, purpose: MacPurpose, parts: &[&[u8]]) -> Mac {
        let key = match purpose {
            MacPurpose::OpaqueToken => &self.opaque_token,
            MacPurpose::Csrf => &self.csrf,
            MacPurpose::Device => &self.device,
        };
        let mut context = hmac::Context::with_key(key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        tag.as_ref()[..MAC_LEN].try_into().expect("HMAC-SHA-256 is longer than its shortened form")
    }
}

fn expand<const N: usize>(root: &hkdf::Prk, purpose: &str) -> Zeroizing<[u8; N]> {
    struct Len(usize);
    impl hkdf::KeyType for Len {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut out = Zeroizing::new([0; N]);
    root.expand(&[purpose.as_bytes()], Len(N)).and_then(|okm| okm.fill(&mut *out)).expect("HKDF-SHA-256 gives up to 8160 bytes");
    out
}

fn split(ciphertext: &[u8]) -> Option<([u8; KEY_ID_LEN], Nonce, &[u8])> {
    let (format, rest) = ciphertext.split_first()?;
    let (id, rest) = rest.split_first_chunk()?;
    let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>()?;
    (*format == FORMAT).then(|| (*id, Nonce::assume_unique_for_key(*nonce), body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::manual::ManualClock;

    fn ring(lines: &[&str], clock: &ManualClock) -> KeyRing {
        KeyRing::new(RingKeys::parse(&lines.join("\n")).unwrap(), Arc::new(clock.clone()))
    }

    #[test]
    fn an_encrypted_value_is_decrypted_only_with_the_same_purpose_and_associated_data() {
        let ring = ring(&[&new_key()], &ManualClock::new());
        let ciphertext = ring.encrypt(EncryptionPurpose::Record, b"user:1", b"hello");
        assert_eq!(ring.decrypt(EncryptionPurpose::Record, b"user:1", &ciphertext).unwrap(), b"hello");
        assert_eq!(ring.decrypt(EncryptionPurpose::Record, b"user:2", &ciphertext), Err(DecryptionError::Tampered));
        assert_eq!(ring.decrypt(EncryptionPurpose::Invalidation, b"user:1", &ciphertext), Err(DecryptionError::Tampered));
    }

    #[test]
    fn every_altered_or_truncated_value_is_rejected() {
        let ring = ring(&[&new_key()], &ManualClock::new());
        let ciphertext = ring.encrypt(EncryptionPurpose::Record, b"k", b"hello");
        for at in 0..ciphertext.len() {
            let mut altered = ciphertext.clone();
            altered[at] ^= 1;
            assert!(ring.decrypt(EncryptionPurpose::Record, b"k", &altered).is_err(), "byte {at}");
            assert!(ring.decrypt(EncryptionPurpose::Record, b"k", &ciphertext[..at]).is_err(), "length {at}");
        }
    }

    #[test]
    fn a_new_primary_key_decrypts_at_once_and_encrypts_after_three_minutes() {
        let clock = ManualClock::new();
        let (old_key, new_key) = (new_key(), new_key());
        let old_pod = ring(&[&old_key], &clock);
        let pod = ring(&[&old_key], &clock);
        pod.replace(RingKeys::parse(&format!("{new_key}\n{old_key}")).unwrap());
        let early = pod.encrypt(EncryptionPurpose::Record, b"k", b"v");
        assert!(old_pod.decrypt(EncryptionPurpose::Record, b"k", &early).is_ok());
        clock.advance(ENCRYPTS_AFTER);
        let late = pod.encrypt(EncryptionPurpose::Record, b"k", b"v");
        assert_eq!(old_pod.decrypt(EncryptionPurpose::Record, b"k", &late), Err(DecryptionError::UnknownKey));
        assert!(pod.decrypt(EncryptionPurpose::Record, b"k", &early).is_ok());

        let fresh_pod = ring(&[&new_key, &old_key], &clock);
        assert!(
            old_pod.decrypt(EncryptionPurpose::Record, b"k", &fresh_pod.encrypt(EncryptionPurpose::Record, b"k", b"v")).is_ok()
        );
        assert!(fresh_pod.decrypt(EncryptionPurpose::Record, b"k", &late).is_ok());
        let ciphertext = fresh_pod.encrypt(EncryptionPurpose::Record, b"k", b"v");
        assert_eq!(
            old_pod.decrypt(EncryptionPurpose::Record, b"k", &ciphertext),
            Err(DecryptionError::UnknownKey),
            "after another pod used the new key"
        );
    }

    #[test]
    fn the_creation_date_is_read_from_the_comment_above_the_primary_key() {
        let date: Timestamp = "2026-11-22T09:41:00Z".parse().unwrap();
        let created = |text: &str| RingKeys::parse(text).unwrap().created();
        let (first, second) = (new_dated_key(date), new_key());
        assert_eq!(created(&format!("{first}\n{second}")), Some(date));
        assert_eq!(created(&format!("# ours\n#created never\n# created: 2026-11-22T10:41:00+01:00\n{second}")), Some(date));
        for undated in [second.clone(), format!("{second}\n{first}"), format!("# created last summer\n{second}")] {
            assert_eq!(created(&undated), None, "{undated}");
        }
    }

    #[test]
    fn only_an_edit_that_removes_a_key_notifies_subscribers() {
        let (old_key, new_key) = (new_key(), new_key());
        let ring = ring(&[&old_key], &ManualClock::new());
        let removals = ring.removals();
        for lines in [format!("{new_key}\n{old_key}"), format!("{old_key}\n{new_key}")] {
            ring.replace(RingKeys::parse(&lines).unwrap());
            assert!(!removals.has_changed().unwrap());
        }
        ring.replace(RingKeys::parse(&new_key).unwrap());
        assert!(removals.has_changed().unwrap());
    }

    #[test]
    fn a_pod_that_starts_with_a_rotated_ring_waits_too() {
        let clock = ManualClock::new();
        let (old_key, new_key) = (new_key(), new_key());
        let started = ring(&[&new_key, &old_key], &clock);
        let ciphertext = started.encrypt(EncryptionPurpose::Record, b"k", b"v");
        assert!(ring(&[&old_key], &clock).decrypt(EncryptionPurpose::Record, b"k", &ciphertext).is_ok());
    }

    #[test]
    fn a_mac_of_any_key_in_the_ring_is_valid_and_parts_are_separated() {
        let clock = ManualClock::new();
        let (old_key, new_key) = (new_key(), new_key());
        let mac = ring(&[&old_key], &clock).mac(MacPurpose::OpaqueToken, &[b"ab", b"c"]);
        let rotated = ring(&[&new_key, &old_key], &clock);
        assert!(rotated.verify_mac(MacPurpose::OpaqueToken, &[b"ab", b"c"], &mac));
        assert!(!rotated.verify_mac(MacPurpose::OpaqueToken, &[b"a", b"bc"], &mac));
        assert!(!rotated.verify_mac(MacPurpose::Csrf, &[b"ab", b"c"], &mac));
        assert!(!ring(&[&new_key], &clock).verify_mac(MacPurpose::OpaqueToken, &[b"ab", b"c"], &mac));
    }

    #[test]
    fn mistakes_in_a_key_ring_name_the_line_and_never_the_key() {
        let key = new_key();
        assert_eq!(RingKeys::parse("\n# none\n").unwrap_err(), KeyRingError::Empty);
        assert_eq!(RingKeys::parse(&format!("{key}\nshort")).unwrap_err(), KeyRingError::Malformed { line: 2 });
        let repeated = RingKeys::parse(&format!("{key}\n\n{key}")).unwrap_err();
        assert_eq!(repeated, KeyRingError::Repeated { line: 3, first: 1 });
        assert!(!repeated.to_string().contains(&key));
    }

    #[test]
    fn debug_shows_no_key() {
        let key = new_key();
        let keys = RingKeys::parse(&key).unwrap();
        assert_eq!(format!("{keys:?}"), "RingKeys(1 keys, [redacted])");
        let ring = KeyRing::new(keys, Arc::new(ManualClock::new()));
        assert_eq!(format!("{ring:?}"), "KeyRing(1 keys, [redacted])");
    }
}
