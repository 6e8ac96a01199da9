//! Files that are read again when they change, such as mounted Secrets.
//!
//! The directory is watched and not the file: Kubernetes swaps a symbolic link beside it, and editors
//! replace the file. A slow poll finds what a file system does not announce.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{
    Event, EventKind, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{sync::mpsc, task::JoinHandle};

/// Several events belong to one edit.
const SETTLE: Duration = Duration::from_millis(50);
const POLL: Duration = Duration::from_secs(30);

/// A watch that ends when it is dropped.
pub struct FileWatch {
    task: JoinHandle<()>,
}

impl FileWatch {
    /// Calls `changed` with the file's content whenever it is another than before, beginning with `initial`.
    ///
    /// A file that can't be read is reported once and leaves everything as it is.
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
        let (tell, events) = mpsc::channel(1);
        let watcher = watcher(path, tell);
        if let Err(error) = &watcher {
            tracing::warn!(path = %path.display(), %error, "changes of the file are not announced; it is read every 30 s");
        }
        let path = path.to_owned();
        let task = tokio::spawn(async move {
            // Kept here: the watcher ends with the task.
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

fn watcher(path: &Path, tell: mpsc::Sender<()>) -> notify::Result<notify::RecommendedWatcher> {
    // A full channel already says that something has changed.
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| is_only_a_look(event.kind)) {
            return;
        }
        let _ = tell.try_send(());
    })?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// Our own reading is announced too: an answer to that would be to read again, for ever.
fn is_only_a_look(kind: EventKind) -> bool {
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
    // At first at once: an edit may have come between the first reading and the watch.
    loop {
        match read(&path) {
            Ok(read) if read != current => {
                current = read;
                changed(&current);
                reported = false;
            }
            Ok(_) => reported = false,
            Err(error) if !reported => {
                tracing::error!(path = %path.display(), %error, "the file can't be read; what it held stays in force");
                reported = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            event = events.recv() => match event {
                Some(()) => tokio::time::sleep(SETTLE).await,
                // Without a watcher there is only the poll.
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
        let (tell, changes) = mpsc::unbounded_channel();
        let watch = FileWatch::start(
            path,
            initial.to_owned(),
            |path| fs::read_to_string(path),
            move |text| tell.send(text.clone()).unwrap(),
        );
        (watch, changes)
    }

    #[tokio::test]
    async fn an_edit_is_seen_whether_the_file_is_written_or_replaced() {
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
    async fn the_link_that_kubernetes_swaps_is_followed() {
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
    async fn a_missing_file_changes_nothing_until_it_is_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, "one").unwrap();
        let (_watch, mut changes) = start(&path, "one");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "two").unwrap();
        assert_eq!(next(&mut changes).await, "two");
    }

    #[tokio::test]
    async fn an_edit_from_before_the_watch_is_seen_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, "two").unwrap();
        let (_watch, mut changes) = start(&path, "one");
        assert_eq!(next(&mut changes).await, "two");
    }

    #[tokio::test]
    async fn what_was_read_is_left_alone_until_something_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, "one").unwrap();
        let (tell, mut reads) = mpsc::unbounded_channel();
        let read = move |path: &Path| {
            tell.send(()).unwrap();
            fs::read_to_string(path)
        };
        let _watch = FileWatch::start(&path, "one".to_owned(), read, |_| ());
        fs::write(&path, "two").unwrap();
        let quiet = async { while tokio::time::timeout(SETTLE * 10, reads.recv()).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(10), quiet).await.expect("the file is read again and again");
    }

    #[test]
    fn a_look_at_a_file_is_no_change_of_it() {
        for kind in [AccessKind::Open(AccessMode::Any), AccessKind::Close(AccessMode::Read), AccessKind::Read] {
            assert!(is_only_a_look(EventKind::Access(kind)), "{kind:?}");
        }
        for kind in [EventKind::Access(AccessKind::Close(AccessMode::Write)), EventKind::Any, EventKind::Other] {
            assert!(!is_only_a_look(kind), "{kind:?}");
        }
    }
}
