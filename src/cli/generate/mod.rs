//! `generate`: what other programs read about this one – completions, man pages, the JSON schema, the reference.

mod keys;
mod reference;
mod schema;

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};

use super::args::{Cli, GenerateArgs, Generated};
use super::context::{Context, Error, emit};
use super::output::write_bytes;
use super::{Outcome, exit};

pub(super) fn generate(args: &GenerateArgs, context: &Context) -> Outcome {
    match &args.what {
        Generated::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(*shell, &mut command(), "windtunnel", &mut out);
            emit(&out)?;
        }
        Generated::Man { out: None } => emit(&page(command())?)?,
        Generated::Man { out: Some(folder) } => man_pages(folder, context)?,
        Generated::Schema { kind } => emit(schema::text(*kind).as_bytes())?,
        Generated::Reference => emit(reference::markdown(&command()).as_bytes())?,
    }
    Ok(exit::DONE)
}

/// The command line with the help of every sub-command worked out.
fn command() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// One man page.
fn page(command: Command) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut out)
        .map_err(|e| Error::Environment(format!("the man page cannot be made: {e}")))?;
    Ok(out)
}

/// `windtunnel.1` and a page for every verb, such as `windtunnel-run.1`.
fn man_pages(folder: &Path, context: &Context) -> Result<(), Error> {
    let failed =
        |e: std::io::Error| Error::Environment(format!("{} cannot be written: {e}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut written = 0;
    for command in verbs(command()) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        let path = folder.join(format!("{name}.1"));
        write_bytes(&path, &page(command)?)?;
        written += 1;
    }
    context.say(&format!("wrote {written} pages to {}", folder.display()));
    Ok(())
}

/// A command and all below it; [`Command::build`] gave each a name such as `windtunnel-run`.
fn verbs(command: Command) -> Vec<Command> {
    let below: Vec<Command> = command.get_subcommands().cloned().collect();
    std::iter::once(command).chain(below.into_iter().flat_map(verbs)).collect()
}
