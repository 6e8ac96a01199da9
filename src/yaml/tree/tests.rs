//! Tests the YAML parser.

use super::*;
use rstest::rstest;

fn plain(text: &str) -> ParsedDocument {
    parse(text, Subset::Plain)
}

fn lines(text: &str) -> Vec<String> {
    plain(text).mistakes.iter().map(ToString::to_string).collect()
}

fn outline(node: &Node) -> String {
    match &node.value {
        NodeValue::Scalar(scalar) => format!("{}@{}", scalar.text, node.place),
        NodeValue::Map(entries) => {
            let inner: Vec<_> = entries.iter().map(|e| format!("{}@{}={}", e.key, e.place, outline(&e.value))).collect();
            format!("{{{}}}", inner.join(", "))
        }
        NodeValue::Seq(nodes) => format!("[{}]", nodes.iter().map(outline).collect::<Vec<_>>().join(", ")),
        NodeValue::Broken => "broken".to_owned(),
    }
}

#[test]
fn every_node_has_its_line() {
    let parsed = plain("a: 1\nb:\n  - x\n  - {c: d}\n");
    assert!(parsed.mistakes.is_empty());
    assert_eq!(outline(&parsed.root), "{a@line 1=1@line 1, b@line 2=[x@line 3, {c@line 4=d@line 4}]}");
}

#[rstest]
#[case("")]
#[case("# only a comment\n")]
#[case("---\n")]
#[case("~")]
fn an_empty_document_is_null(#[case] text: &str) {
    let parsed = plain(text);
    assert!(parsed.mistakes.is_empty() && parsed.root.is_null());
}

#[test]
fn a_byte_order_mark_and_windows_lines_are_read() {
    let parsed = plain("\u{feff}a: 1\r\nb: 2\r\n");
    assert_eq!(outline(&parsed.root), "{a@line 1=1@line 1, b@line 2=2@line 2}");
}

#[rstest]
#[case("a: 1\nb: 2\na: 3", "a (line 3): is given twice, first in line 1; keep one of them")]
#[case("p:\n  - x: 1\n    x: 2", "p[0].x (line 3): is given twice, first in line 2; keep one of them")]
#[case("a: &s 1", "a (line 1): has an anchor (`&name`), which is not read here; remove it, or quote the value")]
#[case("a: !!int 1", "a (line 1): has a tag (`!name`), which is not read here; remove it, or quote the value")]
#[case("? [a, b]\n: 1", "line 1: a key must be a single word")]
#[case("~: 1", "line 1: a key is missing, or must be quoted")]
#[case("a: 1\n---\nb: 2", "line 2: a second document begins here; only one is read, so remove the `---`")]
#[case("a: 1\nb: 2\0\nc: 3", "line 2: is not valid YAML: it has a control character")]
#[case("a: 1 # \u{1b}[31m", "line 1: is not valid YAML: it has a control character")]
#[case("a: 1\nb: @x", "line 2: is not valid YAML: a value begins with a character that needs quotes")]
fn unsupported_yaml_is_a_mistake(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(lines(text), [expected]);
}

#[test]
fn an_alias_invalidates_only_its_own_value() {
    let parsed = plain("a: &s 1\nb: *s\nc: 3");
    assert_eq!(parsed.mistakes.len(), 2);
    assert_eq!(outline(&parsed.root), "{a@line 1=1@line 1, b@line 2=broken, c@line 3=3@line 3}");
}

#[test]
fn the_core_subset_supports_anchors_aliases_and_core_tags() {
    let parsed = parse("a: &s {x: !!str ~}\n!!str b: *s\nc: !!seq [! 1]", Subset::Core);
    assert_eq!(parsed.mistakes, []);
    assert_eq!(outline(&parsed.root), "{a@line 1={x@line 1=~@line 1}, b@line 2={x@line 1=~@line 1}, c@line 3=[1@line 3]}");
    let is_null = |text: &str| parse(text, Subset::Core).root.is_null();
    assert!(is_null("~") && !is_null("!!str ~") && !is_null("'~'"));
}

