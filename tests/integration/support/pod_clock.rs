//! The wall clock of one pod (libfaketime), which a test moves while the pod runs.

use std::path::PathBuf;

use super::scratch::Scratch;

pub struct PodClock(Scratch);

impl PodClock {
    /// A correct clock.
    pub fn new() -> Self {
        let clock = Self(Scratch::new("clock"));
        clock.set("+0");
        clock
    }

    /// The environment of the pod.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut variables = preload();
        variables.push(("FAKETIME_TIMESTAMP_FILE".to_owned(), self.file().display().to_string()));
        variables.push(("FAKETIME_NO_CACHE".to_owned(), "1".to_owned()));
        variables
    }

    /// Moves the clock to this offset from the correct time, such as `+90s` or `+2h`.
    pub fn set(&self, offset: &str) {
        // A rename, because the pod may read the file at any moment.
        let next = self.0.write("next", &format!("{offset}\n"));
        std::fs::rename(next, self.file()).expect("the scratch directory is writable");
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("clock")
    }
}

/// The environment of a pod whose wall clock is off by a constant, such as `+90s`.
pub fn constant_offset(offset: &str) -> Vec<(String, String)> {
    let mut variables = preload();
    variables.push(("FAKETIME".to_owned(), offset.to_owned()));
    variables
}

fn preload() -> Vec<(String, String)> {
    let variables = [("LD_PRELOAD", library().display().to_string()), ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned())];
    variables.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// The library of Debian's `faketime`; other systems have other paths.
fn library() -> PathBuf {
    let directories = std::fs::read_dir("/usr/lib").expect("there is /usr/lib").flatten().map(|entry| entry.path());
    let files = directories.map(|directory| directory.join("faketime/libfaketimeMT.so.1"));
    files.into_iter().find(|file| file.exists()).expect("libfaketime is missing: run `make peers`")
}
