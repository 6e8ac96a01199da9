//! Verifies signatures with one public key.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use rsa::{BigUint, Pkcs1v15Sign, Pss, RsaPublicKey};
use sha2::{Digest, Sha256, Sha384, Sha512};

#[derive(Debug)]
pub(super) enum Verifier {
    Usual(DecodingKey),
    /// The library behind `jsonwebtoken` refuses such RSA keys.
    LongExponent(RsaPublicKey),
}

impl Verifier {
    /// The largest exponent with which the library behind `jsonwebtoken` verifies, in bits.
    const USUAL_EXPONENT_BITS: usize = 33;

    /// Both integers are without leading zeros, and the caller has checked their sizes.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8], exponent_bits: usize) -> Self {
        if exponent_bits <= Self::USUAL_EXPONENT_BITS {
            return Self::Usual(DecodingKey::from_rsa_raw_components(modulus, exponent));
        }
        Self::LongExponent(RsaPublicKey::new_unchecked(BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent)))
    }

    /// True if the signature, in base64url, is that of the message. The key must be of the algorithm's type.
    pub(super) fn is_valid_signature(&self, message: &str, signature: &str, algorithm: Algorithm) -> bool {
        match self {
            Self::Usual(key) => crypto::verify(signature, message.as_bytes(), key, algorithm).unwrap_or(false),
            Self::LongExponent(key) => URL_SAFE_NO_PAD
                .decode(signature)
                .is_ok_and(|signature| verify_rsa(key, message.as_bytes(), &signature, algorithm)),
        }
    }
}

fn verify_rsa(key: &RsaPublicKey, message: &[u8], signature: &[u8], algorithm: Algorithm) -> bool {
    let verified = match algorithm {
        Algorithm::RS256 => key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message), signature),
        Algorithm::RS384 => key.verify(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(message), signature),
        Algorithm::RS512 => key.verify(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(message), signature),
        Algorithm::PS256 => key.verify(Pss::new::<Sha256>(), &Sha256::digest(message), signature),
        Algorithm::PS384 => key.verify(Pss::new::<Sha384>(), &Sha384::digest(message), signature),
        Algorithm::PS512 => key.verify(Pss::new::<Sha512>(), &Sha512::digest(message), signature),
        _ => return false,
    };
    verified.is_ok()
}
