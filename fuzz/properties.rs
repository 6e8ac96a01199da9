//! Runs the properties of `tests/properties` with libFuzzer; `FUZZ_TARGET` selects the target.
#![no_main]

#[path = "../tests/properties"]
pub mod properties {
    pub mod targets;
}

use std::sync::LazyLock;

use properties::targets::ALL;

static HOLDS: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let found = ALL.iter().find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("FUZZ_TARGET is to be one of {:?}", ALL.map(|(name, _)| name))).1
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| HOLDS(input));
