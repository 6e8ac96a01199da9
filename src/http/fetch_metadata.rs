//! The origin and the kind of a request, as the browser declares them (Fetch Metadata Request Headers).

use actix_web::{HttpRequest, http::header};

use super::Site;

/// The origin of a request, as the browser declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestOrigin {
    SameOrigin,
    CrossOrigin,
    Undeclared,
}

/// Returns the declared origin. Older browsers send only `Origin`, which is `null` for pages without a referrer, such as ours.
pub(super) fn request_origin(request: &HttpRequest, site: &Site) -> RequestOrigin {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let ours = match (header("sec-fetch-site"), header(header::ORIGIN.as_str())) {
        (Some(from), _) => from == "same-origin",
        (None, None | Some("null")) => return RequestOrigin::Undeclared,
        (None, Some(origin)) => origin == site.page_origin(request.headers()).origin(),
    };
    if ours { RequestOrigin::SameOrigin } else { RequestOrigin::CrossOrigin }
}

/// True if the request declares that a page sent it.
pub(super) fn is_browser(request: &HttpRequest) -> bool {
    request.headers().contains_key("sec-fetch-site") || request.headers().contains_key(header::ORIGIN)
}

/// True unless the request declares that it does not open a page in a tab. A script cannot declare that: a response to `fetch`, in
/// a frame or as a script would be readable by other pages of this origin.
pub(super) fn can_be_navigation(request: &HttpRequest) -> bool {
    let is_only = |name: &str, expected: &str| request.headers().get_all(name).all(|value| value == expected);
    is_only("sec-fetch-mode", "navigate") && is_only("sec-fetch-dest", "document")
}

/// True unless the request declares another origin, or that it is not a form. If a browser declares nothing, only the form's token
/// protects it.
pub(super) fn is_own_form(request: &HttpRequest, site: &Site) -> bool {
    request_origin(request, site) != RequestOrigin::CrossOrigin && can_be_navigation(request)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_link(&[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")], true)]
    #[case::no_header(&[], true)]
    #[case::only_the_mode(&[("sec-fetch-mode", "navigate")], true)]
    #[case::only_another_mode(&[("sec-fetch-mode", "cors")], false)]
    #[case::only_another_destination(&[("sec-fetch-dest", "empty")], false)]
    #[case::a_same_origin_fetch(&[("sec-fetch-mode", "same-origin"), ("sec-fetch-dest", "empty")], false)]
    #[case::a_frame(&[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")], false)]
    #[case::an_object(&[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "object")], false)]
    #[case::an_embed(&[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "embed")], false)]
    #[case::a_script(&[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "script")], false)]
    #[case::repeated(&[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("sec-fetch-dest", "iframe")], false)]
    #[case::empty(&[("sec-fetch-mode", "")], false)]
    #[case::another_case(&[("sec-fetch-mode", "Navigate")], false)]
    fn only_a_page_in_a_tab_is_a_navigation(#[case] headers: &[(&str, &str)], #[case] expected: bool) {
        let request = headers.iter().fold(TestRequest::default(), |request, header| request.append_header(*header));
        assert_eq!(can_be_navigation(&request.to_http_request()), expected);
    }
}
