//! Captures a team's name from a value such as a distinguished name: `CN={team},OU=Groups,*`.
//!
//! The pattern is a glob with one `{team}`. The text before it matches at its first occurrence in the value. The name ends at the
//! first occurrence of the literal text that follows `{team}`; this literal text extends to the next wildcard. The rest must
//! match the rest of the value. Later occurrences are not tried, so the time is linear in the value.
//!
//! An escaped character of a distinguished name (RFC 4514), such as `\,`, is another character than the plain one. Otherwise
//! the owner of the group `x,OU=admins` could write the end of a pattern into its name.

use super::condition::Case;
use crate::glob::{Glob, GlobError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Capture {
    before: Glob,
    /// The literal text at which the name ends; empty for the end of the value.
    end: Box<str>,
    /// `None` if nothing follows the end.
    after: Option<Glob>,
    case: Case,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CaptureError {
    #[error("has no {{team}}; write it where the team's name is")]
    NoTeam,
    #[error("has a brace that is not part of its only {{team}}; write a brace itself as \\{{ or \\}}")]
    Brace,
    #[error("has a wildcard after {{team}}; write the text at which the name ends, or nothing")]
    NoEnd,
    #[error("has a backslash that is not followed by one of *?{{}}\\,+\"<>;=# or a blank; a backslash itself is written twice")]
    Escape,
    #[error("is longer than {MAX_BYTES} bytes")]
    TooLong,
}

const TEAM: &str = "{team}";
const MAX_BYTES: usize = 512;

/// The characters that a distinguished name escapes with a backslash.
const SPECIAL: [char; 10] = [',', '+', '"', '<', '>', ';', '=', '#', ' ', '\\'];

/// Escaped characters are moved to this private-use plane. A value that has a character of it is not matched.
const ESCAPED: u32 = 0x10_0000;

impl Capture {
    pub fn parse(pattern: &str, case: Case) -> Result<Self, CaptureError> {
        if pattern.len() > MAX_BYTES {
            return Err(CaptureError::TooLong);
        }
        let [before, after] = split_at_team(pattern)?;
        let glob = |text: &str| Glob::parse(&fold(text, case)).map_err(CaptureError::from);
        // The star lets the text before the name match at its first place.
        let before = glob(&format!("{before}*"))?;
        if after.is_empty() {
            return Ok(Self { before, end: Box::default(), after: None, case });
        }
        let (end, after) = glob(&after)?.split_literal();
        if end.is_empty() {
            return Err(CaptureError::NoEnd);
        }
        Ok(Self { before, end: end.into(), after, case })
    }

    /// Returns the name in a value, without escapes; `None` if the value does not match or the name is empty.
    pub fn name(&self, value: &str) -> Option<String> {
        let value = encode_escapes(value)?;
        let folded = fold(&value, self.case);
        let rest = self.before.rest_of(&folded)?;
        let name = if self.end.is_empty() { rest } else { &rest[..rest.find(&*self.end)?] };
        let after = &rest[name.len() + self.end.len()..];
        let matches = self.after.as_ref().map_or(after.is_empty(), |glob| glob.matches(after));
        if !matches || name.is_empty() {
            return None;
        }
        // Folding changes no number of characters.
        let (skipped, length) = (folded[..folded.len() - rest.len()].chars().count(), name.chars().count());
        Some(value.chars().skip(skipped).take(length).map(decode_escape).collect())
    }
}

impl From<GlobError> for CaptureError {
    fn from(error: GlobError) -> Self {
        match error {
            GlobError::TooLong => Self::TooLong,
            GlobError::Empty | GlobError::Escape => {
                unreachable!("the parts have only escapes that a glob has, and none is empty")
            }
        }
    }
}

/// Returns the globs before and after `{team}`, with escaped characters moved.
fn split_at_team(pattern: &str) -> Result<[String; 2], CaptureError> {
    let mut parts = vec![String::new()];
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix(TEAM) {
            parts.push(String::new());
            rest = after;
            continue;
        }
        rest = &rest[character.len_utf8()..];
        let part = parts.last_mut().expect("there is a first part");
        match character {
            '{' | '}' => return Err(CaptureError::Brace),
            '\\' => {
                let escaped = rest.chars().next().ok_or(CaptureError::Escape)?;
                rest = &rest[escaped.len_utf8()..];
                push_escaped(part, escaped)?;
            }
            other => part.push(other),
        }
    }
    match <[String; 2]>::try_from(parts) {
        Ok(parts) => Ok(parts),
        Err(parts) => Err(if parts.len() < 2 { CaptureError::NoTeam } else { CaptureError::Brace }),
    }
}

fn push_escaped(glob: &mut String, escaped: char) -> Result<(), CaptureError> {
    match escaped {
        '*' | '?' => glob.extend(['\\', escaped]),
        '{' | '}' => glob.push(escaped),
        special if SPECIAL.contains(&special) => glob.push(encode_escape(special)),
        _ => return Err(CaptureError::Escape),
    }
    Ok(())
}

/// Moves escaped characters. A backslash that escapes nothing counts as an escaped backslash.
fn encode_escapes(value: &str) -> Option<String> {
    if value.chars().any(|character| u32::from(character) >= ESCAPED) {
        return None;
    }
    let has_hexadecimal = is_distinguished_name(value);
    let mut encoded = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((plain, after)) = rest.split_once('\\') {
        encoded.push_str(plain);
        let hexadecimal = if has_hexadecimal { decode_hexadecimal(after) } else { None };
        if let Some((decoded, after)) = hexadecimal {
            encoded.extend(decoded.chars().map(|c| if SPECIAL.contains(&c) { encode_escape(c) } else { c }));
            rest = after;
            continue;
        }
        let special = after.chars().next().filter(|next| SPECIAL.contains(next));
        encoded.push(encode_escape(special.unwrap_or('\\')));
        rest = &after[special.map_or(0, char::len_utf8)..];
    }
    encoded.push_str(rest);
    Some(encoded)
}

/// True if a value begins with an attribute: `CN=`. In other values, such as `CORP\adfs`, digits after a backslash are no
/// escape.
pub(super) fn is_distinguished_name(value: &str) -> bool {
    let attribute = value.split_once('=').map_or("", |(attribute, _)| attribute.trim());
    !attribute.is_empty() && attribute.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

/// Decodes the escaped bytes after a backslash, `C3\BC`, and returns the text after them; `None` if they are not UTF-8.
fn decode_hexadecimal(text: &str) -> Option<(String, &str)> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(byte) = rest.get(..2).filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit())) {
        bytes.push(u8::from_str_radix(byte, 16).ok()?);
        rest = &rest[2..];
        match rest.strip_prefix('\\') {
            Some(after) if after.get(..2).is_some_and(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit())) => rest = after,
            _ => break,
        }
    }
    let decoded = String::from_utf8(bytes).ok().filter(|decoded| !decoded.is_empty())?;
    let is_plain = decoded.chars().all(|character| u32::from(character) < ESCAPED);
    is_plain.then_some((decoded, rest))
}

