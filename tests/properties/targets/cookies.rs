//! The cookie scanner. Each line of the input is the value of a `Cookie` header.

use std::collections::BTreeSet;

use vestibule::access::{CredentialSource, CredentialSources};
use vestibule::check::{CredentialError, CredentialText, cookies, cookies_without, has_own_name};

const NAME: &str = "__Host-vestibule";

pub fn holds(input: &[u8]) {
    let headers: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let found: Vec<&[u8]> = headers.iter().flat_map(|header| cookies(header, NAME)).collect();
    let slow: Vec<Vec<u8>> = headers.iter().flat_map(|header| reference_values(header, NAME)).collect();
    assert_eq!(found, slow, "{}", input.escape_ascii());
    check_credential(&headers, &slow);
    check_remaining_cookies(&headers);
}

/// A reference implementation of RFC 6265, section 5.2, over single-byte characters.
fn reference_values(header: &[u8], name: &str) -> Vec<Vec<u8>> {
    let text: String = header.iter().copied().map(char::from).collect();
    let blank = |character: char| character.is_ascii_whitespace();
    let pairs = text.split(';').filter_map(|pair| pair.trim_matches(blank).split_once('='));
    let bytes = |value: &str| value.chars().map(|character| u8::try_from(character).expect("it was a byte")).collect();
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| bytes(value)).collect()
}

fn check_credential(headers: &[&[u8]], cookies: &[Vec<u8>]) {
    let credential = CredentialText::find(CredentialSources::ALL, NAME, |place| {
        headers.iter().copied().filter(move |_| place == CredentialSource::Session)
    });
    let distinct: BTreeSet<&Vec<u8>> = cookies.iter().collect();
    let readable = distinct.iter().all(|value| std::str::from_utf8(value).is_ok());
    match (distinct.len(), credential) {
        (0, Ok(None)) => {}
        (1, Ok(Some(CredentialText::Cookie(cookie)))) => assert_eq!(cookie.as_bytes(), cookies[0]),
        (1, Err(CredentialError::Ambiguous)) => assert!(!readable),
        (2.., Err(CredentialError::Ambiguous)) => {}
        (count, credential) => panic!("{count} cookies are taken for {credential:?}"),
    }
}

fn check_remaining_cookies(headers: &[&[u8]]) {
    let kept = cookies_without(headers.iter().copied(), has_own_name);
    assert_eq!(cookies(&kept, NAME).count(), 0, "{}", kept.escape_ascii());
    assert_eq!(cookies_without(std::iter::once(&kept[..]), has_own_name), kept, "{}", kept.escape_ascii());
    let pairs = headers.iter().flat_map(|header| header.split(|byte| *byte == b';'));
    let others: Vec<&[u8]> = pairs.filter(|pair| !has_own_name(pair)).flat_map(|pair| cookies(pair, "a")).collect();
    assert_eq!(cookies(&kept, "a").collect::<Vec<_>>(), others, "{}", kept.escape_ascii());
}
