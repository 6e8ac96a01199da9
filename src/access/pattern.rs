//! What a rule selects by: patterns for paths and hosts, and methods.

use std::borrow::Cow;
use std::fmt;

use crate::glob::Glob;

/// A pattern for paths: `*` stands for any characters within a segment, `?` for one, and a segment
/// `**` for any number of segments, none included. A slash at the end makes no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(Box<str>);

/// A pattern for hosts: `*` stands for any characters within a label, `?` for one; in any case of letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    text: Box<str>,
    labels: Box<[Glob]>,
}

/// A method, in upper case. `GET` is `HEAD` too, which asks for the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method(Box<str>);

/// Completes the sentence "the pattern …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathPatternError {
    #[error("is empty; write /** for every path")]
    Empty,
    #[error("is longer than {LONGEST} bytes")]
    TooLong,
    #[error("doesn't begin with a slash; it is about the path alone, hosts have a field of their own")]
    NoSlash,
    #[error("has an empty segment; write one slash, two are read as one too")]
    EmptySegment,
    #[error("has a segment . or .., which paths are freed of; write the path that is meant")]
    DotSegment,
    #[error("has ** beside other characters; ** is a whole segment, and * stands for characters within one")]
    PartOfSegment,
    #[error("has a percent sign; write the character itself, since paths are compared decoded too")]
    Percent,
    #[error("has a backslash; write a slash, which a backslash is read as too")]
    Backslash,
    #[error("has braces or square brackets; give the paths one by one")]
    Alternatives,
    #[error("has a number sign, which no path has")]
    Fragment,
    #[error("has a control character")]
    Control,
}

/// Completes the sentence "the pattern …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    #[error("is empty; leave hosts out for any host")]
    Empty,
    #[error("is for every host; leave hosts out instead")]
    Everything,
    #[error("is longer than {LONGEST} bytes")]
    TooLong,
    #[error("has more than a host; leave out scheme, port and path")]
    MoreThanHost,
    #[error("has an empty label between its dots")]
    EmptyLabel,
    #[error("has **; * stands for the characters of one label, so write *.*.example.com for two")]
    Doubled,
    #[error("has a character that no host has; an international name is written in its xn-- form")]
    Character,
}

/// Completes the sentence "the method …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MethodError {
    #[error("is not a method's name")]
    NoToken,
    #[error("has lower-case letters; methods are written in upper case")]
    LowerCase,
}

const LONGEST: usize = 512;
const DEEP: &str = "**";

impl PathPattern {
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        require_path_characters(text)?;
        let path = text.strip_prefix('/').ok_or(PathPatternError::NoSlash)?;
        if text.contains("//") {
            return Err(PathPatternError::EmptySegment);
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        for segment in path.split('/') {
            match segment {
                "." | ".." => return Err(PathPatternError::DotSegment),
                DEEP => {}
                _ if segment.contains(DEEP) => return Err(PathPatternError::PartOfSegment),
                _ => {}
            }
        }
        Ok(Self(format!("/{path}").into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `/**`, which a rule without paths means.
    pub(super) fn everything() -> Self {
        Self(format!("/{DEEP}").into())
    }

    /// What the pattern is made of; none for `/`. Two `**` in a row say the same as one.
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        let mut after_deep = false;
        self.0.split('/').filter(|segment| !segment.is_empty()).map(Segment::of).filter(move |segment| {
            let again = after_deep && *segment == Segment::Deep;
            after_deep = *segment == Segment::Deep;
            !again
        })
    }

    pub(super) fn has_upper_case(&self) -> bool {
        self.0.bytes().any(|byte| byte.is_ascii_uppercase())
    }

    pub(super) fn in_lower_case(&self) -> Self {
        Self(self.0.to_ascii_lowercase().into())
    }
}

/// A part of a path pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Segment<'a> {
    Literal(&'a str),
    /// With `*` or `?`.
    Wild(&'a str),
    /// `**`
    Deep,
}

impl<'a> Segment<'a> {
    fn of(text: &'a str) -> Self {
        match text {
            DEEP => Self::Deep,
            _ if text.contains(['*', '?']) => Self::Wild(text),
            _ => Self::Literal(text),
        }
    }
}

fn require_path_characters(text: &str) -> Result<(), PathPatternError> {
    use PathPatternError::*;
    if text.is_empty() {
        return Err(Empty);
    }
    if text.len() > LONGEST {
        return Err(TooLong);
    }
    let wrong = text.chars().find_map(|character| match character {
        '%' => Some(Percent),
        '\\' => Some(Backslash),
        '{' | '}' | '[' | ']' => Some(Alternatives),
        '#' => Some(Fragment),
        _ if character.is_control() => Some(Control),
        _ => None,
    });
    wrong.map_or(Ok(()), Err)
}

impl HostPattern {
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        if text.is_empty() {
            return Err(HostPatternError::Empty);
        }
        if text.len() > LONGEST {
            return Err(HostPatternError::TooLong);
        }
        if is_ipv6_literal(text) {
            return Ok(Self::new(text));
        }
        let host = text.strip_suffix('.').unwrap_or(text);
        match host {
            "*" | DEEP => Err(HostPatternError::Everything),
            _ if host.contains(DEEP) => Err(HostPatternError::Doubled),
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

    /// `host` is one that [`plain_host`] gave.
    pub(super) fn selects(&self, host: &str) -> bool {
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

/// A request's host as patterns are compared with it: in lower case, without the root's dot.
pub(super) fn plain_host(host: &str) -> Cow<'_, str> {
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
            return Err(MethodError::NoToken);
        }
        match text.bytes().any(|byte| byte.is_ascii_lowercase()) {
            true => Err(MethodError::LowerCase),
            false => Ok(Self(text.into())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Some servers raise `post` to `POST`, so the case of the request's method makes no difference.
    pub(super) fn selects(&self, method: &str) -> bool {
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
