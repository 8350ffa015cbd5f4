//! The `windtunnel` command: parse, run, exit code. Everything else is in the library.

use std::panic::catch_unwind;
use std::process::ExitCode;

use windtunnel::cli;

fn main() -> ExitCode {
    cli::install_panic_hook();
    let code = catch_unwind(|| cli::run(std::env::args_os())).unwrap_or(cli::exit::BUG);
    ExitCode::from(code)
}
