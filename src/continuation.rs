//! What a login is for: where it goes on when the person is signed in.
//!
//! A flow carries its continuation from pod to pod and asks nothing of it but where the person may start
//! again. What else there is to come (a key for an app, linking an identity) becomes a variant here and a
//! way to go on in `http::login`, and leaves flows and logins as they are.

use serde::{Deserialize, Serialize};

use crate::return_to::ReturnTo;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Continuation {
    /// Back to the page that asked for it.
    ReturnTo(ReturnTo),
}

impl Continuation {
    /// Where a login that failed is begun again.
    pub fn again(&self) -> &ReturnTo {
        match self {
            Self::ReturnTo(target) => target,
        }
    }
}
