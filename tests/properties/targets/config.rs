//! The configuration file: what it is read as, another reader of YAML can read too, and every refusal says why.

use vestibule::config;

pub fn holds(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match config::parse(&text, std::iter::empty()) {
        Ok(_) => {
            let read = serde_saphyr::from_str::<serde_json::Value>(&text);
            assert!(read.is_ok() || text.trim_start_matches('\u{feff}').trim().is_empty(), "{text:?}: {read:?}");
        }
        Err(mistakes) => assert!(!mistakes.to_string().trim().is_empty(), "{text:?}"),
    }
}
