//! Verifies that no spelling of a protected path is allowed, however an upstream interprets it.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;

fn rules() -> AccessRules {
    let for_admins = |path| AccessRule { roles: vec![Role::new("admin")], ..rule(&[path], AccessLevel::SignedIn) };
    AccessRules::new(vec![
        for_admins("/admin/**"),
        for_admins("/v1/admin"),
        for_admins("/files/*/private"),
        rule(&["/public/**"], AccessLevel::Anyone),
        rule(&["/**"], AccessLevel::SignedIn),
    ])
}

fn passes(rules: &AccessRules, path: &str) -> bool {
    rules.match_request(&get(path)).is_ok_and(|matched| matched.authorize(&grant("user", &[]), CredentialKind::Session).is_ok())
}

const REFUSED: &[&str] = &[
    // Plain, and with further segments.
    "/admin",
    "/admin/",
    "/admin/x",
    "/admin/x/../y",
    "/v1/admin",
    "/v1/admin/",
    "/files/7/private",
    "/files/7/private/",
    "/files/a%20b/private",
    // Letter case and encoded letters.
    "/Admin",
    "/ADMIN/x",
    "/aDmIn/",
    "/V1/Admin",
    "/FILES/7/Private",
    "/%61dmin",
    "/%61%64%6D%69%6e/x",
    "/%41DMIN",
    "/admi%6E/x",
    "/v%31/admin",
    "/files/7/%70rivate",
    // Encoded more than once.
    "/%2561dmin",
    "/%252561dmin",
    "/%25252561dmin",
    "/%2525252561dmin",
    "/%25%36%31dmin",
    "/admin%252Fx",
    "/v1%252fadmin",
    // Slashes.
    "//admin",
    "///admin//x",
    "/v1//admin",
    "/files//7//private",
    "/files//private",
    // A URL parser treats the text after two slashes as a host.
    "//x/admin",
    "///x/admin/y",
    "//x:80/v1/admin",
    "//user@x/files/7/private",
    "/%2Fx/admin",
    "/%2F%2Fx/%61dmin",
    "/\\x/admin",
    "/%5c%5cx/admin",
    "/x/..//y/admin",
    "/admin%2Fx",
    "/admin%2f",
    "/admin%20",
    "/admin/%20%20",
    "/admin%2520",
    "/%2Fadmin",
    "/v1%2Fadmin",
    "/v1%2F%2Fadmin",
    "/files%2F7%2Fprivate",
    "/files/7%2Fprivate",
    // Dot segments.
    "/./admin",
    "/x/../admin",
    "/x/y/../../admin/z",
    "/public/../admin",
    "/public/./../admin/x",
    "/public/x/../../admin",
    "/admin/.",
    "/admin/x/..",
    "/v1/./admin",
    "/v1/x/../admin",
    "/v1/admin/x/..",
    "/v1/admin/.",
    "/files/x/../7/private",
    "/files/7/x/../private",
    "/public//../admin",
    "/public/..//admin",
    "/public/%2e%2e/admin",
    "/public/%2E%2E/admin",
    "/public/.%2e/admin",
    "/public/%2e./admin",
    "/public/..%2fadmin",
    "/public%2f..%2fadmin",
    "/public/%2e%2e%2fadmin",
    "/public%2F%2e%2e%2Fadmin",
    "/public/%252e%252e/admin",
    "/public/%252e%252e%252fadmin",
    "/public/..%252fadmin",
    "/%2e/admin",
    "/%2e%2fadmin",
    // Above the root.
    "/..",
    "/../admin",
    "/public/../../admin",
    "/%2e%2e/admin",
    "/public/..%2f..%2fadmin",
    "/x/..;/..;/admin",
    // Parameters.
    "/admin;",
    "/admin;x=1",
    "/admin;x=1/y",
    "/;x/admin",
    "/v1;a=b/admin;c=d",
    "/public/..;/admin",
    "/public/..;x=1/admin",
    "/public/..%3b/admin",
    "/public/%2e%2e;/admin",
    "/public/%2e%2e%3b/admin",
    "/public/;/../../admin",
    "/admin%3Bx",
    "/admin%253Bx/y",
    "/files/7/private;v=1",
    // Some servers end the path at the first semicolon.
    "/v1/admin;x/y",
    "/v1/admin%3Bx/y/z",
    "/v1/admin;/../public",
    "/files/7/private;jsessionid=1/x",
    "//x/v1/admin;y/z",
    // Backslashes.
    "/admin\\x",
    "\\admin",
    "/\\admin",
    "/public\\..\\admin",
    "/public/..\\admin",
    "/public/..%5cadmin",
    "/public/%2e%2e%5cadmin",
    "/public%5C..%5Cadmin",
    "/public/..%255cadmin",
    "/v1\\admin",
    "/v1%5Cadmin",
    // Question marks, number signs.
    "/admin%3Fx",
    "/admin%3f",
    "/v1/admin%3Fx=/y",
    "/v1/admin%23",
    "/v1/admin#x",
    "/admin#",
    "/admin%23/../public",
    "/public/../admin%3F",
    "/v1/admin%253F",
    "/files/7/private%23x",
    // Paths without a valid interpretation.
    "/admin%",
    "/admin%zz",
    "/public/%",
    "/public/%2",
    "/%u0061dmin",
    "/public/%c0%ae%c0%ae/admin",
    "/public/..%c0%afadmin",
    "/public/%e0%80%ae./admin",
    "/admin%00",
    "/admin%00.html",
    "/public/%00/../../admin",
    "/public/x%0a",
    "/public/\u{1}",
    "/public/%ff",
    "/public/%252525252561",
    "admin",
    "",
    "*",
    "http://localhost/admin",
];

