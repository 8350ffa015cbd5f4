//! Measurements made by others that the repository does not contain.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// `file` of the shared folder (`$WINDTUNNEL_SHARED`, else `../shared` beside the repository), if it is there.
///
/// Where it is absent, a line in `target/skipped.txt` says so and the test returns without having tested anything.
pub fn shared(file: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::var_os("WINDTUNNEL_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let path = folder.join(file);
    if path.exists() {
        return Some(path);
    }
    let log = root.join("target/skipped.txt");
    let _ = fs::create_dir_all(root.join("target"));
    if let Ok(mut out) = OpenOptions::new().create(true).append(true).open(log) {
        let _ = writeln!(out, "{file}: not in {}", folder.display());
    }
    None
}
