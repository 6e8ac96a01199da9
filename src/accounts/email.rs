//! Addresses by which people are invited and sign in.

/// RFC 5321, section 4.5.3.1.3.
const LONGEST: usize = 254;

/// An address in the form by which it is found again: what people write in upper case and what in lower makes no difference.
/// `None` for what is none.
pub fn normal(text: &str) -> Option<String> {
    let email = text.trim().to_lowercase();
    let (name, domain) = email.rsplit_once('@')?;
    let fits = !name.is_empty() && !domain.is_empty() && email.len() <= LONGEST;
    let clean = !email.chars().any(|c| c.is_control() || c.is_whitespace() || c == ',');
    (fits && clean && !name.contains('@')).then_some(email)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_again_however_it_is_written() {
        for text in ["ada@example.com", " Ada@Example.COM\n"] {
            assert_eq!(normal(text).as_deref(), Some("ada@example.com"));
        }
        assert_eq!(normal("admin@localhost").as_deref(), Some("admin@localhost"));
        assert_eq!(normal("ädä@exämple.com").as_deref(), Some("ädä@exämple.com"));
        let long = format!("{}@x", "a".repeat(LONGEST));
        for text in ["", "ada", "@x", "ada@", "a@b@c", "a b@x", "a,b@x", "a\u{7}@x", &long] {
            assert_eq!(normal(text), None, "{text}");
        }
    }
}
