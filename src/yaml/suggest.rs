//! Suggests known field names for a misspelled one.

/// Returns the text of the mistake for an unknown field.
pub fn describe_unknown_field(key: &str, known: &[&str]) -> String {
    match find_nearest(key, known) {
        Some(name) => format!("is unknown; did you mean `{name}`?"),
        None => format!("is unknown; remove it. Known fields: {}", known.join(", ")),
    }
}

/// Returns the known name with the smallest edit distance, if the distance is at most a third of its length.
fn find_nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let key = key.to_lowercase().replace('-', "_");
    let with_distance = |name: &&'k str| (distance(&key, name), *name);
    let (distance, name) = known.iter().map(with_distance).min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.len() / 3).max(1)).then_some(name)
}

/// The edit distance: the number of insertions, deletions, replacements and swaps of neighbors between two words.
fn distance(a: &str, b: &str) -> usize {
    const MAX_CHARS: usize = 64;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(MAX_CHARS).collect(), b.chars().collect());
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
    fn edits_are_counted() {
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
    fn the_most_similar_field_is_suggested() {
        let known = ["issuer", "client_id", "client_secret", "client_secret_file"];
        assert_eq!(describe_unknown_field("isuer", &known), "is unknown; did you mean `issuer`?");
        assert_eq!(describe_unknown_field("client-id", &known), "is unknown; did you mean `client_id`?");
        assert_eq!(describe_unknown_field("clientSecret", &known), "is unknown; did you mean `client_secret`?");
        assert_eq!(
            describe_unknown_field("colour", &known),
            "is unknown; remove it. Known fields: issuer, client_id, client_secret, client_secret_file"
        );
        assert!(describe_unknown_field(&"x".repeat(100_000), &known).starts_with("is unknown; remove it."));
    }
}
