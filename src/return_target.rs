//! Return targets, the path and query on the public origin that a login redirects to at its end, and the purposes of login
//! flows, which contain them.

mod continuation;

pub use continuation::Continuation;

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

/// A path with its query in visible ASCII that starts with exactly one slash. Joined to an origin,
/// it stays on that origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReturnTarget(Box<str>);

/// The reason why a return target is invalid. The message never repeats the target, which is untrusted input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReturnTargetError {
    #[error("the return target is empty")]
    Empty,
    #[error("the return target is longer than {LONGEST} bytes")]
    TooLong,
    #[error("the return target has a blank or a control character")]
    ControlCharacter,
    #[error("the return target has a backslash, which browsers read as a slash")]
    Backslash,
    #[error("the return target is neither a path nor an http or https address")]
    NotAPath,
    #[error("the return target's address is malformed")]
    Authority,
    #[error("the return target carries a user name or password")]
    UserInfo,
    #[error("the return target is on another host")]
    OtherHost,
    #[error("the return target's path starts with two slashes")]
    DoubledSlash,
}

impl ReturnTargetError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "return_target_empty",
            Self::TooLong => "return_target_too_long",
            Self::ControlCharacter => "return_target_control_character",
            Self::Backslash => "return_target_backslash",
            Self::NotAPath => "return_target_not_a_path",
            Self::Authority => "return_target_malformed",
            Self::UserInfo => "return_target_user_info",
            Self::OtherHost => "return_target_other_host",
            Self::DoubledSlash => "return_target_double_slash",
        }
    }
}

/// The longest target in bytes, before and after percent-encoding. The target is stored in the login
/// flow's record and sent in a header.
pub const LONGEST: usize = 4096;

impl ReturnTarget {
    /// Parses `raw`, the `rd` parameter after one percent-decoding, as a path or as a URL on
    /// `public_host`. The scheme and port of a URL are dropped, because a gateway behind TLS may
    /// report `http` and any port. The fragment is dropped, because no server receives it.
    pub fn parse(raw: &str, public_host: &str) -> Result<Self, ReturnTargetError> {
        check_characters(raw)?;
        let target = without_fragment(raw);
        if target.starts_with('/') {
            return Self::from_path(target);
        }
        let address = strip_scheme(target)?;
        let end = address.find(['/', '?']).unwrap_or(address.len());
        let (authority, path) = address.split_at(end);
        require_host(authority, public_host)?;
        match path.starts_with('/') {
            true => Self::from_path(path),
            false => Self::from_path(&format!("/{path}")),
        }
    }

