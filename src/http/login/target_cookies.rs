//! The cookies in which a browser keeps the long return targets of its login flows.
//!
//! A target is split, since browsers limit a cookie to 4096 bytes. Together the targets of a browser are limited too, since
//! gateways limit a request's headers: nginx takes lines of 8 KiB.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::header};

use crate::{
    http::cookies::{CookieNames, find},
    oidc::EncryptedTarget,
};

/// The maximum number of bytes of one cookie's value.
const PART: usize = 3800;

/// The maximum number of bytes of all targets in one browser. The longest target needs 5506.
const ALL: usize = 6000;

/// As long as a login flow.
const LIFE: Duration = Duration::from_secs(600);

/// Sets the cookies of a new target, and removes the oldest ones if there are too many.
pub(super) fn set(response: &mut HttpResponse, request: &HttpRequest, cookies: &CookieNames, target: &EncryptedTarget) {
    let mut used = target.text.len();
    // Browsers send the oldest cookie first (RFC 6265, section 5.4).
    for (name, length) in list_target_cookies(request, cookies).into_iter().rev() {
        used += length;
        if used > ALL {
            expire(response, cookies, name);
        }
    }
    for (number, part) in target.text.as_bytes().chunks(PART).enumerate() {
        let part = std::str::from_utf8(part).expect("base64url is ASCII");
        // Cookies of this name and value are always valid.
        let _ = response.add_cookie(&cookies.target_cookie(name(cookies, &target.id, number), part, LIFE));
    }
}

/// Returns the text of the encrypted target with this id.
pub(super) fn get(request: &HttpRequest, cookies: &CookieNames, id: &str) -> Option<String> {
    let parts: String = (0..).map_while(|number| find(request, &name(cookies, id, number))).collect();
    (!parts.is_empty()).then_some(parts)
}

/// Removes the cookies of the target with this id.
pub(super) fn remove(response: &mut HttpResponse, request: &HttpRequest, cookies: &CookieNames, id: &str) {
    let own = format!("{}{id}-", cookies.target);
    for (name, _) in list_target_cookies(request, cookies).into_iter().filter(|(name, _)| name.starts_with(&own)) {
        expire(response, cookies, name);
    }
}

fn name(cookies: &CookieNames, id: &str, number: usize) -> String {
    format!("{}{id}-{number}", cookies.target)
}

fn expire(response: &mut HttpResponse, cookies: &CookieNames, name: String) {
    let _ = response.add_cookie(&cookies.target_cookie(name, "", Duration::ZERO));
}

/// Returns the names of the request's target cookies and the lengths of their values.
fn list_target_cookies(request: &HttpRequest, cookies: &CookieNames) -> Vec<(String, usize)> {
    let lines = request.headers().get_all(header::COOKIE).filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| is_target(name, cookies)).map(|(name, value)| (name.to_owned(), value.len())).collect()
}

/// True for the names that [`set`] uses. A client's own name must not reach a header of the response.
fn is_target(name: &str, cookies: &CookieNames) -> bool {
    let Some((id, number)) = name.strip_prefix(cookies.target).and_then(|rest| rest.split_once('-')) else { return false };
    id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && matches!(number, "0" | "1")
}

#[cfg(test)]
mod tests {
    use actix_web::{cookie::Cookie, test::TestRequest};

    use super::*;
    use crate::{origin::PublicUrl, return_target};

    fn cookies() -> CookieNames {
        CookieNames::of(&PublicUrl::parse("https://llm.example.com").unwrap())
    }

    fn target(id: &str, length: usize) -> EncryptedTarget {
        EncryptedTarget { id: id.to_owned(), text: "x".repeat(length) }
    }

    /// A browser: its cookies in the order of their creation.
    #[derive(Default)]
    struct Jar(Vec<(String, String)>);

    impl Jar {
        fn request(&self) -> HttpRequest {
            let line: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
            TestRequest::default().insert_header((header::COOKIE, line.join("; "))).to_http_request()
        }

        fn keep(&mut self, response: &HttpResponse) {
            for cookie in response.cookies() {
                let (name, value) = (cookie.name().to_owned(), cookie.value().to_owned());
                assert!(name.len() + value.len() <= 4096, "browsers drop larger cookies");
                self.0.retain(|(known, _)| *known != name);
                if cookie.max_age().is_none_or(|age| !age.is_zero()) {
                    self.0.push((name, value));
                }
            }
        }

        fn begin(&mut self, target: &EncryptedTarget) {
            let mut response = HttpResponse::Ok().finish();
            set(&mut response, &self.request(), &cookies(), target);
            self.keep(&response);
        }

        fn len(&self) -> usize {
            self.0.iter().map(|(_, value)| value.len()).sum()
        }
    }

    #[test]
    fn the_longest_target_is_split_and_joined() {
        let longest = (return_target::LONGEST + crate::secret::KeyRing::OVERHEAD).div_ceil(3) * 4;
        let mut jar = Jar::default();
        jar.begin(&target("0123abcd", longest));
        assert_eq!(jar.0.len(), 2);
        assert_eq!(get(&jar.request(), &cookies(), "0123abcd"), Some("x".repeat(longest)));
        assert_eq!(get(&jar.request(), &cookies(), "0123abce"), None);
        let mut response = HttpResponse::Ok().finish();
        remove(&mut response, &jar.request(), &cookies(), "0123abcd");
        jar.keep(&response);
        assert!(jar.0.is_empty());
    }

    #[test]
    fn the_oldest_targets_are_removed_when_there_are_too_many() {
        let mut jar = Jar(vec![("app".into(), "y".repeat(5000))]);
        for number in 0..50 {
            jar.begin(&target(&format!("{number:08x}"), 1000));
            assert!(jar.len() - 5000 <= ALL, "{}", jar.len());
        }
        let live: Vec<usize> =
            (0..50).filter(|number| get(&jar.request(), &cookies(), &format!("{number:08x}")).is_some()).collect();
        assert_eq!(live, [44, 45, 46, 47, 48, 49]);
        assert_eq!(jar.0[0].0, "app", "other cookies stay");
    }

    #[test]
    fn only_our_own_names_are_removed() {
        let foreign =
            ["__Secure-vestibule-target-", "__Secure-vestibule-target-0123abcd", "__Secure-vestibule-target-0123abcd-2"];
        let jar = Jar(foreign.iter().map(|name| ((*name).to_owned(), "z".repeat(9000))).collect());
        let mut response = HttpResponse::Ok().finish();
        set(&mut response, &jar.request(), &cookies(), &target("0123abcd", 10));
        let names: Vec<String> = response.cookies().map(|cookie: Cookie<'_>| cookie.name().to_owned()).collect();
        assert_eq!(names, ["__Secure-vestibule-target-0123abcd-0"]);
    }

    #[test]
    fn the_cookie_is_bound_to_login_paths() {
        let mut response = HttpResponse::Ok().finish();
        set(&mut response, &TestRequest::default().to_http_request(), &cookies(), &target("0123abcd", 10));
        let line = response.cookies().next().unwrap().to_string();
        for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/sso", "Max-Age=600"] {
            assert!(line.contains(attribute), "{line}");
        }
    }
}
