//! Refused, unreadable, endless and hostile answers of directories.

use super::*;

#[rstest]
#[case::bad_request(400, "request_refused")]
#[case::unauthorized(401, "request_refused")]
#[case::forbidden(403, "request_refused")]
#[case::not_found(404, "request_refused")]
#[case::redirect(302, "request_failed")]
#[case::not_modified(304, "request_failed")]
#[case::server_error(500, "request_failed")]
#[case::bad_gateway(502, "request_failed")]
#[tokio::test]
async fn a_refused_or_failed_page_fails_the_whole_look_up(#[case] status: u16, #[case] reason: &str) {
    for dialect in [EntraUser, EntraClient, Google, GitHub, GitLab] {
        for failing in [1, 3] {
            let page = three_pages(dialect);
            let fixture = Fixture::start(dialect, move |server, request, _| match request.page() == failing {
                true => Reply::status(status).with("Location", format!("{server}elsewhere")),
                false => page(server, request),
            });
            let fixture = fixture.await;
            assert_eq!(fixture.reason().await, reason, "{dialect:?}, page {failing}");
            assert_eq!(fixture.claims().await, None, "{dialect:?}: no list, and not an empty one");
            assert!(fixture.server.requests().iter().all(|request| !request.target.contains("elsewhere")));
        }
    }
}

#[rstest]
#[case::empty("")]
#[case::html("<html>Sign in</html>")]
#[case::cut("{\"value\": [{\"id\": \"a\"}")]
#[case::text("\"ok\"")]
#[case::null("null")]
#[case::number("7")]
#[case::empty_object("{}")]
#[case::error(r#"{"error": {"code": "x"}}"#)]
#[case::wrong_list(r#"{"value": {"id": "a"}, "groups": "a"}"#)]
#[case::wrong_entries(r#"[7, null, "a"]"#)]
#[case::wrong_entries_in_an_object(r#"{"value": [7], "groups": [null]}"#)]
#[case::without_ids(r#"[{"name": "a"}]"#)]
#[case::without_ids_in_an_object(r#"{"value": [{"displayName": "a"}], "groups": [{"name": "a"}]}"#)]
#[case::ids_of_other_types(r#"{"value": [{"id": ["a"]}], "groups": [{"id": "", "email": true}]}"#)]
#[case::not_unicode("[{\"id\": \"\u{1}\", ]")]
#[case::next_page_of_another_type(r#"{"value": [], "@odata.nextLink": 7, "groups": [], "nextPageToken": {}}"#)]
#[tokio::test]
async fn an_unreadable_page_fails_the_look_up(#[case] body: &'static str) {
    for dialect in [EntraUser, Google, GitHub, GitLab] {
        let fixture = Fixture::start(dialect, move |_, _, _| Reply::ok(body)).await;
        assert_eq!(fixture.reason().await, "answer_malformed", "{dialect:?}");
        assert_eq!(fixture.claims().await, None);
    }
}

#[tokio::test]
async fn a_page_with_an_encoding_that_was_not_requested_fails_the_look_up_with_its_cause() {
    for (encoding, expected) in [("gzip", true), ("br, identity", true), ("Identity", false), ("", false)] {
        let fixture = Fixture::start(GitLab, move |server, request, _| {
            GitLab.page(server, request, 7..8, None).with("Content-Encoding", encoding)
        });
        let found = fixture.await.look_up().await;
        let is_refused = found.is_err_and(|error| error.to_string().contains("answered with a Content-Encoding"));
        assert_eq!(is_refused, expected, "{encoding:?}");
    }
}

/// A page whose next page is at this address, which may contain the server's own.
fn with_next(dialect: Dialect, server: &Url, next: &str) -> Reply {
    let next = next.replace("SERVER", server.as_str().trim_end_matches('/'));
    match dialect {
        EntraUser | EntraClient => Reply::ok(json!({"value": [{"id": "a"}], "@odata.nextLink": next}).to_string()),
        _ => Reply::ok("[]").with("Link", format!("<{next}>; rel=next")),
    }
}

#[rstest]
#[case::other_host("https://graph.example.net/page=2")]
#[case::metadata("http://169.254.169.254/latest/meta-data/")]
#[case::other_port("http://127.0.0.1:1/groups?page=2")]
#[case::name_of_the_same_host("http://localhost/groups?page=2")]
#[case::without_scheme("//evil.example/groups?page=2")]
#[case::other_scheme("file:///etc/passwd")]
#[case::data("data:application/json,[]")]
#[tokio::test]
async fn a_next_page_on_another_host_is_not_requested(#[case] next: &'static str) {
    for dialect in [EntraUser, EntraClient, GitHub, GitLab] {
        let fixture = Fixture::start(dialect, move |server, _, _| with_next(dialect, server, next)).await;
        assert_eq!(fixture.reason().await, "next_page_on_other_host", "{dialect:?}");
        assert_eq!(fixture.server.requests().len(), 1 + dialect.earlier_requests());
    }
}

#[tokio::test]
async fn a_next_page_with_a_user_name_is_not_requested() {
    let next = |server: &Url| server.as_str().replace("http://", "http://user:pw@");
    let fixture = Fixture::start(GitLab, move |server, _, _| with_next(GitLab, server, &next(server))).await;
    assert_eq!(fixture.reason().await, "next_page_on_other_host");
}

#[tokio::test]
async fn a_loop_of_next_pages_ends() {
    for dialect in [EntraUser, Google, GitHub, GitLab] {
        let fixture = Fixture::start(dialect, move |server, request, _| {
            let page = request.page();
            dialect.page(server, request, page..page + 1, Some(3 - page.min(2)))
        });
        let fixture = fixture.await;
        assert_eq!(fixture.reason().await, "next_page_repeated", "{dialect:?}");
        assert!(fixture.server.requests().len() <= 4 + dialect.earlier_requests(), "{dialect:?}");
    }
    let itself = Fixture::start(GitLab, |server, _, _| with_next(GitLab, server, "SERVER/groups?page=2")).await;
    assert_eq!(itself.reason().await, "next_page_repeated");
}

#[rstest]
#[case::pages(1, usize::MAX, "too_many_pages")]
#[case::groups(1_000, usize::MAX, "too_many_groups")]
#[case::claims(1_000, 4, "claims_too_large")]
#[tokio::test]
async fn an_answer_without_end_is_cut_off(#[case] groups: usize, #[case] last: usize, #[case] reason: &str) {
    for dialect in [EntraUser, Google, GitHub, GitLab] {
        let fixture = Fixture::start(dialect, move |server, request, _| {
            let page = request.page();
            dialect.page(server, request, page * groups..(page + 1) * groups, (page < last).then_some(page + 1))
        });
        let fixture = fixture.await;
        assert_eq!(fixture.reason().await, reason, "{dialect:?}");
        assert_eq!(fixture.claims().await, None);
    }
}

#[tokio::test]
async fn a_huge_answer_is_cut_off() {
    let huge = Fixture::start(GitLab, |_, _, _| Reply::ok(format!("[{}]", " ".repeat(1 << 20)))).await;
    assert_eq!(huge.reason().await, "answer_too_large");
    let many = Fixture::start(GitLab, |server, request, _| {
        let reply = GitLab.page(server, request, 0..1, Some(request.page() + 1));
        Reply { body: format!("{}{}", reply.body, " ".repeat(900 << 10)), ..reply }
    });
    let many = many.await;
    assert_eq!(many.reason().await, "answer_too_large");
    assert_eq!(many.server.requests().len(), 5);
}
