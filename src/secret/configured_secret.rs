//! Secrets of the configuration, inline or in files. `Debug` does not print them.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// A configured secret.
#[derive(Clone)]
pub enum ConfiguredSecret {
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
    let text = trim_newlines(std::str::from_utf8(&bytes).map_err(|_| SecretFileError::NotText)?);
    if text.is_empty() { Err(SecretFileError::Empty) } else { Ok(SecretString::from(text)) }
}

impl ConfiguredSecret {
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

impl fmt::Debug for ConfiguredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("Inline([redacted])"),
            Self::File { path, .. } => write!(f, "File({}, [redacted])", path.display()),
        }
    }
}

/// Removes newlines at the end, which editors and `echo` add.
pub fn trim_newlines(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::io::Write;

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
        let inline = ConfiguredSecret::Inline("hunter2".into());
        let file = ConfiguredSecret::File { path: "/etc/secret".into(), initial: "hunter2".into() };
        assert_eq!(format!("{inline:?} {file:?}"), "Inline([redacted]) File(/etc/secret, [redacted])");
        assert_eq!((inline.path(), file.expose_initial()), (None, "hunter2"));
    }
}
