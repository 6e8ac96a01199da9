use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn paths_of(path: &str) -> Vec<String> {
    let interpretations = PathInterpretations::of(path).unwrap();
    interpretations.paths().map(str::to_owned).collect()
}

#[rstest]
#[case("/")]
#[case("/v1/chat/completions")]
#[case("/V1/Models/gpt-4o:free@2,x=(1)")]
#[case("/a/...")]
#[case("/.well-known/x")]
#[case("/~user/a.b.c/..x")]
fn a_plain_path_has_one_interpretation_and_is_not_copied(#[case] path: &str) {
    assert!(matches!(PathInterpretations::of(path), Ok(PathInterpretations::Plain(same)) if std::ptr::eq(same, path)));
}

#[rstest]
#[case::encoded_letter("/%61", &["/a"])]
#[case::encoded_slash("/a%2Fb", &["/a/b"])]
#[case::twice_encoded("/a%252Fb", &["/a%2Fb", "/a/b"])]
#[case::percent_itself("/100%25", &["/100%"])]
#[case::all_but_slashes("/%61%2Fb", &["/a/b", "/a%2Fb"])]
#[case::doubled_slashes("/a///b", &["/a/b"])]
#[case::trailing_slash("/a/", &["/a"])]
#[case::dots("/a/./b/../c", &["/a/c"])]
#[case::dots_at_the_end("/a/b/..", &["/a/", "/a"])]
#[case::dot_at_the_end("/a/.", &["/a/", "/a"])]
#[case::encoded_dots("/a/b/%2E%2e/c%2Fd", &["/a/c%2Fd", "/a/c/d", "/a/b/../c/d", "/a/b/../c%2Fd"])]
#[case::both_orders("/a//../b", &["/a/b", "/a/../b", "/b"])]
#[case::parameters("/a;x=1/b;y", &["/a/b", "/a"])]
#[case::parameters_on_dots("/a/..;/b", &["/a/../b", "/b", "/a/..", "/"])]
#[case::host("//x/b/c", &["/x/b/c", "/b/c"])]
#[case::host_after_many_slashes("///x/b", &["/x/b", "/b"])]
#[case::host_alone("//x", &["/x", "/"])]
#[case::slashes_alone("//", &["/"])]
#[case::host_after_backslashes("/\\x/b", &["//x/b", "/x/b", "/b"])]
#[case::backslashes("/a\\..\\b", &["/a/../b", "/b"])]
#[case::encoded_question_mark("/a%3Fb", &["/a?b", "/a"])]
#[case::encoded_number_sign("/a%23b", &["/a#b", "/a"])]
#[case::trailing_spaces("/a%20%20", &["/a  ", "/a"])]
#[case::spaces_within("/a%20/b", &["/a /b"])]
#[case::other_scripts("/caf%C3%A9", &["/caf\u{e9}"])]
#[case::nothing_to_do("/a\"b{c}", &[])]
fn a_path_has_these_interpretations(#[case] path: &str, #[case] further: &[&str]) {
    let mut found = paths_of(path);
    assert_eq!(found.remove(0), path, "the path as sent comes first");
    let mut further: Vec<_> = further.iter().map(|path| (*path).to_owned()).collect();
    found.sort();
    further.sort();
    assert_eq!(found, further);
}

