//! The description of the service: ServiceProviderConfig, ResourceTypes and Schemas (RFC 7643, sections 5 to 7).

use serde_json::{Value, json};

use super::MAX_PAGE;

pub const USER_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub const GROUP_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub const ENTERPRISE_USER_SCHEMA: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

pub fn service_provider_config(base: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": MAX_PAGE},
        "changePassword": {"supported": false},
        "sort": {"supported": false},
        "etag": {"supported": false},
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "The token of `scim.token_file`.",
            "primary": true,
        }],
        "meta": {"resourceType": "ServiceProviderConfig", "location": format!("{base}/ServiceProviderConfig")},
    })
}

/// All resource types.
pub fn resource_types(base: &str) -> Vec<Value> {
    let resource_type = |name: &str, endpoint: &str, schema: &str, extensions: Value| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": name,
            "name": name,
            "endpoint": endpoint,
            "schema": schema,
            "schemaExtensions": extensions,
            "meta": {"resourceType": "ResourceType", "location": format!("{base}/ResourceTypes/{name}")},
        })
    };
    let extensions = json!([{"schema": ENTERPRISE_USER_SCHEMA, "required": false}]);
    vec![resource_type("User", "/Users", USER_SCHEMA, extensions), resource_type("Group", "/Groups", GROUP_SCHEMA, json!([]))]
}

/// All schemas. They describe the attributes that have a meaning, and those that directories usually send. Any other attribute is
/// kept too.
pub fn schemas(base: &str) -> Vec<Value> {
    let schema = |id: &str, name: &str, attributes: Vec<Value>| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
            "id": id,
            "name": name,
            "attributes": attributes,
            "meta": {"resourceType": "Schema", "location": format!("{base}/Schemas/{id}")},
        })
    };
    vec![
        schema(USER_SCHEMA, "User", user_attributes()),
        schema(GROUP_SCHEMA, "Group", group_attributes()),
        schema(ENTERPRISE_USER_SCHEMA, "EnterpriseUser", enterprise_attributes()),
    ]
}

fn user_attributes() -> Vec<Value> {
    vec![
        with(text("userName"), &json!({"required": true, "uniqueness": "server"})),
        with(text("externalId"), &json!({"caseExact": true, "uniqueness": "server"})),
        with(text("active"), &json!({"type": "boolean"})),
        text("displayName"),
        complex("name", vec![text("formatted"), text("familyName"), text("givenName")]),
        list("emails", vec![text("value"), text("type"), with(text("primary"), &json!({"type": "boolean"}))]),
        list("phoneNumbers", vec![text("value"), text("type")]),
        text("title"),
        text("preferredLanguage"),
        text("locale"),
        with(list("groups", vec![text("value"), text("display"), text("$ref")]), &json!({"mutability": "readOnly"})),
    ]
}

fn group_attributes() -> Vec<Value> {
    let id = with(text("value"), &json!({"mutability": "immutable", "caseExact": true}));
    vec![
        with(text("displayName"), &json!({"required": true, "uniqueness": "server"})),
        with(text("externalId"), &json!({"caseExact": true, "uniqueness": "server"})),
        list("members", vec![id, with(text("$ref"), &json!({"type": "reference", "referenceTypes": ["User"]})), text("type")]),
    ]
}

fn enterprise_attributes() -> Vec<Value> {
    let manager = complex("manager", vec![text("value"), text("displayName")]);
    ["employeeNumber", "costCenter", "organization", "division", "department"].map(text).into_iter().chain([manager]).collect()
}

fn text(name: &str) -> Value {
    json!({
        "name": name,
        "type": "string",
        "multiValued": false,
        "required": false,
        "caseExact": false,
        "mutability": "readWrite",
        "returned": "default",
        "uniqueness": "none",
    })
}

fn complex(name: &str, parts: Vec<Value>) -> Value {
    with(text(name), &json!({"type": "complex", "subAttributes": parts}))
}

fn list(name: &str, parts: Vec<Value>) -> Value {
    with(complex(name, parts), &json!({"multiValued": true}))
}

/// Replaces and adds members.
fn with(mut attribute: Value, members: &Value) -> Value {
    if let (Some(attribute), Some(members)) = (attribute.as_object_mut(), members.as_object()) {
        attribute.extend(members.clone());
    }
    attribute
}
