//! The request headers that contain credentials.

use actix_web::http::header::{self, HeaderMap, HeaderName};

use crate::{
    access::{CredentialSource, CredentialSources},
    check::CredentialText,
};

// Constants, since a name in text form is parsed and copied for each request.
const X_API_KEY: HeaderName = HeaderName::from_static(CredentialSource::XApiKey.as_str());
const X_LITELLM_API_KEY: HeaderName = HeaderName::from_static(CredentialSource::XLitellmApiKey.as_str());
const API_KEY: HeaderName = HeaderName::from_static(CredentialSource::ApiKey.as_str());
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static(CredentialSource::XGoogApiKey.as_str());
const OCP_APIM_SUBSCRIPTION_KEY: HeaderName = HeaderName::from_static(CredentialSource::OcpApimSubscriptionKey.as_str());

/// Returns the header of a credential source.
pub(super) const fn header_of(source: CredentialSource) -> HeaderName {
    match source {
        CredentialSource::Authorization => header::AUTHORIZATION,
        CredentialSource::XApiKey => X_API_KEY,
        CredentialSource::XLitellmApiKey => X_LITELLM_API_KEY,
        CredentialSource::ApiKey => API_KEY,
        CredentialSource::XGoogApiKey => X_GOOG_API_KEY,
        CredentialSource::OcpApimSubscriptionKey => OCP_APIM_SUBSCRIPTION_KEY,
        CredentialSource::Session => header::COOKIE,
    }
}

/// Returns all values of the source's header.
pub(super) fn values(headers: &HeaderMap, source: CredentialSource) -> impl Iterator<Item = &[u8]> {
    headers.get_all(header_of(source)).map(|value| value.as_bytes())
}

/// True if a header contains a credential, which may be invalid.
pub(super) fn has_credential(headers: &HeaderMap) -> bool {
    find_credential_headers(headers, CredentialSources::ALL).next().is_some()
}

/// Returns those of the sources whose headers contain a credential, which may be invalid.
pub(super) fn find_credential_headers(headers: &HeaderMap, sources: CredentialSources) -> impl Iterator<Item = CredentialSource> {
    let is_absent = |source: CredentialSource| {
        let only = [source].into_iter().collect();
        matches!(CredentialText::find(only, "", |source| values(headers, source)), Ok(None))
    };
    let in_headers = CredentialSource::ALL.into_iter().filter(move |source| *source != CredentialSource::Session);
    in_headers.filter(move |source| sources.contains(*source) && !is_absent(*source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_the_header_of_its_name() {
        for source in CredentialSource::ALL.into_iter().filter(|source| *source != CredentialSource::Session) {
            assert_eq!(header_of(source).as_str(), source.as_str());
        }
        assert_eq!(header_of(CredentialSource::Session), "cookie");
    }
}
