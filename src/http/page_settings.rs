//! Settings that all pages share.

use std::sync::Arc;

use actix_web::HttpResponse;

use super::CookieNames;
use crate::{
    client_address::TrustedProxies,
    origin::PublicUrl,
    pages::Brand,
    secret::{KeyRing, OpaqueToken},
    users::Limits,
};

/// The settings of the public listener.
pub struct Site {
    pub public_url: PublicUrl,
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
}

impl Site {
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
        }
    }
}
