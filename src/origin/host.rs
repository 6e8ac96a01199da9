//! Parses the hosts of requests, and compares them with the hosts that a gateway or the configuration names.

use std::borrow::Cow;
use std::net::Ipv6Addr;

const MAX_HOST_LENGTH: usize = 255;
const MAX_PORT_LENGTH: usize = 5;

/// Host and port as a request names them. The port is not validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// Without the final dot of an absolute name, in the client's letter case. An IPv6 address keeps its brackets.
    pub host: &'a str,
    pub port: Option<&'a str>,
}

/// The reason why a text is not a host with an optional port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    #[error("the host is invalid")]
    Host,
    #[error("the port is not a number up to 65535")]
    Port,
}

/// The host that a gateway names in the check's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedHost<'a>(Cow<'a, str>);

/// The hosts that this service protects: those of `public_url` and of `origins`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedHosts(Vec<String>);

impl<'a> Authority<'a> {
    /// Takes the longest host and then the longest port from the beginning of a text. Returns the rest too.
    pub fn split(text: &'a str) -> Result<(Self, &'a str), AuthorityError> {
        let (host, after_host) = text.split_at(host_length(text)?);
        let host = host.strip_suffix('.').unwrap_or(host);
        let Some(after_colon) = after_host.strip_prefix(':') else {
            return Ok((Self { host, port: None }, after_host));
        };
        let (port, rest) = after_colon.split_at(prefix_length(after_colon, |byte| byte.is_ascii_digit()));
        Ok((Self { host, port: Some(port) }, rest))
    }

    pub fn require_port(&self) -> Result<(), AuthorityError> {
        let is_valid = self.port.is_none_or(|digits| digits.len() <= MAX_PORT_LENGTH && digits.parse::<u16>().is_ok());
        if is_valid { Ok(()) } else { Err(AuthorityError::Port) }
    }

    /// Parses a text that is nothing but a host and an optional port.
    pub fn parse(text: &'a str) -> Result<Self, AuthorityError> {
        match Self::split(text)? {
            (authority, "") => authority.require_port().map(|()| authority),
            (Self { port: None, .. }, _) => Err(AuthorityError::Host),
            (Self { port: Some(_), .. }, _) => Err(AuthorityError::Port),
        }
    }
}

impl<'a> NamedHost<'a> {
    /// Accepts a port, which is ignored.
    pub fn parse(text: Cow<'a, str>) -> Result<Self, AuthorityError> {
        Ok(Self(match text {
            Cow::Borrowed(text) => Cow::Borrowed(Authority::parse(text)?.host),
            Cow::Owned(text) => Cow::Owned(Authority::parse(&text)?.host.to_owned()),
        }))
    }

    /// `host` is that of a request, without port and final dot.
    pub fn matches(&self, host: &str) -> bool {
        is_same_host(&self.0, host)
    }
}

impl ProtectedHosts {
    pub fn new(hosts: impl IntoIterator<Item = String>) -> Self {
        Self(hosts.into_iter().collect())
    }

    pub fn contains(&self, host: &str) -> bool {
        self.0.iter().any(|protected| is_same_host(protected, host))
    }
}

