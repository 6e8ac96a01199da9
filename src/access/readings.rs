//! Every way in which an upstream may read a path: what it may do to one, done in every order.
//!
//! A step only ever takes something away from a path, so there are finitely many readings, and few of
//! any path that is no attack.

use std::fmt;

use smallvec::SmallVec;

/// The readings of one path.
pub(super) enum Readings<'a> {
    /// Nobody reads it otherwise. Nearly every path is such.
    Plain(&'a str),
    /// The path as it was sent, and what it may be taken for.
    Several(Vec<Reading>),
}

#[derive(Debug)]
pub(super) struct Reading {
    pub(super) text: String,
    pub(super) how: How,
}

/// What was done to the path for a reading of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct How(SmallVec<[Step; 4]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Decoded,
    /// Frameworks that decode segment by segment never see an encoded slash as a slash.
    DecodedButSlashes,
    DotsResolved,
    /// Browsers' and Node's parsers resolve `%2e` without decoding anything else.
    EncodedDotsResolved,
    SlashesMerged,
    ParametersCut,
    BackslashesTurned,
    CutAtQuestionMark,
    CutAtNumberSign,
    /// Some take all that follows the first semicolon for parameters, the further segments too.
    CutAtSemicolon,
    /// To a parser of whole URLs, what follows two slashes is a host.
    HostCut,
    LastSlashCut,
    /// To a parser of whole URLs, blanks at the end are not a part of it.
    BlanksCut,
    /// Not a reading of its own: it is compared with patterns in lower case.
    InLowerCase,
}

/// Why a path can't be read in a way that everybody agrees on. Completes the sentence "the path …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("doesn't begin with a slash")]
    NoSlash,
    #[error("has a percent sign without two hexadecimal digits")]
    BrokenEncoding,
    #[error("is no UTF-8 once it is decoded")]
    NotUtf8,
    #[error("has a control character, as it stands or once it is decoded")]
    ControlCharacter,
    #[error("leads out of the root by ..")]
    AboveRoot,
    #[error("is percent-encoded more than {MOST_LEVELS} times over")]
    TooDeep,
    #[error("can be read in too many ways")]
    TooMany,
}

const MOST_LEVELS: usize = 4;

/// Far beyond what an honest path needs: a segment with an encoded slash has two readings, a slash at
/// the end doubles them.
const MOST_READINGS: usize = 64;

/// Of all readings together: who isn't signed in may ask too, so a long path must not cost much.
const MOST_BYTES: usize = 64 * 1024;

impl<'a> Readings<'a> {
    pub(super) fn of(path: &'a str) -> Result<Self, Unreadable> {
        if is_plain(path) {
            return Ok(Self::Plain(path));
        }
        require_readable(path)?;
        let most = MOST_READINGS.min(MOST_BYTES / path.len());
        let mut readings = vec![Reading { text: path.to_owned(), how: How::default() }];
        let mut next = 0;
        while let Some(reading) = readings.get(next) {
            for found in reading.further()? {
                if readings.iter().any(|known| known.text == found.text) {
                    continue;
                }
                if readings.len() >= most {
                    return Err(Unreadable::TooMany);
                }
                readings.push(found);
            }
            next += 1;
        }
        Ok(Self::Several(readings))
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let (plain, several) = match self {
            Self::Plain(path) => (Some(*path), [].as_slice()),
            Self::Several(readings) => (None, readings.as_slice()),
        };
        plain.into_iter().chain(several.iter().map(|reading| reading.text.as_str()))
    }

    pub(super) fn explained(self) -> Vec<Reading> {
        match self {
            Self::Plain(path) => vec![Reading { text: path.to_owned(), how: How::default() }],
            Self::Several(readings) => readings,
        }
    }
}

impl Reading {
    /// What one more step makes of it.
    fn further(&self) -> Result<SmallVec<[Self; 4]>, Unreadable> {
        let mut found = SmallVec::new();
        for step in STEPS {
            if let Some(text) = step.apply(&self.text)? {
                found.push(Self { text, how: self.how.and(step) });
            }
        }
        Ok(found)
    }
}

const STEPS: [Step; 13] = [
    Step::Decoded,
    Step::DotsResolved,
    Step::SlashesMerged,
    Step::DecodedButSlashes,
    Step::EncodedDotsResolved,
    Step::ParametersCut,
    Step::BackslashesTurned,
    Step::CutAtQuestionMark,
    Step::CutAtNumberSign,
    Step::CutAtSemicolon,
    Step::HostCut,
    Step::LastSlashCut,
    Step::BlanksCut,
];

impl Step {
    /// `None` where the step changes nothing.
    fn apply(self, path: &str) -> Result<Option<String>, Unreadable> {
        Ok(match self {
            Self::Decoded => decoded(path, EncodedSlash::Decoded)?,
            Self::DecodedButSlashes => decoded(path, EncodedSlash::Kept)?,
            Self::DotsResolved => resolved(path, Dots::plain)?,
            Self::EncodedDotsResolved => resolved(path, Dots::encoded)?,
            Self::SlashesMerged => path.contains("//").then(|| merged(path)),
            Self::ParametersCut => path.contains(';').then(|| without_parameters(path)),
            Self::BackslashesTurned => path.contains('\\').then(|| path.replace('\\', "/")),
            Self::CutAtQuestionMark => path.split_once('?').map(|(path, _)| path.to_owned()),
            Self::CutAtNumberSign => path.split_once('#').map(|(path, _)| path.to_owned()),
            Self::CutAtSemicolon => path.split_once(';').map(|(path, _)| path.to_owned()),
            Self::HostCut => path.starts_with("//").then(|| without_host(path)),
            Self::LastSlashCut => path.strip_suffix('/').filter(|path| !path.is_empty()).map(str::to_owned),
            Self::BlanksCut => path.ends_with(' ').then(|| path.trim_end_matches(' ').to_owned()),
            Self::InLowerCase => None,
        })
    }
}

