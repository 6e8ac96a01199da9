//! Compares the log events in the sources with the tables of docs/logging.md.

mod tokens;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use tokens::{Token, tokenize};

const LEVELS: [&str; 3] = ["info", "warn", "error"];

/// The fields of each event, by message and level. A message that several places log has the fields of all of them.
type LogEvents = BTreeMap<(String, String), BTreeSet<String>>;

#[test]
fn docs_list_every_event_with_its_fields() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut logged = LogEvents::new();
    for path in sources(&root.join("src")) {
        add_events(&fs::read_to_string(path).unwrap(), &mut logged);
    }
    assert!(logged.len() > 80, "only {} events found", logged.len());
    for (message, _) in logged.keys() {
        assert!(message.starts_with(|first: char| first.is_ascii_lowercase()) && !message.ends_with('.'), "{message}");
    }
    let documented = documented(&fs::read_to_string(root.join("docs/logging.md")).unwrap());
    assert_eq!(differences(&logged, &documented), Vec::<String>::new(), "update docs/logging.md");
}

#[test]
fn a_missing_an_extra_and_a_renamed_event_or_field_are_differences() {
    let mut logged = LogEvents::new();
    add_events(r#"fn f() { tracing::warn!(provider = self.id(), %error, ?retry_in, "fetch failed"); }"#, &mut logged);
    let differences = |table: &str| differences(&logged, &documented(table)).len();
    assert_eq!(differences("| `fetch failed` | warn | `provider`, `error`, `retry_in` | It failed. |"), 0);
    assert_eq!(differences("| `fetch failed` | warn | `provider`, `error` | A field is missing. |"), 1);
    assert_eq!(differences("| `fetch failed` | warn | `provider`, `error`, `retry_in`, `user` | One is extra. |"), 1);
    assert_eq!(differences("| `fetch failed` | warn | `provider`, `cause`, `retry_in` | One is renamed. |"), 1);
    assert_eq!(differences("| `fetch failed` | error | `provider`, `error`, `retry_in` | Another level. |"), 2);
    assert_eq!(differences("| `fetch ended` | warn | `provider`, `error`, `retry_in` | Another message. |"), 2);
    assert_eq!(differences(""), 1);
}

#[test]
fn events_of_tests_comments_and_lower_levels_are_left_out() {
    let source = r##"
        // tracing::info!("in a comment");
        /* tracing::info!("in /* a nested */ comment"); */
        fn f<'a>(text: &'a str) {
            let other = ['"', '\'', '{'];
            let raw = r#"tracing::info!("in a string")"#;
            tracing::debug!("too low");
            tracing::info!(
                user = user(a, "b, c").id,
                by.name = %by, // for the "audit"
                "user \"x\" disabled",
            );
            match outcome { Ok(()) => warn!("short"), Err(_) => {} }
        }
        #[cfg(test)]
        #[derive(Debug)]
        struct Test;
        #[cfg(test)]
        mod tests { fn g() { tracing::error!("in a test"); } }
        fn h() { tracing::error!(%error, "after the tests") }
    "##;
    let mut logged = LogEvents::new();
    add_events(source, &mut logged);
    let found: Vec<String> =
        logged.iter().map(|((message, level), fields)| format!("{level} {message} {}", list(fields))).collect();
    let wanted = ["error after the tests error", "warn short ", r#"info user \"x\" disabled by.name, user"#];
    assert_eq!(found, wanted);
}

#[test]
#[should_panic(expected = "is no literal")]
fn a_message_with_interpolated_data_is_an_error() {
    add_events(r#"fn f() { tracing::info!("user {user} disabled"); }"#, &mut LogEvents::new());
}

/// The source files without those that are only compiled for tests.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests" || stem == "docs");
        if path.is_dir() && !is_test {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
            found.push(path);
        }
    }
    found
}

fn add_events(source: &str, events: &mut LogEvents) {
    let tokens = without_tests(&tokenize(source));
    for (place, window) in tokens.windows(3).enumerate() {
        let [Token::Word(level), Token::Mark('!'), Token::Mark('(' | '{' | '[')] = window else { continue };
        if LEVELS.contains(&level.as_str()) {
            let (message, fields) = parse_event(group(&tokens[place + 2..]));
            events.entry((message, level.clone())).or_default().extend(fields);
        }
    }
}

