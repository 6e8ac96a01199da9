//! Reads the options of oauth2-proxy from its configuration file, environment variables and flags.

use std::collections::BTreeMap;

use toml_edit::{Document, Item, Value};

use super::alpha;
use super::option::{self, Form, OptionEntry};
use crate::yaml::tree::NodeValue;
use crate::yaml::{self, Mistakes, Subset, shown};

/// The values of the options that are set, by flag. They may be secrets, so there is no `Debug`.
#[derive(Default)]
pub struct Options {
    values: BTreeMap<&'static str, Vec<String>>,
    remarks: Vec<String>,
}

/// The values of one source, which replace those of the sources before it.
pub(super) type Layer = BTreeMap<&'static str, Vec<String>>;

impl Options {
    /// Reads a configuration file in TOML.
    pub fn read_config(&mut self, text: &str) -> Result<(), String> {
        // The text of the error repeats a line, which may be a secret.
        let document = Document::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
            format!("line {line}: is not valid TOML; an alpha configuration is read with --alpha-config")
        })?;
        let (mut layer, mut unknown) = (Layer::new(), Vec::new());
        for (key, item) in document.iter() {
            match (option::of_key(key).or_else(|| option::of_key(&format!("{key}s"))), values_of_item(item)) {
                (None, _) => unknown.push(shown(key)),
                (Some(_), None) => return Err(format!("{}: must be a text, a number, a boolean or a list", shown(key))),
                (Some(entry), Some(values)) => _ = layer.insert(entry.flag, split(entry, values)),
            }
        }
        self.add(layer, unknown)
    }

    /// Reads the variables `OAUTH2_PROXY_…`, and ignores others.
    pub fn read_variables(&mut self, variables: impl Iterator<Item = (String, String)>) -> Result<(), String> {
        let (mut layer, mut unknown) = (Layer::new(), Vec::new());
        for (name, value) in variables {
            let Some(key) = name.strip_prefix("OAUTH2_PROXY_") else { continue };
            match option::of_key(key).or_else(|| option::of_key(&format!("{key}s"))) {
                // Kubernetes defines variables for the Service of oauth2-proxy, as oauth2-proxy knows.
                None if key.starts_with("SERVICE_") || key.starts_with("PORT") => {}
                None => unknown.push(shown(&name)),
                Some(_) if value.is_empty() => {}
                Some(entry) => _ = layer.insert(entry.flag, split(entry, vec![value])),
            }
        }
        self.add(layer, unknown)
    }

    /// Reads flags, such as `--provider=oidc`. A list may be given several times.
    pub fn read_flags(&mut self, flags: &[String]) -> Result<(), String> {
        let (mut layer, mut unknown) = (Layer::new(), Vec::new());
        let mut words = flags.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
                unknown.push(shown(word));
                continue;
            };
            let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
            let Some(entry) = option::of_flag(name) else {
                unknown.push(shown(&format!("--{name}")));
                continue;
            };
            let value = match (value, entry.form) {
                (Some(value), _) => value,
                (None, Form::Switch) => "true",
                (None, _) => words.next().ok_or_else(|| format!("--{name}: needs a value"))?,
            };
            let values = split(entry, vec![value.to_owned()]);
            match entry.form {
                Form::List => layer.entry(entry.flag).or_default().extend(values),
                Form::Single | Form::Switch => _ = layer.insert(entry.flag, values),
            }
        }
        self.add(layer, unknown)
    }

    /// Reads an alpha configuration in YAML.
    pub fn read_alpha(&mut self, text: &str) -> Result<(), String> {
        let parsed = yaml::parse(text, Subset::Core);
        if !parsed.mistakes.is_empty() {
            return Err(Mistakes::from(parsed.mistakes).to_string());
        }
        let alpha::AlphaFields { layer, remarks, unknown } = alpha::read(&parsed.root);
        self.remarks.extend(remarks);
        self.add(layer, unknown)
    }

    /// An unknown option may restrict who may sign in, so it is not ignored. oauth2-proxy does not ignore it either.
    fn add(&mut self, layer: Layer, unknown: Vec<String>) -> Result<(), String> {
        self.values.extend(layer);
        match unknown.is_empty() {
            true => Ok(()),
            false => Err(format!("{}: not an option of oauth2-proxy", unknown.join(", "))),
        }
    }

    pub(super) fn is_set(&self, flag: &str) -> bool {
        !self.list(flag).is_empty()
    }

    /// The value of an option, if it is not empty.
    pub(super) fn text(&self, flag: &str) -> Option<&str> {
        self.list(flag).first().map(String::as_str)
    }

    pub(super) fn list(&self, flag: &str) -> &[String] {
        debug_assert!(option::of_flag(flag).is_some(), "{flag} is an option");
        self.values.get(flag).map_or(&[], Vec::as_slice)
    }

    pub(super) fn is_on(&self, flag: &str) -> bool {
        self.text(flag).is_some_and(|text| matches!(text, "1" | "t" | "T" | "true" | "True" | "TRUE"))
    }

    pub(super) fn remarks(&self) -> &[String] {
        &self.remarks
    }
}

/// Returns the flags in a text: a YAML list, or one flag in each line.
pub fn flags_of_text(text: &str) -> Result<Vec<String>, String> {
    let is_line_of_flag = |line: &&str| line.starts_with("--") && *line != "---";
    if text.lines().map(str::trim).any(|line| is_line_of_flag(&line)) {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        return Ok(lines.map(str::to_owned).collect());
    }
    let parsed = yaml::parse(text, Subset::Core);
    let elements = match (&parsed.root.value, parsed.mistakes.is_empty()) {
        (NodeValue::Seq(nodes), true) => nodes.iter().map(|node| match &node.value {
            NodeValue::Scalar(scalar) => Some(scalar.text.clone()),
            _ => None,
        }),
        _ => return Err("must have a flag in each line, or be a YAML list of flags".to_owned()),
    };
    elements.collect::<Option<_>>().ok_or_else(|| "the list must have texts only".to_owned())
}

fn values_of_item(item: &Item) -> Option<Vec<String>> {
    match item.as_value()? {
        Value::Array(array) => array.iter().map(text_of_value).collect(),
        value => Some(vec![text_of_value(value)?]),
    }
}

fn text_of_value(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        Value::Float(number) => Some(number.value().to_string()),
        Value::Boolean(value) => Some(value.value().to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::InlineTable(_) => None,
    }
}

/// Splits a list at its commas, and drops empty values.
pub(super) fn split(entry: &OptionEntry, values: Vec<String>) -> Vec<String> {
    let values: Vec<_> = match entry.form {
        Form::List => values.iter().flat_map(|value| value.split(',')).map(|value| value.trim().to_owned()).collect(),
        Form::Single | Form::Switch => values,
    };
    values.into_iter().filter(|value| !value.is_empty()).collect()
}
