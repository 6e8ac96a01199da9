//! Merges the base and the fragments of a role map, which are edited separately.
//!
//! After an invalid edit of a part, the last valid version of that part stays active. Without a base nothing is granted,
//! since the base's restrictions are gone too. Has no clock and performs no I/O: a watch reports the edits.

use std::collections::BTreeMap;

use super::{ConfiguredNames, RoleMap};
use crate::yaml::Mistakes;

/// The last received version and the last valid version of each part.
#[derive(Debug, Default)]
pub struct Documents {
    /// The configured names that a part may use.
    configured: ConfiguredNames,
    received_base: Option<String>,
    base: Option<String>,
    /// By name, which is the order of merging.
    fragments: BTreeMap<String, Fragment>,
}

#[derive(Debug, Default)]
struct Fragment {
    /// The last received version. It is kept if it is invalid, since it may become valid with another base.
    received: Option<String>,
    valid: Option<String>,
}

/// The result of an edit of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditOutcome {
    /// The fragment's name; `None` for the base.
    pub fragment: Option<String>,
    pub result: Result<(), Mistakes>,
}

impl Documents {
    pub fn new(configured: ConfiguredNames) -> Self {
        Self { configured, ..Self::default() }
    }

    /// Sets the base and validates the fragments with it. An unchanged text is not an edit.
    pub fn set_base(&mut self, text: &str) -> Vec<EditOutcome> {
        if self.received_base.as_deref() == Some(text) {
            return Vec::new();
        }
        self.received_base = Some(text.to_owned());
        let result = compile(text, None, &self.configured).map(drop);
        let is_valid = result.is_ok();
        let mut outcomes = vec![EditOutcome { fragment: None, result }];
        if is_valid {
            self.base = Some(text.to_owned());
            outcomes.extend(self.revalidate_fragments());
        }
        outcomes
    }

    /// Removes the base, so that nothing is granted. Returns true if there was a valid base.
    pub fn remove_base(&mut self) -> bool {
        self.received_base = None;
        self.base.take().is_some()
    }

    /// True if there is a valid base.
    pub fn has_base(&self) -> bool {
        self.base.is_some()
    }

    /// Sets a fragment. Returns `None` if the text is unchanged, or if there is no base to validate it with.
    pub fn set_fragment(&mut self, name: &str, text: &str) -> Option<EditOutcome> {
        let fragment = self.fragments.entry(name.to_owned()).or_default();
        if fragment.received.as_deref() == Some(text) {
            return None;
        }
        fragment.received = Some(text.to_owned());
        let result = compile(self.base.as_deref()?, Some((name, text)), &self.configured).map(drop);
        if result.is_ok() {
            fragment.valid = fragment.received.clone();
        }
        Some(EditOutcome { fragment: Some(name.to_owned()), result })
    }

    /// Removes a fragment and its grants. Returns true if there was such a fragment.
    pub fn remove_fragment(&mut self, name: &str) -> bool {
        self.fragments.remove(name).is_some()
    }

    /// The names of all fragments, valid or invalid.
    pub fn fragments(&self) -> impl Iterator<Item = &str> {
        self.fragments.keys().map(String::as_str)
    }

    /// Compiles the last valid parts into one role map.
    pub fn compile(&self) -> RoleMap {
        let Some(base) = self.base.as_deref() else { return RoleMap::closed() };
        let valid = self.fragments.iter().filter_map(|(name, fragment)| Some((name.as_str(), fragment.valid.as_deref()?)));
        RoleMap::parse_with_fragments(base, valid)
            .expect("each fragment was validated with this base and is independent of the others")
    }

    /// Validates all fragments with the current base. A base may withdraw a delegated role; then the last valid version of a
    /// fragment becomes invalid too.
    fn revalidate_fragments(&mut self) -> Vec<EditOutcome> {
        let Some(base) = self.base.as_deref() else { return Vec::new() };
        let mut refusals = Vec::new();
        for (name, fragment) in &mut self.fragments {
            let compile = |text: &String| compile(base, Some((name, text)), &self.configured);
            match fragment.received.as_ref().map(compile) {
                Some(Ok(_)) => fragment.valid = fragment.received.clone(),
                Some(Err(error)) => {
                    fragment.valid = fragment.valid.take().filter(|text| compile(text).is_ok());
                    refusals.push(EditOutcome { fragment: Some(name.clone()), result: Err(error) });
                }
                None => {}
            }
        }
        refusals
    }
}

