//! What a login is for: where it goes on when the person is signed in.
//!
//! A flow carries its continuation from pod to pod and asks nothing of it but where the person may start
//! again; what is done with who comes back is `login`'s.

use serde::{Deserialize, Serialize};

use crate::return_to::ReturnTo;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Continuation {
    /// Back to the page that asked for it.
    ReturnTo(ReturnTo),
    /// The identity becomes another one of a person who is signed in.
    Link { user: String, again: ReturnTo },
}

impl Continuation {
    /// Where the browser goes afterwards, and where a login that failed is begun again.
    pub fn again(&self) -> &ReturnTo {
        match self {
            Self::ReturnTo(target) | Self::Link { again: target, .. } => target,
        }
    }
}
