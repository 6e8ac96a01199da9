//! Parses requests to `/sso/key/generate`, and builds the redirects that answer them.

use url::form_urlencoded;

use super::{Redirect, RedirectError, RedirectPolicy};
use crate::return_target::ReturnTarget;

pub const PATH: &str = "/sso/key/generate";

const RESPONSE_TYPE: &str = "oauth_token";

/// The maximum length of `state`, which is returned in a URL with other parameters.
const MAX_STATE_BYTES: usize = 1024;

/// A request to [`PATH`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppRequest {
    /// Without a `response_type`, a user opens the page of their keys.
    Page,
    Key(KeyRequest),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRequest {
    pub redirect: Option<Redirect>,
    mode: ResponseMode,
    state: Option<String>,
}

/// The part of the redirect that contains the response (OAuth 2.0 Multiple Response Type Encoding Practices, section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseMode {
    Query,
    Fragment,
}

/// The response to an application.
#[derive(Clone, Copy)]
pub enum AppResponse<'a> {
    /// Has the parameters of RFC 6749, section 5.1.
    Key { secret: &'a str, expires_in: u64 },
    /// Has the parameters of RFC 6749, section 4.2.2.1.
    Error { code: &'a str, description: &'a str },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("response_type must be oauth_token or omitted.")]
    ResponseType,
    #[error("response_mode must be query or fragment.")]
    ResponseMode,
    #[error("response_mode requires a redirect_uri.")]
    ModeWithoutRedirect,
    #[error("The parameters must be UTF-8.")]
    NotUtf8,
    #[error("state must have at most {MAX_STATE_BYTES} bytes.")]
    State,
    #[error("A parameter is repeated.")]
    Repeated,
    #[error("redirect_uri and state are too long together.")]
    TooLong,
    #[error(transparent)]
    Redirect(#[from] RedirectError),
}

impl RequestError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ResponseType => "response_type_not_supported",
            Self::ResponseMode => "response_mode_not_supported",
            Self::ModeWithoutRedirect => "redirect_uri_missing",
            Self::NotUtf8 => "parameters_not_utf8",
            Self::State => "state_too_long",
            Self::Repeated => "parameter_repeated",
            Self::TooLong => "parameters_too_long",
            Self::Redirect(error) => error.reason(),
        }
    }
}

#[derive(Default)]
struct Parameters {
    response_type: Option<String>,
    redirect_uri: Option<String>,
    response_mode: Option<String>,
    state: Option<String>,
}

impl AppRequest {
    /// Parses a query, or a form with the same fields. Unknown fields are ignored.
    pub fn parse(query: &str, policy: &RedirectPolicy) -> Result<Self, RequestError> {
        let parameters = Parameters::parse(query)?;
        // Validated first, so that no error is ever sent to an invalid redirect.
        let redirect = parameters.redirect_uri.map(|uri| policy.parse(&uri)).transpose()?;
        match parameters.response_type.as_deref() {
            None => return Ok(Self::Page),
            Some(RESPONSE_TYPE) => {}
            Some(_) => return Err(RequestError::ResponseType),
        }
        let mode = match parameters.response_mode.as_deref() {
            None | Some("query") => ResponseMode::Query,
            Some("fragment") if redirect.is_none() => return Err(RequestError::ModeWithoutRedirect),
            Some("fragment") => ResponseMode::Fragment,
            Some(_) => return Err(RequestError::ResponseMode),
        };
        if parameters.state.as_ref().is_some_and(|state| state.len() > MAX_STATE_BYTES) {
            return Err(RequestError::State);
        }
        let request = KeyRequest { redirect, mode, state: parameters.state };
        // A request that does not fit into a return target would be lost during a sign-in.
        request.return_target().map_or(Err(RequestError::TooLong), |_| Ok(Self::Key(request)))
    }
}

