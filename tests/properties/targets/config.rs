//! The configuration file: what is read, another reader of YAML can read too, and every refusal says why.

use vestibule::config;

pub fn holds(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match config::parse(&text, std::iter::empty()) {
        // Directives are about tags and versions, of which nothing is read here; the other reader is strict about them.
        Ok(_) if text.contains('%') => {}
        Ok(_) => {
            let read = serde_saphyr::from_str::<serde_json::Value>(&text);
            assert!(read.is_ok() || text.trim_start_matches('\u{feff}').trim().is_empty(), "{text:?}: {read:?}");
        }
        Err(mistakes) => assert!(!mistakes.to_string().trim().is_empty(), "{text:?}"),
    }
}
