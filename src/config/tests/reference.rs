//! Checks that docs/configuration.md matches the code.

use std::path::{Path, PathBuf};

use super::{KEY, config, mistakes};
use crate::config::env::variable_of;
use crate::config::{StoreConfig, reference, root};
use crate::yaml::decode::Declaration;

const BEGIN: &str = "<!-- reference: begin -->\n";
const END: &str = "<!-- reference: end -->";

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")
}

#[test]
fn the_reference_is_what_the_code_declares() {
    let text = std::fs::read_to_string(page()).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    let expected = format!("\n{}\n", reference());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(page(), format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    assert!(written == expected, "docs/configuration.md is out of date: run UPDATE_DOCS=1 cargo test --lib config");
}

#[test]
fn the_examples_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("keyring"), KEY).unwrap();
    std::fs::write(folder.path().join("redis-password"), "hunter2\n").unwrap();
    std::fs::write(folder.path().join("corp-secret"), "hunter3\n").unwrap();
    std::fs::write(folder.path().join("roles.yaml"), "version: 1\n").unwrap();
    std::fs::write(folder.path().join("github-secret"), "hunter4\n").unwrap();
    let text = std::fs::read_to_string(page()).unwrap();
    let examples: Vec<_> = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!examples.is_empty());
    for example in examples {
        let example = example.replace("/etc/vestibule/", &format!("{}/", folder.path().display()));
        let found = config(&example, &[]);
        assert!(matches!(found.store, StoreConfig::Redis(_)) && !found.providers.is_empty());
    }
}

#[test]
fn the_mistakes_in_the_documentation_match_the_code() {
    let text = "public_url: http://llm.example.com\nstore: {url: 'redis://redis'}\nproviders:\n  - id: a\n    isuer: x\n    \
                issuer: https://a.example\n    client_id: x";
    let found = mistakes(text, &[("VESTIBULE__SESSIONS__IDLE", "12")]);
    let page = std::fs::read_to_string(page()).unwrap();
    assert!(page.contains(&format!("```text\n{}\n```", found.join("\n"))), "{found:#?}");
}

#[test]
fn every_field_can_be_set_by_its_variable() {
    for declaration in root::declarations() {
        let Declaration::Field { section, name, .. } = declaration else { continue };
        let path = if section.is_empty() { name } else { format!("{section}.{name}") };
        let variable = variable_of(&path);
        // No field accepts an empty value, so that the mistake shows that the field was found.
        let found = mistakes("", &[(&variable, "")]);
        let own = format!("{} ({variable}): ", path.replace("[]", "[0]"));
        assert!(found.iter().any(|line| line.starts_with(&own) && !line.contains("is unknown")), "{path}: {found:?}");
    }
}

#[test]
fn texts_of_the_reference_fit_its_tables() {
    for declaration in root::declarations() {
        let Declaration::Field { name, kind, default, doc, .. } = declaration else { continue };
        assert!(![&name, &kind, &default].iter().any(|cell| cell.contains(['|', '\n'])), "{name}");
        assert!(!doc.contains(['|', '\n']) && doc.ends_with('.'), "{name}: {doc}");
    }
}
