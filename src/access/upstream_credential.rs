//! What a rule says of the credential that the upstream receives.

/// What stands in the place of the client's own `Authorization`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamCredential {
    /// `none`: nothing.
    Nothing,
    /// `pass`: what the client sent.
    ClientsOwn,
    /// `assertion`: a signed statement of who it is.
    Assertion,
    /// One that is configured under this name.
    Static(Box<str>),
}

/// What can't name one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be none, pass, assertion, or a configured name of 1 to 32 characters of a-z, 0-9 and -")]
pub struct UpstreamCredentialError;

const LONGEST_NAME: usize = 32;

impl UpstreamCredential {
    pub fn parse(text: &str) -> Result<Self, UpstreamCredentialError> {
        let known = [Self::Nothing, Self::ClientsOwn, Self::Assertion].into_iter().find(|known| known.as_str() == text);
        let is_name = (1..=LONGEST_NAME).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        known.or_else(|| is_name.then(|| Self::Static(text.into()))).ok_or(UpstreamCredentialError)
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Nothing => "none",
            Self::ClientsOwn => "pass",
            Self::Assertion => "assertion",
            Self::Static(name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_nothing_else_is_one() {
        for (text, read) in [
            ("none", UpstreamCredential::Nothing),
            ("pass", UpstreamCredential::ClientsOwn),
            ("assertion", UpstreamCredential::Assertion),
            ("litellm-2", UpstreamCredential::Static("litellm-2".into())),
        ] {
            assert_eq!(UpstreamCredential::parse(text).as_ref(), Ok(&read));
            assert_eq!(read.as_str(), text);
        }
        for text in ["", "None", "lite llm", "a_b", "Bearer sk-1", &"a".repeat(LONGEST_NAME + 1)] {
            assert_eq!(UpstreamCredential::parse(text), Err(UpstreamCredentialError), "{text}");
        }
    }
}
