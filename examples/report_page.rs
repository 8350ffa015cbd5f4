//! Renders a made-up study: `cargo run --example report_page -- FOLDER` writes a result folder and prints its table.

#[path = "../tests/it/report_fixture.rs"]
mod fixture;

use std::path::PathBuf;
use std::process::ExitCode;

use windtunnel::report::{self, TableOptions, table};
use windtunnel::results::{Comparison, RunFiles, commit};

fn main() -> ExitCode {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/report-page".to_owned()));
    let shape = fixture::Shape {
        requests: 3000,
        seeds: 5,
        loads: vec![0.4, 0.6, 0.8, 0.95, 1.1],
        ..Default::default()
    };
    let mut study = fixture::study(&shape);
    if std::env::args().nth(2).is_some_and(|a| a == "crowded") {
        crowd(&mut study);
    }
    let comparison = Comparison::of(&study);
    let files = report::folder(&study, &comparison, &RunFiles::default());
    let written = commit(&folder, &files);
    #[expect(clippy::print_stdout, clippy::print_stderr, reason = "an example is a command")]
    match written {
        Ok(()) => {
            print!("{}", table::render(&study, &comparison, &TableOptions::default()));
            eprint!("{}", table::render_warnings(&study));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(4)
        }
    }
}

/// Twice as many systems, with long names, no limits: what a large study looks like.
fn crowd(study: &mut windtunnel::results::Study) {
    let count = study.systems.len();
    for i in 0..count {
        let mut info = study.systems[i].clone();
        info.name = format!("{}-with-a-very-long-variant-name-512", info.name);
        study.systems.push(info);
    }
    let mut copies = study.runs.clone();
    for run in &mut copies {
        run.system += count;
    }
    study.runs.extend(copies);
    study.slo = windtunnel::metrics::Slo::default();
}
