//! Tests of the detection of our own credentials, in headers and in cookies.

use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::{cookies::has_exact_name, *};
use crate::{
    clock::SystemClock,
    origin::PublicUrl,
    secret::{Digest, sign_onboarding},
};

const KEY: &str = "sk-KgcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH4UxWmw";

fn ring() -> Arc<KeyRing> {
    Arc::new(KeyRing::ephemeral(Arc::new(SystemClock)))
}

fn own() -> OwnCredentials {
    let origins = ["https://chat.example.com", "https://mcp.example.com"].map(|url| PublicUrl::parse(url).unwrap());
    OwnCredentials::new(ring()).with_origins(FurtherOrigins::new(origins.to_vec()))
}

fn token(own: &OwnCredentials, kind: TokenKind) -> String {
    OpaqueToken::mint(&own.ring, kind, 7).expose().to_owned()
}

/// One credential of each form.
fn credentials(own: &OwnCredentials) -> Vec<String> {
    let onboarding = sign_onboarding(&own.ring, &json!({"aud": "a"}));
    let of_host = HostToken { shard: 7, digest: Digest::of(b"session") }.sign(&own.ring, "mcp.example.com");
    let opaque = TokenKind::ALL.into_iter().map(|kind| token(own, kind));
    opaque.chain([KEY.to_owned(), onboarding, of_host]).collect()
}

#[test]
fn a_credential_is_detected_in_any_surrounding() {
    let own = own();
    for credential in credentials(&own) {
        for value in [
            credential.clone(),
            format!("Bearer {credential}"),
            format!("bEaReR\t \t{credential} "),
            format!("Token token=\"{credential}\""),
            format!("Bearer other, Bearer {credential}"),
            format!("\u{ff}{credential}\u{ff}"),
            format!("Basic {}", STANDARD.encode(format!("user:{credential}"))),
            format!("basic {}", STANDARD.encode(&credential)),
            format!("Basic {}", URL_SAFE_NO_PAD.encode(format!("{credential}:"))),
            format!("Basic {}A", URL_SAFE_NO_PAD.encode(format!("{credential}::"))),
            format!("Basic {}", STANDARD.encode(format!("user:session-{credential}"))),
            format!("session-{credential}"),
            format!("t_{credential}"),
            format!("{credential}_t"),
            format!("Bearer%20{credential}"),
            format!("Bearer%20%{:02x}{}", credential.as_bytes()[0], &credential[1..]),
            format!("%41%{credential}"),
        ] {
            assert!(own.are_in(value.as_bytes()), "{value}");
        }
    }
    for value in [format!("x{KEY}"), format!("{KEY}x"), format!("sk-sk-{KEY}")] {
        assert!(own.are_in(value.as_bytes()), "{value}");
    }
}

/// Words in the form of a token, which no key ring signed.
fn unsigned_tokens(count: usize) -> String {
    let token = |number: usize| format!("{number:04}{}", "A".repeat(OpaqueToken::TEXT_LEN - 4));
    (0..count).map(token).collect::<Vec<_>>().join(",")
}

#[test]
fn the_number_of_verified_tokens_is_bounded_and_a_value_with_more_counts_as_ours() {
    let own = own();
    let token = token(&own, TokenKind::Session);
    assert!(!own.are_in(unsigned_tokens(MAX_TOKENS).as_bytes()));
    assert!(own.are_in(unsigned_tokens(MAX_TOKENS + 1).as_bytes()));
    assert!(own.are_in(format!("{},{token}", unsigned_tokens(MAX_TOKENS - 1)).as_bytes()));
    assert!(own.are_in(format!("{},{token}", unsigned_tokens(MAX_TOKENS)).as_bytes()));
    let in_base64: Vec<String> = (0..=MAX_TOKENS).map(|_| STANDARD.encode(unsigned_tokens(1))).collect();
    assert!(!own.are_in(in_base64[1..].join(" ").as_bytes()));
    assert!(own.are_in(in_base64.join(" ").as_bytes()), "one bound for the value and its Base64 texts");
}

#[test]
fn long_values_of_other_software_are_not_detected() {
    let own = own();
    let bytes: Vec<u8> = (0..1500_u32).flat_map(|number| *Digest::of(&number.to_be_bytes()).as_bytes()).collect();
    let ticket = format!("Negotiate {}", STANDARD.encode(&bytes));
    let jwe = format!("Bearer {}", URL_SAFE_NO_PAD.encode(&bytes));
    for value in [ticket, jwe] {
        assert!(!own.are_in(value.as_bytes()));
    }
    let cookie = format!("a={}", &unsigned_tokens(MAX_TOKENS)[..4094]);
    assert_eq!(own.other_cookies(std::iter::once(cookie.as_bytes())), cookie.as_bytes(), "the longest cookie of a browser");
}

