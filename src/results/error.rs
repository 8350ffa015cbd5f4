//! What can go wrong with result files: the environment (exit code 4) or a file that is not ours.

use std::io;
use std::path::{Path, PathBuf};

/// A result folder could not be written or read; the message says where, what, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The file system refused.
    #[error("failed to {action} `{}`: {source} ({help})", path.display())]
    Io {
        /// What was tried, as a verb: `write`, `rename`.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
        /// What to do.
        help: &'static str,
    },
    /// The folder exists but was not written by us, so it is not replaced.
    #[error("`{}` is not empty and has no manifest.json of windtunnel (choose another folder, or empty it)", .0.display())]
    ForeignFolder(PathBuf),
    /// A file does not hold what its name says.
    #[error("`{}` is not a result file of windtunnel: {message} (run the scenario again)", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A file of an earlier version that lacks what is asked for.
    #[error("`{}` has schema {found}, and {needed} is needed (run the scenario again)", path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// Schema of the file.
        found: u32,
        /// Earliest schema that will do.
        needed: u32,
    },
    /// A file of a later version of the tool.
    #[error("`{}` has schema {found}, this version reads up to {known} (update windtunnel)", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Schema of the file.
        found: u32,
        /// Latest schema that is known here.
        known: u32,
    },
}

impl ResultsError {
    /// Wraps an I/O error with its place.
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let help = match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "choose a folder you may write to"
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some disk space",
            io::ErrorKind::NotFound => "check that the folder exists",
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                "a file stands where a folder is needed; move it away"
            }
            _ => "check the disk and try again",
        };
        ResultsError::Io { action, path: path.to_owned(), source, help }
    }
}
