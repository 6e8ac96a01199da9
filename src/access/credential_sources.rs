//! The headers, and the cookie, in which a request may carry a credential.

/// One source. Its name is the header's name in lower case, or `session` for the session cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialSource {
    Authorization,
    XApiKey,
    XLitellmApiKey,
    ApiKey,
    XGoogApiKey,
    OcpApimSubscriptionKey,
    Session,
}

/// A set of sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CredentialSources(u8);

impl CredentialSource {
    pub const ALL: [Self; 7] = [
        Self::Authorization,
        Self::XApiKey,
        Self::XLitellmApiKey,
        Self::ApiKey,
        Self::XGoogApiKey,
        Self::OcpApimSubscriptionKey,
        Self::Session,
    ];

    /// The headers that hold an API key or a token.
    pub const HEADERS: [Self; 6] =
        [Self::Authorization, Self::XApiKey, Self::XLitellmApiKey, Self::ApiKey, Self::XGoogApiKey, Self::OcpApimSubscriptionKey];

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == name)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::XApiKey => "x-api-key",
            Self::XLitellmApiKey => "x-litellm-api-key",
            Self::ApiKey => "api-key",
            Self::XGoogApiKey => "x-goog-api-key",
            Self::OcpApimSubscriptionKey => "ocp-apim-subscription-key",
            Self::Session => "session",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl CredentialSources {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self((1 << CredentialSource::ALL.len()) - 1);

    pub const fn contains(self, source: CredentialSource) -> bool {
        self.0 & source.bit() != 0
    }

    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<CredentialSource> for CredentialSources {
    fn from_iter<I: IntoIterator<Item = CredentialSource>>(sources: I) -> Self {
        sources.into_iter().fold(Self::NONE, |set, source| Self(set.0 | source.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_contains_its_members() {
        assert!(
            CredentialSource::ALL
                .into_iter()
                .all(|source| CredentialSources::ALL.contains(source) && !CredentialSources::NONE.contains(source))
        );
        assert_eq!(CredentialSource::ALL.into_iter().collect::<CredentialSources>(), CredentialSources::ALL);
        let one: CredentialSources = [CredentialSource::ApiKey].into_iter().collect();
        let two = one.union([CredentialSource::Session].into_iter().collect());
        let members: Vec<_> = CredentialSource::ALL.into_iter().filter(|source| two.contains(*source)).collect();
        assert_eq!(members, [CredentialSource::ApiKey, CredentialSource::Session]);
        assert!(CredentialSources::NONE.is_empty() && !one.is_empty());
    }

    #[test]
    fn names_are_parsed_back() {
        for source in CredentialSource::ALL {
            assert_eq!(CredentialSource::parse(source.as_str()), Some(source));
        }
        assert_eq!(CredentialSource::parse("X-Api-Key"), None);
        assert_eq!(CredentialSource::parse("cookie"), None);
    }
}
