//! Computes the interpretations of a path: the results of the transformations that servers apply to it, in every order.
//!
//! Every step shortens a path or replaces a character permanently. A path therefore has finitely many interpretations, and few
//! unless it is an attack.

use std::fmt;

use smallvec::SmallVec;

/// The interpretations of one path.
#[derive(Debug)]
pub enum PathInterpretations<'a> {
    /// No step changes the path. Nearly every path is such.
    Plain(&'a str),
    /// The path as sent, followed by its other interpretations.
    Several(Vec<PathInterpretation>),
}

#[derive(Debug)]
pub struct PathInterpretation {
    pub(super) path: String,
    pub(super) derivation: Derivation,
}

/// The steps that turn the path as sent into an interpretation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derivation(SmallVec<[Step; 4]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Decode,
    /// Frameworks that decode segment by segment do not treat an encoded slash as a separator.
    DecodeExceptSlashes,
    ResolveDots,
    /// The URL parsers of browsers and Node.js resolve `%2e` without decoding anything else.
    ResolveEncodedDots,
    MergeSlashes,
    RemoveParameters,
    ReplaceBackslashes,
    TruncateAtQuestionMark,
    TruncateAtNumberSign,
    /// Some servers treat everything after the first semicolon as parameters, including later segments.
    TruncateAtSemicolon,
    /// A URL parser treats the text after two leading slashes as a host.
    RemoveHost,
    RemoveTrailingSlash,
    /// A URL parser ignores trailing spaces.
    RemoveTrailingSpaces,
    /// Not in [`STEPS`]: it only applies to the comparison with lower-case patterns.
    Lowercase,
}

/// A path that has no valid interpretation. Completes the sentence "the path …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("does not begin with a slash")]
    NoSlash,
    #[error("has a percent sign without two hexadecimal digits")]
    InvalidEncoding,
    #[error("is not valid UTF-8 after decoding")]
    NotUtf8,
    #[error("has a control character before or after decoding")]
    ControlCharacter,
    #[error("leaves the root with ..")]
    AboveRoot,
    #[error("is percent-encoded more than {MAX_LEVELS} times")]
    TooManyLevels,
    #[error("has too many interpretations")]
    TooManyInterpretations,
    #[error("is longer than {MAX_BYTES} bytes")]
    TooLong,
}

const MAX_LEVELS: usize = 4;

/// Far more than a legitimate path has: a segment with an encoded slash has two interpretations, and a trailing slash
/// doubles their number.
const MAX_INTERPRETATIONS: usize = 64;

/// The size of all interpretations together. Anyone can send a path, so a long one must stay cheap.
const MAX_BYTES: usize = 64 * 1024;

impl<'a> PathInterpretations<'a> {
    pub fn of(path: &'a str) -> Result<Self, PathError> {
        if path.len() > MAX_BYTES {
            return Err(PathError::TooLong);
        }
        if is_plain(path) {
            return Ok(Self::Plain(path));
        }
        validate(path)?;
        let limit = MAX_INTERPRETATIONS.min(MAX_BYTES / path.len());
        let mut interpretations = vec![PathInterpretation { path: path.to_owned(), derivation: Derivation::default() }];
        let mut next = 0;
        while next < interpretations.len() {
            for step in STEPS {
                let Some(path) = step.apply(&interpretations[next].path)? else { continue };
                if interpretations.iter().any(|known| known.path == path) {
                    continue;
                }
                if interpretations.len() >= limit {
                    return Err(PathError::TooManyInterpretations);
                }
                interpretations.push(PathInterpretation { path, derivation: interpretations[next].derivation.and(step) });
            }
            next += 1;
        }
        Ok(Self::Several(interpretations))
    }

    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let (plain, several) = match self {
            Self::Plain(path) => (Some(*path), [].as_slice()),
            Self::Several(interpretations) => (None, interpretations.as_slice()),
        };
        plain.into_iter().chain(several.iter().map(|interpretation| interpretation.path.as_str()))
    }

    pub(super) fn into_vec(self) -> Vec<PathInterpretation> {
        match self {
            Self::Plain(path) => vec![PathInterpretation { path: path.to_owned(), derivation: Derivation::default() }],
            Self::Several(interpretations) => interpretations,
        }
    }
}

const STEPS: [Step; 13] = [
    Step::Decode,
    Step::ResolveDots,
    Step::MergeSlashes,
    Step::DecodeExceptSlashes,
    Step::ResolveEncodedDots,
    Step::RemoveParameters,
    Step::ReplaceBackslashes,
    Step::TruncateAtQuestionMark,
    Step::TruncateAtNumberSign,
    Step::TruncateAtSemicolon,
    Step::RemoveHost,
    Step::RemoveTrailingSlash,
    Step::RemoveTrailingSpaces,
];

impl Step {
    /// `None` if the step changes nothing.
    fn apply(self, path: &str) -> Result<Option<String>, PathError> {
        Ok(match self {
            Self::Decode => decode(path, EncodedSlash::Decode)?,
            Self::DecodeExceptSlashes => decode(path, EncodedSlash::Keep)?,
            Self::ResolveDots => resolve_dots(path, DotSegment::parse)?,
            Self::ResolveEncodedDots => resolve_dots(path, DotSegment::parse_encoded)?,
            Self::MergeSlashes => path.contains("//").then(|| merge_slashes(path)),
            Self::RemoveParameters => path.contains(';').then(|| remove_parameters(path)),
            Self::ReplaceBackslashes => path.contains('\\').then(|| path.replace('\\', "/")),
            Self::TruncateAtQuestionMark => path.split_once('?').map(|(path, _)| path.to_owned()),
            Self::TruncateAtNumberSign => path.split_once('#').map(|(path, _)| path.to_owned()),
            Self::TruncateAtSemicolon => path.split_once(';').map(|(path, _)| path.to_owned()),
            Self::RemoveHost => path.starts_with("//").then(|| remove_host(path)),
            Self::RemoveTrailingSlash => path.strip_suffix('/').filter(|path| !path.is_empty()).map(str::to_owned),
            Self::RemoveTrailingSpaces => path.ends_with(' ').then(|| path.trim_end_matches(' ').to_owned()),
            Self::Lowercase => None,
        })
    }
}

