//! `cargo run --release --example serving_equivalence -- [SEEDS [NAME …]]`: the table of `docs/workloads.md`.
//!
//! Needs the shared traces (`$WINDTUNNEL_SHARED`, else `../shared`); a case without its file is left out.

#[path = "../tests/it/equivalence_table.rs"]
mod equivalence_table;
#[path = "../tests/it/shared_data.rs"]
mod shared_data;

use equivalence_table::{Bench, CASES, COLUMNS, LOADS, render};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "an example is a command")]
fn main() {
    let mut arguments = std::env::args().skip(1);
    let seeds = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(20);
    let names: Vec<String> = arguments.collect();
    let columns: Vec<&str> = COLUMNS.iter().map(|(_, name, _)| *name).collect();
    let loads: Vec<String> = LOADS.iter().map(|l| format!("load {l}: {}", columns.join(" / "))).collect();
    println!("| requests | capacity | {} | limits |", loads.join(" | "));
    println!("|{}", " --- |".repeat(LOADS.len() + 3));
    for case in CASES.iter().filter(|c| names.is_empty() || names.iter().any(|n| c.name.contains(n.as_str())))
    {
        let Some(file) = shared_data::shared(case.file) else {
            eprintln!("{}: the trace is not there", case.name);
            continue;
        };
        let bench = Bench::new(case, &file);
        let real = bench.real();
        let mut compared = vec![bench.compare("twin", case.twin, seeds, &real)];
        for (kind, text) in bench.baselines(&file) {
            compared.push(bench.compare(kind, &text, seeds, &real));
        }
        print!("{}", render(case, &real, &compared));
    }
}
