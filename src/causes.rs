//! Errors with what they came from, for a log line.

/// An error with what it came from, which `Display` alone often hides.
pub fn causes(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
