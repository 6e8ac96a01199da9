use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn texts(path: &str) -> Vec<String> {
    let readings = Readings::of(path).unwrap();
    readings.texts().map(str::to_owned).collect()
}

#[rstest]
#[case("/")]
#[case("/v1/chat/completions")]
#[case("/V1/Models/gpt-4o:free@2,x=(1)")]
#[case("/a/...")]
#[case("/.well-known/x")]
#[case("/~user/a.b.c/..x")]
fn a_plain_path_has_one_reading_and_is_not_copied(#[case] path: &str) {
    assert!(matches!(Readings::of(path), Ok(Readings::Plain(same)) if std::ptr::eq(same, path)));
}

#[rstest]
#[case::encoded_letter("/%61", &["/a"])]
#[case::encoded_slash("/a%2Fb", &["/a/b"])]
#[case::twice_encoded("/a%252Fb", &["/a%2Fb", "/a/b"])]
#[case::percent_itself("/100%25", &["/100%"])]
#[case::all_but_slashes("/%61%2Fb", &["/a/b", "/a%2Fb"])]
#[case::doubled_slashes("/a///b", &["/a/b"])]
#[case::slash_at_the_end("/a/", &["/a"])]
#[case::dots("/a/./b/../c", &["/a/c"])]
#[case::dots_at_the_end("/a/b/..", &["/a/", "/a"])]
#[case::here_at_the_end("/a/.", &["/a/", "/a"])]
#[case::encoded_dots("/a/b/%2E%2e/c%2Fd", &["/a/c%2Fd", "/a/c/d", "/a/b/../c/d", "/a/b/../c%2Fd"])]
#[case::both_orders("/a//../b", &["/a/b", "/a/../b", "/b"])]
#[case::parameters("/a;x=1/b;y", &["/a/b", "/a"])]
#[case::parameters_on_dots("/a/..;/b", &["/a/../b", "/b", "/a/..", "/"])]
#[case::a_host("//x/b/c", &["/x/b/c", "/b/c"])]
#[case::a_host_after_many_slashes("///x/b", &["/x/b", "/b"])]
#[case::a_host_alone("//x", &["/x", "/"])]
#[case::no_host_at_all("//", &["/"])]
#[case::a_host_after_backslashes("/\\x/b", &["//x/b", "/x/b", "/b"])]
#[case::backslashes("/a\\..\\b", &["/a/../b", "/b"])]
#[case::encoded_question_mark("/a%3Fb", &["/a?b", "/a"])]
#[case::encoded_number_sign("/a%23b", &["/a#b", "/a"])]
#[case::blanks_at_the_end("/a%20%20", &["/a  ", "/a"])]
#[case::blanks_within("/a%20/b", &["/a /b"])]
#[case::other_scripts("/caf%C3%A9", &["/caf\u{e9}"])]
#[case::nothing_to_do("/a\"b{c}", &[])]
fn a_path_has_these_readings(#[case] path: &str, #[case] further: &[&str]) {
    let mut found = texts(path);
    assert_eq!(found.remove(0), path, "the path as sent comes first");
    let mut further: Vec<_> = further.iter().map(|path| (*path).to_owned()).collect();
    found.sort();
    further.sort();
    assert_eq!(found, further);
}

