//! The page that says what went wrong, and what to do about it.

use askama::Template;

use super::{Frame, Place, filters};

/// What went wrong and what to do about it.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    pub frame: Frame,
    pub status: u16,
    pub title: String,
    pub what_happened: String,
    pub what_next: String,
    /// Words of another party, kept apart so that nobody takes them for ours.
    pub quote: Option<Quote>,
    /// The first one stands out.
    pub actions: Vec<Action>,
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
