//! The `upstream_credential` of an access rule.

/// The credential that the upstream receives in `Authorization`, instead of the client's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamCredential {
    /// `none`
    None,
    /// `pass`: the header that the client sent.
    Passthrough,
    /// `assertion`: a signed identity assertion.
    Assertion,
    /// The static credential that is configured under this name.
    Static(Box<str>),
}

/// A text is not the name of an upstream credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be none, pass, assertion, or a configured name of 1 to 32 characters of a-z, 0-9 and -")]
pub struct UpstreamCredentialError;

const MAX_NAME_LENGTH: usize = 32;

impl UpstreamCredential {
    pub fn parse(text: &str) -> Result<Self, UpstreamCredentialError> {
        let known = [Self::None, Self::Passthrough, Self::Assertion].into_iter().find(|known| known.as_str() == text);
        let is_name = (1..=MAX_NAME_LENGTH).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        known.or_else(|| is_name.then(|| Self::Static(text.into()))).ok_or(UpstreamCredentialError)
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Passthrough => "pass",
            Self::Assertion => "assertion",
            Self::Static(name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_back_and_other_texts_are_refused() {
        for (text, credential) in [
            ("none", UpstreamCredential::None),
            ("pass", UpstreamCredential::Passthrough),
            ("assertion", UpstreamCredential::Assertion),
            ("litellm-2", UpstreamCredential::Static("litellm-2".into())),
        ] {
            assert_eq!(UpstreamCredential::parse(text).as_ref(), Ok(&credential));
            assert_eq!(credential.as_str(), text);
        }
        for text in ["", "None", "lite llm", "a_b", "Bearer sk-1", &"a".repeat(MAX_NAME_LENGTH + 1)] {
            assert_eq!(UpstreamCredential::parse(text), Err(UpstreamCredentialError), "{text}");
        }
    }
}