#[rstest]
#[case("", Unreadable::NoSlash)]
#[case("a", Unreadable::NoSlash)]
#[case("*", Unreadable::NoSlash)]
#[case("%2Fa", Unreadable::NoSlash)]
#[case("/%", Unreadable::BrokenEncoding)]
#[case("/%4", Unreadable::BrokenEncoding)]
#[case("/%zz", Unreadable::BrokenEncoding)]
#[case("/%u0061", Unreadable::BrokenEncoding)]
#[case("/%%61", Unreadable::BrokenEncoding)]
#[case("/%+1", Unreadable::BrokenEncoding)]
#[case("/a%2", Unreadable::BrokenEncoding)]
#[case("/%ff", Unreadable::NotUtf8)]
#[case("/%c0%ae", Unreadable::NotUtf8)]
#[case("/%c0%2e", Unreadable::NotUtf8)]
#[case("/%e0%80%af", Unreadable::NotUtf8)]
#[case("/%ed%a0%80", Unreadable::NotUtf8)]
#[case("/%25ff", Unreadable::NotUtf8)]
#[case("/a\0", Unreadable::ControlCharacter)]
#[case("/a%00", Unreadable::ControlCharacter)]
#[case("/a%2500", Unreadable::ControlCharacter)]
#[case("/a%0d%0a", Unreadable::ControlCharacter)]
#[case("/a%09", Unreadable::ControlCharacter)]
#[case("/a%7f", Unreadable::ControlCharacter)]
#[case("/a%c2%85", Unreadable::ControlCharacter)]
#[case("/..", Unreadable::AboveRoot)]
#[case("/a/../..", Unreadable::AboveRoot)]
#[case("/%2e%2e/a", Unreadable::AboveRoot)]
#[case("/a/..;/..;/b", Unreadable::AboveRoot)]
#[case("/\\..\\..\\a", Unreadable::AboveRoot)]
#[case("/a//../../b", Unreadable::AboveRoot)]
#[case("/a%252f..%252f..%252fb", Unreadable::AboveRoot)]
#[case("/%2525252561", Unreadable::TooDeep)]
#[case("/%25252525252525252561", Unreadable::TooDeep)]
fn nobody_agrees_on_what_these_say(#[case] path: &str, #[case] expected: Unreadable) {
    assert_eq!(Readings::of(path).err(), Some(expected));
}

#[test]
fn four_levels_of_encoding_are_read() {
    assert_eq!(texts("/%25252561").last().map(String::as_str), Some("/a"));
}

#[test]
fn a_path_with_too_many_readings_is_refused() {
    let path = "/a%2525252f;b%255c..;%253f%2523//c/%252e/./x%3fy%23z\\";
    assert_eq!(Readings::of(path).err(), Some(Unreadable::TooMany));
}

#[test]
fn a_long_path_may_have_fewer_readings() {
    let long = format!("/{}", "%61/".repeat(2_000));
    assert_eq!(texts(&long).len(), 4);
    let path = |segment: &str| format!("/{segment};x//%253b/\\{}", "a".repeat(8_000));
    assert!(texts(&path("a")[..40]).len() > 8);
    assert_eq!(Readings::of(&path("a")).err(), Some(Unreadable::TooMany));
}

#[test]
fn how_a_reading_came_about_is_said_in_words() {
    let readings = Readings::of("/a/%2e%2e/b").unwrap().explained();
    let said: Vec<_> = readings.iter().map(|reading| (reading.text.as_str(), reading.how.to_string())).collect();
    let expected = [("/a/%2e%2e/b", "as sent"), ("/a/../b", "decoded"), ("/b", "dot segments resolved, %2E as a dot")];
    assert_eq!(said, expected.map(|(path, how)| (path, how.to_owned())));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_path_panics(path in any::<String>(), odd in "/[a/.;\\\\%25eEfF?#\u{e9}\0]{0,24}") {
        for path in [path, odd] {
            if let Ok(readings) = Readings::of(&path) {
                prop_assert!(readings.texts().all(|text| text.starts_with('/') && text.len() <= path.len()));
                prop_assert!(readings.texts().count() <= MOST_READINGS);
            }
        }
    }

    #[test]
    fn a_plain_path_is_one_that_no_step_changes(path in "(/[aB1._~=-]{0,3}){1,4}") {
        let readings = Readings::of(&path);
        let unchanged = STEPS.iter().all(|step| step.apply(&path) == Ok(None));
        prop_assert_eq!(matches!(readings, Ok(Readings::Plain(_))), unchanged);
    }
}
