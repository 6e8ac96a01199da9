//! Invitations to local accounts: the JSON API and the page for administrators.

pub(super) mod json;
pub(super) mod page;
