//! Exit codes: part of the interface, so that scripts can tell what happened.

/// Done.
pub const DONE: u8 = 0;
/// A gate said no (`check`).
pub const GATE: u8 = 1;
/// Bad input: a flag, a scenario, a trace.
pub const INPUT: u8 = 2;
/// Our bug: a broken invariant or a panic.
pub const BUG: u8 = 3;
/// The environment failed: disk, permissions.
pub const ENVIRONMENT: u8 = 4;
/// Interrupted by the user (the shell's convention for SIGINT; no result folder is left half-written).
pub const INTERRUPTED: u8 = 130;

/// Meaning of every exit code, for `--help`.
pub const HELP: &str = "\
Exit codes: 0 done, 1 a gate said no, 2 bad input, 3 our bug, 4 the environment failed, 130 interrupted.
Data goes to stdout, everything else to stderr. NO_COLOR is respected.";
