//! Where output goes and how it looks; how a command ends.

use std::io::{self, ErrorKind, IsTerminal, Write};

use crate::diagnostic::{InputError, InputErrors, Style, render};
use crate::results::ResultsError;
use crate::scenario::execute::Failure;

use super::args::ColorChoice;
use super::exit;

/// Columns assumed where the terminal does not say.
const WIDTH: usize = 120;

/// The terminal of this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    color: ColorChoice,
    /// No progress and no warnings.
    pub(super) quiet: bool,
}

impl Context {
    pub(super) fn new(color: ColorChoice, quiet: bool) -> Context {
        Context { color, quiet }
    }

    /// Before the flags could be read.
    pub(super) fn from_environment() -> Context {
        Context { color: ColorChoice::Auto, quiet: false }
    }

    /// Whether stdout gets colours.
    pub(super) fn color_out(&self) -> bool {
        self.wants_color(io::stdout().is_terminal())
    }

    /// How diagnostics are drawn.
    pub(super) fn style(&self) -> Style {
        Style { color: self.wants_color(io::stderr().is_terminal()), width: self.width() }
    }

    /// Columns of the terminal.
    pub(super) fn width(&self) -> usize {
        let columns = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
        columns.filter(|c| (40..=400).contains(c)).unwrap_or(WIDTH)
    }

    /// Whether progress is drawn.
    pub(super) fn shows_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// A line for the user on stderr.
    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            write_stderr(&format!("{text}\n"));
        }
    }

    fn wants_color(&self, terminal: bool) -> bool {
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                terminal && set("NO_COLOR").is_none() && set("CLICOLOR").is_none_or(|v| v != "0")
            }
        }
    }
}

/// Why a command has no result.
#[derive(Debug)]
pub(super) enum Error {
    /// Bad input.
    Input(InputErrors),
    /// An invariant was broken: our bug.
    Bug(String),
    /// Disk or permissions.
    Environment(String),
    /// The reader of stdout went away: nothing is wrong.
    Closed,
}

impl From<InputErrors> for Error {
    fn from(errors: InputErrors) -> Self {
        Error::Input(errors)
    }
}

impl From<InputError> for Error {
    fn from(error: InputError) -> Self {
        Error::Input(error.into())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Input(errors) => Error::Input(errors),
            Failure::Violation { run, violation } => Error::Bug(format!("{violation}\n  in {run}")),
        }
    }
}

impl From<ResultsError> for Error {
    fn from(error: ResultsError) -> Self {
        match error {
            ResultsError::ForeignFolder(folder) => Error::Input(
                InputError::named(
                    format!("--out: {}", folder.display()),
                    "the folder is not empty and holds no results of windtunnel",
                    "choose another folder with `--out`, or empty it",
                )
                .into(),
            ),
            ResultsError::Malformed { path, message } => Error::Input(
                InputError::named(path.display().to_string(), message, "run the scenario again").into(),
            ),
            ResultsError::Older { path, found, needed } => {
                let message = format!("has schema {found}, and a report needs {needed} or later");
                Error::Input(
                    InputError::named(path.display().to_string(), message, "run the scenario again").into(),
                )
            }
            ResultsError::Newer { path, found, known } => {
                let message = format!("has schema {found}, and this version reads up to {known}");
                Error::Input(
                    InputError::named(path.display().to_string(), message, "update windtunnel").into(),
                )
            }
            other => Error::Environment(other.to_string()),
        }
    }
}

/// Writes data to stdout.
pub(super) fn emit(data: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(data).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Err(Error::Closed),
        Err(e) => Err(Error::Environment(format!("stdout cannot be written: {e}"))),
    }
}

/// Writes to stderr; when that fails there is nobody left to tell.
pub(super) fn write_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Prints what went wrong; gives the exit code.
pub(super) fn finish(result: Result<u8, Error>, context: &Context) -> u8 {
    match result {
        Ok(code) => code,
        Err(Error::Closed) => exit::DONE,
        Err(Error::Input(errors)) => {
            write_stderr(&render(&errors, context.style()));
            exit::INPUT
        }
        Err(Error::Bug(message)) => {
            let version = env!("CARGO_PKG_VERSION");
            let help = "please report this with the scenario, its seed and this text";
            write_stderr(&format!("windtunnel {version} has a bug: {message}\n  help: {help}\n"));
            exit::BUG
        }
        Err(Error::Environment(message)) => {
            write_stderr(&format!("error: {message}\n"));
            exit::ENVIRONMENT
        }
    }
}
