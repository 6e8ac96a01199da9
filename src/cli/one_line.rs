//! The fields of a log line as text, in which nobody's words begin a line of their own.

use std::fmt;

use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FormatFields,
        format::{DefaultFields, Writer},
    },
};

/// As the library writes them, but for control characters: a provider's words stand in some reasons, and a
/// line that they forge would be believed.
pub(super) struct OneLine;

impl<'w> FormatFields<'w> for OneLine {
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
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn words_of_others_stay_on_their_line() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).fmt_fields(OneLine).finish();
        tracing::subscriber::with_default(log, || {
            let _span = tracing::info_span!("request", path = "/a\nb").entered();
            tracing::warn!(reason = %"a\r\n2026 INFO \u{1b}[31mé\u{9b}", "first\nsecond");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!((text.lines().count(), text.chars().filter(|c| c.is_control()).count()), (1, 1), "{text:?}");
        assert!(text.contains("first\\nsecond") && text.contains("2026 INFO") && text.contains('é'), "{text}");
    }
}
