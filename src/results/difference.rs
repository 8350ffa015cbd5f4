//! Two studies, number by number: what changed from one to the other, and what cannot be told from noise.
//!
//! Only runs with the same requests are compared (same offered load, same seed, same hash of the requests), each with its
//! counterpart. What has none is listed with the reason.

use serde::Serialize;

use super::comparison::{ComparisonRow, Exclusion, compare_system};
use super::study::{RunResult, Study};
use crate::metrics::significance::{holm, ratio_p};
use crate::metrics::{Better, Column, Estimate, column};

/// Chance below which no difference of a whole comparison is called one wrongly (Holm).
pub const LEVEL: f64 = 0.05;

/// Numbers that a comparison looks at where nobody says which.
pub const USUAL: [&str; 12] = [
    "ttft_p50_s",
    "ttft_p99_s",
    "tpot_p50_s",
    "tpot_p99_s",
    "gap_p99_s",
    "e2e_p50_s",
    "e2e_p99_s",
    "attainment",
    "goodput_per_s",
    "throughput_output_tok_per_s",
    "finished",
    "run_preemptions",
];

/// What is said of a number that was found twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The same bits in every run.
    Same,
    /// It improved.
    Better,
    /// It got worse.
    Worse,
    /// It changed and has no better direction.
    Changed,
    /// Seeds agree on a change, and it is smaller than what counts.
    Small,
    /// Seeds do not agree.
    Noise,
    /// It differs, and one run has no interval.
    OneRun,
}

impl Change {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Change::Same => "same",
            Change::Better => "better",
            Change::Worse => "worse",
            Change::Changed => "changed",
            Change::Small => "too small to count",
            Change::Noise => "not told from noise",
            Change::OneRun => "differs; one run has no interval",
        }
    }
}

/// One number of one system at one point, before and after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangeCell {
    /// Key of the column.
    pub key: &'static str,
    /// Mean over the compared seeds before.
    pub before: Estimate,
    /// Mean over the same seeds after.
    pub after: Estimate,
    /// Ratio after to before, paired by seed; absent where it was 0 before.
    pub ratio: Option<Estimate>,
    /// Chance of a ratio as far from 1 if nothing had changed; absent with one seed.
    pub p: Option<f64>,
    /// What is said of it.
    pub change: Change,
}

/// One system at one point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DifferenceRow {
    /// Name; where both sides call it differently: `before → after`.
    pub system: String,
    /// Label of the point.
    pub point: String,
    /// Offered rate in requests per second.
    pub rate_per_s: Option<f64>,
    /// Seeds that were compared.
    pub seeds: Vec<u64>,
    /// Its numbers.
    pub cells: Vec<ChangeCell>,
}

/// Something that was not compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotCompared {
    /// System, point or seed, and which numbers.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// One of the two sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// What the user called it.
    pub name: String,
    /// Its title.
    pub title: String,
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The side that ratios divide by.
    pub before: Side,
    /// The other side.
    pub after: Side,
    /// Smallest relative change that counts.
    pub minimum: f64,
    /// Numbers that were compared.
    pub compared: usize,
    /// By point, then system.
    pub rows: Vec<DifferenceRow>,
    /// What was left out.
    pub not_compared: Vec<NotCompared>,
}

/// What a comparison looks at.
#[derive(Clone, Debug)]
pub struct DifferenceOptions {
    /// Numbers, in the order of the tables.
    pub metrics: Vec<&'static Column>,
    /// Smallest relative change that counts.
    pub minimum: f64,
}

impl Default for DifferenceOptions {
    fn default() -> Self {
        DifferenceOptions { metrics: USUAL.iter().filter_map(|k| column::find(k)).collect(), minimum: 0.01 }
    }
}

impl Difference {
    /// Compares two studies; their names are what the user called them.
    pub fn of(before: (&str, &Study), after: (&str, &Study), options: &DifferenceOptions) -> Difference {
        let side = |(name, study): (&str, &Study)| Side { name: name.to_owned(), title: study.title.clone() };
        let mut found = Difference {
            before: side(before),
            after: side(after),
            minimum: options.minimum,
            compared: 0,
            rows: Vec::new(),
            not_compared: Vec::new(),
        };
        for (point, other_point) in found.points(before.1, after.1) {
            for (system, other_system) in found.systems(before.1, after.1) {
                let one = Place { study: before.1, point, system };
                let other = Place { study: after.1, point: other_point, system: other_system };
                found.row(&one, &other, options);
            }
        }
        found.not_compared.dedup();
        found.judge();
        found
    }

