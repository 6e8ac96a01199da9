//! Converts the requests that oauth2-proxy lets pass without authentication to access rules.

use super::input::Options;
use crate::yaml::emit::{Map, YamlValue};
use crate::yaml::shown;

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Returns the access rules; `None` if every request needs a session, which needs no rule.
pub fn convert(options: &Options, remarks: &mut Vec<String>) -> Option<YamlValue> {
    let mut rules = Vec::new();
    for route in options.list("skip-auth-route").iter().chain(options.list("skip-auth-regex")) {
        match open_route(route) {
            Some(rule) => rules.push(rule),
            None => remarks.push(format!("{} stays protected: the expression is not a path or a prefix.", shown(route))),
        }
    }
    if options.is_on("skip-auth-preflight") {
        rules.push(Map::new().with("paths", vec!["/**"]).with("methods", vec!["OPTIONS"]).with("allow", "anyone"));
    }
    if rules.is_empty() {
        return None;
    }
    rules.push(Map::new().with("paths", vec!["/**"]));
    Some(rules.into())
}

fn open_route(route: &str) -> Option<Map> {
    let (method, expression) = match route.split_once('=') {
        Some((method, _)) if method.ends_with('!') => return None,
        Some((method, expression)) if METHODS.contains(&method) => (Some(method), expression),
        _ => (None, route),
    };
    let paths = paths_of(expression)?;
    let map = Map::new().with("paths", paths);
    Some(map.with_some("methods", method.map(|method| vec![method])).with("allow", "anyone"))
}

/// Reads an expression for one path, or for all that begin with it. The expression matches every path that the patterns match:
/// an end that could be a part of a name is the end of a segment.
fn paths_of(expression: &str) -> Option<Vec<String>> {
    let anchored = expression.strip_prefix('^')?;
    let (rest, is_prefix) = match anchored {
        _ if anchored.ends_with("(/.*)?$") => (anchored.strip_suffix("(/.*)?$")?, true),
        _ if anchored.ends_with("(/|$)") => (anchored.strip_suffix("(/|$)")?, true),
        _ if anchored.ends_with("/.*$") => (anchored.strip_suffix("/.*$")?, true),
        _ if anchored.ends_with(".*$") => (anchored.strip_suffix(".*$")?, true),
        _ if anchored.ends_with(".*") => (anchored.strip_suffix(".*")?, true),
        _ => anchored.strip_suffix('$').map_or((anchored, true), |rest| (rest, false)),
    };
    let requires_slash = rest.ends_with('/') || anchored.ends_with("/.*$");
    let path = literal(rest.trim_end_matches('/'))?;
    if path.is_empty() {
        // An expression for all paths would open everything.
        return None;
    }
    match (is_prefix, requires_slash) {
        (false, _) => Some(vec![path]),
        (true, true) => Some(vec![format!("{path}/**/*")]),
        (true, false) => Some(vec![format!("{path}/**")]),
    }
}

/// Returns the text of an expression that has no operators besides escaped characters and dots, which are taken literally.
fn literal(expression: &str) -> Option<String> {
    let (mut text, mut characters) = (String::new(), expression.chars());
    while let Some(character) = characters.next() {
        let character = match character {
            '\\' => characters.next().filter(|escaped| matches!(escaped, '.' | '-' | '_' | '/'))?,
            other => other,
        };
        text.push(character);
    }
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || "-_./~".contains(character);
    let is_path = text.is_empty() || text.starts_with('/');
    let has_odd_segment = text.split('/').skip(1).any(|segment| matches!(segment, "" | "." | ".."));
    (is_path && text.chars().all(is_allowed) && !has_odd_segment).then_some(text)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("^/metrics$", "/metrics")]
    #[case("^/metrics", "/metrics/**")]
    #[case("^/api/v1/health/.*$", "/api/v1/health/**/*")]
    #[case("^/static/", "/static/**/*")]
    #[case(r"^/\.well-known/", "/.well-known/**/*")]
    #[case("^/a(/.*)?$", "/a/**")]
    #[case("^/v1.0", "/v1.0/**")]
    fn paths_and_prefixes_are_converted(#[case] expression: &str, #[case] expected: &str) {
        assert_eq!(paths_of(expression), Some(vec![expected.to_owned()]));
    }

    #[rstest]
    #[case("/metrics")]
    #[case("^/")]
    #[case("^/.*$")]
    #[case(".*")]
    #[case("^/(a|b)")]
    #[case("^/a[0-9]+$")]
    #[case("^/a+")]
    #[case("^/a/../b")]
    #[case("GET!=^/a")]
    fn other_expressions_open_nothing(#[case] route: &str) {
        assert_eq!(open_route(route), None);
    }

    /// A path that a rule opens must have been open.
    #[rstest]
    #[case("^/a$")]
    #[case("^/a")]
    #[case("^/a/.*$")]
    #[case("^/a/")]
    #[case("^/a(/.*)?$")]
    #[case("^/a.*$")]
    #[case("^/a(/|$)")]
    fn no_further_path_is_opened(#[case] expression: &str) {
        let regex = regex::Regex::new(expression).unwrap();
        let role_map = Map::new().with("version", 1_u16).with("access", vec![open_route(expression).unwrap()]).document();
        let map = crate::role_map::RoleMap::parse(&role_map).unwrap();
        let grant = map.evaluate(&[]);
        for path in ["/a", "/a/", "/a/b", "/a/b/c", "/ab", "/b", "/", "/x/a"] {
            let url = format!("https://llm.example.com{path}");
            let request = crate::explain::AccessRequest {
                url: &url,
                method: "GET",
                credential: crate::principal::CredentialKind::Session,
                route: None,
            };
            let access = crate::explain::explain_access(&map, &grant, &request).unwrap();
            // A slash at the end makes no difference to an access rule.
            let was_open =
                regex.is_match(path) || regex.is_match(path.trim_end_matches('/')) || regex.is_match(&format!("{path}/"));
            assert!(!access.allowed || was_open, "{expression} did not match {path}");
        }
    }
}
