//! Splits the values that a provider puts into one string.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::capture::is_distinguished_name;

/// The notation of several values in one string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Split {
    Space,
    Comma,
    Semicolon,
    Pipe,
    /// A JSON array of strings and numbers. Anything else is one value.
    Json,
    /// Commas within one pair of square brackets, as Amazon Cognito joins lists: `[a, b]`.
    Brackets,
}

impl Split {
    pub const ALL: [Self; 6] = [Self::Space, Self::Comma, Self::Semicolon, Self::Pipe, Self::Json, Self::Brackets];

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|split| split.as_str() == name)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Space => "space",
            Self::Comma => "comma",
            Self::Semicolon => "semicolon",
            Self::Pipe => "pipe",
            Self::Json => "json",
            Self::Brackets => "brackets",
        }
    }

    /// Returns the values in a string, without empty ones.
    pub fn parts(self, value: Cow<'_, str>) -> Vec<Cow<'_, str>> {
        if self == Self::Json {
            return json_texts(&value).map_or_else(|| vec![value], |texts| texts.into_iter().map(Cow::Owned).collect());
        }
        match value {
            Cow::Borrowed(text) => self.separate(text).into_iter().map(Cow::Borrowed).collect(),
            Cow::Owned(text) => self.separate(&text).into_iter().map(|part| Cow::Owned(part.to_owned())).collect(),
        }
    }

    /// Returns the notation that a string seems to have; `None` if it looks like a single value.
    pub fn detect(text: &str) -> Option<Self> {
        if strip_brackets(text.trim()).is_some() {
            return Some(if json_texts(text).is_some() { Self::Json } else { Self::Brackets });
        }
        // The commas of a distinguished name separate its parts.
        if is_distinguished_name(text) {
            return None;
        }
        let separators = [(',', Self::Comma), (';', Self::Semicolon), ('|', Self::Pipe)];
        let separated = separators.into_iter().find(|(separator, _)| text.contains(*separator)).map(|(_, split)| split);
        separated.or_else(|| text.trim().contains(|c: char| c.is_ascii_whitespace()).then_some(Self::Space))
    }

    fn separate(self, text: &str) -> Vec<&str> {
        let is_separator = |character: char| match self {
            Self::Space => character.is_ascii_whitespace(),
            Self::Semicolon => character == ';',
            Self::Pipe => character == '|',
            Self::Comma | Self::Json | Self::Brackets => character == ',',
        };
        let parts: Vec<_> = match self {
            Self::Brackets => {
                let text = text.trim();
                quoted_parts(strip_brackets(text).unwrap_or(text))
            }
            _ => text.split(is_separator).collect(),
        };
        parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
    }
}

fn strip_brackets(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

/// Returns the elements of a JSON array of strings and numbers, without empty strings; `None` for any other text. Numbers are
/// returned as they are written.
fn json_texts(text: &str) -> Option<Vec<String>> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    let texts: Option<Vec<String>> = elements.into_iter().map(|element| json_text(element.get())).collect();
    Some(texts?.into_iter().filter(|text| !text.is_empty()).collect())
}

fn json_text(element: &str) -> Option<String> {
    match element.as_bytes().first()? {
        b'"' => serde_json::from_str(element).ok(),
        b'-' | b'0'..=b'9' => Some(element.to_owned()),
        _ => None,
    }
}

/// Splits a text at its commas. A part in quotes may contain commas; it ends at the first quote that a comma or the end
/// follows. The time is linear in the length: a quote that ends nowhere is searched once.
fn quoted_parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut unclosed = Vec::new();
    let mut rest = Some(text);
    while let Some(text) = rest {
        let text = text.trim_start();
        let quote = text.chars().next().filter(|first| matches!(first, '"' | '\'') && !unclosed.contains(first));
        let quoted = quote.and_then(|quote| split_quoted(text, quote));
        if quoted.is_none() {
            unclosed.extend(quote);
        }
        let (part, after) = quoted.unwrap_or_else(|| match text.split_once(',') {
            Some((part, after)) => (part, Some(after)),
            None => (text, None),
        });
        parts.push(part);
        rest = after;
    }
    parts
}

