//! Throughput–latency curves of the capacity searches, and factor chains.

use crate::report::format;
use crate::report::plot::{
    Axis, AxisUnit, Chart, Factors, Orientation, Picture, ReferenceLine, Scale, Series, Step, Stroke,
};
use crate::results::text::distinct_file_names;

use super::judge::shown;
use super::plan::{Mode, PaperPlan};
use super::run::PaperResult;
use super::schema::Test;
use super::{ClaimResult, tables, titles};

/// Latencies above so many times the limit are those of overload, and measure the length of the run: curves leave the
/// chart there.
const TOP: f64 = 5.0;

/// What a picture belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The experiment at this position.
    Experiment(usize),
    /// The claim at this position.
    Claim(usize),
}

/// A picture of a paper.
pub(super) struct PaperFigure {
    /// File name under `plots/`.
    pub file: String,
    pub subject: Subject,
    pub caption: String,
    pub picture: Box<dyn Picture>,
}

/// File names of the curves of every experiment, then of the chain of every claim, had it one. Names of a file may be
/// anything; two file names are never the same.
pub(super) fn file_names(plan: &PaperPlan) -> Vec<String> {
    let chains: Vec<String> = plan.claims.iter().map(|(c, _)| format!("chain-{}", c.name)).collect();
    let curves = plan.experiments.iter().map(|e| e.name.as_str());
    let names = distinct_file_names(curves.chain(chains.iter().map(String::as_str)));
    names.into_iter().map(|name| format!("{name}.svg")).collect()
}

/// Every picture, curves first.
pub(super) fn all(result: &PaperResult) -> Vec<PaperFigure> {
    let curves = (0..result.plan.experiments.len()).filter_map(|i| curves(result, i));
    let chains = result.claims.iter().enumerate().filter_map(|(i, claim)| chain(result, claim, i));
    curves.chain(chains).collect()
}

/// Trials of the first seed in the mechanism run: rate against the limited latency.
fn curves(result: &PaperResult, experiment: usize) -> Option<PaperFigure> {
    let of = &result.plan.experiments[experiment];
    // Own limits differ: their systems are compared in multiples of them.
    let own = of.low_load.is_some();
    let study = of.plan(Mode::Mechanism);
    let (mut series, mut line, mut name) = (Vec::new(), 1.0, "");
    let here =
        result.measured.iter().filter(|(k, _)| k.experiment == experiment && k.mode == Mode::Mechanism);
    for (key, runs) in here {
        let Some((capacity, slo)) = titles::first_seed(runs) else { continue };
        let Some((limit, column, value)) = titles::subject(slo) else { continue };
        name = limit.name();
        line = if own { 1.0 } else { value };
        let scale = if own { 1.0 / value } else { 1.0 };
        let mut points: Vec<(f64, f64)> =
            capacity.trials.iter().filter_map(|t| Some((t.rate, t.summary.get(column)? * scale))).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let reference = key.system == study.reference;
        series.push(Series {
            name: study.systems[key.system].name.clone(),
            stroke: Stroke::design(key.system, true, reference),
            points: up_to(&points, TOP * line),
            band: Vec::new(),
        });
    }
    let values = || series.iter().flat_map(|s| s.points.iter().map(|p| p.1));
    let (lowest, highest) = (values().fold(line, f64::min), values().fold(line, f64::max));
    // A curve that was cut ends at the edge; others have room above them.
    let is_cut = highest >= TOP * line;
    let top = if is_cut { TOP * line } else { highest * 1.15 };
    if series.is_empty() {
        return None;
    }
    let (label, unit, limit) = if own {
        (format!("{name} ÷ own limit (log scale)"), AxisUnit::Plain, "own limit".to_owned())
    } else {
        (format!("{name} (log scale)"), AxisUnit::Seconds, format!("limit {}", format::limit(line)))
    };
    let log = |label: String, unit: AxisUnit, range: Option<(f64, f64)>| Axis {
        label,
        scale: Scale::Log,
        unit,
        range,
        marks: Vec::new(),
    };
    let chart = Chart {
        title: titles::curves(result, experiment),
        x: log("offered rate (req/s, log scale)".to_owned(), AxisUnit::Plain, None),
        y: log(label, unit, Some((lowest * 0.85, top))),
        series,
        lines: vec![ReferenceLine { orientation: Orientation::Horizontal, at: line, label: limit }],
    };
    let mut caption = format!(
        "{}. Every trial of the search with seed 1, mechanism run. A rate below the limit only counts if its queue is \
         stable, too; trials differ in length, so a curve may fall where it is not.",
        format::capitalised(&of.title)
    );
    if is_cut {
        caption.push_str(&format!(
            " A curve that meets the upper edge goes on to more than {TOP} times the limit."
        ));
    }
    let file = file_names(&result.plan).swap_remove(experiment);
    Some(PaperFigure { file, subject: Subject::Experiment(experiment), caption, picture: Box::new(chart) })
}

/// The points up to the first above `top`, which is put there; a log axis has no zero.
fn up_to(points: &[(f64, f64)], top: f64) -> Vec<(f64, f64)> {
    let mut kept = Vec::new();
    for &(x, y) in points.iter().filter(|p| p.0 > 0.0 && p.1 > 0.0) {
        kept.push((x, y.min(top)));
        if y > top {
            break;
        }
    }
    kept
}

/// One step per system of a factor chain.
fn chain(result: &PaperResult, claim: &ClaimResult, position: usize) -> Option<PaperFigure> {
    let Test::Chain(_) = claim.claim.test else { return None };
    let numbers = claim.of(Mode::Mechanism);
    let mut steps = Vec::new();
    for (i, s) in numbers.systems.iter().enumerate() {
        let factor = i.checked_sub(1).and_then(|before| tables::ratio(&numbers.systems[before], s));
        steps.push(Step {
            label: s.system.clone(),
            // What carries nothing has no place on an axis of factors.
            value: s.mean.map(|m| m.mean).filter(|m| *m > 0.0)?,
            factor: factor.map_or_else(String::new, |f| format!("× {}", format::digits(f.mean))),
        });
    }
    let picture = Factors {
        title: titles::chain(claim),
        axis_label: format!("{}, mean over seeds (log scale)", tables::metric(claim).replace('`', "")),
        steps,
        total: format!("× {}", shown(numbers)),
    };
    let caption = format!(
        "{}. Equal lengths are equal factors; each bar starts where the one above it ended.",
        claim.claim.statement
    );
    let file = file_names(&result.plan).swap_remove(result.plan.experiments.len() + position);
    Some(PaperFigure { file, subject: Subject::Claim(position), caption, picture: Box::new(picture) })
}
