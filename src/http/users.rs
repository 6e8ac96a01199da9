//! Users, as administrators see and manage them: rules that the JSON API and the page share.

pub(super) mod json;
pub(super) mod page;

use super::{Services, display_names::is_match};
use crate::{
    administration::{AdministrationError, UserSummary},
    users::Administrator,
};

/// A page of the list of users.
struct UserList {
    users: Vec<UserSummary>,
    /// The first user of the next page.
    next: Option<String>,
    /// True if not all users were searched.
    is_cut: bool,
}

/// A change of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UserAction {
    Disable,
    Enable,
    EndSessions,
    Delete,
}

/// Lists all users, or those that a search finds.
async fn list(services: &Services, query: &str, after: Option<&str>, limit: usize) -> Result<UserList, AdministrationError> {
    let Services { administration, checker, .. } = services;
    match query.trim() {
        "" => {
            let (users, next) = administration.list(after, limit).await?;
            Ok(UserList { users, next, is_cut: false })
        }
        text => {
            let found = administration.search(text, limit, |known| is_match(known, checker, text)).await?;
            Ok(UserList { users: found.users, next: None, is_cut: found.is_cut })
        }
    }
}

/// Applies the action. Returns the user if the record was changed and still exists.
async fn apply(
    services: &Services,
    by: Administrator<'_>,
    id: &str,
    action: UserAction,
) -> Result<Option<UserSummary>, AdministrationError> {
    let administration = &services.administration;
    match action {
        UserAction::Disable => administration.disable(by, id).await.map(Some),
        UserAction::Enable => administration.enable(by, id).await.map(Some),
        UserAction::EndSessions => administration.end_sessions(by, id).await.map(|()| None),
        UserAction::Delete => administration.delete(by, id).await.map(|_| None),
    }
}
