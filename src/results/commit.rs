//! Writing a result folder: all of it or nothing.
//!
//! Everything goes into a temporary folder beside the target, which then takes the target's name. When anything
//! fails the temporary folder is removed and the results of before stand as they were.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::ResultsError;
use super::render::{request_cells, request_header};
use crate::metrics::Records;

/// What writes a file piece by piece, because it may be long.
pub trait Streamed: std::fmt::Debug {
    /// Writes all of it.
    ///
    /// # Errors
    /// What writing failed with, or what there was to write could not be made.
    fn write_to(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// What a file will hold.
#[derive(Clone, Debug)]
pub enum Content<'a> {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Request records as CSV, rendered while they are written because there may be many.
    Requests {
        /// The records.
        records: &'a Records,
        /// Names of the classes.
        classes: &'a [String],
    },
    /// What this writes.
    Streamed(&'a dyn Streamed),
}

/// Files by path relative to the result folder, with `/` between folders.
#[derive(Clone, Debug, Default)]
pub struct FileSet<'a>(BTreeMap<String, Content<'a>>);

impl<'a> FileSet<'a> {
    /// Adds a file of bytes.
    pub fn add(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.insert(path, Content::Bytes(bytes.into()));
    }

    /// Adds a file; a path is given once.
    pub fn insert(&mut self, path: &str, content: Content<'a>) {
        let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\\');
        assert!(path.split('/').all(plain), "`{path}` is not a plain relative path");
        let before = self.0.insert(path.to_owned(), content);
        assert!(before.is_none(), "`{path}` is written twice");
    }

    /// Paths and contents, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Content<'a>)> {
        self.0.iter().map(|(path, content)| (path.as_str(), content))
    }

    /// The bytes of a file, if it is one of bytes.
    pub fn bytes(&self, path: &str) -> Option<&[u8]> {
        match self.0.get(path)? {
            Content::Bytes(bytes) => Some(bytes),
            Content::Requests { .. } | Content::Streamed(_) => None,
        }
    }
}

/// Top-level names that belong to us: replaced as a whole. Anything else in the folder is kept.
const OWN: [&str; 24] = [
    CANDIDATES,
    "capacity.csv",
    "capacity.json",
    "claims.csv",
    "classes.csv",
    "deployments.csv",
    "difference.csv",
    "distributions.json",
    "index.html",
    "ledger.csv",
    "manifest.json",
    "page.md",
    "parquet",
    "plan.csv",
    "plan.json",
    "plots",
    "requests",
    "robustness.csv",
    "summary.csv",
    "summary.json",
    "timeline",
    "timing.json",
    "trace",
    "trials.csv",
];

/// Makes `folder` hold exactly `files` (and what others put there), replacing results of before. All or nothing.
///
/// Missing parents of `folder` are created.
pub fn commit(folder: &Path, files: &FileSet<'_>) -> Result<(), ResultsError> {
    refuse_foreign(folder)?;
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|e| ResultsError::io("create", parent, e))?;
    let (fresh, old) = (sibling(folder, "new"), sibling(folder, "old"));
    let result = write_all(&fresh, files).and_then(|()| {
        if swap(folder, &fresh, &old)? {
            keep_others(&old, folder)?;
            fs::remove_dir_all(&old).map_err(|e| ResultsError::io("remove", &old, e))?;
        }
        Ok(())
    });
    if result.is_err() {
        // Best effort: the error that is reported matters more than a left-over folder.
        let _ = fs::remove_dir_all(&fresh);
    }
    result
}

/// Replaces the top-level files and folders of `files` in `folder`, one after the other, and leaves the rest as it is.
///
/// What is new is written completely before anything is replaced; `folder` must be a result folder.
pub fn redraw(folder: &Path, files: &FileSet<'_>) -> Result<(), ResultsError> {
    let fresh = sibling(folder, "new");
    let result = write_all(&fresh, files).and_then(|()| {
        let mut names: Vec<&str> = files.iter().filter_map(|(path, _)| path.split('/').next()).collect();
        names.dedup();
        for name in names {
            let old = sibling(&folder.join(name), "old");
            if swap(&folder.join(name), &fresh.join(name), &old)? {
                let gone = if old.is_dir() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
                gone.map_err(|e| ResultsError::io("remove", &old, e))?;
            }
        }
        Ok(())
    });
    // Best effort: by now it is empty, or there is an error that matters more.
    let _ = fs::remove_dir_all(&fresh);
    result
}

