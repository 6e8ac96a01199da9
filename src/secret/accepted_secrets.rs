//! Lists of accepted secrets of another party. They can be replaced while the process runs.

use std::fmt;

use arc_swap::ArcSwap;
use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::Digest;

/// The lengths of a secret in bytes. A shorter one could be guessed, and a longer one is refused before it is hashed.
const MIN_LENGTH: usize = 32;
const MAX_LENGTH: usize = 256;
const MAX_COUNT: usize = 16;

/// A list of secrets, as their digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedSecrets(Vec<Digest>);

/// The active secrets.
pub struct AcceptedSecretsCell(ArcSwap<AcceptedSecrets>);

/// The reason why a text is not a list of secrets. Messages never repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcceptedSecretsError {
    #[error("must have at least one secret, one per line")]
    Empty,
    #[error("must not have more than {MAX_COUNT} secrets")]
    TooMany,
    #[error("must have secrets of {MIN_LENGTH} to {MAX_LENGTH} characters; line {line} is shorter or longer")]
    Length { line: usize },
    #[error("must consist of letters, digits and -._~+/=, so that every gateway can send it; line {line} has another character")]
    Character { line: usize },
    #[error("must have each secret once; line {line} repeats line {first}")]
    Repeated { line: usize, first: usize },
}

impl AcceptedSecrets {
    /// Parses one secret per line. Blank lines and `#` comments are ignored.
    pub fn parse(text: &str) -> Result<Self, AcceptedSecretsError> {
        let mut known: Vec<(usize, Digest)> = Vec::new();
        for (line, secret) in (1..).zip(text.lines().map(str::trim)) {
            if secret.is_empty() || secret.starts_with('#') {
                continue;
            }
            let digest = parse_line(line, secret)?;
            if let Some((first, _)) = known.iter().find(|(_, other)| *other == digest) {
                return Err(AcceptedSecretsError::Repeated { line, first: *first });
            }
            known.push((line, digest));
        }
        match known.len() {
            0 => Err(AcceptedSecretsError::Empty),
            1..=MAX_COUNT => Ok(Self(known.into_iter().map(|(_, digest)| digest).collect())),
            _ => Err(AcceptedSecretsError::TooMany),
        }
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Compares with every secret, in a time that depends on their number and the presented length only.
    fn accept(&self, presented: &[u8]) -> bool {
        if !(MIN_LENGTH..=MAX_LENGTH).contains(&presented.len()) {
            return false;
        }
        let presented = Digest::of(presented);
        let is_equal = |secret: &Digest| verify_slices_are_equal(secret.as_bytes(), presented.as_bytes()).is_ok();
        self.0.iter().fold(false, |accepted, secret| accepted | is_equal(secret))
    }
}

fn parse_line(line: usize, secret: &str) -> Result<Digest, AcceptedSecretsError> {
    if !secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)) {
        return Err(AcceptedSecretsError::Character { line });
    }
    if !(MIN_LENGTH..=MAX_LENGTH).contains(&secret.len()) {
        return Err(AcceptedSecretsError::Length { line });
    }
    Ok(Digest::of(secret.as_bytes()))
}

impl AcceptedSecretsCell {
    pub fn new(secrets: AcceptedSecrets) -> Self {
        Self(ArcSwap::from_pointee(secrets))
    }

    pub fn replace(&self, secrets: AcceptedSecrets) {
        self.0.store(secrets.into());
    }

    pub fn accept(&self, presented: &[u8]) -> bool {
        self.0.load().accept(presented)
    }
}

impl fmt::Debug for AcceptedSecretsCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AcceptedSecretsCell([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const ONE: &str = "0123456789abcdefghijklmnopqrstuv";
    const TWO: &str = "vutsrqponmlkjihgfedcba9876543210";

    #[test]
    fn each_line_is_accepted_and_nothing_else() {
        let secrets = AcceptedSecrets::parse(&format!("# old\n{ONE}\n\n  # new\r\n {TWO}\r\n")).unwrap();
        assert_eq!(secrets.count(), 2);
        assert!(secrets.accept(ONE.as_bytes()) && secrets.accept(TWO.as_bytes()));
        let both = format!("{ONE}\n{TWO}");
        for other in ["", "#", "# old", &ONE[..31], &ONE.to_uppercase(), &both, &format!("{ONE} "), &format!("{ONE},{TWO}")] {
            assert!(!secrets.accept(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn replaced_secrets_are_refused_at_once() {
        let cell = AcceptedSecretsCell::new(AcceptedSecrets::parse(ONE).unwrap());
        cell.replace(AcceptedSecrets::parse(TWO).unwrap());
        assert!(cell.accept(TWO.as_bytes()) && !cell.accept(ONE.as_bytes()));
    }

    #[rstest]
    #[case(String::new(), AcceptedSecretsError::Empty)]
    #[case("# none\n\n".to_owned(), AcceptedSecretsError::Empty)]
    #[case(format!("{ONE}\nhunter2"), AcceptedSecretsError::Length { line: 2 })]
    #[case(ONE[..31].to_owned(), AcceptedSecretsError::Length { line: 1 })]
    #[case("a".repeat(257), AcceptedSecretsError::Length { line: 1 })]
    #[case(format!("{ONE};"), AcceptedSecretsError::Character { line: 1 })]
    #[case(format!("{ONE}\"$x"), AcceptedSecretsError::Character { line: 1 })]
    #[case(format!("{ONE} {TWO}"), AcceptedSecretsError::Character { line: 1 })]
    #[case(format!("{ONE}\u{e9}"), AcceptedSecretsError::Character { line: 1 })]
    #[case(format!("{ONE}\n#\n{ONE}"), AcceptedSecretsError::Repeated { line: 3, first: 1 })]
    #[case((10..27).map(|n| format!("{ONE}{n}\n")).collect(), AcceptedSecretsError::TooMany)]
    fn an_invalid_list_is_refused_without_repeating_it(#[case] text: String, #[case] expected: AcceptedSecretsError) {
        let error = AcceptedSecrets::parse(&text).unwrap_err();
        assert_eq!(error, expected);
        assert!(!error.to_string().contains("hunter2") && !error.to_string().contains(ONE));
    }

    #[test]
    fn debug_shows_no_secret() {
        let secrets = AcceptedSecrets::parse(ONE).unwrap();
        let shown = format!("{secrets:?} {:?}", AcceptedSecretsCell::new(secrets.clone()));
        assert!(!shown.contains(ONE) && shown.contains("[redacted]"), "{shown}");
    }

    proptest! {
        #[test]
        fn only_the_same_bytes_are_accepted(presented in proptest::collection::vec(any::<u8>(), 0..80)) {
            let secrets = AcceptedSecrets::parse(ONE).unwrap();
            prop_assert_eq!(secrets.accept(&presented), presented == ONE.as_bytes());
        }
    }
}
