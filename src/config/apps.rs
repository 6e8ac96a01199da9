//! The section `apps`: which applications may obtain keys through the browser, and from where.

use std::time::Duration;

use url::Url;

use super::values;
use crate::yaml::decode::{Kind, Section, field};
use crate::{
    apps::{Origins, app_scheme},
    origin,
};

pub const DOC: &str = "Applications that obtain a key through the browser, at `/sso/key/generate`.";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apps {
    /// Besides those that are always allowed, in lower case.
    pub redirect_schemes: Vec<String>,
    /// `host` or `host:port`.
    pub redirect_hosts: Vec<String>,
    pub origins: Origins,
    pub key_duration: Duration,
}

pub fn read(section: &mut Section<'_>) -> Option<Apps> {
    let redirect_schemes = section.list(
        field(
            "redirect_schemes",
            "Schemes of redirects besides those of the well-known editors, such as `[myide]`. \
             `OAUTH_ALLOWED_REDIRECT_SCHEMES`, separated by commas, adds to them.",
        )
        .unset("none"),
        &SCHEME,
        &[],
    );
    let redirect_hosts = section.list(
        field("redirect_hosts", "Hosts of https redirects, with the port unless it is 443. Loopback hosts need no listing.")
            .unset("none"),
        &HOST,
        &[],
    );
    let origins = section.list(
        field(
            "origins",
            "Origins whose pages may call `/sso/key/generate` (CORS), or `[\"*\"]` for all, without cookies. \
             `OAUTH_ALLOWED_ORIGINS`, separated by commas, adds to them.",
        )
        .unset("none"),
        &ORIGIN,
        &[],
    );
    let key_duration = section.or_default(field("key_duration", "How long a key of an application lives."), &DURATION, "24h");
    let origins = origins?;
    let any = origins.iter().any(|origin| origin == "*");
    if any && origins.len() > 1 {
        section.complain("origins", "has `*` beside origins of its own; leave one or the other");
        return None;
    }
    Some(Apps {
        redirect_schemes: redirect_schemes?,
        redirect_hosts: redirect_hosts?,
        origins: if any { Origins::Any } else { Origins::Listed(origins) },
        key_duration: key_duration?,
    })
}

const SCHEME: Kind<String> = Kind { name: "scheme", parse: |text| app_scheme(text).map_err(|error| error.to_string()) };

const HOST: Kind<String> = Kind { name: "host", parse: host };

const ORIGIN: Kind<String> = Kind { name: "origin", parse: web_origin };

const DURATION: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| {
        let (least, most) = (Duration::from_secs(60), Duration::from_secs(365 * 86_400));
        values::duration(text, least, most, "must be from 1m to 365d")
    },
};

/// As it stands in a URL that was parsed, so that the two can be compared.
fn host(text: &str) -> Result<String, String> {
    let wrong = || "must be a host, and its port unless that is 443, such as app.example.com or app.example.com:8443".to_owned();
    let url = Url::parse(&format!("https://{text}")).map_err(|_| wrong())?;
    let plain = !text.contains(['/', '?', '#', '@', '*', '\\', ' ']) && url.path() == "/";
    match url.host_str().filter(|_| plain) {
        Some(host) => Ok(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))),
        None => Err(wrong()),
    }
}

/// As browsers write it in `Origin`; editors' own pages have schemes of their own.
fn web_origin(text: &str) -> Result<String, String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    let wrong = || "must be an origin such as https://app.example.com, without a path, or `*`".to_owned();
    let (_, authority) = text.split_once("://").ok_or_else(wrong)?;
    let url = Url::parse(text).map_err(|_| wrong())?;
    let plain = !authority.contains(['/', '?', '#', '@', '*', '\\']) && url.host_str().is_some_and(|host| !host.is_empty());
    match url.scheme() {
        _ if !plain => Err(wrong()),
        "http" if !origin::is_loopback(&url) => Err("must be https; http is accepted for loopback hosts only".to_owned()),
        "http" | "https" => Ok(url.origin().ascii_serialization()),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("app.example.com", Ok("app.example.com"))]
    #[case("APP.example.com:8443", Ok("app.example.com:8443"))]
    #[case("app.example.com:443", Ok("app.example.com"))]
    #[case("[::2]:8443", Ok("[::2]:8443"))]
    #[case("https://app.example.com", Err(()))]
    #[case("app.example.com/", Err(()))]
    #[case("*.example.com", Err(()))]
    #[case("user@app.example.com", Err(()))]
    #[case("", Err(()))]
    fn a_redirects_host_stands_alone(#[case] text: &str, #[case] expected: Result<&str, ()>) {
        assert_eq!(host(text).map_err(drop), expected.map(str::to_owned));
    }

    #[rstest]
    #[case("*", Ok("*"))]
    #[case("https://app.example.com", Ok("https://app.example.com"))]
    #[case("https://APP.example.com:443", Ok("https://app.example.com"))]
    #[case("http://localhost:3000", Ok("http://localhost:3000"))]
    #[case("vscode-webview://abc", Ok("vscode-webview://abc"))]
    #[case("http://app.example.com", Err(()))]
    #[case("https://app.example.com/", Err(()))]
    #[case("https://app.example.com/path", Err(()))]
    #[case("https://*.example.com", Err(()))]
    #[case("https://u@app.example.com", Err(()))]
    #[case("https://", Err(()))]
    #[case("app.example.com", Err(()))]
    #[case("null", Err(()))]
    fn an_origin_is_what_a_browser_sends(#[case] text: &str, #[case] expected: Result<&str, ()>) {
        assert_eq!(web_origin(text).map_err(drop), expected.map(str::to_owned));
    }
}