    fn leave_out(&mut self, what: String, reason: impl Into<String>) {
        self.not_compared.push(NotCompared { what, reason: reason.into() });
    }

    /// Points of both sides with the same label, else the same rate.
    fn points(&mut self, before: &Study, after: &Study) -> Vec<(usize, usize)> {
        let same_rate = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a,
            (a, b) => a == b,
        };
        let mut pairs = Vec::new();
        for (i, point) in before.points.iter().enumerate() {
            let label = |p: &super::PointInfo| p.label == point.label;
            let rate = |p: &super::PointInfo| same_rate(p.rate_per_s, point.rate_per_s);
            let other = after.points.iter().position(|p| label(p) && rate(p));
            let other =
                other.or_else(|| after.points.iter().position(|p| point.rate_per_s.is_some() && rate(p)));
            let labelled = after.points.iter().find(|p| label(p));
            match (other, labelled) {
                (Some(j), _) => pairs.push((i, j)),
                (None, Some(other)) => {
                    let text = |p: &super::PointInfo| {
                        p.rate_per_s.map_or("another rate".to_owned(), |r| format!("{r:.4} req/s"))
                    };
                    self.leave_out(
                        point.label.clone(),
                        format!("the offered load is not the same: {} and {}", text(point), text(other)),
                    );
                }
                (None, None) => self.leave_out(point.label.clone(), format!("not in {}", self.after.name)),
            }
        }
        for (j, point) in after.points.iter().enumerate() {
            let known = before.points.iter().any(|p| p.label == point.label);
            if !known && !pairs.iter().any(|&(_, other)| other == j) {
                self.leave_out(point.label.clone(), format!("not in {}", self.before.name));
            }
        }
        pairs
    }

    /// Systems of the same name; if each side has one design only, these two.
    fn systems(&mut self, before: &Study, after: &Study) -> Vec<(usize, usize)> {
        let position = |study: &Study, name: &str| study.systems.iter().position(|s| s.name == name);
        let only = |study: &Study| {
            let mut designs = study.systems.iter().enumerate().filter(|(_, s)| !s.bound);
            designs.next().filter(|_| designs.next().is_none()).map(|(i, _)| i)
        };
        if let (Some(i), Some(j)) = (only(before), only(after)) {
            return vec![(i, j)];
        }
        for (one, other, name) in
            [(before, after, self.after.name.clone()), (after, before, self.before.name.clone())]
        {
            for system in one.systems.iter().filter(|s| position(other, &s.name).is_none()) {
                self.leave_out(system.name.clone(), format!("not in {name}"));
            }
        }
        let pair = |(i, s): (usize, &super::SystemInfo)| Some((i, position(after, &s.name)?));
        before.systems.iter().enumerate().filter_map(pair).collect()
    }

    /// One system at one point of both sides.
    fn row(&mut self, before: &Place<'_>, after: &Place<'_>, options: &DifferenceOptions) {
        let (one, other) = (before.runs(), after.runs());
        let names = [before.system().name.as_str(), after.system().name.as_str()];
        let system = if names[0] == names[1] { names[0].to_owned() } else { names.join(" → ") };
        let info = &before.study.points[before.point];
        let place = format!("{system} at {}", info.label);
        let mut pairs = Vec::new();
        for run in &one {
            let Some(counterpart) = other.iter().find(|o| o.seed == run.seed) else {
                self.leave_out(format!("{place}, seed {}", run.seed), format!("not in {}", self.after.name));
                continue;
            };
            let arrived = |r: &RunResult| r.summary.requests.arrived;
            let known = !run.requests_hash.is_empty() && !counterpart.requests_hash.is_empty();
            if known && run.requests_hash != counterpart.requests_hash || arrived(run) != arrived(counterpart)
            {
                self.leave_out(format!("{place}, seed {}", run.seed), "the requests are not the same");
                continue;
            }
            pairs.push((*run, *counterpart));
        }
        if pairs.is_empty() {
            return;
        }
        let limited = self.latencies_left_out(&place, before, after);
        let judged = |c: &&&Column| !limited || c.better == Better::Higher;
        let cells = options.metrics.iter().filter(judged).filter_map(|c| cell(c.key, &pairs));
        let seeds = pairs.iter().map(|(run, _)| run.seed).collect();
        let cells = cells.collect();
        self.rows.push(DifferenceRow {
            system,
            point: info.label.clone(),
            rate_per_s: info.rate_per_s,
            seeds,
            cells,
        });
    }

    /// Latencies of an overloaded system are those of the length of its run.
    fn latencies_left_out(&mut self, place: &str, before: &Place<'_>, after: &Place<'_>) -> bool {
        let reason = |side: &Place<'_>| match side.exclusion() {
            Some(Exclusion::Overloaded) => {
                Some("overloaded, so that latencies depend on the length of the run")
            }
            Some(Exclusion::TurnsAway) => Some("more than 1 % of the requests are turned away or lost"),
            _ => None,
        };
        let text = match (reason(before), reason(after)) {
            (None, None) => return false,
            (Some(one), Some(other)) if one == other => format!("on both sides {one}"),
            (one, other) => {
                let sides = [(one, &self.before.name), (other, &self.after.name)];
                let texts = sides.iter().filter_map(|(text, name)| Some(format!("in {name} {}", (*text)?)));
                texts.collect::<Vec<String>>().join("; ")
            }
        };
        self.leave_out(format!("{place}, all that is better lower"), text);
        true
    }

    /// Says of every number what its ratio and those of all others allow.
    fn judge(&mut self) {
        let minimum = self.minimum;
        let mut cells: Vec<&mut ChangeCell> = self.rows.iter_mut().flat_map(|r| r.cells.iter_mut()).collect();
        self.compared = cells.len();
        let tested: Vec<usize> = (0..cells.len()).filter(|&i| cells[i].p.is_some()).collect();
        let p_values: Vec<f64> = tested.iter().filter_map(|&i| cells[i].p).collect();
        for (&i, told) in tested.iter().zip(holm(&p_values, LEVEL)) {
            let cell = &mut cells[i];
            let small = cell.ratio.is_some_and(|r| (r.mean - 1.0).abs() < minimum);
            cell.change = match (told, small) {
                (false, _) => Change::Noise,
                (true, true) => Change::Small,
                (true, false) => direction(cell.key, cell.before.mean, cell.after.mean),
            };
        }
    }
}

