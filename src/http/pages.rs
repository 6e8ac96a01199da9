//! The pages that a person sees: plain data in, HTML out; their words and look live in `templates/`.

use std::time::Duration;

use askama::Template;
use jiff::{Timestamp, tz::TimeZone};

/// The configuration that [`NotConfigured`] shows as the next step.
pub const EXAMPLE_CONFIG: &str = include_str!("../../templates/example.yaml");

const STYLE: &str = include_str!("../../templates/style.css");
const ICON: &str = include_str!("../../templates/icon.svg");
const CONTINUE: &str = include_str!("../../templates/continue.js");
const STYLE_TAG: u64 = content_tag(STYLE.as_bytes());
const ICON_TAG: u64 = content_tag(ICON.as_bytes());
const CONTINUE_TAG: u64 = content_tag(CONTINUE.as_bytes());

/// Where the files are that the pages refer to.
pub const ASSETS: &str = "/vestibule/assets/";

/// The choice between providers, or the one button where there is no choice.
#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
pub struct SignIn {
    /// At least one; [`NotConfigured`] is the page for none.
    pub providers: Vec<ProviderLink>,
    /// Why the person is asked, where that needs saying: one sentence.
    pub notice: Option<String>,
}

/// A provider that a person may choose.
#[derive(Debug, Clone)]
pub struct ProviderLink {
    pub name: String,
    pub href: String,
}

/// The sign-in page of an installation without any provider, written for its operator.
#[derive(Debug, Template)]
#[template(path = "not_configured.html")]
pub struct NotConfigured {
    /// What is on, one plain sentence each.
    pub facts: Vec<String>,
    /// The first provider's redirect URI, to be registered there.
    pub redirect_uri: String,
}

/// What went wrong and what to do about it.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    pub status: u16,
    pub title: String,
    pub what_happened: String,
    pub what_next: String,
    /// Words of another party, kept apart so that nobody takes them for ours.
    pub quote: Option<Quote>,
    pub action: Option<Action>,
    pub second_action: Option<Action>,
    pub request_id: String,
}

/// What another party said, such as an identity provider's error.
#[derive(Debug, Clone)]
pub struct Quote {
    pub speaker: String,
    pub text: String,
}

/// A link that looks like a button.
#[derive(Debug, Clone)]
pub struct Action {
    pub label: String,
    pub href: String,
}

/// Asks before a session is ended.
#[derive(Template)]
#[template(path = "sign_out.html")]
pub struct SignOut {
    /// The anti-CSRF token that the form sends back.
    pub csrf: String,
    pub account: Account,
    /// The provider that ends its own session too; none when it offers no logout.
    pub provider_name: Option<String>,
    /// Where the form is posted.
    pub action: String,
    pub stay_href: String,
}

