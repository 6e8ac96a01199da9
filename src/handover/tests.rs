//! A handover succeeds once, for its host, its browser, its session cookie and its request, within its time.

use proptest::prelude::*;

use super::*;
use crate::{clock::manual::ManualClock, oidc::FlowLimit, return_target, secret::KeyRing, store::MemoryStore};

const CHAT: &str = "chat.example.com";
const MCP: &str = "mcp.example.com";

struct Setup {
    handovers: Handovers,
    clock: ManualClock,
    browser: BrowserBinding,
}

fn setup() -> Setup {
    let clock = ManualClock::new();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let store = Arc::new(MemoryStore::new(Arc::clone(&shared)));
    let records = Records::new(store, Arc::new(KeyRing::ephemeral(Arc::clone(&shared))), "test:");
    Setup { handovers: Handovers::new(records, 1000, shared), clock, browser: browser() }
}

fn browser() -> BrowserBinding {
    BrowserBinding::parse_cookie(&BrowserBinding::new_cookie()).unwrap()
}

fn target(path: &str) -> ReturnTarget {
    ReturnTarget::parse(path, "").unwrap()
}

fn alice() -> Handover {
    Handover { user: "alice".to_owned(), session: Digest::of(b"session") }
}

impl Setup {
    fn request(&self) -> HandoverRequest {
        let text = self.handovers.request(CHAT, &self.browser, None, &target("/app?x=1"));
        self.handovers.parse_request(&text).unwrap()
    }

    async fn code(&self, request: &HandoverRequest) -> OpaqueToken {
        self.handovers.issue(request, &alice()).await.unwrap()
    }

    async fn take(&self, code: &OpaqueToken, request: &HandoverRequest) -> Result<Handover, TakeHandoverError> {
        self.handovers.take(code.expose(), request, CHAT, Some(&self.browser), None).await
    }
}

fn reason(taken: Result<Handover, TakeHandoverError>) -> &'static str {
    taken.map_or_else(|error| error.reason(), |_| "taken")
}

#[tokio::test]
async fn a_code_is_taken_once() {
    let setup = setup();
    let request = setup.request();
    assert_eq!((request.host(), request.target().as_str()), (CHAT, "/app?x=1"));
    let code = setup.code(&request).await;
    assert_eq!(setup.take(&code, &request).await.unwrap(), alice());
    assert_eq!(reason(setup.take(&code, &request).await), "code_used");
}

#[tokio::test]
async fn one_of_several_concurrent_attempts_takes_the_code() {
    let setup = setup();
    let request = setup.request();
    let code = setup.code(&request).await;
    let attempts = (0..8).map(|_| setup.take(&code, &request));
    let reasons: Vec<_> = futures::future::join_all(attempts).await.into_iter().map(reason).collect();
    assert_eq!(reasons.iter().filter(|reason| **reason == "taken").count(), 1, "{reasons:?}");
    assert_eq!(reasons.iter().filter(|reason| **reason == "code_used").count(), 7, "{reasons:?}");
}

#[tokio::test]
async fn another_browser_host_or_request_is_refused_and_uses_the_code_up() {
    let setup = setup();
    let (request, browser, other) = (setup.request(), Some(setup.browser), browser());
    let at_mcp = setup.handovers.parse_request(&setup.handovers.request(MCP, &setup.browser, None, &target("/"))).unwrap();
    let of_other = setup.handovers.parse_request(&setup.handovers.request(CHAT, &other, None, &target("/"))).unwrap();
    for (request_of_attempt, host, browser, expected) in [
        (&request, CHAT, None, "other_browser"),
        (&request, CHAT, Some(other), "other_browser"),
        (&request, MCP, browser, "other_host"),
        (&at_mcp, MCP, browser, "other_request"),
        (&at_mcp, CHAT, browser, "other_request"),
        (&of_other, CHAT, Some(other), "other_request"),
        (&of_other, CHAT, browser, "other_request"),
    ] {
        let code = setup.code(&request).await;
        let attempt = setup.handovers.take(code.expose(), request_of_attempt, host, browser.as_ref(), None).await;
        assert_eq!(reason(attempt), expected);
        assert_eq!(reason(setup.take(&code, &request).await), "code_used", "after {expected}");
    }
}

#[tokio::test]
async fn only_the_session_cookie_of_the_beginning_is_replaced() {
    let setup = setup();
    let [own, other] = [b"own", b"any"].map(|cookie| Some(Digest::of(cookie)));
    for (begun_with, received_with, expected) in [
        (None, None, "taken"),
        (own, own, "taken"),
        (own, None, "taken"),
        (None, own, "other_session"),
        (other, own, "other_session"),
    ] {
        let text = setup.handovers.request(CHAT, &setup.browser, begun_with, &target("/"));
        let request = setup.handovers.parse_request(&text).unwrap();
        let code = setup.code(&request).await;
        let attempt = setup.handovers.take(code.expose(), &request, CHAT, Some(&setup.browser), received_with).await;
        assert_eq!(reason(attempt), expected, "{begun_with:?} {received_with:?}");
        assert_eq!(reason(setup.take(&code, &request).await), "code_used");
    }
}

