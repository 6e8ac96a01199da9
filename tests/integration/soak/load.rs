//! The load: browsers that come and go, people and programs that stay, and credentials that are none.

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

use super::ledger::{Kind, Ledger, Loss, Outcome, Suspect};
use super::users::{CachedUser, name_of};
use super::visitor::{Checked, Credential, Visitor, ask};
use crate::support::fleet::Fleet;
use crate::support::http_client;
use crate::support::nginx::GatewayInfo;
use crate::support::steps::unknown_key;
use crate::support::wait::{pass, until};

const PATIENCE: Duration = Duration::from_secs(600);
const LOGINS_AT_ONCE: usize = 4;
/// Each of those who stay, and each who has none, asks so often: a load of its own, that leaves the machine room.
const PACE: Duration = Duration::from_millis(20);
/// One in so many signs out again.
const LEAVES: usize = 3;

pub struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    site: Arc<GatewayInfo>,
    ledger: Arc<Ledger>,
    residents: Arc<[CachedUser]>,
    /// Logins that were begun, and that came to an end.
    begun: AtomicUsize,
    done: AtomicUsize,
    stopped: AtomicBool,
    ended: Mutex<VecDeque<(String, Instant)>>,
    newcomers: Mutex<Vec<(String, String, Instant)>>,
}

