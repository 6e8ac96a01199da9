//! A role map that comes in parts, each edited by itself: a base and its fragments.
//!
//! A bad edit of a part keeps the last good one of that part in force. A base that is gone closes everything,
//! since its restrictions would be gone with it. No clock, no I/O: whoever watches the parts tells of them.

use std::collections::BTreeMap;

use super::{Configured, RoleMap};
use crate::yaml::Mistakes;

/// The parts as they were last told, and the last good ones of them.
#[derive(Debug, Default)]
pub struct Documents {
    /// What a part may name.
    configured: Configured,
    base_told: Option<String>,
    base: Option<String>,
    /// By name: the order in which they are merged.
    fragments: BTreeMap<String, Fragment>,
}

#[derive(Debug, Default)]
struct Fragment {
    /// What was last told, good or bad: another base may make it good.
    told: Option<String>,
    good: Option<String>,
}

/// What became of a part that was told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The fragment's name; `None` is the base.
    pub fragment: Option<String>,
    pub outcome: Result<(), Mistakes>,
}

impl Documents {
    pub fn new(configured: Configured) -> Self {
        Self { configured, ..Self::default() }
    }

    /// Takes a base, and judges the fragments anew by it. The same text again is no edit.
    pub fn set_base(&mut self, text: &str) -> Vec<Verdict> {
        if self.base_told.as_deref() == Some(text) {
            return Vec::new();
        }
        self.base_told = Some(text.to_owned());
        let outcome = judge(text, None, &self.configured).map(drop);
        let refused = outcome.is_err();
        let mut verdicts = vec![Verdict { fragment: None, outcome }];
        if !refused {
            self.base = Some(text.to_owned());
            verdicts.extend(self.judge_fragments());
        }
        verdicts
    }

    /// Closes everything. Tells whether there was anything to close.
    pub fn remove_base(&mut self) -> bool {
        self.base_told = None;
        self.base.take().is_some()
    }

    /// Whether there is anything to put in force.
    pub fn has_base(&self) -> bool {
        self.base.is_some()
    }

    /// Takes a fragment. The same text again is no edit, and before there is a base it can't be judged.
    pub fn set_fragment(&mut self, name: &str, text: &str) -> Option<Verdict> {
        let fragment = self.fragments.entry(name.to_owned()).or_default();
        if fragment.told.as_deref() == Some(text) {
            return None;
        }
        fragment.told = Some(text.to_owned());
        let outcome = judge(self.base.as_deref()?, Some((name, text)), &self.configured).map(drop);
        if outcome.is_ok() {
            fragment.good = fragment.told.clone();
        }
        Some(Verdict { fragment: Some(name.to_owned()), outcome })
    }

    /// What the fragment granted is gone. Tells whether there was one.
    pub fn remove_fragment(&mut self, name: &str) -> bool {
        self.fragments.remove(name).is_some()
    }

    /// The names of the fragments that there are, good or bad.
    pub fn fragments(&self) -> impl Iterator<Item = &str> {
        self.fragments.keys().map(String::as_str)
    }

    /// The last good parts together.
    pub fn compiled(&self) -> RoleMap {
        let Some(base) = self.base.as_deref() else { return RoleMap::closed() };
        let good = self.fragments.iter().filter_map(|(name, fragment)| Some((name.as_str(), fragment.good.as_deref()?)));
        RoleMap::parse_with_fragments(base, good).expect("each part was judged with this base, and they share nothing else")
    }

    /// A base may withdraw what it delegated: then not even what was good before stays in force.
    fn judge_fragments(&mut self) -> Vec<Verdict> {
        let Some(base) = self.base.as_deref() else { return Vec::new() };
        let mut refused = Vec::new();
        for (name, fragment) in &mut self.fragments {
            let judge = |text: &String| judge(base, Some((name, text)), &self.configured);
            match fragment.told.as_ref().map(judge) {
                Some(Ok(_)) => fragment.good = fragment.told.clone(),
                Some(Err(error)) => {
                    fragment.good = fragment.good.take().filter(|good| judge(good).is_ok());
                    refused.push(Verdict { fragment: Some(name.clone()), outcome: Err(error) });
                }
                None => {}
            }
        }
        refused
    }
}

