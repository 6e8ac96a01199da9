//! What the watches have told so far. Synchronous and without I/O: apply, delete, reset.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::runtime::watcher::Event;

use crate::config::ConfigMapSource;
use crate::roles::{Configured, Documents, RoleMap, Verdict};
use crate::yaml::{Mistake, Mistakes, Place};

/// Which watch an event is of.
pub(super) enum Part {
    Base(Event<ConfigMap>),
    Fragment(Event<ConfigMap>),
}

/// What became of an edited ConfigMap.
#[derive(Debug)]
pub(super) struct Told {
    pub about: ObjectReference,
    pub outcome: Result<(), Mistakes>,
    /// The edit before this one was refused.
    pub after_refusal: bool,
}

/// What an event leads to.
#[derive(Debug, Default)]
pub(super) struct Effect {
    pub told: Vec<Told>,
    /// To be put in force; `None` where nothing has changed.
    pub map: Option<RoleMap>,
}

pub(super) struct Index {
    source: ConfigMapSource,
    documents: Documents,
    /// By name, as they were last told.
    objects: HashMap<String, ObjectReference>,
    refused: BTreeSet<String>,
    base: Listing,
    fragments: Listing,
    /// Something has changed that is not put in force yet.
    changed: bool,
    /// Something was put in force.
    put: bool,
}

/// A watch begins, and begins again, with a list of all there is. What was listed is dealt with when the other watch
/// has listed too: by an old base a fragment would be judged wrongly, and by old fragments a base.
#[derive(Default)]
struct Listing {
    complete: bool,
    pending: Option<BTreeMap<String, ConfigMap>>,
}

impl Index {
    pub fn new(source: ConfigMapSource, configured: Configured) -> Self {
        let fragments = Listing { complete: source.fragments.is_none(), ..Listing::default() };
        Self {
            source,
            documents: Documents::new(configured),
            objects: HashMap::new(),
            refused: BTreeSet::new(),
            base: Listing::default(),
            fragments,
            changed: false,
            put: false,
        }
    }

    /// Whether everything was listed once and there is a role map to go by.
    pub fn is_ready(&self) -> bool {
        self.put && self.has_base()
    }

    /// Whether both watches have listed what there is since they last began.
    pub fn is_listed(&self) -> bool {
        self.base.complete && self.fragments.complete
    }

    /// Whether there is a good base; without one everything is closed.
    pub fn has_base(&self) -> bool {
        self.documents.has_base()
    }

    pub fn take(&mut self, part: Part) -> Effect {
        let mut verdicts = Vec::new();
        let changed = match part {
            Part::Base(event) => match self.base.keep(event) {
                Some(Event::Delete(_)) => self.remove_base(),
                Some(Event::Apply(object)) => self.set_base(&object, &mut verdicts),
                _ => false,
            },
            Part::Fragment(event) => match self.fragments.keep(event) {
                Some(Event::Delete(object)) => self.remove_fragment(&name_of(&object)),
                Some(Event::Apply(object)) => self.set_fragment(&object, &mut verdicts),
                _ => false,
            },
        };
        self.changed |= changed;
        if self.is_listed() {
            self.changed |= self.take_listed(&mut verdicts);
        }
        self.effect(verdicts)
    }

    /// Both watches begin anew. A base that was listed meanwhile doesn't wait for fragments that could not be: it may
    /// be there to take something away.
    pub fn interrupted(&mut self) -> Effect {
        let mut verdicts = Vec::new();
        if self.put && self.base.complete {
            self.changed |= self.take_listed_base(&mut verdicts);
        }
        self.effect(verdicts)
    }

    fn effect(&mut self, verdicts: Vec<Verdict>) -> Effect {
        // Before everything was listed for the first time nothing is in force by halves.
        self.changed |= !self.put;
        self.put |= self.is_listed();
        let map = (self.put && std::mem::take(&mut self.changed)).then(|| self.documents.compiled());
        Effect { told: self.tell(last_of_each(verdicts)), map }
    }

