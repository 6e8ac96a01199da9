//! Parses attribute names and the paths of PATCH operations (RFC 7644, section 3.5.2): `name.givenName`,
//! `emails[type eq "work"].value`, `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department`.

use super::{
    GROUP_SCHEMA, USER_SCHEMA,
    error::ScimError,
    filter::{self, Filter},
};

/// The maximum length of a path or filter, in bytes.
pub const MAX_LENGTH: usize = 2048;

/// An attribute, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributePath {
    /// The schema of an extension; `None` for the core schemas.
    pub schema: Option<String>,
    pub attribute: String,
    pub sub: Option<String>,
}

/// The target of a PATCH operation.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchPath {
    pub target: AttributePath,
    /// Selects elements of a list.
    pub filter: Option<Filter>,
}

impl AttributePath {
    /// Parses an attribute with an optional schema and an optional sub-attribute. The URN of a schema alone names all attributes
    /// of an extension.
    pub fn parse(text: &str) -> Option<Self> {
        let (schema, rest) = split_schema(text);
        let (schema, rest) = match (schema, rest) {
            (Some(schema), "") => return Some(Self { schema: None, attribute: schema.to_owned(), sub: None }),
            (Some(schema), rest) if is_core_schema(schema) => (None, rest),
            (schema, rest) => (schema.map(str::to_owned), rest),
        };
        let (attribute, sub) = match rest.split_once('.') {
            Some((attribute, sub)) => (attribute, Some(sub)),
            None => (rest, None),
        };
        let is_valid = is_name(attribute) && sub.is_none_or(is_name);
        is_valid.then(|| Self { schema, attribute: attribute.to_owned(), sub: sub.map(str::to_owned) })
    }

    /// True for a core attribute with this name.
    pub fn is(&self, attribute: &str) -> bool {
        self.schema.is_none() && self.attribute.eq_ignore_ascii_case(attribute)
    }
}

impl PatchPath {
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        const INVALID: &str = "The path is not supported.";
        if text.len() > MAX_LENGTH {
            return Err(ScimError::path("The path is too long."));
        }
        let text = text.trim();
        let Some((before, rest)) = text.split_once('[') else {
            let target = AttributePath::parse(text).ok_or(ScimError::path(INVALID))?;
            return Ok(Self { target, filter: None });
        };
        let (inside, after) = filter::split_at_bracket(rest).ok_or(ScimError::path(INVALID))?;
        let filter = Filter::parse(inside).map_err(|_| ScimError::path("The path's filter is not supported."))?;
        let sub = match after.strip_prefix('.') {
            Some(sub) if is_name(sub) => Some(sub.to_owned()),
            None if after.is_empty() => None,
            _ => return Err(ScimError::path(INVALID)),
        };
        let target = AttributePath::parse(before).filter(|target| target.sub.is_none()).ok_or(ScimError::path(INVALID))?;
        Ok(Self { target: AttributePath { sub, ..target }, filter: Some(filter) })
    }
}

/// True for the URN of a schema whose attributes are at the top of a resource.
pub fn is_core_schema(schema: &str) -> bool {
    [USER_SCHEMA, GROUP_SCHEMA].iter().any(|core| core.eq_ignore_ascii_case(schema))
}

/// `$ref` is a name too.
fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_$".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// Splits the URN of a schema from the attribute. Schemas end with a version and the name of a resource, such as `2.0:User`; in
/// any other URN the last part is the attribute.
fn split_schema(text: &str) -> (Option<&str>, &str) {
    if !text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:")) {
        return (None, text);
    }
    let mut parts = text.match_indices(':').map(|(place, _)| place);
    let is_version = |start: usize| {
        let part = text[start + 1..].split(':').next().unwrap_or_default();
        part.split_once('.').is_some_and(|(one, other)| is_number(one) && is_number(other))
    };
    if parts.any(is_version) {
        let Some(resource) = parts.next() else { return (Some(text), "") };
        debug_assert_eq!(text.as_bytes()[resource], b':');
        return match parts.next() {
            Some(end) => (Some(&text[..end]), &text[end + 1..]),
            None => (Some(text), ""),
        };
    }
    match text.rsplit_once(':') {
        Some((schema, attribute)) => (Some(schema), attribute),
        None => (None, text),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    #[rstest]
    #[case("active", None, "active", None)]
    #[case("name.givenName", None, "name", Some("givenName"))]
    #[case("urn:ietf:params:scim:schemas:core:2.0:User:userName", None, "userName", None)]
    #[case("URN:ietf:params:scim:schemas:core:2.0:user:name.familyName", None, "name", Some("familyName"))]
    #[case("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", Some(ENTERPRISE), "department", None)]
    #[case(
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
        Some(ENTERPRISE),
        "manager",
        Some("value")
    )]
    #[case("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", None, ENTERPRISE, None)]
    #[case("urn:example:tag", Some("urn:example"), "tag", None)]
    fn an_attribute_has_an_optional_schema_and_sub_attribute(
        #[case] text: &str,
        #[case] schema: Option<&str>,
        #[case] attribute: &str,
        #[case] sub: Option<&str>,
    ) {
        let path = AttributePath::parse(text).unwrap();
        assert_eq!((path.schema.as_deref(), path.attribute.as_str(), path.sub.as_deref()), (schema, attribute, sub));
    }

    #[rstest]
    #[case(r#"emails[type eq "work"].value"#, "emails", Some("value"))]
    #[case(r#"emails[type eq "a]b\"[" and primary eq true]"#, "emails", None)]
    #[case(r#"members[value eq "1"]"#, "members", None)]
    fn a_path_may_select_elements(#[case] text: &str, #[case] attribute: &str, #[case] sub: Option<&str>) {
        let path = PatchPath::parse(text).unwrap();
        assert_eq!((path.target.attribute.as_str(), path.target.sub.as_deref(), path.filter.is_some()), (attribute, sub, true));
    }

    #[rstest]
    #[case("")]
    #[case(".")]
    #[case("a.b.c")]
    #[case("a b")]
    #[case("emails[")]
    #[case("emails[]")]
    #[case(r#"emails[type eq "work"]value"#)]
    #[case(r#"emails[type eq "work"].value.x"#)]
    #[case(r#"emails.value[type eq "work"]"#)]
    #[case(r#"emails[type co "work"].value"#)]
    #[case(r#"[type eq "work"]"#)]
    fn other_paths_are_refused(#[case] text: &str) {
        assert!(matches!(PatchPath::parse(text), Err(ScimError::InvalidPath(_))), "{text}");
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "[a-zA-Z0-9:.\\[\\]\" $é\\\\]{0,80}", prefix in prop::sample::select(vec!["", "urn:", "emails["])) {
            let _ = PatchPath::parse(&format!("{prefix}{text}"));
        }
    }
}
