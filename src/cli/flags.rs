//! Wrong flags, reported like every other problem: what, where, and what to do.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::diagnostic::{InputError, nearest};

use super::context::{Context, Error, emit, finish};
use super::exit;

/// Prints a parse error, or the help that was asked for; gives the exit code.
pub(super) fn report(error: &clap::Error, context: &Context) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let text = error.render();
            let text = if context.color_out() { text.ansi().to_string() } else { text.to_string() };
            finish(emit(text.as_bytes()).map(|()| exit::DONE), context)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let help = "write for example `windtunnel run`, or see `windtunnel --help`";
            let problem = InputError::named("command line", "no command is given", help);
            finish(Err(Error::from(problem)), context)
        }
        _ => finish(Err(Error::from(problem(error))), context),
    }
}

/// Verbs of all levels, for suggestions.
const VERBS: [&str; 9] =
    ["run", "list", "explain", "scenario", "step", "trace", "stats", "convert", "generate"];

fn problem(error: &clap::Error) -> InputError {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or("bad command line").trim_start_matches("error: ");
    let details: Vec<&str> = text.lines().skip(1).map(str::trim).take_while(|l| !l.is_empty()).collect();
    let details = details.into_iter().filter(|l| !l.starts_with("[possible values"));
    let message = std::iter::once(first).chain(details).collect::<Vec<_>>().join(" ");
    let suggested =
        [ContextKind::SuggestedArg, ContextKind::SuggestedValue, ContextKind::SuggestedSubcommand]
            .into_iter()
            .find_map(|kind| strings(error.get(kind)?).into_iter().next());
    let typed =
        error.get(ContextKind::InvalidSubcommand).map(strings).and_then(|list| list.into_iter().next());
    let verb = typed.and_then(|typed| nearest(&typed, VERBS));
    let suggested = suggested.or_else(|| verb.map(str::to_owned));
    let known = error.get(ContextKind::ValidValue).or_else(|| error.get(ContextKind::ValidSubcommand));
    let known = known.map(strings).filter(|list| !list.is_empty());
    let help = match (suggested, known) {
        (Some(best), _) => format!("did you mean `{best}`?"),
        (None, Some(list)) => format!("known here: {}", list.join(", ")),
        (None, None) => "see `windtunnel --help`, or `windtunnel COMMAND --help`".to_owned(),
    };
    let place = error.get(ContextKind::InvalidArg).or_else(|| error.get(ContextKind::InvalidSubcommand));
    let place = place.map(strings).and_then(|list| list.into_iter().next());
    InputError::named(place.unwrap_or_else(|| "command line".to_owned()), message, help)
}

fn strings(value: &ContextValue) -> Vec<String> {
    match value {
        ContextValue::String(text) => vec![text.clone()],
        ContextValue::Strings(list) => list.clone(),
        _ => Vec::new(),
    }
}
