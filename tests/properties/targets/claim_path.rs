//! Claim paths: the first line of the input is a path, and the rest are the claims.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;
use vestibule::principal::{ClaimPath, Claims};

pub fn holds(input: &[u8]) {
    let input = String::from_utf8_lossy(input);
    let (text, claims) = input.split_once('\n').unwrap_or((&input, ""));
    let path = ClaimPath::parse(text);
    assert_eq!(path.is_ok(), matches_grammar(text), "{text:?}: {path:?}");
    let Ok(path) = path else { return };
    assert_eq!(ClaimPath::parse(&path.to_string()), Ok(path.clone()), "{text:?} is written {path}");
    let Ok(claims) = serde_json::from_str::<Claims>(claims) else { return };
    let found = reference_values(&Value::Object(claims.clone()), text);
    let values: Vec<String> = path.values(&claims).into_iter().map(String::from).collect();
    assert_eq!(values, texts_of(&found), "{text:?} in {claims:?}");
    assert_eq!(path.is_in(&claims), found.iter().any(|value| !value.is_null()), "{text:?} in {claims:?}");
}

/// Names with or without `[]`, separated by dots.
fn matches_grammar(text: &str) -> bool {
    static PATH: LazyLock<Regex> = LazyLock::new(|| {
        let step = r"(?s:[^.\[\]\\]|\\[.\[\]\\])+(?:\[\])?";
        Regex::new(&format!(r"\A{step}(?:\.{step})*\z")).expect("a pattern")
    });
    PATH.is_match(text)
}

/// A slow reference implementation, step by step over copies of all values.
fn reference_values(claims: &Value, text: &str) -> Vec<Value> {
    static STEP: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"((?s:[^.\[\]\\]|\\[.\[\]\\])+)(\[\])?(?:\.|\z)").expect("a pattern"));
    let mut found = vec![claims.clone()];
    for step in STEP.captures_iter(text) {
        let name = unescaped(&step[1]);
        found = found.iter().filter_map(|value| value.as_object()?.get(&name).cloned()).collect();
        let is_last = step.get(0).is_some_and(|whole| whole.end() == text.len());
        if step.get(2).is_some() && !is_last {
            found = found.into_iter().filter_map(|value| value.as_array().cloned()).flatten().collect();
        }
    }
    found
}

fn unescaped(name: &str) -> String {
    let mut characters = name.chars();
    std::iter::from_fn(|| match characters.next()? {
        '\\' => characters.next(),
        other => Some(other),
    })
    .collect()
}

fn texts_of(found: &[Value]) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    found
        .iter()
        .flat_map(|value| value.as_array().map_or_else(|| vec![text(value)], |all| all.iter().map(text).collect()))
        .flatten()
        .collect()
}
