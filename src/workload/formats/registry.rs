//! The list of formats, by name.

use std::io;

use super::super::trace::Trace;
use super::write::{Writer, write_all};
use super::{ALL, Format, Layout};
use crate::diagnostic::{InputError, nearest};

/// A format as `list formats` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatInfo {
    /// The value of `format = …`.
    pub name: &'static str,
    /// One line of description.
    pub about: &'static str,
    /// Whether a file of it is a trace (or lengths); others are recognised to say where they belong.
    pub readable: bool,
    /// Whether `write_trace` can write it.
    pub writable: bool,
}

/// All formats that are known.
pub fn formats() -> impl Iterator<Item = FormatInfo> {
    ALL.iter().map(|(name, f)| FormatInfo {
        name,
        about: f.about,
        readable: !matches!(f.layout, Layout::Elsewhere(_)),
        writable: f.write.is_some(),
    })
}

/// Writes `trace` in the format called `name`; the inner error is that of the writer.
pub fn write_trace(name: &str, trace: &Trace, out: &mut dyn io::Write) -> Result<io::Result<()>, InputError> {
    Ok(write_all(writer(name)?, trace, out))
}

/// The writer of the format called `name`.
pub(in crate::workload) fn writer(name: &str) -> Result<Writer, InputError> {
    by_name(name)?.1.write.ok_or_else(|| {
        let known: Vec<&str> = formats().filter(|f| f.writable).map(|f| f.name).collect();
        InputError::named(
            "format",
            format!("`{name}` can be read, but not written"),
            format!("can be written: {}", known.join(", ")),
        )
    })
}

/// The format called `name`.
pub(super) fn by_name(name: &str) -> Result<(&'static str, &'static Format), InputError> {
    let found = ALL.iter().find(|(n, _)| *n == name);
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|(n, _)| *n).collect();
        let help = match nearest(name, names.iter().copied()) {
            Some(best) => format!("did you mean `{best}`?"),
            None => format!("known: {}", names.join(", ")),
        };
        InputError::named("workload.format", format!("unknown trace format `{name}`"), help)
    })
}
