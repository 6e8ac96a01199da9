//! Applies the operations of a PATCH request (RFC 7644, section 3.5.2) in the dialects of Entra ID and Okta.
//!
//! An operation without a path is split into one change for each member of its value, whose name is read as a path.
//!
//! A change may write its value to many elements, so the size of the resource is bounded after and within each change. The work
//! of a change is linear in this size.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    attributes,
    error::ScimError,
    filter::Filter,
    path::{AttributePath, PatchPath, is_core_schema},
};

/// The maximum number of changes in a request.
const MAX_CHANGES: usize = 1_000;

/// The maximum size of a resource between two changes, in bytes of JSON. The result of all changes has a limit of its own.
const MAX_SIZE: usize = 64 << 10;

/// The maximum size of all values of a request except those of members, in bytes of JSON.
const MAX_VALUES: usize = 256 << 10;

/// Attributes that only the service sets (RFC 7643, sections 3.1 and 4.1.2). A whole resource may contain them.
pub const READ_ONLY: [&str; 4] = ["id", "meta", "schemas", "groups"];

/// A change of one attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributeChange {
    pub operation: Operation,
    pub path: PatchPath,
    /// Null for a removal without a value.
    pub value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Add,
    Replace,
    Remove,
}

impl Operation {
    /// Entra ID writes operations with a capital letter.
    fn parse(text: &str) -> Option<Self> {
        let known = [("add", Self::Add), ("replace", Self::Replace), ("remove", Self::Remove)];
        known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, operation)| operation)
    }
}

/// Reads the changes of a request.
pub fn parse_changes(request: &Map<String, Value>) -> Result<Vec<AttributeChange>, ScimError> {
    let operations = attributes::get(request, "Operations").and_then(Value::as_array);
    let operations = operations.ok_or(ScimError::syntax("The request has no list of Operations."))?;
    let mut changes = Vec::new();
    for operation in operations {
        let operation = operation.as_object().ok_or(ScimError::syntax("An operation is not an object."))?;
        parse_operation(operation, &mut changes)?;
    }
    Ok(changes)
}

fn parse_operation(request: &Map<String, Value>, changes: &mut Vec<AttributeChange>) -> Result<(), ScimError> {
    let name = attributes::get(request, "op").and_then(Value::as_str);
    let operation = name.and_then(Operation::parse).ok_or(ScimError::syntax("op must be add, replace or remove."))?;
    let value = attributes::get(request, "value").unwrap_or(&Value::Null);
    match attributes::get(request, "path") {
        // The schema of the resource itself names all its attributes.
        Some(Value::String(path)) if is_core_schema(path.trim()) => add_members(operation, value, changes),
        Some(Value::String(path)) if !path.trim().is_empty() => {
            let path = PatchPath::parse(path)?;
            if READ_ONLY.iter().any(|name| path.target.is(name)) {
                return Err(ScimError::Mutability);
            }
            add_change(AttributeChange { operation, path, value: value.clone() }, changes)
        }
        None | Some(Value::Null | Value::String(_)) => add_members(operation, value, changes),
        Some(_) => Err(ScimError::path("The path must be a string.")),
    }
}

/// Adds one change for each member of the value of an operation without a path.
fn add_members(operation: Operation, value: &Value, changes: &mut Vec<AttributeChange>) -> Result<(), ScimError> {
    if operation == Operation::Remove {
        return Err(ScimError::NoTarget);
    }
    let members = value.as_object();
    let members = members.ok_or(ScimError::value("An operation without a path must have an object as its value."))?;
    for (name, value) in members {
        if is_core_schema(name) && value.is_object() {
            add_members(operation, value, changes)?;
            continue;
        }
        let path = PatchPath::parse(name)?;
        if !READ_ONLY.iter().any(|name| path.target.is(name)) {
            add_change(AttributeChange { operation, path, value: value.clone() }, changes)?;
        }
    }
    Ok(())
}

fn add_change(change: AttributeChange, changes: &mut Vec<AttributeChange>) -> Result<(), ScimError> {
    if changes.len() >= MAX_CHANGES {
        return Err(ScimError::value("The request has more than 1000 changes."));
    }
    changes.push(change);
    Ok(())
}

/// Applies changes to a resource in their order.
pub fn apply_changes<'a>(
    changes: impl IntoIterator<Item = &'a AttributeChange>,
    mut resource: Map<String, Value>,
) -> Result<Map<String, Value>, ScimError> {
    let mut values = 0;
    for change in changes {
        values += attributes::value_size(&change.value);
        if values > MAX_VALUES {
            return Err(ScimError::value("The values of the request have more than 256 KiB."));
        }
        change.apply(&mut resource)?;
        if attributes::size(&resource) > MAX_SIZE {
            return Err(too_large());
        }
    }
    Ok(resource)
}

fn too_large() -> ScimError {
    ScimError::value("The changes make the resource larger than 64 KiB.")
}