#[rstest]
#[case("", PathError::NoSlash)]
#[case("a", PathError::NoSlash)]
#[case("*", PathError::NoSlash)]
#[case("%2Fa", PathError::NoSlash)]
#[case("/%", PathError::InvalidEncoding)]
#[case("/%4", PathError::InvalidEncoding)]
#[case("/%zz", PathError::InvalidEncoding)]
#[case("/%u0061", PathError::InvalidEncoding)]
#[case("/%%61", PathError::InvalidEncoding)]
#[case("/%+1", PathError::InvalidEncoding)]
#[case("/a%2", PathError::InvalidEncoding)]
#[case("/%ff", PathError::NotUtf8)]
#[case("/%c0%ae", PathError::NotUtf8)]
#[case("/%c0%2e", PathError::NotUtf8)]
#[case("/%e0%80%af", PathError::NotUtf8)]
#[case("/%ed%a0%80", PathError::NotUtf8)]
#[case("/%25ff", PathError::NotUtf8)]
#[case("/a\0", PathError::ControlCharacter)]
#[case("/a%00", PathError::ControlCharacter)]
#[case("/a%2500", PathError::ControlCharacter)]
#[case("/a%0d%0a", PathError::ControlCharacter)]
#[case("/a%09", PathError::ControlCharacter)]
#[case("/a%7f", PathError::ControlCharacter)]
#[case("/a%c2%85", PathError::ControlCharacter)]
#[case("/..", PathError::AboveRoot)]
#[case("/a/../..", PathError::AboveRoot)]
#[case("/%2e%2e/a", PathError::AboveRoot)]
#[case("/a/..;/..;/b", PathError::AboveRoot)]
#[case("/\\..\\..\\a", PathError::AboveRoot)]
#[case("/a//../../b", PathError::AboveRoot)]
#[case("/a%252f..%252f..%252fb", PathError::AboveRoot)]
#[case("/%2525252561", PathError::TooManyLevels)]
#[case("/%25252525252525252561", PathError::TooManyLevels)]
fn a_path_without_a_valid_interpretation_is_an_error(#[case] path: &str, #[case] expected: PathError) {
    assert_eq!(PathInterpretations::of(path).err(), Some(expected));
}

#[test]
fn four_levels_of_encoding_are_decoded() {
    assert_eq!(paths_of("/%25252561").last().map(String::as_str), Some("/a"));
}

#[test]
fn a_path_with_too_many_interpretations_is_an_error() {
    let path = "/a%2525252f;b%255c..;%253f%2523//c/%252e/./x%3fy%23z\\";
    assert_eq!(PathInterpretations::of(path).err(), Some(PathError::TooManyInterpretations));
}

#[test]
fn a_long_path_may_have_fewer_interpretations() {
    let long = format!("/{}", "%61/".repeat(2_000));
    assert_eq!(paths_of(&long).len(), 4);
    let path = |segment: &str| format!("/{segment};x//%253b/\\{}", "a".repeat(8_000));
    assert!(paths_of(&path("a")[..40]).len() > 8);
    assert_eq!(PathInterpretations::of(&path("a")).err(), Some(PathError::TooManyInterpretations));
}

#[test]
fn the_length_of_a_path_is_limited() {
    let path = format!("/{}", "a".repeat(MAX_BYTES));
    assert!(PathInterpretations::of(&path[1..]).is_err() && PathInterpretations::of(&path[..MAX_BYTES]).is_ok());
    assert_eq!(PathInterpretations::of(&path).err(), Some(PathError::TooLong));
    assert_eq!(PathInterpretations::of(&path.replace('a', "%61")).err(), Some(PathError::TooLong));
}

#[test]
fn a_derivation_is_described_in_words() {
    let interpretations = PathInterpretations::of("/a/%2e%2e/b").unwrap().into_vec();
    let described: Vec<_> = interpretations.iter().map(|found| (found.path.as_str(), found.derivation.to_string())).collect();
    let expected = [("/a/%2e%2e/b", "as sent"), ("/a/../b", "decoded"), ("/b", "dot segments resolved, including %2E")];
    assert_eq!(described, expected.map(|(path, derivation)| (path, derivation.to_owned())));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_path_panics(path in any::<String>(), odd in "/[a/.;\\\\%25eEfF?#\u{e9}\0]{0,24}") {
        for path in [path, odd] {
            if let Ok(found) = PathInterpretations::of(&path) {
                prop_assert!(found.paths().all(|text| text.starts_with('/') && text.len() <= path.len()));
                prop_assert!(found.paths().count() <= MAX_INTERPRETATIONS);
            }
        }
    }

    #[test]
    fn a_plain_path_is_one_that_no_step_changes(path in "(/[aB1._~=-]{0,3}){1,4}") {
        let interpretations = PathInterpretations::of(&path);
        let unchanged = STEPS.iter().all(|step| step.apply(&path) == Ok(None));
        prop_assert_eq!(matches!(interpretations, Ok(PathInterpretations::Plain(_))), unchanged);
    }
}