#[test]
fn the_upstreams_credentials_are_not_detected() {
    let own = own();
    let of_another_deployment = token(&OwnCredentials::new(ring()), TokenKind::Session);
    for value in [
        "",
        "Bearer sk-1234",
        "Bearer sk-proj-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "Basic c29tZWJvZHk6dGhlaXJz",
        "Bearer eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl",
        &KEY[..KEY.len() - 1],
        &KEY.replace('K', "L"),
        &of_another_deployment,
        &format!("session-{of_another_deployment}"),
        &format!("Bearer%20{of_another_deployment}"),
    ] {
        assert!(!own.are_in(value.as_bytes()), "{value}");
    }
}

#[rstest]
#[case::session("vestibule=x")]
#[case::login("vestibule-login=x")]
#[case::device("vestibule-device=x")]
#[case::target("__Secure-vestibule-target-Ab_9=x")]
#[case::prefixed("__Host-vestibule=x")]
#[case::another_prefix("__Secure-vestibule-login=x")]
#[case::space_before_the_equals_sign("vestibule\t =x")]
#[case::upper_case("VESTIBULE=x")]
#[case::prefix_in_another_case("__hOST-Vestibule-Login=x")]
#[case::percent_encoded("%76estibule=x")]
#[case::prefix_percent_encoded("%5F%5fHost%2Dvestibule=x")]
#[case::php_turns_dots_into_underscores("..Host-vestibule=x")]
#[case::php_turns_spaces_into_underscores("%20%20Host-vestibule=x")]
#[case::quoted("\"vestibule\"=x")]
#[case::nameless("=vestibule=x")]
#[case::after_a_comma("a=1,vestibule=x")]
#[case::after_a_space("a=1 vestibule=x")]
#[case::after_a_space_with_spaces("a=1 vestibule = x")]
#[case::no_break_space("\u{a0}vestibule\u{a0}=x")]
#[case::empty("vestibule=")]
fn our_cookie_is_detected_in_every_spelling_of_its_name(#[case] pair: &str) {
    let own = own();
    assert!(has_own_name(pair.as_bytes()));
    let header = format!("a=1; {pair}; b=2");
    assert_eq!(own.other_cookies(std::iter::once(header.as_bytes())), b"a=1; b=2");
    let is_exact = has_exact_name(pair.as_bytes());
    assert_eq!(own.has_unusual_cookie(std::iter::once(header.as_bytes())), !is_exact);
}

#[rstest]
#[case("myvestibule=1")]
#[case("vestibule-x=2")]
#[case("a=vestibule=1")]
#[case("a=vestibule")]
#[case("xvestibule-login=1")]
#[case("a=%76estibule")]
#[case("a=sk-KgcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH4UxWmg")]
#[case("session=eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl")]
#[case("a=c2stS2djSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0g0VXhXbWc")]
fn other_cookies_are_kept(#[case] pair: &str) {
    let own = own();
    assert_eq!(own.other_cookies(std::iter::once(pair.as_bytes())), pair.as_bytes());
    assert!(!own.has_unusual_cookie(std::iter::once(pair.as_bytes())));
}

#[test]
fn a_credential_is_detected_in_a_cookie_of_any_name() {
    let own = own();
    for credential in credentials(&own) {
        let encoded = format!("%{:02x}{}", credential.as_bytes()[0], &credential[1..]);
        for pair in [
            format!("a={credential}"),
            format!("a=\"{credential}\""),
            format!("a={encoded}"),
            format!("a=x_{credential}"),
            format!("a=Bearer%20{credential}"),
            format!("a={}", STANDARD.encode(&credential)),
            format!("a={}", STANDARD.encode(format!("user:{credential}")).replace('=', "%3D")),
            credential.clone(),
            format!("={credential}"),
        ] {
            assert!(own.has_unusual_cookie(std::iter::once(pair.as_bytes())), "{pair}");
            assert_eq!(own.other_cookies(std::iter::once(pair.as_bytes())), b"", "{pair}");
        }
    }
    let token = token(&own, TokenKind::Session);
    let plain = format!("vestibule={token}; __Host-vestibule={token}");
    assert!(!own.has_unusual_cookie(std::iter::once(plain.as_bytes())));
}

proptest! {
    #[test]
    fn no_bytes_panic_and_a_key_is_found_between_any(before in any::<Vec<u8>>(), after in any::<Vec<u8>>()) {
        let own = own();
        let value = [&before[..], KEY.as_bytes(), &after].concat();
        prop_assert!(own.are_in(&value));
        let _ = own.are_in(&before);
        let _ = own.has_unusual_cookie([&before[..], &after].into_iter());
    }
}
