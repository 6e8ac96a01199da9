//! The path of a request for the log, without segments that may be secrets. The query is never logged.

use std::borrow::Cow;

use crate::api_keys::PresentedKey;

/// The length of the longest ids and digests in paths.
const LONGEST: usize = 64;

/// A segment of at least this length with capital letters may be base64: a session token, a code or an invitation's secret.
const LONG: usize = 20;

const REDACTED: &str = "[redacted]";

/// Redacts the segments that may be secrets. Only segments in the form of known paths are kept, since clients may send secrets
/// of any form.
pub(super) fn redacted_path(path: &str) -> Cow<'_, str> {
    if path.split('/').all(is_safe) {
        return Cow::Borrowed(path);
    }
    let redact = |segment| if is_safe(segment) { segment } else { REDACTED };
    Cow::Owned(path.split('/').map(redact).collect::<Vec<_>>().join("/"))
}

/// Escapes and `=` are not safe, since they hide the beginning of a secret.
fn is_safe(segment: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let begins = |mark: &str| segment.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
    let looks_random = segment.len() >= LONG && segment.bytes().any(|byte| byte.is_ascii_uppercase());
    segment.len() <= LONGEST && segment.bytes().all(is_plain) && !looks_random && !begins(PresentedKey::PREFIX) && !begins("eyJ")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing("")]
    #[case::root("/")]
    #[case::own("/sso/callback/corp")]
    #[case::api("/vestibule/api/openapi.json")]
    #[case::id("/vestibule/api/keys/0193f3f1-7d6a-7cc3-98c4-dc0c0c07398f/regenerate")]
    #[case::digest("/vestibule/api/sessions/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    #[case::asset("/vestibule/assets/style.17446744073709551615.css")]
    #[case::of_others("/v1/Chat/completions//.well-known/x~y_z")]
    fn paths_without_secrets_are_unchanged(#[case] path: &str) {
        assert_eq!(redacted_path(path), path);
    }

    #[rstest]
    #[case::key("sk-Zm9v")]
    #[case::key_in_capitals("SK-ZM9V")]
    #[case::key_escaped("%73k-Zm9v")]
    #[case::key_escaped_behind("sk%2DZm9v")]
    #[case::key_escaped_twice("%2573k-Zm9v")]
    #[case::key_behind_a_scheme("Bearer%20sk-Zm9v")]
    #[case::key_without_its_beginning("EQq2Yt9Lr0mJd5v8Xb3nKc7wPz1aSe6fGh4uTi-oRyV_WlMxNk")]
    #[case::token("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl")]
    #[case::token_cut("eyJhbGci")]
    #[case::session_token("EQq2Yt9Lr0mJd5v8Xb3nKc7wPz1aSe6fGh4uTi-oRyV_WlMxNkEQq2Yt9Lr0mJd5v8")]
    #[case::invitation("0193f3f1-7d6a-7cc3-98c4-dc0c0c07398f.EQq2Yt9Lr0mJd5v8Xb3nKc7wPz1aSe6fGh4uTi-oRyV")]
    #[case::query("invite_link=abc")]
    #[case::query_escaped("callback%3Fcode%3Dabc")]
    #[case::two_parameters("code=abc&state=def")]
    #[case::parameter_of_a_path("session;vestibule=abc")]
    #[case::user_and_password("ada:secret@host")]
    #[case::quote("\"abc\"")]
    #[case::longer_than_any("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0")]
    fn possible_secrets_are_redacted_at_every_position(#[case] secret: &str) {
        assert_eq!(redacted_path(&format!("/{secret}")), "/[redacted]");
        assert_eq!(
            redacted_path(&format!("/vestibule/api/keys/{secret}/regenerate")),
            "/vestibule/api/keys/[redacted]/regenerate"
        );
        assert_eq!(redacted_path(&format!("{secret}/a/{secret}")), "[redacted]/a/[redacted]");
    }
}
