//! The log on standard error: its filter, its two formats, and the limit of lines that anonymous requests cause.

#[cfg(test)]
mod captured_lines;
mod limit;
mod one_line;

use std::{fmt, io::IsTerminal, sync::Arc};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Writer},
    },
    registry::LookupSpan,
};

use crate::{
    clock::Clock,
    config::{self, LogFormat},
};

pub(super) use limit::LineLimiter;
use one_line::SingleLineFields;

/// Builds the log filter. Libraries log only warnings or errors, unless a directive in the level overrides it. The dispatcher
/// is off because it logs an error for each malformed request of a client.
pub(super) fn filter(log: &config::Log) -> EnvFilter {
    EnvFilter::new(format!("actix_server=warn,actix_http::h1::dispatcher=off,fred=error,{}", log.level))
}

/// Starts the log. Returns the limiter, which counts the lines that it suppresses.
pub(super) fn log_to_stderr(filter: EnvFilter, format: LogFormat, clock: Arc<dyn Clock>) -> Arc<LineLimiter> {
    let limiter = Arc::new(LineLimiter::new(clock));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => {
            let lines = lines.with_target(false).with_ansi(std::io::stderr().is_terminal()).fmt_fields(SingleLineFields);
            lines.map_event_format(|inner| LimitedFormat::text(inner, &limiter)).init();
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(true).with_span_list(false);
            lines.map_event_format(|inner| LimitedFormat::json(inner, &limiter)).init();
        }
    }
    limiter
}

/// An event format that leaves out suppressed lines, and adds their number to the next line of their kind.
struct LimitedFormat<F> {
    inner: F,
    limiter: Arc<LineLimiter>,
    /// Adds the field to a line.
    append: fn(&str, u64) -> String,
}

impl<F, T> LimitedFormat<Format<F, T>> {
    fn text(inner: Format<F, T>, limiter: &Arc<LineLimiter>) -> Self {
        Self { inner, limiter: Arc::clone(limiter), append: |line, lines| format!("{} suppressed={lines}\n", line.trim_end()) }
    }

    fn json(inner: Format<F, T>, limiter: &Arc<LineLimiter>) -> Self {
        let append = |line: &str, lines| match line.trim_end().strip_suffix('}') {
            Some(object) => format!("{object},\"suppressed\":{lines}}}\n"),
            None => line.to_owned(),
        };
        Self { inner, limiter: Arc::clone(limiter), append }
    }
}

impl<S, N, F> FormatEvent<S, N> for LimitedFormat<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        match self.limiter.admit(event) {
            None => Ok(()),
            Some(0) => self.inner.format_event(context, writer, event),
            Some(suppressed) => {
                let mut line = String::new();
                self.inner.format_event(context, Writer::new(&mut line), event)?;
                writer.write_str(&(self.append)(&line, suppressed))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tracing::field::Empty;

    use super::{captured_lines::Lines, *};
    use crate::clock::manual::ManualClock;

    fn refuse(times: usize, reason: &str) {
        (0..times).for_each(|_| tracing::warn!(reason, suppressed = Empty, "request refused"));
    }

    /// Runs a test with each format.
    fn in_each_format(test: impl Fn(&Lines, &ManualClock, &LineLimiter)) {
        for format in [LogFormat::Text, LogFormat::Json] {
            let (lines, clock) = (Lines::default(), ManualClock::new());
            let limiter = Arc::new(LineLimiter::new(Arc::new(clock.clone())));
            let writer = lines.clone();
            let log = tracing_subscriber::fmt().with_writer(move || writer.clone());
            let run = || test(&lines, &clock, &limiter);
            match format {
                LogFormat::Text => {
                    let log = log.with_ansi(false).fmt_fields(SingleLineFields);
                    tracing::subscriber::with_default(
                        log.map_event_format(|inner| LimitedFormat::text(inner, &limiter)).finish(),
                        run,
                    );
                }
                LogFormat::Json => {
                    let log = log.json().flatten_event(true);
                    tracing::subscriber::with_default(
                        log.map_event_format(|inner| LimitedFormat::json(inner, &limiter)).finish(),
                        run,
                    );
                }
            }
        }
    }

    /// The number of lines, and the sum of the lines that they count as suppressed.
    fn count(log: &str) -> (usize, u64) {
        let counted = |line: &str| match serde_json::from_str::<serde_json::Value>(line) {
            Ok(line) => line["suppressed"].as_u64().unwrap_or_default(),
            Err(_) => line.rsplit_once("suppressed=").map_or(0, |(_, number)| number.parse().unwrap()),
        };
        (log.lines().count(), log.lines().map(counted).sum())
    }

    #[test]
    fn a_kind_has_one_line_a_second_and_the_next_line_counts_the_others() {
        in_each_format(|lines, clock, _| {
            refuse(1000, "a");
            assert_eq!(count(&lines.take()), (1, 0));
            clock.advance(Duration::from_millis(999));
            refuse(1, "a");
            assert_eq!(lines.take(), "");
            clock.advance(Duration::from_millis(1));
            refuse(1, "a");
            let log = lines.take();
            assert_eq!(count(&log), (1, 1000), "{log}");
            assert!(log.contains("request refused") && log.contains("reason"), "{log}");
        });
    }

    #[test]
    fn each_event_and_reason_is_a_kind_and_other_events_are_not_limited() {
        in_each_format(|lines, _, _| {
            for reason in ["a", "b"] {
                refuse(5, reason);
                tracing::info!(reason, suppressed = Empty, "login refused");
                tracing::info!(activity = reason, suppressed = Empty, "rate limit exceeded");
            }
            assert_eq!(count(&lines.take()), (6, 0));
            (0..5).for_each(|_| tracing::info!(user = "u", "login succeeded"));
            assert_eq!(count(&lines.take()), (5, 0));
        });
    }

    #[test]
    fn suppressed_lines_without_a_next_line_are_reported_after_the_interval() {
        in_each_format(|lines, clock, limiter| {
            refuse(3, "a");
            lines.take();
            limiter.report_due();
            assert_eq!(lines.take(), "", "the second has not passed");
            clock.advance(Duration::from_secs(1));
            limiter.report_due();
            let log = lines.take();
            assert_eq!(count(&log), (1, 2), "{log}");
            assert!(log.contains("log lines suppressed") && log.contains("request refused") && log.contains("WARN"), "{log}");
            refuse(1, "a");
            limiter.report_due();
            assert_eq!(lines.take(), "", "the report was the line of this second");
            limiter.report_all();
            assert_eq!(count(&lines.take()), (1, 1));
            limiter.report_all();
            assert_eq!(lines.take(), "");
        });
    }

    #[test]
    fn the_number_of_kinds_is_bounded() {
        in_each_format(|lines, _, limiter| {
            (0..10_000).for_each(|number| refuse(1, &number.to_string()));
            let (written, _) = count(&lines.take());
            limiter.report_all();
            let (_, suppressed) = count(&lines.take());
            assert!(written < 1000 && written as u64 + suppressed == 10_000, "{written} {suppressed}");
        });
    }
}