    fn take_listed(&mut self, verdicts: &mut Vec<Verdict>) -> bool {
        let fragments = self.fragments.pending.take();
        let stays = |name: &str| fragments.as_ref().is_none_or(|listed| listed.contains_key(name));
        let gone: Vec<_> = self.documents.fragments().filter(|name| !stays(name)).map(str::to_owned).collect();
        // What is gone first, so that no new base judges it.
        let mut changed = gone.iter().fold(false, |changed, name| self.remove_fragment(name) | changed);
        changed |= self.take_listed_base(verdicts);
        let listed = fragments.unwrap_or_default();
        listed.values().fold(changed, |changed, object| self.set_fragment(object, verdicts) | changed)
    }

    fn take_listed_base(&mut self, verdicts: &mut Vec<Verdict>) -> bool {
        let Some(listed) = self.base.pending.take() else { return false };
        match listed.into_values().next() {
            Some(object) => self.set_base(&object, verdicts),
            None => self.remove_base(),
        }
    }

    fn set_base(&mut self, object: &ConfigMap, verdicts: &mut Vec<Verdict>) -> bool {
        if !self.is_news(object) {
            return false;
        }
        let judged = match text(object, &self.source.key) {
            Ok(text) => self.documents.set_base(text),
            Err(missing) => vec![Verdict { fragment: None, outcome: Err(missing) }],
        };
        let changed = judged.iter().any(|verdict| verdict.fragment.is_none() && verdict.outcome.is_ok());
        verdicts.extend(judged);
        changed
    }

    fn remove_base(&mut self) -> bool {
        let name = self.source.name.clone();
        self.forget(&name);
        self.documents.remove_base()
    }

    fn set_fragment(&mut self, object: &ConfigMap, verdicts: &mut Vec<Verdict>) -> bool {
        let name = name_of(object);
        // Labels may select the base as well; it is no fragment of itself.
        if name == self.source.name || !self.is_news(object) {
            return false;
        }
        let verdict = match text(object, &self.source.key) {
            Ok(text) => self.documents.set_fragment(&name, text),
            Err(missing) => Some(Verdict { fragment: Some(name), outcome: Err(missing) }),
        };
        let changed = verdict.as_ref().is_some_and(|verdict| verdict.outcome.is_ok());
        verdicts.extend(verdict);
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

    /// A list tells again of what is known.
    fn is_news(&mut self, object: &ConfigMap) -> bool {
        let reference = reference_of(object);
        let known = self.objects.insert(name_of(object), reference.clone());
        known != Some(reference)
    }

    fn tell(&mut self, verdicts: Vec<Verdict>) -> Vec<Told> {
        let told = verdicts.into_iter().filter_map(|Verdict { fragment, outcome }| {
            let name = fragment.unwrap_or_else(|| self.source.name.clone());
            let after_refusal = match &outcome {
                Ok(()) => self.refused.remove(&name),
                Err(_) => !self.refused.insert(name.clone()),
            };
            Some(Told { about: self.objects.get(&name).cloned()?, outcome, after_refusal })
        });
        told.collect()
    }
}

impl Listing {
    /// Keeps what belongs to a list that is not dealt with yet; gives back what is to be dealt with at once.
    fn keep(&mut self, event: Event<ConfigMap>) -> Option<Event<ConfigMap>> {
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
            (at_once, None) => return Some(at_once),
        }
        None
    }
}

