//! Finds and parses the credential of a request, in one of the headers that programs use or in the session cookie.

use std::{fmt, str, sync::Arc};

use super::OwnCredentials;
use crate::{
    access::{CredentialSource, CredentialSources},
    api_keys::PresentedKey,
    bearer_tokens::Jwt,
    metrics::{CacheResult, CredentialLabel, LookupLabel, Metrics},
    origin::FurtherOrigins,
    principal::CredentialKind,
    secret::KeyRing,
    users::SessionToken,
};

/// A credential that is well formed. It need not exist in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    Session(SessionToken<'a>),
    ApiKey(PresentedKey),
    Jwt(Jwt<'a>),
}

/// The credential of a request is malformed, or there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    #[error("several different credentials were sent, or one that is not text")]
    Ambiguous,
    #[error("the key ring did not sign the session token")]
    MalformedSession,
    #[error("the API key's checksum is wrong")]
    MalformedApiKey,
    #[error("the credential has no known form")]
    UnknownForm,
}

impl CredentialError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Ambiguous => "credential_ambiguous",
            Self::MalformedSession => "session_token_malformed",
            Self::MalformedApiKey => "api_key_malformed",
            Self::UnknownForm => "credential_form_unknown",
        }
    }
}

/// `Ok(None)` if a request has no credential.
pub type ParsedCredential<'a> = Result<Option<Credential<'a>>, CredentialError>;

/// Parses the credentials of requests, and counts those that are malformed.
pub struct CredentialParser {
    ring: Arc<KeyRing>,
    own: OwnCredentials,
    session_cookie: &'static str,
    /// The hosts whose session tokens are their own.
    origins: FurtherOrigins,
    metrics: Arc<Metrics>,
}

/// The text of a credential, before it is parsed. If a header has one, the cookie is not read, even if the header's is
/// invalid.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CredentialText<'a> {
    Header(&'a str),
    Cookie(&'a str),
}

impl CredentialParser {
    pub fn new(ring: Arc<KeyRing>, session_cookie: &'static str, metrics: Arc<Metrics>) -> Self {
        let origins = FurtherOrigins::default();
        Self { own: OwnCredentials::new(Arc::clone(&ring)), ring, session_cookie, origins, metrics }
    }

    /// Accepts on the hosts of these origins only the session tokens that were issued for them.
    #[must_use]
    pub fn with_origins(self, origins: FurtherOrigins) -> Self {
        Self { own: self.own.with_origins(origins.clone()), origins, ..self }
    }

    /// Detects the credentials that no upstream may receive.
    pub fn own(&self) -> &OwnCredentials {
        &self.own
    }

    /// Parses the credential of a request for `public_url`, in the sources to read. `values` returns every value of the header of
    /// a source. The header of the session is `Cookie`.
    pub fn parse<'a, I>(&self, sources: CredentialSources, values: impl FnMut(CredentialSource) -> I) -> ParsedCredential<'a>
    where
        I: Iterator<Item = &'a [u8]>,
    {
        self.parse_with(sources, values, |cookie| self.parse_session(cookie))
    }

    /// Parses the credential of a request for this host, which is the one that the gateway serves.
    pub fn parse_on<'a, I>(
        &self,
        host: &str,
        sources: CredentialSources,
        values: impl FnMut(CredentialSource) -> I,
    ) -> ParsedCredential<'a>
    where
        I: Iterator<Item = &'a [u8]>,
    {
        self.parse_with(sources, values, |cookie| self.parse_session_on(host, cookie))
    }

    fn parse_with<'a, I>(
        &self,
        sources: CredentialSources,
        values: impl FnMut(CredentialSource) -> I,
        parse_session: impl FnOnce(&'a str) -> Result<SessionToken<'a>, CredentialError>,
    ) -> ParsedCredential<'a>
    where
        I: Iterator<Item = &'a [u8]>,
    {
        match CredentialText::find(sources, self.session_cookie, values)? {
            None => Ok(None),
            Some(CredentialText::Header(text)) => self.parse_header(text).map(Some),
            Some(CredentialText::Cookie(text)) => parse_session(text).map(|token| Some(Credential::Session(token))),
        }
    }

    /// Parses the value of the session cookie of `public_url`.
    pub fn parse_session<'a>(&self, cookie: &'a str) -> Result<SessionToken<'a>, CredentialError> {
        self.require_session(SessionToken::parse(&self.ring, cookie))
    }

    /// Parses the value of this host's session cookie. A host that is not one of the further origins shares that of `public_url`.
    pub fn parse_session_on<'a>(&self, host: &str, cookie: &'a str) -> Result<SessionToken<'a>, CredentialError> {
        match self.origins.find(host) {
            Some(origin) => self.require_session(SessionToken::parse_for_host(&self.ring, origin.host(), cookie)),
            None => self.parse_session(cookie),
        }
    }

    fn require_session<'a>(&self, parsed: Option<SessionToken<'a>>) -> Result<SessionToken<'a>, CredentialError> {
        parsed.ok_or_else(|| {
            self.metrics.cache_lookup(LookupLabel::Session, CacheResult::Forged);
            CredentialError::MalformedSession
        })
    }

    fn parse_header<'a>(&self, text: &'a str) -> Result<Credential<'a>, CredentialError> {
        if PresentedKey::has_prefix(text.as_bytes()) {
            return PresentedKey::parse(text).map(Credential::ApiKey).ok_or_else(|| {
                self.metrics.cache_lookup(LookupLabel::Key, CacheResult::Forged);
                CredentialError::MalformedApiKey
            });
        }
        Jwt::parse(text).map(Credential::Jwt).ok_or(CredentialError::UnknownForm)
    }
}

