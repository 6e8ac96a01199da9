//! Shortens a `User-Agent` header for the list of sessions.

use super::text::text;

/// The first match is the browser. Many browsers also name others that they are compatible with.
const BROWSERS: [(&str, &str); 9] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// Android names Linux, and an iPhone names Mac OS.
const SYSTEMS: [(&str, &str); 7] = [
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// For example `Firefox on Linux`; `None` if it is unknown. Browsers can send any value.
pub fn browser(agent: &str) -> Option<String> {
    let first = |known: &[(&str, &'static str)]| known.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name);
    match (first(&BROWSERS), first(&SYSTEMS)) {
        (Some(browser), Some(system)) => Some(text("browser-on", &[("browser", browser.into()), ("system", system.into())])),
        (browser, system) => browser.or(system).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_known_among_those_that_it_is_compatible_with() {
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        for (agent, words) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0".to_owned(), "Firefox on Linux"),
            (
                format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/141.0.0.0 Safari/537.36 Edg/141.0"),
                "Edge on Windows",
            ),
            (format!("Mozilla/5.0 (Linux; Android 10; K) {webkit} Chrome/141.0.0.0 Mobile Safari/537.36"), "Chrome on Android"),
            (format!("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {webkit} Version/26.0 Safari/605.1.15"), "Safari on macOS"),
            (
                format!("Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) {webkit} CriOS/141.0 Safari/604.1"),
                "Chrome on iOS",
            ),
            ("Lynx (Linux)".to_owned(), "Linux"),
        ] {
            assert_eq!(browser(&agent).as_deref(), Some(words), "{agent}");
        }
        assert_eq!(browser("curl/8.14.1"), None);
    }
}
