//! Removes Vestibule's cookies from requests to the upstream, in every spelling that a cookie parser may accept.

use super::{OwnCredentials, percent_decoded};
use crate::check::credential::cookies_without;

/// The names without the prefix that browsers enforce.
const NAMES: [&[u8]; 3] = [b"vestibule", b"vestibule-login", b"vestibule-device"];

/// The beginning of the names of cookies with return targets, which browsers only send to our own pages.
const TARGET: &[u8] = b"vestibule-target-";

/// Prefixes of names (RFC 6265bis, section 4.1.3), without the underscores.
const PREFIXES: [&[u8]; 4] = [b"host-http-", b"host-", b"http-", b"secure-"];

impl OwnCredentials {
    /// Returns the cookies for the upstream as one header.
    pub fn other_cookies<'a>(&self, headers: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        cookies_without(headers, |pair| self.is_own_cookie(pair))
    }

    /// True if one of our cookies is in a spelling that the nginx template does not remove. It removes exact names.
    pub fn has_unusual_cookie<'a>(&self, mut headers: impl Iterator<Item = &'a [u8]>) -> bool {
        let is_unusual = |pair: &[u8]| !has_exact_name(pair) && self.is_own_cookie(pair);
        headers.any(|header| header.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).any(is_unusual))
    }

    fn is_own_cookie(&self, pair: &[u8]) -> bool {
        has_own_name(pair) || self.are_in(pair)
    }
}

pub(super) fn has_exact_name(pair: &[u8]) -> bool {
    let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
    let name = name.strip_prefix(b"__Host-").unwrap_or(name).trim_ascii_end();
    name.len() < pair.len() && NAMES.contains(&name)
}

/// True if a parser may read one of our cookies in the pair. Some parsers also separate cookies by commas or spaces, skip an
/// equals sign before the name, decode names, or ignore their case.
pub fn has_own_name(pair: &[u8]) -> bool {
    let is_separator = |byte: &u8| *byte == b',' || byte.is_ascii_whitespace();
    let mut words = pair.split(is_separator).filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        let start = word.iter().position(|byte| *byte != b'=').unwrap_or(word.len());
        let word = &word[start..];
        let name = word.split(|byte| *byte == b'=').next().unwrap_or_default();
        let is_name = name.len() < word.len() || words.peek().is_some_and(|next| next.starts_with(b"="));
        if is_name && is_own_name(name) {
            return true;
        }
    }
    false
}

fn is_own_name(name: &[u8]) -> bool {
    let decoded = percent_decoded(name);
    let name = trim_symbols(&decoded);
    let prefix = PREFIXES.iter().find(|prefix| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)));
    let name = prefix.map_or(name, |prefix| &name[prefix.len()..]);
    let is_target = name.get(..TARGET.len()).is_some_and(|start| start.eq_ignore_ascii_case(TARGET));
    is_target || NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Removes all characters except letters and digits from both ends: quotes, underscores, and characters that parsers trim.
fn trim_symbols(mut name: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = name
        && !first.is_ascii_alphanumeric()
    {
        name = rest;
    }
    while let [rest @ .., last] = name
        && !last.is_ascii_alphanumeric()
    {
        name = rest;
    }
    name
}
