//! The `api` section: the JSON API.

use super::values;
use crate::yaml::decode::{Section, field};

pub const DOC: &str = "The JSON API.";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Api {
    /// True if a session may create credentials and rights.
    pub session_writes: bool,
}

pub fn read(section: &mut Section<'_>) -> Option<Api> {
    let session_writes = section.or_default(
        field(
            "session_writes",
            "Allows calls with a session cookie to create credentials and rights: to create and rotate keys, invite, enable \
             and delete users, link identities, set a password. Also allows pages to sign in by JSON. Otherwise users do this \
             on Vestibule's pages. Every script of an upstream that shares the origin of `public_url` can then create keys of \
             its users.",
        ),
        &values::BOOLEAN,
        "false",
    );
    Some(Api { session_writes: session_writes? })
}
