//! Indexes the ConfigMaps that the watches have reported. Synchronous, without I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::runtime::watcher::Event;

use super::ConfigMapSource;
use crate::role_map::{ConfiguredNames, Documents, EditOutcome, RoleMap};
use crate::yaml::{Mistake, Mistakes, Place};

/// An event of one of the two watches.
pub(super) enum WatchEvent {
    Base(Event<ConfigMap>),
    Fragment(Event<ConfigMap>),
}

/// The result of an edit of a ConfigMap.
#[derive(Debug)]
pub(super) struct ConfigMapEdit {
    pub object: ObjectReference,
    pub result: Result<(), Mistakes>,
    /// True if the edit before this one was refused.
    pub after_refusal: bool,
}

/// The effect of an event.
#[derive(Debug, Default)]
pub(super) struct Effect {
    pub edits: Vec<ConfigMapEdit>,
    /// The role map to activate; `None` if it has not changed.
    pub map: Option<RoleMap>,
}

pub(super) struct ConfigMapIndex {
    source: ConfigMapSource,
    documents: Documents,
    /// The last received version of each ConfigMap, by name.
    objects: HashMap<String, ObjectReference>,
    refused: BTreeSet<String>,
    base: Listing,
    fragments: Listing,
    /// True if there are changes that are not active yet.
    changed: bool,
    /// True once a role map has been activated.
    is_active: bool,
}

/// The state of one watch's list. A watch starts and restarts with a list of all objects. Listed objects are applied when
/// the other watch has listed too, so that fragments are never validated with an outdated base, nor a base with outdated
/// fragments.
#[derive(Default)]
struct Listing {
    complete: bool,
    pending: Option<BTreeMap<String, ConfigMap>>,
}

impl ConfigMapIndex {
    pub fn new(source: ConfigMapSource, configured: ConfiguredNames) -> Self {
        let fragments = Listing { complete: source.fragments.is_none(), ..Listing::default() };
        Self {
            source,
            documents: Documents::new(configured),
            objects: HashMap::new(),
            refused: BTreeSet::new(),
            base: Listing::default(),
            fragments,
            changed: false,
            is_active: false,
        }
    }

    /// True if both watches have listed once and there is a valid base.
    pub fn is_ready(&self) -> bool {
        self.is_active && self.has_base()
    }

    /// True if both watches have listed since their last start.
    pub fn is_listed(&self) -> bool {
        self.base.complete && self.fragments.complete
    }

    /// True if there is a valid base. Without one nothing is granted.
    pub fn has_base(&self) -> bool {
        self.documents.has_base()
    }

    /// Applies an event of a watch.
    pub fn apply(&mut self, event: WatchEvent) -> Effect {
        let mut outcomes = Vec::new();
        let changed = match event {
            WatchEvent::Base(event) => match self.base.buffer(event) {
                Some(Event::Delete(_)) => self.remove_base(),
                Some(Event::Apply(object)) => self.set_base(&object, &mut outcomes),
                _ => false,
            },
            WatchEvent::Fragment(event) => match self.fragments.buffer(event) {
                Some(Event::Delete(object)) => self.remove_fragment(&name_of(&object)),
                Some(Event::Apply(object)) => self.set_fragment(&object, &mut outcomes),
                _ => false,
            },
        };
        self.changed |= changed;
        if self.is_listed() {
            self.changed |= self.apply_listed(&mut outcomes);
        }
        self.effect(outcomes)
    }

    /// Resets the index when both watches restart. A base that has been listed is applied even if the fragments could not be
    /// listed, since it may withdraw grants.
    pub fn reset(&mut self) -> Effect {
        let mut outcomes = Vec::new();
        if self.is_active && self.base.complete {
            self.changed |= self.apply_listed_base(&mut outcomes);
        }
        self.effect(outcomes)
    }

    fn effect(&mut self, outcomes: Vec<EditOutcome>) -> Effect {
        // Before both watches have listed for the first time, no partial role map is activated.
        self.changed |= !self.is_active;
        self.is_active |= self.is_listed();
        let map = (self.is_active && std::mem::take(&mut self.changed)).then(|| self.documents.compile());
        Effect { edits: self.record_edits(keep_last_per_part(outcomes)), map }
    }

