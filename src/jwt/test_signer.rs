//! Signing keys for unit tests.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde::Serialize;
use serde_json::json;

use super::KeySet;

/// A signing key and its public key.
pub struct Signer {
    algorithm: Algorithm,
    private: EncodingKey,
    pub public: Jwk,
}

impl Signer {
    pub fn es256(kid: Option<&str>) -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Self::new(Algorithm::ES256, EncodingKey::from_ec_der(pkcs8.as_ref()), kid)
    }

    pub fn eddsa(kid: Option<&str>) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
        Self::new(Algorithm::EdDSA, EncodingKey::from_ed_der(pkcs8.as_ref()), kid)
    }

    pub fn rs256(kid: Option<&str>) -> Self {
        let pkcs8 = AsDer::<Pkcs8V1Der>::as_der(&KeyPair::generate(KeySize::Rsa2048).unwrap()).unwrap();
        let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", pkcs8.as_ref()));
        Self::new(Algorithm::RS256, EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(), kid)
    }

    fn new(algorithm: Algorithm, private: EncodingKey, kid: Option<&str>) -> Self {
        let mut public = Jwk::from_encoding_key(&private, algorithm).unwrap();
        public.common.key_id = kid.map(str::to_owned);
        Self { algorithm, private, public }
    }

    pub fn header(&self) -> Header {
        let mut header = Header::new(self.algorithm);
        header.kid = self.public.common.key_id.clone();
        header
    }

    pub fn sign(&self, claims: &impl Serialize) -> String {
        self.sign_with(&self.header(), claims)
    }

    pub fn sign_with(&self, header: &Header, claims: &impl Serialize) -> String {
        encode(header, claims, &self.private).unwrap()
    }
}

/// Returns the key set of an issuer with these keys.
pub fn key_set(signers: &[&Signer]) -> KeySet {
    let keys: Vec<_> = signers.iter().map(|signer| signer.public.clone()).collect();
    KeySet::parse(&serde_json::to_vec(&json!({"keys": keys})).unwrap()).unwrap()
}
