//! The definition of a match of a path pattern, for tests: exponential, and obviously correct.

/// `pattern` must be a valid pattern.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let (Some(pattern), Some(path)) = (pattern.strip_prefix('/'), path.strip_prefix('/')) else { return false };
    let pattern: Vec<&str> = pattern.split('/').filter(|segment| !segment.is_empty()).collect();
    matches_segments(&pattern, &path.split('/').collect::<Vec<_>>())
}

fn matches_segments(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], [] | [""]) => true,
        (["**", after @ ..], _) => (0..=path.len()).any(|taken| matches_segments(after, &path[taken..])),
        ([wanted, after @ ..], [found, rest @ ..]) => {
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            matches_characters(&characters(wanted), &characters(found)) && matches_segments(after, rest)
        }
        _ => false,
    }
}

fn matches_characters(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        (['*', after @ ..], _) => (0..=text.len()).any(|taken| matches_characters(after, &text[taken..])),
        (['?', after @ ..], [_, rest @ ..]) => matches_characters(after, rest),
        ([wanted, after @ ..], [found, rest @ ..]) => wanted == found && matches_characters(after, rest),
        _ => false,
    }
}
