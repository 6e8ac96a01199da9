//! The time of a user's authentication at the provider (`auth_time`; OpenID Connect Core, sections 2 and 3.1.2.1).
//!
//! A provider may answer a login from its own session, without asking the user. Only `auth_time` proves the
//! authentication, because the browser can remove parameters from the request.

use std::time::Duration;

use jiff::Timestamp;

use super::LEEWAY;
use crate::{
    clock::since,
    jwt::{self, JwtError},
    principal::Claims,
};

/// The `max_age` of a login that accepts any age. A provider that receives `max_age` must state `auth_time`.
const ANY_AGE: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A provider counts in whole seconds and before its answer travels. Without a margin it could answer from its session with a
/// time that is too long ago on arrival.
const MARGIN: Duration = Duration::from_secs(2);

/// The authentication that a login requires of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredAuthentication {
    /// The provider may answer from its own session, of any age.
    Any,
    /// The provider must answer from its own session, of any age, and asks the user nothing.
    Silent,
    /// The provider must have authenticated the user within this time.
    Within(Duration),
    /// Also asks the provider to authenticate the user again, for providers that ignore `max_age`.
    Again(Duration),
}

/// The reason for which the user did not authenticate as recently as the login requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthTimeError {
    #[error(transparent)]
    Claim(JwtError),
    #[error("auth_time lies in the future")]
    InFuture,
    #[error("auth_time is too long ago")]
    TooOld,
}

impl RequiredAuthentication {
    /// The maximum age of the authentication, if it is limited.
    pub fn max_age(self) -> Option<Duration> {
        match self {
            Self::Any | Self::Silent => None,
            Self::Within(max_age) | Self::Again(max_age) => Some(max_age),
        }
    }

    /// The parameters of the authorization request. The operator's parameters replace those of a login that requires nothing.
    pub(super) fn parameters(self, configured: &[(String, String)]) -> Vec<(&'static str, String)> {
        let is_configured = |name: &str| configured.iter().any(|(configured, _)| configured == name);
        let requested = self.max_age().map_or(ANY_AGE, |max_age| max_age.saturating_sub(MARGIN));
        let max_age = ("max_age", requested.as_secs().to_string());
        let sends_max_age = self.max_age().is_some() || !is_configured(max_age.0);
        let prompt = match self {
            Self::Any | Self::Within(_) => None,
            Self::Silent => Some("none"),
            Self::Again(_) => Some("login"),
        };
        let prompt = prompt.map(|prompt| ("prompt", prompt.to_owned()));
        sends_max_age.then_some(max_age).into_iter().chain(prompt).collect()
    }
}

impl AuthTimeError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Claim(JwtError::Missing(_)) => "authentication_time_missing",
            Self::Claim(_) => "authentication_time_invalid",
            Self::InFuture => "authentication_time_in_future",
            Self::TooOld => "authentication_not_recent",
        }
    }
}

/// Returns the time at which the provider authenticated the user; `None` if it does not state one.
///
/// With a maximum age, a time that is unusable or too long ago is an error. Without a maximum age it counts as absent, because a
/// claim that is not needed never fails a login.
pub(super) fn authentication_time(
    claims: &Claims,
    max_age: Option<Duration>,
    now: Timestamp,
) -> Result<Option<Timestamp>, AuthTimeError> {
    let stated = stated_time(claims, now);
    let Some(max_age) = max_age else { return Ok(stated.unwrap_or_default()) };
    match stated? {
        Some(at) if since(at, now) >= max_age => Err(AuthTimeError::TooOld),
        stated => Ok(stated),
    }
}

fn stated_time(claims: &Claims, now: Timestamp) -> Result<Option<Timestamp>, AuthTimeError> {
    let Some(seconds) = jwt::time(claims, "auth_time").map_err(AuthTimeError::Claim)? else { return Ok(None) };
    if seconds > now.as_second() as f64 + LEEWAY.as_secs_f64() {
        return Err(AuthTimeError::InFuture);
    }
    // A time that is out of range is too long ago for every limit.
    let at = Timestamp::from_second(seconds as i64).unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(Some(at.min(now)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        clock::{Clock, SystemClock},
        json::object,
    };

    const HOUR: Option<Duration> = Some(Duration::from_secs(3600));

    /// `auth_time` relative to now, in seconds.
    fn time(age: i64, max_age: Option<Duration>) -> Result<Option<i64>, AuthTimeError> {
        let now = SystemClock.now();
        let claims = json!({"auth_time": now.as_second() - age});
        let found = authentication_time(&object(claims), max_age, now)?;
        Ok(found.map(|at| now.as_second() - at.as_second()))
    }

    fn value(value: Value, max_age: Option<Duration>) -> Result<Option<Timestamp>, AuthTimeError> {
        authentication_time(&object(json!({"auth_time": value})), max_age, SystemClock.now())
    }

    #[rstest]
    #[case::now(0, Ok(Some(0)))]
    #[case::recent(3500, Ok(Some(3500)))]
    #[case::too_old(3601, Err(AuthTimeError::TooOld))]
    #[case::clock_ahead(-60, Ok(Some(0)))]
    #[case::future(-3600, Err(AuthTimeError::InFuture))]
    fn a_required_time_must_be_recent(#[case] age: i64, #[case] expected: Result<Option<i64>, AuthTimeError>) {
        assert_eq!(time(age, HOUR), expected);
    }

    #[rstest]
    #[case(7200, Some(7200))]
    #[case(-3600, None)]
    fn a_time_that_is_not_required_refuses_no_login(#[case] age: i64, #[case] expected: Option<i64>) {
        assert_eq!(time(age, None), Ok(expected));
    }

    #[rstest]
    #[case::text(json!("1700000000"))]
    #[case::list(json!([1]))]
    #[case::boolean(json!(true))]
    fn a_value_that_is_no_time_counts_only_if_one_is_required(#[case] wrong: Value) {
        assert_eq!(value(wrong.clone(), None), Ok(None));
        assert!(matches!(value(wrong, HOUR), Err(AuthTimeError::Claim(JwtError::WrongType { .. }))));
    }

    #[rstest]
    #[case::null(Value::Null, Ok(None))]
    #[case::long_ago(json!(-1e300), Err(AuthTimeError::TooOld))]
    #[case::far_future(json!(1e300), Err(AuthTimeError::InFuture))]
    #[case::zero(json!(0), Err(AuthTimeError::TooOld))]
    fn extreme_values_are_never_recent(#[case] extreme: Value, #[case] expected: Result<Option<Timestamp>, AuthTimeError>) {
        assert_eq!(value(extreme, HOUR), expected);
    }

    #[test]
    fn the_parameters_ask_for_the_time_and_only_if_required_for_another_authentication() {
        let (hour, own) = (Duration::from_secs(3600), [("max_age".to_owned(), "60".to_owned())]);
        let of = |required: RequiredAuthentication, configured: &[_]| -> Vec<String> {
            required.parameters(configured).into_iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        assert_eq!(of(RequiredAuthentication::Any, &[]), ["max_age=315360000"]);
        assert!(of(RequiredAuthentication::Any, &own).is_empty(), "the operator's");
        assert_eq!(of(RequiredAuthentication::Silent, &[]), ["max_age=315360000", "prompt=none"]);
        assert_eq!(of(RequiredAuthentication::Silent, &own), ["prompt=none"]);
        assert_eq!(of(RequiredAuthentication::Within(hour), &own), ["max_age=3598"]);
        assert_eq!(of(RequiredAuthentication::Again(hour), &[]), ["max_age=3598", "prompt=login"]);
    }
}
