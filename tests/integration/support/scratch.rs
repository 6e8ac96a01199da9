//! A directory for a peer's files that is removed with its owner. It is kept and printed if the test fails.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub struct Scratch {
    directory: TempDir,
}

impl Scratch {
    pub fn new(name: &str) -> Self {
        static SWEEP: std::sync::Once = std::sync::Once::new();
        SWEEP.call_once(remove_old_directories);
        let directory = tempfile::Builder::new()
            .prefix(&format!("vestibule-{}-{name}-", std::process::id()))
            .tempdir()
            .expect("the temporary directory is writable");
        Self { directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file that only its owner may read, and returns its path.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let file = self.path().join(name);
        std::fs::write(&file, content).expect("the scratch directory is writable");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("the file is ours");
        file
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept {}", self.path().display());
            self.directory.disable_cleanup(true);
        }
    }
}

/// Removes directories of earlier runs: shared peers are in statics, which are never dropped.
fn remove_old_directories() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(owner_of);
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // The directory belongs to another user, or another run removes it at the same time.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn owner_of(name: &str) -> Option<u32> {
    let (pid, _) = name.strip_prefix("vestibule-")?.split_once('-')?;
    pid.parse().ok()
}
