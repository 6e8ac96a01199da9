//! Formats errors with their causes for log lines.

/// Returns an error's text with those of its causes, which `Display` often omits.
pub fn causes(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
