//! Parses filters (RFC 7644, section 3.4.2.2) as far as directories need them: comparisons with `eq`, joined by `and`.

use serde_json::{Map, Value};

use super::{
    attributes,
    error::ScimError,
    path::{AttributePath, MAX_LENGTH},
};

const MAX_COMPARISONS: usize = 16;

/// Attributes in which upper and lower case differ.
const CASE_EXACT: [&str; 4] = ["id", "externalId", "value", "$ref"];

/// Comparisons that must all hold; there is at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Vec<Comparison>);

#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    pub path: AttributePath,
    pub value: Value,
}

impl Filter {
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        if text.len() > MAX_LENGTH {
            return Err(ScimError::filter("The filter is too long."));
        }
        let mut comparisons = Vec::new();
        let mut rest = text;
        loop {
            let (comparison, after) = parse_comparison(rest)?;
            comparisons.push(comparison);
            if comparisons.len() > MAX_COMPARISONS {
                return Err(ScimError::filter("The filter has too many comparisons."));
            }
            let (word, after) = split_word(after);
            match word {
                "" => return Ok(Self(comparisons)),
                and if and.eq_ignore_ascii_case("and") => rest = after,
                _ => return Err(ScimError::filter("Only comparisons with eq, joined by and, are supported.")),
            }
        }
    }

    pub fn comparisons(&self) -> &[Comparison] {
        &self.0
    }

    /// The text with which a core attribute is compared.
    pub fn text(&self, attribute: &str) -> Option<&str> {
        let is_wanted = |found: &&Comparison| found.path.is(attribute) && found.path.sub.is_none();
        self.0.iter().find(is_wanted)?.value.as_str()
    }

    pub fn matches(&self, resource: &Map<String, Value>) -> bool {
        self.0.iter().all(|comparison| comparison.matches(resource))
    }
}

impl Comparison {
    fn matches(&self, resource: &Map<String, Value>) -> bool {
        let AttributePath { schema, attribute, sub } = &self.path;
        let object = match schema {
            Some(schema) => attributes::get(resource, schema).and_then(Value::as_object),
            None => Some(resource),
        };
        let Some(found) = object.and_then(|object| attributes::get(object, attribute)) else { return self.value.is_null() };
        let values = match found {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        let name = sub.as_deref().unwrap_or(attribute);
        values.iter().any(|value| match (value, sub) {
            (Value::Object(object), sub) => {
                // The value of a complex attribute is its sub-attribute `value`.
                let inner = attributes::get(object, sub.as_deref().unwrap_or("value"));
                inner.is_some_and(|inner| self.equals(sub.as_deref().unwrap_or("value"), inner))
            }
            (value, None) => self.equals(name, value),
            (_, Some(_)) => false,
        })
    }

    fn equals(&self, name: &str, found: &Value) -> bool {
        match (&self.value, found) {
            (Value::String(wanted), Value::String(found)) if CASE_EXACT.iter().any(|exact| exact.eq_ignore_ascii_case(name)) => {
                wanted == found
            }
            (Value::String(wanted), Value::String(found)) => wanted.to_lowercase() == found.to_lowercase(),
            (Value::Bool(wanted), found) => attributes::boolean(found) == Some(*wanted),
            (wanted, found) => match attributes::boolean(wanted).zip(attributes::boolean(found)) {
                Some((wanted, found)) => wanted == found,
                None => wanted == found,
            },
        }
    }
}

fn parse_comparison(text: &str) -> Result<(Comparison, &str), ScimError> {
    const SUPPORTED: &str = "Only comparisons with eq, joined by and, are supported.";
    let (name, rest) = split_word(text);
    let path = AttributePath::parse(name).ok_or(ScimError::filter(SUPPORTED))?;
    let (operator, rest) = split_word(rest);
    if !operator.eq_ignore_ascii_case("eq") {
        return Err(ScimError::filter(SUPPORTED));
    }
    let rest = rest.trim_start();
    let end = if rest.starts_with('"') { end_of_string(rest) } else { Some(split_word(rest).0.len()) };
    let (value, rest) = rest.split_at(end.ok_or(ScimError::filter("The filter's text has no end."))?);
    let value = serde_json::from_str(value).ok().filter(|value: &Value| !value.is_array() && !value.is_object());
    let value = value.ok_or(ScimError::filter("The filter compares with a value that is not JSON."))?;
    Ok((Comparison { path, value }, rest))
}

/// Splits the first word from the rest.
fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

/// Returns the length of the JSON string at the beginning of the text.
fn end_of_string(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (place, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(place + 1),
            _ => {}
        }
    }
    None
}

