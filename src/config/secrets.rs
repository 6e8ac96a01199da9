//! Reads and validates the secrets of the configuration. No mistake repeats them.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::secret::{ConfiguredSecret, read_secret_file, trim_newlines};
use crate::yaml::Place;
use crate::yaml::decode::{Field, ScalarText, Section};

/// The two fields of a secret, and the validation of its content.
pub struct SecretFields {
    pub inline: Field,
    pub file: Field,
    pub check: fn(&str) -> Result<(), String>,
}

impl Section<'_> {
    /// Reads a secret from its inline field or from its `…_file`. Only one of them may be set.
    pub fn secret(&mut self, fields: &SecretFields) -> Option<Option<ConfiguredSecret>> {
        self.declare(fields.inline, "secret", "");
        self.declare(fields.file, "path", "");
        let values = [fields.inline.name, fields.file.name].map(|name| self.not_without_value(name));
        let inline = self.text(fields.inline.name);
        let file = self.text(fields.file.name);
        let (inline, file) = (inline?, file?);
        values.into_iter().collect::<Option<Vec<()>>>()?;
        match (inline, file) {
            (None, None) => Some(None),
            (Some(text), None) => self.inline_secret(fields, &text).map(Some),
            (None, Some(text)) => self.secret_file(fields, &text).map(Some),
            (Some(inline), Some(_)) => {
                let (name, file) = (fields.inline.name, fields.file.name);
                let also = match inline.place {
                    Place::Nowhere => String::new(),
                    place => format!(" ({place})"),
                };
                self.complain(file, format!("and `{name}`{also} are both given; keep one of them"));
                None
            }
        }
    }

    fn inline_secret(&mut self, fields: &SecretFields, text: &ScalarText) -> Option<ConfiguredSecret> {
        let secret = trim_newlines(&text.text);
        let checked = if secret.is_empty() { Err("must not be empty".to_owned()) } else { (fields.check)(secret) };
        match checked {
            Ok(()) => Some(ConfiguredSecret::Inline(SecretString::from(secret))),
            Err(error) => {
                self.complain(fields.inline.name, error);
                None
            }
        }
    }

    fn secret_file(&mut self, fields: &SecretFields, text: &ScalarText) -> Option<ConfiguredSecret> {
        let path = PathBuf::from(&text.text);
        let checked = read_secret_file(&path).map_err(|error| error.to_string()).and_then(|secret| {
            let checked = (fields.check)(secret.expose_secret());
            checked.map(|()| secret).map_err(|error| format!("its content {error}"))
        });
        match checked {
            Ok(initial) => Some(ConfiguredSecret::File { path, initial }),
            Err(error) => {
                self.complain(fields.file.name, error);
                None
            }
        }
    }
}

/// Validates a password or client secret: one line, since it is sent in a header, a form or a command.
pub fn one_line(text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) {
        return Err("must be one line without control characters".to_owned());
    }
    Ok(())
}

/// Validates a key ring: one key per line, 32 bytes in base64url. Blank lines and `#` comments are ignored.
pub fn key_ring(text: &str) -> Result<(), String> {
    let mut keys: Vec<(usize, Zeroizing<Vec<u8>>)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = key(line).ok_or_else(|| {
            format!(
                "must have one key per line, 32 bytes in base64url without padding, as `vestibule key-ring new` prints it; \
                 line {number} is invalid"
            )
        })?;
        if let Some((first, _)) = keys.iter().find(|(_, known)| *known == key) {
            return Err(format!("must contain each key once; line {number} repeats line {first}"));
        }
        keys.push((number, key));
    }
    if keys.is_empty() {
        return Err("must contain at least one key; `vestibule key-ring new` prints one".to_owned());
    }
    Ok(())
}

fn key(line: &str) -> Option<Zeroizing<Vec<u8>>> {
    URL_SAFE_NO_PAD.decode(line).ok().map(Zeroizing::new).filter(|key| key.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const OTHER: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

    #[test]
    fn key_rings_may_have_comments_and_blank_lines() {
        assert_eq!(key_ring(KEY), Ok(()));
        assert_eq!(key_ring(&format!("# new\n{OTHER}\n\n  # old\r\n{KEY}\r\n")), Ok(()));
    }

    #[rstest]
    #[case(String::new(), "must contain at least one key")]
    #[case("# nothing\n".to_owned(), "must contain at least one key")]
    #[case(format!("{KEY}\nhunter2"), "line 2 is invalid")]
    #[case(format!("{KEY}="), "line 1 is invalid")]
    #[case(KEY[..40].to_owned(), "line 1 is invalid")]
    #[case(format!("{KEY}AA"), "line 1 is invalid")]
    #[case(KEY.replace('A', "+"), "line 1 is invalid")]
    #[case(format!("{KEY}\n{OTHER}\n# again\n{KEY}"), "line 4 repeats line 1")]
    fn invalid_key_rings_are_refused_with_the_line(#[case] text: String, #[case] expected: &str) {
        let wrong = key_ring(&text).unwrap_err();
        assert!(wrong.contains(expected), "{wrong}");
        assert!(!wrong.contains("hunter2") && !wrong.contains(&KEY[..20]));
    }
}