impl AttributeChange {
    fn apply(&self, resource: &mut Map<String, Value>) -> Result<(), ScimError> {
        let object = match &self.path.target.schema {
            None => resource,
            Some(schema) if self.removes() && attributes::get(resource, schema).is_none() => return Ok(()),
            Some(schema) => object_at(resource, schema),
        };
        let AttributePath { attribute, sub, .. } = &self.path.target;
        match (&self.path.filter, sub) {
            (Some(filter), sub) => return self.apply_to_elements(object, filter, sub.as_deref()),
            (None, Some(sub)) => return self.apply_to_sub_attribute(object, sub),
            (None, None) if self.removes() => drop(attributes::take(object, attribute)),
            (None, None) => match attributes::get_mut(object, attribute) {
                Some(present) => self.combine(present),
                None => attributes::set(object, attribute, self.value.clone()),
            },
        }
        Ok(())
    }

    /// Refuses to write the value to so many elements that the resource becomes too large.
    fn check_copies(&self, elements: usize) -> Result<(), ScimError> {
        let is_too_large = elements.saturating_mul(attributes::value_size(&self.value)) > MAX_SIZE;
        if is_too_large && !self.removes() { Err(too_large()) } else { Ok(()) }
    }

    /// A value of null unassigns the attribute.
    fn removes(&self) -> bool {
        self.operation == Operation::Remove || self.value.is_null()
    }

    /// Combines the value of an attribute with the new one.
    fn combine(&self, present: &mut Value) {
        match (present, self.value.clone()) {
            (Value::Object(present), Value::Object(members)) => attributes::merge(present, members),
            (Value::Array(present), added) if self.operation == Operation::Add => {
                let added = if let Value::Array(added) = added { added } else { vec![added] };
                let mut known: BTreeSet<String> = present.iter().map(Value::to_string).collect();
                present.extend(added.into_iter().filter(|value| known.insert(value.to_string())));
            }
            (present, value) => *present = value,
        }
    }

    fn apply_to_sub_attribute(&self, object: &mut Map<String, Value>, sub: &str) -> Result<(), ScimError> {
        let attribute = &self.path.target.attribute;
        match attributes::get_mut(object, attribute) {
            Some(Value::Array(elements)) if !elements.is_empty() => {
                self.check_copies(elements.len())?;
                elements.iter_mut().filter_map(Value::as_object_mut).for_each(|element| self.set_member(element, sub));
            }
            Some(Value::Object(present)) => self.set_member(present, sub),
            _ if self.removes() => {}
            _ => self.set_member(object_at(object, attribute), sub),
        }
        Ok(())
    }

    fn set_member(&self, object: &mut Map<String, Value>, name: &str) {
        if self.removes() {
            attributes::take(object, name);
        } else {
            attributes::set(object, name, self.value.clone());
        }
    }

    /// Changes the elements that a filter selects. If there is none, an element that the filter would select is created: Entra ID
    /// expects it.
    fn apply_to_elements(&self, object: &mut Map<String, Value>, filter: &Filter, sub: Option<&str>) -> Result<(), ScimError> {
        let attribute = &self.path.target.attribute;
        let is_list = attributes::get(object, attribute).is_some_and(Value::is_array);
        if !is_list {
            if self.removes() {
                return Ok(());
            }
            attributes::set(object, attribute, Value::Array(Vec::new()));
        }
        let Some(Value::Array(elements)) = attributes::get_mut(object, attribute) else { return Ok(()) };
        let is_selected = |element: &Value| element.as_object().is_some_and(|element| filter.matches(element));
        if self.removes() && sub.is_none() {
            elements.retain(|element| !is_selected(element));
        } else {
            if !self.removes() && !elements.iter().any(is_selected) {
                elements.push(Value::Object(described_by(filter)));
            }
            self.check_copies(elements.iter().filter(|element| is_selected(element)).count())?;
            for element in elements.iter_mut().filter(|element| is_selected(element)) {
                self.change_element(element, sub);
            }
        }
        if elements.is_empty() {
            attributes::take(object, attribute);
        }
        Ok(())
    }

    fn change_element(&self, element: &mut Value, sub: Option<&str>) {
        match (element, sub, &self.value) {
            (Value::Object(element), Some(sub), _) => self.set_member(element, sub),
            (Value::Object(element), None, Value::Object(members)) => attributes::merge(element, members.clone()),
            (element, None, value) => *element = value.clone(),
            (_, Some(_), _) => {}
        }
    }
}

/// Returns the object with this name, which is created if it is absent or of another type.
fn object_at<'a>(object: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    if !attributes::get(object, name).is_some_and(Value::is_object) {
        attributes::set(object, name, Value::Object(Map::new()));
    }
    attributes::get_mut(object, name).and_then(Value::as_object_mut).expect("it was created above")
}

/// Returns the smallest element that a filter selects.
fn described_by(filter: &Filter) -> Map<String, Value> {
    let members = filter.comparisons().iter().filter(|comparison| comparison.path.sub.is_none());
    members.map(|comparison| (comparison.path.attribute.clone(), comparison.value.clone())).collect()
}

#[cfg(test)]
mod tests;
