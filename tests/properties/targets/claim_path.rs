//! Claim paths: the first line of the input is a path, and the rest are the claims.

use std::sync::LazyLock;

use regex::Regex;
use vestibule::json::Value;
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

/// Steps with or without `[]`, separated by dots: names, `*` anywhere but at the beginning, and `{}` only at the end.
fn matches_grammar(text: &str) -> bool {
    static PATH: LazyLock<Regex> = LazyLock::new(|| {
        let step = r"(?s:[^.\[\]\\]|\\[.\[\]\\*{}])+(?:\[\])?";
        Regex::new(&format!(r"\A{step}(?:\.{step})*\z")).expect("a pattern")
    });
    if !PATH.is_match(text) {
        return false;
    }
    let steps = steps(text);
    let is_last = |step: usize| step + 1 == steps.len() && steps[step].1.is_empty();
    let is_valid = |step: usize| match steps[step].0.as_str() {
        "*" => step > 0,
        "{}" => step > 0 && is_last(step),
        _ => true,
    };
    (0..steps.len()).all(is_valid)
}

/// The steps of a path: the text as it is written, and the `[]` after it.
fn steps(text: &str) -> Vec<(String, String)> {
    static STEP: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"((?s:[^.\[\]\\]|\\[.\[\]\\*{}])+)((?:\[\])?)(?:\.|\z)").expect("a pattern"));
    STEP.captures_iter(text).map(|step| (step[1].to_owned(), step[2].to_owned())).collect()
}

/// A slow reference implementation, step by step over copies of all values.
fn reference_values(claims: &Value, text: &str) -> Vec<Value> {
    let mut found = vec![claims.clone()];
    let steps = steps(text);
    for (number, (name, each)) in steps.iter().enumerate() {
        let objects = found.iter().filter_map(|value| value.as_object());
        found = match name.as_str() {
            "*" => objects.flat_map(|members| members.values().cloned()).collect(),
            "{}" => objects.flat_map(|members| members.keys().map(|key| Value::from(key.as_str()))).collect(),
            _ => objects.filter_map(|members| members.get(&unescaped(name)).cloned()).collect(),
        };
        if !each.is_empty() && number + 1 < steps.len() {
            found = found.into_iter().filter_map(|value| value.as_array().map(<[_]>::to_vec)).flatten().collect();
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
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    };
    found
        .iter()
        .flat_map(|value| value.as_array().map_or_else(|| vec![text(value)], |all| all.iter().map(text).collect()))
        .flatten()
        .collect()
}
