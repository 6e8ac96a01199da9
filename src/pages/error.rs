//! The error page.

use askama::Template;

use super::{Frame, SitePage, filters};

/// An error and its remedy.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    pub frame: Frame,
    pub status: u16,
    pub title: String,
    pub explanation: String,
    pub next_step: String,
    /// A quotation of another party, marked as such.
    pub quote: Option<Quote>,
    /// The first one stands out.
    pub actions: Vec<Action>,
    pub request_id: String,
}

/// A quotation of another party, such as an error of an identity provider.
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
