//! A small browser without JavaScript: cookies by host and path, redirects one by one, forms.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use reqwest::header::{ACCEPT, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use url::{Position, Url};

use super::openapi;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const MOST_REDIRECTS: usize = 20;

/// Keeps its cookies; several tabs are several calls at the same time on one agent.
pub struct Agent {
    http: reqwest::Client,
    jar: Mutex<Vec<Cookie>>,
}

/// A cookie as it was set. Ports don't separate cookies, as in every browser.
#[derive(Debug, Clone)]
pub struct Cookie {
    pub host: String,
    pub path: String,
    pub name: String,
    pub value: String,
    /// The whole Set-Cookie line.
    pub line: String,
}

/// An answer; redirects are answers too.
#[derive(Debug, Clone)]
pub struct Page {
    pub url: Url,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

/// The first form of a page, with the fields that it already carries.
#[derive(Debug, Clone)]
pub struct Form {
    pub action: Url,
    pub fields: Vec<(String, String)>,
}

impl Agent {
    pub fn new() -> Self {
        Self { http: super::http_client(), jar: Mutex::default() }
    }

    /// An agent that finds `localhost` at this address only, where a gateway has the port of the public URL.
    pub fn through(gateway: SocketAddr) -> Self {
        Self { http: super::http_client_through(gateway), jar: Mutex::default() }
    }

    /// An agent at one of 250 loopback addresses in turn, as the users of a load have addresses of their own.
    pub fn at_next_address() -> Self {
        static CREATED: AtomicU8 = AtomicU8::new(0);
        let address = 1 + CREATED.fetch_add(1, Ordering::Relaxed) % 250;
        Self { http: super::http_client_at(Ipv4Addr::new(127, 0, 2, address)), jar: Mutex::default() }
    }

    /// Opens a page with the headers of a user's navigation. A redirect is returned, not followed.
    pub async fn get(&self, url: &str) -> Page {
        self.get_with(url, &[]).await
    }

    /// Like [`Agent::get`], but returns connection errors.
    pub async fn try_get(&self, url: &str) -> Result<Page, reqwest::Error> {
        self.try_send(self.http.get(url), url, &[]).await
    }

    /// Like [`Agent::get`], with additional headers, which replace the agent's headers of the same name.
    pub async fn get_with(&self, url: &str, headers: &[(&str, &str)]) -> Page {
        self.send(self.http.get(url), url, headers).await
    }

    /// Sends a form with the headers of a click on a button of the same page.
    pub async fn post(&self, url: &str, fields: &[(&str, &str)]) -> Page {
        self.post_with(url, fields, &[("sec-fetch-site", "same-origin")]).await
    }

    /// Like [`Agent::post`], but returns connection errors.
    pub async fn try_post(&self, url: &str, fields: &[(&str, &str)]) -> Result<Page, reqwest::Error> {
        self.try_send(self.http.post(url).form(fields), url, &[("sec-fetch-site", "same-origin")]).await
    }

