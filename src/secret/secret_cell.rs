//! A secret that can be replaced while the process runs.

use std::fmt;

use arc_swap::ArcSwap;
use secrecy::{ExposeSecret, SecretString};

pub struct SecretCell(ArcSwap<SecretString>);

impl SecretCell {
    pub fn new(secret: &str) -> Self {
        Self(ArcSwap::from_pointee(SecretString::from(secret)))
    }

    pub fn replace(&self, secret: &str) {
        self.0.store(SecretString::from(secret).into());
    }

    /// Returns a copy of the current secret.
    pub fn expose(&self) -> String {
        self.0.load().expose_secret().to_owned()
    }
}

impl fmt::Debug for SecretCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretCell([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_secret_is_used_at_once_and_never_shown() {
        let cell = SecretCell::new("old");
        cell.replace("new");
        assert_eq!(cell.expose(), "new");
        assert_eq!(format!("{cell:?}"), "SecretCell([redacted])");
    }
}