/// Compares letters without their case, and nothing else. Another spelling of an IP address is another host, as it is for
/// the host patterns of access rules.
pub(super) fn is_same_host(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn host_length(text: &str) -> Result<usize, AuthorityError> {
    let length = match text.strip_prefix('[') {
        Some(literal) => {
            let address = literal.find(']').ok_or(AuthorityError::Host)?;
            let is_address = literal[..address].parse::<Ipv6Addr>().is_ok();
            is_address.then_some(address + 2)
        }
        None => {
            let length = prefix_length(text, is_host_byte);
            let name = &text[..length];
            let mut labels = name.strip_suffix('.').unwrap_or(name).split('.');
            labels.all(|label| !label.is_empty()).then_some(length)
        }
    };
    length.filter(|length| *length <= MAX_HOST_LENGTH).ok_or(AuthorityError::Host)
}

/// Underscores are not valid in DNS host names, but nginx serves them and Kubernetes services use them.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

fn prefix_length(text: &str, is_part: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| is_part(*byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("llm.example.com", "llm.example.com", true)]
    #[case("llm.example.com", "LLM.Example.COM", true)]
    #[case("LLM.example.com.:8443", "llm.example.com", true)]
    #[case("llm.example.com:443", "llm.example.com", true)]
    #[case("a_b", "A_B", true)]
    #[case("[2001:DB8::1]:443", "[2001:db8::1]", true)]
    #[case("127.0.0.1", "127.0.0.1", true)]
    #[case("llm.example.com", "docs.example.com", false)]
    #[case("llm.example.com", "example.com", false)]
    #[case("example.com", "llm.example.com", false)]
    #[case("llm.example.com", "llm-example.com", false)]
    #[case("127.0.0.1", "localhost", false)]
    #[case("127.0.0.1", "127.0.0.01", false)]
    #[case("[::1]", "[0:0:0:0:0:0:0:1]", false)]
    #[case("[::ffff:127.0.0.1]", "127.0.0.1", false)]
    fn hosts_are_compared_without_port_case_and_final_dot(#[case] named: &str, #[case] host: &str, #[case] same: bool) {
        for named in [Cow::Borrowed(named), Cow::Owned(named.to_owned())] {
            assert_eq!(NamedHost::parse(named).unwrap().matches(host), same);
        }
    }

    #[rstest]
    #[case("", AuthorityError::Host)]
    #[case(".", AuthorityError::Host)]
    #[case("a..", AuthorityError::Host)]
    #[case("a..b", AuthorityError::Host)]
    #[case(".a", AuthorityError::Host)]
    #[case("*.example.com", AuthorityError::Host)]
    #[case("~^llm", AuthorityError::Host)]
    #[case("$host", AuthorityError::Host)]
    #[case("a b", AuthorityError::Host)]
    #[case(" a", AuthorityError::Host)]
    #[case("a,b", AuthorityError::Host)]
    #[case("a/", AuthorityError::Host)]
    #[case("a?b", AuthorityError::Host)]
    #[case("a#b", AuthorityError::Host)]
    #[case("a@b", AuthorityError::Host)]
    #[case("user@llm.example.com", AuthorityError::Host)]
    #[case("http://llm.example.com", AuthorityError::Port)]
    #[case("b\u{fc}ro.example", AuthorityError::Host)]
    #[case("a\0", AuthorityError::Host)]
    #[case("::1", AuthorityError::Host)]
    #[case("[::1", AuthorityError::Host)]
    #[case("[::1].", AuthorityError::Host)]
    #[case("[1.2.3.4]", AuthorityError::Host)]
    #[case("[fe80::1%eth0]", AuthorityError::Host)]
    #[case("a:", AuthorityError::Port)]
    #[case("a:x", AuthorityError::Port)]
    #[case("a:65536", AuthorityError::Port)]
    #[case("a:80:80", AuthorityError::Port)]
    #[case("a:80@b", AuthorityError::Port)]
    fn a_malformed_host_is_refused(#[case] text: &str, #[case] expected: AuthorityError) {
        assert_eq!(NamedHost::parse(text.into()), Err(expected));
    }

    #[test]
    fn the_length_of_a_host_is_limited() {
        assert!(Authority::parse(&"a".repeat(MAX_HOST_LENGTH)).is_ok());
        assert_eq!(Authority::parse(&"a".repeat(MAX_HOST_LENGTH + 1)), Err(AuthorityError::Host));
    }

    #[test]
    fn a_host_is_protected_only_if_it_is_listed() {
        let hosts = ProtectedHosts::new(["llm.example.com".to_owned(), "chat.example.com".to_owned()]);
        assert!(["llm.example.com", "CHAT.example.com"].iter().all(|host| hosts.contains(host)));
        assert!(!["", "example.com", "llm.example.com.evil.example", "xllm.example.com"].iter().any(|host| hosts.contains(host)));
        assert!(!ProtectedHosts::new([]).contains("localhost"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = NamedHost::parse(text.into());
        }

        /// Every host that nginx accepts and normalizes is the same host here.
        #[test]
        fn case_port_and_final_dot_never_change_the_host(
            name in "[a-z0-9_-]{1,9}(\\.[a-z0-9_-]{1,9}){0,3}", dot in "\\.?", port in "(:[0-9]{1,4})?",
        ) {
            let spelled = format!("{}{dot}{port}", name.to_uppercase());
            prop_assert!(NamedHost::parse(spelled.as_str().into()).unwrap().matches(&name));
            let other = format!("x{name}");
            prop_assert!(!NamedHost::parse(spelled.into()).unwrap().matches(&other));
        }
    }
}
