//! Filters of templates for messages: `{{ "keys-made"|t|with("name", name) }}`.

use std::fmt::Display;

use askama::{Result, Values, filter_fn, filters::Safe};
use jiff::Timestamp;

use super::text::{self, Text};

/// The message of this id.
#[filter_fn]
pub fn t<I: AsRef<str>>(id: I, _: &dyn Values) -> Result<Text> {
    Ok(Text::of(id.as_ref()))
}

/// Fills a placeholder of the message.
#[filter_fn]
pub fn with<V: Display>(text: Text, _: &dyn Values, name: &'static str, value: V) -> Result<Text> {
    Ok(text.with(name, value.to_string()))
}

/// Fills a placeholder with a number, which selects singular or plural.
#[filter_fn]
pub fn count(text: Text, _: &dyn Values, name: &'static str, count: &u64) -> Result<Text> {
    Ok(text.with(name, *count))
}

/// Renders a message that contains HTML.
#[filter_fn]
pub fn rich<T: AsRef<Text>>(text: T, _: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(text.as_ref().as_html()))
}

#[filter_fn]
pub fn date(at: &Timestamp, _: &dyn Values) -> Result<String> {
    Ok(text::date(*at))
}

#[filter_fn]
pub fn date_time(at: &Timestamp, _: &dyn Values) -> Result<String> {
    Ok(text::date_time(*at))
}

#[filter_fn]
pub fn duration(duration: &std::time::Duration, _: &dyn Values) -> Result<String> {
    Ok(text::duration(*duration))
}
