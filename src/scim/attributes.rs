//! Reads and changes members of JSON objects whose names ignore case (RFC 7643, section 2.1).

use serde_json::{Map, Value};

/// Returns the name of a member as the object spells it.
fn spelling(object: &Map<String, Value>, name: &str) -> Option<String> {
    if object.contains_key(name) {
        return Some(name.to_owned());
    }
    object.keys().find(|known| known.eq_ignore_ascii_case(name)).cloned()
}

pub fn get<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| object.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

pub fn get_mut<'a>(object: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Value> {
    let name = spelling(object, name)?;
    object.get_mut(&name)
}

/// Sets a member. One with another spelling of the name is replaced.
pub fn set(object: &mut Map<String, Value>, name: &str, value: Value) {
    let name = spelling(object, name).unwrap_or_else(|| name.to_owned());
    object.insert(name, value);
}

/// Removes a member, and any further spelling of it.
pub fn take(object: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let mut taken = None;
    while let Some(spelled) = spelling(object, name) {
        taken = object.remove(&spelled).or(taken);
    }
    taken
}

/// Adds the members of one object to another. Null removes a member.
pub fn merge(object: &mut Map<String, Value>, members: Map<String, Value>) {
    for (name, value) in members {
        match value {
            Value::Null => drop(take(object, &name)),
            value => set(object, &name, value),
        }
    }
}

/// Reads a boolean. Entra ID sends it as text, in any case.
pub fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}
