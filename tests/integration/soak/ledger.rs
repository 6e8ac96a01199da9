//! Records the requests of a run and their answers, and decides which answers were correct.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;
use vestibule::principal_cache::CONSISTENCY_BOUND;

const SHOWN: usize = 5;
/// The default of `cache.revocation_grace`.
const GRACE: Duration = Duration::from_secs(60);
/// An answer that takes longer is late.
const LATE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// From the click to the session cookie.
    Login,
    /// A user with a session from before the fault, which every pod has cached.
    Session,
    /// The key of such a user.
    Key,
    /// The first page of a user after a sign-in.
    Newcomer,
    Logout,
    /// A page with a session that was ended longer ago than the documented bound.
    Ended,
    /// A credential that was never valid.
    Forged,
    /// A well-formed key that does not exist.
    UnknownKey,
}

#[derive(Debug)]
pub enum Outcome {
    Right,
    /// The expected refusal, with the text of the answer.
    Refused(String),
    /// 503 with the text of the answer. The request is repeated.
    Unavailable(String),
    /// The connection ended before the answer, here or behind nginx. The request is repeated.
    Cut(String),
    /// A login whose first attempt failed, or whose answer was lost after the flow was consumed.
    BegunAgain,
    Wrong(String),
}

/// The reason for unusual answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excuse {
    /// The pods cannot reach the store or a shard of it.
    StoreAway,
    /// Like `StoreAway`, for longer than the grace period.
    GraceOver,
    /// A pod ends, hangs or starts.
    PodGone,
}

/// A session whose stored state must be checked: Redis may have lost the last write about it.
#[derive(Debug, Clone)]
pub struct SuspectSession {
    pub cookie: String,
    pub loss: Loss,
    /// The time at which the write was acknowledged.
    pub written: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// The creation of the session.
    Opened,
    /// The end of the session.
    Ended,
}

pub struct Ledger {
    name: String,
    /// The grace period of the pods.
    grace: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tallies: BTreeMap<Kind, Tally>,
    phases: Vec<Phase>,
    excuses: Vec<Window>,
    disturbances: Vec<Disturbance>,
    suspects: Vec<SuspectSession>,
    wrong: Vec<String>,
}

#[derive(Default)]
struct Tally {
    right: usize,
    troubles: BTreeMap<DisturbanceKind, usize>,
    /// The count of each text of refusals.
    messages: BTreeMap<String, usize>,
    times: Vec<Duration>,
}

struct Phase {
    name: String,
    since: Instant,
}

struct Window {
    excuse: Excuse,
    since: Instant,
    until: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum DisturbanceKind {
    Late,
    Unavailable,
    Cut,
    BegunAgain,
    /// An ended session was served.
    Stale,
}

struct Disturbance {
    kind: Kind,
    trouble: DisturbanceKind,
    began: Instant,
    ended: Instant,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Login => "logins",
            Self::Session => "checks of sessions",
            Self::Key => "checks of keys",
            Self::Newcomer => "first pages",
            Self::Logout => "logouts",
            Self::Ended => "ended sessions",
            Self::Forged => "forged credentials",
            Self::UnknownKey => "unknown keys",
        }
    }

    /// The reasons that permit a 503.
    fn may_be_unavailable(self) -> &'static [Excuse] {
        match self {
            Self::Session | Self::Key => &[Excuse::GraceOver],
            Self::Login | Self::Newcomer | Self::Logout | Self::Ended | Self::UnknownKey => &[Excuse::StoreAway],
            Self::Forged => &[],
        }
    }
}

