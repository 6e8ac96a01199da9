//! Reads a user's email address and user name from the claims of an identity.

use std::{collections::HashMap, fmt};

use super::{ClaimPath, Claims, IdentityClaims, Source};
use crate::json::Value;

/// The claims in which a provider sends a user's email address and user name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileClaims {
    pub email: ClaimPath,
    pub preferred_username: ClaimPath,
    pub email_trust: EmailTrust,
}

/// The profile claims of every source of identities.
#[derive(Clone, Debug)]
pub struct Profiles {
    /// Has an entry for each configured provider.
    configured: HashMap<String, ProfileClaims>,
    other: ProfileClaims,
}

/// The condition under which an email claim is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailTrust {
    /// Only if the same source has `email_verified: true`.
    WhenVerified,
    /// Always: the provider is configured with `trust_email`.
    Always,
}

/// A claim that does not fit its use and therefore counts as absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfitClaim {
    pub source: Source,
    pub claim: String,
    /// The description of the value, without the value itself.
    pub found: &'static str,
}

const EMAIL: &str = "email";
const EMAIL_VERIFIED: &str = "email_verified";

/// The longest email address that RFC 5321 allows. The same limit applies to preferred user names.
const MAX_IDENTIFIER_BYTES: usize = 254;

impl ProfileClaims {
    /// The standard claims of OpenID Connect.
    pub fn standard(email_trust: EmailTrust) -> Self {
        let path = |name: &str| ClaimPath::parse(name).expect("the name of a standard claim is a path");
        Self { email: path(EMAIL), preferred_username: path("preferred_username"), email_trust }
    }

    fn is_email_trusted(&self, claims: &Claims) -> bool {
        match self.email_trust {
            EmailTrust::Always => true,
            EmailTrust::WhenVerified => {
                claims.get(EMAIL_VERIFIED).and_then(read_flag) == Some(true) && self.is_flag_about_email(claims)
            }
        }
    }

    /// `email_verified` is about `email`, not about a different address in another claim.
    fn is_flag_about_email(&self, claims: &Claims) -> bool {
        claims.get(EMAIL).is_none_or(|own| own.is_null() || self.email.find(claims) == Some(own))
    }

    fn unfit_claims(&self, source: Source, claims: &Claims) -> Vec<UnfitClaim> {
        let identifier = |path: &ClaimPath| path.find(claims).filter(|value| !value.is_null()).map(read_identifier)?.err();
        let unfit = |claim: String, found| UnfitClaim { source, claim, found };
        let identifiers = [&self.email, &self.preferred_username].into_iter();
        let identifiers = identifiers.filter_map(|path| Some(unfit(path.to_string(), identifier(path)?)));
        let flag = claims.get(EMAIL_VERIFIED).filter(|flag| !flag.is_null() && read_flag(flag).is_none());
        identifiers.chain(flag.map(|flag| unfit(EMAIL_VERIFIED.to_owned(), flag.type_name()))).collect()
    }
}

impl Profiles {
    pub fn new(configured: HashMap<String, ProfileClaims>) -> Self {
        Self { configured, other: ProfileClaims::standard(EmailTrust::WhenVerified) }
    }

    /// The claims in which a source of identities sends email address and user name.
    pub fn of(&self, provider: &str) -> &ProfileClaims {
        self.configured.get(provider).unwrap_or(&self.other)
    }
}

impl IdentityClaims {
    /// The first email address that may be sent to the upstream.
    pub fn email(&self, profile: &ProfileClaims) -> Option<&str> {
        self.sources().filter(|claims| profile.is_email_trusted(claims)).find_map(|claims| identifier(claims, &profile.email))
    }

    pub fn preferred_username(&self, profile: &ProfileClaims) -> Option<&str> {
        self.sources().find_map(|claims| identifier(claims, &profile.preferred_username))
    }

    /// The claims of the profile that do not fit their use.
    pub fn unfit_claims(&self, profile: &ProfileClaims) -> Vec<UnfitClaim> {
        let sources = Source::ALL.into_iter().filter_map(|source| Some((source, self.source(source)?)));
        sources.flat_map(|(source, claims)| profile.unfit_claims(source, claims)).collect()
    }
}

impl fmt::Display for UnfitClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of the {} is {}", self.claim, self.source, self.found)
    }
}

/// Some providers (Amazon Cognito, older Keycloak mappers) send the flag as text, others as a number.
fn read_flag(flag: &Value) -> Option<bool> {
    match flag {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        Value::Number(number) if number.as_str() == "1" => Some(true),
        Value::Number(number) if number.as_str() == "0" => Some(false),
        _ => None,
    }
}

fn identifier<'a>(claims: &'a Claims, path: &ClaimPath) -> Option<&'a str> {
    read_identifier(path.find(claims)?).ok()
}

/// Reads a value that is sent in its own header. A value with leading or trailing blanks counts as absent, like one that no
/// header can carry: header parsers trim blanks, which would turn one name into another. The error describes the value.
fn read_identifier(value: &Value) -> Result<&str, &'static str> {
    match value {
        Value::String(text) if text.is_empty() => Err("an empty string"),
        Value::String(text) if text.len() > MAX_IDENTIFIER_BYTES => Err("a string of more than 254 bytes"),
        Value::String(text) if text.trim() != text => Err("a string with a blank at its beginning or end"),
        Value::String(text) if text.chars().any(char::is_control) => Err("a string with control characters"),
        Value::String(text) => Ok(text),
        other => Err(other.type_name()),
    }
}

#[cfg(test)]
mod tests;