    fn apply_listed(&mut self, outcomes: &mut Vec<EditOutcome>) -> bool {
        let fragments = self.fragments.pending.take();
        let is_listed = |name: &str| fragments.as_ref().is_none_or(|listed| listed.contains_key(name));
        let deleted: Vec<_> = self.documents.fragments().filter(|name| !is_listed(name)).map(str::to_owned).collect();
        // Deleted fragments are removed first, so that they are not validated with a new base.
        let mut changed = deleted.iter().fold(false, |changed, name| self.remove_fragment(name) | changed);
        changed |= self.apply_listed_base(outcomes);
        let listed = fragments.unwrap_or_default();
        listed.values().fold(changed, |changed, object| self.set_fragment(object, outcomes) | changed)
    }

    fn apply_listed_base(&mut self, outcomes: &mut Vec<EditOutcome>) -> bool {
        let Some(listed) = self.base.pending.take() else { return false };
        match listed.into_values().next() {
            Some(object) => self.set_base(&object, outcomes),
            None => self.remove_base(),
        }
    }

    fn set_base(&mut self, object: &ConfigMap, outcomes: &mut Vec<EditOutcome>) -> bool {
        if !self.update_version(object) {
            return false;
        }
        let new_outcomes = match document_of(object, &self.source.key) {
            Ok(text) => self.documents.set_base(text),
            Err(missing) => vec![EditOutcome { fragment: None, result: Err(missing) }],
        };
        let changed = new_outcomes.iter().any(|outcome| outcome.fragment.is_none() && outcome.result.is_ok());
        outcomes.extend(new_outcomes);
        changed
    }

    fn remove_base(&mut self) -> bool {
        let name = self.source.name.clone();
        self.forget(&name);
        self.documents.remove_base()
    }

    fn set_fragment(&mut self, object: &ConfigMap, outcomes: &mut Vec<EditOutcome>) -> bool {
        let name = name_of(object);
        // The label selector may match the base too, which is not its own fragment.
        if name == self.source.name || !self.update_version(object) {
            return false;
        }
        let outcome = match document_of(object, &self.source.key) {
            Ok(text) => self.documents.set_fragment(&name, text),
            Err(missing) => Some(EditOutcome { fragment: Some(name), result: Err(missing) }),
        };
        let changed = outcome.as_ref().is_some_and(|outcome| outcome.result.is_ok());
        outcomes.extend(outcome);
        changed
    }

    fn remove_fragment(&mut self, name: &str) -> bool {
        self.forget(name);
        self.documents.remove_fragment(name)
    }

    fn forget(&mut self, name: &str) {
        self.objects.remove(name);
        self.refused.remove(name);
    }

    /// Stores the object's version; returns true if it is new. A list repeats objects that are known.
    fn update_version(&mut self, object: &ConfigMap) -> bool {
        let reference = reference_of(object);
        let known = self.objects.insert(name_of(object), reference.clone());
        known != Some(reference)
    }

    fn record_edits(&mut self, outcomes: Vec<EditOutcome>) -> Vec<ConfigMapEdit> {
        let edits = outcomes.into_iter().filter_map(|EditOutcome { fragment, result }| {
            let name = fragment.unwrap_or_else(|| self.source.name.clone());
            let after_refusal = match &result {
                Ok(()) => self.refused.remove(&name),
                Err(_) => !self.refused.insert(name.clone()),
            };
            Some(ConfigMapEdit { object: self.objects.get(&name).cloned()?, result, after_refusal })
        });
        edits.collect()
    }
}

impl Listing {
    /// Buffers events of a list that is not applied yet. Returns an event that can be applied at once.
    fn buffer(&mut self, event: Event<ConfigMap>) -> Option<Event<ConfigMap>> {
        match (event, &mut self.pending) {
            (Event::Init, pending) => {
                self.complete = false;
                *pending = Some(BTreeMap::new());
            }
            (Event::InitDone, _) => self.complete = true,
            (Event::InitApply(object) | Event::Apply(object), Some(pending)) => {
                pending.insert(name_of(&object), object);
            }
            (Event::Delete(object), Some(pending)) => {
                pending.remove(&name_of(&object));
            }
            (event, None) => return Some(event),
        }
        None
    }
}

/// Keeps the last outcome of each part: if a base and newer fragments are listed together, the fragments are validated twice
/// and the newer versions count.
fn keep_last_per_part(mut outcomes: Vec<EditOutcome>) -> Vec<EditOutcome> {
    let mut seen = BTreeSet::new();
    outcomes.reverse();
    outcomes.retain(|outcome| seen.insert(outcome.fragment.clone()));
    outcomes.reverse();
    outcomes
}

fn name_of(object: &ConfigMap) -> String {
    object.metadata.name.clone().unwrap_or_default()
}

fn reference_of(object: &ConfigMap) -> ObjectReference {
    let metadata = &object.metadata;
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("ConfigMap".to_owned()),
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        field_path: None,
    }
}

