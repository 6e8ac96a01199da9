//! Parses durations in LiteLLM's format: `30s`, `30m`, `30h`, `30d`, `2w`, `1mo`.

use std::time::Duration;

use jiff::{Span, Timestamp, tz::TimeZone};

/// A duration in one unit. A month is a calendar month, which ends on the same day of the next month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyDuration {
    Seconds(u32),
    Months(u16),
}

/// The message describes the format and does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a duration is a whole number and a unit, such as 30s, 30m, 30h, 30d, 2w or 1mo")]
pub struct KeyDurationError;

const UNITS: [(&str, u32); 5] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];

/// The maximum length of a duration in bytes.
const MAX_BYTES: usize = 12;

impl KeyDuration {
    pub fn parse(text: &str) -> Result<Self, KeyDurationError> {
        let end = text.find(|c: char| !c.is_ascii_digit()).ok_or(KeyDurationError)?;
        let (digits, unit) = text.split_at(end);
        if digits.is_empty() || text.len() > MAX_BYTES {
            return Err(KeyDurationError);
        }
        if unit == "mo" {
            return digits.parse().map(Self::Months).map_err(|_| KeyDurationError);
        }
        let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or(KeyDurationError)?;
        let seconds = digits.parse::<u32>().ok().and_then(|count| count.checked_mul(seconds));
        seconds.map(Self::Seconds).ok_or(KeyDurationError)
    }

    /// Rounds down to whole seconds.
    pub fn of(duration: Duration) -> Self {
        Self::Seconds(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX))
    }

    /// `None` for months, which have no fixed length.
    pub fn as_duration(self) -> Option<Duration> {
        match self {
            Self::Seconds(seconds) => Some(Duration::from_secs(seconds.into())),
            Self::Months(_) => None,
        }
    }

    /// Returns the time this long after `start`, or `None` if it is out of range.
    pub fn after(self, start: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Seconds(seconds) => start.checked_add(Duration::from_secs(seconds.into())).ok(),
            Self::Months(months) => {
                let span = Span::new().try_months(i64::from(months)).ok()?;
                let end = start.to_zoned(TimeZone::UTC).checked_add(span).ok()?;
                Some(end.timestamp())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("30s", "2026-01-31T10:00:30Z")]
    #[case("30m", "2026-01-31T10:30:00Z")]
    #[case("30h", "2026-02-01T16:00:00Z")]
    #[case("30d", "2026-03-02T10:00:00Z")]
    #[case("2w", "2026-02-14T10:00:00Z")]
    #[case("1mo", "2026-02-28T10:00:00Z")]
    #[case("12mo", "2027-01-31T10:00:00Z")]
    #[case("0s", "2026-01-31T10:00:00Z")]
    fn durations_in_the_format_of_litellm_are_parsed(#[case] text: &str, #[case] end: &str) {
        let start: Timestamp = "2026-01-31T10:00:00Z".parse().unwrap();
        assert_eq!(KeyDuration::parse(text).unwrap().after(start), Some(end.parse().unwrap()));
    }

    #[rstest]
    #[case("")]
    #[case("30")]
    #[case("d")]
    #[case("30 d")]
    #[case("30D")]
    #[case("-1d")]
    #[case("+1d")]
    #[case("1.5h")]
    #[case("1h30m")]
    #[case("30days")]
    #[case("1y")]
    #[case("99999999999s")]
    #[case("9999999w")]
    #[case("99999mo")]
    #[case("0000000000001s")]
    #[case("١d")]
    fn any_other_text_is_refused(#[case] text: &str) {
        assert_eq!(KeyDuration::parse(text), Err(KeyDurationError));
    }

    #[test]
    fn an_end_out_of_range_is_none() {
        assert_eq!(KeyDuration::Months(u16::MAX).after(Timestamp::MAX), None);
        assert_eq!(KeyDuration::Seconds(u32::MAX).after(Timestamp::MAX), None);
    }
}