const PASSING: &[&str] = &[
    "/",
    "/public",
    "/public/",
    "/public/x.css",
    "/public//x",
    "/public/a/../b",
    "/public/a;v=1/b",
    "/public/%7Euser",
    "/v1/chat/completions",
    "/v1/models/meta-llama%2FLlama-3",
    "/v1/models/meta-llama%2FLlama-3/",
    "/v1/models/meta-llama%252FLlama-3",
    "/V1/Models/Qwen",
    "/v1/models/gpt-4o:free@2024",
    "/v1//chat",
    "/v1/./chat",
    "/v1/admins",
    "/v1/admin/x",
    "/v1/administrator",
    "/administrator",
    "/admin-guide",
    "/xadmin/x",
    "/x/admin",
    "/files/7/public",
    "/files/7/8/private",
    "/files/caf%C3%A9.txt",
    "/files/a%20b.txt",
    "/files/100%25.txt",
    "/files/a+b,c=(d)!.txt",
    "/files/C%23.txt",
    "/files/why%3F.txt",
    "/files/what%3Fadmin%23x",
    "/files/..hidden",
    "/files/...",
    "/public/%2e/x",
    "/x/%2e%2e/public",
];

#[test]
fn every_spelling_of_a_refused_path_is_refused() {
    assert!(REFUSED.len() >= 80);
    let rules = rules();
    let allowed: Vec<_> = REFUSED.iter().filter(|path| passes(&rules, path)).collect();
    assert_eq!(allowed, Vec::<&&str>::new());
}

#[test]
fn legitimate_spellings_pass() {
    let rules = rules();
    let refused: Vec<_> = PASSING.iter().filter(|path| !passes(&rules, path)).collect();
    assert_eq!(refused, Vec::<&&str>::new());
}

#[test]
fn an_administrator_passes_by_every_valid_spelling() {
    let rules = rules();
    let refused = REFUSED.iter().filter(|path| {
        let matched = rules.match_request(&get(path));
        matched.is_ok_and(|matched| matched.authorize(&grant("admin", &[]), CredentialKind::Session).is_err())
    });
    assert_eq!(refused.count(), 0);
}

