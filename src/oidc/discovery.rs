//! Fetches discovery documents (OpenID Connect Discovery 1.0, section 4; RFC 8414) and reads the fields that are needed.

use url::Url;

use super::{http::HttpClient, signing_keys::FetchError};
use crate::{
    json::{JsonObject, MemberError, NotAnObjectError},
    origin,
};

/// The discovery document of one issuer.
pub(super) struct DiscoveryDocument(JsonObject);

/// The reason why a discovery document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    #[error("it can't be read: {0}")]
    NotAnObject(#[from] NotAnObjectError),
    #[error(transparent)]
    Field(#[from] MemberError),
    #[error("{0} is not an absolute https:// URL (http:// is for loopback hosts only)")]
    Endpoint(&'static str),
    #[error("it is of issuer {found}, not of {expected}: the issuers must be identical")]
    OtherIssuer { found: String, expected: String },
}

impl DiscoveryDocument {
    pub(super) async fn fetch(http: &HttpClient, issuer: &str) -> Result<Self, FetchError> {
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let url = Url::parse(&address).map_err(|_| FetchError::Url(address))?;
        Ok(Self::parse(&http.get(&url).await?, issuer)?)
    }

    fn parse(document: &[u8], issuer: &str) -> Result<Self, DiscoveryError> {
        let document = JsonObject::parse(document)?;
        match document.required_text("issuer")? {
            found if found == issuer => Ok(Self(document)),
            found => Err(DiscoveryError::OtherIssuer { found, expected: issuer.to_owned() }),
        }
    }

    pub(super) fn required_endpoint(&self, field: &'static str) -> Result<Url, DiscoveryError> {
        parse_endpoint(&self.0.required_text(field)?).ok_or(DiscoveryError::Endpoint(field))
    }

    /// Returns an endpoint that is not needed, if its URL can be used.
    pub(super) fn optional_endpoint(&self, field: &'static str) -> Option<Url> {
        let endpoint = self.0.text(field).and_then(|text| parse_endpoint(&text));
        if endpoint.is_none() && self.0.has(field) {
            let error =
                self.0.text(field).map_or_else(|| self.0.error(field, "a string").into(), |_| DiscoveryError::Endpoint(field));
            tracing::debug!(issuer = self.0.text("issuer"), %error, "discovery field ignored");
        }
        endpoint
    }

    /// Returns the strings of a list; a single string counts as a list of one.
    pub(super) fn texts(&self, field: &str) -> Vec<String> {
        self.0.texts(field)
    }

    pub(super) fn is_true(&self, field: &str) -> bool {
        self.0.is_true(field)
    }
}

fn parse_endpoint(text: &str) -> Option<Url> {
    origin::web_url(text.trim()).filter(|url| url.has_host() && origin::is_https_or_loopback(url))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::json::arbitrary_text;

    const ISSUER: &str = "https://idp.example.com";
    const NEEDED: [&str; 3] = ["authorization_endpoint", "token_endpoint", "jwks_uri"];

    fn document() -> Value {
        let endpoint = |path: &str| format!("{ISSUER}/{path}");
        json!({"issuer": ISSUER, "authorization_endpoint": endpoint("a"), "token_endpoint": endpoint("t"), "jwks_uri": endpoint("k")})
    }

    fn endpoints(document: &str) -> Result<Vec<String>, DiscoveryError> {
        let document = DiscoveryDocument::parse(document.as_bytes(), ISSUER)?;
        NEEDED.iter().map(|field| document.required_endpoint(field).map(String::from)).collect()
    }

    #[rstest]
    #[case("token_endpoint", Value::Null, "token_endpoint is missing")]
    #[case("token_endpoint", json!(7), "token_endpoint is a number, not a string")]
    #[case("jwks_uri", json!(["https://idp.example.com/k"]), "jwks_uri is a list, not a string")]
    #[case("jwks_uri", json!(""), "jwks_uri is not an absolute https:// URL")]
    #[case("jwks_uri", json!("TBD"), "jwks_uri is not an absolute https:// URL")]
    #[case("jwks_uri", json!("/keys"), "jwks_uri is not an absolute https:// URL")]
    #[case("jwks_uri", json!("http://idp.example.com/k"), "jwks_uri is not an absolute https:// URL")]
    #[case("jwks_uri", json!("https:/idp.example.com/k"), "jwks_uri is not an absolute https:// URL")]
    #[case("token_endpoint", json!("http://localhost.example.com/t"), "token_endpoint is not an absolute https:// URL")]
    #[case("authorization_endpoint", json!("javascript:alert(1)"), "authorization_endpoint is not an absolute https:// URL")]
    #[case("issuer", Value::Null, "issuer is missing")]
    #[case("issuer", json!({}), "issuer is an object, not a string")]
    #[case("issuer", json!("https://idp.example.com/"), "it is of issuer https://idp.example.com/, not of https://idp.example.com")]
    fn a_needed_field_that_is_missing_or_unusable_is_named(#[case] field: &str, #[case] value: Value, #[case] expected: &str) {
        let mut document = document();
        document[field] = value;
        let error = endpoints(&document.to_string()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn other_fields_are_read_if_they_can_be() {
        let mut odd = document();
        odd["userinfo_endpoint"] = "https://idp.example.com/u".into();
        odd["end_session_endpoint"] = "".into();
        odd["token_endpoint_auth_methods_supported"] = "client_secret_post".into();
        odd["authorization_response_iss_parameter_supported"] = "true".into();
        odd["jwks_uri"] = "http://127.0.0.1:8080/k".into();
        let read = DiscoveryDocument::parse(odd.to_string().as_bytes(), ISSUER).unwrap();
        assert_eq!(read.optional_endpoint("userinfo_endpoint").unwrap().as_str(), "https://idp.example.com/u");
        assert_eq!((read.optional_endpoint("end_session_endpoint"), read.optional_endpoint("absent")), (None, None));
        assert_eq!(read.texts("token_endpoint_auth_methods_supported"), ["client_secret_post"]);
        assert!(!read.is_true("authorization_response_iss_parameter_supported"));
        assert_eq!(read.required_endpoint("jwks_uri").unwrap().as_str(), "http://127.0.0.1:8080/k");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_json_in_a_field_that_is_not_needed_does_not_matter(
            name in prop::sample::select(vec![
                "service_documentation", "end_session_endpoint", "userinfo_endpoint", "scopes_supported", "op_policy_uri",
                "token_endpoint_auth_methods_supported", "subject_types_supported", "check_session_iframe",
                "authorization_response_iss_parameter_supported", "id_token_signing_alg_values_supported", "mtls_endpoint_aliases",
            ]),
            value in arbitrary_text(),
        ) {
            let text = document().to_string();
            let odd = format!(r#"{{"{name}": {value}, {}"#, &text[1..]);
            prop_assert_eq!(endpoints(&odd), endpoints(&text));
            let read = DiscoveryDocument::parse(odd.as_bytes(), ISSUER).unwrap();
            read.optional_endpoint("end_session_endpoint");
            read.texts("token_endpoint_auth_methods_supported");
        }
    }
}
