//! Converts a parsed document to JSON, by YAML's core schema.

use serde_json::{Map, Number, Value};

use super::tree::{self, Node, Scalar, Style};

/// Converts the document to JSON. Values for which a mistake is recorded become null.
pub fn to_json(node: &Node) -> Value {
    match &node.value {
        tree::NodeValue::Broken => Value::Null,
        tree::NodeValue::Scalar(scalar) => scalar_to_json(scalar),
        tree::NodeValue::Seq(nodes) => nodes.iter().map(to_json).collect(),
        tree::NodeValue::Map(entries) => {
            Value::Object(entries.iter().map(|entry| (entry.key.clone(), to_json(&entry.value))).collect::<Map<_, _>>())
        }
    }
}

fn scalar_to_json(scalar: &Scalar) -> Value {
    let text = scalar.text.as_str();
    if scalar.style != Style::Plain {
        return text.into();
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        _ => text.parse::<Number>().map_or_else(|_| text.into(), Value::Number),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::yaml::{Subset, parse};

    #[test]
    fn scalars_have_the_types_of_the_core_schema() {
        let parsed = parse("{a: [1, -2.5, true, ~, x, '1', 1.2.3, 2025-01-01], b: {}}", Subset::Plain);
        let expected = json!({"a": [1, -2.5, true, null, "x", "1", "1.2.3", "2025-01-01"], "b": {}});
        assert_eq!(to_json(&parsed.root), expected);
    }
}