impl Parameters {
    fn parse(query: &str) -> Result<Self, RequestError> {
        // Invalid UTF-8 would be returned as a different text.
        if percent_encoding::percent_decode_str(query).decode_utf8().is_err() {
            return Err(RequestError::NotUtf8);
        }
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let field = match &*name {
                "response_type" => &mut read.response_type,
                "redirect_uri" => &mut read.redirect_uri,
                "response_mode" => &mut read.response_mode,
                "state" => &mut read.state,
                _ => continue,
            };
            if field.replace(value.into_owned()).is_some() {
                return Err(RequestError::Repeated);
            }
        }
        // A parameter without a value is treated as omitted (RFC 6749, section 3.1). An empty `state` is returned.
        let given = |value: Option<String>| value.filter(|value| !value.is_empty());
        Ok(Self {
            response_type: given(read.response_type),
            redirect_uri: given(read.redirect_uri),
            response_mode: given(read.response_mode),
            state: read.state,
        })
    }
}

impl KeyRequest {
    /// Returns the request as the return target of a sign-in.
    pub fn return_target(&self) -> Option<ReturnTarget> {
        ReturnTarget::parse(&format!("{PATH}?{}", self.to_query()), "").ok()
    }

    /// Returns the request with another parameter as the return target of a sign-in, or `None` if it is too long.
    pub fn return_target_with(&self, name: &str, value: &str) -> Option<ReturnTarget> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(self.fields()).append_pair(name, value).finish();
        ReturnTarget::parse(&format!("{PATH}?{query}"), "").ok()
    }

    pub fn to_query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.fields()).finish()
    }

    /// Returns the request's fields for a query or a form.
    pub fn fields(&self) -> Vec<(&'static str, &str)> {
        let mut fields = vec![("response_type", RESPONSE_TYPE)];
        fields.extend(self.redirect.as_ref().map(|redirect| ("redirect_uri", redirect.as_str())));
        if self.mode == ResponseMode::Fragment {
            fields.push(("response_mode", "fragment"));
        }
        fields.extend(self.state.as_deref().map(|state| ("state", state)));
        fields
    }

    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Returns the redirect with the response, or `None` if the app expects JSON.
    pub fn location(&self, response: AppResponse<'_>) -> Option<String> {
        let redirect = self.redirect.as_ref()?;
        let expires_in;
        let mut fields = match response {
            AppResponse::Key { secret, expires_in: seconds } => {
                expires_in = seconds.to_string();
                vec![("access_token", secret), ("token_type", "Bearer"), ("expires_in", expires_in.as_str())]
            }
            AppResponse::Error { code, description } => vec![("error", code), ("error_description", description)],
        };
        fields.extend(self.state.as_deref().map(|state| ("state", state)));
        Some(match self.mode {
            ResponseMode::Query => redirect.with_query(&fields),
            ResponseMode::Fragment => redirect.with_fragment(&fields),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn policy() -> RedirectPolicy {
        RedirectPolicy::new([], Vec::new())
    }

    fn key(query: &str) -> KeyRequest {
        match AppRequest::parse(query, &policy()) {
            Ok(AppRequest::Key(request)) => request,
            other => panic!("{query}: {other:?}"),
        }
    }

    const KEY: AppResponse<'_> = AppResponse::Key { secret: "sk-1", expires_in: 86_400 };

    #[rstest]
    #[case("")]
    #[case("response_type=")]
    #[case("state=x")]
    #[case("redirect_uri=vscode%3A%2F%2Fp.ext")]
    fn a_request_without_a_response_type_is_for_the_page(#[case] query: &str) {
        assert_eq!(AppRequest::parse(query, &policy()), Ok(AppRequest::Page));
    }

    #[rstest]
    #[case("response_type=code", RequestError::ResponseType)]
    #[case("response_type=token", RequestError::ResponseType)]
    #[case("response_type=oauth_token&response_type=oauth_token", RequestError::Repeated)]
    #[case("response_type=oauth_token&state=a&state=b", RequestError::Repeated)]
    #[case("response_type=oauth_token&redirect_uri=vscode%3A%2F%2Fp&redirect_uri=vscode%3A%2F%2Fq", RequestError::Repeated)]
    #[case("response_type=oauth_token&state=%ff", RequestError::NotUtf8)]
    #[case("response_type=oauth_token&response_mode=form_post", RequestError::ResponseMode)]
    #[case("response_type=oauth_token&response_mode=fragment", RequestError::ModeWithoutRedirect)]
    #[case("response_type=oauth_token&redirect_uri=javascript:alert(1)", RequestError::Redirect(RedirectError::Scheme))]
    #[case("response_type=nonsense&redirect_uri=https://evil.example", RequestError::Redirect(RedirectError::Host))]
    #[case("redirect_uri=https://evil.example", RequestError::Redirect(RedirectError::Host))]
    fn an_invalid_request_is_refused_with_its_reason(#[case] query: &str, #[case] expected: RequestError) {
        assert_eq!(AppRequest::parse(query, &policy()), Err(expected));
    }

    #[test]
    fn the_state_is_bounded() {
        let query = |length: usize| format!("response_type=oauth_token&state={}", "s".repeat(length));
        assert!(AppRequest::parse(&query(MAX_STATE_BYTES), &policy()).is_ok());
        assert_eq!(AppRequest::parse(&query(MAX_STATE_BYTES + 1), &policy()), Err(RequestError::State));
    }

    #[test]
    fn a_request_too_long_for_a_return_target_is_refused() {
        let query = |redirect: usize, state: &str| {
            format!("response_type=oauth_token&redirect_uri=vscode://p.ext/{}&state={}", "a".repeat(redirect), state.repeat(1024))
        };
        assert!(AppRequest::parse(&query(2000, "s"), &policy()).is_ok());
        assert_eq!(AppRequest::parse(&query(2000, "%2F"), &policy()), Err(RequestError::TooLong));
    }

    #[rstest]
    #[case("response_type=oauth_token")]
    #[case("response_type=oauth_token&state=")]
    #[case("response_type=oauth_token&redirect_uri=vscode%3A%2F%2Fp.ext%2Fcb%3Fa%3Db%2526c&state=%C3%A4+%26")]
    #[case("response_type=oauth_token&redirect_uri=http%3A%2F%2Flocalhost%3A1%2F&response_mode=fragment&state=x")]
    fn a_request_is_parsed_from_its_own_query(#[case] query: &str) {
        let request = key(query);
        assert_eq!(request.to_query(), query);
        assert_eq!(key(&request.to_query()), request);
    }

    #[rstest]
    #[case(
        "response_type=oauth_token&redirect_uri=vscode://p.ext/cb&state=a%26b",
        "vscode://p.ext/cb?access_token=sk-1&token_type=Bearer&expires_in=86400&state=a%26b"
    )]
    #[case(
        "response_type=oauth_token&redirect_uri=http://localhost:1/cb?x=1&response_mode=fragment",
        "http://localhost:1/cb?x=1#access_token=sk-1&token_type=Bearer&expires_in=86400"
    )]
    fn a_key_is_in_the_requested_part_of_the_redirect(#[case] query: &str, #[case] expected: &str) {
        assert_eq!(key(query).location(KEY).as_deref(), Some(expected));
    }

    #[test]
    fn an_error_is_redirected_and_without_a_redirect_uri_there_is_no_location() {
        let request = key("response_type=oauth_token&redirect_uri=vscode://p.ext/cb&state=s");
        let response = AppResponse::Error { code: "access_denied", description: "The user denied the request." };
        assert_eq!(
            request.location(response).unwrap(),
            "vscode://p.ext/cb?error=access_denied&error_description=The+user+denied+the+request.&state=s"
        );
        assert_eq!(key("response_type=oauth_token&state=s").location(KEY), None);
    }
}