fn encode_escape(character: char) -> char {
    char::from_u32(ESCAPED + u32::from(character)).expect("special characters are ASCII")
}

fn decode_escape(character: char) -> char {
    u32::from(character).checked_sub(ESCAPED).and_then(char::from_u32).unwrap_or(character)
}

/// Folds each letter to one letter, so that places in the folded text are those of the value.
fn fold(text: &str, case: Case) -> String {
    let fold = |character: char| {
        let mut lower = character.to_lowercase();
        match (lower.next(), lower.next()) {
            (Some(lower), None) => lower,
            _ => character,
        }
    };
    match case {
        Case::Ignored => text.chars().map(fold).collect(),
        Case::Sensitive => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn name(pattern: &str, value: &str) -> Option<String> {
        Capture::parse(pattern, Case::Sensitive).unwrap().name(value)
    }

    const GROUPS: &str = "CN={team},OU=Groups,*";

    #[rstest]
    #[case::documented(GROUPS, "CN=red,OU=Groups,DC=example,DC=com", Some("red"))]
    #[case::blanks(GROUPS, "CN=data science,OU=Groups,DC=x", Some("data science"))]
    #[case::escaped_comma(GROUPS, r"CN=Doe\, Jane,OU=Groups,DC=x", Some("Doe, Jane"))]
    #[case::hexadecimal_comma(GROUPS, r"CN=Doe\2C Jane,OU=Groups,DC=x", Some("Doe, Jane"))]
    #[case::hexadecimal_utf8(GROUPS, r"CN=M\C3\BCnchen,OU=Groups,DC=x", Some("M\u{fc}nchen"))]
    #[case::escaped_backslash(GROUPS, r"CN=a\\,OU=Groups,DC=x", Some("a\\"))]
    #[case::escaped_specials(GROUPS, r#"CN=\#1 \+\"\<\>\;\=,OU=Groups,DC=x"#, Some("#1 +\"<>;="))]
    #[case::no_rest(GROUPS, "CN=red,OU=Groups", None)]
    #[case::empty(GROUPS, "CN=,OU=Groups,DC=x", None)]
    #[case::other_unit(GROUPS, "CN=red,OU=People,DC=x", None)]
    #[case::other_case(GROUPS, "cn=red,ou=Groups,DC=x", None)]
    #[case::whole_rest("CN={team}", "CN=red,OU=x", Some("red,OU=x"))]
    #[case::first_end("{team}-*", "a-b-c", Some("a"))]
    #[case::end_of_value("llm-{team}-admins", "llm-data-science-admins", Some("data-science"))]
    #[case::first_end_only("{team}-a", "x-a-a", None)]
    #[case::star_before("*,OU={team},OU=Groups,*", "CN=x,OU=red,OU=Groups,DC=x", Some("red"))]
    #[case::first_place_before("*/{team}", "a/b/c", Some("b/c"))]
    #[case::question_mark("team?-{team}", "team1-red", Some("red"))]
    #[case::star_alone("*{team}", "red", Some("red"))]
    #[case::escaped_in_pattern(r"CN=Doe\, {team},OU=*", r"CN=Doe\, Jane,OU=x", Some("Jane"))]
    #[case::plain_is_not_escaped(r"CN=Doe\, {team},OU=*", "CN=Doe, Jane,OU=x", None)]
    #[case::domain(r"CORP\\{team}", r"CORP\red", Some("red"))]
    #[case::domain_with_digits(r"CORP\\{team}", r"CORP\adfs", Some("adfs"))]
    #[case::escaped_wildcards(r"\*{team}\?", "*red?", Some("red"))]
    #[case::braces(r"\{{team}\}", "{red}", Some("red"))]
    #[case::beyond_ascii("\u{fc}{team}\u{e9}*", "\u{fc}\u{f6}\u{e9}", Some("\u{f6}"))]
    #[case::private_use("{team}", "a\u{10002c}b", None)]
    fn the_name_is_captured(#[case] pattern: &str, #[case] value: &str, #[case] expected: Option<&str>) {
        assert_eq!(name(pattern, value).as_deref(), expected);
    }

    /// The owner of a group chooses its name, and the directory escapes it.
    #[rstest]
    #[case(GROUPS, r"CN=admins\,OU=Groups\,DC=x,OU=Self-service,DC=x", None)]
    #[case(GROUPS, r"CN=admins\2COU=Groups\2CDC=x,OU=Self-service,DC=x", None)]
    #[case(GROUPS, r"CN=admins\,OU=Groups\,,OU=Groups,DC=x", Some("admins,OU=Groups,"))]
    #[case("*,OU={team},OU=Groups,*", r"CN=x\,OU=admins\,OU=Groups\,,OU=red,OU=Groups,DC=x", Some("red"))]
    #[case("*,OU={team},OU=Groups,*", r"CN=x\\,OU=red,OU=Groups,DC=x", Some("red"))]
    fn an_escaped_name_does_not_end_early(#[case] pattern: &str, #[case] value: &str, #[case] expected: Option<&str>) {
        assert_eq!(name(pattern, value).as_deref(), expected);
    }

    #[test]
    fn case_is_ignored_and_the_name_keeps_its_case() {
        let capture = Capture::parse(GROUPS, Case::Ignored).unwrap();
        assert_eq!(capture.name("cn=\u{130}Red\u{c4},ou=GROUPS,dc=x").as_deref(), Some("\u{130}Red\u{c4}"));
    }

    #[rstest]
    #[case("CN=*", CaptureError::NoTeam)]
    #[case("", CaptureError::NoTeam)]
    #[case(r"CN=\{team\}", CaptureError::NoTeam)]
    #[case("{team},{team}", CaptureError::Brace)]
    #[case("{name},*", CaptureError::Brace)]
    #[case("{team}}", CaptureError::Brace)]
    #[case("{team}*", CaptureError::NoEnd)]
    #[case("{team}?", CaptureError::NoEnd)]
    #[case(r"\x{team}", CaptureError::Escape)]
    #[case("{team}\\", CaptureError::Escape)]
    fn an_invalid_pattern_is_refused(#[case] pattern: &str, #[case] expected: CaptureError) {
        assert_eq!(Capture::parse(pattern, Case::Sensitive), Err(expected));
    }

    #[test]
    fn a_long_pattern_is_refused_and_a_long_value_is_matched_once() {
        assert_eq!(Capture::parse(&format!("{}{{team}}", "a".repeat(512)), Case::Sensitive), Err(CaptureError::TooLong));
        let pattern = format!("*{}b{{team}}{}c*d", "a".repeat(200), "a".repeat(200));
        assert_eq!(name(&pattern, &"a".repeat(1 << 20)), None);
    }

    proptest! {
        #[test]
        fn a_name_between_two_literals_is_found(escaped in r#"[a-z ü]{1,5}(\\[,+\\=;][a-z]{0,3}){0,3}"#) {
            let value = format!("CN={escaped},OU=Groups,DC=x");
            let mut characters = escaped.chars();
            let expected: String = std::iter::from_fn(|| characters.next().and_then(|c| if c == '\\' { characters.next() } else { Some(c) })).collect();
            prop_assert_eq!(name(GROUPS, &value), Some(expected));
        }

        #[test]
        fn no_value_panics(value in any::<String>(), pattern in r#"[a,\\{}*?=C3é]{0,5}\{team\}[a,\\*?=ü]{0,5}"#) {
            if let Ok(capture) = Capture::parse(&pattern, Case::Ignored) {
                let _ = capture.name(&value);
            }
        }
    }
}
