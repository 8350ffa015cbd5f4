//! `compare`: what changed between two result folders, scenarios or commits.

use crate::diagnostic::{InputError, did_you_mean};
use crate::metrics::{Column, column};
use crate::report::{self, difference};
use crate::results::{self, Difference, DifferenceOptions};

use super::compare_side::{Loaded, Side};
use super::context::{Context, emit};
use super::gate_args::{CompareArgs, DifferenceFormat};
use super::run::{flags, pool, results_folder};
use super::{Outcome, exit};

pub(super) fn compare(args: &CompareArgs, context: &Context) -> Outcome {
    let options = DifferenceOptions { metrics: metrics(&args.metrics)?, minimum: minimum(args.minimum)? };
    let sides = [Side::parse("BEFORE", &args.before, args)?, Side::parse("AFTER", &args.after, args)?];
    let folder_name = format!("{}-{}", sides[0].short_name(), sides[1].short_name());
    let folder = results_folder(args.out.as_deref(), "compare")?.join(folder_name);
    let pool = pool(args.jobs)?;
    let [before, after] = pool.install(|| load(&sides, args, context))?;
    let found = Difference::of((&args.before, &before.study), (&args.after, &after.study), &options);
    results::commit(&folder, &report::difference_folder(&found))?;
    let width = u16::try_from(context.width()).unwrap_or(u16::MAX);
    match args.format {
        DifferenceFormat::Table => emit(difference::render(&found, width).as_bytes())?,
        DifferenceFormat::Markdown => emit(difference::markdown(&found).as_bytes())?,
        DifferenceFormat::Json => emit(&difference::json(&found))?,
        DifferenceFormat::Csv => emit(&difference::csv(&found))?,
    }
    context.say(&format!("wrote {}", folder.join("index.html").display()));
    Ok(exit::DONE)
}

/// Both sides; what is run is run at the rates of the side that is known first.
fn load(sides: &[Side; 2], args: &CompareArgs, context: &Context) -> Result<[Loaded; 2], super::Error> {
    let mut changes = [flags(&args.changes), flags(&args.changes)];
    changes[1].sets.extend(args.set_after.iter().cloned());
    if sides[1].is_folder() {
        if !args.set_after.is_empty() {
            let help = "name the scenario instead, or drop the flag";
            return Err(
                InputError::named("--set-after", "AFTER is a folder, nothing is run for it", help).into()
            );
        }
        // A folder has its rates already.
        let after = sides[1].load(None, &changes[1], context)?;
        let before = sides[0].load(Some(&after), &changes[0], context)?;
        return Ok([before, after]);
    }
    let before = sides[0].load(None, &changes[0], context)?;
    let after = sides[1].load(Some(&before), &changes[1], context)?;
    Ok([before, after])
}

fn metrics(keys: &[String]) -> Result<Vec<&'static Column>, InputError> {
    if keys.is_empty() {
        return Ok(DifferenceOptions::default().metrics);
    }
    if keys == ["all"] {
        return Ok(column::all().collect());
    }
    let one = |key: &String| {
        column::find(key).ok_or_else(|| {
            let near = did_you_mean(key, column::all().map(|c| c.key));
            let help = near.unwrap_or_else(|| "see `windtunnel list metrics`, or write `all`".to_owned());
            InputError::named("--metrics", format!("unknown number `{key}`"), help)
        })
    };
    keys.iter().map(one).collect()
}

fn minimum(value: f64) -> Result<f64, InputError> {
    if value >= 0.0 && value.is_finite() {
        return Ok(value);
    }
    let help = "write a share from 0 up, such as 0.01 for 1 %";
    Err(InputError::named("--minimum", format!("{value} is no share"), help))
}