fn compile(base: &str, fragment: Option<(&str, &str)>, configured: &ConfiguredNames) -> Result<RoleMap, Mistakes> {
    let map = RoleMap::parse_with_fragments(base, fragment.into_iter())?;
    map.check_configured(configured)?;
    Ok(map)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::principal::IdentityClaims;

    const BASE: &str = "
version: 1
default_role: customer
delegate: [internal_user, team]
rules:
  - {claim: groups, match: admins, role: proxy_admin}
";
    const RED: &str = "rules: [{claim: groups, match: red, role: internal_user}]\nteams: [{claim: groups, match: red}]";

    fn configured(providers: &[&str]) -> ConfiguredNames {
        ConfiguredNames { providers: Some(providers.iter().map(|id| (*id).to_owned()).collect()), ..ConfiguredNames::default() }
    }

    fn documents() -> Documents {
        let mut documents = Documents::new(configured(&["corp"]));
        assert_eq!(documents.set_base(BASE), [EditOutcome { fragment: None, result: Ok(()) }]);
        documents
    }

    fn role_of(documents: &Documents, group: &str) -> String {
        let claims = json!({"groups": [group]});
        let identity = IdentityClaims {
            provider: "corp".into(),
            issuer: "i".into(),
            subject: "s".into(),
            id_token: crate::json::object(claims),
            ..IdentityClaims::default()
        };
        let role = documents.compile().evaluate(&[identity]).role;
        role.map_or_else(|| "-".to_owned(), |role| role.to_string())
    }

    fn refusal(outcome: Option<EditOutcome>) -> String {
        outcome.and_then(|outcome| outcome.result.err()).map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_fragment_adds_rules_and_its_removal_removes_them() {
        let mut documents = documents();
        assert_eq!(role_of(&documents, "red"), "customer");
        assert_eq!(refusal(documents.set_fragment("red", RED)), "");
        assert_eq!(role_of(&documents, "red"), "internal_user");
        documents.remove_fragment("red");
        assert_eq!(role_of(&documents, "red"), "customer");
    }

    #[test]
    fn a_fragment_grants_only_delegated_roles_and_has_only_rules_and_teams() {
        let mut documents = documents();
        let admin = documents.set_fragment("red", "rules: [{claim: groups, match: red, role: proxy_admin}]");
        assert!(refusal(admin).starts_with("red: rules[0].role (line 1): role `proxy_admin` is not delegated"));
        for more in ["version: 1", "default_role: proxy_admin", "delegate: [proxy_admin]", "access: []", "roles: [a]"] {
            assert!(refusal(documents.set_fragment("red", more)).contains("is unknown"), "{more}");
        }
        assert_eq!(role_of(&documents, "red"), "customer");
    }

    #[test]
    fn an_invalid_edit_keeps_the_last_valid_version_of_that_part() {
        let mut documents = documents();
        documents.set_fragment("red", RED);
        documents.set_fragment("blue", &RED.replace("red", "blue"));
        assert_ne!(refusal(documents.set_fragment("red", "rules: [{")), "");
        assert_eq!((role_of(&documents, "red"), role_of(&documents, "blue")), ("internal_user".into(), "internal_user".into()));
        assert!(documents.set_base("version: 2")[0].result.is_err());
        assert_eq!(role_of(&documents, "admins"), "proxy_admin");
    }

    #[test]
    fn withdrawing_a_delegated_role_disables_fragments_that_grant_it_until_it_is_delegated_again() {
        let mut documents = documents();
        documents.set_fragment("red", RED);
        let outcomes = documents.set_base(&BASE.replace("internal_user, ", ""));
        assert_eq!(outcomes.iter().map(|outcome| outcome.result.is_ok()).collect::<Vec<_>>(), [true, false]);
        assert_eq!(role_of(&documents, "red"), "customer");
        documents.set_base(BASE);
        assert_eq!(role_of(&documents, "red"), "internal_user");
    }

    #[test]
    fn without_a_base_nothing_is_granted_and_fragments_take_effect_with_the_next_base() {
        let mut documents = Documents::new(ConfiguredNames::default());
        assert_eq!(documents.set_fragment("red", RED), None);
        assert_eq!(role_of(&documents, "red"), "-");
        documents.set_base(BASE);
        assert_eq!(role_of(&documents, "red"), "internal_user");
        documents.remove_base();
        assert_eq!(role_of(&documents, "admins"), "-");
        assert!(documents.compile().access().is_some_and(|access| access.rules().is_empty()));
    }

    #[test]
    fn fragments_must_name_their_provider_if_there_are_several() {
        let mut documents = Documents::new(configured(&["corp", "partner"]));
        documents.set_base("{version: 1, delegate: [internal_user]}");
        assert!(refusal(documents.set_fragment("red", RED)).contains("red: rules[0].provider (line 1): with several providers"));
    }
}
