//! The configuration file: another YAML parser accepts what is read, and every error has a reason.

use vestibule::config;

pub fn holds(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match config::parse(&text, std::iter::empty()) {
        // Directives concern tags and versions, which are not used here; the other parser is strict about them.
        Ok(_) if text.contains('%') => {}
        Ok(_) => {
            let read = serde_saphyr::from_str::<serde_json::Value>(&text);
            assert!(read.is_ok() || text.trim_start_matches('\u{feff}').trim().is_empty(), "{text:?}: {read:?}");
        }
        Err(mistakes) => assert!(!mistakes.to_string().trim().is_empty(), "{text:?}"),
    }
}
