//! Suggests the known field that was probably meant by an unknown one.

/// The text of an unknown field's mistake.
pub fn unknown_field(key: &str, known: &[&str]) -> String {
    match nearest(key, known) {
        Some(name) => format!("is unknown; did you mean `{name}`?"),
        None => format!("is unknown; take it out. Known here: {}", known.join(", ")),
    }
}

/// The known name with the fewest slips, if a third of its letters or less are wrong.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let key = key.to_lowercase().replace('-', "_");
    let slips = |name: &&'k str| (distance(&key, name), *name);
    let (distance, name) = known.iter().map(slips).min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.len() / 3).max(1)).then_some(name)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 64;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(LONGEST).collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (a, b, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("issuer", "isuer", 1),
            ("issuer", "isseur", 1),
            ("ab", "ba", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn the_probable_field_is_named() {
        let known = ["issuer", "client_id", "client_secret", "client_secret_file"];
        assert_eq!(unknown_field("isuer", &known), "is unknown; did you mean `issuer`?");
        assert_eq!(unknown_field("client-id", &known), "is unknown; did you mean `client_id`?");
        assert_eq!(unknown_field("clientSecret", &known), "is unknown; did you mean `client_secret`?");
        assert_eq!(
            unknown_field("colour", &known),
            "is unknown; take it out. Known here: issuer, client_id, client_secret, client_secret_file"
        );
        assert!(unknown_field(&"x".repeat(100_000), &known).starts_with("is unknown; take it out."));
    }
}