/// A hidden name beside `folder` that no other process uses.
fn sibling(folder: &Path, what: &str) -> PathBuf {
    let name = folder.file_name().map_or_else(|| "results".into(), |n| n.to_string_lossy().into_owned());
    folder.with_file_name(format!(".{name}.{what}-{}", std::process::id()))
}

/// Folders that other verbs put into the folder of a scenario; they stay when it is replaced.
const OF_VERBS: [&str; 2] = ["capacity", "plan"];

/// What `plan` writes while it searches, before there is a manifest.
pub const CANDIDATES: &str = "candidates.jsonl";

/// An existing folder is replaced only if it is empty or ours.
pub fn refuse_foreign(folder: &Path) -> Result<(), ResultsError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(ResultsError::io("read", folder, e)),
    };
    let ours = |folder: &Path| {
        fs::read_to_string(folder.join("manifest.json"))
            .is_ok_and(|text| text.contains("\"tool\": \"windtunnel\""))
    };
    if ours(folder) {
        return Ok(());
    }
    for entry in entries {
        let entry = entry.map_err(|e| ResultsError::io("read", folder, e))?;
        let name = entry.file_name();
        let of_verb = OF_VERBS.iter().any(|verb| name == *verb)
            && (ours(&entry.path()) || entry.path().join(CANDIDATES).is_file());
        if !of_verb && name != CANDIDATES {
            return Err(ResultsError::ForeignFolder(folder.to_owned()));
        }
    }
    Ok(())
}

fn write_all(fresh: &Path, files: &FileSet<'_>) -> Result<(), ResultsError> {
    match fs::remove_dir_all(fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(ResultsError::io("remove", fresh, e)),
        _ => {}
    }
    fs::create_dir(fresh).map_err(|e| ResultsError::io("create", fresh, e))?;
    for (path, content) in files.iter() {
        let target = fresh.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(|e| ResultsError::io("create", parent, e))?;
        }
        write_file(&target, content).map_err(|e| ResultsError::io("write", &target, e))?;
    }
    Ok(())
}

fn write_file(path: &Path, content: &Content<'_>) -> io::Result<()> {
    let mut file = BufWriter::new(fs::File::create(path)?);
    match content {
        Content::Bytes(bytes) => file.write_all(bytes)?,
        Content::Streamed(source) => source.write_to(&mut file)?,
        Content::Requests { records, classes } => {
            let mut writer = csv::Writer::from_writer(&mut file);
            writer.write_record(request_header())?;
            for record in records.iter() {
                writer.write_record(request_cells(&record, classes))?;
            }
            writer.flush()?;
        }
    }
    file.flush()
}

/// Gives `fresh` the name of `folder`; on failure the folder of before keeps its place. Whether there was one, which
/// is then called `old`.
fn swap(folder: &Path, fresh: &Path, old: &Path) -> Result<bool, ResultsError> {
    let had_before = match fs::rename(folder, old) {
        Ok(()) => true,
        Err(e) if e.kind() == io::ErrorKind::NotFound => false,
        Err(e) => return Err(ResultsError::io("rename", folder, e)),
    };
    if let Err(e) = fs::rename(fresh, folder) {
        if had_before {
            fs::rename(old, folder).map_err(|e| ResultsError::io("rename", old, e))?;
        }
        return Err(ResultsError::io("rename", fresh, e));
    }
    Ok(had_before)
}

/// Moves what is not ours from the folder of before into the new one.
fn keep_others(old: &Path, folder: &Path) -> Result<(), ResultsError> {
    for entry in fs::read_dir(old).map_err(|e| ResultsError::io("read", old, e))? {
        let entry = entry.map_err(|e| ResultsError::io("read", old, e))?;
        let name = entry.file_name();
        if !OWN.iter().any(|own| name == *own) {
            let from = entry.path();
            fs::rename(&from, folder.join(&name)).map_err(|e| ResultsError::io("rename", &from, e))?;
        }
    }
    Ok(())
}