impl Credential<'_> {
    pub fn kind(&self) -> CredentialKind {
        match self {
            Self::Session(_) => CredentialKind::Session,
            Self::ApiKey(_) => CredentialKind::ApiKey,
            Self::Jwt(_) => CredentialKind::Jwt,
        }
    }
}

impl From<&ParsedCredential<'_>> for CredentialLabel {
    fn from(credential: &ParsedCredential<'_>) -> Self {
        match credential {
            Ok(None) => Self::None,
            Ok(Some(Credential::Session(_))) | Err(CredentialError::MalformedSession) => Self::Session,
            Ok(Some(Credential::ApiKey(_))) | Err(CredentialError::MalformedApiKey) => Self::ApiKey,
            Ok(Some(Credential::Jwt(_))) | Err(CredentialError::Ambiguous | CredentialError::UnknownForm) => Self::Header,
        }
    }
}

impl<'a> CredentialText<'a> {
    /// Finds the only credential in the sources to read. An empty header, or `Authorization` with another scheme than `Bearer`,
    /// counts as absent.
    pub fn find<I>(
        sources: CredentialSources,
        cookie_name: &str,
        mut values: impl FnMut(CredentialSource) -> I,
    ) -> Result<Option<Self>, CredentialError>
    where
        I: Iterator<Item = &'a [u8]>,
    {
        let mut found = UniqueValue::None;
        for source in CredentialSource::HEADERS.into_iter().filter(|source| sources.contains(*source)) {
            for credential in values(source).filter_map(|value| credential_of(source, value)) {
                found.add(parse_text(credential)?)?;
            }
        }
        if let UniqueValue::One(credential) = found {
            return Ok(Some(Self::Header(credential)));
        }
        if !sources.contains(CredentialSource::Session) {
            return Ok(None);
        }
        for value in values(CredentialSource::Session) {
            for cookie in cookies(value, cookie_name) {
                found.add(parse_text(cookie)?)?;
            }
        }
        Ok(match found {
            UniqueValue::None => None,
            UniqueValue::One(cookie) => Some(Self::Cookie(cookie)),
        })
    }
}

