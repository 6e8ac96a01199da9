//! One target a file. None of them knows of a test framework, so that libFuzzer can run them too.

pub mod claim_path;
pub mod config;
pub mod cookies;
pub mod handles;
pub mod original_url;
pub mod path_interpretations;
pub mod return_to;
pub mod role_map;

pub type Holds = fn(&[u8]);

/// By the name of their corpus.
pub const ALL: [(&str, Holds); 8] = [
    ("claim_path", claim_path::holds),
    ("config", config::holds),
    ("cookies", cookies::holds),
    ("handles", handles::holds),
    ("original_url", original_url::holds),
    ("path_interpretations", path_interpretations::holds),
    ("return_to", return_to::holds),
    ("role_map", role_map::holds),
];