impl Ledger {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), grace: GRACE, state: Mutex::default() }
    }

    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Reports disturbances from now on under this name.
    pub fn phase(&self, name: &str) {
        self.lock().phases.push(Phase { name: name.to_owned(), since: Instant::now() });
    }

    /// Applies from now on until [`Ledger::end_excuse`].
    pub fn excuse(&self, excuse: Excuse) {
        self.lock().excuses.push(Window { excuse, since: Instant::now(), until: None });
    }

    pub fn end_excuse(&self, excuse: Excuse) {
        let mut state = self.lock();
        let open = state.excuses.iter_mut().filter(|window| window.excuse == excuse && window.until.is_none());
        open.for_each(|window| window.until = Some(Instant::now()));
    }

    pub fn note(&self, kind: Kind, began: Instant, outcome: Outcome) {
        let ended = Instant::now();
        let mut state = self.lock();
        let late = (ended - began >= LATE).then_some(DisturbanceKind::Late);
        let (trouble, message) = match outcome {
            Outcome::Right => (late, None),
            Outcome::Refused(message) => (late, Some(message)),
            Outcome::Unavailable(message) => (Some(DisturbanceKind::Unavailable), Some(message)),
            Outcome::Cut(message) => (Some(DisturbanceKind::Cut), Some(message)),
            Outcome::BegunAgain => (Some(DisturbanceKind::BegunAgain), None),
            Outcome::Wrong(what) => return state.wrong.push(format!("{}: {what}", kind.name())),
        };
        let tally = state.tallies.entry(kind).or_default();
        if trouble == late {
            tally.right += 1;
            tally.times.push(ended - began);
        }
        if let Some(message) = message {
            *tally.messages.entry(message).or_default() += 1;
        }
        if let Some(trouble) = trouble {
            *tally.troubles.entry(trouble).or_default() += 1;
            state.disturbances.push(Disturbance { kind, trouble, began, ended });
        }
    }

    /// Records that an ended session passed. Returns true if that is permitted because the store is unavailable, and temporary.
    pub fn note_stale(&self, suspect: SuspectSession, began: Instant) -> bool {
        let mut state = self.lock();
        let stale = Disturbance { kind: Kind::Ended, trouble: DisturbanceKind::Stale, began, ended: Instant::now() };
        let excused = state.excuses(&stale) && began - suspect.written <= self.grace + CONSISTENCY_BOUND;
        *state.tallies.entry(Kind::Ended).or_default().troubles.entry(DisturbanceKind::Stale).or_default() += 1;
        if excused {
            state.disturbances.push(stale);
        } else {
            state.suspects.push(suspect);
        }
        excused
    }

    pub fn suspect(&self, suspect: SuspectSession) {
        self.lock().suspects.push(suspect);
    }

    pub fn suspects(&self) -> Vec<SuspectSession> {
        self.lock().suspects.clone()
    }

    /// The number of correct answers.
    pub fn right(&self, kind: Kind) -> usize {
        self.lock().tallies.get(&kind).map_or(0, |tally| tally.right)
    }

    pub fn unavailable(&self, kind: Kind) -> usize {
        self.lock().tallies.get(&kind).map_or(0, |tally| tally.count(DisturbanceKind::Unavailable))
    }

    /// Prints the table, and panics if an answer was wrong.
    pub fn print_and_assert(&self) {
        let state = self.lock();
        println!("{}", state.table(&self.name));
        let unexcused = state.disturbances.iter().filter(|disturbance| !state.excuses(disturbance));
        let unexcused = unexcused.map(|disturbance| state.describe(disturbance));
        let wrong: Vec<String> = state.wrong.iter().cloned().chain(unexcused).collect();
        assert!(wrong.is_empty(), "{}: {} wrong answers, such as\n{}", self.name, wrong.len(), first(&wrong));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

impl Tally {
    fn count(&self, trouble: DisturbanceKind) -> usize {
        self.troubles.get(&trouble).copied().unwrap_or_default()
    }
}

impl State {
    fn excuses(&self, disturbance: &Disturbance) -> bool {
        let (excuses, lasting): (&[Excuse], _) = match disturbance.trouble {
            // Slow answers are reported, and not an error.
            DisturbanceKind::Late => return true,
            DisturbanceKind::Cut => (&[Excuse::PodGone], Duration::ZERO),
            DisturbanceKind::BegunAgain => (&[Excuse::PodGone, Excuse::StoreAway], Duration::ZERO),
            DisturbanceKind::Unavailable => (disturbance.kind.may_be_unavailable(), Duration::ZERO),
            // Cached sessions are compared with the store when that is available again.
            DisturbanceKind::Stale => (&[Excuse::StoreAway], CONSISTENCY_BOUND),
        };
        self.excuses.iter().any(|window| {
            let over = window.until.is_some_and(|until| until + lasting < disturbance.began);
            excuses.contains(&window.excuse) && window.since <= disturbance.ended && !over
        })
    }

    fn describe(&self, disturbance: &Disturbance) -> String {
        let what = match disturbance.trouble {
            DisturbanceKind::Unavailable => "503",
            DisturbanceKind::Cut => "cut",
            DisturbanceKind::BegunAgain => "begun again",
            DisturbanceKind::Late => "late",
            DisturbanceKind::Stale => "served after its end",
        };
        let phase = self.phases.iter().rfind(|phase| phase.since <= disturbance.ended);
        let when = phase.map(|phase| format!("{:.1?} after: {}", disturbance.ended - phase.since, phase.name));
        format!("{}: {what}, {}", disturbance.kind.name(), when.unwrap_or_else(|| "before anything broke".to_owned()))
    }

    fn table(&self, name: &str) -> String {
        let mut text = format!("\n{name}\n");
        line(
            &mut text,
            format_args!(
                "  {:20}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>10}{:>10}",
                "", "right", "late", "503", "cut", "again", "stale", "p50", "slowest"
            ),
        );
        for (kind, tally) in &self.tallies {
            let mut times = tally.times.clone();
            times.sort();
            let median = times.get(times.len() / 2).copied().unwrap_or_default();
            let slowest = times.last().copied().unwrap_or_default();
            let [late, unavailable, cut, again, stale] = [
                DisturbanceKind::Late,
                DisturbanceKind::Unavailable,
                DisturbanceKind::Cut,
                DisturbanceKind::BegunAgain,
                DisturbanceKind::Stale,
            ]
            .map(|trouble| tally.count(trouble));
            let right = tally.right;
            let (median, slowest) = (format!("{median:.1?}"), format!("{slowest:.1?}"));
            line(
                &mut text,
                format_args!(
                    "  {:20}{right:>8}{late:>8}{unavailable:>8}{cut:>8}{again:>8}{stale:>8}{median:>10}{slowest:>10}",
                    kind.name()
                ),
            );
        }
        for (kind, tally) in &self.tallies {
            for (message, count) in &tally.messages {
                line(&mut text, format_args!("  {}, {count} times: {message}", kind.name()));
            }
        }
        for (index, phase) in self.phases.iter().enumerate() {
            let until = self.phases.get(index + 1).map(|next| next.since);
            line(&mut text, format_args!("  {}", self.describe_phase(phase, until)));
        }
        text
    }

    fn describe_phase(&self, phase: &Phase, until: Option<Instant>) -> String {
        let within = |at: Instant| at >= phase.since && until.is_none_or(|until| at < until);
        let of = |trouble| self.disturbances.iter().filter(move |found| found.trouble == trouble && within(found.ended));
        let last = self.disturbances.iter().filter(|found| within(found.ended)).map(|found| found.ended - phase.since).max();
        let [late, unavailable, cut] =
            [DisturbanceKind::Late, DisturbanceKind::Unavailable, DisturbanceKind::Cut].map(|trouble| of(trouble).count());
        let describe = |last| format!("{late} late, {unavailable} × 503, {cut} cut, for {last:.1?}");
        let last = last.map_or_else(|| "undisturbed".to_owned(), describe);
        format!("{}: {last}", phase.name)
    }
}

fn first(wrong: &[String]) -> String {
    wrong[..wrong.len().min(SHOWN)].join("\n")
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a String can't fail");
}