#[tokio::test]
async fn a_request_without_the_field_of_the_session_replaces_none() {
    let setup = setup();
    let json = serde_json::json!({
        "host": CHAT, "browser": setup.browser.fingerprint(), "target": target("/"), "begun": setup.clock.now(),
    });
    let encrypted = setup.handovers.codes.ring().encrypt(EncryptionPurpose::Handover, b"", json.to_string().as_bytes());
    let request = setup.handovers.parse_request(&URL_SAFE_NO_PAD.encode(encrypted)).unwrap();
    for (session, expected) in [(None, "taken"), (Some(Digest::of(b"own")), "other_session")] {
        let code = setup.code(&request).await;
        let attempt = setup.handovers.take(code.expose(), &request, CHAT, Some(&setup.browser), session).await;
        assert_eq!(reason(attempt), expected);
    }
}

#[tokio::test]
async fn a_code_expires_after_a_minute_and_a_request_after_ten() {
    let setup = setup();
    let request = setup.request();
    for (seconds, expected) in [(59, "taken"), (60, "code_unknown")] {
        let code = setup.code(&request).await;
        setup.clock.advance(Duration::from_secs(seconds));
        assert_eq!(reason(setup.take(&code, &request).await), expected, "{seconds} s");
    }
    let request = setup.request();
    setup.clock.advance(Duration::from_secs(598));
    assert!(!setup.handovers.has_expired(&request));
    setup.clock.advance(Duration::from_secs(2));
    assert!(setup.handovers.has_expired(&request));
}

#[tokio::test]
async fn a_foreign_or_altered_code_or_request_is_unknown() {
    let (setup, other) = (setup(), self::setup());
    let request = setup.request();
    let code = setup.code(&request).await;
    let foreign = OpaqueToken::mint(&KeyRing::ephemeral(Arc::new(setup.clock.clone())), TokenKind::Handover, 0);
    for text in ["", "x", foreign.expose(), &code.expose()[1..], &format!("{}A", code.expose())] {
        let taken = setup.handovers.take(text, &request, CHAT, Some(&setup.browser), None).await;
        assert_eq!(reason(taken), "code_unknown", "{text}");
    }
    let text = setup.handovers.request(CHAT, &setup.browser, None, &target("/"));
    assert!(other.handovers.parse_request(&text).is_none(), "of another deployment");
    for altered in ["", "x", &text[1..], &format!("{text}AAAA"), &text.to_lowercase()] {
        assert!(setup.handovers.parse_request(altered).is_none(), "{altered}");
    }
}

#[tokio::test]
async fn unused_codes_are_bounded_and_used_ones_make_room() {
    let setup = setup();
    let request = setup.request();
    let mut codes = Vec::new();
    let error = loop {
        match setup.handovers.issue(&request, &alice()).await {
            Ok(code) => codes.push(code),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, BeginFlowError::Limit(FlowLimit::Pending)), "{error:?}");
    assert!((16..=1024).contains(&codes.len()), "{}", codes.len());
    for code in &codes {
        assert_eq!(reason(setup.take(code, &request).await), "taken");
    }
    assert!(setup.handovers.issue(&request, &alice()).await.is_ok());
}

#[test]
fn the_text_of_a_request_is_short_and_debug_shows_neither_browser_nor_target() {
    let setup = setup();
    let longest = return_target::LONGEST;
    for (path, expected) in [
        (format!("/a?{}", "b".repeat(2000)), format!("/a?{}", "b".repeat(2000))),
        (format!("/a?{}", "b".repeat(longest - 3)), "/a".to_owned()),
        (format!("/{}", "a".repeat(longest - 1)), "/".to_owned()),
    ] {
        let text = setup.handovers.request(&"h".repeat(253), &setup.browser, Some(Digest::of(b"cookie")), &target(&path));
        assert!(text.len() <= LONGEST_REQUEST, "{}", text.len());
        let request = setup.handovers.parse_request(&text).unwrap();
        assert_eq!(request.target().as_str(), expected);
        assert!(ReturnTarget::parse(&format!("/sso/handover?start={text}"), "").is_ok());
    }
    let shown = format!("{:?}", setup.request());
    assert!(!shown.contains("/app") && !shown.contains(&setup.browser.fingerprint()), "{shown}");
}

#[test]
fn the_token_of_a_host_leads_to_the_session() {
    let setup = setup();
    let text = setup.handovers.session_token(&alice(), CHAT);
    let token = crate::users::SessionToken::parse_for_host(setup.handovers.codes.ring(), CHAT, &text).unwrap();
    assert_eq!((token.digest(), token.shard()), (alice().session, shard_of("alice")));
}

proptest! {
    #[test]
    fn no_text_is_a_request_by_chance(text in "[A-Za-z0-9_-]{0,200}") {
        prop_assert!(setup().handovers.parse_request(&text).is_none());
    }

    #[test]
    fn a_request_keeps_its_target(path in "/[a-z0-9/?=&%\"]{0,60}") {
        let setup = setup();
        if let Ok(target) = ReturnTarget::parse(&path, "") {
            let text = setup.handovers.request(CHAT, &setup.browser, None, &target);
            let request = setup.handovers.parse_request(&text).unwrap();
            prop_assert_eq!(request.target(), &target);
        }
    }
}