/// A transformation that servers apply to a path before they route it. Implemented byte by byte, independently of the
/// module under test.
#[derive(Clone, Copy, Debug)]
enum Transformation {
    Decode,
    DecodeUnreserved,
    DecodeExceptSlashes,
    /// Walks the segments and ignores empty ones.
    Walk,
    /// Walks the segments. An empty one counts as a segment.
    WalkStrictly,
    WalkEncodedDots,
    MergeSlashes,
    RemoveParameters,
    ReplaceBackslashes,
    RemoveQuery,
    RemoveFragment,
    TruncateAtSemicolon,
    /// Parses the path as a URL.
    RemoveHost,
    TrimSlash,
    TrimSpaces,
}

const TRANSFORMATIONS: [Transformation; 15] = [
    Transformation::Decode,
    Transformation::DecodeUnreserved,
    Transformation::DecodeExceptSlashes,
    Transformation::Walk,
    Transformation::WalkStrictly,
    Transformation::WalkEncodedDots,
    Transformation::MergeSlashes,
    Transformation::RemoveParameters,
    Transformation::ReplaceBackslashes,
    Transformation::RemoveQuery,
    Transformation::RemoveFragment,
    Transformation::TruncateAtSemicolon,
    Transformation::RemoveHost,
    Transformation::TrimSlash,
    Transformation::TrimSpaces,
];

/// The most common ones, weighted so that the random test reaches protected paths.
const COMMON: [Transformation; 6] = [
    Transformation::Decode,
    Transformation::Decode,
    Transformation::Walk,
    Transformation::Walk,
    Transformation::RemoveParameters,
    Transformation::RemoveQuery,
];

impl Transformation {
    fn apply(self, path: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Decode => decode(&path, |_| true),
            Self::DecodeUnreserved => decode(&path, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)),
            Self::DecodeExceptSlashes => decode(&path, |byte| byte != b'/'),
            Self::Walk => walk(&path, |segment| segment.is_empty(), |segment| segment.to_vec()),
            Self::WalkStrictly => walk(&path, |_| false, |segment| segment.to_vec()),
            Self::WalkEncodedDots => walk(&path, |_| false, |segment| decode(segment, |byte| byte == b'.')),
            Self::MergeSlashes => {
                let mut path = path;
                path.dedup_by(|a, b| *a == b'/' && *b == b'/');
                path
            }
            Self::RemoveParameters => {
                let mut within = false;
                let keep = |byte: &u8| {
                    within = *byte != b'/' && (within || *byte == b';');
                    !within
                };
                path.into_iter().filter(keep).collect()
            }
            Self::ReplaceBackslashes => path.into_iter().map(|byte| if byte == b'\\' { b'/' } else { byte }).collect(),
            Self::RemoveQuery => path.into_iter().take_while(|byte| *byte != b'?').collect(),
            Self::RemoveFragment => path.into_iter().take_while(|byte| *byte != b'#').collect(),
            Self::TruncateAtSemicolon => path.into_iter().take_while(|byte| *byte != b';').collect(),
            Self::RemoveHost => {
                let slashes = path.iter().take_while(|byte| **byte == b'/').count();
                let host = path[slashes..].iter().take_while(|byte| **byte != b'/').count();
                match slashes {
                    0 | 1 => path,
                    _ => [b"/", path[slashes + host..].strip_prefix(b"/").unwrap_or_default()].concat(),
                }
            }
            Self::TrimSlash => {
                let end = if path.len() > 1 && path.ends_with(b"/") { path.len() - 1 } else { path.len() };
                path[..end].to_vec()
            }
            Self::TrimSpaces => path.trim_ascii_end().to_vec(),
        }
    }
}

