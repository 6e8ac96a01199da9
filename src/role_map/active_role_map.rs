//! Holds the active role map. A valid edit replaces it as a whole; an invalid edit leaves it unchanged.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;

use super::{ConfiguredNames, RoleMap};
use crate::{
    clock::Clock,
    metrics::{Metrics, Outcome},
    yaml::{Mistake, Mistakes, Place},
};

/// The active role map, with its version.
pub struct ActiveRoleMap {
    pub map: RoleMap,
    /// Incremented by each edit; 0 before the first load.
    pub version: u64,
    /// The time since which this process has applied it.
    pub since: Timestamp,
}

/// An invalid edit, which was not applied.
#[derive(Clone, Debug)]
pub struct RefusedEdit {
    pub at: Timestamp,
    /// Each with its field path and line.
    pub mistakes: Vec<String>,
}

impl ActiveRoleMap {
    /// True if the source has loaded a role map. Until then no decision is possible.
    pub fn is_loaded(&self) -> bool {
        self.version > 0
    }
}

/// Publishes the active role map to all readers. A source applies edits to it.
pub struct RoleMaps {
    active: ArcSwap<ActiveRoleMap>,
    /// The description of the source for users.
    source: String,
    /// Invalid edits that no valid edit has replaced yet, by the place of the edit.
    refusals: Mutex<BTreeMap<String, RefusedEdit>>,
    /// The configured names that a document may use.
    configured: ConfiguredNames,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl RoleMaps {
    /// Starts with `document`, or with the default role map if none is configured.
    pub fn new(
        document: Option<&str>,
        configured: ConfiguredNames,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Mistakes> {
        let map = document.map_or_else(|| Ok(RoleMap::default()), |text| compile(text, &configured))?;
        let map = map.with_identity_encoding(configured.identity_encoding);
        let active = ArcSwap::from_pointee(ActiveRoleMap { map, version: 1, since: clock.now() });
        let (source, refusals) = ("built in".to_owned(), Mutex::default());
        let maps = Self { active, source, refusals, configured, clock, metrics };
        maps.metrics.role_map_edited(Outcome::Ok);
        maps.report();
        Ok(maps)
    }

    /// Starts without a role map. Nothing is granted until the source loads a document.
    pub fn unloaded(configured: ConfiguredNames, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let active = ArcSwap::from_pointee(ActiveRoleMap { map: RoleMap::closed(), version: 0, since: clock.now() });
        let (source, refusals) = ("built in".to_owned(), Mutex::default());
        Self { active, source, refusals, configured, clock, metrics }
    }

    /// Sets the description of the source.
    #[must_use]
    pub fn with_source(self, source: String) -> Self {
        Self { source, ..self }
    }

    /// The ids of the providers that documents may name; empty if they are not known.
    pub fn providers(&self) -> &[String] {
        self.configured.providers.as_deref().unwrap_or_default()
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// The latest invalid edit that no valid edit has replaced yet.
    pub fn latest_refusal(&self) -> Option<RefusedEdit> {
        self.lock_refusals().values().max_by_key(|edit| edit.at).cloned()
    }

    /// Records an invalid edit; `place` identifies the edited document.
    pub fn record_refusal(&self, place: &str, error: &Mistakes) {
        let edit = RefusedEdit { at: self.clock.now(), mistakes: error.iter().map(ToString::to_string).collect() };
        self.lock_refusals().insert(place.to_owned(), edit);
    }

    /// Removes the recorded refusal at `place` after a valid edit or a deletion.
    pub fn clear_refusal(&self, place: &str) {
        self.lock_refusals().remove(place);
    }

    fn lock_refusals(&self) -> MutexGuard<'_, BTreeMap<String, RefusedEdit>> {
        self.refusals.lock().expect("no code that holds this lock panics")
    }

    pub fn active(&self) -> arc_swap::Guard<Arc<ActiveRoleMap>> {
        self.active.load()
    }

    /// Activates an edited document. If it is invalid, the role map stays unchanged.
    pub fn apply(&self, document: &str) {
        self.record(compile(document, &self.configured));
    }

    /// Activates an edited file, like [`Self::apply`]. Its content may be invalid UTF-8.
    pub fn apply_bytes(&self, document: &[u8]) {
        self.record(decode_document(document).and_then(|text| compile(text, &self.configured)));
    }

    fn record(&self, compiled: Result<RoleMap, Mistakes>) {
        match compiled {
            Ok(map) => {
                self.metrics.role_map_edited(Outcome::Ok);
                self.clear_refusal("");
                self.activate(map);
            }
            Err(error) => {
                self.metrics.role_map_edited(Outcome::Error);
                self.record_refusal("", &error);
                tracing::error!(%error, "role map rejected; keeping last valid version");
            }
        }
    }

    /// Activates a role map that the source has validated.
    pub fn activate(&self, map: RoleMap) {
        let (rules, warning) = (map.rule_count(), self.configured.access_warning(&map));
        let version = self.replace(map);
        tracing::info!(version, rules, "role map updated");
        if let Some(warning) = warning {
            tracing::warn!(warning, "configuration warning");
        }
    }

    /// Activates the closed role map, because the document and its restrictions are gone.
    pub fn close(&self) {
        let version = self.replace(RoleMap::closed());
        tracing::error!(version, "no valid role map; all requests are denied");
    }

    fn replace(&self, map: RoleMap) -> u64 {
        let version = self.active.load().version + 1;
        let map = map.with_identity_encoding(self.configured.identity_encoding);
        self.active.store(Arc::new(ActiveRoleMap { map, version, since: self.clock.now() }));
        self.report();
        version
    }

    fn report(&self) {
        let active = self.active.load();
        self.metrics.role_map_activated(active.version, active.map.rule_count(), self.clock.now().as_second());
    }
}

/// Decodes a file's content as UTF-8.
pub fn decode_document(document: &[u8]) -> Result<&str, Mistakes> {
    std::str::from_utf8(document).map_err(|error| {
        let line = 1 + document[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() as u64;
        Mistake::new("", Place::Line(line), "is not valid UTF-8").into()
    })
}

/// Parses and validates a document, including the configured names that it uses.
pub fn compile(document: &str, configured: &ConfiguredNames) -> Result<RoleMap, Mistakes> {
    let map = RoleMap::parse(document)?;
    map.check_configured(configured)?;
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn maps(document: Option<&str>) -> RoleMaps {
        let configured = ConfiguredNames { providers: Some(vec!["corp".into()]), ..ConfiguredNames::default() };
        RoleMaps::new(document, configured, Arc::new(SystemClock), Arc::new(Metrics::new())).unwrap()
    }

    fn default_role(maps: &RoleMaps) -> Option<String> {
        maps.active().map.evaluate(&[]).role.map(|role| role.to_string())
    }

    #[test]
    fn a_valid_edit_is_active_at_once_with_the_next_version() {
        let maps = maps(Some("{version: 1, default_role: customer}"));
        maps.apply("{version: 1, default_role: internal_user}");
        assert_eq!((maps.active().version, default_role(&maps).as_deref()), (2, Some("internal_user")));
    }

    #[test]
    fn a_static_credential_without_access_rules_causes_a_warning() {
        let warning = |names: &[&str], document: &str| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            let configured = ConfiguredNames { upstream_credentials: Some(names), ..ConfiguredNames::default() };
            configured.access_warning(&RoleMap::parse(document).unwrap())
        };
        let (without, with) = ("{version: 1}", "{version: 1, access: [{paths: [/**]}]}");
        assert!(warning(&["litellm", "assertion"], without).unwrap().starts_with("upstream_credential.static (litellm): "));
        assert_eq!((warning(&["litellm"], with), warning(&["assertion"], without), warning(&[], without)), (None, None, None));
    }

    #[test]
    fn an_invalid_edit_changes_nothing() {
        let maps = maps(Some("{version: 1, default_role: customer}"));
        for invalid in [
            "",
            "{version: 2}",
            "{version: 1, rules: [{claim: a, match: b, role: king}]}",
            "{version: 1, rules: [{provider: other, claim: a, match: b, role: customer}]}",
        ] {
            maps.apply(invalid);
            assert_eq!((maps.active().version, default_role(&maps).as_deref()), (1, Some("customer")), "{invalid}");
        }
        maps.apply_bytes(b"version: 1\n# caf\xe9\n");
        assert_eq!(maps.active().version, 1);
        let counted = String::from_utf8(maps.metrics.render()).unwrap();
        assert!(counted.contains(r#"vestibule_role_map_edits_total{outcome="error"} 5"#), "{counted}");
        assert_eq!(decode_document(b"version: 1\n# caf\xe9\n").unwrap_err().to_string(), "line 2: is not valid UTF-8");
    }
}
