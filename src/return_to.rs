//! Where a login goes back to: a path and query on our own origin, whatever the request asked for.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

/// A path with its query, visible ASCII, that starts with exactly one slash. Joined to an origin
/// it stays on that origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReturnTo(Box<str>);

/// Why a target was refused. The target itself is never repeated: it came from a stranger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedReturnTo {
    #[error("the return target is empty")]
    Empty,
    #[error("the return target is longer than {LONGEST} bytes")]
    TooLong,
    #[error("the return target has a blank or a control character")]
    ControlCharacter,
    #[error("the return target has a backslash, which browsers take for a slash")]
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

/// Longest target in bytes, before and after percent-encoding: it is kept in the flow's record and
/// comes back in a header.
pub const LONGEST: usize = 4096;

impl ReturnTo {
    /// Reads `raw`, the `rd` parameter after one percent-decoding, as a path or as an address on
    /// `public_host`. Scheme and port of an address are not ours to believe (behind TLS an ingress
    /// says `http` and any port), so both are dropped; so is a fragment, which no server sees.
    pub fn parse(raw: &str, public_host: &str) -> Result<Self, RefusedReturnTo> {
        refuse_by_characters(raw)?;
        let target = without_fragment(raw);
        if target.starts_with('/') {
            return Self::from_path(target);
        }
        let address = after_scheme(target)?;
        let end = address.find(['/', '?']).unwrap_or(address.len());
        let (authority, path) = address.split_at(end);
        require_host(authority, public_host)?;
        match path.starts_with('/') {
            true => Self::from_path(path),
            false => Self::from_path(&format!("/{path}")),
        }
    }

