//! The first tagged version, which runs beside the present one.

use std::path::PathBuf;

const FIRST: &str = include_str!("../../versions/first");

/// Its binary, as `tests/versions/build.sh` makes it. None where that says, loudly, that this checkout can't have it.
pub fn first() -> Option<PathBuf> {
    let ours = std::env::current_exe().expect("we run");
    let target = ours.ancestors().nth(3).expect("cargo puts it below the target directory");
    let (tag, _) = FIRST.split_once(' ').expect("a tag and a commit");
    let folder = target.join("versions").join(tag);
    if let Ok(reason) = std::fs::read_to_string(folder.join("missing")) {
        println!("{reason}");
        return None;
    }
    let binary = folder.join("vestibule");
    assert!(binary.exists(), "{tag} is not built: run `make first-version`");
    Some(binary)
}
