//! The `apps` section: applications that may obtain API keys through the browser.

use std::time::Duration;

use url::Url;

use super::values;
use crate::yaml::decode::{Kind, Section, field};
use crate::{
    api_keys::app_requests::{AllowedOrigins, AppKeySettings, RedirectPolicy, parse_app_scheme},
    origin,
};

pub const DOC: &str = "Applications that obtain an API key through the browser, at `/sso/key/generate`.";

/// `longest` is the maximum lifetime of keys, which keys of applications have too.
pub fn read(section: &mut Section<'_>, longest: Option<Duration>) -> Option<AppKeySettings> {
    let redirect_schemes = section.list(
        field(
            "redirect_schemes",
            "Allowed schemes of redirect URIs in addition to those of well-known editors, such as `[myide]`, or \
             `[com.example.app]` for `com.example.app:/callback`. `OAUTH_ALLOWED_REDIRECT_SCHEMES`, separated by commas, adds \
             to them.",
        )
        .unset("none"),
        &SCHEME,
        &[],
    );
    let redirect_hosts = section.list(
        field(
            "redirect_hosts",
            "Allowed hosts of https redirect URIs, with the port unless it is 443. Loopback hosts are always allowed.",
        )
        .unset("none"),
        &HOST,
        &[],
    );
    let origins = section.list(
        field(
            "origins",
            "Origins whose pages may call `/sso/key/generate` without cookies (CORS), or `[\"*\"]` for all origins. \
             `OAUTH_ALLOWED_ORIGINS`, separated by commas, adds to them.",
        )
        .unset("none"),
        &ORIGIN,
        &[],
    );
    let key_duration = section.or_default(field("key_duration", "Lifetime of an application's API key."), &DURATION, "24h");
    let origins = origins?;
    let allows_all = origins.iter().any(|origin| origin == "*");
    if allows_all && origins.len() > 1 {
        section.complain("origins", "combines `*` with other origins; keep one or the other");
        return None;
    }
    let key_duration = key_duration?;
    Some(AppKeySettings {
        redirects: RedirectPolicy::new(redirect_schemes?, redirect_hosts?),
        origins: if allows_all { AllowedOrigins::Any } else { AllowedOrigins::Listed(origins) },
        life: longest.map_or(key_duration, |longest| key_duration.min(longest)),
    })
}

const SCHEME: Kind<String> = Kind { name: "scheme", parse: |text| parse_app_scheme(text).map_err(|error| error.to_string()) };

const HOST: Kind<String> = Kind { name: "host", parse: host };

const ORIGIN: Kind<String> = Kind { name: "origin", parse: web_origin };

const DURATION: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| {
        let (least, most) = (Duration::from_secs(60), Duration::from_secs(365 * 86_400));
        values::duration(text, least, most, "must be from 1m to 365d")
    },
};

/// Returns the host in the form of a parsed URL, so that the two can be compared.
fn host(text: &str) -> Result<String, String> {
    let error = || "must be a host, with the port unless it is 443, such as app.example.com or app.example.com:8443".to_owned();
    let url = Url::parse(&format!("https://{text}")).map_err(|_| error())?;
    let plain = !text.contains(['/', '?', '#', '@', '*', '\\', ' ']) && url.path() == "/";
    match url.host_str().filter(|_| plain) {
        Some(host) => Ok(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))),
        None => Err(error()),
    }
}

/// Returns the origin as browsers write it in `Origin`. Pages of editors have non-web schemes.
fn web_origin(text: &str) -> Result<String, String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    let error = || "must be an origin such as https://app.example.com, without a path, or `*`".to_owned();
    let (_, authority) = text.split_once("://").ok_or_else(error)?;
    let url = Url::parse(text).map_err(|_| error())?;
    let plain = !authority.contains(['/', '?', '#', '@', '*', '\\']) && url.host_str().is_some_and(|host| !host.is_empty());
    match url.scheme() {
        _ if !plain => Err(error()),
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
    fn a_redirect_host_has_no_scheme_path_or_user(#[case] text: &str, #[case] expected: Result<&str, ()>) {
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
    fn an_origin_has_the_form_that_browsers_send(#[case] text: &str, #[case] expected: Result<&str, ()>) {
        assert_eq!(web_origin(text).map_err(drop), expected.map(str::to_owned));
    }
}
