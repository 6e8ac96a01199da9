//! Encodes identity headers for upstreams that read ASCII only or decode percent-encoding.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{IdentityHeaders, Team};

/// The encoding of the values of identity headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderEncoding {
    /// As they are, in UTF-8.
    #[default]
    Utf8,
    /// Bytes outside visible ASCII, percent signs, and commas within a team are percent-encoded.
    Percent,
}

/// nginx accepts 4 KiB of response headers by default and answers 500 beyond. The other identity headers and a cookie need
/// up to a third of it.
pub const MAX_TEAMS_BYTES: usize = 2560;

const VALUE: &AsciiSet = &CONTROLS.add(b' ').add(b'%');
const TEAM: &AsciiSet = &VALUE.add(b',');

impl HeaderEncoding {
    pub const ALL: [Self; 2] = [Self::Utf8, Self::Percent];

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.as_str() == name)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Percent => "percent",
        }
    }
}

impl IdentityHeaders {
    /// Percent-encodes the headers of a principal with these teams. Teams are left out if the headers would be longer than they
    /// can be without encoding.
    pub fn percent_encoded(&self, teams: &[Team]) -> Self {
        let encode = |value: &String| Cow::from(utf8_percent_encode(value, VALUE)).into_owned();
        let [user, email, preferred_username, role, key] =
            [&self.user, &self.email, &self.preferred_username, &self.role, &self.key].map(encode);
        let growth = (email.len() - self.email.len())
            + (preferred_username.len() - self.preferred_username.len())
            + (role.len() - self.role.len());
        let teams = teams.iter().map(|team| Cow::from(utf8_percent_encode(team.as_str(), TEAM)));
        let groups: Vec<_> = names_within(teams, MAX_TEAMS_BYTES.saturating_sub(growth)).collect();
        Self { user, email, preferred_username, groups: groups.join(","), role, key }
    }
}

/// Yields the names that fit into `max_bytes` together with a separator after each. A name that is too long is left out;
/// shorter names after it may still fit.
pub fn names_within<T: AsRef<str>>(names: impl Iterator<Item = T>, max_bytes: usize) -> impl Iterator<Item = T> {
    let mut bytes = 0;
    names.filter(move |name| {
        let longer = bytes + name.as_ref().len() + 1;
        let fits = longer <= max_bytes;
        bytes = if fits { longer } else { bytes };
        fits
    })
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;
    use crate::principal::{Grant, Role};

    fn encoded(name: &str, teams: &[&str]) -> IdentityHeaders {
        let teams = teams.iter().copied().map(Team::new).collect();
        let grant = Grant { role: Some(Role::new("internal_user")), teams, ..Grant::default() };
        let known = IdentityHeaders { user: "u-1".into(), preferred_username: name.into(), ..IdentityHeaders::default() };
        known.with_grant(&grant).percent_encoded(&grant.teams)
    }

    #[test]
    fn bytes_outside_visible_ascii_and_percent_signs_are_encoded() {
        let headers = encoded("J\u{fc}rgen 100%, 'x'", &["data science", "Sales, EMEA", "a%2Cb", "red"]);
        assert_eq!(headers.preferred_username, "J%C3%BCrgen%20100%25,%20'x'");
        assert_eq!(headers.groups, "data%20science,Sales%2C%20EMEA,a%252Cb,red");
        assert_eq!((headers.user.as_str(), headers.role.as_str(), headers.key.as_str()), ("u-1", "internal_user", ""));
    }

    #[test]
    fn encoded_headers_are_not_longer_than_plain_ones_can_be() {
        let long: Vec<String> = (0..128).map(|number| format!("\u{df}\u{df}\u{df}\u{df}{number}")).collect();
        let name = "\u{fc}".repeat(127);
        let headers = encoded(&name, &long.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(headers.preferred_username.len(), 3 * name.len());
        assert!(headers.groups.len() + headers.preferred_username.len() <= MAX_TEAMS_BYTES + name.len());
        assert!(headers.groups.split(',').all(|team| team.starts_with("%C3%9F")) && headers.groups.len() > 1000);
    }

    #[test]
    fn names_are_parsed_back() {
        assert!(HeaderEncoding::ALL.into_iter().all(|encoding| HeaderEncoding::parse(encoding.as_str()) == Some(encoding)));
        assert_eq!(HeaderEncoding::parse("UTF8"), None);
    }

    proptest! {
        #[test]
        fn decoding_gives_the_name_and_the_teams(name in any::<String>(), teams in prop::collection::vec("[^\\p{Cc}]{1,9}", 0..4)) {
            let headers = encoded(&name, &teams.iter().map(String::as_str).collect::<Vec<_>>());
            let decode = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
            prop_assert_eq!(decode(&headers.preferred_username), name);
            prop_assert!(headers.groups.bytes().chain(headers.preferred_username.bytes()).all(|byte| byte.is_ascii_graphic()));
            let decoded: Vec<_> = headers.groups.split(',').filter(|team| !team.is_empty()).map(decode).collect();
            prop_assert_eq!(decoded, teams);
        }
    }
}
