//! Tests the email address and the user name of identities.

use rstest::rstest;
use serde_json::{Value, json};

use super::{
    super::tests::{NONE, identity},
    *,
};

#[rstest]
#[case::verified(json!({"email": "a@x", "email_verified": true}), NONE, NONE, Some("a@x"))]
#[case::verified_as_text(json!({"email": "a@x", "email_verified": "true"}), NONE, NONE, Some("a@x"))]
#[case::verified_in_another_case(json!({"email": "a@x", "email_verified": "True"}), NONE, NONE, Some("a@x"))]
#[case::verified_as_a_number(json!({"email": "a@x", "email_verified": 1}), NONE, NONE, Some("a@x"))]
#[case::other_text(json!({"email": "a@x", "email_verified": " true"}), NONE, NONE, None)]
#[case::number_as_text(json!({"email": "a@x", "email_verified": "1"}), NONE, NONE, None)]
#[case::other_number(json!({"email": "a@x", "email_verified": 1.0}), NONE, NONE, None)]
#[case::list(json!({"email": "a@x", "email_verified": [true]}), NONE, NONE, None)]
#[case::not_verified(json!({"email": "a@x", "email_verified": false}), NONE, NONE, None)]
#[case::no_flag(json!({"email": "a@x"}), NONE, NONE, None)]
#[case::flag_of_another_source(json!({"email": "a@x"}), json!({"email_verified": true}), NONE, None)]
#[case::second_source(json!({"email": "a@x"}), json!({"email": "b@x", "email_verified": true}), NONE, Some("b@x"))]
#[case::third_source(json!({}), NONE, json!({"email": "c@x", "email_verified": true}), Some("c@x"))]
#[case::first_verified_wins(
    json!({"email": "a@x", "email_verified": true}), NONE,
    json!({"email": "c@x", "email_verified": true}), Some("a@x"))]
#[case::not_text(json!({"email": ["a@x"], "email_verified": true}), NONE, NONE, None)]
#[case::empty(json!({"email": "", "email_verified": true}), NONE, NONE, None)]
#[case::line_break(json!({"email": "a@x\r\nX-Role: admin", "email_verified": true}), NONE, NONE, None)]
#[case::blank_at_the_end(json!({"email": "a@x ", "email_verified": true}), NONE, NONE, None)]
#[case::unusable_then_usable(
    json!({"email": "a\u{7f}@x", "email_verified": true}), NONE,
    json!({"email": "c@x", "email_verified": true}), Some("c@x"))]
fn an_email_is_trusted_if_its_own_source_verified_it(
    #[case] id_token: Value,
    #[case] access_token: Value,
    #[case] userinfo: Value,
    #[case] expected: Option<&str>,
) {
    let user = identity(id_token, access_token, userinfo);
    assert_eq!(user.email(&ProfileClaims::standard(EmailTrust::WhenVerified)), expected);
}

#[rstest]
#[case::no_flag(json!({"email": "a@x"}), NONE, Some("a@x"))]
#[case::not_verified(json!({"email": "a@x", "email_verified": false}), NONE, Some("a@x"))]
#[case::later_source(json!({}), json!({"email": "c@x"}), Some("c@x"))]
#[case::unusable(json!({"email": "a\n@x"}), NONE, None)]
#[case::absent(json!({}), NONE, None)]
fn a_trusted_provider_needs_no_flag(#[case] id_token: Value, #[case] userinfo: Value, #[case] expected: Option<&str>) {
    let user = identity(id_token, NONE, userinfo);
    assert_eq!(user.email(&ProfileClaims::standard(EmailTrust::Always)), expected);
}

#[rstest]
#[case(254, true)]
#[case(255, false)]
fn an_email_is_bounded(#[case] length: usize, #[case] accepted: bool) {
    let email = format!("{}@x", "a".repeat(length - 2));
    let user = identity(json!({"email": email}), NONE, NONE);
    assert_eq!(user.email(&ProfileClaims::standard(EmailTrust::Always)).is_some(), accepted);
}

#[test]
fn the_user_name_comes_from_the_first_source_that_has_a_usable_one() {
    let user = identity(
        json!({"preferred_username": "bad\u{0}"}),
        json!({"preferred_username": "ada"}),
        json!({"preferred_username": "other"}),
    );
    assert_eq!(user.preferred_username(&ProfileClaims::standard(EmailTrust::WhenVerified)), Some("ada"));
    assert_eq!(identity(json!({}), NONE, NONE).preferred_username(&ProfileClaims::standard(EmailTrust::WhenVerified)), None);
}

fn mapped(email_trust: EmailTrust) -> ProfileClaims {
    let path = |text| ClaimPath::parse(text).unwrap();
    ProfileClaims { email: path("upn"), preferred_username: path("account.name"), email_trust }
}

#[rstest]
#[case::no_flag(json!({"upn": "a@x"}), None, Some("a@x"))]
#[case::flag(json!({"upn": "a@x", "email_verified": true}), Some("a@x"), Some("a@x"))]
#[case::flag_about_the_same(json!({"upn": "a@x", "email": "a@x", "email_verified": true}), Some("a@x"), Some("a@x"))]
#[case::flag_about_another(json!({"upn": "a@x", "email": "b@x", "email_verified": true}), None, Some("a@x"))]
#[case::only_the_standard_claim(json!({"email": "b@x", "email_verified": true}), None, None)]
fn an_email_of_another_claim_is_not_verified_by_a_flag_about_a_different_one(
    #[case] id_token: Value,
    #[case] verified: Option<&str>,
    #[case] trusted: Option<&str>,
) {
    let user = identity(id_token, NONE, NONE);
    assert_eq!(user.email(&mapped(EmailTrust::WhenVerified)), verified);
    assert_eq!(user.email(&mapped(EmailTrust::Always)), trusted);
}

#[test]
fn the_user_name_can_be_in_a_nested_claim() {
    let user = identity(json!({"preferred_username": "other"}), NONE, json!({"account": {"name": "ada"}}));
    assert_eq!(user.preferred_username(&mapped(EmailTrust::Always)), Some("ada"));
}

#[rstest]
#[case::list(json!({"email": ["a@x"]}), "email of the userinfo is a list")]
#[case::number(json!({"preferred_username": 7}), "preferred_username of the userinfo is a number")]
#[case::empty(json!({"email": ""}), "email of the userinfo is an empty string")]
#[case::blank(json!({"email": "a@x "}), "email of the userinfo is a string with a blank at its beginning or end")]
#[case::flag(json!({"email_verified": "yes"}), "email_verified of the userinfo is a string")]
#[case::null(json!({"email": null, "email_verified": null}), "")]
#[case::fit(json!({"email": "a@x", "email_verified": "FALSE", "preferred_username": "ada"}), "")]
fn unfit_claims_are_named_without_their_values(#[case] userinfo: Value, #[case] expected: &str) {
    let unfit = identity(json!({}), NONE, userinfo).unfit_claims(&ProfileClaims::standard(EmailTrust::WhenVerified));
    assert_eq!(unfit.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "), expected);
}
