//! Parses and matches the patterns of access rules, for paths, hosts and methods.

use std::borrow::Cow;
use std::fmt;

use crate::glob::Glob;

/// A pattern for paths. `*` matches any characters within a segment, `?` matches one, and a segment `**` matches zero or more
/// segments. A trailing slash is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(Box<str>);

/// A pattern for hosts. `*` matches any characters within a label, and `?` matches one. Letter case is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    text: Box<str>,
    labels: Box<[Glob]>,
}

/// A method, in upper case. `GET` also matches `HEAD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method(Box<str>);

/// Completes the sentence "the pattern …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathPatternError {
    #[error("is empty; write /** for every path")]
    Empty,
    #[error("is longer than {MAX_LENGTH} bytes")]
    TooLong,
    #[error("does not begin with a slash; write a path, and put hosts into the field `hosts`")]
    NoSlash,
    #[error("has an empty segment; write one slash, since repeated slashes are also matched as one")]
    EmptySegment,
    #[error("has a segment . or ..; write the resolved path, since paths are matched with dot segments resolved")]
    DotSegment,
    #[error("has ** beside other characters; write ** as a whole segment, or * for characters within a segment")]
    PartOfSegment,
    #[error("has a percent sign; write the character itself, since paths are also matched decoded")]
    Percent,
    #[error("has a backslash; write a slash, since backslashes are also matched as slashes")]
    Backslash,
    #[error("has braces or square brackets; list the paths one by one")]
    Alternatives,
    #[error("has a number sign, which is not allowed in a path")]
    Fragment,
    #[error("has a control character")]
    Control,
}

/// Completes the sentence "the pattern …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    #[error("is empty; omit `hosts` for any host")]
    Empty,
    #[error("matches every host; omit `hosts` instead")]
    Everything,
    #[error("is longer than {MAX_LENGTH} bytes")]
    TooLong,
    #[error("has more than a host; omit scheme, port and path")]
    MoreThanHost,
    #[error("has an empty label between its dots")]
    EmptyLabel,
    #[error("has **; * matches within one label, so write *.*.example.com for two labels")]
    DoubleStar,
    #[error("has a character that is not allowed in a host; write an international name in its xn-- form")]
    Character,
}

/// Completes the sentence "the method …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MethodError {
    #[error("is not the name of a method")]
    InvalidName,
    #[error("has lower-case letters; write it in upper case")]
    LowerCase,
}

const MAX_LENGTH: usize = 512;
const DOUBLE_STAR: &str = "**";

impl PathPattern {
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        validate_path_characters(text)?;
        let path = text.strip_prefix('/').ok_or(PathPatternError::NoSlash)?;
        if text.contains("//") {
            return Err(PathPatternError::EmptySegment);
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        for segment in path.split('/') {
            match segment {
                "." | ".." => return Err(PathPatternError::DotSegment),
                DOUBLE_STAR => {}
                _ if segment.contains(DOUBLE_STAR) => return Err(PathPatternError::PartOfSegment),
                _ => {}
            }
        }
        Ok(Self(format!("/{path}").into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `/**`, the pattern of a rule without paths.
    pub(super) fn everything() -> Self {
        Self(format!("/{DOUBLE_STAR}").into())
    }

    /// The pattern of one segment of another pattern.
    pub(super) fn of_segment(segment: &str) -> Self {
        Self(format!("/{segment}").into())
    }

    /// The segments of the pattern. Empty for `/`. Adjacent `**` are merged.
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        let mut after_double_star = false;
        self.0.split('/').filter(|segment| !segment.is_empty()).map(Segment::parse).filter(move |segment| {
            let is_repeated = after_double_star && *segment == Segment::DoubleStar;
            after_double_star = *segment == Segment::DoubleStar;
            !is_repeated
        })
    }

    pub(super) fn has_upper_case(&self) -> bool {
        self.0.bytes().any(|byte| byte.is_ascii_uppercase())
    }

    pub(super) fn to_lower_case(&self) -> Self {
        Self(self.0.to_ascii_lowercase().into())
    }
}

/// A part of a path pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Segment<'a> {
    Literal(&'a str),
    /// With `*` or `?`.
    Wildcard(&'a str),
    /// `**`
    DoubleStar,
}

impl<'a> Segment<'a> {
    fn parse(text: &'a str) -> Self {
        match text {
            DOUBLE_STAR => Self::DoubleStar,
            _ if text.contains(['*', '?']) => Self::Wildcard(text),
            _ => Self::Literal(text),
        }
    }
}

fn validate_path_characters(text: &str) -> Result<(), PathPatternError> {
    use PathPatternError::*;
    if text.is_empty() {
        return Err(Empty);
    }
    if text.len() > MAX_LENGTH {
        return Err(TooLong);
    }
    let error = text.chars().find_map(|character| match character {
        '%' => Some(Percent),
        '\\' => Some(Backslash),
        '{' | '}' | '[' | ']' => Some(Alternatives),
        '#' => Some(Fragment),
        _ if character.is_control() => Some(Control),
        _ => None,
    });
    error.map_or(Ok(()), Err)
}

impl HostPattern {
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        if text.is_empty() {
            return Err(HostPatternError::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(HostPatternError::TooLong);
        }
        if is_ipv6_literal(text) {
            return Ok(Self::new(text));
        }
        let host = text.strip_suffix('.').unwrap_or(text);
        match host {
            "*" | DOUBLE_STAR => Err(HostPatternError::Everything),
            _ if host.contains(DOUBLE_STAR) => Err(HostPatternError::DoubleStar),
            _ if host.contains([':', '/']) => Err(HostPatternError::MoreThanHost),
            _ if host.split('.').any(str::is_empty) => Err(HostPatternError::EmptyLabel),
            _ if !host.bytes().all(is_host_byte) => Err(HostPatternError::Character),
            _ => Ok(Self::new(host)),
        }
    }

    fn new(host: &str) -> Self {
        let text = host.to_ascii_lowercase();
        Self { labels: text.split('.').map(Glob::without_escapes).collect(), text: text.into() }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `host` must be normalized by [`normalize_host`].
    pub(super) fn matches(&self, host: &str) -> bool {
        let mut labels = host.split('.');
        let all_match = self.labels.iter().all(|pattern| labels.next().is_some_and(|label| pattern.matches(label)));
        all_match && labels.next().is_none()
    }
}

fn is_ipv6_literal(text: &str) -> bool {
    let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    address.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'*' | b'?')
}

/// Normalizes the host of a request for matching: in lower case, without a trailing dot.
pub(super) fn normalize_host(host: &str) -> Cow<'_, str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(host.to_ascii_lowercase()),
        false => Cow::Borrowed(host),
    }
}

impl Method {
    pub fn parse(text: &str) -> Result<Self, MethodError> {
        let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if text.is_empty() || !text.bytes().all(is_token_byte) {
            return Err(MethodError::InvalidName);
        }
        match text.bytes().any(|byte| byte.is_ascii_lowercase()) {
            true => Err(MethodError::LowerCase),
            false => Ok(Self(text.into())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Ignores the letter case of the request's method, since some servers treat `post` as `POST`.
    pub(super) fn matches(&self, method: &str) -> bool {
        self.0.eq_ignore_ascii_case(method) || (&*self.0 == "GET" && method.eq_ignore_ascii_case("HEAD"))
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
