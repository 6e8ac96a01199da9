//! Reads the claims of a login in tests, as a sign-in does, without a provider.

use jiff::Timestamp;

use super::{
    ProtocolSettings, ProviderSettings, UserInfoPolicy, access_token,
    id_token::{self, ExpectedNonce},
    oauth2::{subject, with_standard_names},
    settings::{OAuth2Settings, OpenIdConnectSettings},
    token_expectation::TokenExpectation,
};
use crate::{
    json::Value,
    jwt::KeySet,
    principal::{Claims, Source},
};

/// The nonce of every login.
pub const NONCE: &str = "n-0S6_WzA2Mj";

/// The signed tokens and the answer of the userinfo endpoint that a provider sends at a login.
pub struct LoginResponse<'a> {
    pub id_token: Option<&'a str>,
    pub access_token: Option<&'a str>,
    pub userinfo: Option<Claims>,
    /// The result of a look-up in the provider's directory.
    pub directory: Option<Claims>,
}

/// Returns the claims by source that the login has. The error is the reason for a refused login or an access token that does
/// not count.
pub fn claims_by_source(
    settings: &ProviderSettings,
    response: LoginResponse<'_>,
    keys: &KeySet,
    now: Timestamp,
) -> Result<Claims, String> {
    let looked_up = response.directory.clone();
    let mut sources = match &settings.protocol {
        ProtocolSettings::OpenIdConnect(protocol) => {
            let expected = TokenExpectation {
                issuer: &protocol.issuer,
                client_id: &settings.client_id,
                trusted_audiences: &protocol.trusted_audiences,
                algorithms: &protocol.algorithms,
                keys,
            };
            verify(protocol, &expected, response, now)
        }
        ProtocolSettings::OAuth2(protocol) => read_userinfo(protocol, response.userinfo),
    }?;
    let id_token = sources.get(Source::IdToken.as_str()).and_then(Value::as_object).cloned().unwrap_or_default();
    let directory = match (&settings.directory, looked_up) {
        (None, Some(_)) => return Err("the provider has no directory".to_owned()),
        (None, None) => None,
        (Some(directory), looked_up) => directory.kind.claims_of_token(&id_token).or(looked_up),
    };
    sources.extend(directory.map(|claims| (Source::Directory.as_str().to_owned(), Value::Object(claims))));
    Ok(sources)
}

fn verify(
    protocol: &OpenIdConnectSettings,
    expected: &TokenExpectation<'_>,
    response: LoginResponse<'_>,
    now: Timestamp,
) -> Result<Claims, String> {
    let token = response.id_token.ok_or("there is no id_token")?;
    let id_token = id_token::verify(token, expected, ExpectedNonce::Required(NONCE), "", now)
        .map_err(|error| format!("the id_token: {error}"))?;
    let access_token = response.access_token.map(|token| access_token::verify(token, expected, &id_token.subject, now));
    let access_token = access_token.transpose().map_err(|error| format!("the access token: {error}"))?;
    let userinfo = response.userinfo.filter(|_| protocol.userinfo != UserInfoPolicy::Off);
    if userinfo.as_ref().is_some_and(|claims| claims.get("sub").and_then(Value::as_str) != Some(&*id_token.subject)) {
        return Err("userinfo is of another subject".to_owned());
    }
    let sources = [(Source::IdToken, Some(id_token.claims)), (Source::AccessToken, access_token), (Source::Userinfo, userinfo)];
    let present = sources.into_iter().filter_map(|(source, claims)| Some((source.as_str().to_owned(), Value::Object(claims?))));
    Ok(present.collect())
}

fn read_userinfo(protocol: &OAuth2Settings, userinfo: Option<Claims>) -> Result<Claims, String> {
    let response = userinfo.ok_or("there is no answer of the userinfo endpoint")?;
    subject(&response, &protocol.subject_field).map_err(|error| error.to_string())?;
    let claims = with_standard_names(response, &protocol.email_field, &protocol.preferred_username_field);
    Ok([(Source::Userinfo.as_str().to_owned(), Value::Object(claims))].into_iter().collect())
}