/// Whether a change from `before` to `after` is for the better.
pub fn direction(key: &str, before: f64, after: f64) -> Change {
    match column::find(key).map(|c| c.better) {
        Some(Better::Lower) if after < before => Change::Better,
        Some(Better::Higher) if after > before => Change::Better,
        Some(Better::Lower | Better::Higher) => Change::Worse,
        _ => Change::Changed,
    }
}

/// A system at a point of one side.
struct Place<'a> {
    study: &'a Study,
    point: usize,
    system: usize,
}

impl<'a> Place<'a> {
    fn runs(&self) -> Vec<&'a RunResult> {
        self.study.runs_of(self.point, self.system)
    }

    fn system(&self) -> &'a super::SystemInfo {
        &self.study.systems[self.system]
    }

    fn exclusion(&self) -> Option<Exclusion> {
        let runs = self.runs();
        compare_system(self.study, &runs, &runs).as_ref().and_then(ComparisonRow::by_itself)
    }
}

/// A number that both sides have, not yet judged against the others.
fn cell(key: &'static str, pairs: &[(&RunResult, &RunResult)]) -> Option<ChangeCell> {
    let value = |run: &RunResult| run.summary.get(key).filter(|v| v.is_finite());
    let values: Vec<(f64, f64)> = pairs.iter().filter_map(|(b, a)| Some((value(a)?, value(b)?))).collect();
    let (after, before) =
        (Estimate::of(values.iter().map(|v| v.0))?, Estimate::of(values.iter().map(|v| v.1))?);
    let ratio = Estimate::of_ratios(values.iter().copied());
    let same = values.iter().all(|(a, b)| a.to_bits() == b.to_bits());
    let differences = || Estimate::of(values.iter().map(|(a, b)| 1.0 + a - b));
    let p = ratio.or_else(differences).and_then(|e| ratio_p(&e)).filter(|_| !same);
    let change = if same { Change::Same } else { Change::OneRun };
    Some(ChangeCell { key, before, after, ratio, p, change })
}
