//! Paths in all their readings: what passes leads to no place that is kept, whatever others make of it.

use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use url::Url;
use vestibule::check::CheckRequest;
use vestibule::principal::{CredentialKind, Grant};
use vestibule::roles::RoleMap;

static MAP: LazyLock<RoleMap> = LazyLock::new(|| {
    let rules = r#"{version: 1, access: [{paths: ["/admin/**"], roles: [proxy_admin]}, {paths: ["/**"], allow: signed_in}]}"#;
    RoleMap::parse(rules).expect("a role map")
});

pub fn holds(input: &[u8]) {
    let path = String::from_utf8_lossy(input);
    let rules = MAP.access().expect("the map has rules");
    let request = CheckRequest { method: "GET", scheme: "https", host: "localhost", path: &path, query: None };
    let readings = rules.explain(&request);
    let selected = rules.select(&request);
    let Ok(selected) = selected else { return assert!(readings.is_err(), "{path:?}: every path has a rule") };
    let readings = readings.expect("what is selected can be explained");
    assert_eq!(readings[0].path, path, "the path as it was sent comes first");
    for reading in &readings {
        assert!(reading.path.starts_with('/') && reading.path.len() <= path.len(), "{path:?}: {reading:?}");
        assert!(!reading.path.contains(char::is_control), "{path:?}: {reading:?}");
    }
    if selected.permits(&Grant::default(), CredentialKind::Session).is_ok() {
        for place in places(&path) {
            let place = place.to_ascii_lowercase();
            assert!(place != "/admin" && !place.starts_with("/admin/"), "{path:?} becomes {place:?}");
        }
    }
}

/// What a parser of URLs, a decoder and both by turns make of it.
fn places(path: &str) -> Vec<String> {
    let mut places = vec![path.to_owned()];
    for _ in 0..3 {
        let further: Vec<String> = places.iter().flat_map(|path| [decoded(path), parsed(path)]).flatten().collect();
        places.extend(further);
        places.sort();
        places.dedup();
    }
    places
}

fn decoded(path: &str) -> Option<String> {
    percent_decode_str(path).decode_utf8().ok().map(String::from)
}

fn parsed(path: &str) -> Option<String> {
    Url::parse(&format!("http://localhost{path}"))
        .ok()
        .filter(|url| url.host_str() == Some("localhost"))
        .map(|url| url.path().to_owned())
}
