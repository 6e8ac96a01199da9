//! The role map in force: replaced as a whole by a good edit, kept through a bad one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;

use super::{Configured, RoleMap};
use crate::{
    clock::Clock,
    metrics::{Metrics, Outcome},
    yaml::{Mistake, Mistakes, Place},
};

/// A role map and its place in the order of edits.
pub struct InForce {
    pub map: RoleMap,
    pub version: u64,
    /// When it was put in force, by this process.
    pub since: Timestamp,
}

/// An edit that was not put in force.
#[derive(Clone, Debug)]
pub struct RefusedEdit {
    pub at: Timestamp,
    /// Each with where it is.
    pub mistakes: Vec<String>,
}

impl InForce {
    /// Whether any source has told yet what is to be in force. Until then nothing can be decided by it.
    pub fn is_known(&self) -> bool {
        self.version > 0
    }
}

/// Where a source puts its documents and everybody else finds the last good one.
pub struct RoleMaps {
    current: ArcSwap<InForce>,
    /// Where documents come from, in words.
    source: String,
    /// Edits that were refused and not mended since, by where they were made.
    refused: Mutex<BTreeMap<String, RefusedEdit>>,
    /// What a document may name.
    configured: Configured,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl RoleMaps {
    /// Begins with `document`, or with the default map where none is configured.
    pub fn new(
        document: Option<&str>,
        configured: Configured,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Mistakes> {
        let map = document.map_or_else(|| Ok(RoleMap::default()), |text| compile(text, &configured))?;
        let current = ArcSwap::from_pointee(InForce { map, version: 1, since: clock.now() });
        let (source, refused) = ("built in".to_owned(), Mutex::default());
        let maps = Self { current, source, refused, configured, clock, metrics };
        maps.metrics.role_map_edited(Outcome::Ok);
        maps.report();
        Ok(maps)
    }

    /// Begins with nothing known and nothing granted to anybody, until a source tells of its document.
    pub fn unknown(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let current = ArcSwap::from_pointee(InForce { map: RoleMap::closed(), version: 0, since: clock.now() });
        let (source, refused) = ("built in".to_owned(), Mutex::default());
        Self { current, source, refused, configured: Configured::default(), clock, metrics }
    }

    /// Says where the documents come from.
    #[must_use]
    pub fn with_source(self, source: String) -> Self {
        Self { source, ..self }
    }

    /// Whose claims documents may name, as far as that is known.
    pub fn providers(&self) -> &[String] {
        self.configured.providers.as_deref().unwrap_or_default()
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// The latest edit that was refused and not mended since.
    pub fn refused(&self) -> Option<RefusedEdit> {
        self.refused_edits().values().max_by_key(|edit| edit.at).cloned()
    }

    /// Remembers that an edit was refused; `place` is where it was made.
    pub fn refuse(&self, place: &str, error: &Mistakes) {
        let edit = RefusedEdit { at: self.clock.now(), mistakes: error.iter().map(ToString::to_string).collect() };
        self.refused_edits().insert(place.to_owned(), edit);
    }

    /// That what was refused there has been mended, or is gone.
    pub fn mended(&self, place: &str) {
        self.refused_edits().remove(place);
    }

    fn refused_edits(&self) -> MutexGuard<'_, BTreeMap<String, RefusedEdit>> {
        self.refused.lock().expect("no code that holds this lock panics")
    }

    pub fn current(&self) -> arc_swap::Guard<Arc<InForce>> {
        self.current.load()
    }

    /// Puts an edited document in force, or refuses it whole: the map before it then stays.
    pub fn edit(&self, document: &str) {
        self.take(compile(document, &self.configured));
    }

    /// The same with a file's content, which may be no text at all.
    pub fn edit_bytes(&self, document: &[u8]) {
        self.take(text_of(document).and_then(|text| compile(text, &self.configured)));
    }

    fn take(&self, compiled: Result<RoleMap, Mistakes>) {
        match compiled {
            Ok(map) => {
                self.metrics.role_map_edited(Outcome::Ok);
                self.mended("");
                self.put(map);
            }
            Err(error) => {
                self.metrics.role_map_edited(Outcome::Error);
                self.refuse("", &error);
                tracing::error!(%error, "the edited role map is refused; the one before it stays in force");
            }
        }
    }

    /// Puts a map in force that its source has judged.
    pub fn put(&self, map: RoleMap) {
        let rules = map.rule_count();
        let version = self.replace(map);
        tracing::info!(version, rules, "the edited role map is in force");
    }

    /// Grants nothing to anybody: the document is gone, and its restrictions with it.
    pub fn close(&self) {
        let version = self.replace(RoleMap::closed());
        tracing::error!(version, "there is no good role map: nobody has a role, and every request is refused");
    }

    fn replace(&self, map: RoleMap) -> u64 {
        let version = self.current.load().version + 1;
        self.current.store(Arc::new(InForce { map, version, since: self.clock.now() }));
        self.report();
        version
    }

    fn report(&self) {
        let current = self.current.load();
        self.metrics.role_map_in_force(current.version, current.map.rule_count(), self.clock.now().as_second());
    }
}

/// A file's content as a document.
pub fn text_of(document: &[u8]) -> Result<&str, Mistakes> {
    std::str::from_utf8(document).map_err(|error| {
        let line = 1 + document[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() as u64;
        Mistake::new("", Place::Line(line), "is not valid UTF-8").into()
    })
}

/// Reads and judges a document, with what it may name.
pub fn compile(document: &str, configured: &Configured) -> Result<RoleMap, Mistakes> {
    let map = RoleMap::parse(document)?;
    map.check_configured(configured)?;
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn maps(document: Option<&str>) -> RoleMaps {
        let configured = Configured { providers: Some(vec!["corp".into()]), ..Configured::default() };
        RoleMaps::new(document, configured, Arc::new(SystemClock), Arc::new(Metrics::new())).unwrap()
    }

    fn default_role(maps: &RoleMaps) -> Option<String> {
        maps.current().map.judge(&[]).role.map(|role| role.to_string())
    }

    #[test]
    fn a_good_edit_is_in_force_at_once_under_the_next_version() {
        let maps = maps(Some("{version: 1, default_role: customer}"));
        maps.edit("{version: 1, default_role: internal_user}");
        assert_eq!((maps.current().version, default_role(&maps).as_deref()), (2, Some("internal_user")));
    }

    #[test]
    fn a_bad_edit_changes_nothing() {
        let maps = maps(Some("{version: 1, default_role: customer}"));
        for bad in [
            "",
            "{version: 2}",
            "{version: 1, rules: [{claim: a, match: b, role: king}]}",
            "{version: 1, rules: [{provider: other, claim: a, match: b, role: customer}]}",
        ] {
            maps.edit(bad);
            assert_eq!((maps.current().version, default_role(&maps).as_deref()), (1, Some("customer")), "{bad}");
        }
        maps.edit_bytes(b"version: 1\n# caf\xe9\n");
        assert_eq!(maps.current().version, 1);
        let counted = String::from_utf8(maps.metrics.render()).unwrap();
        assert!(counted.contains(r#"vestibule_role_map_edits_total{outcome="error"} 5"#), "{counted}");
        assert_eq!(text_of(b"version: 1\n# caf\xe9\n").unwrap_err().to_string(), "line 2: is not valid UTF-8");
    }
}