/// A lenient decoder that keeps invalid encodings.
fn decode(path: &[u8], which: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let digits = path.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|_| path[at] == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|byte| which(*byte)) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(path[at]);
                at += 1;
            }
        }
    }
    decoded
}

/// `..` at the root stays at the root, as in most servers.
fn walk(path: &[u8], is_skipped: impl Fn(&[u8]) -> bool, name: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut walked: Vec<&[u8]> = Vec::new();
    let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').skip(1).collect();
    for (index, segment) in segments.iter().enumerate() {
        let is_last = index + 1 == segments.len();
        match name(segment).as_slice() {
            b"." | b".." if is_last => {
                if name(segment) == b".." {
                    walked.pop();
                }
                walked.push(b"");
            }
            b"." => {}
            b".." => drop(walked.pop()),
            _ if is_skipped(segment) && !is_last => {}
            _ => walked.push(segment),
        }
    }
    [b"/", walked.join(&b'/').as_slice()].concat()
}

/// True if the rules allow this path to administrators only. Ignores letter case.
fn is_protected(path: &[u8]) -> bool {
    let path = String::from_utf8_lossy(path).to_lowercase();
    let path = path.strip_suffix('/').unwrap_or(&path);
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    matches!(segments[..], ["admin", ..] | ["v1", "admin"] | ["files", _, "private"])
}

/// Generates paths that often lead to a protected path after some transformations.
fn spellings() -> impl Strategy<Value = String> {
    let noise = select(vec![
        "",
        "",
        "",
        "",
        "/x/..",
        "//x",
        "/.",
        "/",
        "/public/..",
        ";p=1",
        "/;/..",
        "/x/%2e%2e",
        "/x%2F..",
        "\\",
        "/y\\..",
        "/..",
        "%2F",
        "/x/..;q",
    ]);
    let name = select(vec![
        ("admin", ""),
        ("admin", "x"),
        ("v1", "admin"),
        ("files/7", "private"),
        ("public", "x"),
        ("v1", "chat"),
        ("AdMin", "y"),
    ]);
    let end = select(vec!["", "", "", "/", "?x", "#x", ";v", "/.", "/x/..", "\\", "//", " "]);
    (noise.clone(), name, noise, end, vec(select(vec![0_u8, 0, 0, 0, 0, 0, 3, 4]), 40)).prop_map(
        |(before, (first, second), between, end, levels)| {
            let plain = format!("{before}/{first}{between}/{second}{end}");
            let spelled: String = plain.chars().zip(levels.into_iter().cycle()).map(|(c, level)| encode(c, level)).collect();
            format!("/{}", spelled.strip_prefix('/').unwrap_or(&spelled))
        },
    )
}

/// Encodes a character not at all, once or twice.
fn encode(character: char, level: u8) -> String {
    let code = u32::from(character);
    let must = matches!(character, '?' | '#' | ' ');
    match level {
        3 => format!("%{code:02x}"),
        4 => format!("%25{code:02X}"),
        _ if must => format!("%{code:02X}"),
        _ => character.to_string(),
    }
}

#[test]
fn no_transformation_of_an_allowed_path_reaches_a_protected_path() {
    let rules = rules();
    let (reached, passed) = (Cell::new(0), Cell::new(0));
    let config = Config { cases: 4_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let cases = (spellings(), vec(select([TRANSFORMATIONS.as_slice(), &COMMON].concat()), 0..9));
    let outcome = runner.run(&cases, |(path, transformations)| {
        let target = transformations.iter().fold(path.clone().into_bytes(), |path, transformation| transformation.apply(path));
        let passes = passes(&rules, &path);
        passed.set(passed.get() + u32::from(passes));
        if is_protected(&target) {
            reached.set(reached.get() + 1);
            prop_assert!(!passes, "{} becomes {}", path, String::from_utf8_lossy(&target));
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(reached.get() > 200, "{} reached a protected path", reached.get());
    assert!(passed.get() > 500, "{} passed", passed.get());
}
