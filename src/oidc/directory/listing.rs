//! A list of groups in a directory, which is read page by page.

use openidconnect::{HttpResponse, http::HeaderMap};
use url::Url;

use super::link_header::{self, LinkHeaderError};
use crate::json::{MemberError, Value};

/// One list of a user's groups.
pub(super) struct GroupListing {
    /// The first page.
    pub url: Url,
    pub headers: &'static [(&'static str, &'static str)],
    /// The claims of the list. They are there even if the list is empty.
    pub claims: &'static [&'static str],
    /// Reads the page that was requested with this URL.
    pub read: fn(&HttpResponse, &Url) -> Result<GroupPage, PageError>,
}

pub(super) struct GroupPage {
    pub groups: Vec<GroupClaims>,
    pub next: Option<Url>,
}

/// The values that one group adds, each with its claim.
pub(super) type GroupClaims = Vec<(&'static str, String)>;

/// The reason why a page is not usable. The texts contain no value.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    #[error("it is not JSON")]
    NotJson,
    #[error("it is {0}, not a list")]
    NotAList(&'static str),
    #[error(transparent)]
    Member(#[from] MemberError),
    #[error(transparent)]
    Link(#[from] LinkHeaderError),
    #[error("the address of the next page is not a URL")]
    NextPage,
}

/// Joins the base URL of an API with a path and a query.
pub(super) fn endpoint(api: &Url, path: &str, query: &[(&str, &str)]) -> Url {
    let mut url = api.clone();
    url.set_path(&format!("{}{path}", api.path().trim_end_matches('/')));
    url.query_pairs_mut().clear().extend_pairs(query);
    url
}

pub(super) fn parse(response: &HttpResponse) -> Result<Value, PageError> {
    serde_json::from_slice(response.body()).map_err(|_| PageError::NotJson)
}

/// Reads a page that is a list, with the address of the next one in the header `Link` (RFC 8288).
pub(super) fn read_list(
    response: &HttpResponse,
    requested: &Url,
    group: fn(&Value) -> Result<GroupClaims, MemberError>,
) -> Result<GroupPage, PageError> {
    let page = parse(response)?;
    let entries = page.as_array().ok_or(PageError::NotAList(page.type_name()))?;
    let groups = entries.iter().map(group).collect::<Result<_, _>>()?;
    Ok(GroupPage { groups, next: linked_page(response.headers(), requested)? })
}

fn linked_page(headers: &HeaderMap, requested: &Url) -> Result<Option<Url>, PageError> {
    link_header::next(headers)?.map(|link| next_page(link, requested)).transpose()
}

/// Parses the address of the next page, which may be relative.
pub(super) fn next_page(link: &str, requested: &Url) -> Result<Url, PageError> {
    requested.join(link).map_err(|_| PageError::NextPage)
}

/// Returns a list; an error if it is absent.
pub(super) fn required_list<'v>(object: &'v Value, member: &'static str) -> Result<&'v [Value], MemberError> {
    match object.get(member) {
        Some(Value::Array(items)) => Ok(items),
        other => Err(error(other, member, "a list")),
    }
}

/// Returns an identifier, which some APIs write as a number. A group without one makes the whole list incomplete.
pub(super) fn identifier(object: &Value, member: &'static str) -> Result<String, MemberError> {
    const EXPECTED: &str = "a string or a number";
    match object.get(member) {
        Some(Value::String(text)) if text.is_empty() => {
            Err(MemberError::WrongType { member, found: "an empty string", expected: EXPECTED })
        }
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        other => Err(error(other, member, EXPECTED)),
    }
}

/// Returns a text that is not empty; `None` if the API does not show it.
pub(super) fn text(object: &Value, member: &str) -> Option<String> {
    object.get(member).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn error(found: Option<&Value>, member: &'static str, expected: &'static str) -> MemberError {
    match found {
        None | Some(Value::Null) => MemberError::Missing(member),
        Some(other) => MemberError::WrongType { member, found: other.type_name(), expected },
    }
}
