//! Page sizes of lists, the same in JSON and on pages.

use url::form_urlencoded;

use super::pages::SitePage;

/// Entries per page, unless the request has another number.
pub(super) const PAGE_SIZE: usize = 50;
const LARGEST_PAGE: usize = 100;

pub(super) fn page_size(text: &str) -> Result<usize, &'static str> {
    let size = text.parse().ok().filter(|size| (1..=LARGEST_PAGE).contains(size));
    size.ok_or("must be a whole number from 1 to 100")
}

/// Returns the URL of a list's next page.
pub(super) fn next_href(place: SitePage, after: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("after", after).finish();
    format!("{}?{query}", place.href())
}
