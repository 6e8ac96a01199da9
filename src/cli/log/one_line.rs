//! Formats the fields of a log line, and escapes control characters so that values can't forge lines.

use std::fmt;

use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FormatFields,
        format::{DefaultFields, Writer},
    },
};

/// The library's format with escaped control characters, since some reasons contain text of a provider.
pub(super) struct SingleLineFields;

impl<'w> FormatFields<'w> for SingleLineFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut text = String::new();
        DefaultFields::new().format_fields(Writer::new(&mut text), fields)?;
        text.chars().try_for_each(|c| match c {
            c if c.is_control() => write!(writer, "{}", c.escape_default()),
            c => writer.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::captured_lines::Lines, *};

    #[test]
    fn control_characters_in_values_are_escaped() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).fmt_fields(SingleLineFields).finish();
        tracing::subscriber::with_default(log, || {
            let _span = tracing::info_span!("request", path = "/a\nb").entered();
            tracing::warn!(reason = %"a\r\n2026 INFO \u{1b}[31mé\u{9b}", "first\nsecond");
        });
        let text = lines.take();
        assert_eq!((text.lines().count(), text.chars().filter(|c| c.is_control()).count()), (1, 1), "{text:?}");
        assert!(text.contains("first\\nsecond") && text.contains("2026 INFO") && text.contains('é'), "{text}");
    }
}
