//! Problems with forms, which pages show beside the form.

use super::text::{Text, TextValue};

/// A problem with a form that its user can correct.
#[derive(Debug, Clone)]
pub struct Problem {
    pub(super) message: Text,
    /// Sentences that are listed below the message.
    pub(super) advice: Vec<Text>,
    /// The name of the field to correct.
    field: Option<&'static str>,
}

impl Problem {
    /// `message` is a message's id.
    pub fn of(message: &'static str) -> Self {
        Self { message: Text::of(message), advice: Vec::new(), field: None }
    }

    /// Fills a placeholder of the message.
    #[must_use]
    pub fn with(self, name: &'static str, value: impl Into<TextValue>) -> Self {
        Self { message: self.message.with(name, value), ..self }
    }

    #[must_use]
    pub fn advice(self, advice: Vec<Text>) -> Self {
        Self { advice, ..self }
    }

    #[must_use]
    pub fn field(self, name: &'static str) -> Self {
        Self { field: Some(name), ..self }
    }

    pub(super) fn is_about(&self, field: &str) -> bool {
        self.field == Some(field)
    }

    #[cfg(test)]
    pub fn sentences(&self) -> Vec<String> {
        std::iter::once(&self.message).chain(&self.advice).map(ToString::to_string).collect()
    }
}
