//! Settings of upstream credentials, which the configuration fills.

use std::collections::BTreeSet;

use crate::{
    access::{CredentialHeader, UpstreamCredential},
    principal::{Role, Team},
    secret::ConfiguredSecret,
};

/// The settings of a policy.
#[derive(Clone, Debug)]
pub struct UpstreamCredentialSettings {
    /// The credential for authenticated requests if the access rule names none.
    pub default: Option<UpstreamCredential>,
    /// In the configured order. Of the entries with the selected name, the first that matches the user's role and teams is
    /// used.
    pub static_credentials: Vec<StaticCredentialSettings>,
    pub assertion: Option<AssertionSettings>,
}

/// A static upstream credential, for all principals or for those with certain roles and teams.
#[derive(Clone, Debug)]
pub struct StaticCredentialSettings {
    pub name: String,
    /// The principal must have one of these roles. Empty for any role.
    pub roles: Vec<Role>,
    /// The principal must have one of these teams. Empty for any team.
    pub teams: Vec<Team>,
    pub header: CredentialHeader,
    pub form: CredentialForm,
    pub value: ConfiguredSecret,
}

/// The form in which a static credential is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialForm {
    /// `authorization`: a value of `Authorization`, or a token, to which the scheme `Bearer` is added.
    Authorization,
    /// `value`: the header's value as it is sent.
    Verbatim,
}

#[derive(Clone, Debug)]
pub struct AssertionSettings {
    pub issuer: String,
    pub audience: String,
    pub keys: ConfiguredSecret,
    /// Also sends the assertion in `Authorization`.
    pub as_authorization: bool,
}

impl UpstreamCredentialSettings {
    /// Returns the names that access rules may refer to: each once, and `assertion` if it is configured.
    pub fn names(&self) -> Vec<String> {
        let names: BTreeSet<&str> = self.static_credentials.iter().map(|one| one.name.as_str()).collect();
        let assertion = self.assertion.as_ref().map(|_| UpstreamCredential::Assertion.as_str());
        names.into_iter().chain(assertion).map(str::to_owned).collect()
    }
}

impl CredentialForm {
    /// Returns the value of the header.
    pub fn header_value(self, text: &str) -> String {
        match self {
            // A token that has no scheme.
            Self::Authorization if !text.contains(' ') => format!("Bearer {text}"),
            Self::Authorization | Self::Verbatim => text.to_owned(),
        }
    }

    /// Validates the text of a secret.
    pub fn check(self, text: &str) -> Result<(), String> {
        check_header_value(text)?;
        let is_scheme = || ["Bearer", "Basic"].iter().any(|scheme| text.eq_ignore_ascii_case(scheme));
        match self {
            Self::Authorization if is_scheme() => Err("is a scheme without a credential".to_owned()),
            Self::Authorization | Self::Verbatim => Ok(()),
        }
    }
}

/// Validates a header value, within the length that gateways such as nginx accept.
fn check_header_value(text: &str) -> Result<(), String> {
    const MAX_LENGTH: usize = 2048;
    if text.len() > MAX_LENGTH {
        return Err(format!("must not be longer than {MAX_LENGTH} bytes"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') || text.trim() != text {
        return Err("must be one line of visible ASCII characters, as a header carries it".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("sk-1", true)]
    #[case("bearer", false)]
    #[case("Bearer sk-1", true)]
    #[case("Basic YTpi", true)]
    #[case("", true)]
    #[case("sk-1\nX-Role: admin", false)]
    #[case(" sk-1", false)]
    #[case("sk-1 ", false)]
    #[case("sk-\u{e9}", false)]
    #[case("sk-\t1", false)]
    fn a_value_fits_a_header(#[case] text: &str, #[case] good: bool) {
        assert_eq!(CredentialForm::Authorization.check(text).is_ok(), good);
        assert!(CredentialForm::Authorization.check(&"a".repeat(2049)).is_err());
    }

    #[test]
    fn only_a_token_for_authorization_gets_a_scheme() {
        for (form, text, expected) in [
            (CredentialForm::Authorization, "sk-1", "Bearer sk-1"),
            (CredentialForm::Authorization, "Basic YTpi", "Basic YTpi"),
            (CredentialForm::Verbatim, "sk-1", "sk-1"),
            (CredentialForm::Verbatim, "Bearer sk-1", "Bearer sk-1"),
        ] {
            assert_eq!((form.check(text), form.header_value(text)), (Ok(()), expected.to_owned()));
        }
        assert!(CredentialForm::Verbatim.check("a\nb").is_err());
    }
}
