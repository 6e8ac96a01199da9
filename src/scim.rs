//! SCIM 2.0 (RFC 7643 and RFC 7644): the company's directory provisions users and groups.
//!
//! Attributes are read and changed as JSON, as the directory sends them; only those that Vestibule needs have types. The records
//! of users are in [`crate::users`], those of groups here.

mod attributes;
mod discovery;
mod error;
mod filter;
mod group_members;
mod group_records;
mod groups;
mod patch;
mod path;
mod projection;
mod user_attributes;
mod users;

pub use discovery::{ENTERPRISE_USER_SCHEMA, GROUP_SCHEMA, USER_SCHEMA, resource_types, schemas, service_provider_config};
pub use error::ScimError;
pub use filter::Filter;
pub use group_records::GroupRecords;
pub use groups::{GroupResources, ScimGroups};
pub use patch::{AttributeChange, parse_changes};
pub use projection::Projection;
pub use users::{ScimUsers, UserResources};

use std::sync::Arc;

use crate::secret::AcceptedSecretsCell;

/// The SCIM service of one directory.
pub struct Scim {
    pub users: ScimUsers,
    pub groups: ScimGroups,
    /// The URL of the service.
    pub base: String,
    pub tokens: Arc<AcceptedSecretsCell>,
}

/// A page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRange {
    /// The number of the first resource, from 1.
    pub start: usize,
    pub count: usize,
}

/// The maximum number of resources in a page.
pub const MAX_PAGE: usize = 200;

impl PageRange {
    /// The page's part of a list.
    pub fn of<T>(&self, all: Vec<T>) -> Vec<T> {
        all.into_iter().skip(self.start.saturating_sub(1)).take(self.count).collect()
    }

    fn select<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        let from = self.start.saturating_sub(1).min(all.len());
        &all[from..from.saturating_add(self.count).min(all.len())]
    }
}
