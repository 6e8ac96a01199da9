//! Watches files, such as mounted Secrets, and reads them again when they change.
//!
//! The watch is on the directory and not on the file, because Kubernetes swaps a symbolic link next to the file, and editors
//! replace it. A slow poll detects changes that the file system does not report.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{
    Event, EventKind, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{sync::mpsc, task::JoinHandle};

/// The delay after an event, since one edit causes several events.
const SETTLE: Duration = Duration::from_millis(50);
const POLL: Duration = Duration::from_secs(30);

/// A watch that ends when it is dropped.
pub struct FileWatch {
    task: JoinHandle<()>,
}

impl FileWatch {
    /// Calls `changed` with the file's content whenever it differs from the previous content, which at first is `initial`.
    ///
    /// A file that can't be read is reported once, and the previous content stays in use.
    pub fn start<T, E>(
        path: &Path,
        initial: T,
        read: impl Fn(&Path) -> Result<T, E> + Send + 'static,
        changed: impl FnMut(&T) + Send + 'static,
    ) -> Self
    where
        T: PartialEq + Send + 'static,
        E: std::fmt::Display,
    {
        let (sender, events) = mpsc::channel(1);
        let watcher = watcher(path, sender);
        if let Err(error) = &watcher {
            tracing::warn!(path = %path.display(), %error, "file watch not available; polling every 30s");
        }
        let path = path.to_owned();
        let task = tokio::spawn(async move {
            // The task owns the watcher, so that both end together.
            let _watcher = watcher.ok();
            follow(path, initial, read, changed, events).await;
        });
        Self { task }
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn watcher(path: &Path, sender: mpsc::Sender<()>) -> notify::Result<notify::RecommendedWatcher> {
    // A full channel already has an unread event.
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| is_read_access(event.kind)) {
            return;
        }
        let _ = sender.try_send(());
    })?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// True for events that our own reads cause. Reading again in response would never end.
fn is_read_access(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

async fn follow<T: PartialEq, E: std::fmt::Display>(
    path: PathBuf,
    mut current: T,
    read: impl Fn(&Path) -> Result<T, E>,
    mut changed: impl FnMut(&T),
    mut events: mpsc::Receiver<()>,
) {
    let mut reported = false;
    // The first read is immediate, because the file may have changed between the initial read and the watch.
    loop {
        match read(&path) {
            Ok(read) if read != current => {
                current = read;
                changed(&current);
                reported = false;
            }
            Ok(_) => reported = false,
            Err(error) if !reported => {
                tracing::error!(path = %path.display(), %error, "file not readable; keeping last content");
                reported = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            event = events.recv() => match event {
                Some(()) => tokio::time::sleep(SETTLE).await,
                // Without a watcher, only the poll remains.
                None => tokio::time::sleep(POLL).await,
            },
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    async fn next(changes: &mut mpsc::UnboundedReceiver<String>) -> String {
        tokio::time::timeout(Duration::from_secs(10), changes.recv()).await.expect("a change within 10 s").unwrap()
    }

    fn start(path: &Path, initial: &str) -> (FileWatch, mpsc::UnboundedReceiver<String>) {
        let (sender, changes) = mpsc::unbounded_channel();
        let watch = FileWatch::start(
            path,
            initial.to_owned(),
            |path| fs::read_to_string(path),
            move |text| sender.send(text.clone()).unwrap(),
        );
        (watch, changes)
    }

    #[tokio::test]
    async fn a_written_and_a_replaced_file_are_detected() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, "one").unwrap();
        let (_watch, mut changes) = start(&path, "one");
        fs::write(&path, "two").unwrap();
        assert_eq!(next(&mut changes).await, "two");
        fs::write(directory.path().join("new"), "three").unwrap();
        fs::rename(directory.path().join("new"), &path).unwrap();
        assert_eq!(next(&mut changes).await, "three");
    }

    #[tokio::test]
    async fn a_swapped_symbolic_link_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for (version, text) in [("..1", "one"), ("..2", "two")] {
            fs::create_dir(root.join(version)).unwrap();
            fs::write(root.join(version).join("secret"), text).unwrap();
        }
        symlink("..1", root.join("..data")).unwrap();
        symlink("..data/secret", root.join("secret")).unwrap();
        let (_watch, mut changes) = start(&root.join("secret"), "one");
        symlink("..2", root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        assert_eq!(next(&mut changes).await, "two");
    }

    #[tokio::test]
    async fn a_missing_file_keeps_the_previous_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, "one").unwrap();
        let (_watch, mut changes) = start(&path, "one");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "two").unwrap();
        assert_eq!(next(&mut changes).await, "two");
    }

    #[tokio::test]
    async fn a_change_before_the_watch_is_detected() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, "two").unwrap();
        let (_watch, mut changes) = start(&path, "one");
        assert_eq!(next(&mut changes).await, "two");
    }

    #[tokio::test]
    async fn an_unchanged_file_is_not_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, "one").unwrap();
        let (sender, mut reads) = mpsc::unbounded_channel();
        let read = move |path: &Path| {
            sender.send(()).unwrap();
            fs::read_to_string(path)
        };
        let _watch = FileWatch::start(&path, "one".to_owned(), read, |_| ());
        fs::write(&path, "two").unwrap();
        let quiet = async { while tokio::time::timeout(SETTLE * 10, reads.recv()).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(10), quiet).await.expect("the file is read repeatedly");
    }

    #[test]
    fn read_access_is_not_a_change() {
        for kind in [AccessKind::Open(AccessMode::Any), AccessKind::Close(AccessMode::Read), AccessKind::Read] {
            assert!(is_read_access(EventKind::Access(kind)), "{kind:?}");
        }
        for kind in [EventKind::Access(AccessKind::Close(AccessMode::Write)), EventKind::Any, EventKind::Other] {
            assert!(!is_read_access(kind), "{kind:?}");
        }
    }
}
