//! Tests the worked examples of docs/providers/ with samples of the claims that each provider sends.

mod example;
mod samples;

use std::{collections::BTreeSet, fs, path::Path};

use self::example::{Blocks, Example};

const PAGES: &str = "docs/providers";
const SAMPLES: &str = "tests/providers";

/// The providers that the documentation promises an example for.
const MIN_PROVIDERS: usize = 14;

/// Fields that show in no claim. A block may lose such a line unnoticed.
const FIELDS_WITHOUT_CLAIMS: [&str; 9] = [
    "name",
    "client_secret_file",
    "token_endpoint_auth_method",
    "scopes",
    "authorization_params",
    "userinfo",
    "logout",
    "end_session_endpoint",
    "end_session_parameters",
];

#[test]
fn each_example_grants_what_its_samples_expect() {
    let mistakes: Vec<_> =
        examples().iter().filter_map(|(name, example)| Some(format!("{name}: {}", example.check().err()?))).collect();
    assert!(mistakes.is_empty(), "{mistakes:#?}");
}

/// A block that is changed wrongly must not stay unnoticed, so every line of it must be necessary for the samples.
#[test]
fn no_example_works_without_one_of_its_lines() {
    let unnecessary: Vec<_> = examples().iter().flat_map(|(name, example)| lines_without_effect(name, example)).collect();
    assert!(unnecessary.is_empty(), "{PAGES}: the samples do not need these lines: {unnecessary:#?}");
}

#[test]
fn the_overview_links_every_example() {
    let overview = fs::read_to_string(root().join("docs/providers.md")).unwrap();
    let missing: Vec<_> =
        names(PAGES, "md").into_iter().filter(|name| !overview.contains(&format!("](providers/{name}.md)"))).collect();
    assert!(missing.is_empty(), "docs/providers.md has no link to {missing:?}");
}

fn lines_without_effect(name: &str, example: &Example) -> Vec<String> {
    let Blocks { configuration, role_map } = &example.blocks;
    let fewer_settings = without_each_line(configuration)
        .filter(|(line, _)| !FIELDS_WITHOUT_CLAIMS.contains(&field(line)))
        .map(|(line, configuration)| (line, Blocks { configuration, role_map: role_map.clone() }));
    let fewer_rules =
        without_each_line(role_map).map(|(line, role_map)| (line, Blocks { configuration: configuration.clone(), role_map }));
    let unnoticed = fewer_settings.chain(fewer_rules).filter(|(_, blocks)| example.check_blocks(blocks).is_ok());
    unnoticed.map(|(line, _)| format!("{name}: {line}")).collect()
}

/// Returns each line with the text without it.
fn without_each_line(text: &str) -> impl Iterator<Item = (&str, String)> {
    text.lines().enumerate().map(move |(removed, line)| {
        let others = text.lines().enumerate().filter(|(number, _)| *number != removed);
        (line, others.map(|(_, line)| format!("{line}\n")).collect())
    })
}

/// Returns the name of the field that a line of YAML begins with.
fn field(line: &str) -> &str {
    line.trim_start_matches([' ', '-']).split(':').next().unwrap_or_default()
}

fn examples() -> Vec<(String, Example)> {
    let pages = names(PAGES, "md");
    assert_eq!(pages, names(SAMPLES, "yaml"), "each page has a file of samples, and each of these a page");
    assert!(pages.len() >= MIN_PROVIDERS, "only {} pages", pages.len());
    let read = |name: &str, folder: &str, extension: &str| {
        fs::read_to_string(root().join(folder).join(format!("{name}.{extension}"))).unwrap()
    };
    let example = |name: String| {
        let (page, samples) = (read(&name, PAGES, "md"), read(&name, SAMPLES, "yaml"));
        let example = Example::parse(&page, &samples).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, example)
    };
    pages.into_iter().map(example).collect()
}

fn names(folder: &str, extension: &str) -> BTreeSet<String> {
    let files = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files.map(|file| file.strip_suffix(&format!(".{extension}")).unwrap_or(&file).to_owned()).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
