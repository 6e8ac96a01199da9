//! Secrets, inline or in separate files. Neither mistakes nor `Debug` repeat them.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::yaml::Place;
use crate::yaml::decode::{Field, Section, Text};

/// A configured secret.
#[derive(Clone)]
pub enum Secret {
    Inline(SecretString),
    /// The file is read again when it changes. `initial` is its content at start.
    File {
        path: PathBuf,
        initial: SecretString,
    },
}

/// The reason why a secret's file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    #[error("can't be read: {0}")]
    Read(#[from] io::Error),
    #[error("the file is empty")]
    Empty,
    #[error("the file is larger than 64KiB, so it can't be the secret")]
    TooLarge,
    #[error("the file is not UTF-8 text")]
    NotText,
}

/// Reads a secret's file, without newlines at its end.
pub fn read_secret_file(path: &Path) -> Result<SecretString, SecretFileError> {
    const MAX_SIZE: usize = 64 << 10;
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SIZE + 1));
    File::open(path)?.take(MAX_SIZE as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_SIZE {
        return Err(SecretFileError::TooLarge);
    }
    let text = trimmed(std::str::from_utf8(&bytes).map_err(|_| SecretFileError::NotText)?);
    if text.is_empty() { Err(SecretFileError::Empty) } else { Ok(SecretString::from(text)) }
}

impl Secret {
    /// Returns the secret as it was at start.
    pub fn expose_initial(&self) -> &str {
        match self {
            Self::Inline(secret) | Self::File { initial: secret, .. } => secret.expose_secret(),
        }
    }

    /// Returns the file to watch, if there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Inline(_) => None,
            Self::File { path, .. } => Some(path),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("Inline([redacted])"),
            Self::File { path, .. } => write!(f, "File({}, [redacted])", path.display()),
        }
    }
}

/// The two fields of a secret, and the validation of its content.
pub struct SecretFields {
    pub inline: Field,
    pub file: Field,
    pub check: fn(&str) -> Result<(), String>,
}

impl Section<'_> {
    /// Reads a secret from its inline field or from its `…_file`. Only one of them may be set.
    pub fn secret(&mut self, fields: &SecretFields) -> Option<Option<Secret>> {
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

    fn inline_secret(&mut self, fields: &SecretFields, text: &Text) -> Option<Secret> {
        let secret = trimmed(&text.text);
        let checked = if secret.is_empty() { Err("must not be empty".to_owned()) } else { (fields.check)(secret) };
        match checked {
            Ok(()) => Some(Secret::Inline(SecretString::from(secret))),
            Err(error) => {
                self.complain(fields.inline.name, error);
                None
            }
        }
    }

    fn secret_file(&mut self, fields: &SecretFields, text: &Text) -> Option<Secret> {
        let path = PathBuf::from(&text.text);
        let checked = read_secret_file(&path).map_err(|error| error.to_string()).and_then(|secret| {
            let checked = (fields.check)(secret.expose_secret());
            checked.map(|()| secret).map_err(|error| format!("its content {error}"))
        });
        match checked {
            Ok(initial) => Some(Secret::File { path, initial }),
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
            return Err(format!("must hold each key once; line {number} repeats line {first}"));
        }
        keys.push((number, key));
    }
    if keys.is_empty() {
        return Err("must hold at least one key; `vestibule key-ring new` prints one".to_owned());
    }
    Ok(())
}

fn key(line: &str) -> Option<Zeroizing<Vec<u8>>> {
    URL_SAFE_NO_PAD.decode(line).ok().map(Zeroizing::new).filter(|key| key.len() == 32)
}

/// Removes newlines at the end, which editors and `echo` add.
fn trimmed(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::io::Write;

    const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const OTHER: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

    fn written(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[rstest]
    #[case(b"hunter2", "hunter2")]
    #[case(b"hunter2\n", "hunter2")]
    #[case(b"hunter2\r\n\n", "hunter2")]
    #[case(b" hunter2 \n", " hunter2 ")]
    fn newlines_at_the_end_are_ignored(#[case] content: &[u8], #[case] expected: &str) {
        assert_eq!(read_secret_file(written(content).path()).unwrap().expose_secret(), expected);
    }

    #[rstest]
    #[case(b"", "the file is empty")]
    #[case(b"\n\n", "the file is empty")]
    #[case(b"\xff\xfe", "the file is not UTF-8 text")]
    #[case(&[b'x'; 65_537], "the file is larger than 64KiB, so it can't be the secret")]
    fn invalid_files_are_refused(#[case] content: &[u8], #[case] expected: &str) {
        assert_eq!(read_secret_file(written(content).path()).unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_missing_file_and_a_directory_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read_secret_file(folder.path()), Err(SecretFileError::Read(_))));
        assert!(matches!(read_secret_file(&folder.path().join("no")), Err(SecretFileError::Read(_))));
    }

    #[test]
    fn debug_shows_no_secret() {
        let inline = Secret::Inline("hunter2".into());
        let file = Secret::File { path: "/etc/secret".into(), initial: "hunter2".into() };
        assert_eq!(format!("{inline:?} {file:?}"), "Inline([redacted]) File(/etc/secret, [redacted])");
        assert_eq!((inline.path(), file.expose_initial()), (None, "hunter2"));
    }

    #[test]
    fn key_rings_may_have_comments_and_blank_lines() {
        assert_eq!(key_ring(KEY), Ok(()));
        assert_eq!(key_ring(&format!("# new\n{OTHER}\n\n  # old\r\n{KEY}\r\n")), Ok(()));
    }

    #[rstest]
    #[case(String::new(), "must hold at least one key")]
    #[case("# nothing\n".to_owned(), "must hold at least one key")]
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
