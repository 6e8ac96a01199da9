//! Defines the purpose of a login flow: its action after the user has authenticated.
//!
//! A login flow stores its continuation, so that any pod can finish it. The flow itself reads only the retry target;
//! `login` performs the action.

use serde::{Deserialize, Serialize};

use super::ReturnTarget;

/// The action after a successful login flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Continuation {
    /// Redirects to the page that requested the login.
    ReturnTo(ReturnTarget),
    /// Links the identity to a user who is signed in.
    Link {
        user: String,
        #[serde(rename = "again")]
        retry: ReturnTarget,
    },
}

impl Continuation {
    /// The target of the redirect afterwards. A user whose login failed can start again there.
    pub fn retry_target(&self) -> &ReturnTarget {
        match self {
            Self::ReturnTo(target) | Self::Link { retry: target, .. } => target,
        }
    }

    #[must_use]
    pub fn with_retry_target(self, target: ReturnTarget) -> Self {
        match self {
            Self::ReturnTo(_) => Self::ReturnTo(target),
            Self::Link { user, .. } => Self::Link { user, retry: target },
        }
    }
}
