//! Reads the lists of one look-up, page by page, within limits. Every directory is read in this way.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::{Duration, Instant},
};

use openidconnect::{AccessToken, HttpRequest, HttpResponse, http::Request};
use url::{Origin, Url};

use super::{error::DirectoryError, list, listing::GroupListing, throttle};
use crate::{
    clock::Clock,
    oidc::http::{HttpClient, HttpClientError},
    principal::Claims,
};

/// The limits of one look-up, over all of its lists.
const MAX_PAGES: usize = 100;
const MAX_GROUPS: usize = 5_000;
const MAX_BYTES: usize = 4 << 20;
const MAX_PAUSES: usize = 5;

/// A directory that asks for no pause is not requested again at once.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct GroupLookup<'a> {
    http: &'a HttpClient,
    /// The only origin that receives the token.
    origin: Origin,
    token: &'a AccessToken,
    clock: &'a dyn Clock,
    ends: Instant,
    claims: BTreeMap<&'static str, BTreeSet<String>>,
    visited: HashSet<Url>,
    groups: usize,
    bytes: usize,
    pauses: usize,
}

impl<'a> GroupLookup<'a> {
    pub fn new(http: &'a HttpClient, api: &Url, token: &'a AccessToken, clock: &'a dyn Clock, ends: Instant) -> Self {
        let (origin, claims, visited) = (api.origin(), BTreeMap::new(), HashSet::new());
        Self { http, origin, token, clock, ends, claims, visited, groups: 0, bytes: 0, pauses: 0 }
    }

    /// Reads all pages of a list.
    pub async fn read_all(&mut self, listing: &GroupListing) -> Result<(), DirectoryError> {
        for claim in listing.claims {
            self.claims.entry(claim).or_default();
        }
        let mut next = Some(listing.url.clone());
        while let Some(url) = next {
            self.visit(&url)?;
            let response = self.get(listing, &url).await?;
            self.bytes += response.body().len();
            if self.bytes > MAX_BYTES {
                return Err(DirectoryError::AnswerTooLarge(MAX_BYTES));
            }
            let page = (listing.read)(&response, &url)?;
            self.groups += page.groups.len();
            if self.groups > MAX_GROUPS {
                return Err(DirectoryError::TooManyGroups(MAX_GROUPS));
            }
            for (claim, value) in page.groups.into_iter().flatten() {
                self.claims.entry(claim).or_default().insert(value);
            }
            next = page.next;
        }
        Ok(())
    }

    /// Returns the claims of all lists, each in the order of its values, so that equal groups make equal claims.
    pub fn finish(self) -> Claims {
        self.claims.into_iter().map(|(claim, values)| (claim.to_owned(), list(values))).collect()
    }

    /// Checks the address of a page, which the directory has sent.
    fn visit(&mut self, url: &Url) -> Result<(), DirectoryError> {
        if url.origin() != self.origin || !url.username().is_empty() || url.password().is_some() {
            return Err(DirectoryError::ForeignPage);
        }
        if !self.visited.insert(url.clone()) {
            return Err(DirectoryError::RepeatedPage);
        }
        if self.visited.len() > MAX_PAGES { Err(DirectoryError::TooManyPages(MAX_PAGES)) } else { Ok(()) }
    }

    /// Requests a page, again after each pause that the directory asks for.
    async fn get(&mut self, listing: &GroupListing, url: &Url) -> Result<HttpResponse, DirectoryError> {
        loop {
            let response = self.http.call(self.request(listing, url)?).await?;
            match throttle::pause(&response, self.clock.now()) {
                Some(pause) => self.pause(pause).await?,
                None if response.status().is_success() => return Ok(response),
                None => {
                    let (host, status) = (url.host_str().unwrap_or_default().to_owned(), response.status().as_u16());
                    return Err(HttpClientError::Status { host, status }.into());
                }
            }
        }
    }

    async fn pause(&mut self, requested: Duration) -> Result<(), DirectoryError> {
        self.pauses += 1;
        let remaining = self.ends.saturating_duration_since(self.clock.monotonic());
        if self.pauses > MAX_PAUSES || requested >= remaining {
            return Err(DirectoryError::Throttled(requested));
        }
        tokio::time::sleep(requested.max(SHORTEST_PAUSE)).await;
        Ok(())
    }

    fn request(&self, listing: &GroupListing, url: &Url) -> Result<HttpRequest, HttpClientError> {
        let request = Request::get(url.as_str()).header("authorization", format!("Bearer {}", self.token.secret()));
        let request = listing.headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        // The builder's errors contain no header values.
        request.body(Vec::new()).map_err(|error| HttpClientError::Client(error.to_string()))
    }
}
