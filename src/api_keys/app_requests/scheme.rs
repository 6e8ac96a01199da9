//! Schemes of redirect URIs: those of well-known apps, and the validation of configured ones.

/// Schemes of known apps, which are always allowed.
pub const DEFAULT_SCHEMES: [&str; 19] = [
    "vscode",
    "vscode-insiders",
    "vscodium",
    "code-oss",
    "cursor",
    "windsurf",
    "fleet",
    "jetbrains",
    "zed",
    "sublime",
    "atom",
    "brackets",
    "nova",
    "coderunner",
    "textmate",
    "github-desktop",
    "sourcetree",
    "tower",
    "fork",
];

/// Schemes that a browser handles itself or passes to something other than one app.
const FORBIDDEN_SCHEMES: [&str; 63] = [
    "about",
    "acap",
    "afp",
    "blob",
    "chrome",
    "chrome-error",
    "chrome-extension",
    "chrome-search",
    "chrome-untrusted",
    "cid",
    "content",
    "data",
    "devtools",
    "dict",
    "edge",
    "extension",
    "facetime",
    "feed",
    "file",
    "filesystem",
    "ftp",
    "ftps",
    "gopher",
    "help",
    "hcp",
    "http",
    "https",
    "imap",
    "intent",
    "irc",
    "itms-services",
    "jar",
    "javascript",
    "ldap",
    "livescript",
    "mailto",
    "mhtml",
    "mid",
    "mms",
    "mocha",
    "moz-extension",
    "ms-appinstaller",
    "ms-msdt",
    "ms-officecmd",
    "ms-settings",
    "news",
    "nfs",
    "pop",
    "res",
    "resource",
    "safari-extension",
    "search-ms",
    "shell",
    "sip",
    "smb",
    "sms",
    "ssh",
    "tel",
    "telnet",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

const MAX_SCHEME_BYTES: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SchemeError {
    #[error("must be a URI scheme such as `myide`: a letter, then letters, digits, `+`, `-` and `.`; without `:`")]
    Form,
    #[error("is a scheme that a browser opens itself, and no app; it is never allowed")]
    Forbidden,
}

/// Validates a custom scheme (RFC 3986, section 3.1) and returns it in lower case.
pub fn parse_app_scheme(text: &str) -> Result<String, SchemeError> {
    let scheme = text.to_ascii_lowercase();
    let part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    let begins = scheme.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    if !begins || !scheme.bytes().all(part) || scheme.len() > MAX_SCHEME_BYTES {
        return Err(SchemeError::Form);
    }
    if FORBIDDEN_SCHEMES.contains(&scheme.as_str()) { Err(SchemeError::Forbidden) } else { Ok(scheme) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("myide", Ok("myide"))]
    #[case("MyIDE", Ok("myide"))]
    #[case("com.example.app+x-1", Ok("com.example.app+x-1"))]
    #[case("", Err(SchemeError::Form))]
    #[case("1ide", Err(SchemeError::Form))]
    #[case("my_ide", Err(SchemeError::Form))]
    #[case("myide:", Err(SchemeError::Form))]
    #[case("myide://", Err(SchemeError::Form))]
    #[case("my ide", Err(SchemeError::Form))]
    #[case("*", Err(SchemeError::Form))]
    #[case("javascript", Err(SchemeError::Forbidden))]
    #[case("JavaScript", Err(SchemeError::Forbidden))]
    #[case("data", Err(SchemeError::Forbidden))]
    #[case("file", Err(SchemeError::Forbidden))]
    #[case("http", Err(SchemeError::Forbidden))]
    #[case("https", Err(SchemeError::Forbidden))]
    #[case("vbscript", Err(SchemeError::Forbidden))]
    #[case("about", Err(SchemeError::Forbidden))]
    #[case("view-source", Err(SchemeError::Forbidden))]
    fn a_scheme_is_validated(#[case] text: &str, #[case] expected: Result<&str, SchemeError>) {
        assert_eq!(parse_app_scheme(text), expected.map(str::to_owned));
    }
}
