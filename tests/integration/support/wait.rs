//! Waits for conditions with a deadline. Tests call these functions instead of `tokio::time::sleep`.

use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(10);

/// A pod writes one line a second of each kind that anonymous requests cause.
const LOG_INTERVAL: Duration = Duration::from_millis(1050);

/// Probes until there is a value. Panics with `what` when the deadline passes.
pub async fn until<T>(what: &str, deadline: Duration, probe: impl AsyncFnMut() -> Option<T>) -> T {
    within(deadline, probe).await.unwrap_or_else(|| panic!("timed out after {deadline:?}, waiting for {what}"))
}

/// Probes until there is a value or the deadline passes.
pub async fn within<T>(deadline: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let attempts = async {
        loop {
            if let Some(value) = probe().await {
                return value;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(deadline, attempts).await.ok()
}

/// Lets time pass: for the duration of a fault, or before a user tries again.
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Lets time pass until a pod writes another line of any kind.
pub async fn for_next_log_line() {
    pass(LOG_INTERVAL).await;
}

/// The result of the work and its duration, for the figures that a test prints.
pub async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let began = tokio::time::Instant::now();
    let result = work.await;
    (result, began.elapsed())
}