/// Asks whether an application may have a key, or goes on by itself.
#[derive(Template)]
#[template(path = "app_key.html")]
pub struct AppKey {
    /// By what can be known of it: where the key will go.
    pub application: String,
    pub account: Account,
    pub life: Duration,
    pub consent: Consent,
    /// The application's request, to come back with the answer.
    pub fields: Vec<(&'static str, String)>,
    /// The anti-CSRF token that the form sends back.
    pub csrf: String,
    pub action: &'static str,
}

/// Whether the person is asked.
#[derive(Debug, Clone, Copy)]
pub enum Consent {
    /// `warning`: what to think of before agreeing, one or two sentences.
    Asked { warning: Option<&'static str> },
    /// They have agreed before: a script goes on, or they press the button.
    GivenBefore,
}

/// A person's keys.
#[derive(Template)]
#[template(path = "keys.html")]
pub struct KeysPage {
    pub keys: Vec<KeyLine>,
    /// The key that was just made: the only time that its secret is seen.
    pub made: Option<NewKey>,
    /// Why one was not made: a sentence or two.
    pub problem: Option<String>,
    pub next_href: Option<String>,
    /// Where to sign in before a key can be made; none where that was done lately.
    pub sign_in_href: Option<String>,
    /// Where keys go without asking, since the person agreed to it.
    pub trusted: Vec<String>,
    /// The anti-CSRF token that the forms send back.
    pub csrf: String,
    pub action: &'static str,
}

/// A key in a list.
#[derive(Debug, Clone)]
pub struct KeyLine {
    pub id: String,
    pub name: String,
    /// When it was made, when it ends, when it was used: a line.
    pub facts: String,
}

/// A key that was just made. Without `Debug`, for the secret's sake.
pub struct NewKey {
    pub name: String,
    pub secret: String,
}

/// Who is signed in.
#[derive(Debug, Clone)]
pub struct Account {
    /// The name, the email or the subject: whichever is known first.
    pub name: String,
    pub role: Option<String>,
}

/// Says that the session has ended.
#[derive(Debug, Template)]
#[template(path = "signed_out.html")]
pub struct SignedOut {
    pub sign_in_href: String,
    /// What became of the session at the provider: one sentence.
    pub provider_note: Option<String>,
}

/// Who am I: the account, its grant and its session.
#[derive(Debug, Template)]
#[template(path = "home.html")]
pub struct Home {
    pub account: Account,
    /// Shown below the name, so leave it out where it is the name.
    pub email: Option<String>,
    /// The role map's rule that gave the role; none for the default role.
    pub rule: Option<String>,
    pub teams: Vec<String>,
    pub provider: String,
    pub session_ends: Timestamp,
    pub idle_limit: Option<Duration>,
    pub sign_out_href: String,
}

/// A file that the pages refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    pub content_type: &'static str,
    pub cache_control: &'static str,
    pub body: &'static str,
}

/// The page as a whole HTML document.
pub fn render(page: &impl Template) -> String {
    page.render().expect("a page only formats text into a String, which cannot fail")
}

/// The file behind `/vestibule/assets/{name}`.
///
/// Names carry a tag of the content. While an update rolls out, a page of one version asks a pod of
/// another: it gets that pod's file, and is told not to keep it.
pub fn asset(name: &str) -> Option<Asset> {
    let mut parts = name.split('.');
    let (stem, tag, extension) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (content_type, body, current) = match (stem, extension) {
        ("style", "css") => ("text/css; charset=utf-8", STYLE, STYLE_TAG),
        ("icon", "svg") => ("image/svg+xml", ICON, ICON_TAG),
        ("continue", "js") => ("text/javascript; charset=utf-8", CONTINUE, CONTINUE_TAG),
        _ => return None,
    };
    let cache_control = if tag == format!("{current:016x}") { "public, max-age=31536000, immutable" } else { "no-store" };
    Some(Asset { content_type, cache_control, body })
}

impl Home {
    fn end_in_words(&self) -> String {
        self.session_ends.to_zoned(TimeZone::UTC).strftime("%-d %B %Y, %H:%M\u{a0}UTC").to_string()
    }

