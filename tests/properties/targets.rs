//! One target per file. They are independent of test frameworks, so that libFuzzer can run them too.

pub mod auth_request;
pub mod claim_path;
pub mod config;
pub mod cookies;
pub mod migration;
pub mod original_url;
pub mod path_interpretations;
pub mod return_target;
pub mod role_map;
pub mod session_tokens;

pub type Target = fn(&[u8]);

/// By the name of the corpus.
pub const ALL: [(&str, Target); 10] = [
    ("auth_request", auth_request::holds),
    ("claim_path", claim_path::holds),
    ("config", config::holds),
    ("cookies", cookies::holds),
    ("migration", migration::holds),
    ("original_url", original_url::holds),
    ("path_interpretations", path_interpretations::holds),
    ("return_target", return_target::holds),
    ("role_map", role_map::holds),
    ("session_tokens", session_tokens::holds),
];