impl How {
    pub(super) fn and(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for How {
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
            Self::Decoded => "decoded",
            Self::DecodedButSlashes => "decoded but for %2F",
            Self::DotsResolved => "dot segments resolved",
            Self::EncodedDotsResolved => "dot segments resolved, %2E as a dot",
            Self::SlashesMerged => "doubled slashes merged",
            Self::ParametersCut => ";parameters cut off",
            Self::BackslashesTurned => "backslashes as slashes",
            Self::CutAtQuestionMark => "cut at the question mark",
            Self::CutAtNumberSign => "cut at the number sign",
            Self::CutAtSemicolon => "cut at the semicolon",
            Self::HostCut => "without what follows two slashes, as a host",
            Self::LastSlashCut => "without the slash at the end",
            Self::BlanksCut => "without the blanks at the end",
            Self::InLowerCase => "in lower case",
        })
    }
}

/// Whether no step changes the path and nothing in it is unreadable, told by a look at each byte.
fn is_plain(path: &str) -> bool {
    let is_plain_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,=:@".contains(&byte);
    let Some(segments) = path.strip_prefix('/') else { return false };
    path.bytes().all(is_plain_byte)
        && (segments.is_empty() || segments.split('/').all(|segment| !matches!(segment, "" | "." | "..")))
}

/// What would be wrong with the path in any reading of it.
fn require_readable(path: &str) -> Result<(), Unreadable> {
    if !path.starts_with('/') {
        return Err(Unreadable::NoSlash);
    }
    if path.contains(char::is_control) {
        return Err(Unreadable::ControlCharacter);
    }
    if path.split('%').skip(1).any(|after| encoded_byte(after.as_bytes()).is_none()) {
        return Err(Unreadable::BrokenEncoding);
    }
    let mut level = decoded(path, EncodedSlash::Decoded)?;
    for _ in 0..MOST_LEVELS {
        let Some(text) = level else { return Ok(()) };
        level = decoded(&text, EncodedSlash::Decoded)?;
    }
    level.map_or(Ok(()), |_| Err(Unreadable::TooDeep))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum EncodedSlash {
    Decoded,
    Kept,
}

/// Decodes once. A percent sign that came out of `%25` and stands for itself stays what it is.
fn decoded(path: &str, slash: EncodedSlash) -> Result<Option<String>, Unreadable> {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    let mut changed = false;
    while let Some((first, after)) = rest.split_first() {
        let encoded = encoded_byte(after).filter(|byte| *first == b'%' && (*byte != b'/' || slash == EncodedSlash::Decoded));
        changed |= encoded.is_some();
        bytes.push(encoded.unwrap_or(*first));
        rest = if encoded.is_some() { &after[2..] } else { after };
    }
    if !changed {
        return Ok(None);
    }
    let text = String::from_utf8(bytes).map_err(|_| Unreadable::NotUtf8)?;
    match text.contains(char::is_control) {
        true => Err(Unreadable::ControlCharacter),
        false => Ok(Some(text)),
    }
}

fn encoded_byte(after_percent: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let [high, low, ..] = after_percent else { return None };
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dots {
    Here,
    Up,
}

impl Dots {
    fn plain(segment: &str) -> Option<Self> {
        match segment {
            "." => Some(Self::Here),
            ".." => Some(Self::Up),
            _ => None,
        }
    }

    fn encoded(segment: &str) -> Option<Self> {
        // Nothing longer than `%2e%2e` is one.
        match segment.len() <= 6 && segment.contains('%') {
            true => Self::plain(&segment.replace("%2e", ".").replace("%2E", ".")),
            false => Self::plain(segment),
        }
    }
}

/// RFC 3986, section 5.2.4, but for what it does above the root. An empty segment is one that `..` takes away.
fn resolved(path: &str, dots: fn(&str) -> Option<Dots>) -> Result<Option<String>, Unreadable> {
    let segments = || path[1..].split('/');
    if segments().all(|segment| dots(segment).is_none()) {
        return Ok(None);
    }
    let mut kept = Vec::new();
    let mut last = None;
    for segment in segments() {
        last = dots(segment);
        match last {
            None => kept.push(segment),
            Some(Dots::Here) => {}
            Some(Dots::Up) => drop(kept.pop().ok_or(Unreadable::AboveRoot)?),
        }
    }
    if last.is_some() {
        kept.push("");
    }
    Ok(Some(format!("/{}", kept.join("/"))))
}

fn merged(path: &str) -> String {
    let mut merged = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    merged
}

/// Browsers' and Node's parsers take any number of slashes for two.
fn without_host(path: &str) -> String {
    let after_host = path.trim_start_matches('/').split_once('/');
    format!("/{}", after_host.map_or("", |(_, rest)| rest))
}

fn without_parameters(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect();
    segments.join("/")
}

#[cfg(test)]
mod tests;
