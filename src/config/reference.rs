//! The configuration's reference as Markdown, made from the declarations that also read it.

use std::fmt::Write;

use super::env::variable_of;
use crate::yaml::decode::Declaration;

/// A heading and a table for the top level, then for each section.
pub fn render(declarations: &[Declaration]) -> String {
    let mut text = String::from("### Top level\n\n");
    table(&mut text, declarations, "");
    for declaration in declarations {
        if let Declaration::Section { path, doc } = declaration {
            write!(text, "\n### `{path}`\n\n{doc}\n\n").expect("a String takes every write");
            table(&mut text, declarations, path);
        }
    }
    text
}

/// The environment names of all fields outside lists, which have one fixed name each.
pub fn variables(declarations: &[Declaration]) -> Vec<String> {
    let path = |declaration: &Declaration| match declaration {
        Declaration::Field { section, name, .. } if !section.contains("[]") => Some(path_of(section, name)),
        _ => None,
    };
    declarations.iter().filter_map(path).map(|path| variable_of(&path)).collect()
}

fn table(text: &mut String, declarations: &[Declaration], wanted: &str) {
    text.push_str("| Field | Type | Default | Meaning | Environment |\n| --- | --- | --- | --- | --- |\n");
    for declaration in declarations {
        let Declaration::Field { section, name, kind, default, doc } = declaration else {
            continue;
        };
        if section == wanted {
            let variable = variable_of(&path_of(section, name));
            writeln!(text, "| `{name}` | {kind} | {default} | {doc} | `{variable}` |").expect("a String takes every write");
        }
    }
}

fn path_of(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}
