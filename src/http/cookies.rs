//! The service's cookies: the session, the binding of login flows to a browser, their long return targets, and the device of a
//! sign-in with a password.

use std::{borrow::Cow, time::Duration};

use actix_web::{
    HttpRequest,
    cookie::{Cookie, SameSite, time},
    http::header,
};

use crate::{check::cookies, oidc::BrowserBinding, origin::PublicUrl, secret::Digest};

/// The names of the cookies and the scheme that they are for.
#[derive(Debug, Clone)]
pub struct CookieNames {
    pub session: &'static str,
    pub login: &'static str,
    pub device: &'static str,
    /// The beginning of the names of the cookies with return targets.
    pub(super) target: &'static str,
    scheme: CookieScheme,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CookieScheme {
    Https,
    /// An http:// origin on loopback, for which browsers refuse the `__Host-` prefix.
    LoopbackHttp,
}

impl CookieNames {
    pub fn of(public_url: &PublicUrl) -> Self {
        if public_url.is_secure() {
            let (session, login, device) = ("__Host-vestibule", "__Host-vestibule-login", "__Host-vestibule-device");
            Self { session, login, device, target: "__Secure-vestibule-target-", scheme: CookieScheme::Https }
        } else {
            let (session, login, device) = ("vestibule", "vestibule-login", "vestibule-device");
            Self { session, login, device, target: "vestibule-target-", scheme: CookieScheme::LoopbackHttp }
        }
    }

    /// Returns the session cookie. It expires after the session's maximum lifetime.
    pub(super) fn session_cookie(&self, value: &str, life: Duration) -> Cookie<'static> {
        let life = time::Duration::try_from(life).unwrap_or(time::Duration::MAX);
        self.cookie(self.session, value).max_age(life).finish()
    }

    /// Returns the cookie that binds logins to the browser until it is closed.
    pub(super) fn login_cookie(&self, value: &str) -> Cookie<'static> {
        self.cookie(self.login, value).finish()
    }

    /// Returns the cookie that marks a browser for a year after a sign-in with a password. It grants no access.
    pub(super) fn device_cookie(&self, value: &str) -> Cookie<'static> {
        self.cookie(self.device, value).max_age(time::Duration::days(365)).finish()
    }

    pub(super) fn device_in(&self, request: &HttpRequest) -> Option<String> {
        find(request, self.device).map(str::to_owned)
    }

    pub(super) fn expired_session_cookie(&self) -> Cookie<'static> {
        self.cookie(self.session, "").max_age(time::Duration::ZERO).finish()
    }

    pub(super) fn session_in(&self, request: &HttpRequest) -> Option<String> {
        find(request, self.session).map(str::to_owned)
    }

    /// Returns the id of the request's session.
    pub(super) fn session_id_in(&self, request: &HttpRequest) -> Option<Digest> {
        find(request, self.session).map(|token| Digest::of(token.as_bytes()))
    }

    pub(super) fn binding_in(&self, request: &HttpRequest) -> Option<BrowserBinding> {
        BrowserBinding::parse_cookie(find(request, self.login)?)
    }

    /// Returns a cookie with a part of a return target. Only login paths receive it, so it adds nothing to other requests.
    pub(super) fn target_cookie(&self, name: String, value: &str, life: Duration) -> Cookie<'static> {
        let life = time::Duration::try_from(life).unwrap_or(time::Duration::MAX);
        self.cookie(name, value).path("/sso").max_age(life).finish()
    }

    fn cookie(&self, name: impl Into<Cow<'static, str>>, value: &str) -> actix_web::cookie::CookieBuilder<'static> {
        Cookie::build(name, value.to_owned())
            .path("/")
            .http_only(true)
            .secure(self.scheme == CookieScheme::Https)
            .same_site(SameSite::Lax)
    }
}

/// Finds a cookie by the rules of the check: other cookies may have any content, and several different values of the cookie are
/// ambiguous and count as none.
pub(super) fn find<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let headers = request.headers().get_all(header::COOKIE);
    let mut values = headers.flat_map(|header| cookies(header.as_bytes(), name));
    let first = values.next()?;
    values.all(|value| value == first).then(|| std::str::from_utf8(first).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::OpaqueToken;

    fn names(url: &str) -> CookieNames {
        CookieNames::of(&PublicUrl::parse(url).unwrap())
    }

    #[test]
    fn over_https_cookies_are_host_bound_and_small() {
        let cookie =
            names("https://llm.example.com").session_cookie(&"a".repeat(OpaqueToken::TEXT_LEN), Duration::from_secs(604_800));
        let text = cookie.to_string();
        assert!(text.starts_with("__Host-vestibule=aaa"));
        for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=604800"] {
            assert!(text.contains(attribute), "{text}");
        }
        assert!(!text.contains("Domain"));
        assert!(text.len() < 200, "{}", text.len());
    }

    #[test]
    fn every_cookie_is_removed_before_the_upstream() {
        for url in ["https://llm.example.com", "http://127.0.0.1:4180"] {
            let names = names(url);
            for name in [names.session, names.login, names.device, format!("{}x", names.target).as_str()] {
                assert!(crate::check::has_own_name(format!("{name}=x").as_bytes()), "{name}");
            }
        }
    }

    #[test]
    fn on_a_plain_loopback_origin_the_prefix_and_secure_are_dropped() {
        let cookie = names("http://127.0.0.1:4180").login_cookie("x").to_string();
        assert!(cookie.starts_with("vestibule-login=x") && !cookie.contains("Secure") && !cookie.contains("Max-Age"), "{cookie}");
    }
}