fn document_of<'a>(object: &'a ConfigMap, key: &str) -> Result<&'a str, Mistakes> {
    let text = object.data.as_ref().and_then(|data| data.get(key));
    text.map(String::as_str).ok_or_else(|| {
        let text = format!("the ConfigMap has no key {key:?}; store the document under this key, or change the configured key");
        Mistake::new("", Place::Nowhere, text).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "{version: 1, default_role: none, delegate: [team], rules: [{claim: g, match: a, role: customer}]}";
    const FRAGMENT: &str = "{rules: [{claim: g, match: b, role: team}]}";

    fn config_map(name: &str, version: u32, text: &str) -> ConfigMap {
        let mut object = ConfigMap { data: Some([("roles.yaml".to_owned(), text.to_owned())].into()), ..ConfigMap::default() };
        object.metadata.name = Some(name.to_owned());
        object.metadata.resource_version = Some(version.to_string());
        object
    }

    fn index(fragments: Option<&str>) -> ConfigMapIndex {
        let source = ConfigMapSource {
            name: "roles".into(),
            namespace: None,
            key: "roles.yaml".into(),
            fragments: fragments.map(str::to_owned),
        };
        ConfigMapIndex::new(source, ConfiguredNames::default())
    }

    fn listed(index: &mut ConfigMapIndex, wrap: impl Fn(Event<ConfigMap>) -> WatchEvent, objects: Vec<ConfigMap>) -> Effect {
        index.apply(wrap(Event::Init));
        for object in objects {
            assert!(index.apply(wrap(Event::InitApply(object))).map.is_none());
        }
        index.apply(wrap(Event::InitDone))
    }

    fn rules(effect: &Effect) -> Option<usize> {
        effect.map.as_ref().map(RoleMap::rule_count)
    }

    #[test]
    fn no_role_map_is_active_before_both_watches_have_listed() {
        let mut index = index(Some("x=y"));
        assert_eq!(rules(&listed(&mut index, WatchEvent::Base, vec![config_map("roles", 1, BASE)])), None);
        assert!(!index.is_ready());
        let fragments = listed(&mut index, WatchEvent::Fragment, vec![config_map("b", 2, FRAGMENT)]);
        assert_eq!(rules(&fragments), Some(2));
        assert!(index.is_ready());
    }

    #[test]
    fn the_order_of_the_lists_makes_no_difference() {
        let mut index = index(Some("x=y"));
        listed(&mut index, WatchEvent::Fragment, vec![config_map("b", 2, FRAGMENT)]);
        assert_eq!(rules(&listed(&mut index, WatchEvent::Base, vec![config_map("roles", 1, BASE)])), Some(2));
    }

    #[test]
    fn a_repeated_list_reports_no_edit_and_removes_deleted_fragments() {
        let mut index = index(Some("x=y"));
        listed(&mut index, WatchEvent::Base, vec![config_map("roles", 1, BASE)]);
        listed(&mut index, WatchEvent::Fragment, vec![config_map("b", 2, FRAGMENT), config_map("c", 2, FRAGMENT)]);
        let again = listed(&mut index, WatchEvent::Base, vec![config_map("roles", 1, BASE)]);
        assert!(again.map.is_none() && again.edits.is_empty());
        assert_eq!(rules(&listed(&mut index, WatchEvent::Fragment, vec![config_map("c", 2, FRAGMENT)])), Some(2));
        assert_eq!(rules(&index.apply(WatchEvent::Fragment(Event::Delete(config_map("c", 2, FRAGMENT))))), Some(1));
    }

    #[test]
    fn after_a_restart_new_fragments_are_validated_with_the_new_base_only() {
        let mut index = index(Some("x=y"));
        listed(&mut index, WatchEvent::Base, vec![config_map("roles", 1, BASE)]);
        listed(&mut index, WatchEvent::Fragment, vec![config_map("b", 2, FRAGMENT), config_map("c", 2, FRAGMENT)]);
        let other = |text: &str| text.replace("team", "internal_user");
        // Neither the deleted "b" nor the old or new "c" is refused, regardless of the order of the lists.
        index.apply(WatchEvent::Base(Event::Init));
        let fragments = listed(&mut index, WatchEvent::Fragment, vec![config_map("c", 4, &other(FRAGMENT))]);
        assert!(fragments.map.is_none() && fragments.edits.is_empty() && !index.is_listed());
        index.apply(WatchEvent::Base(Event::InitApply(config_map("roles", 3, &other(BASE)))));
        let effect = index.apply(WatchEvent::Base(Event::InitDone));
        assert_eq!(rules(&effect), Some(2));
        assert!(effect.edits.iter().all(|edit| edit.result.is_ok() && !edit.after_refusal), "{effect:?}");
        assert_eq!(effect.edits.len(), 2);
    }

    #[test]
    fn changes_while_the_other_watch_lists_are_applied() {
        let mut index = index(Some("x=y"));
        listed(&mut index, WatchEvent::Base, vec![config_map("roles", 1, BASE)]);
        listed(&mut index, WatchEvent::Fragment, vec![config_map("b", 2, FRAGMENT)]);
        index.apply(WatchEvent::Base(Event::Init));
        listed(&mut index, WatchEvent::Fragment, vec![config_map("b", 2, FRAGMENT), config_map("c", 3, FRAGMENT)]);
        index.apply(WatchEvent::Fragment(Event::Delete(config_map("b", 4, FRAGMENT))));
        index.apply(WatchEvent::Fragment(Event::Apply(config_map("d", 5, FRAGMENT))));
        index.apply(WatchEvent::Base(Event::InitApply(config_map("roles", 1, BASE))));
        assert_eq!(rules(&index.apply(WatchEvent::Base(Event::InitDone))), Some(3));
    }

    #[test]
    fn a_base_does_not_wait_for_fragments_that_cannot_be_listed() {
        let mut index = index(Some("x=y"));
        listed(&mut index, WatchEvent::Base, vec![config_map("roles", 1, BASE)]);
        assert!(index.reset().map.is_none(), "not before both watches have listed once");
        listed(&mut index, WatchEvent::Fragment, vec![config_map("b", 2, FRAGMENT)]);
        index.apply(WatchEvent::Fragment(Event::Init));
        assert!(listed(&mut index, WatchEvent::Base, vec![]).map.is_none());
        assert!(index.reset().map.is_some_and(|map| map.access().is_some_and(|access| access.rules().is_empty())));
    }

    #[test]
    fn without_a_base_nothing_is_granted_until_a_new_one_is_created() {
        let mut index = index(None);
        assert_eq!(rules(&listed(&mut index, WatchEvent::Base, vec![config_map("roles", 1, BASE)])), Some(1));
        let deleted = index.apply(WatchEvent::Base(Event::Delete(config_map("roles", 1, BASE))));
        assert!(deleted.map.is_some_and(|map| map.access().is_some_and(|access| access.rules().is_empty())));
        assert_eq!(rules(&index.apply(WatchEvent::Base(Event::Apply(config_map("roles", 3, BASE))))), Some(1));
        assert!(listed(&mut index, WatchEvent::Base, vec![]).map.is_some());
        assert!(!index.is_ready());
    }

    #[test]
    fn a_refused_edit_is_reported_and_the_next_valid_edit_follows_a_refusal() {
        let mut index = index(None);
        let first = listed(&mut index, WatchEvent::Base, vec![config_map("roles", 1, BASE)]);
        assert!(matches!(first.edits.as_slice(), [ConfigMapEdit { result: Ok(()), after_refusal: false, .. }]));
        let invalid = index.apply(WatchEvent::Base(Event::Apply(config_map("roles", 2, "version: 2"))));
        assert!(
            invalid.map.is_none()
                && matches!(invalid.edits.as_slice(), [ConfigMapEdit { result: Err(_), after_refusal: false, .. }])
        );
        let valid = index.apply(WatchEvent::Base(Event::Apply(config_map("roles", 3, &BASE.replace("match: a", "match: z")))));
        assert!(
            valid.map.is_some() && matches!(valid.edits.as_slice(), [ConfigMapEdit { result: Ok(()), after_refusal: true, .. }])
        );
    }

    #[test]
    fn a_missing_key_is_a_refused_edit() {
        let mut index = index(None);
        listed(&mut index, WatchEvent::Base, vec![config_map("roles", 1, BASE)]);
        let mut object = config_map("roles", 2, BASE);
        object.data = None;
        let effect = index.apply(WatchEvent::Base(Event::Apply(object)));
        assert!(effect.map.is_none());
        assert!(effect.edits[0].result.as_ref().unwrap_err().to_string().contains("no key \"roles.yaml\""));
    }

    #[test]
    fn the_base_is_not_its_own_fragment() {
        let mut index = index(Some("x=y"));
        listed(&mut index, WatchEvent::Base, vec![config_map("roles", 1, BASE)]);
        let effect = listed(&mut index, WatchEvent::Fragment, vec![config_map("roles", 1, BASE)]);
        assert_eq!(effect.edits.len(), 1, "the edit of the base");
        assert_eq!(rules(&effect), Some(1));
    }
}
