//! Properties of any input from outside. Each target is a function over bytes: here it receives its corpus in `tests/corpus/`
//! and random variations of it; `fuzz/` runs the same functions with libFuzzer.
//!
//! `PROPTEST_CASES` sets the number of inputs of each target. An input that fails belongs in the corpus.

/// The code of `fuzz/`: building it with libFuzzer would compile everything twice.
#[path = "../../fuzz/properties.rs"]
#[expect(unused_attributes, reason = "`no_main` is for the program that it is in `fuzz/`")]
mod fuzz;

extern crate self as libfuzzer_sys;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use regex::Regex;
use rstest::rstest;

use fuzz::properties::targets::ALL;

/// Replaces libFuzzer's macro, with the same types.
#[macro_export]
macro_rules! fuzz_target {
    (|$input:ident: &[u8]| $run:expr) => {
        pub fn run($input: &[u8]) {
            $run
        }
    };
}

/// The number of inputs in a short run.
const CASES: u32 = 4_000;

/// The delimiters of the parsers.
const MARKS: &[&str] = &[
    "/", "//", "\\", ".", "..", "%", "%2e", "%2f", "%25", "%00", "?", "#", ";", ":", "@", "[", "]", "[]", "{", "}", ",", "&",
    "*", "|", ">", "<<", "!", "'", "\"", "=", "+", "-", "_", "~", " ", "\n", "  ", "\t", "\r\n", "\0", "\u{feff}", "\u{85}",
    "\u{2028}",
];

#[rstest]
fn the_target_holds_for_its_corpus_and_for_random_variations(
    #[values(
        "auth_request",
        "claim_path",
        "config",
        "cookies",
        "migration",
        "original_url",
        "path_interpretations",
        "return_target",
        "role_map",
        "session_tokens"
    )]
    target: &str,
) {
    let (_, holds) = ALL.iter().find(|(name, _)| *name == target).expect("it is one of the targets");
    let corpus = corpus(target);
    for (name, input) in &corpus {
        println!("{target}/{name}");
        holds(input);
    }
    let seeds = corpus.into_iter().map(|(_, input)| input).collect();
    let wanted = std::env::var_os("PROPTEST_CASES").is_some();
    let cases = if wanted { Config::default().cases } else { CASES };
    // The inputs are the same in each run, so that results do not depend on chance; `PROPTEST_CASES` adds more.
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = match wanted {
        true => TestRunner::new(config),
        false => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
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

/// An input of the corpus with edits at some places.
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

/// In a separate process, because the target is set by the environment.
#[test]
fn the_fuzz_program_runs_the_target_of_the_environment() {
    const TARGET: &str = "FUZZ_TARGET";
    if std::env::var_os(TARGET).is_some() {
        return fuzz::run(b"/ui/");
    }
    let itself = std::env::current_exe().expect("a test is a file");
    let with = |target: &str| {
        let mut run = Command::new(&itself);
        run.args(["--exact", "the_fuzz_program_runs_the_target_of_the_environment"]).env(TARGET, target);
        run.output().expect("it can be started").status.success()
    };
    assert!(ALL.iter().all(|(target, _)| with(target)));
    assert!(!with("no target"));
}

#[test]
fn the_fuzz_package_has_every_crate_that_targets_use() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let dependencies = |manifest: &str| -> BTreeSet<String> {
        let line = Regex::new(r#"(?m)^([a-z0-9_-]+) = (?:"|\{ *(?:version|path))"#).expect("a pattern");
        line.captures_iter(&read(&root.join(manifest))).map(|found| found[1].to_owned()).collect()
    };
    let (ours, theirs) = (dependencies("Cargo.toml"), dependencies("fuzz/Cargo.toml"));
    let files = fs::read_dir(root.join("tests/properties/targets")).expect("there are targets");
    let text: String = files.map(|file| read(&file.expect("it can be listed").path())).collect();
    let named = ours.into_iter().filter(|name| text.contains(&format!("{}::", name.replace('-', "_"))));
    let missing: Vec<String> = named.filter(|name| !theirs.contains(name)).collect();
    assert!(theirs.contains("vestibule") && missing.is_empty(), "missing in fuzz/Cargo.toml: {missing:?}");
}
