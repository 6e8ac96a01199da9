//! The users that the company's directory provisions, as SCIM resources.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    PageRange,
    error::ScimError,
    filter::Filter,
    patch::{self, AttributeChange},
    user_attributes,
};
use crate::{
    administration::Administration,
    users::{
        AccessChange, Deletion, ProvisionedAttributes, ProvisionedUser, ProvisionedUsers, ProvisioningChange, User,
        is_resource_id,
    },
};

pub struct ScimUsers {
    provisioned: Arc<ProvisionedUsers>,
    administration: Arc<Administration>,
    /// The URL of the service.
    base: String,
}

/// A page of users.
pub struct UserResources {
    pub total: usize,
    pub users: Vec<Map<String, Value>>,
}

impl ScimUsers {
    pub fn new(provisioned: Arc<ProvisionedUsers>, administration: Arc<Administration>, base: String) -> Self {
        Self { provisioned, administration, base }
    }

    pub async fn create(&self, resource: Map<String, Value>) -> Result<Map<String, Value>, ScimError> {
        let user = self.provisioned.create(user_attributes::read(resource, true)?).await?;
        let Some(provisioned) = &user.provisioned else { return Err(ScimError::NotFound) };
        let (linked, active) = (provisioned.link.is_some(), provisioned.active);
        tracing::info!(user = user.id, scim_user = provisioned.id, linked, active, "scim user created");
        if active {
            return self.render(&user);
        }
        let user = self.provisioned.link_before_refusal(user).await?.ok_or(ScimError::NotFound)?;
        self.administration.delete_keys(&user.id).await;
        self.render(&user)
    }

    pub async fn get(&self, id: &str) -> Result<Map<String, Value>, ScimError> {
        self.render(&self.provisioned.get(id).await?.ok_or(ScimError::NotFound)?)
    }

    /// Returns the users that a filter selects. It must contain an attribute by which users are found.
    pub async fn find(&self, filter: &Filter) -> Result<UserResources, ScimError> {
        let found = if let Some(id) = filter.text("id") {
            self.provisioned.get(id).await?
        } else if let Some(name) = filter.text("userName") {
            self.provisioned.find_by_user_name(name).await?
        } else if let Some(id) = filter.text("externalId") {
            self.provisioned.find_by_external_id(id).await?
        } else {
            return Err(ScimError::filter("A filter of users must compare id, userName or externalId with a text."));
        };
        let mut users = found.iter().map(|user| self.render(user)).collect::<Result<Vec<_>, _>>()?;
        users.retain(|user| filter.matches(user));
        Ok(UserResources { total: users.len(), users })
    }

    pub async fn list(&self, page: PageRange) -> Result<UserResources, ScimError> {
        let ids = self.provisioned.ids().await?;
        let selected = page.select(&ids);
        let users = self.provisioned.get_all(selected).await?;
        let absent = selected.len() - users.len();
        let users = users.iter().map(|user| self.render(user)).collect::<Result<_, _>>()?;
        Ok(UserResources { total: ids.len() - absent, users })
    }

    /// Replaces all attributes. A user without `active` stays as they are, so that no omission enables anyone.
    pub async fn replace(&self, id: &str, resource: &Map<String, Value>) -> Result<Map<String, Value>, ScimError> {
        self.update(id, |user| user_attributes::read(resource.clone(), user.active)).await
    }

    pub async fn patch(&self, id: &str, changes: &[AttributeChange]) -> Result<Map<String, Value>, ScimError> {
        self.update(id, |user| {
            let resource = patch::apply_changes(changes, user_attributes::editable(user))?;
            user_attributes::read(resource, user.active)
        })
        .await
    }

    async fn update(
        &self,
        id: &str,
        edit: impl Fn(&ProvisionedUser) -> Result<ProvisionedAttributes, ScimError>,
    ) -> Result<Map<String, Value>, ScimError> {
        let updated = self.provisioned.update(id, edit).await?;
        let ProvisioningChange { user, access } = updated.ok_or(ScimError::NotFound)?;
        // Also if the user was inactive before: an attempt may have failed here.
        let user = match user.is_inactive() {
            true => self.provisioned.link_before_refusal(user).await?.ok_or(ScimError::NotFound)?,
            false => user,
        };
        match access {
            AccessChange::Disabled => {
                self.administration.delete_keys(&user.id).await;
                tracing::info!(user = user.id, scim_user = id, "scim user disabled");
            }
            AccessChange::Enabled => tracing::info!(user = user.id, scim_user = id, "scim user enabled"),
            AccessChange::None => tracing::debug!(user = user.id, scim_user = id, "scim user updated"),
        }
        self.render(&user)
    }

    /// Deletes a user with their sessions, keys, password and invitations.
    pub async fn delete(&self, id: &str) -> Result<(), ScimError> {
        let found = self.provisioned.get(id).await?.ok_or_else(|| already_deleted(id))?;
        let user = self.provisioned.link_before_refusal(found).await?.ok_or_else(|| already_deleted(id))?;
        let Deletion { user, is_refusal_kept: disabled } = self.administration.delete_provisioned(&user.id).await?;
        tracing::info!(user = user.id, scim_user = id, disabled, "scim user deleted");
        Ok(())
    }

    /// Links the users who signed in before the directory was configured.
    pub async fn link_former_users(&self) -> Result<(), ScimError> {
        match self.provisioned.link_former_users().await? {
            0 => {}
            users => tracing::info!(users, "scim links indexed"),
        }
        Ok(())
    }

    fn render(&self, user: &User) -> Result<Map<String, Value>, ScimError> {
        let provisioned = user.provisioned.as_ref().ok_or(ScimError::NotFound)?;
        Ok(user_attributes::render(provisioned, &self.base))
    }
}

/// The directory repeats a deletion whose answer it did not receive. The line is in the audit trail even if the process stopped
/// before it logged the deletion.
fn already_deleted(id: &str) -> ScimError {
    if is_resource_id(id) {
        tracing::info!(scim_user = id, "scim user already deleted");
    }
    ScimError::NotFound
}
