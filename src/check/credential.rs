//! Which credential a request presents: one of the headers that programs use, or the session cookie.

use std::fmt;

use crate::access::{Place, Places};

/// Where programs put a key or token, beside `Authorization`.
const KEY_HEADERS: [Place; 3] = [Place::XApiKey, Place::ApiKey, Place::XGoogApiKey];

/// Where a scheme may stand before it. LiteLLM takes its own header with or without.
const WITH_SCHEME: [Place; 2] = [Place::Authorization, Place::XLitellmApiKey];

/// What was presented. A credential in a header is taken alone: when it is wrong, the cookie does not help.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    None,
    Header(&'a str),
    Session(&'a str),
}

/// Two different credentials of a kind, or one that can't be read: nobody can say which is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ambiguous;

impl<'a> Credential<'a> {
    /// Looks into the places that are to be read. `values` gives every value of a place's header: of the
    /// session, all headers with cookies.
    pub fn find<I>(places: Places, cookie_name: &str, mut values: impl FnMut(Place) -> I) -> Result<Self, Ambiguous>
    where
        I: Iterator<Item = &'a [u8]>,
    {
        let mut found = Single::None;
        for place in WITH_SCHEME.into_iter().filter(|place| places.contains(*place)) {
            for value in values(place) {
                found.add(bearer(value)?)?;
            }
        }
        for place in KEY_HEADERS.into_iter().filter(|place| places.contains(*place)) {
            for value in values(place) {
                found.add(text(value)?)?;
            }
        }
        if let Single::One(credential) = found {
            return Ok(Self::Header(credential));
        }
        if !places.contains(Place::Session) {
            return Ok(Self::None);
        }
        for value in values(Place::Session) {
            for cookie in cookies(value, cookie_name) {
                found.add(text(cookie)?)?;
            }
        }
        Ok(match found {
            Single::None => Self::None,
            Single::One(cookie) => Self::Session(cookie),
        })
    }
}

/// One value, or several that are the same.
enum Single<'a> {
    None,
    One(&'a str),
}

impl<'a> Single<'a> {
    fn add(&mut self, value: &'a str) -> Result<(), Ambiguous> {
        match self {
            Self::One(known) if *known != value => Err(Ambiguous),
            _ => {
                *self = Self::One(value);
                Ok(())
            }
        }
    }
}

/// The token behind a scheme. Another scheme is a credential that nobody here knows.
fn bearer(value: &[u8]) -> Result<&str, Ambiguous> {
    let value = text(value)?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim_start_matches(' ')),
        _ => Ok(value),
    }
}

fn text(value: &[u8]) -> Result<&str, Ambiguous> {
    std::str::from_utf8(value).map_err(|_| Ambiguous)
}

/// The values of every cookie of this name (RFC 6265, section 4.2). Bytes that are no text are skipped:
/// they belong to somebody else's cookie.
pub fn cookies<'a>(header: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    header.split(|byte| *byte == b';').filter_map(move |pair| {
        let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b"=")
    })
}

