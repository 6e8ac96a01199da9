//! The `role_map` section: the source of the role map.

use std::path::Path;

use super::{RoleMapSource, values};
use crate::kubernetes::ConfigMapSource;
use crate::role_map::{ConfiguredNames, RoleMap, compile};
use crate::yaml::decode::{Kind, Section, field};
use crate::yaml::shown;

pub const DOC: &str = "The role map, which maps claims to roles.";

/// Reads the section and validates the role map, so that all mistakes are reported together.
pub fn read(section: &mut Section<'_>, configured: &ConfiguredNames, warnings: &mut Vec<String>) -> Option<RoleMapSource> {
    let has_value = section.not_without_value("file");
    let file = section.optional(
        field(
            "file",
            "File with the role map. Read again when it changes. It must be valid at start. If it is later invalid or missing, \
             the last valid role map stays active.",
        )
        .unset("the built-in role map"),
        &values::FILE,
    );
    let config_map = section.section(
        "config_map",
        "ConfigMap with the role map, instead of `file`. Changes are applied without a restart.",
        read_config_map,
    );
    let fragments =
        section.section("fragments", "ConfigMaps with fragments that are merged into the role map of `config_map`.", |section| {
            section.optional(
                field(
                    "selector",
                    "Label selector of the ConfigMaps, in the namespace of `config_map`, such as `vestibule/role-map=fragment`.",
                )
                .unset("none"),
                &values::NAME,
            )
        });
    match &file {
        Some(Some(path)) => match load(path, configured) {
            Ok(map) => warnings.extend(configured.access_warning(&map)),
            Err(mistakes) => mistakes.into_iter().for_each(|mistake| section.complain("file", mistake)),
        },
        // A ConfigMap is read later, and causes the same warning then.
        Some(None) if config_map == Some(None) => warnings.extend(configured.access_warning(&RoleMap::default())),
        _ => {}
    }
    has_value?;
    match (file?, config_map?, fragments?) {
        (Some(_), Some(_), _) => {
            section.complain("config_map", "can't be combined with `file`; remove one of them");
            None
        }
        (_, None, Some(_)) => {
            section.complain("fragments", "requires `config_map`");
            None
        }
        (_, Some((name, namespace, key)), fragments) => {
            Some(RoleMapSource::ConfigMap(ConfigMapSource { name, namespace, key, fragments }))
        }
        (Some(path), None, None) => Some(RoleMapSource::File(path)),
        (None, None, None) => Some(RoleMapSource::BuiltIn),
    }
}

type ConfigMapReference = (String, Option<String>, String);

/// Returns `Some(None)` if no ConfigMap is configured.
fn read_config_map(section: &mut Section<'_>) -> Option<Option<ConfigMapReference>> {
    let has_value = section.not_without_value("name");
    let name = section.optional(field("name", "Name of the ConfigMap.").unset("none"), &OBJECT_NAME);
    let namespace =
        section.optional(field("namespace", "Namespace of the ConfigMap.").unset("the pod's namespace"), &OBJECT_NAME);
    let key = section.or_default(field("key", "Key of the document in the ConfigMap."), &values::NAME, "roles.yaml");
    has_value?;
    let (name, namespace, key) = (name?, namespace?, key?);
    if name.is_none() && (namespace.is_some() || section.is_given("key")) {
        section.complain("name", "is required");
        return None;
    }
    Some(name.map(|name| (name, namespace, key)))
}

/// A DNS subdomain name, as Kubernetes requires for names of objects.
const OBJECT_NAME: Kind<String> = Kind {
    name: "name",
    parse: |text| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        let ends = |edge: Option<&u8>| edge.is_some_and(u8::is_ascii_alphanumeric);
        let is_valid =
            text.len() <= 253 && text.bytes().all(allowed) && ends(text.as_bytes().first()) && ends(text.as_bytes().last());
        if is_valid { Ok(text.to_owned()) } else { Err("must be a Kubernetes name: up to 253 of a-z, 0-9, - and .".to_owned()) }
    },
};

/// Returns the role map, or all its mistakes.
fn load(path: &Path, configured: &ConfiguredNames) -> Result<RoleMap, Vec<String>> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| vec![format!("{} can't be read: {error}", shown(&path.to_string_lossy()))])?;
    compile(&text, configured).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}
