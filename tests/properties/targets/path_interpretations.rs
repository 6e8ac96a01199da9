//! Path interpretations: no allowed path leads to a protected path, however it is decoded or parsed.

use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use url::Url;
use vestibule::check::CheckRequest;
use vestibule::principal::{CredentialKind, Grant};
use vestibule::role_map::RoleMap;

static MAP: LazyLock<RoleMap> = LazyLock::new(|| {
    let rules = r#"{version: 1, access: [{paths: ["/admin/**"], roles: [proxy_admin]}, {paths: ["/**"], allow: signed_in}]}"#;
    RoleMap::parse(rules).expect("a role map")
});

pub fn holds(input: &[u8]) {
    let path = String::from_utf8_lossy(input);
    let rules = MAP.access().expect("the map has rules");
    let request = CheckRequest { method: "GET", scheme: "https", host: "localhost", path: &path, query: None };
    let interpretations = rules.explain(&request);
    let matched = rules.match_request(&request);
    let Ok(matched) = matched else { return assert!(interpretations.is_err(), "{path:?}: every path has a rule") };
    let interpretations = interpretations.expect("a matched request can be explained");
    assert_eq!(interpretations[0].path, path, "the path as sent comes first");
    for found in &interpretations {
        assert!(found.path.starts_with('/') && found.path.len() <= path.len(), "{path:?}: {found:?}");
        assert!(!found.path.contains(char::is_control), "{path:?}: {found:?}");
    }
    if matched.authorize(&Grant::default(), CredentialKind::Session).is_ok() {
        for target in targets(&path) {
            let target = target.to_ascii_lowercase();
            assert!(target != "/admin" && !target.starts_with("/admin/"), "{path:?} becomes {target:?}");
        }
    }
}

/// Returns the results of URL parsing and percent-decoding, in any order.
fn targets(path: &str) -> Vec<String> {
    let mut targets = vec![path.to_owned()];
    for _ in 0..3 {
        let further: Vec<String> = targets.iter().flat_map(|path| [decoded(path), parsed(path)]).flatten().collect();
        targets.extend(further);
        targets.sort();
        targets.dedup();
    }
    targets
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
