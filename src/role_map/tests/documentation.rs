//! Tests that the role maps in the documentation are valid and that their examples grant what the pages state.

use std::collections::HashMap;
use std::{fs, path::Path};

use serde_json::Value;

use super::*;
use crate::access::CheckRequest;
use crate::principal::CredentialKind;

/// A part of a page that is checked.
enum Part {
    /// A fenced block: its info string, its text and its first line.
    Block { info: String, text: String, line: usize },
    /// The expected grant for the claims before it, in an HTML comment.
    Expectation { words: HashMap<String, String>, line: usize },
}

/// The role map and claims of the page up to the current part.
#[derive(Default)]
struct Reader {
    map: Option<RoleMap>,
    claims: Option<Value>,
    /// True if no expectation for the claims has been read yet.
    is_untested: bool,
    examples: usize,
}

const EXPECT: &str = "<!-- expect:";
const MIN_EXAMPLES: usize = 6;

#[test]
fn the_role_map_page_is_correct() {
    let read = read_page("docs/role-map.md");
    assert!(read.examples >= MIN_EXAMPLES, "the page has {} examples", read.examples);
}

#[test]
fn the_tokens_page_is_correct() {
    assert!(read_page("docs/tokens.md").examples >= 3);
}

#[test]
fn the_upstream_page_has_valid_role_maps() {
    assert!(read_page("docs/upstream.md").map.is_some());
}

#[test]
fn the_scim_page_is_correct() {
    assert!(read_page("docs/scim.md").examples > 0);
}

#[test]
fn the_litellm_migration_page_is_correct() {
    assert!(read_page("docs/from-litellm.md").examples > 0);
}

#[test]
fn the_authelia_migration_page_is_correct() {
    assert!(read_page("docs/from-authelia.md").examples > 0);
}

fn read_page(page: &str) -> Reader {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let mut reader = Reader::default();
    for part in parts(&text) {
        match part {
            Part::Block { info, text, line } => reader.block(&info, &text, &format!("{page}, line {line}")),
            Part::Expectation { words, line } => reader.expectation(&words, &format!("{page}, line {line}")),
        }
    }
    assert!(!reader.is_untested, "{page}: the last claims have no expectation");
    reader
}

impl Reader {
    fn block(&mut self, info: &str, text: &str, place: &str) {
        assert!(!self.is_untested, "{place}: the claims before it have no expectation");
        match info {
            "yaml role-map" => self.map = Some(parse_valid(text, place)),
            "yaml role-map part" => self.map = Some(parse_valid(&format!("version: 1\n{text}"), place)),
            "json claims" => {
                self.claims = Some(serde_json::from_str(text).unwrap_or_else(|error| panic!("{place}: {error}")));
                self.is_untested = true;
            }
            "yaml configuration" | "yaml litellm" | "yaml kubernetes" => {
                let read = serde_saphyr::from_str::<Value>(text);
                read.unwrap_or_else(|error| panic!("{place}: {error}"));
            }
            other => {
                assert!(!other.starts_with("yaml") && !other.starts_with("json"), "{place}: unknown kind of block {other:?}")
            }
        }
    }

    fn expectation(&mut self, words: &HashMap<String, String>, place: &str) {
        let map = self.map.as_ref().unwrap_or_else(|| panic!("{place}: no role map precedes it"));
        let claims = self.claims.as_ref().unwrap_or_else(|| panic!("{place}: no claims precede it"));
        let provider = words.get("provider").map_or("corp", String::as_str);
        let mut configured = map.named_providers();
        configured.push(provider);
        assert_eq!(map.check_configured(&providers(&configured)), Ok(()), "{place}");
        let identities = [identity(provider, claims)];
        let (grant, by) = match words.get("who").map(String::as_str) {
            Some("workload") => (map.evaluate_workload(&identities), CredentialKind::Jwt),
            None => (map.evaluate(&identities), CredentialKind::Session),
            Some(other) => panic!("{place}: unknown principal {other}"),
        };
        assert_eq!(role_of(&grant).0, words["role"], "{place}");
        assert_eq!(teams_of(&grant).join(","), words.get("teams").map_or("", String::as_str), "{place}");
        if let Some(request) = words.get("request") {
            assert_eq!(access(map, request, &grant, by), words["access"], "{place}");
        }
        self.is_untested = false;
        self.examples += 1;
    }
}

/// Parses a role map, which must be valid for the parser and for the schema.
fn parse_valid(text: &str, place: &str) -> RoleMap {
    let document: Value = serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{place}: {error}"));
    let schema: Value = serde_json::from_str(schema()).expect("the schema is JSON");
    let validation = jsonschema::validate(&schema, &document);
    assert!(validation.is_ok(), "{place}: {validation:?}");
    RoleMap::parse(text).unwrap_or_else(|error| panic!("{place}: {error}"))
}

/// Parses claims in the format of `role-map explain`: the claims of the id_token, or claims by source.
fn identity(provider: &str, given: &Value) -> IdentityClaims {
    let given = given.as_object().expect("the pages hold objects");
    if !given.keys().all(|name| Source::parse(name).is_some()) {
        return identity_of(provider, Value::Object(given.clone()));
    }
    let source = |source: Source| given.get(source.as_str()).map(|granted| claims(granted.clone()));
    let id_token = given.get("id_token").cloned().unwrap_or_else(|| serde_json::json!({}));
    let (access_token, userinfo) = (source(Source::AccessToken), source(Source::Userinfo));
    let (directory, scim) = (source(Source::Directory), source(Source::Scim));
    IdentityClaims { access_token, userinfo, directory, scim, ..identity_of(provider, id_token) }
}

/// The decision for a request such as `GET:/v1/models` with this grant.
fn access(map: &RoleMap, request: &str, grant: &Grant, by: CredentialKind) -> &'static str {
    let (method, path) = request.split_once(':').expect("a request is written METHOD:/path");
    let request = CheckRequest { method, scheme: "https", host: "llm.example.com", path, query: None };
    let selected = map.access().expect("the role map has an access section").match_request(&request);
    match selected.map(|rules| rules.authorize(grant, by).is_ok()) {
        Ok(true) => "allowed",
        _ => "refused",
    }
}

fn parts(page: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut block: Option<(String, String, usize)> = None;
    for (number, line) in (1..).zip(page.lines()) {
        block = match (block, line.strip_prefix("```")) {
            (None, Some(info)) => Some((info.to_owned(), String::new(), number)),
            (None, None) => {
                parts.extend(expectation_in(line, number));
                None
            }
            (Some((info, text, line)), Some(_)) => {
                parts.push(Part::Block { info, text, line });
                None
            }
            (Some((info, text, begin)), None) => Some((info, text + line + "\n", begin)),
        };
    }
    assert!(block.is_none(), "every block has an end");
    parts
}

fn expectation_in(text: &str, line: usize) -> Option<Part> {
    let words = text.strip_prefix(EXPECT)?.strip_suffix("-->").expect("a comment ends on its line");
    let words = words.split_whitespace().map(|word| word.split_once('=').expect("a word is written name=value"));
    let known = |name: &str| ["role", "teams", "provider", "request", "access", "who"].contains(&name);
    let words: HashMap<_, _> = words.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert!(words.keys().all(|name| known(name)), "line {line}: an expectation has no other words");
    Some(Part::Expectation { words, line })
}
