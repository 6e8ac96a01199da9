//! Reads and changes members of JSON objects whose names ignore case (RFC 7643, section 2.1).

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value};

use super::{error::ScimError, path::is_core_schema};

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

/// The maximum number of attributes that are moved to the top: each one is compared with all others.
const MAX_LIFTED: usize = 1_000;

/// Moves the attributes that are under the URN of a core schema to the top, where they belong. Some clients send them there.
pub fn lift_core_attributes(resource: &mut Map<String, Value>) -> Result<(), ScimError> {
    let is_nested = |(name, value): &(&String, &Value)| is_core_schema(name) && value.is_object();
    let nested: Vec<String> = resource.iter().filter(is_nested).map(|(name, _)| name.clone()).collect();
    for name in nested {
        let Some(Value::Object(members)) = resource.remove(&name) else { continue };
        if resource.len() + members.len() > MAX_LIFTED {
            return Err(ScimError::value("The resource has more than 1000 attributes."));
        }
        members.into_iter().for_each(|(name, value)| set(resource, &name, value));
    }
    Ok(())
}

/// The size of an object in bytes of JSON.
pub fn size(object: &Map<String, Value>) -> usize {
    written(object)
}

/// The size of a value in bytes of JSON.
pub fn value_size(value: &Value) -> usize {
    written(value)
}

fn written(value: &impl Serialize) -> usize {
    let mut count = ByteCount(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}

/// Counts what is written, without a copy.
struct ByteCount(usize);

impl Write for ByteCount {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