/// All cookies but those of these names, as one header.
pub fn cookies_without<'a>(headers: impl Iterator<Item = &'a [u8]>, names: &[&str]) -> Vec<u8> {
    let pairs = headers.flat_map(|header| header.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    let is_named = |pair: &[u8]| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii_end();
        names.iter().any(|known| known.as_bytes() == name)
    };
    let kept: Vec<&[u8]> = pairs.filter(|pair| !pair.is_empty() && !is_named(pair)).collect();
    kept.join(&b"; "[..])
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Header(_) => "Header([redacted])",
            Self::Session(_) => "Session([redacted])",
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn find<'a>(headers: &'a [(&'a str, &'a [u8])]) -> Result<Credential<'a>, Ambiguous> {
        Credential::find(Places::ALL, "__Host-vestibule", |place| values(headers, place))
    }

    fn values<'a>(headers: &'a [(&'a str, &'a [u8])], place: Place) -> impl Iterator<Item = &'a [u8]> {
        let name = if place == Place::Session { "cookie" } else { place.as_str() };
        headers.iter().filter(move |(n, _)| *n == name).map(|(_, value)| *value)
    }

    #[rstest]
    #[case::nothing(&[], Ok(Credential::None))]
    #[case::bearer(&[("authorization", "Bearer sk-1")], Ok(Credential::Header("sk-1")))]
    #[case::bearer_in_any_case(&[("authorization", "bEARER  sk-1")], Ok(Credential::Header("sk-1")))]
    #[case::litellm_with_scheme(&[("x-litellm-api-key", "Bearer sk-1")], Ok(Credential::Header("sk-1")))]
    #[case::litellm_without_scheme(&[("x-litellm-api-key", "sk-1")], Ok(Credential::Header("sk-1")))]
    #[case::the_same_with_and_without(&[("authorization", "Bearer sk-1"), ("x-litellm-api-key", "sk-1")], Ok(Credential::Header("sk-1")))]
    #[case::another_header_has_no_scheme(&[("x-api-key", "Bearer sk-1")], Ok(Credential::Header("Bearer sk-1")))]
    #[case::basic(&[("authorization", "Basic YTpi")], Ok(Credential::Header("Basic YTpi")))]
    #[case::no_token(&[("authorization", "Bearer")], Ok(Credential::Header("Bearer")))]
    #[case::empty_token(&[("authorization", "Bearer ")], Ok(Credential::Header("")))]
    #[case::empty_header(&[("authorization", "")], Ok(Credential::Header("")))]
    #[case::x_api_key(&[("x-api-key", "sk-1")], Ok(Credential::Header("sk-1")))]
    #[case::litellm(&[("x-litellm-api-key", "sk-1")], Ok(Credential::Header("sk-1")))]
    #[case::azure(&[("api-key", "sk-1")], Ok(Credential::Header("sk-1")))]
    #[case::google(&[("x-goog-api-key", "sk-1")], Ok(Credential::Header("sk-1")))]
    #[case::same_twice(&[("authorization", "Bearer sk-1"), ("x-api-key", "sk-1")], Ok(Credential::Header("sk-1")))]
    #[case::two_headers(&[("authorization", "Bearer sk-1"), ("x-api-key", "sk-2")], Err(Ambiguous))]
    #[case::repeated_header(&[("authorization", "Bearer sk-1"), ("authorization", "Bearer sk-2")], Err(Ambiguous))]
    #[case::header_before_cookie(&[("cookie", "__Host-vestibule=c"), ("x-api-key", "k")], Ok(Credential::Header("k")))]
    #[case::cookie(&[("cookie", "a=1; __Host-vestibule=c; b=2")], Ok(Credential::Session("c")))]
    #[case::cookie_in_second_header(&[("cookie", "a=1"), ("cookie", "__Host-vestibule=c")], Ok(Credential::Session("c")))]
    #[case::cookie_without_blanks(&[("cookie", "a=1;__Host-vestibule=c;b=2")], Ok(Credential::Session("c")))]
    #[case::longer_name(&[("cookie", "__Host-vestibule-login=c")], Ok(Credential::None))]
    #[case::prefixed_name(&[("cookie", "x__Host-vestibule=c")], Ok(Credential::None))]
    #[case::other_case(&[("cookie", "__host-vestibule=c")], Ok(Credential::None))]
    #[case::same_cookie_twice(&[("cookie", "__Host-vestibule=c; __Host-vestibule=c")], Ok(Credential::Session("c")))]
    #[case::two_cookies(&[("cookie", "__Host-vestibule=c; __Host-vestibule=d")], Err(Ambiguous))]
    #[case::empty_cookie(&[("cookie", "__Host-vestibule=")], Ok(Credential::Session("")))]
    #[case::name_alone(&[("cookie", "__Host-vestibule")], Ok(Credential::None))]
    fn exactly_one_credential_is_found(#[case] headers: &[(&str, &str)], #[case] expected: Result<Credential<'_>, Ambiguous>) {
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        assert!(find(&headers) == expected, "{:?}", find(&headers));
    }

    #[test]
    fn a_place_that_is_not_read_holds_no_credential() {
        let headers: &[(&str, &[u8])] =
            &[("authorization", b"Bearer upstream's"), ("x-api-key", b"sk-1"), ("cookie", b"__Host-vestibule=c")];
        let find = |places: &[Place]| {
            Credential::find(places.iter().copied().collect(), "__Host-vestibule", |place| values(headers, place))
        };
        assert!(find(&[Place::Session]) == Ok(Credential::Session("c")));
        assert!(find(&[Place::XApiKey, Place::Session]) == Ok(Credential::Header("sk-1")));
        assert!(find(&[Place::ApiKey, Place::Session]) == Ok(Credential::Session("c")));
        assert!(find(&[Place::ApiKey]) == Ok(Credential::None));
        assert!(find(&Place::ALL) == Err(Ambiguous));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_in_a_credential_and_skipped_beside_it() {
        assert!(find(&[("authorization", b"Bearer \xff")]) == Err(Ambiguous));
        assert!(find(&[("cookie", b"__Host-vestibule=\xff")]) == Err(Ambiguous));
        assert!(find(&[("cookie", b"a=\xff\xfe; __Host-vestibule=c")]) == Ok(Credential::Session("c")));
    }

    #[rstest]
    #[case(&["a=1; vestibule=s; b=2"], "a=1; b=2")]
    #[case(&["vestibule=s"], "")]
    #[case(&["vestibule=s; vestibule-login=l", "vestibule=t;a=1"], "a=1")]
    #[case(&["a=1", "b=2; vestibule =s"], "a=1; b=2")]
    #[case(&["myvestibule=1; vestibule-x=2; Vestibule=3; a=vestibule=1"], "myvestibule=1; vestibule-x=2; Vestibule=3; a=vestibule=1")]
    #[case(&["vestibule; a"], "a")]
    #[case(&[], "")]
    fn our_cookies_are_taken_out_of_all(#[case] headers: &[&str], #[case] expected: &str) {
        let kept = cookies_without(headers.iter().map(|header| header.as_bytes()), &["vestibule", "vestibule-login"]);
        assert_eq!(String::from_utf8(kept).unwrap(), expected);
    }

    #[test]
    fn debug_shows_no_credential() {
        assert_eq!(format!("{:?}", Credential::Header("sk-hidden")), "Header([redacted])");
    }
}