impl Derivation {
    pub(super) fn and(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Derivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("as sent");
        }
        for (index, step) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", then " })?;
            write!(f, "{step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decode => "decoded",
            Self::DecodeExceptSlashes => "decoded except %2F",
            Self::ResolveDots => "dot segments resolved",
            Self::ResolveEncodedDots => "dot segments resolved, including %2E",
            Self::MergeSlashes => "repeated slashes merged",
            Self::RemoveParameters => ";parameters removed",
            Self::ReplaceBackslashes => "backslashes replaced by slashes",
            Self::TruncateAtQuestionMark => "truncated at the question mark",
            Self::TruncateAtNumberSign => "truncated at the number sign",
            Self::TruncateAtSemicolon => "truncated at the semicolon",
            Self::RemoveHost => "host after two slashes removed",
            Self::RemoveTrailingSlash => "trailing slash removed",
            Self::RemoveTrailingSpaces => "trailing spaces removed",
            Self::Lowercase => "in lower case",
        })
    }
}

/// True if the path is valid and no step changes it. Only looks at each byte, since this runs for every request.
fn is_plain(path: &str) -> bool {
    let is_plain_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,=:@".contains(&byte);
    let Some(segments) = path.strip_prefix('/') else { return false };
    path.bytes().all(is_plain_byte)
        && (segments.is_empty() || segments.split('/').all(|segment| !matches!(segment, "" | "." | "..")))
}

/// Verifies what must hold for every interpretation of the path.
fn validate(path: &str) -> Result<(), PathError> {
    if !path.starts_with('/') {
        return Err(PathError::NoSlash);
    }
    if path.contains(char::is_control) {
        return Err(PathError::ControlCharacter);
    }
    if path.split('%').skip(1).any(|after| encoded_byte(after.as_bytes()).is_none()) {
        return Err(PathError::InvalidEncoding);
    }
    let mut level = decode(path, EncodedSlash::Decode)?;
    for _ in 0..MAX_LEVELS {
        let Some(text) = level else { return Ok(()) };
        level = decode(&text, EncodedSlash::Decode)?;
    }
    level.map_or(Ok(()), |_| Err(PathError::TooManyLevels))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum EncodedSlash {
    Decode,
    Keep,
}

/// Decodes once. `None` if nothing is encoded. A percent sign that `%25` decoded to and that encodes nothing is kept.
fn decode(path: &str, slash: EncodedSlash) -> Result<Option<String>, PathError> {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    let mut changed = false;
    while let Some((first, after)) = rest.split_first() {
        let encoded = encoded_byte(after).filter(|byte| *first == b'%' && (*byte != b'/' || slash == EncodedSlash::Decode));
        changed |= encoded.is_some();
        bytes.push(encoded.unwrap_or(*first));
        rest = if encoded.is_some() { &after[2..] } else { after };
    }
    if !changed {
        return Ok(None);
    }
    let text = String::from_utf8(bytes).map_err(|_| PathError::NotUtf8)?;
    match text.contains(char::is_control) {
        true => Err(PathError::ControlCharacter),
        false => Ok(Some(text)),
    }
}

fn encoded_byte(after_percent: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let [high, low, ..] = after_percent else { return None };
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DotSegment {
    Current,
    Parent,
}

impl DotSegment {
    fn parse(segment: &str) -> Option<Self> {
        match segment {
            "." => Some(Self::Current),
            ".." => Some(Self::Parent),
            _ => None,
        }
    }

    fn parse_encoded(segment: &str) -> Option<Self> {
        // `%2e%2e` is the longest.
        match segment.len() <= 6 && segment.contains('%') {
            true => Self::parse(&segment.replace("%2e", ".").replace("%2E", ".")),
            false => Self::parse(segment),
        }
    }
}

/// Resolves dot segments by RFC 3986, section 5.2.4, except that a path above the root is an error. `None` if there are
/// no dot segments. `..` removes an empty segment like any other.
fn resolve_dots(path: &str, parse_dots: fn(&str) -> Option<DotSegment>) -> Result<Option<String>, PathError> {
    let segments = || path[1..].split('/');
    if segments().all(|segment| parse_dots(segment).is_none()) {
        return Ok(None);
    }
    let mut kept = Vec::new();
    let mut last = None;
    for segment in segments() {
        last = parse_dots(segment);
        match last {
            None => kept.push(segment),
            Some(DotSegment::Current) => {}
            Some(DotSegment::Parent) => drop(kept.pop().ok_or(PathError::AboveRoot)?),
        }
    }
    if last.is_some() {
        kept.push("");
    }
    Ok(Some(format!("/{}", kept.join("/"))))
}

fn merge_slashes(path: &str) -> String {
    let mut merged = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    merged
}

/// The URL parsers of browsers and Node.js treat any larger number of slashes as two.
fn remove_host(path: &str) -> String {
    let after_host = path.trim_start_matches('/').split_once('/');
    format!("/{}", after_host.map_or("", |(_, rest)| rest))
}

fn remove_parameters(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect();
    segments.join("/")
}

#[cfg(test)]
mod tests;
