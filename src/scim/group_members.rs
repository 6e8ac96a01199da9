//! Reads the changes of a group's members from SCIM requests.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    attributes,
    error::ScimError,
    patch::{AttributeChange, Operation},
};

pub const MEMBERS: &str = "members";

/// The maximum number of members of a group.
pub const MAX_MEMBERS: usize = 20_000;

/// The changes of a group's members, by the ids of users. A user is in one set at most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberEdit {
    /// True if all members that are not added are removed.
    pub is_complete: bool,
    pub added: BTreeSet<String>,
    pub removed: BTreeSet<String>,
}

impl MemberEdit {
    /// Takes the members of a whole group. Without a list, the group has none.
    pub fn take(resource: &mut Map<String, Value>) -> Result<Self, ScimError> {
        let members = attributes::take(resource, MEMBERS).unwrap_or(Value::Null);
        let mut edit = Self::default();
        edit.replace(ids(&members)?);
        edit.validate()
    }

    /// Reads the changes of a PATCH request that concern members.
    pub fn of(changes: &[AttributeChange]) -> Result<Self, ScimError> {
        let mut edit = Self::default();
        for change in changes.iter().filter(|change| is_about_members(change)) {
            edit.apply(change)?;
        }
        edit.validate()
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn apply(&mut self, change: &AttributeChange) -> Result<(), ScimError> {
        let selected = match &change.path.filter {
            Some(filter) => {
                let id = filter.text("value").ok_or(ScimError::path("Members are selected by value."))?;
                Some(BTreeSet::from([id.to_owned()]))
            }
            None => None,
        };
        match (change.operation, selected) {
            // The parts of a member, such as `display`, are not kept.
            (_, _) if change.path.target.sub.is_some() => {}
            (Operation::Remove, Some(selected)) => self.remove(selected),
            (Operation::Remove, None) if change.value.is_null() => self.replace(BTreeSet::new()),
            (Operation::Remove, None) => self.remove(ids(&change.value)?),
            (Operation::Add | Operation::Replace, Some(selected)) => self.add(selected),
            (Operation::Add, None) => self.add(ids(&change.value)?),
            (Operation::Replace, None) => self.replace(ids(&change.value)?),
        }
        Ok(())
    }

    fn add(&mut self, ids: BTreeSet<String>) {
        for id in &ids {
            self.removed.remove(id);
        }
        self.added.extend(ids);
    }

    fn remove(&mut self, ids: BTreeSet<String>) {
        for id in &ids {
            self.added.remove(id);
        }
        self.removed.extend(ids);
    }

    fn replace(&mut self, ids: BTreeSet<String>) {
        *self = Self { is_complete: true, added: ids, removed: BTreeSet::new() };
    }

    fn validate(self) -> Result<Self, ScimError> {
        if self.added.len() > MAX_MEMBERS || self.removed.len() > MAX_MEMBERS {
            return Err(ScimError::value("A group can have at most 20000 members."));
        }
        Ok(self)
    }
}

pub fn is_about_members(change: &AttributeChange) -> bool {
    change.path.target.is(MEMBERS)
}

/// Reads the ids of members: a list of objects with a `value`, or one of them. Entra ID and others also send plain ids.
fn ids(members: &Value) -> Result<BTreeSet<String>, ScimError> {
    let list = match members {
        Value::Null => &[],
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let id = |member: &Value| match member {
        Value::String(id) => Some(id.clone()),
        Value::Object(member) => attributes::get(member, "value").and_then(Value::as_str).map(str::to_owned),
        _ => None,
    };
    list.iter().map(|member| id(member).ok_or(ScimError::value("A member must have the id of a user as its value."))).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::scim::parse_changes;

    fn edit(operations: Value) -> Result<MemberEdit, ScimError> {
        let request = json!({"Operations": operations});
        MemberEdit::of(&parse_changes(request.as_object().unwrap())?)
    }

    #[rstest]
    #[case::entra_add(json!([{"op": "Add", "path": "members", "value": [{"$ref": null, "value": "a"}, {"value": "b"}]}]), false, &["a", "b"], &[])]
    #[case::entra_remove(json!([{"op": "Remove", "path": "members", "value": [{"value": "a"}]}]), false, &[], &["a"])]
    #[case::by_filter(json!([{"op": "remove", "path": "members[value eq \"a\"]"}]), false, &[], &["a"])]
    #[case::okta_replace(json!([{"op": "replace", "path": "members", "value": [{"value": "a", "display": "A"}]}]), true, &["a"], &[])]
    #[case::okta_without_path(json!([{"op": "replace", "value": {"id": "g", "displayName": "G", "members": [{"value": "a"}]}}]), true, &["a"], &[])]
    #[case::without_path(json!([{"op": "add", "value": {"members": [{"value": "a"}]}}]), false, &["a"], &[])]
    #[case::all(json!([{"op": "remove", "path": "members"}]), true, &[], &[])]
    #[case::one_object(json!([{"op": "add", "path": "members", "value": {"value": "a"}}]), false, &["a"], &[])]
    #[case::in_order(json!([{"op": "add", "path": "members", "value": [{"value": "a"}]}, {"op": "remove", "path": "members[value eq \"a\"]"}, {"op": "add", "path": "members", "value": "b"}]), false, &["b"], &["a"])]
    #[case::parts(json!([{"op": "replace", "path": "members[value eq \"a\"].display", "value": "x"}]), false, &[], &[])]
    #[case::nothing(json!([{"op": "replace", "path": "displayName", "value": "x"}]), false, &[], &[])]
    fn both_dialects_are_understood(
        #[case] operations: Value,
        #[case] is_complete: bool,
        #[case] added: &[&str],
        #[case] removed: &[&str],
    ) {
        let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(edit(operations).unwrap(), MemberEdit { is_complete, added: set(added), removed: set(removed) });
    }

    #[rstest]
    #[case(json!([{"op": "add", "path": "members", "value": [{"display": "a"}]}]))]
    #[case(json!([{"op": "add", "path": "members", "value": [1]}]))]
    #[case(json!([{"op": "remove", "path": "members[display eq \"a\"]"}]))]
    fn members_without_an_id_are_refused(#[case] operations: Value) {
        assert!(edit(operations).is_err());
    }
}
