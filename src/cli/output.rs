//! Files that commands write: whole or not at all, packed if the name ends in `.gz`, or standard output.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::diagnostic::InputError;
use crate::workload::StreamError;

use super::context::Error;

impl From<StreamError> for Error {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Input(errors) => Error::Input(errors),
            StreamError::Output(e) => from_io(&e, "the output"),
        }
    }
}

fn from_io(error: &io::Error, what: &str) -> Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Error::Closed;
    }
    Error::Environment(format!("{what} cannot be written: {error}"))
}

/// Lets `write` fill `target` (`-`: standard output). A file gets its name when all of it is written.
pub(super) fn write_file<T>(
    target: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, Error>,
) -> Result<T, Error> {
    if target.as_os_str() == "-" {
        let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        let value = write(&mut out)?;
        out.flush().map_err(|e| from_io(&e, "standard output"))?;
        return Ok(value);
    }
    let fresh = fresh_name(target)?;
    let named = target.display().to_string();
    let result = fill(&fresh, target, write).and_then(|value| {
        fs::rename(&fresh, target).map_err(|e| from_io(&e, &named))?;
        Ok(value)
    });
    if result.is_err() {
        // Best effort: the error that is reported matters more than a left-over file.
        let _ = fs::remove_file(&fresh);
    }
    result
}

/// Writes a finished file.
pub(super) fn write_bytes(target: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |e: io::Error| from_io(&e, &target.display().to_string());
    write_file(target, |out| out.write_all(bytes).map_err(failed))
}

fn fill<T>(
    fresh: &Path,
    target: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, Error>,
) -> Result<T, Error> {
    let named = target.display().to_string();
    let failed = |e: io::Error| from_io(&e, &named);
    let mut file = BufWriter::with_capacity(1 << 16, File::create(fresh).map_err(failed)?);
    let value = if target.extension().is_some_and(|e| e == "gz") {
        let mut packed = GzEncoder::new(file, Compression::default());
        let value = write(&mut packed)?;
        file = packed.finish().map_err(failed)?;
        value
    } else {
        write(&mut file)?
    };
    file.flush().map_err(failed)?;
    Ok(value)
}

/// A hidden name beside `target` that no other process uses.
fn fresh_name(target: &Path) -> Result<PathBuf, InputError> {
    let shown = target.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let wrong =
        |message: &str, help: &str| Err(InputError::named("-o", format!("`{shown}` {message}"), help));
    if target.is_dir() {
        return wrong("is a folder", "name a file in it");
    }
    if target.extension().is_some_and(|e| e == "zst") {
        let help = "let the name end in `.gz`, or write `-` and pack it";
        return wrong("ends in `.zst`: zstd is read, but not written", help);
    }
    if shown.is_empty() {
        return wrong("is no name of a file", "name a file, or `-`");
    }
    Ok(target.with_file_name(format!(".{shown}.new-{}", std::process::id())))
}
