//! Former names of renamed metrics, exported together with the new ones for one release.

use prometheus::proto::MetricFamily;

/// The former name and the name of each. Remove these in 0.3.0.
const RENAMED: [(&str, &str); 2] = [
    ("vestibule_role_map_in_force_since_seconds", "vestibule_role_map_loaded_timestamp_seconds"),
    ("vestibule_token_issuer_keys_fetched_seconds", "vestibule_token_issuer_keys_fetched_timestamp_seconds"),
];

/// Adds a copy of each renamed metric under its former name.
pub(super) fn with_former_names(mut families: Vec<MetricFamily>) -> Vec<MetricFamily> {
    for (former, name) in RENAMED {
        if let Some(family) = families.iter().find(|family| family.name() == name) {
            let mut copy = family.clone();
            copy.set_name(former.to_owned());
            copy.set_help(format!("Deprecated: use {name}."));
            families.push(copy);
        }
    }
    families
}

/// The table of former names in docs/metrics.md.
pub(super) fn reference() -> String {
    let rows: String = RENAMED.iter().map(|(former, name)| format!("| `{former}` | `{name}` |\n")).collect();
    format!("| deprecated name, until 0.3.0 | use |\n| --- | --- |\n{rows}")
}
