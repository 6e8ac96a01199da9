//! An OAuth 2.0 provider without OpenID Connect: exchanges an authorization code for the claims of the userinfo endpoint.
//! The response is not signed. It is trusted because it comes over TLS from the configured URL.

use std::{sync::Arc, time::Duration};

use openidconnect::AuthType;
use url::Url;

use super::{
    AuthorizationRequest, ExchangeError, LoginFlow, VerifiedIdentity,
    claims::without_token_claims,
    http::HttpClientError,
    registration::{FlowEndpoints, Registration},
    settings::OAuth2Settings,
    token_response::Tokens,
    userinfo,
};
use crate::{
    clock::Clock,
    fetch::{FetchedValue, RefreshingValue},
    json::{Number, Value},
    principal::{ClaimPath, Claims, IdentityClaims},
    users::{Logout, RefreshToken},
};

/// The limit of OpenID Connect for `sub`, in bytes.
const LONGEST_SUBJECT: usize = 255;

pub(super) struct OAuth2Provider {
    pub(super) registration: Arc<Registration>,
    settings: OAuth2Settings,
    /// There is no metadata to fetch, so that only the time of the last answer counts.
    answers: RefreshingValue<()>,
}

impl OAuth2Provider {
    pub(super) fn new(registration: Arc<Registration>, settings: OAuth2Settings, clock: Arc<dyn Clock>) -> Self {
        Self { registration, settings, answers: RefreshingValue::new(Duration::MAX, clock) }
    }

    /// Requests the token endpoint after each interval, and when claims have to be renewed. Without a maximum age of claims,
    /// the result is not needed.
    pub(super) async fn keep_refreshing(&self, interval: Duration) {
        if self.registration.config.max_claims_age.is_none() {
            return;
        }
        let provider = self.registration.id();
        let failed = |error: HttpClientError, retry_in| tracing::warn!(provider, %error, ?retry_in, "provider not reachable");
        let probe = async || {
            let answer = self.registration.http.probe(&self.settings.token_endpoint).await;
            answer.map(|()| FetchedValue { value: (), fresh_for: None })
        };
        self.answers.refresh(interval, probe, failed).await;
    }

    /// True if the provider has answered within the last seconds, or answers now.
    pub(super) async fn is_reachable(&self) -> bool {
        self.answers.is_source_reachable().await
    }

    pub(super) fn authorization_url(&self, request: &AuthorizationRequest) -> Url {
        self.registration.authorization_url(self.endpoints(), request, &[])
    }

    /// Redeems the code and fetches the claims of the access token's user.
    pub(super) async fn redeem(
        &self,
        code: &str,
        flow: &LoginFlow,
        clock: &dyn Clock,
    ) -> Result<VerifiedIdentity, ExchangeError> {
        let tokens = self.registration.exchange(self.endpoints(), code, flow).await?;
        let identity = self.identity_of(&tokens).await?;
        // The protocol has no other time. The provider may have answered from its own session.
        let authenticated_at = (!flow.is_silent).then(|| clock.now());
        let refresh_token = tokens.refresh_token.map(|text| RefreshToken::of_login(text, None, clock.now()));
        let (sid, logout, access_token) = (None, Logout::default(), tokens.access_token);
        Ok(VerifiedIdentity { identity, sid, logout, authenticated_at, refresh_token, access_token })
    }

    /// Fetches the claims of the access token's user: at a login and at a refresh.
    pub(super) async fn identity_of(&self, tokens: &Tokens) -> Result<IdentityClaims, ExchangeError> {
        let (http, endpoint) = (&self.registration.http, &self.settings.userinfo_endpoint);
        let response = userinfo::fetch(http, endpoint, Some(tokens.bearer_token()?)).await?.json()?;
        let subject = subject(&response, &self.settings.subject_field)?;
        let claims = with_standard_names(response, &self.settings.email_field, &self.settings.preferred_username_field);
        Ok(IdentityClaims {
            provider: self.registration.id().to_owned(),
            issuer: self.registration.config.issuer().to_owned(),
            subject,
            userinfo: Some(without_token_claims(claims)),
            ..IdentityClaims::default()
        })
    }

    pub(super) fn endpoints(&self) -> FlowEndpoints<'_> {
        FlowEndpoints {
            authorization: &self.settings.authorization_endpoint,
            token: &self.settings.token_endpoint,
            // The method that every server must support (RFC 6749, section 2.3.1).
            auth_type: self.registration.auth_type(AuthType::BasicAuth),
        }
    }
}

/// Adds email and user name under their OpenID Connect names. If the configured field contains no text, the claim is absent
/// and no other field replaces it.
pub(super) fn with_standard_names(mut claims: Claims, email: &ClaimPath, preferred_username: &ClaimPath) -> Claims {
    let email = text(&claims, email);
    let preferred_username = text(&claims, preferred_username);
    // `email_verified` is about the response's own `email`, not about an address from another field.
    if claims.get("email").is_some_and(|own| !own.is_null() && Some(own) != email.as_ref()) {
        claims.remove("email_verified");
    }
    put(&mut claims, "email", email);
    put(&mut claims, "preferred_username", preferred_username);
    claims
}

