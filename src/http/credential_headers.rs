//! Where a request's headers hold credentials.

use actix_web::http::header::{self, HeaderMap, HeaderName};

use crate::access::CredentialSource;

// Made once: a name that is given as text is parsed, and copied, for each request.
const X_API_KEY: HeaderName = HeaderName::from_static(CredentialSource::XApiKey.as_str());
const X_LITELLM_API_KEY: HeaderName = HeaderName::from_static(CredentialSource::XLitellmApiKey.as_str());
const API_KEY: HeaderName = HeaderName::from_static(CredentialSource::ApiKey.as_str());
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static(CredentialSource::XGoogApiKey.as_str());

/// The header that a place is, or is in.
pub(super) const fn header_of(place: CredentialSource) -> HeaderName {
    match place {
        CredentialSource::Authorization => header::AUTHORIZATION,
        CredentialSource::XApiKey => X_API_KEY,
        CredentialSource::XLitellmApiKey => X_LITELLM_API_KEY,
        CredentialSource::ApiKey => API_KEY,
        CredentialSource::XGoogApiKey => X_GOOG_API_KEY,
        CredentialSource::Session => header::COOKIE,
    }
}

/// Every value of that header.
pub(super) fn values(headers: &HeaderMap, place: CredentialSource) -> impl Iterator<Item = &[u8]> {
    headers.get_all(header_of(place)).map(|value| value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_found_by_its_name() {
        for place in CredentialSource::ALL.into_iter().filter(|place| *place != CredentialSource::Session) {
            assert_eq!(header_of(place).as_str(), place.as_str());
        }
        assert_eq!(header_of(CredentialSource::Session), "cookie");
    }
}
