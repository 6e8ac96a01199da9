//! Limits the lines of events that anonymous requests cause: one line per kind and second.
//!
//! An event takes part by declaring the field `suppressed = tracing::field::Empty`. Its kind is its message with its reason.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tracing::{
    Event, Level,
    field::{Field, Visit},
};

use crate::clock::Clock;

const FIELD: &str = "suppressed";
const INTERVAL: Duration = Duration::from_secs(1);

/// Kinds are static text, so this bound is not reached. Beyond it, a reason would share the kind of its event.
const MAX_KINDS: usize = 512;

/// Decides which events are written, and counts the others.
pub(in crate::cli) struct LineLimiter {
    clock: Arc<dyn Clock>,
    kinds: Mutex<HashMap<EventKind, Window>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct EventKind {
    level: Level,
    event: String,
    reason: String,
}

struct Window {
    written: Instant,
    suppressed: u64,
}

impl LineLimiter {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, kinds: Mutex::default() }
    }

    /// Returns the number of suppressed lines that the event's line has to state. `None` if the event is suppressed itself.
    pub fn admit(&self, event: &Event<'_>) -> Option<u64> {
        let Some(kind) = EventKind::of(event) else { return Some(0) };
        let now = self.clock.monotonic();
        let mut kinds = self.kinds.lock().expect("no code that holds this lock panics");
        let kind = if kinds.len() < MAX_KINDS || kinds.contains_key(&kind) { kind } else { kind.without_reason() };
        match kinds.get_mut(&kind) {
            Some(window) if now.duration_since(window.written) < INTERVAL => {
                window.suppressed += 1;
                None
            }
            Some(window) => {
                window.written = now;
                Some(std::mem::take(&mut window.suppressed))
            }
            None => {
                kinds.insert(kind, Window { written: now, suppressed: 0 });
                Some(0)
            }
        }
    }

    /// Reports suppressed lines until the task is aborted, so that the count is complete although no further event comes.
    pub async fn report_periodically(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            self.report_due();
        }
    }

    /// Writes a line for each kind that has suppressed lines and none written for the interval.
    pub fn report_due(&self) {
        self.report(INTERVAL);
    }

    /// Writes a line for each kind that has suppressed lines, at the end of the process.
    pub fn report_all(&self) {
        self.report(Duration::ZERO);
    }

    fn report(&self, silence: Duration) {
        // The lock is released before the lines are written, because they are events too.
        for (EventKind { level, event, reason }, suppressed) in self.take_suppressed(silence) {
            let reason = Some(reason).filter(|reason| !reason.is_empty());
            match level {
                Level::ERROR => tracing::error!(event, reason, suppressed, "log lines suppressed"),
                Level::WARN => tracing::warn!(event, reason, suppressed, "log lines suppressed"),
                _ => tracing::info!(event, reason, suppressed, "log lines suppressed"),
            }
        }
    }

    fn take_suppressed(&self, silence: Duration) -> Vec<(EventKind, u64)> {
        let now = self.clock.monotonic();
        let mut kinds = self.kinds.lock().expect("no code that holds this lock panics");
        let due = kinds.iter_mut().filter(|(_, window)| window.suppressed > 0 && now.duration_since(window.written) >= silence);
        due.map(|(kind, window)| {
            window.written = now;
            (kind.clone(), std::mem::take(&mut window.suppressed))
        })
        .collect()
    }
}

impl EventKind {
    /// `None` if the event is not limited.
    fn of(event: &Event<'_>) -> Option<Self> {
        let metadata = event.metadata();
        metadata.fields().field(FIELD)?;
        let mut fields = KindFields::default();
        event.record(&mut fields);
        let KindFields { event, reason, is_report } = fields;
        (!is_report).then_some(Self { level: *metadata.level(), event, reason })
    }

    fn without_reason(self) -> Self {
        Self { reason: String::new(), ..self }
    }
}

/// The fields of an event that determine its kind.
#[derive(Default)]
struct KindFields {
    event: String,
    reason: String,
    /// The event has a value of the field: it reports suppressed lines.
    is_report: bool,
}

impl Visit for KindFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if matches!(field.name(), "reason" | "activity") {
            value.clone_into(&mut self.reason);
        }
    }

    fn record_u64(&mut self, field: &Field, _: u64) {
        self.is_report |= field.name() == FIELD;
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.event = format!("{value:?}");
        }
    }
}
