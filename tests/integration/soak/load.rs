//! The load: browsers that sign in and out, users and programs with sessions and keys, and invalid credentials.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use vestibule::principal_cache::CONSISTENCY_BOUND;
use vestibule::secret::random_bytes;

use super::ledger::{Kind, Ledger, Loss, Outcome, SuspectSession};
use super::users::{CachedUser, name_of};
use super::visitor::{Credential, UpstreamResult, Visitor, ask};
use crate::support::fleet::Fleet;
use crate::support::http_client;
use crate::support::nginx::GatewayInfo;
use crate::support::steps::unknown_key;
use crate::support::wait::{pass, until};

const PATIENCE: Duration = Duration::from_secs(600);
const LOGINS_AT_ONCE: usize = 4;
/// The interval of requests of each task with constant load, which leaves processor time for the others.
const PACE: Duration = Duration::from_millis(20);
/// One in this many browsers signs out again.
const VISITS_PER_SIGN_OUT: usize = 3;

pub struct Load {
    shared: Arc<SharedLoad>,
    tasks: JoinSet<()>,
}

struct SharedLoad {
    gateway: Arc<GatewayInfo>,
    ledger: Arc<Ledger>,
    cached_users: Arc<[CachedUser]>,
    /// Login flows that were started, and that were completed.
    begun: AtomicUsize,
    done: AtomicUsize,
    stopped: AtomicBool,
    ended: Mutex<VecDeque<(String, Instant)>>,
    newcomers: Mutex<Vec<(String, String, Instant)>>,
}

