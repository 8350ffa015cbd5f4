//! The command line: parse, call the library, print. Data on stdout, everything else on stderr.

mod args;
mod capacity;
mod check;
mod compare;
mod compare_side;
mod context;
mod dry_run;
mod emit;
pub mod exit;
mod explain;
mod explain_args;
mod explain_roofline;
mod explain_step;
mod explain_system;
mod flags;
mod gate_args;
mod generate;
mod list;
mod list_parts;
mod merge_args;
mod output;
mod plan;
mod progress;
mod report;
mod reproduce;
mod run;
mod run_journal;
mod shard;
mod trace;
mod trace_args;
mod trace_stats;

use std::ffi::OsString;

use clap::Parser;

use args::{Cli, Command};
use context::{Context, Error, finish};
use explain_args::Explained;

/// Runs a command line; returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return flags::report(&error, &Context::from_environment()),
    };
    let context = Context::new(cli.color, cli.quiet);
    let result = match cli.command {
        Command::Run(args) => run::run(&args, &context),
        Command::Capacity(args) => capacity::capacity(&args, &context),
        Command::Check(args) => check::check(&args, &context),
        Command::Compare(args) => compare::compare(&args, &context),
        Command::Merge(args) => shard::merge(&args, &context),
        Command::Sweep(args) => emit::sweep(&args, &context),
        Command::Plan(args) => plan::plan(&args, &context),
        Command::Report(args) => report::report(&args, &context),
        Command::List(args) => list::list(&args, &context),
        Command::Generate(args) => generate::generate(&args, &context),
        Command::Reproduce(args) => reproduce::reproduce(&args, &context),
        Command::Explain(args) => match args.what {
            Explained::Roofline(args) => explain_roofline::roofline(&args, &context),
            Explained::Scenario(args) => explain::scenario(&args, &context),
            Explained::Step(args) => explain_step::step(&args, &context),
            Explained::System(args) => explain_system::system(&args, &context),
        },
        Command::Trace(args) => trace::trace(&args.verb, &context),
    };
    finish(result, &context)
}

/// Makes panics readable: they are our bugs, so they say what to report.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        let run = crate::scenario::single::current_run();
        let at = run.map_or_else(String::new, |run| format!("\n  in {run}"));
        let text = format!(
            "windtunnel {} has a bug: {info}{at}\n  help: please report this with the scenario and its seed\n",
            env!("CARGO_PKG_VERSION")
        );
        context::write_stderr(&text);
    }));
}

type Outcome = Result<u8, Error>;
