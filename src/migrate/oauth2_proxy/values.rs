//! Converts single values between the notations of oauth2-proxy and Vestibule.

/// Parses a duration of Go, such as `168h0m0s`, to whole seconds.
pub fn seconds(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let (mut rest, mut total) = (text, 0_f64);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|end| *end > 0)?;
        let amount: f64 = rest[..end].parse().ok()?;
        let units = [("ms", 0.001), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];
        let (unit, factor) = units.into_iter().find(|(unit, _)| rest[end..].starts_with(unit))?;
        total += amount * factor;
        rest = &rest[end + unit.len()..];
    }
    // Ten years are longer than every limit.
    (!text.is_empty() && total < 315_360_000.0).then_some(total as u64)
}

/// Writes a duration in the largest unit that represents it.
pub fn duration(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3600), ("m", 60)];
    let unit = units.into_iter().find(|(_, factor)| seconds > 0 && seconds.is_multiple_of(*factor));
    unit.map_or(format!("{seconds}s"), |(unit, factor)| format!("{}{unit}", seconds / factor))
}

/// Escapes a text that a pattern must match literally.
pub fn literal_pattern(text: &str) -> String {
    text.chars().flat_map(|c| if matches!(c, '*' | '?' | '\\') { vec!['\\', c] } else { vec![c] }).collect()
}

/// Writes the name of a claim as a path. A URL is one name; other names are paths already.
pub fn claim_path(name: &str) -> String {
    if !name.contains("://") {
        return name.to_owned();
    }
    claim_step(name)
}

/// Escapes a name that is one step of a path.
pub fn claim_step(name: &str) -> String {
    name.chars()
        .flat_map(|c| if matches!(c, '.' | '[' | ']' | '\\' | '*' | '{' | '}') { vec!['\\', c] } else { vec![c] })
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("168h0m0s", Some(604_800), "7d")]
    #[case("1h30m", Some(5400), "90m")]
    #[case("1.5h", Some(5400), "90m")]
    #[case("45s", Some(45), "45s")]
    #[case("0", Some(0), "0s")]
    #[case("", None, "")]
    #[case("1x", None, "")]
    #[case("-1h", None, "")]
    #[case("999999999h", None, "")]
    fn durations_are_converted(#[case] text: &str, #[case] expected: Option<u64>, #[case] written: &str) {
        assert_eq!(seconds(text), expected);
        assert_eq!(expected.map(duration).unwrap_or_default(), written);
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(literal_pattern(r"a*b?c\d"), r"a\*b\?c\\d");
        assert_eq!(claim_path("https://example.com/roles"), r"https://example\.com/roles");
        assert_eq!(claim_path("resource_access.app.roles"), "resource_access.app.roles");
    }
}
