use proptest::{collection::vec, prelude::*, sample::Index};
use rstest::rstest;

use super::*;
use crate::access::{index::PathIndex, reference_matcher};

fn parse(patterns: &[impl AsRef<str>]) -> Vec<PathPattern> {
    patterns.iter().map(|pattern| PathPattern::parse(pattern.as_ref()).unwrap()).collect()
}

fn matching_sets(automaton: &PatternAutomaton, path: &str) -> Vec<SetNumber> {
    let state = path.strip_prefix('/').map(|text| automaton.read(text));
    state.map(|state| automaton.matching_sets(&state).to_vec()).unwrap_or_default()
}

#[rstest]
#[case::root("/", &["/"], &["//", "/a", "//a"])]
#[case::literal("/ui", &["/ui", "/ui/"], &["/", "/u", "/uix", "/ui/x", "/ui//", "//ui", "/UI"])]
#[case::everything("/**", &["/", "//", "/a", "/a/", "/a/b//c"], &[])]
#[case::double_star_at_the_end("/ui/**", &["/ui", "/ui/", "/ui//", "/ui/a/b"], &["/", "/uix", "/u"])]
#[case::double_star_at_the_start("/**/a", &["/a", "/a/", "//a", "/b/a", "/a/a/a", "/ba/a"], &["/", "/ba", "/a/b", "/aa"])]
#[case::double_star_within("/a/**/b", &["/a/b", "/a//b", "/a/x/y/b", "/a/bb/b/"], &["/a", "/ab", "/a/bb", "/a/b/c", "/ax/b"])]
#[case::double_stars("/**/a/**/b/**", &["/a/b", "/x/a/y/b/z", "/a/a/b/b/"], &["/b/a", "/a", "/ab"])]
#[case::repeated_double_stars("/a/**/**/b", &["/a/b", "/a/x/b"], &["/a", "/a/x"])]
#[case::star("/a/*", &["/a/", "/a/x", "/a/x/", "/a//"], &["/a", "/a/x/y", "/a//x"])]
#[case::star_within("/a*b/c", &["/ab/c", "/axb/c", "/abb/c/"], &["/a/b/c", "/a/c", "/ab/"])]
#[case::several_stars("/*a*b*", &["/ab", "/xaxbx", "/aab/"], &["/ba", "/a/b", "/"])]
#[case::question_mark("/?/??", &["/a/bc", "/\u{e9}/\u{1f600}x"], &["//bc", "/a/b", "/a/b/", "/a//x"])]
#[case::other_scripts("/caf\u{e9}*", &["/caf\u{e9}", "/caf\u{e9}\u{e8}"], &["/cafe", "/caf\u{e8}"])]
fn a_pattern_matches_whole_paths(#[case] pattern: &str, #[case] matched: &[&str], #[case] others: &[&str]) {
    let automaton = PatternAutomaton::new([&parse(&[pattern])]);
    for (paths, expected) in [(matched, true), (others, false)] {
        for path in paths {
            assert_eq!(!matching_sets(&automaton, path).is_empty(), expected, "{path}");
            assert_eq!(reference_matcher::matches(pattern, path), expected, "{path} by definition");
        }
    }
}

#[test]
fn the_last_place_of_a_pattern_does_not_lead_into_the_next_pattern() {
    let automaton = PatternAutomaton::new(&[parse(&["/a", "/b"]), parse(&["/c/**", "/d"]), parse(&["/e*", "/f"])]);
    for path in ["/a/b", "/a//b", "/c/d", "/e/f", "/e//f"] {
        assert_eq!(matching_sets(&automaton, path), if path == "/c/d" { vec![1] } else { vec![] }, "{path}");
    }
}

/// States of one pattern at each position within the words, with `**` and its next slash in different words.
#[test]
fn a_pattern_may_cross_words_at_any_place() {
    for length in 1..200 {
        let patterns = [format!("/{}", "x".repeat(length)), "/a/**/b/*c?/d".to_owned()];
        let automaton = PatternAutomaton::new([&parse(&patterns)[..1], &parse(&patterns)[1..]]);
        assert_eq!(matching_sets(&automaton, "/a/b/ccc/d/"), [1], "{length}");
        assert_eq!(matching_sets(&automaton, "/a/x/b/b/c\u{e9}/d"), [1], "{length}");
        assert!(matching_sets(&automaton, "/a/x/b/b/c/d").is_empty(), "{length}");
        assert_eq!(matching_sets(&automaton, &patterns[0]), [0], "{length}");
    }
}