impl Load {
    /// Runs until [`Load::end`].
    pub fn start(fleet: &Fleet, ledger: &Arc<Ledger>, cached_users: &Arc<[CachedUser]>) -> Self {
        let shared = Arc::new(SharedLoad {
            gateway: Arc::clone(fleet.nginx().info()),
            ledger: Arc::clone(ledger),
            cached_users: Arc::clone(cached_users),
            begun: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            ended: Mutex::default(),
            newcomers: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for _ in 0..LOGINS_AT_ONCE {
            tasks.spawn(Arc::clone(&shared).sign_in_and_out());
        }
        tasks.spawn(Arc::clone(&shared).check_constantly(Kind::Session));
        tasks.spawn(Arc::clone(&shared).check_constantly(Kind::Key));
        tasks.spawn(Arc::clone(&shared).check_ended_sessions());
        tasks.spawn(Arc::clone(&shared).check_invalid_credentials());
        Self { shared, tasks }
    }

    /// Waits for this number of additional logins.
    pub async fn wait_for_logins(&self, logins: usize) {
        let target = self.logins() + logins;
        until("logins to go on", PATIENCE, async || (self.logins() >= target).then_some(())).await;
    }

    pub fn logins(&self) -> usize {
        self.shared.done.load(Ordering::Relaxed)
    }

    /// Waits for all tasks, then checks all sessions once more.
    pub async fn end(mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no task of the load panics");
        }
        self.shared.check_all_sessions().await;
    }
}

impl SharedLoad {
    async fn sign_in_and_out(self: Arc<Self>) {
        while !self.is_stopped() {
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            self.run_visit(number).await;
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn run_visit(&self, number: usize) {
        let visitor = Visitor::new(&self.gateway, &self.ledger);
        let Some(cookie) = visitor.sign_in(&name_of(number)).await else { return };
        let signed_in = Instant::now();
        self.check_new_session(&http_client(), Kind::Newcomer, &cookie, &name_of(number), signed_in).await;
        if !number.is_multiple_of(VISITS_PER_SIGN_OUT) {
            self.newcomers.lock().expect("no holder of this lock panics").push((cookie, name_of(number), signed_in));
        } else if visitor.sign_out().await {
            self.ended.lock().expect("no holder of this lock panics").push_back((cookie, Instant::now()));
        }
    }

    /// Checks a valid session until the answer is certain.
    async fn check_new_session(&self, http: &reqwest::Client, kind: Kind, cookie: &str, name: &str, written: Instant) {
        let session = Credential::Session(cookie.to_owned());
        while !self.check_valid(http, kind, &session, name, Some(written)).await {
            pass(PACE).await;
        }
    }

    async fn check_constantly(self: Arc<Self>, kind: Kind) {
        let (http, mut ticks) = (http_client(), pace());
        for cached_user in self.cached_users.iter().cycle() {
            if self.is_stopped() {
                return;
            }
            ticks.tick().await;
            let credential = if kind == Kind::Key { &cached_user.key } else { &cached_user.session };
            self.check_valid(&http, kind, credential, &cached_user.name, None).await;
        }
    }

    /// Returns true if there was an answer. A refused session from a fault is looked up in the store.
    async fn check_valid(
        &self,
        http: &reqwest::Client,
        kind: Kind,
        credential: &Credential,
        name: &str,
        written: Option<Instant>,
    ) -> bool {
        let began = Instant::now();
        let outcome = match (ask(http, &self.gateway, credential).await, credential, written) {
            (UpstreamResult::Allowed(username), ..) if username == name => Outcome::Right,
            (UpstreamResult::Allowed(username), ..) => Outcome::Wrong(format!("{name} was taken for {username:?}")),
            (UpstreamResult::Refused(503, message), ..) => Outcome::Unavailable(message),
            (UpstreamResult::Refused(401, _), Credential::Session(cookie), Some(written)) => {
                self.ledger.suspect(SuspectSession { cookie: cookie.clone(), loss: Loss::Opened, written });
                return true;
            }
            (UpstreamResult::Refused(_, message), ..) => Outcome::Wrong(format!("{message} for {name}, who is signed in")),
            (UpstreamResult::Cut(message), ..) => Outcome::Cut(message),
        };
        let is_answered = !matches!(outcome, Outcome::Unavailable(_) | Outcome::Cut(_));
        self.ledger.note(kind, began, outcome);
        is_answered
    }

    /// Checks sessions that were ended longer ago than the bound.
    async fn check_ended_sessions(self: Arc<Self>) {
        let (http, mut ticks) = (http_client(), pace());
        while !self.is_stopped() {
            ticks.tick().await;
            let due = {
                let mut ended = self.ended.lock().expect("no holder of this lock panics");
                let due = ended.front().is_some_and(|(_, at)| at.elapsed() > CONSISTENCY_BOUND);
                if due { ended.pop_front() } else { None }
            };
            let Some((cookie, at)) = due else { continue };
            let is_answered = self.check_ended(&http, &cookie, at).await;
            if !is_answered {
                self.ended.lock().expect("no holder of this lock panics").push_back((cookie, at));
            }
        }
    }

    /// Returns true if the answer is certain.
    async fn check_ended(&self, http: &reqwest::Client, cookie: &str, at: Instant) -> bool {
        let began = Instant::now();
        let outcome = match ask(http, &self.gateway, &Credential::Session(cookie.to_owned())).await {
            UpstreamResult::Refused(401, message) => Outcome::Refused(message),
            UpstreamResult::Refused(503, message) => Outcome::Unavailable(message),
            UpstreamResult::Allowed(_) => {
                let suspect = SuspectSession { cookie: cookie.to_owned(), loss: Loss::Ended, written: at };
                return !self.ledger.note_stale(suspect, began);
            }
            UpstreamResult::Refused(_, message) => Outcome::Wrong(message),
            UpstreamResult::Cut(message) => Outcome::Cut(message),
        };
        let is_answered = matches!(outcome, Outcome::Refused(_));
        self.ledger.note(Kind::Ended, began, outcome);
        is_answered
    }

    async fn check_invalid_credentials(self: Arc<Self>) {
        let (http, mut ticks) = (http_client(), pace());
        while !self.is_stopped() {
            for (kind, credential) in [
                (Kind::Forged, Credential::Session(URL_SAFE_NO_PAD.encode(random_bytes::<49>()))),
                (Kind::Forged, Credential::ApiKey("sk-1234".to_owned())),
                (Kind::UnknownKey, Credential::ApiKey(unknown_key())),
            ] {
                ticks.tick().await;
                let began = Instant::now();
                let outcome = match ask(&http, &self.gateway, &credential).await {
                    UpstreamResult::Refused(401, message) => Outcome::Refused(message),
                    UpstreamResult::Refused(503, message) => Outcome::Unavailable(message),
                    UpstreamResult::Refused(_, message) => Outcome::Wrong(message),
                    UpstreamResult::Allowed(name) => Outcome::Wrong(format!("taken for {name:?}")),
                    UpstreamResult::Cut(message) => Outcome::Cut(message),
                };
                self.ledger.note(kind, began, outcome);
            }
        }
    }

    /// All new sessions are still valid, and all ended ones are refused.
    async fn check_all_sessions(&self) {
        let http = http_client();
        let newcomers = std::mem::take(&mut *self.newcomers.lock().expect("no holder of this lock panics"));
        for (cookie, name, written) in newcomers {
            self.check_new_session(&http, Kind::Newcomer, &cookie, &name, written).await;
        }
        let ended = std::mem::take(&mut *self.ended.lock().expect("no holder of this lock panics"));
        for (cookie, at) in ended {
            let due = async || (at.elapsed() > CONSISTENCY_BOUND).then_some(());
            until("the bound to be over", PATIENCE, due).await;
            until("an answer", PATIENCE, async || self.check_ended(&http, &cookie, at).await.then_some(())).await;
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

fn pace() -> tokio::time::Interval {
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
