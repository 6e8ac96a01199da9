//! What holds for any text at all that comes from outside. Each target is one function over bytes: here it gets
//! its corpus, in `tests/corpus/`, and what chance makes of that; `fuzz/` gives the same functions to libFuzzer.
//!
//! `PROPTEST_CASES` says how many inputs each target is to get. An input that was found belongs into the corpus.

mod targets;

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use rstest::rstest;

use targets::ALL;

/// In a short run.
const CASES: u32 = 4_000;

/// What texts are cut at, by one reader or another.
const MARKS: &[&str] = &[
    "/", "//", "\\", ".", "..", "%", "%2e", "%2f", "%25", "%00", "?", "#", ";", ":", "@", "[", "]", "[]", "{", "}", ",", "&",
    "*", "|", ">", "<<", "!", "'", "\"", "=", "+", "-", "_", "~", " ", "\n", "  ", "\t", "\r\n", "\0", "\u{feff}", "\u{85}",
    "\u{2028}",
];

#[rstest]
fn it_holds_for_the_corpus_and_for_what_chance_makes_of_it(
    #[values("claim_path", "config", "cookies", "handles", "original_url", "path_readings", "return_to", "role_map")]
    target: &str,
) {
    let (_, holds) = ALL.iter().find(|(name, _)| *name == target).expect("it is one of the targets");
    let corpus = corpus(target);
    for (name, input) in &corpus {
        println!("{target}/{name}");
        holds(input);
    }
    let seeds = corpus.into_iter().map(|(_, input)| input).collect();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { Config::default().cases } else { CASES };
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&inputs(seeds), |input| {
        holds(&input);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{target}: {failure}"));
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
    let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut corpus: Vec<_> = files
        .map(|file| {
            let file = file.expect("the directory can be listed");
            let input = fs::read(file.path()).expect("the corpus is made of files");
            (file.file_name().into_string().expect("their names are text"), input)
        })
        .collect();
    assert!(!corpus.is_empty(), "{target} has no corpus");
    corpus.sort();
    corpus
}

/// One of the corpus, edited at some places.
fn inputs(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let piece_of_another = (select(seeds.clone()), any::<Index>(), 0..24_usize).prop_map(|(seed, at, length)| {
        let from = at.index(seed.len() + 1);
        seed[from..seed.len().min(from + length)].to_vec()
    });
    let piece = prop_oneof![
        4 => select(MARKS).prop_map(|mark| mark.as_bytes().to_vec()),
        3 => piece_of_another,
        1 => any::<char>().prop_map(|character| character.to_string().into_bytes()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        1 => Just(Vec::new()),
    ];
    let edits = vec((any::<Index>(), 0..6_usize, piece), 0..8);
    (select([seeds, vec![Vec::new()]].concat()), edits).prop_map(|(mut input, edits)| {
        for (at, removed, piece) in edits {
            let from = at.index(input.len() + 1);
            let to = input.len().min(from + removed);
            input.splice(from..to, piece);
        }
        input
    })
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let files = fs::read_dir(directory).expect("there is a corpus");
    let mut names: Vec<_> = files.map(|file| file.expect("it can be listed").file_name().into_string().expect("text")).collect();
    names.sort();
    assert_eq!(names, ALL.map(|(name, _)| name));
}
