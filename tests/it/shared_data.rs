//! Real data that the repository does not carry: tests that need it skip, and say so in a file.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The path of a file of the shared folder (`$WINDTUNNEL_SHARED`, else `../shared`), if it is there. If not, a line in
/// `target/skipped.txt` says so and the test returns.
pub fn shared(file: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::var_os("WINDTUNNEL_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let path = folder.join(file);
    if path.is_file() {
        return Some(path);
    }
    let thread = std::thread::current();
    let line = format!("{}: no {}\n", thread.name().unwrap_or("?"), path.display());
    let target = root.join("target");
    let noted = fs::create_dir_all(&target)
        .and_then(|()| OpenOptions::new().create(true).append(true).open(target.join("skipped.txt")))
        .and_then(|mut file| file.write_all(line.as_bytes()));
    assert!(noted.is_ok(), "cannot note a skipped test: {noted:?}");
    None
}