/// A base judges the fragments that are known; where newer ones were listed with it, those are what counts.
fn last_of_each(mut verdicts: Vec<Verdict>) -> Vec<Verdict> {
    let mut seen = BTreeSet::new();
    verdicts.reverse();
    verdicts.retain(|verdict| seen.insert(verdict.fragment.clone()));
    verdicts.reverse();
    verdicts
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

fn text<'a>(object: &'a ConfigMap, key: &str) -> Result<&'a str, Mistakes> {
    let text = object.data.as_ref().and_then(|data| data.get(key));
    text.map(String::as_str).ok_or_else(|| {
        let text = format!("the ConfigMap has no key {key:?}; put the document under it, or change the configured key");
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

    fn index(fragments: Option<&str>) -> Index {
        let source = ConfigMapSource {
            name: "roles".into(),
            namespace: None,
            key: "roles.yaml".into(),
            fragments: fragments.map(str::to_owned),
        };
        Index::new(source, Configured::default())
    }

    fn listed(index: &mut Index, wrap: impl Fn(Event<ConfigMap>) -> Part, objects: Vec<ConfigMap>) -> Effect {
        index.take(wrap(Event::Init));
        for object in objects {
            assert!(index.take(wrap(Event::InitApply(object))).map.is_none());
        }
        index.take(wrap(Event::InitDone))
    }

    fn rules(effect: &Effect) -> Option<usize> {
        effect.map.as_ref().map(RoleMap::rule_count)
    }

    #[test]
    fn nothing_is_in_force_before_both_watches_have_listed() {
        let mut index = index(Some("x=y"));
        assert_eq!(rules(&listed(&mut index, Part::Base, vec![config_map("roles", 1, BASE)])), None);
        assert!(!index.is_ready());
        let fragments = listed(&mut index, Part::Fragment, vec![config_map("b", 2, FRAGMENT)]);
        assert_eq!(rules(&fragments), Some(2));
        assert!(index.is_ready());
    }

    #[test]
    fn the_order_of_the_lists_makes_no_difference() {
        let mut index = index(Some("x=y"));
        listed(&mut index, Part::Fragment, vec![config_map("b", 2, FRAGMENT)]);
        assert_eq!(rules(&listed(&mut index, Part::Base, vec![config_map("roles", 1, BASE)])), Some(2));
    }

    #[test]
    fn a_list_again_tells_of_nothing_and_takes_away_what_is_gone() {
        let mut index = index(Some("x=y"));
        listed(&mut index, Part::Base, vec![config_map("roles", 1, BASE)]);
        listed(&mut index, Part::Fragment, vec![config_map("b", 2, FRAGMENT), config_map("c", 2, FRAGMENT)]);
        let again = listed(&mut index, Part::Base, vec![config_map("roles", 1, BASE)]);
        assert!(again.map.is_none() && again.told.is_empty());
        assert_eq!(rules(&listed(&mut index, Part::Fragment, vec![config_map("c", 2, FRAGMENT)])), Some(2));
        assert_eq!(rules(&index.take(Part::Fragment(Event::Delete(config_map("c", 2, FRAGMENT))))), Some(1));
    }

    #[test]
    fn after_an_interruption_base_and_fragments_are_judged_by_each_other_alone() {
        let mut index = index(Some("x=y"));
        listed(&mut index, Part::Base, vec![config_map("roles", 1, BASE)]);
        listed(&mut index, Part::Fragment, vec![config_map("b", 2, FRAGMENT), config_map("c", 2, FRAGMENT)]);
        let other = |text: &str| text.replace("team", "internal_user");
        // Whichever is listed first, neither "b", which is gone, nor what "c" was or is now is refused.
        index.take(Part::Base(Event::Init));
        let fragments = listed(&mut index, Part::Fragment, vec![config_map("c", 4, &other(FRAGMENT))]);
        assert!(fragments.map.is_none() && fragments.told.is_empty() && !index.is_listed());
        index.take(Part::Base(Event::InitApply(config_map("roles", 3, &other(BASE)))));
        let effect = index.take(Part::Base(Event::InitDone));
        assert_eq!(rules(&effect), Some(2));
        assert!(effect.told.iter().all(|told| told.outcome.is_ok() && !told.after_refusal), "{effect:?}");
        assert_eq!(effect.told.len(), 2);
    }

    #[test]
    fn what_changes_while_the_other_watch_lists_is_not_lost() {
        let mut index = index(Some("x=y"));
        listed(&mut index, Part::Base, vec![config_map("roles", 1, BASE)]);
        listed(&mut index, Part::Fragment, vec![config_map("b", 2, FRAGMENT)]);
        index.take(Part::Base(Event::Init));
        listed(&mut index, Part::Fragment, vec![config_map("b", 2, FRAGMENT), config_map("c", 3, FRAGMENT)]);
        index.take(Part::Fragment(Event::Delete(config_map("b", 4, FRAGMENT))));
        index.take(Part::Fragment(Event::Apply(config_map("d", 5, FRAGMENT))));
        index.take(Part::Base(Event::InitApply(config_map("roles", 1, BASE))));
        assert_eq!(rules(&index.take(Part::Base(Event::InitDone))), Some(3));
    }

    #[test]
    fn a_base_does_not_wait_for_fragments_that_cannot_be_listed() {
        let mut index = index(Some("x=y"));
        listed(&mut index, Part::Base, vec![config_map("roles", 1, BASE)]);
        assert!(index.interrupted().map.is_none(), "not before everything was listed once");
        listed(&mut index, Part::Fragment, vec![config_map("b", 2, FRAGMENT)]);
        index.take(Part::Fragment(Event::Init));
        assert!(listed(&mut index, Part::Base, vec![]).map.is_none());
        assert!(index.interrupted().map.is_some_and(|map| map.access().is_some_and(|access| access.rules().is_empty())));
    }

    #[test]
    fn a_deleted_base_closes_everything_and_a_new_one_opens_it_again() {
        let mut index = index(None);
        assert_eq!(rules(&listed(&mut index, Part::Base, vec![config_map("roles", 1, BASE)])), Some(1));
        let gone = index.take(Part::Base(Event::Delete(config_map("roles", 1, BASE))));
        assert!(gone.map.is_some_and(|map| map.access().is_some_and(|access| access.rules().is_empty())));
        assert_eq!(rules(&index.take(Part::Base(Event::Apply(config_map("roles", 3, BASE))))), Some(1));
        assert!(listed(&mut index, Part::Base, vec![]).map.is_some());
        assert!(!index.is_ready());
    }

    #[test]
    fn a_refused_edit_is_told_and_changes_nothing_and_the_good_one_after_it_says_so() {
        let mut index = index(None);
        let first = listed(&mut index, Part::Base, vec![config_map("roles", 1, BASE)]);
        assert!(matches!(first.told.as_slice(), [Told { outcome: Ok(()), after_refusal: false, .. }]));
        let bad = index.take(Part::Base(Event::Apply(config_map("roles", 2, "version: 2"))));
        assert!(bad.map.is_none() && matches!(bad.told.as_slice(), [Told { outcome: Err(_), after_refusal: false, .. }]));
        let good = index.take(Part::Base(Event::Apply(config_map("roles", 3, &BASE.replace("match: a", "match: z")))));
        assert!(good.map.is_some() && matches!(good.told.as_slice(), [Told { outcome: Ok(()), after_refusal: true, .. }]));
    }

    #[test]
    fn a_missing_key_is_a_refused_edit() {
        let mut index = index(None);
        listed(&mut index, Part::Base, vec![config_map("roles", 1, BASE)]);
        let mut object = config_map("roles", 2, BASE);
        object.data = None;
        let effect = index.take(Part::Base(Event::Apply(object)));
        assert!(effect.map.is_none());
        assert!(effect.told[0].outcome.as_ref().unwrap_err().to_string().contains("no key \"roles.yaml\""));
    }

    #[test]
    fn the_base_is_no_fragment_of_itself() {
        let mut index = index(Some("x=y"));
        listed(&mut index, Part::Base, vec![config_map("roles", 1, BASE)]);
        let effect = listed(&mut index, Part::Fragment, vec![config_map("roles", 1, BASE)]);
        assert_eq!(effect.told.len(), 1, "what became of the base");
        assert_eq!(rules(&effect), Some(1));
    }
}
