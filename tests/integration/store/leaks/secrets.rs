//! Secrets that must not appear, and the encodings that are searched.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use regex::{Regex, bytes};

/// The middle of longer secrets is searched.
const LONGEST: usize = 48;

/// Each secret with its name.
#[derive(Default)]
pub struct Secrets(Vec<(&'static str, Vec<u8>)>);

impl Secrets {
    pub fn add(&mut self, what: &'static str, secret: &str) {
        self.add_bytes(what, secret.as_bytes());
    }

    pub fn add_bytes(&mut self, what: &'static str, secret: &[u8]) {
        assert!(secret.len() >= 6, "a short {what} would be found by chance");
        let before = secret.len().saturating_sub(LONGEST) / 2;
        self.0.push((what, secret[before..secret.len().min(before + LONGEST)].to_vec()));
    }

    /// Adds every text that the pattern's group matches; there must be one.
    pub fn add_all(&mut self, what: &'static str, text: &str, pattern: &str) {
        let pattern = Regex::new(pattern).expect("a pattern");
        let found: BTreeSet<&str> =
            pattern.captures_iter(text).map(|found| found.get(1).expect("the pattern has a group").as_str()).collect();
        assert!(!found.is_empty(), "no {what} was seen");
        found.iter().for_each(|secret| self.add(what, secret));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The secrets that the texts contain in any encoding, with the context of the first place.
    pub fn found_in<'a>(&self, texts: impl IntoIterator<Item = &'a [u8]>) -> BTreeMap<&'static str, String> {
        let forms: BTreeMap<Vec<u8>, &'static str> =
            self.0.iter().flat_map(|(what, secret)| forms(secret).into_iter().map(|form| (form, *what))).collect();
        let any: Vec<String> = forms.keys().map(|form| form.iter().map(|byte| format!("\\x{byte:02x}")).collect()).collect();
        let any = bytes::RegexBuilder::new(&any.join("|")).unicode(false).size_limit(1 << 30).build().expect("a pattern");
        let mut found = BTreeMap::new();
        for text in texts {
            for place in any.find_iter(text) {
                let around = &text[place.start().saturating_sub(80)..text.len().min(place.end() + 20)];
                found.entry(forms[place.as_bytes()]).or_insert_with(|| around.escape_ascii().to_string());
            }
        }
        found
    }
}

/// The encodings of a secret, independent of the surrounding text.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let list: Vec<String> = secret.iter().map(u8::to_string).collect();
    let in_url: String = url::form_urlencoded::byte_serialize(secret).collect();
    let all_in_url = percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let mut forms = vec![secret.to_vec()];
    let texts =
        [hex.to_uppercase(), hex, list.join(", "), in_url.clone(), in_url.to_lowercase(), all_in_url.to_lowercase(), all_in_url];
    // Digits and lower-case letters are unchanged in a URL, and have another base64 text in lower case.
    forms.extend(
        texts.into_iter().filter(|text| text.contains(['%', '+', ',']) || text.len() == 2 * secret.len()).map(String::into_bytes),
    );
    for before in 0..3 {
        // In base64 the characters at both ends also depend on adjacent bytes.
        let shifted = [&vec![0; before][..], secret].concat();
        let whole = (shifted.len() / 3) * 3;
        for encoded in [STANDARD.encode(&shifted[..whole]), URL_SAFE_NO_PAD.encode(&shifted[..whole])] {
            forms.push(encoded.as_bytes()[if before == 0 { 0 } else { 4 }..].to_vec());
        }
    }
    forms
}

#[test]
fn a_secret_is_found_in_every_encoding() {
    const SECRET: &str = "a secret/of+some length";
    let mut secrets = Secrets::default();
    secrets.add("code", SECRET);
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    let in_base64 = ["x", "xx", "xxx"].map(|before| STANDARD.encode(format!("{before}{SECRET}x")));
    let in_url =
        ["a+secret%2Fof%2Bsome+length", "a%20secret%2Fof%2Bsome%20length", "a%20secret%2fof%2bsome%20length"].map(str::to_owned);
    let list: Vec<String> = SECRET.bytes().map(|byte| byte.to_string()).collect();
    let shown = [vec![SECRET.to_owned(), hex.to_uppercase(), hex, list.join(", ")], in_base64.to_vec(), in_url.to_vec()].concat();
    for text in shown {
        let found = secrets.found_in([&b""[..], format!("..{text}..").as_bytes()]);
        assert_eq!(found.keys().collect::<Vec<_>>(), [&"code"], "{text}");
    }
    assert!(secrets.found_in([&b"a secret"[..]]).is_empty());
}
