//! Compares the messages of failed logins and metadata fetches in the sources with docs/login.md.

use std::{fs, path::Path};

const SECTION: &str = "### Messages of failed logins\n";

/// The sources whose error messages reach the field `error` of `login failed` and `provider metadata not fetched`.
const SOURCES: [&str; 12] = [
    "json/document.rs",
    "jwt.rs",
    "jwt/key_set.rs",
    "oidc/authentication.rs",
    "oidc/discovery.rs",
    "oidc/exchange.rs",
    "oidc/http.rs",
    "oidc/id_token.rs",
    "oidc/signing_keys.rs",
    "oidc/openid_connect.rs",
    "oidc/token_response.rs",
    "oidc/userinfo.rs",
];

#[test]
fn docs_list_every_message_of_a_failed_login() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/login.md")).unwrap();
    let section = page.split_once(SECTION).expect("the page has the section").1;
    let section = section.split("\n## ").next().unwrap_or(section);
    let messages: Vec<_> =
        SOURCES.iter().flat_map(|source| messages(&fs::read_to_string(root.join("src").join(source)).unwrap())).collect();
    assert!(messages.len() > 40, "only {} messages found", messages.len());
    let missing: Vec<_> = messages.iter().filter(|message| !section.contains(&format!("`{message}`"))).collect();
    assert!(missing.is_empty(), "update docs/login.md: {missing:#?}");
    let listed =
        section.lines().filter(|line| line.starts_with("| `")).flat_map(|row| code_in(row.split(" | ").next().unwrap_or(row)));
    let unknown: Vec<_> = listed.filter(|listed| !messages.contains(listed)).collect();
    assert!(unknown.is_empty(), "no source has these messages: {unknown:#?}");
}

/// Returns the texts of `#[error("…")]`, with `…` for each value. A text that is only a value is left out.
fn messages(source: &str) -> Vec<String> {
    let texts = source.split("#[error(\"").skip(1).filter_map(|rest| rest.split_once("\")]")).map(|(text, _)| text);
    texts.map(with_ellipses).filter(|text| text != "…").collect()
}

fn with_ellipses(text: &str) -> String {
    let mut parts = text.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "…" + part.split_once('}').map_or("", |(_, rest)| rest))
}

/// Returns the texts in backticks.
fn code_in(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn messages_are_found_with_their_values_left_out() {
    let source = "#[error(\"{host} answered with status {status}\")]\nA,\n#[error(transparent)]\nB,\n#[error(\"{0}\")]\nC,\n#[error(\"it is {0:?}, not that\")]\nD";
    assert_eq!(messages(source), ["… answered with status …", "it is …, not that"]);
}