#[rstest]
#[case("a: &s [*s]", "a[0] (line 1): is an alias of a value that contains it; write the value out")]
#[case("a: !x 1", "a (line 1): has a tag (`!name`), which is not read here; remove it, or quote the value")]
#[case("a: !!binary aGk=", "a (line 1): has a tag (`!name`), which is not read here; remove it, or quote the value")]
#[case("a: !!map []", "a (line 1): has a tag (`!name`), which is not read here; remove it, or quote the value")]
#[case("<<: {a: 1}", "line 1: a merge key (`<<`) is not read here; write its fields out, or quote it")]
fn the_core_subset_supports_nothing_else(#[case] text: &str, #[case] expected: &str) {
    let found: Vec<_> = parse(text, Subset::Core).mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(found, [expected]);
}

#[test]
fn aliases_do_not_multiply_without_bound() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        text += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    let found: Vec<_> = parse(&text, Subset::Core).mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("has more than 250000 keys and values"), "{found:?}");
}

#[test]
fn aliases_cannot_exceed_the_maximum_depth() {
    let mut text = String::from("a0: &a0 [x]\n");
    for level in 1..40 {
        text += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
    }
    let found: Vec<_> = parse(&text, Subset::Core).mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["a31[0] (line 32): is nested more than 32 levels deep"]);
}

#[test]
fn a_map_of_many_keys_is_read_quickly() {
    let text: String = (0..100_000).map(|number| format!("k{number}: v\n")).collect();
    assert_eq!(lines(&text), Vec::<String>::new());
    assert_eq!(lines(&(text + "k7: v\n")), ["k7 (line 100001): is given twice, first in line 8; keep one of them"]);
}

#[test]
fn syntax_errors_name_the_line() {
    let found = lines("a: 1\nb: [1, 2\nc: 3\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("line ") && found[0].contains("is not valid YAML"), "{found:?}");
}

#[test]
fn deep_nesting_is_refused_without_recursing() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(lines(&nested(32)).is_empty());
    assert!(lines(&nested(34))[0].contains("nested more than 32 levels deep"));
    assert_eq!(lines(&nested(100_000)).len(), 1);
    assert_eq!(lines(&"- ".repeat(100_000)).len(), 1);
}

#[test]
fn mistakes_in_a_variable_name_the_variable() {
    let parsed = parse_variable("[{a: 1, a: 2}]", "list", "VESTIBULE__LIST");
    let found: Vec<_> = parsed.mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["list[0].a (VESTIBULE__LIST): is given twice; keep one of them"]);
    let parsed = parse_variable("[{", "list", "VESTIBULE__LIST");
    assert!(parsed.mistakes[0].to_string().starts_with("list (VESTIBULE__LIST): is not valid YAML"));
}

#[test]
fn debug_shows_no_value() {
    let parsed = plain("password: hunter2");
    assert!(!format!("{parsed:?}").contains("hunter2"));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[-\\[\\]{}:,&*!|>'\"%@`#? \na-c~]{0,80}") {
        let _ = (plain(&text), parse(&text, Subset::Core));
    }
}

#[test]
fn a_stream_has_several_documents() {
    let parsed = parse_stream("a: 1\n---\n---\n# nothing\n---\nb: &x 2\nc: *x\n...\n", Subset::Core);
    assert!(parsed.mistakes.is_empty(), "{:?}", parsed.mistakes);
    let found: Vec<_> = parsed.roots.iter().map(outline).collect();
    assert_eq!(found.first().map(String::as_str), Some("{a@line 1=1@line 1}"));
    assert_eq!(found.last().map(String::as_str), Some("{b@line 6=2@line 6, c@line 7=2@line 7}"));
    assert!(parsed.roots[1..parsed.roots.len() - 1].iter().all(Node::is_null));
}

#[test]
fn a_mistake_ends_a_stream() {
    let parsed = parse_stream("a: 1\n---\nb: [\n---\nc: 3\n", Subset::Core);
    assert_eq!((parsed.roots.len(), parsed.mistakes.len()), (1, 1));
    assert_eq!(parse_stream("a: 1\n---\nb: \u{7}", Subset::Core).roots.len(), 0, "before a control character as well");
}
