//! Normalizes email addresses, so that the spellings of an address are one.

use url::Host;

/// RFC 5321, section 4.5.3.1.3.
const LONGEST: usize = 254;

/// Returns the normal form of an address: in lower case, with an ASCII domain. `None` if it is not an address that a browser's
/// form accepts (HTML, `input type=email`), since the user must be able to type it.
pub fn normal(text: &str) -> Option<String> {
    let (name, domain) = text.trim().rsplit_once('@')?;
    let name = name.to_ascii_lowercase();
    let is_sent = |c: char| c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
    if name.is_empty() || !name.chars().all(is_sent) {
        return None;
    }
    // An IP address such as `user@[192.0.2.1]` is refused.
    let Host::Domain(domain) = Host::parse(domain).ok()? else { return None };
    let is_label =
        |label: &str| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-') && !label.contains('_');
    let email = format!("{name}@{domain}");
    (domain.split('.').all(is_label) && domain.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)))
        .then_some(email)
        .filter(|email| email.len() <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_an_address_have_one_normal_form() {
        for text in ["ada@example.com", " Ada@Example.COM\n"] {
            assert_eq!(normal(text).as_deref(), Some("ada@example.com"));
        }
        for text in ["bob@exämple.com", "bob@EXÄMPLE.com", "bob@xn--exmple-cua.com"] {
            assert_eq!(normal(text).as_deref(), Some("bob@xn--exmple-cua.com"));
        }
        for same in ["admin@localhost", "o'brien+llm@mail.example", "a{b}@x-y.example"] {
            assert_eq!(normal(same).as_deref(), Some(same));
        }
    }

    #[test]
    fn addresses_that_a_form_refuses_are_none() {
        let long = format!("{}@x", "a".repeat(LONGEST));
        let odd = ["ädä@example.com", "a\u{200b}@example.com", "ad\u{202e}a@example.com", "a\u{7}@x", "<script>@x", "\"a b\"@x"];
        let broken = [
            "",
            "ada",
            "@x",
            "ada@",
            "a@b@c",
            "a b@x",
            "a,b@x",
            "a@[192.0.2.1]",
            "a@192.0.2.1",
            "a@x..y",
            "a@-x",
            "a@x_y",
            &long,
        ];
        for text in odd.into_iter().chain(broken) {
            assert_eq!(normal(text), None, "{text}");
        }
    }
}
