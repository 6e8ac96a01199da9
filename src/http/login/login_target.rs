//! The page that a login returns to: on `public_url`, or on a further origin.

use crate::{
    http::Site,
    origin::PublicUrl,
    return_target::{ReturnTarget, ReturnTargetError},
};

/// A return target with its origin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LoginTarget<'a> {
    Own(ReturnTarget),
    OnOrigin(&'a PublicUrl, ReturnTarget),
}

impl<'a> LoginTarget<'a> {
    /// Parses a path on `public_url`, or a URL on the host of `public_url` or of a further origin. Scheme and port of a URL are those
    /// of the configuration.
    pub fn parse(raw: &str, site: &'a Site) -> Result<Self, ReturnTargetError> {
        let mut refusal = match ReturnTarget::parse(raw, site.public_url.host()) {
            Ok(target) => return Ok(Self::Own(target)),
            Err(refusal) => refusal,
        };
        for origin in site.origins.iter() {
            match ReturnTarget::parse(raw, origin.host()) {
                Ok(target) => return Ok(Self::OnOrigin(origin, target)),
                Err(ReturnTargetError::OtherHost) => {}
                Err(other) => refusal = other,
            }
        }
        Err(refusal)
    }
}

#[cfg(test)]
mod tests {
    use ReturnTargetError::*;
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    const ORIGIN: &str = "https://chat.example.com:8443";

    /// Targets that are refused on each origin, or that lead to the named URL.
    const CASES: &[(&str, Result<&str, ReturnTargetError>)] = &[
        ("/app", Ok("https://llm.example.com/app")),
        ("https://llm.example.com/app", Ok("https://llm.example.com/app")),
        ("https://chat.example.com/app?q=1", Ok("https://chat.example.com:8443/app?q=1")),
        ("https://chat.example.com:8443/app", Ok("https://chat.example.com:8443/app")),
        ("http://chat.example.com:80/app", Ok("https://chat.example.com:8443/app")),
        ("HTTPS://CHAT.example.com", Ok("https://chat.example.com:8443/")),
        ("https://chat.example.com?q=@evil.com", Ok("https://chat.example.com:8443/?q=@evil.com")),
        ("https://chat.example.com/a#//evil.com", Ok("https://chat.example.com:8443/a")),
        ("https://chat.example.com/..//evil.com", Ok("https://chat.example.com:8443/..//evil.com")),
        ("https://chat.example.com//evil.com", Err(DoubledSlash)),
        ("//chat.example.com/app", Err(DoubledSlash)),
        ("chat.example.com/app", Err(NotAPath)),
        ("https:chat.example.com/app", Err(Authority)),
        ("https:///chat.example.com", Err(Authority)),
        ("javascript://chat.example.com/%0aalert(1)", Err(NotAPath)),
        ("ws://chat.example.com/", Err(NotAPath)),
        ("https://chat.example.com@evil.com/", Err(UserInfo)),
        ("https://chat.example.com:443@evil.com/", Err(UserInfo)),
        ("https://user@chat.example.com/", Err(UserInfo)),
        ("https://chat.example.com\\@evil.com/", Err(Backslash)),
        ("https://chat.example.com\t.evil.com/", Err(ControlCharacter)),
        ("https://chat.example.com.evil.com/", Err(OtherHost)),
        ("https://evil.com/chat.example.com", Err(OtherHost)),
        ("https://evil.com?https://chat.example.com/", Err(OtherHost)),
        ("https://evil.com#chat.example.com", Err(OtherHost)),
        ("https://x.chat.example.com/", Err(OtherHost)),
        ("https://evilchat.example.com/", Err(OtherHost)),
        ("https://chat.example.com./", Err(OtherHost)),
        ("https://chat%2eexample.com/", Err(OtherHost)),
        ("https://chat.example.com%2f.evil.com/", Err(OtherHost)),
        ("https://chat.example.com,llm.example.com/", Err(OtherHost)),
        ("https://chat.example\u{3002}com/", Err(OtherHost)),
        ("https://example.com/", Err(OtherHost)),
        ("https://mcp.example.com/", Err(OtherHost)),
    ];

    fn url(target: &LoginTarget<'_>, site: &Site) -> String {
        match target {
            LoginTarget::Own(target) => site.public_url.join(target.as_str()),
            LoginTarget::OnOrigin(origin, target) => origin.join(target.as_str()),
        }
    }

    /// Asserts that a browser opens one of the two origins.
    fn assert_configured(raw: &str, site: &Site) {
        let Ok(target) = LoginTarget::parse(raw, site) else { return };
        let opened = Url::parse(&url(&target, site)).unwrap();
        let expected = if matches!(target, LoginTarget::Own(_)) { site.public_url.origin() } else { ORIGIN };
        assert_eq!(opened.origin().ascii_serialization(), expected, "{raw:?}");
        assert_eq!((opened.username(), opened.password()), ("", None), "{raw:?}");
    }

    #[test]
    fn a_login_returns_to_configured_origins_only() {
        let site = Site::for_tests();
        for (raw, expected) in CASES {
            let found = LoginTarget::parse(raw, &site).map(|target| url(&target, &site));
            assert_eq!(found.as_deref().map_err(|error| *error), *expected, "rd = {raw:?}");
            assert_configured(raw, &site);
        }
    }

    #[test]
    fn a_target_on_an_origin_is_reached_after_a_login_at_public_url() {
        let site = Site::for_tests();
        let LoginTarget::OnOrigin(origin, target) = LoginTarget::parse("https://chat.example.com/a?b=1&c=%26", &site).unwrap()
        else {
            panic!("on the origin")
        };
        let after = super::super::handover::target_after_login(origin, &target);
        let opened = Url::parse(&site.public_url.join(after.as_str())).unwrap();
        let (name, rd) = opened.query_pairs().next().unwrap();
        assert_eq!((opened.path(), &*name), ("/sso/handover", "rd"));
        assert_eq!(LoginTarget::parse(&rd, &site), Ok(LoginTarget::OnOrigin(origin, target)));
        let long = ReturnTarget::parse(&format!("/{}", "/".repeat(4000)).replacen("//", "/a", 1), "").unwrap();
        assert!(super::super::handover::target_after_login(origin, &long).as_str().len() < 100);
    }

    proptest! {
        #[test]
        fn no_disguise_leaves_the_configured_origins(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec![
                    "/", "//", "\\", "?", "#", "@", ":", ".", "%2f", "\t", "http:", "HTTPS:", "https://", "llm.example.com",
                    "chat.example.com", "CHAT.EXAMPLE.COM", "evil.com", "[::1]", ":443", ":8443", "\u{3002}", "a",
                ]),
                0..9,
            )
        ) {
            assert_configured(&pieces.concat(), &Site::for_tests());
        }
    }
}