    /// Like [`Agent::post`], with the given headers and without the agent's `Sec-Fetch-Site`.
    pub async fn post_with(&self, url: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Page {
        self.send(self.http.post(url).form(fields), url, headers).await
    }

    /// Submits a form with some fields filled in; like a browser, it sends `Origin`.
    pub async fn submit(&self, form: &Form, filled: &[(&str, &str)]) -> Page {
        let kept = form.fields.iter().filter(|(name, _)| !filled.iter().any(|(f, _)| f == name));
        let mut fields: Vec<(&str, &str)> = kept.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        fields.extend_from_slice(filled);
        let origin = form.action.origin().ascii_serialization();
        let headers = [("origin", origin.as_str()), ("sec-fetch-site", "same-origin")];
        self.post_with(form.action.as_str(), &fields, &headers).await
    }

    /// Follows redirects to the first page that is not a redirect.
    pub async fn browse(&self, url: &str) -> Page {
        let page = self.get(url).await;
        self.follow(page).await
    }

    /// Follows redirects from a page that was already received.
    pub async fn follow(&self, page: Page) -> Page {
        self.follow_until(page, |_| false).await
    }

    /// Follows redirects until a page that is not a redirect, or until a redirect whose target `stop` selects. That redirect is
    /// returned, and its target is not requested.
    pub async fn follow_until(&self, mut page: Page, stop: impl Fn(&Url) -> bool) -> Page {
        for _ in 0..MOST_REDIRECTS {
            match page.location() {
                Some(target) if !stop(&target) => page = self.get(target.as_str()).await,
                _ => return page,
            }
        }
        panic!("more than {MOST_REDIRECTS} redirects, the last to {}", page.url);
    }

    /// Follows redirects on the same host and port. Returns the page there, or the redirect to another origin.
    pub async fn browse_until_away(&self, url: &str) -> Page {
        let page = self.get(url).await;
        let here = page.url.origin();
        self.follow_until(page, |to| to.origin() != here).await
    }

    /// The cookies of a host on all paths.
    pub fn cookies(&self, host: &str) -> Vec<Cookie> {
        let jar = self.jar.lock().expect("no test panics while it holds the jar");
        jar.iter().filter(|cookie| cookie.host == host).cloned().collect()
    }

    pub fn cookie(&self, host: &str, name: &str) -> Option<Cookie> {
        self.cookies(host).into_iter().find(|cookie| cookie.name == name)
    }

    /// Adds a cookie, for example one of another browser or a forged one.
    pub fn set_cookie(&self, host: &str, line: &str) {
        if let Some(cookie) = Cookie::parse(host, line) {
            self.keep(cookie);
        }
    }

    pub fn clear_cookies(&self) {
        self.jar.lock().expect("no test panics while it holds the jar").clear();
    }

    async fn send(&self, request: reqwest::RequestBuilder, url: &str, headers: &[(&str, &str)]) -> Page {
        self.try_send(request, url, headers).await.unwrap_or_else(|error| panic!("{url}: {error:?}"))
    }

    /// Compares answers of the JSON API with the OpenAPI document.
    async fn try_send(
        &self,
        request: reqwest::RequestBuilder,
        url: &str,
        headers: &[(&str, &str)],
    ) -> Result<Page, reqwest::Error> {
        let url = Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        let request = request.headers(self.headers(&url, headers)).build()?;
        let method = request.method().clone();
        let response = self.http.execute(request).await?;
        self.keep_all(&url, response.headers());
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await?;
        openapi::assert_response_is_documented(
            method.as_str(),
            &url[Position::BeforePath..Position::AfterQuery],
            status,
            &headers,
            &body,
        );
        Ok(Page { url, status, headers, body })
    }

    /// Combines the agent's headers with those of the test, which take precedence and may be repeated.
    fn headers(&self, url: &Url, extra_headers: &[(&str, &str)]) -> HeaderMap {
        let mut sent = HeaderMap::new();
        for (name, value) in extra_headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
            sent.append(name, header_value(value));
        }
        let own = [(ACCEPT, "text/html"), (SEC_FETCH_MODE, "navigate")];
        for (name, value) in own {
            sent.entry(name).or_insert(HeaderValue::from_static(value));
        }
        if let Some(line) = self.cookie_line(url) {
            sent.entry(COOKIE).or_insert(header_value(&line));
        }
        sent
    }

    fn cookie_line(&self, url: &Url) -> Option<String> {
        let host = url.host_str()?;
        let sent: Vec<String> = self
            .cookies(host)
            .iter()
            .filter(|cookie| cookie.is_for(url.path()))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!sent.is_empty()).then(|| sent.join("; "))
    }

    fn keep_all(&self, url: &Url, headers: &HeaderMap) {
        let host = url.host_str().unwrap_or_default();
        for line in headers.get_all(SET_COOKIE) {
            let line = line.to_str().expect("cookies are ASCII");
            self.set_cookie(host, line);
        }
    }

    fn keep(&self, cookie: Cookie) {
        let mut jar = self.jar.lock().expect("no test panics while it holds the jar");
        jar.retain(|old| (&old.host, &old.path, &old.name) != (&cookie.host, &cookie.path, &cookie.name));
        if !cookie.is_removal() {
            jar.push(cookie);
        }
    }
}

impl Cookie {
    fn parse(host: &str, line: &str) -> Option<Self> {
        let (name, value) = line.split(';').next()?.split_once('=')?;
        let mut cookie = Self {
            host: host.to_owned(),
            path: "/".to_owned(),
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            line: line.to_owned(),
        };
        if let Some(path) = cookie.attribute("path").filter(|path| path.starts_with('/')) {
            cookie.path = path;
        }
        Some(cookie)
    }

