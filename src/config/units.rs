//! Parses durations and sizes such as `10m`, `1h30m` and `64KiB`.

use std::time::Duration;

use crate::yaml::shown;

const DURATION_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZE_UNITS: [(&str, u64); 5] = [("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Parses `300ms`, `10s`, `10m`, `12h`, `7d`, and sums from the largest unit to the smallest, such as `1h30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("needs a unit, such as {text}s, {text}m or {text}h"));
    }
    milliseconds(text)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("must be a duration such as 300ms, 10s, 10m, 12h, 7d or 1h30m, not {}", shown(text)))
}

/// Parses `64KiB`, `1MiB`, and numbers without a unit, which are bytes.
pub fn size(text: &str) -> Result<usize, String> {
    let (digits, unit) = number(text).ok_or_else(|| not_a_size(text))?;
    let factor = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| not_a_size(text))?.1;
    let bytes = digits.checked_mul(factor).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| not_a_size(text))
}

fn milliseconds(text: &str) -> Option<u64> {
    let (mut rest, mut total, mut last) = (text, 0_u64, u64::MAX);
    while !rest.is_empty() {
        let (count, after) = number(rest)?;
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let factor = DURATION_UNITS.iter().find(|(name, _)| *name == &after[..letters])?.1;
        if factor >= last {
            return None;
        }
        total = total.checked_add(count.checked_mul(factor)?)?;
        (rest, last) = (&after[letters..], factor);
    }
    (last != u64::MAX).then_some(total)
}

/// Splits the text into the number that it begins with and the rest.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

fn not_a_size(text: &str) -> String {
    format!("must be a size such as 512, 64KiB or 1MiB (units of 1024 bytes), not {}", shown(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("300ms", 300)]
    #[case("0s", 0)]
    #[case("10s", 10_000)]
    #[case("10m", 600_000)]
    #[case("12h", 43_200_000)]
    #[case("7d", 604_800_000)]
    #[case("1h30m", 5_400_000)]
    #[case("1d2h3m4s5ms", 93_784_005)]
    #[case("1m30s", 90_000)]
    fn durations_are_parsed(#[case] text: &str, #[case] expected: u64) {
        assert_eq!(duration(text), Ok(Duration::from_millis(expected)));
    }

    #[rstest]
    #[case("")]
    #[case("s")]
    #[case("10 s")]
    #[case("10S")]
    #[case("1.5h")]
    #[case("-1s")]
    #[case("+1s")]
    #[case("1h1h")]
    #[case("30m1h")]
    #[case("10s5")]
    #[case("10sec")]
    #[case("1y")]
    #[case("99999999999999999999s")]
    #[case("18446744073709551615d")]
    #[case("1ü")]
    #[case("١s")]
    fn invalid_durations_are_refused(#[case] text: &str) {
        assert!(duration(text).unwrap_err().starts_with("must be a duration such as"));
    }

    #[test]
    fn a_number_without_a_unit_is_refused() {
        assert_eq!(duration("10").unwrap_err(), "needs a unit, such as 10s, 10m or 10h");
    }

    #[rstest]
    #[case("0", 0)]
    #[case("512", 512)]
    #[case("512B", 512)]
    #[case("64KiB", 65_536)]
    #[case("1MiB", 1_048_576)]
    #[case("2GiB", 2_147_483_648)]
    fn sizes_are_parsed(#[case] text: &str, #[case] expected: usize) {
        assert_eq!(size(text), Ok(expected));
    }

    #[rstest]
    #[case("")]
    #[case("KiB")]
    #[case("64KB")]
    #[case("64K")]
    #[case("64kib")]
    #[case("64 KiB")]
    #[case("1.5MiB")]
    #[case("-1")]
    #[case("99999999999GiB")]
    fn invalid_sizes_are_refused(#[case] text: &str) {
        assert!(size(text).unwrap_err().starts_with("must be a size such as"));
    }

    proptest::proptest! {
        #[test]
        fn no_input_panics(text in ".{0,40}") {
            let _ = (duration(&text), size(&text));
        }

        #[test]
        fn a_formatted_duration_is_parsed_to_the_same_value(d in 0u64..400, h in 0u64..24, ms in 0u64..1000) {
            let expected = Duration::from_millis(d * 86_400_000 + h * 3_600_000 + ms);
            proptest::prop_assert_eq!(duration(&format!("{d}d{h}h{ms}ms")), Ok(expected));
        }
    }
}
