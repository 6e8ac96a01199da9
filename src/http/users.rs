//! Users, as administrators see and manage them: rules that the JSON API and the page share.

pub(super) mod json;
pub(super) mod page;

use super::{Services, display_names::mentions};
use crate::{
    administration::{Known, PeopleError},
    sign_ins::Administrator,
};

/// A page of the list of users.
struct UserList {
    users: Vec<Known>,
    /// The first user of the next page.
    next: Option<String>,
    /// The search has not looked at every user.
    is_cut: bool,
}

/// A change of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Disable,
    Enable,
    EndSessions,
    Delete,
}

/// Lists all users, or those that a search finds.
async fn list(services: &Services, query: &str, after: Option<&str>, limit: usize) -> Result<UserList, PeopleError> {
    let Services { people, checker, .. } = services;
    match query.trim() {
        "" => {
            let (users, next) = people.list(after, limit).await?;
            Ok(UserList { users, next, is_cut: false })
        }
        text => {
            let found = people.search(text, limit, |known| mentions(known, checker, text)).await?;
            Ok(UserList { users: found.people, next: None, is_cut: found.is_cut })
        }
    }
}

/// Makes the change. The user's record is returned where it was changed and still exists.
async fn act(services: &Services, by: Administrator<'_>, id: &str, action: Action) -> Result<Option<Known>, PeopleError> {
    let people = &services.people;
    match action {
        Action::Disable => people.disable(by, id).await.map(Some),
        Action::Enable => people.enable(by, id).await.map(Some),
        Action::EndSessions => people.end_sessions(by, id).await.map(|()| None),
        Action::Delete => people.delete(by, id).await.map(|_| None),
    }
}
