//! The tables of a page, as plain text: Markdown and HTML print the same cells. Names of keys and columns are between
//! backticks.

use crate::metrics::Estimate;
use crate::metrics::slo::{Limit, Slo};
use crate::report::format;

use super::claim::{ClaimResult, SystemNumbers};
use super::csv;
use super::judge::{number, shown};
use super::plan::{CAPACITY, Mode, PER_GPU, is_capacity};
use super::run::{Measured, Need, PaperResult};
use super::schema::Test;

/// Headings and rows of as many cells.
pub(super) struct Table {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// None without rows.
    fn of(header: &[&str], rows: Vec<Vec<String>>) -> Option<Table> {
        let header = header.iter().map(|h| (*h).to_owned()).collect();
        (!rows.is_empty()).then_some(Table { header, rows })
    }
}

/// A number with its interval and whether it is a tie, or how often a relation holds.
pub(super) fn cell(c: &ClaimResult, mode: Mode) -> String {
    let numbers = c.of(mode);
    if !numbers.holds.is_empty() {
        let yes = numbers.holds.iter().filter(|h| **h).count();
        return format!("holds at {yes} of {} seeds", numbers.holds.len());
    }
    let tie = matches!(c.claim.test, Test::Ratio(_))
        && numbers.value.is_some_and(|v| v.half_width.is_some() && !v.differs_from(1.0));
    format!("{}{}", shown(numbers), if tie { " (tie)" } else { "" })
}

/// The factor from one step to the next.
pub(super) fn ratio(of: &SystemNumbers, to: &SystemNumbers) -> Option<Estimate> {
    Estimate::of_ratios(to.by_seed.iter().copied().zip(of.by_seed.iter().copied()))
}

/// What a claim measures.
pub(super) fn metric(c: &ClaimResult) -> String {
    match c.claim.metric.as_deref().unwrap_or(CAPACITY) {
        CAPACITY => "capacity (req/s)".to_owned(),
        PER_GPU => "capacity (req/s per GPU)".to_owned(),
        column => format!("`{column}`"),
    }
}

/// The limits of a search.
pub(super) fn limits(slo: &Slo) -> String {
    let all = Limit::PER_REQUEST.into_iter().chain(Limit::PER_RUN);
    let set =
        all.filter_map(|l| Some(format!("{} ≤ {}", l.name(), format::limit(slo.get(l)?.as_secs_f64()))));
    set.collect::<Vec<String>>().join(", ")
}

/// Limits and capacities of an experiment.
pub(super) fn capacities(result: &PaperResult, experiment: usize) -> Option<Table> {
    let of = result.measured.iter().filter(|(k, _)| k.experiment == experiment && k.need == Need::Capacity);
    let about = result.claims.iter().filter(|c| c.experiment == experiment);
    let per_gpu = about.into_iter().any(|c| c.claim.metric.as_deref() == Some(PER_GPU));
    let rows = of.map(|(key, runs)| {
        let (system, engine) = csv::names(&result.plan, key);
        let mut row = vec![system, engine];
        row.extend(capacity_cells(runs));
        if per_gpu {
            let plan = &result.plan.experiments[experiment].plan(key.mode).systems[key.system];
            let gpus = f64::from(plan.gpus);
            let rates = runs.iter().filter_map(|m| match m {
                Measured::Capacity(c, _) => Some(c.rate / gpus),
                Measured::Run(_) => None,
            });
            row.extend([plan.gpus.to_string(), format::or_dash(Estimate::of(rates), number)]);
        }
        row
    });
    let mut header =
        vec!["system", "engine", "limits", "capacity (req/s)", "by seed", "P99 E2E there", "longest trial"];
    if per_gpu {
        header.extend(["GPUs", "per GPU"]);
    }
    Table::of(&header, rows.collect())
}