impl Load {
    /// Runs until [`Load::end`].
    pub fn start(fleet: &Fleet, ledger: &Arc<Ledger>, residents: &Arc<[CachedUser]>) -> Self {
        let shared = Arc::new(Shared {
            site: Arc::clone(fleet.nginx().info()),
            ledger: Arc::clone(ledger),
            residents: Arc::clone(residents),
            begun: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            ended: Mutex::default(),
            newcomers: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for _ in 0..LOGINS_AT_ONCE {
            tasks.spawn(Arc::clone(&shared).come_and_go());
        }
        tasks.spawn(Arc::clone(&shared).stay(Kind::Session));
        tasks.spawn(Arc::clone(&shared).stay(Kind::Key));
        tasks.spawn(Arc::clone(&shared).have_ended());
        tasks.spawn(Arc::clone(&shared).have_none());
        Self { shared, tasks }
    }

    /// Until so many logins more have come to an end.
    pub async fn go_on_for(&self, logins: usize) {
        let target = self.logins() + logins;
        until("logins to go on", PATIENCE, async || (self.logins() >= target).then_some(())).await;
    }

    pub fn logins(&self) -> usize {
        self.shared.done.load(Ordering::Relaxed)
    }

    /// Lets everybody finish; then looks once more at all who have ever signed in.
    pub async fn end(mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no task of the load panics");
        }
        self.shared.see_all_who_came().await;
    }
}

impl Shared {
    async fn come_and_go(self: Arc<Self>) {
        while !self.is_stopped() {
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            self.visit(number).await;
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn visit(&self, number: usize) {
        let visitor = Visitor::new(&self.site, &self.ledger);
        let Some(cookie) = visitor.sign_in(&name_of(number)).await else { return };
        let signed_in = Instant::now();
        self.see(&http_client(), Kind::Newcomer, &cookie, &name_of(number), signed_in).await;
        if !number.is_multiple_of(LEAVES) {
            self.newcomers.lock().expect("nobody panics with it").push((cookie, name_of(number), signed_in));
        } else if visitor.sign_out().await {
            self.ended.lock().expect("nobody panics with it").push_back((cookie, Instant::now()));
        }
    }

    /// Asks with a living session until somebody can say.
    async fn see(&self, http: &reqwest::Client, kind: Kind, cookie: &str, name: &str, written: Instant) {
        let session = Credential::Session(cookie.to_owned());
        while !self.ask_living(http, kind, &session, name, Some(written)).await {
            pass(PACE).await;
        }
    }

    async fn stay(self: Arc<Self>, kind: Kind) {
        let (http, mut ticks) = (http_client(), pace());
        for resident in self.residents.iter().cycle() {
            if self.is_stopped() {
                return;
            }
            ticks.tick().await;
            let credential = if kind == Kind::Key { &resident.key } else { &resident.session };
            self.ask_living(&http, kind, credential, &resident.name, None).await;
        }
    }

    /// Tells whether there was an answer. Who is refused and came when something broke is looked at in the store.
    async fn ask_living(
        &self,
        http: &reqwest::Client,
        kind: Kind,
        credential: &Credential,
        name: &str,
        written: Option<Instant>,
    ) -> bool {
        let began = Instant::now();
        let outcome = match (ask(http, &self.site, credential).await, credential, written) {
            (Checked::Allowed(told), ..) if told == name => Outcome::Right,
            (Checked::Allowed(told), ..) => Outcome::Wrong(format!("{name} was taken for {told:?}")),
            (Checked::Refused(503, said), ..) => Outcome::Unavailable(said),
            (Checked::Refused(401, _), Credential::Session(cookie), Some(written)) => {
                self.ledger.suspect(Suspect { cookie: cookie.clone(), loss: Loss::Opened, written });
                return true;
            }
            (Checked::Refused(_, said), ..) => Outcome::Wrong(format!("{said} for {name}, who is signed in")),
            (Checked::Cut(said), ..) => Outcome::Cut(said),
        };
        let answered = !matches!(outcome, Outcome::Unavailable(_) | Outcome::Cut(_));
        self.ledger.note(kind, began, outcome);
        answered
    }

    /// Asks with sessions that were ended longer ago than the bound.
    async fn have_ended(self: Arc<Self>) {
        let (http, mut ticks) = (http_client(), pace());
        while !self.is_stopped() {
            ticks.tick().await;
            let due = {
                let mut ended = self.ended.lock().expect("nobody panics with it");
                let due = ended.front().is_some_and(|(_, at)| at.elapsed() > CONSISTENCY_BOUND);
                if due { ended.pop_front() } else { None }
            };
            let Some((cookie, at)) = due else { continue };
            let answered = self.ask_ended(&http, &cookie, at).await;
            if !answered {
                self.ended.lock().expect("nobody panics with it").push_back((cookie, at));
            }
        }
    }

    /// Tells whether there is nothing more to learn of it.
    async fn ask_ended(&self, http: &reqwest::Client, cookie: &str, at: Instant) -> bool {
        let began = Instant::now();
        let outcome = match ask(http, &self.site, &Credential::Session(cookie.to_owned())).await {
            Checked::Refused(401, said) => Outcome::Refused(said),
            Checked::Refused(503, said) => Outcome::Unavailable(said),
            Checked::Allowed(_) => {
                let suspect = Suspect { cookie: cookie.to_owned(), loss: Loss::Ended, written: at };
                return !self.ledger.note_stale(suspect, began);
            }
            Checked::Refused(_, said) => Outcome::Wrong(said),
            Checked::Cut(said) => Outcome::Cut(said),
        };
        let answered = matches!(outcome, Outcome::Refused(_));
        self.ledger.note(Kind::Ended, began, outcome);
        answered
    }

    async fn have_none(self: Arc<Self>) {
        let (http, mut ticks) = (http_client(), pace());
        while !self.is_stopped() {
            for (kind, credential) in [
                (Kind::Forged, Credential::Session(URL_SAFE_NO_PAD.encode(random_bytes::<49>()))),
                (Kind::Forged, Credential::Key("sk-1234".to_owned())),
                (Kind::UnknownKey, Credential::Key(unknown_key())),
            ] {
                ticks.tick().await;
                let began = Instant::now();
                let outcome = match ask(&http, &self.site, &credential).await {
                    Checked::Refused(401, said) => Outcome::Refused(said),
                    Checked::Refused(503, said) => Outcome::Unavailable(said),
                    Checked::Refused(_, said) => Outcome::Wrong(said),
                    Checked::Allowed(name) => Outcome::Wrong(format!("taken for {name:?}")),
                    Checked::Cut(said) => Outcome::Cut(said),
                };
                self.ledger.note(kind, began, outcome);
            }
        }
    }

    /// Nobody who came is logged out, and who left stays so.
    async fn see_all_who_came(&self) {
        let http = http_client();
        let newcomers = std::mem::take(&mut *self.newcomers.lock().expect("nobody panics with it"));
        for (cookie, name, written) in newcomers {
            self.see(&http, Kind::Newcomer, &cookie, &name, written).await;
        }
        let ended = std::mem::take(&mut *self.ended.lock().expect("nobody panics with it"));
        for (cookie, at) in ended {
            let due = async || (at.elapsed() > CONSISTENCY_BOUND).then_some(());
            until("the bound to be over", PATIENCE, due).await;
            until("an answer", PATIENCE, async || self.ask_ended(&http, &cookie, at).await.then_some(())).await;
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