/// Splits off a part that begins with a quote; `None` if no quote closes it.
fn split_quoted(text: &str, quote: char) -> Option<(&str, Option<&str>)> {
    let inner = &text[quote.len_utf8()..];
    inner.match_indices(quote).find_map(|(end, _)| {
        let after = inner[end + quote.len_utf8()..].trim_start();
        match after.strip_prefix(',') {
            Some(after) => Some((&inner[..end], Some(after))),
            None => after.is_empty().then_some((&inner[..end], None)),
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn parts(split: &str, text: &str) -> Vec<String> {
        let split = Split::parse(split).unwrap();
        let borrowed: Vec<String> = split.parts(Cow::Borrowed(text)).into_iter().map(Cow::into_owned).collect();
        let owned: Vec<String> = split.parts(Cow::Owned(text.to_owned())).into_iter().map(Cow::into_owned).collect();
        assert_eq!(borrowed, owned);
        borrowed
    }

    #[rstest]
    #[case("space", " a  b\tc ", &["a", "b", "c"])]
    #[case("comma", "a, b,,c d,", &["a", "b", "c d"])]
    #[case("semicolon", "a; b;c,d;", &["a", "b", "c,d"])]
    #[case("pipe", "a | b||c", &["a", "b", "c"])]
    #[case("pipe", "", &[])]
    #[case("json", r#"["a", "b c", "", "d,e", "\u00fc"]"#, &["a", "b c", "d,e", "\u{fc}"])]
    #[case("json", " [1, -2.50, 1e2, 12345678901234567890123] ", &["1", "-2.50", "1e2", "12345678901234567890123"])]
    #[case("json", "[]", &[])]
    #[case("json", r#"["a", true]"#, &[r#"["a", true]"#])]
    #[case("json", r#"["a", null]"#, &[r#"["a", null]"#])]
    #[case("json", r#"["a", ["b"]]"#, &[r#"["a", ["b"]]"#])]
    #[case("json", r#"[{"a": "b"}]"#, &[r#"[{"a": "b"}]"#])]
    #[case("json", r#"["a",]"#, &[r#"["a",]"#])]
    #[case("json", r#"["a"] x"#, &[r#"["a"] x"#])]
    #[case("json", r#""a""#, &[r#""a""#])]
    #[case("json", "[a, b]", &["[a, b]"])]
    #[case("json", "7", &["7"])]
    #[case("brackets", "[a, b]", &["a", "b"])]
    #[case("brackets", " [ Data Science , b ] ", &["Data Science", "b"])]
    #[case("brackets", "[a]", &["a"])]
    #[case("brackets", "[]", &[])]
    #[case("brackets", "[ , ]", &[])]
    #[case("brackets", "a, b", &["a", "b"])]
    #[case("brackets", "[a", &["[a"])]
    #[case("brackets", "[[a], b]", &["[a]", "b"])]
    #[case("brackets", r#"["a", 'b', c]"#, &["a", "b", "c"])]
    #[case("brackets", r#"["a, b", c]"#, &["a, b", "c"])]
    #[case("brackets", r#"["a", "b]"#, &["a", "\"b"])]
    #[case("brackets", "[Bob's, 'x', it's]", &["Bob's", "x", "it's"])]
    #[case("brackets", r#"["", '']"#, &[])]
    #[case::a_quote_in_a_name_hides_no_other_name("brackets", r#"["x\", \"admin", b]"#, &["x\\", "\\\"admin\"", "b"])]
    fn a_string_is_split_into_its_values(#[case] split: &str, #[case] text: &str, #[case] expected: &[&str]) {
        assert_eq!(parts(split, text), expected);
    }

    #[rstest]
    #[case("[a, b]", Some(Split::Brackets))]
    #[case("[a]", Some(Split::Brackets))]
    #[case(r#"["a", "b"]"#, Some(Split::Json))]
    #[case("[1]", Some(Split::Json))]
    #[case("a,b", Some(Split::Comma))]
    #[case("a;b", Some(Split::Semicolon))]
    #[case("a|b", Some(Split::Pipe))]
    #[case("a b", Some(Split::Space))]
    #[case("a ", None)]
    #[case("a", None)]
    #[case("", None)]
    #[case("/a/b", None)]
    #[case("CN=a b,OU=Groups,DC=x", None)]
    #[case("CN=a\\, b,OU=Groups", None)]
    #[case("a b=c,d", Some(Split::Comma))]
    fn the_notation_of_a_list_is_detected(#[case] text: &str, #[case] expected: Option<Split>) {
        assert_eq!(Split::detect(text), expected);
    }

    #[test]
    fn a_long_text_of_open_quotes_is_split_in_linear_time() {
        let text = "'a,".repeat(100_000);
        assert_eq!(parts("brackets", &text).len(), 100_000);
    }

    proptest! {
        #[test]
        fn values_are_taken_from_the_text(text in r#"[\[\]"', ;|a\\]{0,12}"#, number in 0..Split::ALL.len()) {
            let split = Split::ALL[number];
            for part in split.parts(Cow::Borrowed(&text)) {
                prop_assert!(!part.is_empty() || split == Split::Json);
                prop_assert!(split == Split::Json || text.contains(&*part));
            }
        }
    }
}