/// A value that must be the same wherever it appears.
enum UniqueValue<'a> {
    None,
    One(&'a str),
}

impl<'a> UniqueValue<'a> {
    fn add(&mut self, value: &'a str) -> Result<(), CredentialError> {
        match self {
            Self::One(known) if *known != value => Err(CredentialError::Ambiguous),
            _ => {
                *self = Self::One(value);
                Ok(())
            }
        }
    }
}

/// Returns the credential in a header's value. `None` if it is empty, or of a scheme that is not ours. LiteLLM accepts its own
/// header with and without a scheme.
fn credential_of(source: CredentialSource, value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let credential = match source {
        CredentialSource::Authorization => bearer_token(value).or_else(|| is_credential(value).then_some(value))?,
        CredentialSource::XLitellmApiKey => bearer_token(value).unwrap_or(value),
        _ => value,
    };
    Some(credential).filter(|credential| !credential.is_empty())
}

/// Returns the token after the scheme `Bearer`, which may be empty.
fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let end = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
    let (scheme, token) = value.split_at(end);
    scheme.eq_ignore_ascii_case(b"bearer").then(|| token.trim_ascii_start())
}

/// True for the form of our credentials, which some clients send without a scheme. Any other word is a scheme (RFC 9110, section
/// 11.4).
fn is_credential(value: &[u8]) -> bool {
    str::from_utf8(value).is_ok_and(|text| PresentedKey::has_prefix(value) || Jwt::parse(text).is_some())
}

fn parse_text(value: &[u8]) -> Result<&str, CredentialError> {
    std::str::from_utf8(value).map_err(|_| CredentialError::Ambiguous)
}

/// Returns the values of every cookie of this name (RFC 6265, section 4.2). Other cookies may have bytes that are not
/// UTF-8.
pub fn cookies<'a>(header: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    header.split(|byte| *byte == b';').filter_map(move |pair| {
        let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b"=")
    })
}

/// Returns all cookies except the removed ones, as one header.
pub fn cookies_without<'a>(headers: impl Iterator<Item = &'a [u8]>, is_removed: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let pairs = headers.flat_map(|header| header.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    let kept: Vec<&[u8]> = pairs.filter(|pair| !pair.is_empty() && !is_removed(pair)).collect();
    kept.join(&b"; "[..])
}

