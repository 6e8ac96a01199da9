//! Refuses clients that name headers of the gateway in `Connection`. A gateway that removes the named headers after it has set
//! them (RFC 9110, section 7.6.1) would remove the identity, or the credential of the upstream.

use crate::access::CredentialSource;

/// The client's `Connection` header names a header that the gateway sets or removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Connection names a header that only the gateway may remove")]
pub struct ConnectionError;

impl ConnectionError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(self) -> &'static str {
        "connection_names_header"
    }
}

const PREFIXES: [&str; 4] = ["x-auth-request-", "x-vestibule-", "x-forwarded-", "x-original-"];
const NAMES: [&str; 3] = ["cookie", "host", "x-rewrite-url"];

/// Verifies all values of `Connection`.
pub fn verify<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<(), ConnectionError> {
    let names_protected = |value: &[u8]| value.split(|byte| *byte == b',').any(|name| is_protected(name.trim_ascii()));
    if values.any(names_protected) { Err(ConnectionError) } else { Ok(()) }
}

fn is_protected(name: &[u8]) -> bool {
    let has_prefix = |prefix: &&str| name.get(..prefix.len()).is_some_and(|start| is_same_name(start, prefix));
    PREFIXES.iter().any(has_prefix)
        || NAMES.iter().any(|known| is_same_name(name, known))
        || CredentialSource::HEADERS.iter().any(|source| is_same_name(name, source.as_str()))
}

/// Compares names without their case. Some servers also read an underscore as a hyphen.
fn is_same_name(name: &[u8], known: &str) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == known.len() && name.iter().zip(known.bytes()).all(|(byte, expected)| fold(*byte) == expected)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&[], true)]
    #[case(&["close"], true)]
    #[case(&["keep-alive, Upgrade"], true)]
    #[case(&["Upgrade, HTTP2-Settings", "TE"], true)]
    #[case(&["x-auth-request", "authorizations", "cookies", ""], true)]
    #[case(&["X-Auth-Request-User"], false)]
    #[case(&["keep-alive", "close ,\tx-AUTH-request-email "], false)]
    #[case(&["x_auth_request_key"], false)]
    #[case(&["X-Vestibule-Assertion"], false)]
    #[case(&["x-forwarded-uri"], false)]
    #[case(&["X-Original-URL"], false)]
    #[case(&["Authorization"], false)]
    #[case(&["x-api-key"], false)]
    #[case(&["x-litellm-api-key"], false)]
    #[case(&["Api-Key"], false)]
    #[case(&["x-goog-api-key"], false)]
    #[case(&["ocp-apim-subscription-key"], false)]
    #[case(&["close,Cookie"], false)]
    #[case(&["host"], false)]
    fn a_connection_header_names_no_header_of_the_gateway(#[case] values: &[&str], #[case] is_accepted: bool) {
        assert_eq!(verify(values.iter().map(|value| value.as_bytes())).is_ok(), is_accepted);
    }
}
