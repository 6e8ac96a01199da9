//! Limits how many tests that keep the processor busy run at the same time, so that many others can wait beside them.

use tokio::sync::{Semaphore, SemaphorePermit};

/// As many as continuous integration has cores.
const AT_ONCE: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// Held while a test drives a browser or puts a fleet under load.
pub type Turn = SemaphorePermit<'static>;

pub async fn wait_for_turn() -> Turn {
    TURNS.acquire().await.expect("nothing closes the semaphore")
}
