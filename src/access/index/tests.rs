use proptest::collection::vec;
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::access::reference_matcher;

fn pattern(text: &str) -> PathPattern {
    PathPattern::parse(text).unwrap()
}

fn matches(text: &str, path: &str) -> bool {
    PathIndex::new([(0, &pattern(text))]).first(path, |_| true).is_some()
}

#[rstest]
#[case("/", "/", true)]
#[case("/", "/a", false)]
#[case("/ui", "/ui", true)]
#[case("/ui", "/ui/", true)]
#[case("/ui/", "/ui", true)]
#[case("/ui", "/uix", false)]
#[case("/ui", "/ui/x", false)]
#[case("/ui", "/UI", false)]
#[case("/ui/**", "/ui", true)]
#[case("/ui/**", "/ui/", true)]
#[case("/ui/**", "/ui/x", true)]
#[case("/ui/**", "/ui/x/y/z", true)]
#[case("/ui/**", "/uix", false)]
#[case("/**", "/", true)]
#[case("/**", "/a/b", true)]
#[case("/**", "//", true)]
#[case("/**/admin", "/admin", true)]
#[case("/**/admin", "/a/b/admin", true)]
#[case("/**/admin", "/a/b/admins", false)]
#[case("/a/**/b", "/a/b", true)]
#[case("/a/**/b", "/a/x/y/b", true)]
#[case("/a/**/b", "/a/x/y", false)]
#[case("/a/**/**/b", "/a/b", true)]
#[case("/a/**/b/**/c", "/a/b/b/x/c", true)]
#[case("/files/*/private", "/files/7/private", true)]
#[case("/files/*/private", "/files/7/8/private", false)]
#[case("/files/*/private", "/files/private", false)]
#[case("/files/*/private", "/files//private", true)]
#[case("/files/*", "/files/", true)]
#[case("/files/*", "/files", false)]
#[case("/files/a*z", "/files/abcz", true)]
#[case("/files/a*z", "/files/abc", false)]
#[case("/files/?", "/files/\u{e9}", true)]
#[case("/files/?", "/files/", false)]
#[case("/a", "a", false)]
#[case("/a", "", false)]
#[case("/a", "//a", false)]
fn a_pattern_matches_whole_paths(#[case] pattern: &str, #[case] path: &str, #[case] expected: bool) {
    assert_eq!(matches(pattern, path), expected);
}

#[test]
fn the_first_matching_rule_wins_whatever_its_pattern_is() {
    let patterns: Vec<_> = ["/a/b", "/a/*", "/**", "/a/b"].map(pattern).into();
    for order in [[0, 1, 2, 3], [2, 1, 0, 3], [1, 3, 2, 0]] {
        let index = PathIndex::new(order.iter().map(|position| &patterns[*position]).enumerate());
        assert_eq!(index.first("/a/b", |_| true), Some(0));
        assert_eq!(index.first("/a/b", |rule| rule > 1), Some(2));
        assert_eq!(index.first("/a/b", |_| false), None);
    }
}

proptest! {
    #[test]
    fn the_index_finds_the_same_rule_as_a_linear_search(
        texts in vec("(/(a|b|ab|\\*|a\\*|\\?|\\*\\*)){1,5}", 1..12),
        paths in vec("(/(a|b|ab|)){1,6}", 1..12),
        excluded in 0_usize..12,
    ) {
        let patterns: Vec<_> = texts.iter().map(|text| pattern(text)).collect();
        let index = PathIndex::new(patterns.iter().enumerate());
        for path in &paths {
            let naively = (0..texts.len()).find(|rule| *rule != excluded && reference_matcher::matches(&texts[*rule], path));
            prop_assert_eq!(index.first(path, |rule| rule != excluded), naively, "{}", path);
        }
    }
}

/// The bound in the module's comment.
fn assert_linear(texts: &[String], path: &str) {
    let patterns: Vec<_> = texts.iter().map(|text| pattern(text)).collect();
    let index = PathIndex::new(patterns.iter().enumerate());
    let (nodes, segments) = (index.rules.len(), path.split('/').count());
    let wildcards = patterns.iter().flat_map(PathPattern::segments).filter_map(|segment| match segment {
        Segment::Wildcard(text) => Some(text.chars().count() + 2),
        _ => None,
    });
    let wildcards: Vec<_> = wildcards.collect();
    let mut steps = 0;
    index.first_counting(path, |_| false, &mut steps);
    let by_character = 3 * path.chars().count() * wildcards.iter().sum::<usize>().div_ceil(64);
    let by_segment = segments * (5 * nodes.div_ceil(64) + 2 * wildcards.len() + 1);
    assert!(steps <= by_character + by_segment, "{steps} steps for {texts:.200?} on {path:.80}");
}

/// Many `**`, and paths that keep all of them active. A search with backtracking would not end.
#[test]
fn the_search_time_of_a_hostile_path_is_linear() {
    let index = PathIndex::new([(0, &pattern(&"/**/a".repeat(60)))]);
    assert_eq!(index.first(&"/a".repeat(4000), |_| true), Some(0));
    assert_eq!(index.first(&format!("{}/b", "/a".repeat(4000)), |_| true), None);
    let double_stars = (0..600).map(|number| format!("/**/{number}/**/x"));
    let wildcards = (0..600).map(|number| format!("/*{number}*/?{number}*a*/**"));
    let texts: Vec<_> = double_stars.chain(wildcards).collect();
    for path in ["/a".repeat(4000), format!("/{}", "a".repeat(8000)), (0..2000).map(|number| format!("/{number}")).collect()] {
        assert_linear(&texts, &path);
    }
}

#[test]
fn rules_are_found_beyond_the_first_word() {
    let texts: Vec<_> = (0..200).map(|number| format!("/{number}/*/x{number}?/**")).collect();
    let patterns: Vec<_> = texts.iter().map(|text| pattern(text)).collect();
    let index = PathIndex::new(patterns.iter().enumerate());
    for number in 0..200 {
        let path = format!("/{number}/any/x{number}y/z");
        assert_eq!(index.first(&path, |_| true), Some(number));
        assert_eq!(index.first(&path, |rule| rule != number), None);
    }
}
