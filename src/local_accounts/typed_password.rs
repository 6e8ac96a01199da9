//! Passwords as users type them, and their normal form: OpaqueString (RFC 8265, section 4.2).

use std::{borrow::Cow, fmt};

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory, HangulSyllableType},
};
use zeroize::Zeroizing;

/// The maximum length of a password in bytes, since longer ones are expensive to hash.
pub const MAX_LENGTH: usize = 128;

/// A password in its normal form, which is what is checked and hashed.
#[derive(Clone, PartialEq, Eq)]
pub struct NormalPassword(Zeroizing<String>);

/// The forms in which the hash of a typed password may have been made, the normal form first. Earlier versions hashed the text
/// as it was typed. There is none if the text is longer than any password.
#[derive(Clone)]
pub struct PasswordForms(Vec<Zeroizing<String>>);

/// The password is empty, or has a character that the profile does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NormalFormError {
    #[error("it is empty")]
    Empty,
    #[error("it has a control character, or another one that cannot be typed everywhere")]
    Character,
}

impl NormalPassword {
    /// Replaces spaces beyond ASCII by U+0020 and composes the characters (NFC). So the same password is the same text on every
    /// keyboard and operating system.
    pub fn parse(typed: &str) -> Result<Self, NormalFormError> {
        let spaced: Zeroizing<String> = Zeroizing::new(typed.chars().map(plain_space).collect());
        let composed = match ComposingNormalizerBorrowed::new_nfc().normalize(&spaced) {
            Cow::Borrowed(same) => Zeroizing::new(same.to_owned()),
            Cow::Owned(composed) => Zeroizing::new(composed),
        };
        if composed.is_empty() {
            return Err(NormalFormError::Empty);
        }
        if composed.chars().all(is_allowed) { Ok(Self(composed)) } else { Err(NormalFormError::Character) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_text(self) -> Zeroizing<String> {
        self.0
    }
}

impl PasswordForms {
    /// The number of forms depends on the typed text alone, so the time to verify them does not tell whether an account exists.
    pub fn of(typed: &str) -> Self {
        let normal = NormalPassword::parse(typed).ok().map(|normal| normal.0);
        let raw = Some(Zeroizing::new(typed.to_owned())).filter(|raw| normal.as_ref() != Some(raw));
        Self(normal.into_iter().chain(raw).filter(|form| form.len() <= MAX_LENGTH).collect())
    }

    /// The form to hash: the normal one, if the text has one.
    pub fn into_preferred(self) -> Option<Zeroizing<String>> {
        self.0.into_iter().next()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Zeroizing<String>> {
        self.0.iter()
    }
}

impl fmt::Debug for NormalPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NormalPassword([redacted])")
    }
}

impl fmt::Debug for PasswordForms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordForms([redacted])")
    }
}

fn plain_space(c: char) -> char {
    if category(c) == GeneralCategory::SpaceSeparator { ' ' } else { c }
}

/// The characters of PRECIS' FreeformClass (RFC 8264, section 4.3), without its rules about context: letters, marks, digits,
/// symbols, punctuation and spaces. All other characters are invisible or have no meaning of their own.
fn is_allowed(c: char) -> bool {
    let has_meaning = !matches!(
        category(c),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::Unassigned
    );
    has_meaning && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c) && !is_conjoining_jamo(c)
}

fn is_conjoining_jamo(c: char) -> bool {
    let syllable = CodePointMapData::<HangulSyllableType>::new().get(c);
    [HangulSyllableType::LeadingJamo, HangulSyllableType::VowelJamo, HangulSyllableType::TrailingJamo].contains(&syllable)
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn normal(typed: &str) -> Result<String, NormalFormError> {
        NormalPassword::parse(typed).map(|normal| normal.as_str().to_owned())
    }

    // The first eight are the examples of RFC 8265, section 4.3.
    #[rstest]
    #[case("correct horse battery staple", Ok("correct horse battery staple"))]
    #[case("Correct Horse Battery Staple", Ok("Correct Horse Battery Staple"))]
    #[case("πßå", Ok("πßå"))]
    #[case("Jack of \u{2666}s", Ok("Jack of \u{2666}s"))]
    #[case("foo\u{1680}bar", Ok("foo bar"))]
    #[case("", Err(NormalFormError::Empty))]
    #[case("my cat is a \u{9}by", Err(NormalFormError::Character))]
    #[case("\u{3000}\u{a0}\u{202f}", Ok("   "))]
    #[case("cafe\u{301}", Ok("caf\u{e9}"))]
    #[case("\u{212b}ngstr\u{f6}m", Ok("\u{c5}ngstr\u{f6}m"))]
    #[case("\u{1112}\u{1161}\u{11ab}", Ok("\u{d55c}"))]
    #[case("\u{fb01}\u{ff21}", Ok("\u{fb01}\u{ff21}"))]
    #[case("\u{1f916}", Ok("\u{1f916}"))]
    #[case("a\u{0}b", Err(NormalFormError::Character))]
    #[case("a\u{7f}b", Err(NormalFormError::Character))]
    #[case("a\u{85}b", Err(NormalFormError::Character))]
    #[case("a\nb", Err(NormalFormError::Character))]
    #[case("a\u{200b}b", Err(NormalFormError::Character))]
    #[case("a\u{feff}b", Err(NormalFormError::Character))]
    #[case("a\u{2028}b", Err(NormalFormError::Character))]
    #[case("a\u{e000}b", Err(NormalFormError::Character))]
    #[case("a\u{fdd0}b", Err(NormalFormError::Character))]
    #[case("a\u{115f}b", Err(NormalFormError::Character))]
    fn a_password_has_the_normal_form_of_the_profile(#[case] typed: &str, #[case] expected: Result<&str, NormalFormError>) {
        assert_eq!(normal(typed), expected.map(str::to_owned));
    }

    #[test]
    fn forms_are_the_normal_one_and_the_typed_one_if_they_differ() {
        let forms = |typed: &str| PasswordForms::of(typed).iter().map(|form| form.to_string()).collect::<Vec<_>>();
        assert_eq!(forms("caf\u{e9}"), ["caf\u{e9}"]);
        assert_eq!(forms("cafe\u{301}"), ["caf\u{e9}", "cafe\u{301}"]);
        assert_eq!(forms("a\tb"), ["a\tb"]);
        assert_eq!(forms(""), [""]);
        assert_eq!(forms(&"x".repeat(MAX_LENGTH + 1)), [""; 0]);
        assert_eq!(forms(&"e\u{301}".repeat(MAX_LENGTH / 2)), ["\u{e9}".repeat(MAX_LENGTH / 2)]);
    }

    #[test]
    fn debug_shows_no_password() {
        let text = format!("{:?} {:?}", NormalPassword::parse("secret").unwrap(), PasswordForms::of("secret"));
        assert!(!text.contains("secret"), "{text}");
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own_normal_form(typed in ".*") {
            if let Ok(form) = normal(&typed) {
                prop_assert_eq!(normal(&form), Ok(form.clone()));
                prop_assert!(PasswordForms::of(&form).iter().count() <= 1);
            }
            prop_assert!(PasswordForms::of(&typed).iter().count() <= 2);
        }
    }
}
