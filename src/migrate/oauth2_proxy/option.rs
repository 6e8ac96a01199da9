//! The options of oauth2-proxy with their counterparts. The documentation lists the same entries.

mod provider;
mod server;
mod session;

use std::fmt::Write;

/// An option of oauth2-proxy.
#[derive(Debug)]
pub struct OptionEntry {
    /// The flag, without `--`. It is the option's name in the settings that were read.
    pub flag: &'static str,
    /// The key in the configuration file. The environment variable is `OAUTH2_PROXY_` and this key in capitals.
    pub key: &'static str,
    pub form: Form,
    pub effect: OptionEffect,
    /// The counterpart, or the meaning of its absence, as a clause that ends with a period.
    pub text: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Single,
    List,
    Switch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionEffect {
    /// The command converts the option.
    Converted,
    /// Vestibule does this in another way, or always.
    Replaced,
    /// Vestibule has no counterpart.
    Missing,
}

/// Options of one kind, as the documentation groups them.
struct OptionSection {
    title: &'static str,
    entries: &'static [OptionEntry],
}

const fn option(flag: &'static str, key: &'static str, form: Form, effect: OptionEffect, text: &'static str) -> OptionEntry {
    OptionEntry { flag, key, form, effect, text }
}

fn sections() -> impl Iterator<Item = &'static OptionSection> {
    provider::SECTIONS.iter().chain(session::SECTIONS).chain(server::SECTIONS)
}

pub fn all() -> impl Iterator<Item = &'static OptionEntry> {
    sections().flat_map(|section| section.entries)
}

/// Finds an option by its flag, without `--`.
pub fn of_flag(flag: &str) -> Option<&'static OptionEntry> {
    all().find(|entry| entry.flag == flag)
}

/// Finds an option by its key in the configuration file. Case does not matter.
pub fn of_key(key: &str) -> Option<&'static OptionEntry> {
    all().find(|entry| entry.key.eq_ignore_ascii_case(key))
}

/// Renders the options as Markdown.
pub fn reference() -> String {
    let mut text = String::new();
    for OptionSection { title, entries } in sections() {
        let heading = if text.is_empty() { "" } else { "\n" };
        write!(text, "{heading}### {title}\n\n| oauth2-proxy | converted | Vestibule |\n| --- | --- | --- |\n")
            .expect("writing to a String can't fail");
        for entry in *entries {
            let converted = match entry.effect {
                OptionEffect::Converted => "yes",
                OptionEffect::Replaced | OptionEffect::Missing => "no",
            };
            let escaped = entry.text.replace('|', "\\|");
            writeln!(text, "| `{}` | {converted} | {escaped} |", entry.flag).expect("writing to a String can't fail");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_documentation_lists_every_option() {
        crate::docs::assert_current("docs/from-oauth2-proxy.md", &format!("\n{}\n", super::super::reference()));
    }

    #[test]
    fn flags_and_keys_are_unique() {
        let (flags, keys): (BTreeSet<_>, BTreeSet<_>) = all().map(|entry| (entry.flag, entry.key)).unzip();
        assert_eq!((flags.len(), keys.len()), (all().count(), all().count()));
        assert!(all().all(|entry| entry.text.ends_with('.')), "each text is a sentence");
    }

    /// The options of release 7.15, of its documentation and its source code.
    #[test]
    fn all_options_of_oauth2_proxy_are_known() {
        let flags = include_str!("option/flags.txt");
        let listed: BTreeSet<_> = flags.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(listed, all().map(|entry| entry.flag).collect::<BTreeSet<_>>());
    }
}