/// Returns the subject of the response. An integer of at most 64 bits becomes its decimal text. Other numbers are refused,
/// since JSON parsers may round them to the number of another user.
pub(super) fn subject(response: &Claims, field: &ClaimPath) -> Result<String, ExchangeError> {
    let subject = match field.find(response) {
        None | Some(Value::Null) => Err("is missing".to_owned()),
        Some(Value::String(text)) => check_subject(text).map_err(str::to_owned),
        Some(Value::Number(number)) if has_64_bits(number) => Ok(number.to_string()),
        Some(Value::Number(_)) => Err("is a number that is not whole or has more than 64 bits".to_owned()),
        Some(other) => Err(format!("is {}, neither a string nor a whole number", other.type_name())),
    };
    subject.map_err(ExchangeError::Subject)
}

fn has_64_bits(number: &Number) -> bool {
    let text = number.as_str();
    text.parse::<u64>().is_ok() || text != "-0" && text.parse::<i64>().is_ok()
}

fn check_subject(subject: &str) -> Result<String, &'static str> {
    match subject {
        _ if subject.trim().is_empty() => Err("is empty"),
        _ if subject.len() > LONGEST_SUBJECT => Err("is longer than 255 bytes"),
        _ if subject.chars().any(char::is_control) => Err("has control characters"),
        _ => Ok(subject.to_owned()),
    }
}

fn text(claims: &Claims, field: &ClaimPath) -> Option<Value> {
    field.find(claims).filter(|value| value.is_string()).cloned()
}

fn put(claims: &mut Claims, name: &str, value: Option<Value>) {
    match value {
        Some(value) => claims.insert(name.to_owned(), value),
        None => claims.remove(name),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    use crate::json::object as claims;

    fn path(text: &str) -> ClaimPath {
        ClaimPath::parse(text).unwrap()
    }

    #[rstest]
    #[case::text(json!({"id": "u-1"}), "id", "u-1")]
    #[case::number(json!({"id": 583231}), "id", "583231")]
    #[case::largest(json!({"id": u64::MAX}), "id", "18446744073709551615")]
    #[case::nested(json!({"data": {"user": {"id": 7}}}), "data.user.id", "7")]
    #[case::longest(json!({"id": "x".repeat(255)}), "id", &"x".repeat(255))]
    fn a_subject_is_a_text_or_a_whole_number(#[case] answer: Value, #[case] field: &str, #[case] expected: &str) {
        assert_eq!(subject(&claims(answer), &path(field)).unwrap(), expected);
    }

    #[rstest]
    #[case::absent(json!({"sub": "u-1"}), "is missing")]
    #[case::null(json!({"id": null}), "is missing")]
    #[case::empty(json!({"id": ""}), "is empty")]
    #[case::blank(json!({"id": " \t"}), "is empty")]
    #[case::too_long(json!({"id": "x".repeat(256)}), "is longer than 255 bytes")]
    #[case::line_break(json!({"id": "a\nb"}), "has control characters")]
    #[case::boolean(json!({"id": true}), "is a boolean, neither a string nor a whole number")]
    #[case::list(json!({"id": ["u-1"]}), "is a list, neither a string nor a whole number")]
    #[case::object(json!({"id": {"id": 1}}), "is an object, neither a string nor a whole number")]
    #[case::fraction(json!({"id": 1.5}), "is a number that is not whole or has more than 64 bits")]
    fn other_subjects_are_refused(#[case] answer: Value, #[case] expected: &str) {
        let refused = subject(&claims(answer), &path("id")).unwrap_err();
        assert!(matches!(refused, ExchangeError::Subject(ref wrong) if wrong == expected), "{refused}");
    }

    #[test]
    fn numbers_that_json_parsers_round_are_refused() {
        let answer: Claims = serde_json::from_str(r#"{"id": 99999999999999999999}"#).unwrap();
        assert!(subject(&answer, &path("id")).is_err());
    }

    const NONE: Value = Value::Null;

    #[rstest]
    #[case::own_names(json!({"email": "a@x", "email_verified": true, "preferred_username": "ada"}), "email", "preferred_username",
        json!({"email": "a@x", "email_verified": true, "preferred_username": "ada"}))]
    #[case::other_names(json!({"mail": "a@x", "login": "ada"}), "mail", "login",
        json!({"mail": "a@x", "login": "ada", "email": "a@x", "preferred_username": "ada"}))]
    #[case::verified_by_another_name(json!({"mail": "a@x", "email_verified": true}), "mail", "login",
        json!({"mail": "a@x", "email_verified": true, "email": "a@x"}))]
    #[case::without_an_own_address(json!({"mail": "a@x", "email": NONE, "email_verified": true}), "mail", "login",
        json!({"mail": "a@x", "email_verified": true, "email": "a@x"}))]
    #[case::the_flag_of_another_address(json!({"mail": "a@x", "email": "b@x", "email_verified": true}), "mail", "login",
        json!({"mail": "a@x", "email": "a@x"}))]
    #[case::no_replacement(json!({"email": "b@x", "email_verified": true, "preferred_username": "bob"}), "mail", "login",
        json!({}))]
    #[case::no_text(json!({"email": NONE, "login": 7}), "email", "login", json!({"login": 7}))]
    fn email_and_user_name_get_their_standard_names(
        #[case] answer: Value,
        #[case] email: &str,
        #[case] name: &str,
        #[case] expected: Value,
    ) {
        assert_eq!(with_standard_names(claims(answer), &path(email), &path(name)), claims(expected));
    }
}