fn capacity_cells(runs: &[Measured]) -> [String; 5] {
    let found: Vec<_> = runs
        .iter()
        .filter_map(|m| match m {
            Measured::Capacity(c, slo) => Some((c, slo)),
            Measured::Run(_) => None,
        })
        .collect();
    let rates: Vec<f64> = found.iter().map(|(c, _)| c.rate).collect();
    let e2e = found.iter().filter_map(|(c, _)| c.at_capacity()?.summary.requests.e2e_p99_s);
    let longest = found.iter().flat_map(|(c, _)| &c.trials).map(|t| t.requests).max().unwrap_or(0);
    let short = if found.iter().any(|(c, _)| c.short) { " (short)" } else { "" };
    [
        found.first().map_or_else(String::new, |(_, slo)| limits(slo)),
        format::or_dash(Estimate::of(rates.iter().copied()), number),
        rates.iter().map(|r| format::digits(*r)).collect::<Vec<_>>().join(" "),
        format::or_dash(Estimate::of(e2e), |e| format::seconds(e.mean)),
        format!("{longest} requests{short}"),
    ]
}

/// The columns that claims ask for, of the systems that were run at one rate; of a class where they say so.
pub(super) fn runs(result: &PaperResult, experiment: usize) -> Option<Table> {
    let mut metrics: Vec<(&str, Option<&str>)> = Vec::new();
    for c in result.claims.iter().filter(|c| c.experiment == experiment) {
        let column = c.claim.metric.as_deref().filter(|m| !is_capacity(Some(m)));
        metrics.extend(column.map(|m| (m, c.claim.class.as_deref())));
    }
    metrics.sort_unstable();
    metrics.dedup();
    if metrics.is_empty() {
        return None;
    }
    let of = result.measured.iter().filter(|(k, _)| k.experiment == experiment && k.need == Need::Run);
    let rows = of.map(|(key, runs)| {
        let (system, engine) = csv::names(&result.plan, key);
        let value = |&(metric, class): &(&str, Option<&str>)| {
            let of = runs.iter().filter_map(|m| match m {
                Measured::Run(summary) => super::claim::number_of(summary, metric, class),
                Measured::Capacity(..) => None,
            });
            format::or_dash(Estimate::of(of), number)
        };
        [system, engine].into_iter().chain(metrics.iter().map(value)).collect()
    });
    let rows = rows.collect();
    let name = |(metric, class): &(&str, Option<&str>)| match class {
        Some(class) => format!("`{metric}` of {class}"),
        None => format!("`{metric}`"),
    };
    let columns: Vec<String> = metrics.iter().map(name).collect();
    let header = ["system", "engine"].into_iter().chain(columns.iter().map(String::as_str));
    Table::of(&header.collect::<Vec<&str>>(), rows)
}

/// Pinned KV memory beside what the memory model computes.
pub(super) fn memory(result: &PaperResult) -> Option<Table> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for system in result.plan.experiments.iter().flat_map(|e| &e.plans[0].systems) {
        let Some((pinned, computed, block)) = system.pinned_kv() else { continue };
        let tokens = |blocks: u32| format!("{} tokens", format::digits(f64::from(blocks) * f64::from(block)));
        let row = vec![
            system.name.clone(),
            system.spec.model.name.clone(),
            tokens(pinned),
            computed.map_or_else(|| "– tokens".to_owned(), tokens),
            format::or_dash(computed, |c| format::digits(f64::from(c) / f64::from(pinned))),
        ];
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    Table::of(&["system", "model", "pinned", "computed", "computed / pinned"], rows)
}

/// What was changed after the first run.
pub(super) fn changes(result: &PaperResult) -> Option<Table> {
    let rows = result.plan.changes.iter().map(|c| {
        let knob = format!("`{}`", c.knob);
        vec![knob, c.from.clone(), c.to.clone(), c.why.clone(), c.result.clone()]
    });
    Table::of(&["knob", "from", "to", "why", "result"], rows.collect())
}