    fn idle_in_words(&self) -> Option<String> {
        self.idle_limit.map(in_words)
    }
}

impl AppKey {
    fn life_in_words(&self) -> String {
        in_words(self.life)
    }
}

/// A duration in its largest unit that leaves no rest; whatever is below a second is dropped.
fn in_words(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let seconds = duration.as_secs();
    let (size, unit) =
        UNITS.into_iter().find(|(size, _)| seconds >= *size && seconds.is_multiple_of(*size)).unwrap_or((1, "second"));
    match seconds / size {
        1 => format!("1 {unit}"),
        count => format!("{count} {unit}s"),
    }
}

/// FNV-1a: tells two versions of a file apart, which is all that a cache needs.
const fn content_tag(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = r#"<script>alert(1)</script>" onfocus="x" '><img src=x> & </title>"#;

    fn hostile() -> String {
        HOSTILE.to_owned()
    }

    fn hostile_action() -> Action {
        Action { label: hostile(), href: hostile() }
    }

    fn hostile_account() -> Account {
        Account { name: hostile(), role: Some(hostile()) }
    }

    fn hostile_provider() -> ProviderLink {
        ProviderLink { name: hostile(), href: hostile() }
    }

    fn sign_in(providers: Vec<ProviderLink>) -> String {
        render(&SignIn { providers, notice: Some(hostile()) })
    }

    fn not_configured() -> String {
        render(&NotConfigured { facts: vec![hostile()], redirect_uri: hostile() })
    }

    fn error() -> String {
        render(&ErrorPage {
            status: 400,
            title: hostile(),
            what_happened: hostile(),
            what_next: hostile(),
            quote: Some(Quote { speaker: hostile(), text: hostile() }),
            action: Some(hostile_action()),
            second_action: Some(hostile_action()),
            request_id: hostile(),
        })
    }

    fn sign_out() -> String {
        render(&SignOut {
            csrf: hostile(),
            account: hostile_account(),
            provider_name: Some(hostile()),
            action: hostile(),
            stay_href: hostile(),
        })
    }

    fn signed_out() -> String {
        render(&SignedOut { sign_in_href: hostile(), provider_note: Some(hostile()) })
    }

    fn a_home() -> Home {
        Home {
            account: Account { name: "Ada Lovelace".to_owned(), role: Some("internal_user".to_owned()) },
            email: None,
            rule: None,
            teams: Vec::new(),
            provider: "Corp SSO".to_owned(),
            session_ends: Timestamp::UNIX_EPOCH,
            idle_limit: None,
            sign_out_href: "/sso/logout".to_owned(),
        }
    }

    fn app_key(consent: Consent) -> String {
        render(&AppKey {
            application: hostile(),
            account: hostile_account(),
            life: Duration::from_secs(86_400),
            consent,
            fields: vec![("state", hostile())],
            csrf: hostile(),
            action: "/sso/key/generate",
        })
    }

    fn keys_page() -> String {
        render(&KeysPage {
            keys: vec![KeyLine { id: hostile(), name: hostile(), facts: hostile() }],
            made: Some(NewKey { name: hostile(), secret: hostile() }),
            problem: Some(hostile()),
            next_href: Some(hostile()),
            sign_in_href: None,
            trusted: vec![hostile()],
            csrf: hostile(),
            action: "/vestibule/keys",
        })
    }

    fn hostile_home() -> String {
        render(&Home {
            account: hostile_account(),
            email: Some(hostile()),
            rule: Some(hostile()),
            teams: vec![hostile()],
            provider: hostile(),
            sign_out_href: hostile(),
            ..a_home()
        })
    }

    fn every_page() -> Vec<String> {
        vec![
            sign_in(vec![hostile_provider()]),
            sign_in(vec![hostile_provider(), hostile_provider()]),
            not_configured(),
            error(),
            sign_out(),
            app_key(Consent::Asked { warning: Some("Agree only if you have just begun this.") }),
            app_key(Consent::GivenBefore),
            keys_page(),
            signed_out(),
            hostile_home(),
        ]
    }

    #[test]
    fn hostile_text_is_escaped_everywhere() {
        for page in every_page() {
            assert!(page.contains("&#60;script&#62;alert(1)"), "{page}");
            for raw in ["<script>", "<img", "\" onfocus", "'><", " & </title"] {
                assert!(!page.contains(raw), "{raw} in {page}");
            }
            assert_eq!(page.matches("</title>").count(), 1, "{page}");
        }
    }

    #[test]
    fn no_page_needs_inline_style_or_script() {
        for page in every_page() {
            for inline in ["style=", "<style", "<script>", "javascript:", "data:"] {
                assert!(!page.contains(inline), "{inline} in {page}");
            }
            for script in page.split("<script ").skip(1) {
                assert!(script.starts_with("src=\"/vestibule/assets/") && script.contains("defer></script>"), "{script}");
            }
        }
    }

    #[test]
    fn every_page_has_a_language_a_title_one_heading_and_a_main_landmark() {
        for page in every_page() {
            for once in ["<html lang=\"en\">", "<title>", "<h1>", "<main id=\"main\""] {
                assert_eq!(page.matches(once).count(), 1, "{once} in {page}");
            }
            assert!(page.starts_with("<!DOCTYPE html>"), "{page}");
        }
    }

    #[test]
    fn what_a_page_refers_to_is_served_for_good() {
        let page = app_key(Consent::GivenBefore);
        let names: Vec<&str> = page.split(ASSETS).skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(names.len(), 3);
        for name in names {
            let asset = asset(name).expect("the page refers to it");
            assert!(asset.cache_control.contains("immutable"));
            assert!(!asset.body.is_empty());
        }
    }

    #[test]
    fn another_versions_asset_is_served_but_not_kept() {
        let asset = asset("style.0123456789abcdef.css").expect("the stylesheet");
        assert_eq!(asset.body, STYLE);
        assert_eq!(asset.cache_control, "no-store");
    }

    #[test]
    fn an_unknown_asset_is_absent() {
        for name in ["", "style", "style.css", "icon.1.css", "a.b.c", "style.1.css.map"] {
            assert_eq!(asset(name), None, "{name}");
        }
    }

    #[test]
    fn one_provider_is_a_button_and_several_are_a_list() {
        let link = ProviderLink { name: "Corp SSO".to_owned(), href: "/sso/login?provider=corp&rd=%2F".to_owned() };
        let one = sign_in(vec![link.clone()]);
        assert!(one.contains("Continue with <bdi>Corp SSO</bdi>"), "{one}");
        let two = sign_in(vec![link.clone(), link]);
        assert!(!two.contains("Continue with"), "{two}");
        assert_eq!(two.matches("provider=corp&#38;rd=%2F").count(), 2, "{two}");
    }

    #[test]
    fn signing_out_is_a_post_with_the_token() {
        let page = render(&SignOut {
            csrf: "token".to_owned(),
            account: a_home().account,
            provider_name: None,
            action: "/sso/logout".to_owned(),
            stay_href: "/vestibule/".to_owned(),
        });
        assert!(page.contains(r#"method="post" action="/sso/logout""#), "{page}");
        assert!(page.contains(r#"type="hidden" name="csrf" value="token""#), "{page}");
        assert!(page.contains(r#"href="/vestibule/""#), "{page}");
    }

    #[test]
    fn home_says_where_the_role_comes_from() {
        let default = render(&a_home());
        assert!(default.contains("The default role"), "{default}");
        let rule = Some("groups: /engineering/*".to_owned());
        let ruled = render(&Home { rule, ..a_home() });
        assert!(ruled.contains("Given by the rule"), "{ruled}");
        assert!(ruled.contains("groups: /engineering/*"), "{ruled}");
        let mut none = a_home();
        none.account.role = None;
        assert!(render(&none).contains("No rule of the role map matches you"));
    }

    #[test]
    fn home_says_when_the_session_ends() {
        let page = render(&Home {
            session_ends: "2026-11-30T14:05:59Z".parse().expect("a timestamp"),
            idle_limit: Some(Duration::from_secs(12 * 3_600)),
            ..a_home()
        });
        assert!(page.contains("30 November 2026, 14:05\u{a0}UTC"), "{page}");
        assert!(page.contains("after 12 hours without use"), "{page}");
    }

    #[test]
    fn durations_are_said_in_their_largest_whole_unit() {
        for (seconds, words) in
            [(0, "0 seconds"), (1, "1 second"), (60, "1 minute"), (5_400, "90 minutes"), (86_400, "1 day"), (604_800, "7 days")]
        {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}
