//! The origins besides `public_url` on which browsers use the session of `public_url`.

use std::sync::Arc;

use super::{PublicUrl, host::is_same_host};

/// The origins of the configuration's `origins`. Each has a host of its own, which is not that of `public_url`.
#[derive(Clone, Debug, Default)]
pub struct FurtherOrigins(Arc<[PublicUrl]>);

impl FurtherOrigins {
    pub fn new(origins: Vec<PublicUrl>) -> Self {
        Self(origins.into())
    }

    /// Returns the origin of a host, which is without port and final dot.
    pub fn find(&self, host: &str) -> Option<&PublicUrl> {
        self.0.iter().find(|origin| is_same_host(origin.host(), host))
    }

    pub fn iter(&self) -> impl Iterator<Item = &PublicUrl> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_found_by_its_host_in_any_case() {
        let origins = ["https://chat.example.com:8443", "https://mcp.example.com"].map(|url| PublicUrl::parse(url).unwrap());
        let origins = FurtherOrigins::new(origins.to_vec());
        let find = |host| origins.find(host).map(PublicUrl::origin);
        assert_eq!(find("chat.example.com"), Some("https://chat.example.com:8443"));
        assert_eq!(find("MCP.example.com"), Some("https://mcp.example.com"));
        for other in ["", "example.com", "chat.example.com.evil.example", "x.chat.example.com", "chat.example.com:8443"] {
            assert_eq!(find(other), None, "{other}");
        }
        assert!(FurtherOrigins::default().find("chat.example.com").is_none());
    }
}