impl fmt::Debug for CredentialText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header(_) => "Header([redacted])",
            Self::Cookie(_) => "Cookie([redacted])",
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{
        check::has_own_name,
        clock::SystemClock,
        origin::PublicUrl,
        secret::{HostToken, OpaqueToken, TokenKind},
    };

    type SearchResult<'a> = Result<Option<CredentialText<'a>>, CredentialError>;

    fn header(text: &str) -> SearchResult<'_> {
        Ok(Some(CredentialText::Header(text)))
    }

    fn cookie(text: &str) -> SearchResult<'_> {
        Ok(Some(CredentialText::Cookie(text)))
    }

    fn find<'a>(headers: &'a [(&'a str, &'a [u8])]) -> SearchResult<'a> {
        CredentialText::find(CredentialSources::ALL, "__Host-vestibule", |source| values(headers, source))
    }

    fn values<'a>(headers: &'a [(&'a str, &'a [u8])], source: CredentialSource) -> impl Iterator<Item = &'a [u8]> {
        let name = if source == CredentialSource::Session { "cookie" } else { source.as_str() };
        headers.iter().filter(move |(n, _)| *n == name).map(|(_, value)| *value)
    }

    #[rstest]
    #[case::nothing(&[], Ok(None))]
    #[case::bearer(&[("authorization", "Bearer sk-1")], header("sk-1"))]
    #[case::bearer_in_any_case(&[("authorization", "bEARER  sk-1")], header("sk-1"))]
    #[case::litellm_with_scheme(&[("x-litellm-api-key", "Bearer sk-1")], header("sk-1"))]
    #[case::litellm_without_scheme(&[("x-litellm-api-key", "sk-1")], header("sk-1"))]
    #[case::the_same_with_and_without(&[("authorization", "Bearer sk-1"), ("x-litellm-api-key", "sk-1")], header("sk-1"))]
    #[case::another_header_has_no_scheme(&[("x-api-key", "Bearer sk-1")], header("Bearer sk-1"))]
    #[case::basic(&[("authorization", "Basic YTpi")], Ok(None))]
    #[case::digest(&[("authorization", "Digest username=\"a\", realm=\"b\"")], Ok(None))]
    #[case::scheme_alone(&[("authorization", "Negotiate")], Ok(None))]
    #[case::no_scheme(&[("authorization", "sk-1")], header("sk-1"))]
    #[case::jwt_without_scheme(&[("authorization", "a.b.c")], header("a.b.c"))]
    #[case::bearer_before_a_tab(&[("authorization", "Bearer\tsk-1")], header("sk-1"))]
    #[case::bearer_alone(&[("authorization", "Bearer")], Ok(None))]
    #[case::empty_token(&[("authorization", "Bearer ")], Ok(None))]
    #[case::empty_token_of_litellm(&[("x-litellm-api-key", "Bearer ")], Ok(None))]
    #[case::empty_header(&[("authorization", "")], Ok(None))]
    #[case::blank_header(&[("x-api-key", " ")], Ok(None))]
    #[case::other_scheme_of_litellm(&[("x-litellm-api-key", "Basic YTpi")], header("Basic YTpi"))]
    #[case::basic_and_key(&[("authorization", "Basic YTpi"), ("x-api-key", "sk-1")], header("sk-1"))]
    #[case::basic_and_bearer(&[("authorization", "Basic YTpi"), ("authorization", "Bearer sk-1")], header("sk-1"))]
    #[case::empty_and_key(&[("api-key", ""), ("x-api-key", "sk-1")], header("sk-1"))]
    #[case::basic_and_cookie(&[("authorization", "Basic YTpi"), ("cookie", "__Host-vestibule=c")], cookie("c"))]
    #[case::empty_and_cookie(&[("x-api-key", ""), ("cookie", "__Host-vestibule=c")], cookie("c"))]
    #[case::x_api_key(&[("x-api-key", "sk-1")], header("sk-1"))]
    #[case::litellm(&[("x-litellm-api-key", "sk-1")], header("sk-1"))]
    #[case::azure(&[("api-key", "sk-1")], header("sk-1"))]
    #[case::google(&[("x-goog-api-key", "sk-1")], header("sk-1"))]
    #[case::azure_api_management(&[("ocp-apim-subscription-key", "sk-1")], header("sk-1"))]
    #[case::same_twice(&[("authorization", "Bearer sk-1"), ("x-api-key", "sk-1")], header("sk-1"))]
    #[case::two_headers(&[("authorization", "Bearer sk-1"), ("x-api-key", "sk-2")], Err(CredentialError::Ambiguous))]
    #[case::repeated_header(&[("authorization", "Bearer sk-1"), ("authorization", "Bearer sk-2")], Err(CredentialError::Ambiguous))]
    #[case::header_before_cookie(&[("cookie", "__Host-vestibule=c"), ("x-api-key", "k")], header("k"))]
    #[case::cookie(&[("cookie", "a=1; __Host-vestibule=c; b=2")], cookie("c"))]
    #[case::cookie_in_second_header(&[("cookie", "a=1"), ("cookie", "__Host-vestibule=c")], cookie("c"))]
    #[case::cookie_without_spaces(&[("cookie", "a=1;__Host-vestibule=c;b=2")], cookie("c"))]
    #[case::longer_name(&[("cookie", "__Host-vestibule-login=c")], Ok(None))]
    #[case::prefixed_name(&[("cookie", "x__Host-vestibule=c")], Ok(None))]
    #[case::other_case(&[("cookie", "__host-vestibule=c")], Ok(None))]
    #[case::same_cookie_twice(&[("cookie", "__Host-vestibule=c; __Host-vestibule=c")], cookie("c"))]
    #[case::two_cookies(&[("cookie", "__Host-vestibule=c; __Host-vestibule=d")], Err(CredentialError::Ambiguous))]
    #[case::empty_cookie(&[("cookie", "__Host-vestibule=")], cookie(""))]
    #[case::name_alone(&[("cookie", "__Host-vestibule")], Ok(None))]
    fn exactly_one_credential_is_found(#[case] headers: &[(&str, &str)], #[case] expected: SearchResult<'_>) {
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        assert!(find(&headers) == expected, "{:?}", find(&headers));
    }

    #[test]
    fn a_source_that_is_not_read_holds_no_credential() {
        let headers: &[(&str, &[u8])] =
            &[("authorization", b"Bearer upstream's"), ("x-api-key", b"sk-1"), ("cookie", b"__Host-vestibule=c")];
        let find = |sources: &[CredentialSource]| {
            CredentialText::find(sources.iter().copied().collect(), "__Host-vestibule", |source| values(headers, source))
        };
        assert!(find(&[CredentialSource::Session]) == cookie("c"));
        assert!(find(&[CredentialSource::XApiKey, CredentialSource::Session]) == header("sk-1"));
        assert!(find(&[CredentialSource::ApiKey, CredentialSource::Session]) == cookie("c"));
        assert!(find(&[CredentialSource::ApiKey]) == Ok(None));
        assert!(find(&CredentialSource::ALL) == Err(CredentialError::Ambiguous));
    }

    #[test]
    fn invalid_utf8_is_refused_in_a_credential_and_ignored_in_other_cookies() {
        assert!(find(&[("authorization", b"Bearer \xff")]) == Err(CredentialError::Ambiguous));
        assert!(find(&[("x-api-key", b"\xff")]) == Err(CredentialError::Ambiguous));
        assert!(find(&[("authorization", b"Basic \xff")]) == Ok(None));
        assert!(find(&[("cookie", b"__Host-vestibule=\xff")]) == Err(CredentialError::Ambiguous));
        assert!(find(&[("cookie", b"a=\xff\xfe; __Host-vestibule=c")]) == cookie("c"));
    }

    #[rstest]
    #[case(&["a=1; vestibule=s; b=2"], "a=1; b=2")]
    #[case(&["vestibule=s"], "")]
    #[case(&["vestibule=s; vestibule-login=l", "vestibule=t;a=1"], "a=1")]
    #[case(&["a=1", "b=2; vestibule =s"], "a=1; b=2")]
    #[case(&["myvestibule=1; vestibule-x=2; Vestibule=3; a=vestibule=1"], "myvestibule=1; vestibule-x=2; a=vestibule=1")]
    #[case(&["vestibule; a"], "vestibule; a")]
    #[case(&[], "")]
    fn cookies_with_our_names_are_removed(#[case] headers: &[&str], #[case] expected: &str) {
        let kept = cookies_without(headers.iter().map(|header| header.as_bytes()), has_own_name);
        assert_eq!(String::from_utf8(kept).unwrap(), expected);
    }

    #[test]
    fn debug_shows_no_credential() {
        assert_eq!(format!("{:?}", CredentialText::Header("sk-hidden")), "Header([redacted])");
    }

    const KEY: &str = "sk-KgcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";

    fn parser() -> CredentialParser {
        let ring = Arc::new(KeyRing::ephemeral(Arc::new(SystemClock)));
        CredentialParser::new(ring, "__Host-vestibule", Arc::new(Metrics::new()))
    }

    fn parse<'a>(parser: &CredentialParser, headers: &'a [(&'a str, &'a [u8])]) -> ParsedCredential<'a> {
        parser.parse(CredentialSources::ALL, |source| values(headers, source))
    }

    #[test]
    fn each_form_is_parsed_into_its_own_variant() {
        let parser = parser();
        let session = OpaqueToken::mint(&parser.ring, TokenKind::Session, 7);
        let cookie = format!("__Host-vestibule={}", session.expose());
        let headers: &[(&str, &[u8])] = &[("cookie", cookie.as_bytes())];
        let Ok(Some(Credential::Session(token))) = parse(&parser, headers) else { panic!("a session token is expected") };
        assert_eq!((token.shard().number(), token.digest()), (7, session.digest()));
        let headers: &[(&str, &[u8])] = &[("authorization", b"Bearer a.b.c")];
        assert_eq!(parse(&parser, headers).map(|found| found.map(|found| found.kind())), Ok(Some(CredentialKind::Jwt)));
        assert_eq!(parse(&parser, &[]), Ok(None));
    }

    #[test]
    fn each_host_accepts_its_own_session_token_only() {
        let origins = ["https://chat.example.com", "https://mcp.example.com"].map(|url| PublicUrl::parse(url).unwrap());
        let parser = parser().with_origins(FurtherOrigins::new(origins.to_vec()));
        let session = OpaqueToken::mint(&parser.ring, TokenKind::Session, 7);
        let of_host = |host| HostToken { shard: 7, digest: session.digest() }.sign(&parser.ring, host);
        let (chat, mcp) = (of_host("chat.example.com"), of_host("mcp.example.com"));
        for (host, cookie, is_accepted) in [
            ("llm.example.com", session.expose(), true),
            ("llm.example.com", &chat, false),
            ("unlisted.example.com", session.expose(), true),
            ("unlisted.example.com", &mcp, false),
            ("chat.example.com", &chat, true),
            ("CHAT.Example.com", &chat, true),
            ("chat.example.com", &mcp, false),
            ("chat.example.com", session.expose(), false),
            ("mcp.example.com", &mcp, true),
            ("mcp.example.com", &chat, false),
        ] {
            let header = format!("__Host-vestibule={cookie}");
            let headers: &[(&str, &[u8])] = &[("cookie", header.as_bytes())];
            let parsed = parser.parse_on(host, CredentialSources::ALL, |source| values(headers, source));
            assert_eq!(parsed.is_ok(), is_accepted, "{host}: {parsed:?}");
            if let Ok(Some(Credential::Session(token))) = parsed {
                assert_eq!(token.digest(), session.digest(), "one session on all hosts");
            }
        }
        assert!(parser.parse_session(&chat).is_err());
    }

    #[rstest]
    #[case::session("cookie", "__Host-vestibule=x", CredentialError::MalformedSession, CredentialLabel::Session)]
    #[case::key("x-api-key", KEY, CredentialError::MalformedApiKey, CredentialLabel::ApiKey)]
    #[case::other("x-api-key", "pk-1", CredentialError::UnknownForm, CredentialLabel::Header)]
    #[case::two_parts("authorization", "Bearer a.b", CredentialError::UnknownForm, CredentialLabel::Header)]
    fn a_malformed_credential_is_refused_with_its_form(
        #[case] name: &str,
        #[case] value: &str,
        #[case] error: CredentialError,
        #[case] label: CredentialLabel,
    ) {
        let headers = [(name, value.as_bytes())];
        let parser = parser();
        let parsed = parse(&parser, &headers);
        assert_eq!((parsed, CredentialLabel::from(&parsed)), (Err(error), label));
    }

    #[test]
    fn malformed_session_tokens_and_keys_are_counted_as_forged() {
        let parser = parser();
        assert!(parser.parse_session("x").is_err());
        assert!(parse(&parser, &[("x-api-key", b"sk-1")]).is_err());
        assert!(parse(&parser, &[("x-api-key", b"pk-1")]).is_err());
        let text = String::from_utf8(parser.metrics.render()).unwrap();
        for credential in ["session", "key"] {
            let line = format!(r#"vestibule_cache_lookups_total{{credential="{credential}",result="forged"}} 1"#);
            assert!(text.contains(&line), "{text}");
        }
    }
}