    /// The front page, for a login that named no target.
    pub fn root() -> Self {
        Self("/".into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Two leading slashes would name a host if the path ever stood alone.
    fn from_path(path: &str) -> Result<Self, RefusedReturnTo> {
        if path.starts_with("//") {
            return Err(RefusedReturnTo::DoubledSlash);
        }
        let encoded = ascii_only(path);
        if encoded.len() > LONGEST {
            return Err(RefusedReturnTo::TooLong);
        }
        Ok(Self(encoded.into()))
    }
}

fn refuse_by_characters(raw: &str) -> Result<(), RefusedReturnTo> {
    if raw.is_empty() {
        return Err(RefusedReturnTo::Empty);
    }
    if raw.len() > LONGEST {
        return Err(RefusedReturnTo::TooLong);
    }
    if raw.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(RefusedReturnTo::ControlCharacter);
    }
    if raw.contains('\\') {
        return Err(RefusedReturnTo::Backslash);
    }
    Ok(())
}

fn without_fragment(raw: &str) -> &str {
    raw.split_once('#').map_or(raw, |(target, _)| target)
}

/// What follows `http://` or `https://`, in any case of letters.
fn after_scheme(target: &str) -> Result<&str, RefusedReturnTo> {
    let (scheme, rest) = target.split_once(':').ok_or(RefusedReturnTo::NotAPath)?;
    let is_http = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    if !is_http {
        return Err(RefusedReturnTo::NotAPath);
    }
    rest.strip_prefix("//").ok_or(RefusedReturnTo::Authority)
}

/// The host must be ours to the letter, so every disguise of another (trailing dot, IP literal,
/// percent-encoding, look-alike letters) fails by not being equal.
fn require_host(authority: &str, public_host: &str) -> Result<(), RefusedReturnTo> {
    if authority.contains('@') {
        return Err(RefusedReturnTo::UserInfo);
    }
    if authority.starts_with('[') {
        return Err(RefusedReturnTo::OtherHost);
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if host.is_empty() || port.is_some_and(|port| !is_port(port)) {
        return Err(RefusedReturnTo::Authority);
    }
    match host.eq_ignore_ascii_case(public_host) {
        true => Ok(()),
        false => Err(RefusedReturnTo::OtherHost),
    }
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Percent-encodes what isn't ASCII, as a browser would: a page whose ingress decoded its name
/// (`/caf%C3%A9`) on the way is found again.
fn ascii_only(path: &str) -> Cow<'_, str> {
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

/// A stored target is judged again, and then it can only be a path.
impl TryFrom<String> for ReturnTo {
    type Error = RefusedReturnTo;

    fn try_from(stored: String) -> Result<Self, RefusedReturnTo> {
        refuse_by_characters(&stored)?;
        match stored.starts_with('/') {
            true => Self::from_path(without_fragment(&stored)),
            false => Err(RefusedReturnTo::NotAPath),
        }
    }
}

impl From<ReturnTo> for String {
    fn from(target: ReturnTo) -> Self {
        target.0.into()
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::RefusedReturnTo::*;
    use super::*;
    use proptest::prelude::*;

    const HOST: &str = "llm.example.com";
    const ORIGIN: &str = "https://llm.example.com";

    type Case = (&'static str, Result<&'static str, RefusedReturnTo>);

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
        // Dot segments leave a doubled slash, on our own origin: the origin stands before it.
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
        // Our own host, under any scheme and port that an ingress may report.
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
    fn only_paths_and_our_own_host_are_accepted() {
        for (raw, expected) in ACCEPTED_AND_REFUSED {
            let result = ReturnTo::parse(raw, HOST);
            let shown = result.as_ref().map(ReturnTo::as_str).map_err(|why| *why);
            assert_eq!(shown, *expected, "rd = {raw:?}");
        }
    }

    #[test]
    fn whatever_the_table_accepts_stays_on_our_origin() {
        for (raw, _) in ACCEPTED_AND_REFUSED {
            if let Ok(target) = ReturnTo::parse(raw, HOST) {
                assert_stays(&target);
            }
        }
    }

    #[test]
    fn the_length_is_bounded_before_and_after_encoding() {
        let path = |length: usize| format!("/{}", "a".repeat(length - 1));
        assert!(ReturnTo::parse(&path(LONGEST), HOST).is_ok());
        let too_long = ReturnTo::parse(&path(LONGEST + 1), HOST);
        assert_eq!(too_long, Err(TooLong));
        let grown = format!("/{}", "\u{e9}".repeat(LONGEST / 4));
        assert_eq!(ReturnTo::parse(&grown, HOST), Err(TooLong));
    }

    #[test]
    fn a_stored_target_is_judged_again() {
        let stored = serde_json::to_string(&ReturnTo::root()).unwrap();
        assert_eq!(stored, "\"/\"");
        let read = |text: &str| serde_json::from_str::<ReturnTo>(text);
        assert_eq!(read("\"/a?b\"").unwrap().to_string(), "/a?b");
        for tampered in
            ["\"\"", "\"//evil.com\"", "\"/\\\\evil.com\"", "\"https://llm.example.com/\"", "\"evil.com\"", "\"/a\\r\\nb\"", "7"]
        {
            assert!(read(tampered).is_err(), "{tampered}");
        }
    }

    #[test]
    fn a_refusal_never_repeats_the_target() {
        for (raw, expected) in ACCEPTED_AND_REFUSED {
            if let Err(why) = expected {
                assert!(raw.len() < 5 || !why.to_string().contains(raw));
            }
        }
    }

    fn assert_stays(target: &ReturnTo) {
        let joined = url::Url::parse(&format!("{ORIGIN}{target}")).unwrap();
        assert_origin(&joined, target);
        let base = url::Url::parse(ORIGIN).unwrap();
        assert_origin(&base.join(target.as_str()).unwrap(), target);
        assert!(target.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
    }

    fn assert_origin(url: &url::Url, target: &ReturnTo) {
        assert_eq!(url.origin().ascii_serialization(), ORIGIN, "{target}");
        assert_eq!((url.username(), url.password()), ("", None), "{target}");
        assert_eq!(url.fragment(), None, "{target}");
    }

    /// Strings made of the pieces that disguises are made of.
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
        fn no_disguise_leaves_our_origin(raw in disguises()) {
            if let Ok(target) = ReturnTo::parse(&raw, HOST) {
                assert_stays(&target);
                let again = ReturnTo::try_from(String::from(target.clone()));
                prop_assert_eq!(again, Ok(target));
            }
        }

        #[test]
        fn no_string_leaves_our_origin(raw in any::<String>()) {
            if let Ok(target) = ReturnTo::parse(&raw, HOST) {
                assert_stays(&target);
            }
        }

        #[test]
        fn no_path_leaves_our_origin(rest in "[ -~]{0,40}") {
            if let Ok(target) = ReturnTo::parse(&format!("/{rest}"), HOST) {
                assert_stays(&target);
            }
        }
    }
}
