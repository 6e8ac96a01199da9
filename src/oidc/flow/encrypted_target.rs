//! A return target that is too long for the store, encrypted for the browser that begins the login.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    return_target::ReturnTarget,
    secret::{Digest, EncryptionPurpose, KeyRing},
};

/// The encrypted return target of one login flow, for the browser to keep until the callback.
pub struct EncryptedTarget {
    /// Identifies the flow among those of the browser.
    pub id: String,
    pub text: String,
}

impl EncryptedTarget {
    pub(super) fn new(ring: &KeyRing, state: &str, target: &ReturnTarget) -> Self {
        let encrypted = ring.encrypt(EncryptionPurpose::ReturnTarget, state.as_bytes(), target.as_str().as_bytes());
        Self { id: Self::id_of(state), text: URL_SAFE_NO_PAD.encode(encrypted) }
    }

    /// Returns the id of the target that belongs to a `state`.
    pub fn id_of(state: &str) -> String {
        let mut id = Digest::of(state.as_bytes()).to_hex();
        id.truncate(8);
        id
    }

    /// Decrypts a target. `None` unless a pod of this deployment encrypted it for this `state`.
    pub(super) fn decrypt(ring: &KeyRing, state: &str, text: &str) -> Option<ReturnTarget> {
        let encrypted = URL_SAFE_NO_PAD.decode(text).ok()?;
        let target = ring.decrypt(EncryptionPurpose::ReturnTarget, state.as_bytes(), &encrypted).ok()?;
        String::from_utf8(target).ok()?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn a_target_is_decrypted_for_its_own_flow_only() {
        let ring = KeyRing::ephemeral(Arc::new(SystemClock));
        let target = ReturnTarget::parse(&format!("/{}", "a".repeat(4095)), "").unwrap();
        let encrypted = EncryptedTarget::new(&ring, "state-1", &target);
        assert_eq!(EncryptedTarget::decrypt(&ring, "state-1", &encrypted.text), Some(target));
        assert_eq!(EncryptedTarget::decrypt(&ring, "state-2", &encrypted.text), None);
        assert_eq!(EncryptedTarget::decrypt(&ring, "state-1", &encrypted.text[1..]), None);
        assert_eq!(EncryptedTarget::decrypt(&ring, "state-1", ""), None);
        assert_eq!((encrypted.id.len(), encrypted.id == EncryptedTarget::id_of("state-1")), (8, true));
    }
}
