//! `report`: the page, plots and table of a result folder once more.

use crate::diagnostic::InputError;
use crate::report;
use crate::results::{self, Comparison, FileSet, Study};

use super::args::ReportArgs;
use super::context::{Context, Error, write_stderr};
use super::run::print;
use super::{Outcome, exit};

pub(super) fn report(args: &ReportArgs, context: &Context) -> Outcome {
    if !args.folder.join("manifest.json").is_file() {
        let place = args.folder.display().to_string();
        let help = "name a folder that `windtunnel run` wrote, such as `results/quickstart`";
        return Err(InputError::named(place, "holds no results of windtunnel", help).into());
    }
    if !args.folder.join("summary.json").is_file() && args.folder.join("capacity.json").is_file() {
        let place = args.folder.display().to_string();
        let help = "its page is `index.html`; `windtunnel capacity` makes it again";
        return Err(InputError::named(place, "holds capacities and no runs to draw", help).into());
    }
    let study = results::read_study(&args.folder)?;
    let comparison = Comparison::of(&study);
    let files = pictures(args, &study, &comparison)?;
    results::redraw(&args.folder, &files)?;
    tables(args)?;
    print(args.format, &study, &comparison, context)?;
    if !context.quiet {
        write_stderr(&report::table::render_warnings(&study));
    }
    context.say(&format!("wrote {}", args.folder.join("index.html").display()));
    Ok(exit::DONE)
}

#[cfg(not(feature = "parquet"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature `parquet` it can fail")]
fn tables(_: &ReportArgs) -> Result<(), Error> {
    Ok(())
}

#[cfg(feature = "parquet")]
fn tables(args: &ReportArgs) -> Result<(), Error> {
    if args.parquet {
        results::redraw(&args.folder, &results::parquet_files(&args.folder)?)?;
    }
    Ok(())
}

#[cfg(not(feature = "png"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature `png` it can fail")]
fn pictures(_: &ReportArgs, study: &Study, comparison: &Comparison) -> Result<FileSet<'static>, Error> {
    Ok(report::pictures(study, comparison))
}

#[cfg(feature = "png")]
fn pictures(args: &ReportArgs, study: &Study, comparison: &Comparison) -> Result<FileSet<'static>, Error> {
    let mut files = report::pictures(study, comparison);
    if args.png {
        report::png::add(&mut files).map_err(Error::Bug)?;
    }
    Ok(files)
}