/// The tokens without items that have the attribute `#[cfg(test)]`.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let attribute = tokenize("#[cfg(test)]");
    let (mut kept, mut rest) = (Vec::new(), tokens);
    while let Some(first) = rest.first() {
        if rest.starts_with(&attribute) {
            rest = after_item(&rest[attribute.len()..]);
        } else {
            kept.push(first.clone());
            rest = &rest[1..];
        }
    }
    kept
}

/// The tokens after an item, which ends with a semicolon or a block.
fn after_item(mut rest: &[Token]) -> &[Token] {
    while let Some(first) = rest.first() {
        match first {
            Token::Mark(';') => return &rest[1..],
            Token::Mark('{') => return &rest[group(rest).len() + 2..],
            Token::Mark('(' | '[') => rest = &rest[group(rest).len() + 2..],
            _ => rest = &rest[1..],
        }
    }
    rest
}

/// The tokens within the bracket that opens the slice.
fn group(tokens: &[Token]) -> &[Token] {
    let mut depth = 0_usize;
    for (place, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &tokens[1..place];
        }
    }
    panic!("a bracket is not closed: {:?}", &tokens[..tokens.len().min(10)]);
}

/// The message and the names of the fields.
fn parse_event(arguments: &[Token]) -> (String, BTreeSet<String>) {
    let (mut message, mut fields) = (None, BTreeSet::new());
    for argument in split_at_commas(arguments) {
        match argument {
            [Token::Text(text)] if message.is_none() && !text.contains('{') => message = Some(text.clone()),
            _ => assert!(message.is_none() && fields.insert(field_name(argument)), "the message is no literal: {arguments:?}"),
        }
    }
    (message.unwrap_or_else(|| panic!("an event has no message: {arguments:?}")), fields)
}

fn split_at_commas(tokens: &[Token]) -> Vec<&[Token]> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (place, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => depth -= 1,
            Token::Mark(',') if depth == 0 => {
                parts.push(&tokens[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&tokens[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// `name = value`, or `name` alone, which may begin with `%` or `?`.
fn field_name(argument: &[Token]) -> String {
    let name = argument.iter().skip_while(|token| matches!(token, Token::Mark('%' | '?')));
    let name = name.take_while(|token| **token != Token::Mark('='));
    let parts = name.map(|token| match token {
        Token::Word(word) => word.as_str(),
        Token::Mark('.') => ".",
        _ => panic!("the message is no literal, or a field has no name: {argument:?}"),
    });
    parts.collect()
}

/// The rows of the tables that have a level in the second column.
fn documented(text: &str) -> LogEvents {
    let mut events = LogEvents::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, message, level, fields, ..] = cells[..] else { continue };
        if LEVELS.contains(&level) {
            let fields = fields.split(", ").map(|field| field.trim_matches('`').to_owned()).filter(|field| !field.is_empty());
            let known = events.insert((message.trim_matches('`').to_owned(), level.to_owned()), fields.collect());
            assert!(known.is_none(), "{message} is documented twice at {level}");
        }
    }
    events
}

fn differences(logged: &LogEvents, documented: &LogEvents) -> Vec<String> {
    let all: BTreeSet<_> = logged.keys().chain(documented.keys()).collect();
    let describe = |key: &(String, String)| match (logged.get(key), documented.get(key)) {
        (Some(fields), None) => Some(format!("not documented: | `{}` | {} | {} |", key.0, key.1, list(fields))),
        (None, Some(_)) => Some(format!("not logged: `{}` at {}", key.0, key.1)),
        (Some(logged), Some(documented)) if logged != documented => {
            Some(format!("`{}` at {} has the fields {}, not {}", key.0, key.1, list(logged), list(documented)))
        }
        _ => None,
    };
    all.into_iter().filter_map(describe).collect()
}

fn list(fields: &BTreeSet<String>) -> String {
    fields.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