    /// The value of an attribute; empty for one without a value, such as `Secure`.
    pub fn attribute(&self, name: &str) -> Option<String> {
        let attributes = self.line.split(';').skip(1);
        let pairs = attributes.map(|part| part.trim().split_once('=').unwrap_or((part.trim(), "")));
        let mut found = pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.to_owned())
    }

    fn is_for(&self, path: &str) -> bool {
        let rest = path.strip_prefix(self.path.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/'))
    }

    fn is_removal(&self) -> bool {
        let past = |text: String| text.contains("1970");
        self.attribute("max-age").is_some_and(|age| age == "0" || age.starts_with('-'))
            || self.attribute("expires").is_some_and(past)
    }
}

impl Page {
    /// The target of a redirect as an absolute URL.
    pub fn location(&self) -> Option<Url> {
        if !(300..400).contains(&self.status) {
            return None;
        }
        self.url.join(self.headers.get(LOCATION)?.to_str().ok()?).ok()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("our headers are ASCII"))
    }

    pub fn set_cookies(&self) -> Vec<&str> {
        let lines = self.headers.get_all(SET_COOKIE).iter();
        lines.map(HeaderValue::to_str).map(|line| line.expect("cookies are ASCII")).collect()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{}: {error}: {}", self.url, self.body))
    }

    pub fn form(&self) -> Form {
        self.try_form().unwrap_or_else(|| panic!("{}: no form: {}", self.url, self.body))
    }

    /// The HTTP targets of the page's links, in document order.
    pub fn links(&self) -> Vec<Url> {
        let anchors = self.body.split("<a ").skip(1);
        let targets = anchors.filter_map(|tag| self.url.join(&attribute(&format!("<a {tag}"), "href")?).ok());
        targets.filter(|url| url.scheme().starts_with("http")).collect()
    }

    /// All forms of the page, in document order.
    pub fn forms(&self) -> Vec<Form> {
        let forms = self.body.split("<form").skip(1);
        forms.filter_map(|rest| self.form_of(&rest[..rest.find("</form>").unwrap_or(rest.len())])).collect()
    }

    fn try_form(&self) -> Option<Form> {
        self.forms().into_iter().next()
    }

    /// Parses the text between a form's tags.
    fn form_of(&self, form: &str) -> Option<Form> {
        let action = attribute(form, "action").unwrap_or_default();
        // Browsers do not send unchecked boxes.
        let is_sent = |input: &&str| {
            attribute(input, "type").as_deref() != Some("checkbox")
                || input.split('>').next().is_some_and(|tag| tag.ends_with(" checked"))
        };
        let inputs = form.split("<input").skip(1).filter(is_sent);
        let fields = inputs.filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default())));
        Some(Form { action: self.url.join(&action).ok()?, fields: fields.collect() })
    }
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a header's value")
}

/// An attribute of the tag at the beginning of the text.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = &tag[..tag.find('>').unwrap_or(tag.len())];
    let (_, rest) = tag.split_once(&format!(" {name}="))?;
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let (value, _) = rest[1..].split_once(quote)?;
    Some(unescape(value))
}

fn unescape(text: &str) -> String {
    let entities = [
        ("&#x2F;", "/"),
        ("&#47;", "/"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&lt;", "<"),
        ("&#60;", "<"),
        ("&gt;", ">"),
        ("&#62;", ">"),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ];
    entities.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> Page {
        Page { url: Url::parse("http://localhost:1/a/b").unwrap(), status: 200, headers: HeaderMap::new(), body: body.to_owned() }
    }

    #[test]
    fn a_form_is_read_with_its_fields() {
        let form = page(
            "<p><form method=\"post\" action=\"/x?a=1&amp;b=2\"><input type=hidden name=\"t\" \
             value='v'><input name=\"user\"></form>",
        )
        .form();
        assert_eq!(form.action.as_str(), "http://localhost:1/x?a=1&b=2");
        let expected = vec![("t".into(), "v".into()), ("user".into(), String::new())];
        assert_eq!(form.fields, expected);
    }

    #[test]
    fn a_cookie_keeps_to_its_path_and_goes_when_it_is_removed() {
        let agent = Agent::new();
        let line = |path: &str| agent.cookie_line(&Url::parse(path).unwrap());
        agent.set_cookie("localhost", "a=1; Path=/x; HttpOnly");
        assert_eq!(line("http://localhost:5/x/y").as_deref(), Some("a=1"));
        assert_eq!(line("http://localhost:6/x").as_deref(), Some("a=1"));
        assert_eq!(line("http://localhost/xy"), None);
        assert_eq!(line("http://127.0.0.1/x"), None);
        agent.set_cookie("localhost", "a=; Path=/x; Max-Age=0");
        assert!(agent.cookies("localhost").is_empty());
    }
}
