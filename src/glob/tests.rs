use super::*;
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};

#[test]
fn the_shape_describes_the_pattern() {
    let table = [
        ("admin", Shape::Exactly("admin".into())),
        (r"a\*b", Shape::Exactly("a*b".into())),
        ("admin*", Shape::BeginsWith("admin".into())),
        ("*admin", Shape::EndsWith("admin".into())),
        ("*", Shape::EndsWith(String::new())),
        ("a*b", Shape::Other),
        ("*a*", Shape::Other),
        ("a?", Shape::Other),
        ("a?*", Shape::Other),
    ];
    for (pattern, expected) in table {
        assert_eq!(Glob::parse(pattern).unwrap().shape(), expected, "{pattern}");
    }
}

#[test]
fn a_glob_matches_whole_values() {
    let table = [
        ("admin", "admin", true),
        ("admin", "Admin", false),
        ("admin", "admins", false),
        ("admin", "an admin", false),
        ("admin*", "admin", true),
        ("admin*", "administrator", true),
        ("*admin", "llm-admin", true),
        ("*admin", "admin-of-nothing", false),
        ("*", "anything/at all\u{1f600}", true),
        ("**", "x", true),
        ("/engineering/*", "/engineering/a/b", true),
        ("/engineering/*", "/engineering/", true),
        ("/engineering/*", "/engineering", false),
        ("/engineering/*", "/marketing/engineering/", false),
        ("*-*", "a-b", true),
        ("*-*", "ab", false),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("*aab", "aaaab", true),
        ("a*ab", "aab", true),
        ("a*ab", "ab", false),
        ("team-?", "team-1", true),
        ("team-?", "team-", false),
        ("team-?", "team-12", false),
        ("team-?", "team-\u{fc}", true),
        ("?*", "x", true),
        ("*?", "xyz", true),
        ("[ab]", "a", false),
        ("[ab]", "[ab]", true),
        ("{a,b}", "a", false),
        ("a.c", "abc", false),
        (r"\*", "*", true),
        (r"\*", "x", false),
        (r"a\?", "a?", true),
        (r"CORP\\admins", r"CORP\admins", true),
        ("a\n*", "a\nb", true),
    ];
    for (pattern, value, expected) in table {
        let glob = Glob::parse(pattern).unwrap();
        assert_eq!(glob.matches(value), expected, "{pattern} on {value}");
    }
}

#[test]
fn an_invalid_glob_is_refused() {
    let long = "a".repeat(MAX_LEN + 1);
    let table = [
        ("", GlobError::Empty),
        (long.as_str(), GlobError::TooLong),
        ("\\", GlobError::Escape),
        (r"CORP\admins", GlobError::Escape),
    ];
    for (pattern, expected) in table {
        assert_eq!(Glob::parse(pattern), Err(expected), "{pattern}");
    }
}

#[test]
fn without_escapes_a_backslash_is_a_character() {
    assert!(Glob::without_escapes(r"a\*").matches(r"a\b"));
    assert!(!Glob::without_escapes(r"a\*").matches("a*"));
    assert!(Glob::without_escapes("").matches("") && !Glob::without_escapes("").matches("a"));
}

/// The definition of a match. It is exponential but obviously correct.
fn matches_naively(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        (['*', after @ ..], _) => (0..=text.len()).any(|taken| matches_naively(after, &text[taken..])),
        (['?', after @ ..], [_, rest @ ..]) => matches_naively(after, rest),
        ([wanted, after @ ..], [found, rest @ ..]) => wanted == found && matches_naively(after, rest),
        _ => false,
    }
}

/// The same definition by dynamic programming: the prefixes of the text that each prefix of the pattern matches.
fn matches_by_table(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut matched = vec![false; text.len() + 1];
    matched[0] = true;
    for piece in pattern.chars() {
        matched = (0..=text.len())
            .map(|length| match piece {
                '*' => matched[..=length].contains(&true),
                piece => length > 0 && matched[length - 1] && (piece == '?' || piece == text[length - 1]),
            })
            .collect();
    }
    matched[text.len()]
}

