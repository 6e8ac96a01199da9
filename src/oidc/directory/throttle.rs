//! Throttling by directories: the pauses that they ask for, and the requests that are held back until then.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use jiff::{Timestamp, fmt::rfc2822};
use openidconnect::{
    HttpResponse,
    http::{HeaderName, header::RETRY_AFTER},
};

use crate::{clock::since, json::Value, secret::Digest};

/// The pause for an answer that states none.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);

/// A directory cannot hold requests back for longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The limits of GitHub. Their answers have status 403 or 429.
const RATE_LIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Returns the pause before the next request; `None` if the answer is no throttling.
pub(super) fn pause(response: &HttpResponse, now: Timestamp) -> Option<Duration> {
    let is_throttled = match response.status().as_u16() {
        429 | 503 => true,
        403 => header(response, &RETRY_AFTER).is_some() || has_exhausted_limit(response) || has_exceeded_quota(response),
        _ => false,
    };
    is_throttled.then(|| retry_after(response, now).or_else(|| until_reset(response, now)).unwrap_or(DEFAULT_PAUSE))
}

fn has_exhausted_limit(response: &HttpResponse) -> bool {
    header(response, &RATE_LIMIT_REMAINING).is_some_and(|remaining| remaining.trim() == "0")
}

/// Google answers 403 with `rateLimitExceeded`, `userRateLimitExceeded` or `quotaExceeded`.
fn has_exceeded_quota(response: &HttpResponse) -> bool {
    let Ok(answer) = serde_json::from_slice::<Value>(response.body()) else { return false };
    let errors = answer.get("error").and_then(|error| error.get("errors")).and_then(Value::as_array).unwrap_or_default();
    let mut reasons = errors.iter().filter_map(|error| error.get("reason")?.as_str());
    reasons.any(|reason| reason.ends_with("ateLimitExceeded") || reason == "quotaExceeded")
}

/// Reads `Retry-After`: seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(response: &HttpResponse, now: Timestamp) -> Option<Duration> {
    let text = header(response, &RETRY_AFTER)?.trim();
    match seconds(text) {
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None => Some(since(now, rfc2822::parse(text).ok()?.timestamp())),
    }
}

fn until_reset(response: &HttpResponse, now: Timestamp) -> Option<Duration> {
    let reset = i64::try_from(seconds(header(response, &RATE_LIMIT_RESET)?.trim())?).ok()?;
    has_exhausted_limit(response).then(|| Some(since(now, Timestamp::from_second(reset).ok()?)))?
}

/// A number that is too large counts as the largest.
fn seconds(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

fn header<'r>(response: &'r HttpResponse, name: &HeaderName) -> Option<&'r str> {
    response.headers().get(name)?.to_str().ok()
}

/// The pauses of look-ups on this pod, by the holder of the token.
#[derive(Default)]
pub(super) struct ThrottlePauses(Mutex<HashMap<Digest, Instant>>);

impl ThrottlePauses {
    /// Returns the time for which look-ups of the holder are still held back.
    pub fn remaining(&self, holder: &Digest, now: Instant) -> Option<Duration> {
        let until = self.lock().get(holder).copied()?;
        Some(until.saturating_duration_since(now)).filter(|remaining| !remaining.is_zero())
    }

    pub fn pause(&self, holder: Digest, duration: Duration, now: Instant) {
        let mut pauses = self.lock();
        pauses.retain(|_, until| *until > now);
        pauses.insert(holder, now + duration.min(LONGEST_PAUSE));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Instant>> {
        self.0.lock().expect("no code that holds this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use openidconnect::http::Response;
    use rstest::rstest;

    use super::*;
    use crate::clock::{Clock, SystemClock};

    const NOW: i64 = 1_800_000_000;

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> HttpResponse {
        let response = Response::builder().status(status);
        let response = headers.iter().fold(response, |response, (name, value)| response.header(*name, *value));
        response.body(body.as_bytes().to_vec()).unwrap()
    }

    const RESET: &[(&str, &str)] = &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800000090")];
    const QUOTA: &str = r#"{"error": {"code": 403, "errors": [{"domain": "usageLimits", "reason": "userRateLimitExceeded"}]}}"#;
    const FORBIDDEN: &str = r#"{"error": {"code": 403, "errors": [{"domain": "global", "reason": "forbidden"}]}}"#;

    #[rstest]
    #[case::ok(200, &[("retry-after", "5")], "", None)]
    #[case::seconds(429, &[("retry-after", " 17 ")], "", Some(17))]
    #[case::unavailable(503, &[("retry-after", "0")], "", Some(0))]
    #[case::huge(429, &[("retry-after", "99999999999999999999")], "", Some(u64::MAX))]
    #[case::date(429, &[("retry-after", "Fri, 15 Jan 2027 08:00:30 GMT")], "", Some(30))]
    #[case::past_date(429, &[("retry-after", "Fri, 15 Jan 2021 08:00:30 GMT")], "", Some(0))]
    #[case::unreadable(429, &[("retry-after", "soon")], "", Some(1))]
    #[case::negative(429, &[("retry-after", "-5")], "", Some(1))]
    #[case::none(503, &[], "", Some(1))]
    #[case::secondary_limit(403, &[("retry-after", "60")], "", Some(60))]
    #[case::primary_limit(403, RESET, "", Some(90))]
    #[case::primary_limit_as_429(429, RESET, "", Some(90))]
    #[case::quota(403, &[], QUOTA, Some(1))]
    #[case::forbidden(403, &[("x-ratelimit-remaining", "12")], FORBIDDEN, None)]
    #[case::unauthorized(401, &[("retry-after", "5")], "", None)]
    #[case::server_error(500, &[("retry-after", "5")], "", None)]
    fn a_pause_is_read(#[case] status: u16, #[case] headers: &[(&str, &str)], #[case] body: &str, #[case] expected: Option<u64>) {
        assert_eq!(pause(&answer(status, headers, body), now()), expected.map(Duration::from_secs));
    }

    #[test]
    fn look_ups_are_held_back_by_holder_for_a_limited_time() {
        let (pauses, now) = (ThrottlePauses::default(), SystemClock.monotonic());
        let (alice, bob) = (Digest::of(b"alice"), Digest::of(b"bob"));
        pauses.pause(alice, Duration::MAX, now);
        assert_eq!((pauses.remaining(&alice, now), pauses.remaining(&bob, now)), (Some(LONGEST_PAUSE), None));
        assert_eq!(pauses.remaining(&alice, now + LONGEST_PAUSE), None);
        pauses.pause(bob, DEFAULT_PAUSE, now + LONGEST_PAUSE);
        assert_eq!(pauses.lock().len(), 1, "pauses that have ended are forgotten");
    }
}