    /// The path `/`, for a login without a return target.
    pub fn root() -> Self {
        Self("/".into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Two leading slashes would name a host if the path were used without its origin.
    fn from_path(path: &str) -> Result<Self, ReturnTargetError> {
        if path.starts_with("//") {
            return Err(ReturnTargetError::DoubledSlash);
        }
        let encoded = encode_non_ascii(path);
        if encoded.len() > LONGEST {
            return Err(ReturnTargetError::TooLong);
        }
        Ok(Self(encoded.into()))
    }
}

fn check_characters(raw: &str) -> Result<(), ReturnTargetError> {
    if raw.is_empty() {
        return Err(ReturnTargetError::Empty);
    }
    if raw.len() > LONGEST {
        return Err(ReturnTargetError::TooLong);
    }
    if raw.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(ReturnTargetError::ControlCharacter);
    }
    if raw.contains('\\') {
        return Err(ReturnTargetError::Backslash);
    }
    Ok(())
}

fn without_fragment(raw: &str) -> &str {
    raw.split_once('#').map_or(raw, |(target, _)| target)
}

/// Returns the text after `http://` or `https://`, ignoring case.
fn strip_scheme(target: &str) -> Result<&str, ReturnTargetError> {
    let (scheme, rest) = target.split_once(':').ok_or(ReturnTargetError::NotAPath)?;
    let is_http = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    if !is_http {
        return Err(ReturnTargetError::NotAPath);
    }
    rest.strip_prefix("//").ok_or(ReturnTargetError::Authority)
}

/// Requires the public host literally, so that every disguise of another host (trailing dot, IP literal,
/// percent-encoding, look-alike letters) fails the comparison.
fn require_host(authority: &str, public_host: &str) -> Result<(), ReturnTargetError> {
    if authority.contains('@') {
        return Err(ReturnTargetError::UserInfo);
    }
    if authority.starts_with('[') {
        return Err(ReturnTargetError::OtherHost);
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if host.is_empty() || port.is_some_and(|port| !is_port(port)) {
        return Err(ReturnTargetError::Authority);
    }
    match host.eq_ignore_ascii_case(public_host) {
        true => Ok(()),
        false => Err(ReturnTargetError::OtherHost),
    }
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Percent-encodes non-ASCII characters as a browser does, so that a path that a gateway decoded
/// (`/caf%C3%A9`) leads to the same page.
fn encode_non_ascii(path: &str) -> Cow<'_, str> {
    if path.is_ascii() {
        return Cow::Borrowed(path);
    }
    let mut encoded = String::with_capacity(path.len() * 2);
    for byte in path.bytes() {
        match byte.is_ascii() {
            true => encoded.push(byte.into()),
            false => write!(encoded, "%{byte:02X}").expect("writing to a String cannot fail"),
        }
    }
    Cow::Owned(encoded)
}

/// A stored target is validated again. It must be a path.
impl TryFrom<String> for ReturnTarget {
    type Error = ReturnTargetError;

    fn try_from(stored: String) -> Result<Self, ReturnTargetError> {
        check_characters(&stored)?;
        match stored.starts_with('/') {
            true => Self::from_path(without_fragment(&stored)),
            false => Err(ReturnTargetError::NotAPath),
        }
    }
}

impl From<ReturnTarget> for String {
    fn from(target: ReturnTarget) -> Self {
        target.0.into()
    }
}

impl fmt::Display for ReturnTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::ReturnTargetError::*;
    use super::*;
    use proptest::prelude::*;

    const HOST: &str = "llm.example.com";
    const ORIGIN: &str = "https://llm.example.com";

    type Case = (&'static str, Result<&'static str, ReturnTargetError>);

    const ACCEPTED_AND_REFUSED: &[Case] = &[
        // Paths.
        ("/", Ok("/")),
        ("/app", Ok("/app")),
        ("/app/x?q=1", Ok("/app/x?q=1")),
        ("/app?", Ok("/app?")),
        ("/?q=1&r=2", Ok("/?q=1&r=2")),
        ("/a//b", Ok("/a//b")),
        ("/a/../b", Ok("/a/../b")),
        ("/..", Ok("/..")),
        ("/./x", Ok("/./x")),
        // Dot segments leave a doubled slash, which stays on the public origin because the origin precedes it.
        ("/..//evil.com", Ok("/..//evil.com")),
        ("/.//evil.com", Ok("/.//evil.com")),
        ("/%2e%2e//evil.com", Ok("/%2e%2e//evil.com")),
        ("/%2F/evil.com", Ok("/%2F/evil.com")),
        ("/%2f%2fevil.com", Ok("/%2f%2fevil.com")),
        ("/%5cevil.com", Ok("/%5cevil.com")),
        ("/%0d%0aLocation:x", Ok("/%0d%0aLocation:x")),
        ("/%00", Ok("/%00")),
        ("/%zz%", Ok("/%zz%")),
        ("/a;b=c", Ok("/a;b=c")),
        ("/a:b@c", Ok("/a:b@c")),
        ("/@evil.com", Ok("/@evil.com")),
        ("/https://evil.com", Ok("/https://evil.com")),
        ("/x?rd=https://evil.com", Ok("/x?rd=https://evil.com")),
        ("/x?y=//evil.com", Ok("/x?y=//evil.com")),
        ("/?//evil.com", Ok("/?//evil.com")),
        ("/\"<>^`{|}", Ok("/\"<>^`{|}")),
        ("/caf\u{e9}?\u{4f60}", Ok("/caf%C3%A9?%E4%BD%A0")),
        ("/\u{ff0f}evil.com", Ok("/%EF%BC%8Fevil.com")),
        // A fragment never reaches a server.
        ("/app#top", Ok("/app")),
        ("/app?q=1#//evil.com", Ok("/app?q=1")),
        ("/#", Ok("/")),
        ("https://llm.example.com#x", Ok("/")),
        ("https://llm.example.com#@evil.com", Ok("/")),
        ("https://llm.example.com/a#b#c", Ok("/a")),
        // The public host, under any scheme and port that a gateway may report.
        ("https://llm.example.com/app", Ok("/app")),
        ("http://llm.example.com/app/x?q=1", Ok("/app/x?q=1")),
        ("http://llm.example.com:80/app", Ok("/app")),
        ("https://llm.example.com:8443/app", Ok("/app")),
        ("https://llm.example.com:0/", Ok("/")),
        ("https://llm.example.com:99999/", Ok("/")),
        ("HTTPS://LLM.Example.COM/App", Ok("/App")),
        ("hTTp://llm.example.com", Ok("/")),
        ("https://llm.example.com?q=1", Ok("/?q=1")),
        ("https://llm.example.com:443?q=@evil", Ok("/?q=@evil")),
        ("https://llm.example.com/a@b", Ok("/a@b")),
        ("https://llm.example.com/..//evil", Ok("/..//evil")),
        // Another host in disguise.
        ("//evil.com", Err(DoubledSlash)),
        ("//llm.example.com/app", Err(DoubledSlash)),
        ("///evil.com", Err(DoubledSlash)),
        ("////evil.com", Err(DoubledSlash)),
        ("//", Err(DoubledSlash)),
        ("//evil.com/%2f..", Err(DoubledSlash)),
        ("//[::1]/", Err(DoubledSlash)),
        ("https://llm.example.com//evil.com", Err(DoubledSlash)),
        ("https://llm.example.com:443//evil.com", Err(DoubledSlash)),
        ("/\\evil.com", Err(Backslash)),
        ("\\\\evil.com", Err(Backslash)),
        ("\\/evil.com", Err(Backslash)),
        ("/a\\b", Err(Backslash)),
        ("/a?b=\\", Err(Backslash)),
        ("/a#\\", Err(Backslash)),
        ("https:\\\\evil.com", Err(Backslash)),
        ("https://llm.example.com\\@evil.com", Err(Backslash)),
        ("https://llm.example.com\\.evil.com/", Err(Backslash)),
        ("https:evil.com", Err(Authority)),
        ("https:/evil.com", Err(Authority)),
        ("http:/evil", Err(Authority)),
        ("https:", Err(Authority)),
        ("https:llm.example.com/app", Err(Authority)),
        ("https:///evil.com", Err(Authority)),
        ("https:////evil.com", Err(Authority)),
        ("https://", Err(Authority)),
        ("https://:443/", Err(Authority)),
        ("https://?llm.example.com", Err(Authority)),
        ("https://#llm.example.com", Err(Authority)),
        ("https://llm.example.com@evil.com", Err(UserInfo)),
        ("https://a:b@llm.example.com", Err(UserInfo)),
        ("https://@llm.example.com/", Err(UserInfo)),
        ("https://:@llm.example.com/", Err(UserInfo)),
        ("https://llm.example.com:443@evil.com/", Err(UserInfo)),
        ("https://evil.com", Err(OtherHost)),
        ("https://evil.com/llm.example.com", Err(OtherHost)),
        ("https://evil.com?https://llm.example.com/", Err(OtherHost)),
        ("https://evil.com#llm.example.com", Err(OtherHost)),
        ("https://llm.example.com.evil.com/", Err(OtherHost)),
        ("https://evil-llm.example.com/", Err(OtherHost)),
        ("https://x.llm.example.com/", Err(OtherHost)),
        ("https://example.com/", Err(OtherHost)),
        ("https://llm.example.com./", Err(OtherHost)),
        ("https://.llm.example.com/", Err(OtherHost)),
        ("https://llm.example.com%2f.evil.com/", Err(OtherHost)),
        ("https://llm.example.com%2fapp", Err(OtherHost)),
        ("https://llm%2eexample.com/", Err(OtherHost)),
        ("https://evil.com%2f@llm.example.com/", Err(UserInfo)),
        ("https://llm.example.com;evil.com/", Err(OtherHost)),
        ("https://llm.example.com,evil.com/", Err(OtherHost)),
        ("https://llm.example\u{3002}com/", Err(OtherHost)),
        ("https://\u{ff4c}lm.example.com/", Err(OtherHost)),
        ("https://llm.example.com\u{ff0f}x/", Err(OtherHost)),
        ("https://127.0.0.1/", Err(OtherHost)),
        ("https://2130706433/", Err(OtherHost)),
        ("https://[::1]/", Err(OtherHost)),
        ("https://[::ffff:127.0.0.1]:443/", Err(OtherHost)),
        ("https://[llm.example.com]/", Err(OtherHost)),
        ("https://llm.example.com:/", Err(Authority)),
        ("https://llm.example.com:443:80/", Err(Authority)),
        ("https://llm.example.com:443.evil.com/", Err(Authority)),
        ("https://llm.example.com:+443/", Err(Authority)),
        ("https://llm.example.com:000443/", Err(Authority)),
        ("https://llm.example.com:\u{664}/", Err(Authority)),
        // Other schemes, and what is no path at all.
        ("javascript:alert(1)", Err(NotAPath)),
        ("JavaScript://llm.example.com/%0aalert(1)", Err(NotAPath)),
        ("data:text/html,x", Err(NotAPath)),
        ("ftp://llm.example.com/", Err(NotAPath)),
        ("ws://llm.example.com/", Err(NotAPath)),
        ("httpss://llm.example.com/", Err(NotAPath)),
        ("://llm.example.com/", Err(NotAPath)),
        ("llm.example.com/app", Err(NotAPath)),
        ("llm.example.com:443/app", Err(NotAPath)),
        ("evil.com", Err(NotAPath)),
        ("app/x", Err(NotAPath)),
        ("./app", Err(NotAPath)),
        ("../app", Err(NotAPath)),
        ("?q=1", Err(NotAPath)),
        ("#top", Err(NotAPath)),
        (".", Err(NotAPath)),
        ("@evil.com", Err(NotAPath)),
        ("%2f%2fevil.com", Err(NotAPath)),
        ("https%3a//evil.com", Err(NotAPath)),
        ("\u{ff0f}evil.com", Err(NotAPath)),
        ("\u{feff}/app", Err(NotAPath)),
        ("", Err(Empty)),
        // Characters that browsers drop or that split a header.
        ("/\t/evil.com", Err(ControlCharacter)),
        ("\t//evil.com", Err(ControlCharacter)),
        ("/\n/evil.com", Err(ControlCharacter)),
        ("/a\r\nSet-Cookie: x=y", Err(ControlCharacter)),
        ("/a\0b", Err(ControlCharacter)),
        ("/a b", Err(ControlCharacter)),
        (" /app", Err(ControlCharacter)),
        ("/app ", Err(ControlCharacter)),
        ("/a\u{7f}", Err(ControlCharacter)),
        ("/a\u{85}", Err(ControlCharacter)),
        ("/a\u{2028}b", Err(ControlCharacter)),
        ("/a\u{a0}b", Err(ControlCharacter)),
        ("java\nscript:alert(1)", Err(ControlCharacter)),
        ("ht\ttps://evil.com", Err(ControlCharacter)),
        ("https://llm.example.com\t.evil.com/", Err(ControlCharacter)),
        ("https://llm.example.com /", Err(ControlCharacter)),
    ];

    #[test]
    fn only_paths_and_the_public_host_are_accepted() {
        for (raw, expected) in ACCEPTED_AND_REFUSED {
            let result = ReturnTarget::parse(raw, HOST);
            let shown = result.as_ref().map(ReturnTarget::as_str).map_err(|error| *error);
            assert_eq!(shown, *expected, "rd = {raw:?}");
        }
    }

    #[test]
    fn accepted_targets_stay_on_the_public_origin() {
        for (raw, _) in ACCEPTED_AND_REFUSED {
            if let Ok(target) = ReturnTarget::parse(raw, HOST) {
                assert_stays_on_origin(&target);
            }
        }
    }

    #[test]
    fn the_length_is_bounded_before_and_after_encoding() {
        let path = |length: usize| format!("/{}", "a".repeat(length - 1));
        assert!(ReturnTarget::parse(&path(LONGEST), HOST).is_ok());
        let too_long = ReturnTarget::parse(&path(LONGEST + 1), HOST);
        assert_eq!(too_long, Err(TooLong));
        let grown = format!("/{}", "\u{e9}".repeat(LONGEST / 4));
        assert_eq!(ReturnTarget::parse(&grown, HOST), Err(TooLong));
    }

    #[test]
    fn a_stored_target_is_validated_again() {
        let stored = serde_json::to_string(&ReturnTarget::root()).unwrap();
        assert_eq!(stored, "\"/\"");
        let read = |text: &str| serde_json::from_str::<ReturnTarget>(text);
        assert_eq!(read("\"/a?b\"").unwrap().to_string(), "/a?b");
        for tampered in
            ["\"\"", "\"//evil.com\"", "\"/\\\\evil.com\"", "\"https://llm.example.com/\"", "\"evil.com\"", "\"/a\\r\\nb\"", "7"]
        {
            assert!(read(tampered).is_err(), "{tampered}");
        }
    }

    #[test]
    fn an_error_never_repeats_the_target() {
        for (raw, expected) in ACCEPTED_AND_REFUSED {
            if let Err(error) = expected {
                assert!(raw.len() < 5 || !error.to_string().contains(raw));
            }
        }
    }

    fn assert_stays_on_origin(target: &ReturnTarget) {
        let joined = url::Url::parse(&format!("{ORIGIN}{target}")).unwrap();
        assert_origin(&joined, target);
        let base = url::Url::parse(ORIGIN).unwrap();
        assert_origin(&base.join(target.as_str()).unwrap(), target);
        assert!(target.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
    }

    fn assert_origin(url: &url::Url, target: &ReturnTarget) {
        assert_eq!(url.origin().ascii_serialization(), ORIGIN, "{target}");
        assert_eq!((url.username(), url.password()), ("", None), "{target}");
        assert_eq!(url.fragment(), None, "{target}");
    }

    /// Strings of the pieces that disguised hosts consist of.
    fn disguises() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            proptest::sample::select(vec![
                "/",
                "//",
                "\\",
                "?",
                "#",
                "@",
                ":",
                ".",
                "..",
                "%2f",
                "%5c",
                "\t",
                "\n",
                " ",
                "http:",
                "HTTPS:",
                "https://",
                "llm.example.com",
                "evil.com",
                "[::1]",
                ":443",
                "\u{ff0f}",
                "\u{3002}",
                "javascript:",
                "a",
            ])
            .prop_map(str::to_owned),
            any::<char>().prop_map(String::from),
        ];
        proptest::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_disguise_leaves_the_public_origin(raw in disguises()) {
            if let Ok(target) = ReturnTarget::parse(&raw, HOST) {
                assert_stays_on_origin(&target);
                let again = ReturnTarget::try_from(String::from(target.clone()));
                prop_assert_eq!(again, Ok(target));
            }
        }

        #[test]
        fn no_string_leaves_the_public_origin(raw in any::<String>()) {
            if let Ok(target) = ReturnTarget::parse(&raw, HOST) {
                assert_stays_on_origin(&target);
            }
        }

        #[test]
        fn no_path_leaves_the_public_origin(rest in "[ -~]{0,40}") {
            if let Ok(target) = ReturnTarget::parse(&format!("/{rest}"), HOST) {
                assert_stays_on_origin(&target);
            }
        }
    }
}
