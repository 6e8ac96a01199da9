//! Reads one public key of a JWK Set (RFC 7517; RFC 7518, section 6) by the members that verifying a signature needs.

use std::str::FromStr;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, EcdsaVerificationAlgorithm, ParsedPublicKey};
use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{GeneralPurpose, general_purpose::NO_PAD},
};
use jsonwebtoken::{Algorithm, DecodingKey};

use super::verifier::Verifier;
use crate::json::JsonObject;

/// The sizes of a modulus and an exponent, in bits. FIPS 186-5 has the same maximum for an exponent; longer ones would make each
/// verification expensive.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
const EXPONENT_BITS: std::ops::RangeInclusive<usize> = 2..=256;

const ED25519_KEY_LENGTH: usize = 32;

/// Some providers fill the unused bits of the last character.
const LENIENT: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// A public key with which signatures can be verified.
#[derive(Debug)]
pub(super) struct VerificationKey {
    kid: Option<String>,
    /// The only algorithm of the key, if it names one.
    algorithm: Option<Algorithm>,
    material: Material,
    verifier: Verifier,
}

#[derive(Debug, PartialEq, Eq)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// The uncompressed point.
    Ec {
        curve: Curve,
        point: Vec<u8>,
    },
    Ed25519(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
}

/// Parses the name of a signature algorithm. `Ed25519` is the other name of EdDSA with this curve (RFC 9864).
pub(super) fn parse_algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "Ed25519" => Some(Algorithm::EdDSA),
        name => Algorithm::from_str(name).ok(),
    }
}

impl VerificationKey {
    /// Returns `None` for a key that verifies no signature: of an unknown type, for encryption, a shared secret, a certificate
    /// without parameters, or with parameters that are no key.
    pub(super) fn parse(key: &JsonObject) -> Option<Self> {
        if is_for_encryption(key) {
            return None;
        }
        let material = Material::parse(key)?;
        let algorithm = key.text("alg").as_deref().and_then(parse_algorithm);
        if algorithm.is_some_and(|algorithm| !material.algorithms().contains(&algorithm)) {
            return None;
        }
        let verifier = material.verifier();
        Some(Self { kid: key.text("kid").filter(|kid| !kid.is_empty()), algorithm, material, verifier })
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(super) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    pub(super) fn can_verify(&self, algorithm: Algorithm) -> bool {
        self.material.algorithms().contains(&algorithm) && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

impl PartialEq for VerificationKey {
    fn eq(&self, other: &Self) -> bool {
        (&self.kid, self.algorithm, &self.material) == (&other.kid, other.algorithm, &other.material)
    }
}

/// True if `use`, `key_ops` or `alg` says so.
fn is_for_encryption(key: &JsonObject) -> bool {
    let operations = key.texts("key_ops");
    let signs = |operation: &String| operation == "verify" || operation == "sign";
    let by_algorithm = |name: String| ["RSA1_5", "RSA-OAEP", "ECDH-ES", "HPKE"].iter().any(|prefix| name.starts_with(prefix));
    key.text("use").is_some_and(|purpose| purpose == "enc")
        || (!operations.is_empty() && !operations.iter().any(signs))
        || key.text("alg").is_some_and(by_algorithm)
}

impl Material {
    fn parse(key: &JsonObject) -> Option<Self> {
        match (key.text("kty")?.as_str(), key.text("crv").as_deref()) {
            ("RSA", _) => Self::rsa(integer(key, "n")?, integer(key, "e")?),
            ("EC", Some("P-256")) => Self::ec(Curve::P256, &integer(key, "x")?, &integer(key, "y")?),
            ("EC", Some("P-384")) => Self::ec(Curve::P384, &integer(key, "x")?, &integer(key, "y")?),
            ("OKP", Some("Ed25519")) => bytes(key, "x").filter(|public| public.len() == ED25519_KEY_LENGTH).map(Self::Ed25519),
            _ => None,
        }
    }

    fn rsa(modulus: Vec<u8>, exponent: Vec<u8>) -> Option<Self> {
        let is_odd = |integer: &[u8]| integer.last().is_some_and(|last| last % 2 == 1);
        let fits = MODULUS_BITS.contains(&bits(&modulus)) && EXPONENT_BITS.contains(&bits(&exponent));
        (fits && is_odd(&modulus) && is_odd(&exponent)).then_some(Self::Rsa { modulus, exponent })
    }

    fn ec(curve: Curve, x: &[u8], y: &[u8]) -> Option<Self> {
        const UNCOMPRESSED: u8 = 4;
        let mut point = vec![UNCOMPRESSED];
        for coordinate in [x, y] {
            let padding = curve.coordinate_length().checked_sub(coordinate.len())?;
            point.extend(std::iter::repeat_n(0, padding));
            point.extend_from_slice(coordinate);
        }
        ParsedPublicKey::new(curve.verification(), &point).is_ok().then_some(Self::Ec { curve, point })
    }

    fn algorithms(&self) -> &'static [Algorithm] {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        match self {
            Self::Rsa { .. } => &[RS256, RS384, RS512, PS256, PS384, PS512],
            Self::Ec { curve: Curve::P256, .. } => &[ES256],
            Self::Ec { curve: Curve::P384, .. } => &[ES384],
            Self::Ed25519(_) => &[EdDSA],
        }
    }

    fn verifier(&self) -> Verifier {
        match self {
            Self::Rsa { modulus, exponent } => Verifier::rsa(modulus, exponent, bits(exponent)),
            Self::Ec { point, .. } => Verifier::Usual(DecodingKey::from_ec_der(point)),
            Self::Ed25519(public) => Verifier::Usual(DecodingKey::from_ed_der(public)),
        }
    }
}

impl Curve {
    fn coordinate_length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    fn verification(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED,
            Self::P384 => &ECDSA_P384_SHA384_FIXED,
        }
    }
}

/// Returns an unsigned big-endian integer without its leading zeros, which some providers add and others leave out.
fn integer(key: &JsonObject, member: &str) -> Option<Vec<u8>> {
    let bytes = bytes(key, member)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Some(bytes[zeros..].to_vec())
}

/// Decodes base64url, also with padding, line breaks or the characters of the standard alphabet.
fn bytes(key: &JsonObject, member: &str) -> Option<Vec<u8>> {
    let url_safe = |character| match character {
        '+' => '-',
        '/' => '_',
        other => other,
    };
    let text: String = key.text(member)?.chars().filter(|character| !character.is_ascii_whitespace()).map(url_safe).collect();
    LENIENT.decode(text.trim_end_matches('=')).ok()
}

/// Returns the number of bits of an integer without leading zeros.
fn bits(integer: &[u8]) -> usize {
    integer.first().map_or(0, |first| integer.len() * 8 - first.leading_zeros() as usize)
}
