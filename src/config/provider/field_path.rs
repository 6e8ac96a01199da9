//! Where a single value stands in a userinfo answer, in the notation that the role map has for claims.

use serde_json::Value;

use crate::principal::Claims;

/// A dot path: `id`, `data.user.mail`. A backslash takes the meaning from a dot, a square bracket and
/// itself: `https://example\.com/id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    first: Box<str>,
    nested: Box<[Box<str>]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldPathError {
    #[error("must not be empty")]
    Empty,
    #[error("must not have an empty step between its dots; a dot that belongs to a name is written \\.")]
    EmptyStep,
    #[error("must have a dot, a square bracket or a backslash after each backslash")]
    Escape,
    #[error("must not have a square bracket, since a list is no single value; one that belongs to a name is written \\[ or \\]")]
    Bracket,
}

impl FieldPath {
    pub fn parse(text: &str) -> Result<Self, FieldPathError> {
        if text.is_empty() {
            return Err(FieldPathError::Empty);
        }
        let (mut steps, mut step) = (Vec::new(), String::new());
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '.' => steps.push(std::mem::take(&mut step)),
                '[' | ']' => return Err(FieldPathError::Bracket),
                '\\' => step.push(characters.next().filter(|next| r".[]\".contains(*next)).ok_or(FieldPathError::Escape)?),
                other => step.push(other),
            }
        }
        steps.push(step);
        if steps.iter().any(String::is_empty) {
            return Err(FieldPathError::EmptyStep);
        }
        let mut steps = steps.into_iter().map(Box::from);
        Ok(Self { first: steps.next().expect("the last step was pushed"), nested: steps.collect() })
    }

    pub fn find<'c>(&self, claims: &'c Claims) -> Option<&'c Value> {
        self.nested.iter().try_fold(claims.get(&*self.first)?, |value, step| value.as_object()?.get(&**step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case("id", json!(7))]
    #[case("user.mail", json!("a@x"))]
    #[case(r"user\.mail", json!("flat"))]
    #[case(r"https://example\.com/id", json!("namespaced"))]
    #[case(r"a\[0\]\\", json!("odd"))]
    #[case("user", json!({"mail": "a@x"}))]
    #[case("list.0", Value::Null)]
    #[case("id.x", Value::Null)]
    #[case("absent", Value::Null)]
    fn a_path_leads_to_one_value(#[case] path: &str, #[case] expected: Value) {
        let answer = json!({
            "id": 7,
            "user": {"mail": "a@x"},
            "user.mail": "flat",
            "https://example.com/id": "namespaced",
            "a[0]\\": "odd",
            "list": ["first"],
        });
        let found = FieldPath::parse(path).unwrap().find(answer.as_object().unwrap()).cloned();
        assert_eq!(found.unwrap_or_default(), expected);
    }

    #[rstest]
    #[case("", FieldPathError::Empty)]
    #[case(".id", FieldPathError::EmptyStep)]
    #[case("id.", FieldPathError::EmptyStep)]
    #[case("a..b", FieldPathError::EmptyStep)]
    #[case("a\\", FieldPathError::Escape)]
    #[case(r"a\b", FieldPathError::Escape)]
    #[case("emails[].email", FieldPathError::Bracket)]
    fn other_paths_are_refused(#[case] path: &str, #[case] expected: FieldPathError) {
        assert_eq!(FieldPath::parse(path), Err(expected));
    }
}
