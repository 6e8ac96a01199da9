//! The first tagged version, which runs beside the current one.

use std::path::PathBuf;

const FIRST: &str = include_str!("../../versions/first");

/// The binary that `tests/versions/build.sh` creates.
pub fn first() -> PathBuf {
    let ours = std::env::current_exe().expect("we run");
    let target = ours.ancestors().nth(3).expect("cargo puts it below the target directory");
    let (tag, _) = FIRST.split_once(' ').expect("a tag and a commit");
    let binary = target.join("versions").join(tag).join("vestibule");
    assert!(binary.exists(), "{tag} is not built: run `make test-versions`");
    binary
}
