//! Tokens that the application requests for itself.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::*;

#[tokio::test]
async fn a_service_account_signs_an_assertion_for_the_least_scope() {
    let fixture = Fixture::start(Google, |server, request, _| Google.page(server, request, 0..1, None)).await;
    fixture.look_up().await.unwrap();
    fixture.look_up().await.unwrap();
    let requests = fixture.server.token_requests();
    assert_eq!(requests.len(), 1, "the token is used until it ends");
    let form: std::collections::HashMap<_, _> = url::form_urlencoded::parse(requests[0].body.as_bytes()).into_owned().collect();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let part = |number: usize| {
        let part = form["assertion"].split('.').nth(number).unwrap();
        serde_json::from_slice::<serde_json::Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    assert_eq!((&part(0)["alg"], &part(0)["kid"]), (&json!("RS256"), &json!("k1")));
    let claims = part(1);
    assert_eq!(claims["iss"], "reader@acme.iam.gserviceaccount.com");
    assert_eq!(claims["sub"], "admin@example.com");
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/admin.directory.group.readonly");
    assert_eq!(claims["aud"], format!("{}token", fixture.server.url));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
}

#[tokio::test]
async fn a_client_requests_its_own_token_for_the_api() {
    let fixture = Fixture::start(EntraClient, |server, request, _| EntraClient.page(server, request, 0..1, None)).await;
    fixture.look_up().await.unwrap();
    let form = fixture.server.token_requests()[0].body.clone();
    let scope: String = url::form_urlencoded::byte_serialize(format!("{}.default", fixture.server.url).as_bytes()).collect();
    assert_eq!(form, format!("grant_type=client_credentials&client_id=vestibule&client_secret=s3cret&scope={scope}"));
    let anonymous = fixture.directory.look_up(&identity(json!({"sub": "s"})), None).await;
    assert!(matches!(anonymous, Err(DirectoryError::NoObjectId)));
}

#[tokio::test]
async fn a_revoked_token_of_the_application_is_replaced_once() {
    let fixture = Fixture::start(Google, |server, request, number| match number {
        // The first request is for the token.
        2 => Reply::status(401),
        _ => Google.page(server, request, 0..1, None),
    });
    let fixture = fixture.await;
    fixture.look_up().await.unwrap();
    assert_eq!((fixture.server.token_requests().len(), fixture.server.requests().len()), (2, 2));
    let refused = Fixture::start(Google, |_, _, _| Reply::status(401)).await;
    assert_eq!(refused.reason().await, "request_refused");
    assert_eq!((refused.server.token_requests().len(), refused.server.requests().len()), (2, 2));
}

#[rstest]
#[case::refused(400, r#"{"error": "unauthorized_client"}"#, "token_request_failed")]
#[case::without_token(200, "{}", "token_request_failed")]
#[case::unreadable(200, "<html>", "token_request_failed")]
#[case::throttled(429, "", "throttled")]
#[tokio::test]
async fn a_failed_token_request_fails_the_look_up(#[case] status: u16, #[case] body: &'static str, #[case] reason: &str) {
    for dialect in [EntraClient, Google] {
        let server = ScriptedServer::start(move |_, _, _| Reply { body: body.to_owned(), ..Reply::status(status) }).await;
        let directory = directory(dialect, &server.url, Arc::new(SystemClock), "");
        let error = directory.look_up(&identity(json!({"oid": "a"})), None).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{dialect:?}: {error}");
        assert_eq!(server.requests().len(), 0);
    }
}

proptest::proptest! {
    #[test]
    fn a_page_of_any_json_is_read_or_refused(body in crate::json::arbitrary_text(), wrapped in crate::json::arbitrary_text()) {
        let api = Url::parse("https://api.example.com").unwrap();
        let identity = identity(json!({"oid": "a"}));
        let lists = [
            entra_id::own_groups(&api),
            entra_id::groups_of(&api, &identity).unwrap(),
            google::groups(&api, "a"),
            gitlab::groups(&api),
        ];
        let bodies = [body, format!(r#"{{"value": [{wrapped}], "groups": [{wrapped}], "nextPageToken": "a"}}"#), format!("[{wrapped}]")];
        for (listing, body) in lists.iter().chain(&github::organizations_and_teams(&api)).flat_map(|list| bodies.iter().map(move |body| (list, body))) {
            let page = (listing.read)(&openidconnect::http::Response::new(body.clone().into_bytes()), &listing.url);
            let groups = page.map(|page| page.groups).unwrap_or_default();
            proptest::prop_assert!(groups.iter().flatten().all(|(claim, value)| listing.claims.contains(claim) && !value.is_empty()));
        }
    }
}
