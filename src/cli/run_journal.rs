//! Finished runs in a file, a line each: what an interrupted `run` goes on from, and what a shard leaves.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::results::{RunResult, read_run_line, run_line};
use crate::scenario::runs::RunStore;

use super::context::Error;

/// Runs of so short a study are made again sooner than they are read.
const WORTH_KEEPING: Duration = Duration::from_secs(2);

/// The file, and what was in it when it was opened.
pub(super) struct RunJournal {
    path: PathBuf,
    known: BTreeMap<String, RunResult>,
    /// How long the command runs before runs are kept.
    delay: Duration,
    opened: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    file: Option<File>,
    /// The first thing that could not be written.
    failed: Option<String>,
}

impl RunJournal {
    /// What a `run` may go on from; it keeps runs once it has taken a while.
    pub fn of_run(path: PathBuf) -> Result<RunJournal, Error> {
        RunJournal::open(path, WORTH_KEEPING)
    }

    /// What a shard leaves: every run.
    pub fn of_shard(path: PathBuf) -> Result<RunJournal, Error> {
        RunJournal::open(path, Duration::ZERO)
    }

    fn open(path: PathBuf, delay: Duration) -> Result<RunJournal, Error> {
        let known = read_runs(&path)?;
        Ok(RunJournal { path, known, delay, opened: Instant::now(), state: Mutex::default() })
    }

    /// Runs that were there when it was opened.
    pub fn known(&self) -> usize {
        self.known.len()
    }

    /// Whether everything could be kept.
    pub fn finish(&self) -> Result<(), Error> {
        let failed = self.state.lock().ok().and_then(|state| state.failed.clone());
        let cannot = |e| Error::Environment(format!("{} cannot be written: {e}", self.path.display()));
        failed.map_or(Ok(()), |e| Err(cannot(e)))
    }

    /// Removes the file: what it was for is done.
    pub fn remove(&self) {
        // Best effort: a file that stays is only read once more.
        let _ = fs::remove_file(&self.path);
    }

    fn write(&self, state: &mut State, line: &[u8]) -> std::io::Result<()> {
        if state.file.is_none() {
            if let Some(parent) = self.path.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            // The last line of an interrupted command may have no end.
            if file.metadata()?.len() > 0 {
                file.write_all(b"\n")?;
            }
            state.file = Some(file);
        }
        state.file.as_mut().map_or(Ok(()), |file| file.write_all(line))
    }
}

impl RunStore for RunJournal {
    fn find(&self, fingerprint: &str) -> Option<RunResult> {
        self.known.get(fingerprint).cloned()
    }

    fn keep(&self, fingerprint: &str, run: &RunResult) {
        if self.opened.elapsed() < self.delay {
            return;
        }
        let line = run_line(fingerprint, run);
        let Ok(mut state) = self.state.lock() else { return };
        if state.failed.is_none() {
            state.failed = self.write(&mut state, &line).err().map(|e| e.to_string());
        }
    }
}

/// Runs of a file by their fingerprints; none where there is no file.
pub(super) fn read_runs(path: &Path) -> Result<BTreeMap<String, RunResult>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).lines().filter_map(read_run_line).collect()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(e) => Err(Error::Environment(format!("{} cannot be read: {e}", path.display()))),
    }
}

/// Runs that were made elsewhere; what is not among them is an error.
pub(super) struct Gathered(pub BTreeMap<String, RunResult>);

impl RunStore for Gathered {
    fn find(&self, fingerprint: &str) -> Option<RunResult> {
        self.0.get(fingerprint).cloned()
    }

    fn keep(&self, _: &str, _: &RunResult) {}

    fn makes_runs(&self) -> bool {
        false
    }
}