/// The bound in the module's comment for patterns of at most 512 characters.
fn assert_linear(pattern: &str, text: &str) {
    let (pattern_length, length, mut steps) = (pattern.chars().count(), text.chars().count(), 0);
    assert!(pattern_length <= MAX_LEN);
    Glob::without_escapes(pattern).matches_counting(text, &mut steps);
    assert!(steps <= pattern_length + 8 * length, "{steps} steps for {pattern:.80} on {length} characters");
}

/// Patterns for which a backtracking matcher takes the product of both lengths or more.
#[test]
fn hostile_patterns_take_no_more_steps_than_the_bound() {
    let text = "a".repeat(8000);
    let patterns = [
        format!("*{}b", "a".repeat(510)),
        format!("*{}b*", "a".repeat(509)),
        "*a?a?a?b".repeat(64),
        format!("*{}b*", "a?".repeat(254)),
        format!("*{}*{}*", "?".repeat(250), "a".repeat(250)),
        "*a".repeat(256),
        "*?".repeat(256),
        "*".repeat(512),
    ];
    for pattern in patterns {
        assert_linear(&pattern, &text);
        assert_linear(&pattern, &format!("{text}b"));
    }
}

proptest! {
    #[test]
    fn matching_equals_its_definition(pattern in "[ab*?]{0,7}", text in "[ab\u{e9}]{0,8}") {
        let characters = |text: &str| text.chars().collect::<Vec<_>>();
        let naively = matches_naively(&characters(&pattern), &characters(&text));
        prop_assert_eq!(Glob::without_escapes(&pattern).matches(&text), naively);
        if !pattern.is_empty() {
            prop_assert_eq!(Glob::parse(&pattern).unwrap().matches(&text), naively);
        }
        prop_assert_eq!(matches_by_table(&pattern, &text), naively);
    }

    /// Runs longer than a machine word, on texts that nearly match.
    #[test]
    fn long_runs_match_by_their_definition(
        pattern in vec(select(vec!["a", "b", "?", "*", "\u{e9}"]), 0..200),
        long in 0_usize..3,
        filling in vec(select(vec!["a", "b", "\u{e9}", "aab"]), 1..200),
        changed in any::<Index>(),
    ) {
        let pattern = format!("{}*{}*", pattern.concat(), "a?ab".repeat(long * 16));
        let mut filling = filling.into_iter().cycle();
        let fit = |piece: char| if matches!(piece, '*' | '?') { filling.next().unwrap_or_default().into() } else { piece.to_string() };
        let text: String = pattern.chars().map(fit).collect();
        let glob = Glob::without_escapes(&pattern);
        prop_assert_eq!(glob.matches(&text), matches_by_table(&pattern, &text));
        let mut characters: Vec<char> = text.chars().collect();
        if !characters.is_empty() {
            let place = changed.index(characters.len());
            characters[place] = 'c';
        }
        let text: String = characters.into_iter().collect();
        prop_assert_eq!(glob.matches(&text), matches_by_table(&pattern, &text));
    }

    #[test]
    fn a_match_takes_linearly_many_steps(pattern in "(\\*|[ab?]{1,40}){0,12}", text in "[ab]{0,400}") {
        assert_linear(&pattern, &text);
    }
}

#[test]
fn the_rest_of_a_text_is_what_the_last_star_matches() {
    let table = [
        ("CN=*", "CN=red,x", Some("red,x")),
        ("*,OU=*", "a,OU=b,OU=c", Some("b,OU=c")),
        ("a?*b*", "axxbb", Some("b")),
        ("*", "x", Some("x")),
        ("*", "", Some("")),
        ("CN=*", "cn=red", None),
        ("*b*", "a", None),
        ("a", "a", None),
        ("*a", "a", None),
    ];
    for (pattern, text, expected) in table {
        assert_eq!(Glob::parse(pattern).unwrap().rest_of(text), expected, "{pattern} {text}");
    }
}

#[test]
fn the_literal_at_the_beginning_is_split_off() {
    for (pattern, literal, rest) in
        [("ab*c", "ab", Some("*c")), (r"\*?", "*", Some("?")), ("abc", "abc", None), ("*", "", Some("*"))]
    {
        let rest = rest.map(|rest| Glob::parse(rest).unwrap());
        assert_eq!(Glob::parse(pattern).unwrap().split_literal(), (literal.to_owned(), rest), "{pattern}");
    }
}
