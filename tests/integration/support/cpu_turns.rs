//! Limits the number of CPU-bound tests that run at the same time, so that many others can run beside them.

use tokio::sync::{Semaphore, SemaphorePermit};

/// The number of cores in continuous integration.
const MAX_HEAVY_TESTS: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(MAX_HEAVY_TESTS);

/// Held while a test drives a browser or puts a fleet under load.
pub type Turn = SemaphorePermit<'static>;

pub async fn wait_for_turn() -> Turn {
    TURNS.acquire().await.expect("nothing closes the semaphore")
}
