//! Renders the configuration reference as Markdown from the declarations of the fields.

use std::fmt::Write;

use super::env::variable_of;
use crate::yaml::decode::Declaration;

/// Renders a heading and a table for the top level and for each section.
pub fn render(declarations: &[Declaration]) -> String {
    let mut text = String::from("### Top level\n\n");
    table(&mut text, declarations, "");
    for declaration in declarations {
        if let Declaration::Section { path, doc } = declaration {
            write!(text, "\n### `{path}`\n\n{}\n\n", wrap(doc)).expect("writing to a String can't fail");
            table(&mut text, declarations, path);
        }
    }
    text
}

/// Returns the environment variables of all fields outside of lists.
pub fn variables(declarations: &[Declaration]) -> Vec<String> {
    let path = |declaration: &Declaration| match declaration {
        Declaration::Field { section, name, .. } if !section.contains("[]") => Some(path_of(section, name)),
        _ => None,
    };
    declarations.iter().filter_map(path).map(|path| variable_of(&path)).collect()
}

fn table(text: &mut String, declarations: &[Declaration], selected: &str) {
    text.push_str("| Field | Type | Default | Meaning | Environment |\n| --- | --- | --- | --- | --- |\n");
    for declaration in declarations {
        let Declaration::Field { section, name, kind, default, doc } = declaration else {
            continue;
        };
        if section == selected {
            let variable = variable_of(&path_of(section, name));
            writeln!(text, "| `{name}` | {kind} | {default} | {doc} | `{variable}` |").expect("writing to a String can't fail");
        }
    }
}

/// Breaks a paragraph into lines of at most 120 columns.
fn wrap(paragraph: &str) -> String {
    let mut lines = vec![String::new()];
    for word in paragraph.split(' ') {
        let fits = lines.last().is_some_and(|line| line.chars().count() + 1 + word.chars().count() <= 120);
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if fits => line.extend([" ", word]),
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

fn path_of(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}
