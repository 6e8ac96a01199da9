//! Reads the auth URL of an Ingress: the product that it belongs to, and the users to whom it restricts the app.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::manifest::{ObjectRef, is_label};
use crate::yaml::shown;

/// The product that has protected the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    Vestibule,
    OAuth2Proxy,
    Authelia,
}

/// The parameters of the check's URL that restrict a route, with their lists as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckParameters(Vec<(&'static str, String)>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    pub product: Product,
    pub restrictions: CheckParameters,
    /// The release of Vestibule's chart whose check the URL names.
    pub vestibule: Option<ObjectRef>,
}

/// Reads the auth URL of an Ingress with these hosts.
pub fn parse(auth_url: &str, hosts: &[&str]) -> Result<Protection, String> {
    let url = Url::parse(auth_url.trim()).map_err(|_| "auth-url: is not a URL".to_owned())?;
    let product = product_of(url.path()).ok_or_else(|| {
        format!(
            "auth-url: {} is a path of neither oauth2-proxy (/oauth2/auth), Authelia (/api/verify, /api/authz/auth-request) nor Vestibule \
             (/auth/nginx), so Vestibule does not know whom it lets pass",
            shown(url.path())
        )
    })?;
    let mut restrictions = CheckParameters::default();
    for (name, value) in url.query_pairs() {
        match (product, name.as_ref()) {
            (Product::Vestibule, "host") if hosts.iter().all(|host| host.eq_ignore_ascii_case(&value)) => {}
            (Product::Vestibule, "echo") | (Product::OAuth2Proxy | Product::Authelia, "rd") => {}
            (Product::Vestibule, "allow_roles") => restrictions.add("allow_roles", &value)?,
            (Product::Vestibule, "allow_teams") => restrictions.add("allow_teams", &value)?,
            (Product::Vestibule, "route") => restrictions.add("route", &value)?,
            (Product::OAuth2Proxy, "allowed_groups") => restrictions.add("allow_teams", &value)?,
            (_, other) => return Err(unknown_parameter(other)),
        }
    }
    let vestibule = (product == Product::Vestibule).then(|| release_of(&url)).flatten();
    Ok(Protection { product, restrictions, vestibule })
}

fn unknown_parameter(name: &str) -> String {
    format!(
        "auth-url: the parameter {} restricts the app in a way that the check's URL cannot; write an access rule into the role map, and \
         remove the parameter",
        shown(name)
    )
}

fn product_of(path: &str) -> Option<Product> {
    match path.trim_end_matches('/') {
        "/auth/nginx" => Some(Product::Vestibule),
        "/api/verify" | "/api/authz/auth-request" | "/api/authz/ext-authz" | "/api/authz/forward-auth" => Some(Product::Authelia),
        path if path.ends_with("/oauth2/auth") => Some(Product::OAuth2Proxy),
        _ => None,
    }
}

/// The chart's Services are `{release}-check` and `{release}-public`.
fn release_of(url: &Url) -> Option<ObjectRef> {
    let mut labels = url.host_str()?.split('.');
    let name = labels.next()?.strip_suffix("-check")?;
    let namespace = labels.next()?;
    let is_valid = is_label(name) && is_label(namespace) && labels.next().is_none_or(|label| label == "svc");
    is_valid.then(|| ObjectRef { namespace: namespace.to_owned(), name: name.to_owned() })
}

/// Characters that a list may have unescaped in a query.
const UNESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b',');

impl CheckParameters {
    fn add(&mut self, name: &'static str, value: &str) -> Result<(), String> {
        if self.0.iter().any(|(given, _)| *given == name) {
            return Err(format!("auth-url: {name} is given twice"));
        }
        self.0.push((name, value.to_owned()));
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the query of the check's URL for this host, for a gateway that copies headers of the response.
    pub fn query(&self, host: &str) -> String {
        let restrictions = self.0.iter().map(|(name, value)| format!("&{name}={}", utf8_percent_encode(value, UNESCAPED)));
        format!("host={host}&echo=true{}", restrictions.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HOST: &[&str] = &["llm.example.com"];

    #[rstest]
    #[case("https://$host/oauth2/auth", Product::OAuth2Proxy)]
    #[case("http://oauth2-proxy.auth.svc.cluster.local:4180/oauth2/auth?rd=x", Product::OAuth2Proxy)]
    #[case("http://authelia.default.svc.cluster.local/api/authz/auth-request", Product::Authelia)]
    #[case("https://auth.example.com/api/verify?rd=https://auth.example.com", Product::Authelia)]
    #[case("http://door-check.llm.svc:4181/auth/nginx?host=llm.example.com&echo=true", Product::Vestibule)]
    fn products_are_found_by_their_path(#[case] url: &str, #[case] product: Product) {
        let protection = parse(url, HOST).unwrap();
        assert_eq!((protection.product, protection.restrictions.is_empty()), (product, true));
    }

    #[rstest]
    #[case("https://auth.example.com/verify")]
    #[case("https://auth.example.com/auth/nginx/x")]
    #[case("")]
    #[case("http://p/oauth2/auth?allowed_emails=ada@example.com")]
    #[case("http://p/oauth2/auth?allowed_email_domains=example.com")]
    #[case("http://c/auth/nginx?host=other.example.com")]
    #[case("http://c/auth/nginx?allow_roles=a&allow_roles=b")]
    #[case("http://c/auth/nginx?other=1")]
    fn another_protection_is_refused(#[case] url: &str) {
        parse(url, HOST).unwrap_err();
    }

    #[test]
    fn restrictions_are_carried_over() {
        let protection = parse("http://p/oauth2/auth?allowed_groups=data%20science,a%2Bb", HOST).unwrap();
        assert_eq!(
            protection.restrictions.query("llm.example.com"),
            "host=llm.example.com&echo=true&allow_teams=data%20science,a%2Bb"
        );
        let own = parse("http://door-check.llm.svc.cluster.local:4181/auth/nginx?allow_roles=a&route=b", HOST).unwrap();
        assert_eq!(own.restrictions.query("x"), "host=x&echo=true&allow_roles=a&route=b");
        assert_eq!(own.vestibule, Some(ObjectRef { namespace: "llm".into(), name: "door".into() }));
    }
}
