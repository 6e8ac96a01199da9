//! Reads the path of an Ingress, which may be a regular expression, and the path that the upstream receives instead.

use crate::yaml::shown;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathScope {
    Exact,
    /// This path and those below it.
    Prefix,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewrite {
    None,
    /// Each request has this path.
    Replace(String),
    /// The matched prefix is removed.
    StripPrefix,
}

/// A path as a gateway matches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedPath {
    pub path: String,
    pub matches: PathScope,
    pub rewrite: Rewrite,
}

/// Reads a path with its `pathType` and the annotations `use-regex` and `rewrite-target`.
pub fn read(path: &str, path_type: &str, use_regex: bool, target: Option<&str>) -> Result<MatchedPath, String> {
    let matches = match path_type {
        "Exact" => PathScope::Exact,
        "Prefix" | "ImplementationSpecific" => PathScope::Prefix,
        other => return Err(format!("pathType: {} is unknown", shown(other))),
    };
    let found = match (matches, path_type) {
        (PathScope::Prefix, _) if use_regex || target.is_some() || path_type == "ImplementationSpecific" => regular(path, target),
        _ => None,
    };
    let found = found.unwrap_or_else(|| plain(path, matches, target))?;
    if is_plain(&found.path) { Ok(found) } else { Err(unsupported(path)) }
}

/// Reads the usual regular expressions with a prefix and a capture of the rest; `None` for a path without either.
fn regular(path: &str, target: Option<&str>) -> Option<Result<MatchedPath, String>> {
    let forms = [("(/|$)(.*)", "/$2"), ("/(.*)", "/$1"), ("/?(.*)", "/$1"), ("(/|$).*", ""), ("/.*", "")];
    let (prefix, rest) = forms.iter().find_map(|(form, rest)| Some((path.strip_suffix(form)?, *rest)))?;
    let rewrite = match target {
        None => Rewrite::None,
        Some(target) if target == rest && prefix.is_empty() => Rewrite::None,
        Some(target) if target == rest => Rewrite::StripPrefix,
        Some(target) if is_plain(target) => Rewrite::Replace(target.to_owned()),
        Some(target) => return Some(Err(unsupported_target(target))),
    };
    let path = if prefix.is_empty() { "/" } else { prefix };
    Some(Ok(MatchedPath { path: path.to_owned(), matches: PathScope::Prefix, rewrite }))
}

fn plain(path: &str, matches: PathScope, target: Option<&str>) -> Result<MatchedPath, String> {
    let rewrite = match target {
        None => Rewrite::None,
        Some(target) if target == path => Rewrite::None,
        Some(target) if is_plain(target) => Rewrite::Replace(target.to_owned()),
        Some(target) => return Err(unsupported_target(target)),
    };
    Ok(MatchedPath { path: path.to_owned(), matches, rewrite })
}

/// True for a path that is no regular expression, and that needs no escape in a rule of any gateway.
fn is_plain(path: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~!&,;=:@/".contains(&byte);
    let segments = || path.split('/').skip(1);
    let is_relative = segments().any(|segment| matches!(segment, "." | ".."));
    let has_empty = path.contains("//");
    path.starts_with('/') && path.len() <= 1024 && path.bytes().all(is_allowed) && !is_relative && !has_empty
}

fn unsupported(path: &str) -> String {
    format!(
        "path: {} is a regular expression or has characters that other gateways read differently; write a prefix",
        shown(path)
    )
}

fn unsupported_target(target: &str) -> String {
    format!("rewrite-target: {} has captures that cannot be carried over", shown(target))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/", "Prefix", None, "/", PathScope::Prefix, Rewrite::None)]
    #[case("/v1", "Exact", None, "/v1", PathScope::Exact, Rewrite::None)]
    #[case("/v1", "ImplementationSpecific", None, "/v1", PathScope::Prefix, Rewrite::None)]
    #[case("/", "Prefix", Some("/"), "/", PathScope::Prefix, Rewrite::None)]
    #[case("/app", "Prefix", Some("/"), "/app", PathScope::Prefix, Rewrite::Replace("/".into()))]
    #[case("/app(/|$)(.*)", "ImplementationSpecific", Some("/$2"), "/app", PathScope::Prefix, Rewrite::StripPrefix)]
    #[case("/(.*)", "ImplementationSpecific", Some("/$1"), "/", PathScope::Prefix, Rewrite::None)]
    #[case("/app/(.*)", "ImplementationSpecific", Some("/$1"), "/app", PathScope::Prefix, Rewrite::StripPrefix)]
    #[case("/app/.*", "ImplementationSpecific", None, "/app", PathScope::Prefix, Rewrite::None)]
    fn paths_are_read(
        #[case] path: &str,
        #[case] path_type: &str,
        #[case] target: Option<&str>,
        #[case] expected: &str,
        #[case] matches: PathScope,
        #[case] rewrite: Rewrite,
    ) {
        let found = read(path, path_type, path.contains('('), target).unwrap();
        assert_eq!(found, MatchedPath { path: expected.to_owned(), matches, rewrite });
    }

    #[rstest]
    #[case("/a[bc]", "ImplementationSpecific", None)]
    #[case("/a`) || PathPrefix(`/", "Prefix", None)]
    #[case("/a\nb", "Prefix", None)]
    #[case("a", "Prefix", None)]
    #[case("/a/../b", "Prefix", None)]
    #[case("/%61", "Prefix", None)]
    #[case("/a", "Other", None)]
    #[case("/a(/|$)(.*)", "ImplementationSpecific", Some("/x/$2"))]
    #[case("/a(/|$)(.*)", "Prefix", None)]
    #[case("/a", "Prefix", Some("/b\nc"))]
    fn other_paths_are_refused(#[case] path: &str, #[case] path_type: &str, #[case] target: Option<&str>) {
        read(path, path_type, false, target).unwrap_err();
    }
}
