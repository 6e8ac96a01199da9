//! Checks the settings that docs/lifecycle.md names, with the defaults that it states.

use std::path::Path;

use crate::config::root;
use crate::yaml::decode::Declaration;

/// Returns the code in a text that is followed by a value in parentheses, with this value: `` `sessions.idle` (12h) ``.
fn stated_defaults(text: &str) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = text.split('`').collect();
    let codes = parts.chunks_exact(2).map(|pair| pair[1]);
    let following = parts.iter().skip(2).step_by(2);
    codes.zip(following).filter_map(|(code, after)| Some((code, after.strip_prefix(" (")?.split_once(')')?.0))).collect()
}

/// Returns the default of a field by its path.
fn default_of(path: &str) -> Option<String> {
    root::declarations().into_iter().find_map(|declaration| match declaration {
        Declaration::Field { section, name, default, .. } if format!("{section}.{name}") == path => {
            Some(default.replace('`', ""))
        }
        _ => None,
    })
}

#[test]
fn the_times_of_the_lifecycle_page_are_the_defaults() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lifecycle.md")).unwrap();
    let stated = stated_defaults(&page);
    assert!(stated.len() > 10, "{stated:?}");
    for (path, value) in stated {
        assert_eq!(default_of(path).as_deref(), Some(value), "{path}");
    }
}
