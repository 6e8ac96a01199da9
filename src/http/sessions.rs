//! Sessions of a user: rules that the JSON API and the page share.

pub(super) mod current_session;
pub(super) mod json;
pub(super) mod page;

use super::Services;
use crate::{secret::Digest, store};

/// Ends a session if it belongs to the user. Returns false if it does not.
async fn end_own(services: &Services, user: &str, id: &Digest) -> Result<bool, store::Error> {
    let session = services.users.session(user, id).await?;
    if session.is_none_or(|session| session.user != user) {
        return Ok(false);
    }
    services.users.end_session(user, id).await?;
    Ok(true)
}
