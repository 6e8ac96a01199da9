//! Settings that all pages share.

use std::sync::Arc;

use actix_web::{
    HttpResponse,
    http::header::{self, HeaderMap},
};

use super::CookieNames;
use crate::{
    client_address::TrustedProxies,
    origin::{FurtherOrigins, NamedHost, PublicUrl},
    pages::{Asset, Brand, asset},
    secret::{KeyRing, OpaqueToken},
    users::Limits,
};

/// The settings of the public listener.
pub struct Site {
    pub public_url: PublicUrl,
    pub origins: FurtherOrigins,
    pub cookies: CookieNames,
    pub limits: Limits,
    pub proxies: TrustedProxies,
    pub ring: Arc<KeyRing>,
    /// True if local accounts are enabled.
    pub local_accounts: bool,
    /// True if a session may create credentials and rights by the JSON API.
    pub session_writes: bool,
    /// The contact that pages name for access requests.
    pub contact: String,
    /// One sentence per configured part, for the page that an operator sees before any sign-in is configured.
    pub facts: Vec<String>,
    pub brand: Arc<Brand>,
    /// The brands of further origins, by their hosts.
    pub origin_brands: Vec<(String, Arc<Brand>)>,
}

impl Site {
    /// Returns the further origin that a request is for, by its `Host`, which the gateway has compared with its own host. `None` for
    /// `public_url` and for hosts that are not configured, which count as `public_url`.
    pub(super) fn further_origin(&self, headers: &HeaderMap) -> Option<&PublicUrl> {
        let mut hosts = headers.get_all(header::HOST);
        let named = NamedHost::parse(hosts.next()?.to_str().ok()?.into()).ok()?;
        hosts.next().is_none().then(|| self.origins.iter().find(|origin| named.matches(origin.host())))?
    }

    /// Returns the origin that signs browsers in for a host, which is the one that the gateway serves.
    pub(super) fn origin_on(&self, host: &str) -> &PublicUrl {
        self.origins.find(host).unwrap_or(&self.public_url)
    }

    /// Returns the origin of the page that answers a request.
    pub(super) fn page_origin(&self, headers: &HeaderMap) -> &PublicUrl {
        self.further_origin(headers).unwrap_or(&self.public_url)
    }

    /// True if pages of this origin come from a host of this deployment. The origin is as browsers send it.
    pub(super) fn is_own_origin(&self, origin: &str) -> bool {
        self.origins.iter().chain([&self.public_url]).any(|own| own.origin() == origin)
    }

    /// Returns the brand of an origin.
    pub(super) fn brand_of(&self, origin: &PublicUrl) -> &Arc<Brand> {
        let own = self.origin_brands.iter().find(|(host, _)| host == origin.host());
        own.map_or(&self.brand, |(_, brand)| brand)
    }

    /// Returns the brand of the page that answers a request.
    pub(super) fn page_brand(&self, headers: &HeaderMap) -> &Arc<Brand> {
        self.brand_of(self.page_origin(headers))
    }

    /// Returns a file of any brand: pages of `public_url` may have the brand of a further origin.
    pub(super) fn asset(&self, headers: &HeaderMap, name: &str) -> Option<Asset> {
        let others = self.origin_brands.iter().map(|(_, brand)| brand).chain([&self.brand]);
        let found = [self.page_brand(headers)].into_iter().chain(others).filter_map(|brand| asset(brand, name));
        // The first of those that are not current.
        found.fold(None, |best: Option<Asset>, next| match best {
            Some(best) if best.is_current || !next.is_current => Some(best),
            _ => Some(next),
        })
    }

    /// Sets the cookies of a user who has signed in with a password.
    pub(super) fn set_login_cookies(&self, response: &mut HttpResponse, session: &OpaqueToken, device: &str) {
        let session = self.cookies.session_cookie(session.expose(), self.limits.absolute);
        for cookie in [session, self.cookies.device_cookie(device)] {
            // Adding fails only for values that are invalid in a header; ours are base64url.
            let _ = response.add_cookie(&cookie);
        }
    }

    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        use crate::clock::SystemClock;
        let public_url = PublicUrl::parse("https://llm.example.com").expect("it is an origin");
        Self {
            cookies: CookieNames::of(&public_url),
            public_url,
            origins: FurtherOrigins::new(vec![PublicUrl::parse("https://chat.example.com:8443").expect("it is an origin")]),
            limits: Limits {
                idle: std::time::Duration::from_secs(60),
                absolute: std::time::Duration::from_secs(600),
                max_per_user: 100,
            },
            proxies: TrustedProxies::default(),
            ring: Arc::new(KeyRing::ephemeral(Arc::new(SystemClock))),
            local_accounts: false,
            session_writes: false,
            contact: String::new(),
            facts: Vec::new(),
            brand: Arc::default(),
            origin_brands: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn origin(hosts: &[&'static str]) -> String {
        let request = hosts.iter().fold(TestRequest::default(), |request, host| request.append_header((header::HOST, *host)));
        Site::for_tests().page_origin(request.to_http_request().headers()).origin().to_owned()
    }

    #[test]
    fn each_origin_has_its_brand_and_serves_the_files_of_all() {
        let brand = |name, logo: &[u8]| Arc::new(Brand::new(name, Some(logo.to_vec()), None).unwrap());
        let (common, chat) = (brand("LLM", b"<svg>llm</svg>"), brand("Chat", b"<svg>chat</svg>"));
        let origin_brands = vec![("chat.example.com".to_owned(), Arc::clone(&chat))];
        let site = Site { brand: Arc::clone(&common), origin_brands, ..Site::for_tests() };
        for (host, name) in [("chat.example.com", "Chat"), ("llm.example.com", "LLM"), ("unlisted.example.com", "LLM")] {
            let request = TestRequest::default().append_header((header::HOST, host)).to_http_request();
            assert_eq!(site.page_brand(request.headers()).name, name);
            for brand in [&common, &chat] {
                let logo = brand.icon().href();
                let asset = site.asset(request.headers(), logo.rsplit('/').next().unwrap()).unwrap();
                assert!(asset.is_current && asset.body.ends_with(format!("{}</svg>", brand.name.to_lowercase()).as_bytes()));
            }
            let outdated = site.asset(request.headers(), "logo.0123456789abcdef.svg").unwrap();
            assert!(!outdated.is_current && outdated.body.ends_with(format!("{}</svg>", name.to_lowercase()).as_bytes()));
        }
    }

    #[test]
    fn the_host_selects_a_configured_origin_and_nothing_else_does() {
        for host in ["chat.example.com", "CHAT.example.com", "chat.example.com.", "chat.example.com:1"] {
            assert_eq!(origin(&[host]), "https://chat.example.com:8443", "{host}");
        }
        for host in [
            "llm.example.com",
            "",
            "example.com",
            "x.chat.example.com",
            "chat.example.com.evil.example",
            "chat.example.com@x",
            "a, b",
        ] {
            assert_eq!(origin(&[host]), "https://llm.example.com", "{host}");
        }
        assert_eq!(origin(&[]), "https://llm.example.com");
        assert_eq!(origin(&["chat.example.com", "llm.example.com"]), "https://llm.example.com", "ambiguous");
    }
}