/// The bound in the module's comment.
fn assert_linear(patterns: &[String], path: &str) {
    let length: usize = patterns.iter().map(|pattern| pattern.chars().count() + 1).sum();
    let (automaton, mut steps) = (PatternAutomaton::new([&parse(patterns)]), 0);
    automaton.read_counting(&path[1..], &mut steps);
    let bound = 3 * path.chars().count() * words(length);
    assert!(steps <= bound, "{steps} steps, not {bound}, for {patterns:.200?} on {path:.80}");
}

#[test]
fn hostile_patterns_take_no_more_steps_than_the_bound() {
    let patterns = [
        format!("/*{}b", "a".repeat(509)),
        "/**/a".repeat(102),
        "/**/a/*/?".repeat(56),
        format!("/{}", "?".repeat(511)),
        format!("/*{}b*", "a?".repeat(254)),
        "/*a".repeat(170),
        format!("/{}", "*a".repeat(255)),
        "/\u{e9}\u{e8}*".repeat(85),
    ];
    for path in [format!("/{}", "a".repeat(8000)), "/a".repeat(4000), "/".repeat(8000), "/\u{e9}".repeat(2600)] {
        patterns.iter().for_each(|pattern| assert_linear(&vec![pattern.clone(); 8], &path));
        assert_linear(&patterns, &path);
    }
}

/// Mostly frequent characters, and some that occur once in a while.
const SEGMENT: &str = "(\\*\\*|[ab]|[ab?\u{e9}]{0,3}[*b?]|[ab]?\\*a|[a-z]{1,9}|\\*)";

fn patterns() -> impl Strategy<Value = Vec<String>> {
    vec(vec(SEGMENT, 1..7).prop_map(|segments| segments.iter().map(|segment| format!("/{segment}")).collect()), 1..14)
}

/// A path that the pattern matches, unless it was changed afterwards.
fn path_for(pattern: &str, replacements: &[String]) -> String {
    let mut replacements = replacements.iter().cycle();
    let mut path = String::new();
    for segment in pattern.split('/').skip(1) {
        let Some(replacement) = replacements.next() else { break };
        match segment {
            "**" => replacement.split('b').filter(|part| !part.is_empty()).for_each(|part| path.extend(["/", part])),
            other => path.extend(["/", &other.replace('*', replacement).replace('?', "\u{e9}")]),
        }
    }
    path
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_matching_sets_are_those_of_the_definition_and_of_the_index(
        sets in vec(patterns(), 1..5),
        chosen in any::<Index>(),
        replacements in vec("[ab\u{e9}]{0,3}", 1..5),
        suffix in "(|/|//|/a|b|\u{e9})",
        random in "(/[ab\u{e9}]{0,2}){1,7}",
    ) {
        let parsed: Vec<_> = sets.iter().map(|set| parse(set)).collect();
        let automaton = PatternAutomaton::new(&parsed);
        let similar = path_for(chosen.get::<String>(&sets.concat()), &replacements);
        for path in [format!("{similar}{suffix}"), similar, random] {
            let naively: Vec<_> = (0..sets.len()).filter(|set| sets[*set].iter().any(|one| reference_matcher::matches(one, &path))).collect();
            let by_index = (0..sets.len()).filter(|set| {
                PathIndex::new(parsed[*set].iter().map(|pattern| (0, pattern))).first(&path, |_| true).is_some()
            });
            prop_assert_eq!(&by_index.collect::<Vec<_>>(), &naively, "the index, on {}", &path);
            prop_assert_eq!(matching_sets(&automaton, &path), naively, "the automaton, on {}", path);
        }
    }

    #[test]
    fn the_number_of_steps_is_bounded(patterns in patterns(), path in "(/[ab\u{e9}/]{0,9}){1,40}") {
        assert_linear(&patterns, &path);
    }
}