fn judge(base: &str, fragment: Option<(&str, &str)>, configured: &Configured) -> Result<RoleMap, Mistakes> {
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

    fn configured(providers: &[&str]) -> Configured {
        Configured { providers: Some(providers.iter().map(|id| (*id).to_owned()).collect()), ..Configured::default() }
    }

    fn documents() -> Documents {
        let mut documents = Documents::new(configured(&["corp"]));
        assert_eq!(documents.set_base(BASE), [Verdict { fragment: None, outcome: Ok(()) }]);
        documents
    }

    fn role_of(documents: &Documents, group: &str) -> String {
        let claims = json!({"groups": [group]});
        let person = IdentityClaims {
            provider: "corp".into(),
            issuer: "i".into(),
            subject: "s".into(),
            id_token: claims.as_object().unwrap().clone(),
            access_token: None,
            userinfo: None,
        };
        let role = documents.compiled().judge(&[person]).role;
        role.map_or_else(|| "-".to_owned(), |role| role.to_string())
    }

    fn refusal(verdict: Option<Verdict>) -> String {
        verdict.and_then(|verdict| verdict.outcome.err()).map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_fragment_adds_rules_and_its_removal_takes_them_away() {
        let mut documents = documents();
        assert_eq!(role_of(&documents, "red"), "customer");
        assert_eq!(refusal(documents.set_fragment("red", RED)), "");
        assert_eq!(role_of(&documents, "red"), "internal_user");
        documents.remove_fragment("red");
        assert_eq!(role_of(&documents, "red"), "customer");
    }

    #[test]
    fn a_fragment_gives_only_what_is_delegated_and_holds_nothing_but_rules_and_teams() {
        let mut documents = documents();
        let admin = documents.set_fragment("red", "rules: [{claim: groups, match: red, role: proxy_admin}]");
        assert!(refusal(admin).starts_with("red: rules[0].role (line 1): role `proxy_admin` is not delegated"));
        for more in ["version: 1", "default_role: proxy_admin", "delegate: [proxy_admin]", "access: []", "roles: [a]"] {
            assert!(refusal(documents.set_fragment("red", more)).contains("is unknown"), "{more}");
        }
        assert_eq!(role_of(&documents, "red"), "customer");
    }

    #[test]
    fn a_bad_edit_keeps_the_last_good_document_of_that_part() {
        let mut documents = documents();
        documents.set_fragment("red", RED);
        documents.set_fragment("blue", &RED.replace("red", "blue"));
        assert_ne!(refusal(documents.set_fragment("red", "rules: [{")), "");
        assert_eq!((role_of(&documents, "red"), role_of(&documents, "blue")), ("internal_user".into(), "internal_user".into()));
        assert!(documents.set_base("version: 2")[0].outcome.is_err());
        assert_eq!(role_of(&documents, "admins"), "proxy_admin");
    }

    #[test]
    fn a_base_that_withdraws_a_role_ends_what_fragments_gave_by_it_and_giving_it_back_restores_it() {
        let mut documents = documents();
        documents.set_fragment("red", RED);
        let verdicts = documents.set_base(&BASE.replace("internal_user, ", ""));
        assert_eq!(verdicts.iter().map(|verdict| verdict.outcome.is_ok()).collect::<Vec<_>>(), [true, false]);
        assert_eq!(role_of(&documents, "red"), "customer");
        documents.set_base(BASE);
        assert_eq!(role_of(&documents, "red"), "internal_user");
    }

    #[test]
    fn without_a_base_nobody_gets_anything_and_fragments_wait() {
        let mut documents = Documents::new(Configured::default());
        assert_eq!(documents.set_fragment("red", RED), None);
        assert_eq!(role_of(&documents, "red"), "-");
        documents.set_base(BASE);
        assert_eq!(role_of(&documents, "red"), "internal_user");
        documents.remove_base();
        assert_eq!(role_of(&documents, "admins"), "-");
        assert!(documents.compiled().access().is_some_and(|access| access.rules().is_empty()));
    }

    #[test]
    fn fragments_name_their_provider_where_there_are_several() {
        let mut documents = Documents::new(configured(&["corp", "partner"]));
        documents.set_base("{version: 1, delegate: [internal_user]}");
        assert!(refusal(documents.set_fragment("red", RED)).contains("red: rules[0].provider (line 1): with several providers"));
    }
}
