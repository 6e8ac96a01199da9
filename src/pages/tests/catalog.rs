//! Compares the catalog with its uses: every message is used, and every use has its message.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

const CATALOG: &str = include_str!("../../../templates/text/en.ftl");

/// The messages of a failure's page.
const FAILURE_SUFFIXES: [&str; 3] = ["-title", "-happened", "-next"];

/// A message's use in a template: `"id"|t|with("name", …)`.
#[derive(Debug)]
struct Use {
    file: String,
    id: String,
    values: BTreeSet<String>,
    is_rich: bool,
}

fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    fn collect(folder: &Path, extension: &str, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).expect("a folder of ours").map(|entry| entry.expect("it is there").path()) {
            if entry.is_dir() {
                collect(&entry, extension, found);
            } else if entry.extension().is_some_and(|own| own == extension) {
                found.push((entry.display().to_string(), fs::read_to_string(&entry).expect("it is text")));
            }
        }
    }
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), extension, &mut found);
    found
}

fn templates() -> Vec<(String, String)> {
    files("templates", "html")
}

/// The code without its tests.
fn code() -> Vec<(String, String)> {
    let cut =
        |(name, text): (String, String)| (name, text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned());
    let all = files("src/http", "rs").into_iter().chain(files("src/pages", "rs"));
    all.filter(|(name, _)| !name.contains("tests")).map(cut).collect()
}

/// The messages and their texts, by id.
fn messages() -> BTreeMap<String, String> {
    let mut messages = BTreeMap::new();
    let mut last = String::new();
    for line in CATALOG.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once('=') {
            Some((id, text)) if id.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                last = id.trim().to_owned();
                assert_eq!(messages.insert(last.clone(), text.trim().to_owned()), None, "{last} stands twice");
            }
            _ if last.is_empty() => {}
            _ => messages.entry(last.clone()).or_default().push_str(&format!("\n{line}")),
        }
    }
    messages
}

fn placeholders(message: &str) -> BTreeSet<String> {
    let names =
        message.split('$').skip(1).map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next().expect("a beginning"));
    names.map(str::to_owned).collect()
}

fn uses() -> Vec<Use> {
    let mut uses = Vec::new();
    for (file, text) in templates() {
        for (at, _) in text.match_indices("\"|t") {
            let id = text[..at].rsplit('"').next().expect("a beginning").to_owned();
            let mut rest = &text[at + 3..];
            let mut values = BTreeSet::new();
            while let Some(argument) = rest.strip_prefix("|with(\"").or_else(|| rest.strip_prefix("|count(\"")) {
                values.insert(argument.split('"').next().expect("a beginning").to_owned());
                rest = after_parenthesis(argument).expect("askama has read it");
            }
            uses.push(Use { file: file.clone(), id, values, is_rich: rest.starts_with("|rich") });
        }
    }
    uses
}

/// The text after the parenthesis that is open at the beginning.
fn after_parenthesis(text: &str) -> Option<&str> {
    let mut depth = 1;
    for (at, character) in text.char_indices() {
        depth += match character {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth == 0 {
            return Some(&text[at + 1..]);
        }
    }
    None
}

/// The string literals of some code that may be ids.
fn literals(code: &str) -> impl Iterator<Item = &str> {
    let is_id = |text: &&str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    code.split('"').filter(is_id)
}

/// The first literal in each of these calls.
fn literals_in<'a>(code: &'a str, call: &'a str) -> impl Iterator<Item = &'a str> {
    let inside = |rest: &'a str| Some(&rest[..rest.len() - after_parenthesis(rest)?.len()]);
    code.split(call).skip(1).filter_map(inside).filter_map(|inside| literals(inside).next())
}

#[test]
fn every_message_of_a_template_exists_and_gets_all_its_values() {
    let messages = messages();
    let uses = uses();
    assert!(uses.len() > 200, "{}", uses.len());
    for Use { file, id, values, is_rich } in uses {
        let message = messages.get(&id).unwrap_or_else(|| panic!("{file}: there is no {id}"));
        assert_eq!(values, placeholders(message), "{file}: {id}");
        assert_eq!(is_rich, message.contains('<'), "{file}: {id}: `rich` is for messages with tags");
    }
}

#[test]
fn every_message_of_the_code_exists() {
    let messages = messages();
    for (file, code) in code() {
        for call in ["text(", "Text::of(", "Problem::of(", ".action("] {
            for id in literals_in(&code, call).filter(|id| id.contains('-')) {
                assert!(messages.contains_key(id), "{file}: there is no {id}");
            }
        }
        let pages = ["::of_page(", ".page("].into_iter().flat_map(|call| literals_in(&code, call));
        for id in pages {
            for part in FAILURE_SUFFIXES {
                assert!(messages.contains_key(&format!("{id}{part}")), "{file}: there is no {id}{part}");
            }
        }
    }
}

#[test]
fn every_message_is_used() {
    let code: String = code().into_iter().map(|(_, text)| text).collect();
    let mut used: BTreeSet<String> = uses().into_iter().map(|each| each.id).collect();
    for literal in literals(&code) {
        used.extend(FAILURE_SUFFIXES.map(|part| format!("{literal}{part}")));
        used.insert(literal.to_owned());
    }
    for id in messages().keys() {
        assert!(used.contains(id), "nothing says {id}");
    }
}

#[test]
fn messages_have_only_tags_without_style() {
    for (id, message) in messages() {
        for tag in message.split('<').skip(1).map(|rest| rest.split('>').next().expect("a beginning")) {
            let name = tag.trim_start_matches('/').split(' ').next().expect("a beginning");
            assert!(["a", "bdi", "code", "time"].contains(&name), "{id}: <{tag}>");
        }
        assert_eq!(message.matches('<').count(), message.matches('>').count() - message.matches("->").count(), "{id}");
        super::html::assert_balanced(&id, &message.replace("->", ""));
    }
}

#[test]
fn no_template_has_text_outside_the_catalog() {
    for (file, template) in templates() {
        let template = without(&template, "{% block shape %}", "{% endblock %}");
        let text = without(&without(&template, "{%", "%}"), "{{", "}}");
        let shown = without(&text, "<", ">");
        assert!(!shown.contains(char::is_alphabetic), "{file}: {}", shown.trim());
        for attribute in ["aria-label", "title", "placeholder", "alt"] {
            for value in text.split(&format!(" {attribute}=\"")).skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(!value.contains(char::is_alphabetic), "{file}: {attribute}: {value}");
            }
        }
    }
}

/// The text without the parts between `begin` and `end`.
fn without(text: &str, begin: &str, end: &str) -> String {
    let mut parts = text.split(begin);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| kept + part.split_once(end).map_or("", |(_, rest)| rest))
}