/// Splits the text at the first `]` outside of strings.
pub fn split_at_bracket(text: &str) -> Option<(&str, &str)> {
    let mut place = 0;
    while let Some(next) = text[place..].find(['"', ']']) {
        place += next;
        if text.as_bytes()[place] == b']' {
            return Some((&text[..place], &text[place + 1..]));
        }
        place += end_of_string(&text[place..])?;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn user() -> Map<String, Value> {
        let user = json!({
            "id": "u-1",
            "userName": "Ada@Example.com",
            "externalId": "AbC",
            "active": true,
            "emails": [{"type": "work", "value": "ada@example.com"}, {"type": "home", "value": "ada@home.example"}],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "m-1"}},
        });
        user.as_object().unwrap().clone()
    }

    #[rstest]
    #[case(r#"userName eq "ada@example.com""#, true)]
    #[case(r#"USERNAME Eq "ADA@example.COM""#, true)]
    #[case(r#"userName eq "ada""#, false)]
    #[case(r#"externalId eq "AbC""#, true)]
    #[case(r#"externalId eq "abc""#, false)]
    #[case(r#"id eq "u-1" and manager eq "m-1""#, false)]
    #[case(r#"id eq "u-1" and urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq "m-1""#, true)]
    #[case(r#"emails.value eq "ada@home.example" AND active eq true"#, true)]
    #[case(r#"active eq "True""#, true)]
    #[case(r#"active eq false"#, false)]
    #[case(r#"nickName eq null"#, true)]
    #[case(r#"  userName   eq   "ada@example.com"  "#, true)]
    fn comparisons_follow_the_case_rules(#[case] filter: &str, #[case] expected: bool) {
        assert_eq!(Filter::parse(filter).unwrap().matches(&user()), expected);
    }

    #[rstest]
    #[case("")]
    #[case("userName")]
    #[case("userName pr")]
    #[case(r#"userName eq"#)]
    #[case(r#"userName eq "a"#)]
    #[case(r#"userName eq ada"#)]
    #[case(r#"userName co "a""#)]
    #[case(r#"userName eq "a" or userName eq "b""#)]
    #[case(r#"not (userName eq "a")"#)]
    #[case(r#"(userName eq "a")"#)]
    #[case(r#"userName eq "a" and"#)]
    #[case(r#"userName eq "a"x"#)]
    #[case(r#"emails[type eq "work"] eq "a""#)]
    #[case(r#"userName eq ["a"]"#)]
    fn other_filters_are_refused(#[case] filter: &str) {
        assert!(matches!(Filter::parse(filter), Err(ScimError::InvalidFilter(_))), "{filter}");
    }

    #[test]
    fn quotes_and_escapes_belong_to_the_text() {
        let filter = Filter::parse(r#"displayName eq "a \"b\" é \\ and c eq \"d\"""#).unwrap();
        assert_eq!(filter.text("displayname"), Some(r#"a "b" é \ and c eq "d""#));
    }

    #[test]
    fn long_filters_are_refused() {
        let many = vec![r#"a eq 1"#; MAX_COMPARISONS + 1].join(" and ");
        assert!(Filter::parse(&many).is_err());
        assert!(Filter::parse(&format!(r#"a eq "{}""#, "x".repeat(MAX_LENGTH))).is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,60}", words in "([a-z.]{1,4} |eq |and |\"[a-zé\\\\\"]{0,4}\" ){0,12}") {
            let _ = (Filter::parse(&text), Filter::parse(&words), split_at_bracket(&text), split_at_bracket(&words));
        }

        #[test]
        fn any_text_can_be_compared(text in any::<String>().prop_filter("short", |text| text.len() < 100)) {
            let filter = Filter::parse(&format!("externalId eq {}", json!(text))).unwrap();
            prop_assert_eq!(filter.text("externalId"), Some(text.as_str()));
            let resource = json!({"externalId": text});
            prop_assert!(filter.matches(resource.as_object().unwrap()));
        }
    }
}
