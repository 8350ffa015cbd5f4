//! What `windtunnel capacity` found, as files; and the curves across seeds that its plots show.

use serde::{Deserialize, Serialize};

use super::capacity::{CapacityTable, CapacityTrial, Unit};
use super::commit::FileSet;
use super::render::{SCHEMA, json, manifest_json, with_rows};
use super::study::Study;
use super::text::cell;
use super::{capacity, csv_bytes};
use crate::metrics::Estimate;

/// What a search of capacities saw besides the capacities.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CapacityDetail {
    /// Every trial, by system, limit and seed, in the order they were made.
    pub trials: Vec<CapacityTrial>,
    /// The rate at which limits were scaled, requests per second; absent where there are none per request.
    pub scale_rate_per_s: Option<f64>,
    /// Attainment at that rate with scaled limits.
    pub scaled: Vec<ScaledAttainment>,
}

/// Attainment of one run with all limits per request multiplied by a factor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScaledAttainment {
    /// Position in [`Study::systems`].
    pub system: usize,
    /// Seed.
    pub seed: u64,
    /// The factor.
    pub scale: f64,
    /// Share of the requests that met all scaled limits.
    pub attainment: f64,
}

/// A number across seeds along an axis: (x, value).
pub type Curve = Vec<(f64, Estimate)>;

impl CapacityDetail {
    /// A share of the trials of one system at one limit over the rate, mean over the seeds.
    ///
    /// Seeds tried different rates: each is a line between its own trials, and the mean is taken at every rate that any
    /// of them tried and all of them span.
    pub fn over_rate(
        &self,
        system: usize,
        point: usize,
        share: impl Fn(&CapacityTrial) -> Option<f64>,
    ) -> Curve {
        let mine: Vec<&CapacityTrial> =
            self.trials.iter().filter(|t| (t.system, t.point) == (system, point)).collect();
        let lines: Vec<Vec<(f64, f64)>> = mine
            .chunk_by(|a, b| a.seed == b.seed)
            .map(|of_seed| {
                let mut line: Vec<(f64, f64)> =
                    of_seed.iter().filter_map(|t| Some((t.rate_per_s, share(t)?))).collect();
                line.sort_by(|a, b| a.0.total_cmp(&b.0));
                line
            })
            .collect();
        let mut rates: Vec<f64> = lines.iter().flatten().map(|p| p.0).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        let at = |rate: f64| {
            let values = lines.iter().map(|line| interpolate(line, rate)).collect::<Option<Vec<f64>>>()?;
            Some((rate, Estimate::of(values)?))
        };
        rates.into_iter().filter_map(at).collect()
    }

    /// Attainment of one system over the scale of its limits, mean over the seeds.
    pub fn over_scale(&self, system: usize) -> Curve {
        let mut scales: Vec<f64> = self.scaled.iter().map(|s| s.scale).collect();
        scales.sort_by(f64::total_cmp);
        scales.dedup();
        let at = |scale: f64| {
            let of = self.scaled.iter().filter(|s| s.system == system && s.scale == scale);
            Some((scale, Estimate::of(of.map(|s| s.attainment))?))
        };
        scales.into_iter().filter_map(at).collect()
    }
}

/// The value of a line of points with rising x; absent outside them.
fn interpolate(line: &[(f64, f64)], x: f64) -> Option<f64> {
    let above = line.iter().position(|p| p.0 >= x)?;
    let (x1, y1) = line[above];
    if x1 == x {
        return Some(y1);
    }
    let (x0, y0) = line[above.checked_sub(1)?];
    Some(y0 + (y1 - y0) * (x - x0) / (x1 - x0))
}

#[derive(Serialize)]
struct CapacityFile<'a> {
    schema: u32,
    scenario: &'a str,
    title: &'a str,
    reference: &'a str,
    table: &'a CapacityTable,
    results: Vec<Row<'a>>,
    ties: Vec<TieOut<'a>>,
    scale_rate_per_s: Option<f64>,
    scaled: &'a [ScaledAttainment],
}

/// One system at one limit.
#[derive(Serialize)]
struct Row<'a> {
    system: &'a str,
    bound: bool,
    oracle: bool,
    limit_s: Option<f64>,
    gpus: u32,
    /// Best of the designs, or tied with it.
    best: bool,
    capacity_per_s: Option<Estimate>,
    capacity_per_gpu_per_s: Option<Estimate>,
    requests_per_usd: Option<Estimate>,
    capacity_per_kw_per_s: Option<Estimate>,
}

/// Two designs whose intervals meet.
#[derive(Serialize)]
struct TieOut<'a> {
    limit_s: Option<f64>,
    per: &'static str,
    systems: [&'a str; 2],
    /// The first over the second, on the same requests.
    ratio: Option<Estimate>,
    /// Whether that ratio tells them apart.
    resolved: bool,
}

/// All data files of `windtunnel capacity`; the same study gives the same bytes.
pub fn capacity_files(study: &Study, detail: &CapacityDetail) -> FileSet<'static> {
    let mut set = FileSet::default();
    set.add("manifest.json", manifest_json(study));
    if let Some(table) = &study.capacity {
        set.add("capacity.csv", capacity::csv(study, table));
        set.add("capacity.json", capacity_json(study, table, detail));
        set.add("trials.csv", trials_csv(study, table, detail));
    }
    set
}

/// `capacity.json`: the results, then one trial per line.
fn capacity_json(study: &Study, table: &CapacityTable, detail: &CapacityDetail) -> Vec<u8> {
    let limit = |point: usize| table.limits_s.get(point).copied();
    let row = |c: &super::CapacityCell| {
        let (info, per) = (&study.systems[c.system], |unit| table.per(study, c.system, c.point, unit));
        Row {
            system: &info.name,
            bound: info.bound,
            oracle: info.oracle,
            limit_s: limit(c.point),
            gpus: info.gpus,
            best: table.best(study, c.point).contains(&c.system),
            capacity_per_s: per(Unit::Whole),
            capacity_per_gpu_per_s: per(Unit::Gpu),
            requests_per_usd: per(Unit::Dollar),
            capacity_per_kw_per_s: per(Unit::Kilowatt),
        }
    };
    let units = || Unit::ALL.into_iter().filter(|u| u.tells(study));
    let ties = (0..table.points()).flat_map(|point| {
        units().flat_map(move |unit| {
            table.ties(study, point, unit).into_iter().map(move |tie| TieOut {
                limit_s: limit(point),
                per: unit.heading(),
                systems: [&study.systems[tie.systems.0].name, &study.systems[tie.systems.1].name],
                ratio: tie.ratio,
                resolved: tie.is_resolved(),
            })
        })
    });
    let head = json(&CapacityFile {
        schema: SCHEMA,
        scenario: &study.scenario_name,
        title: &study.title,
        reference: &study.reference,
        table,
        results: table.cells.iter().map(row).collect(),
        ties: ties.collect(),
        scale_rate_per_s: detail.scale_rate_per_s,
        scaled: &detail.scaled,
    });
    with_rows(&head, "trials", detail.trials.iter())
}

/// `trials.csv`: every rate that was tried.
fn trials_csv(study: &Study, table: &CapacityTable, detail: &CapacityDetail) -> Vec<u8> {
    let header = [
        "system",
        "limit_s",
        "seed",
        "rate_per_s",
        "requests",
        "passed",
        "short",
        "saturation",
        "attainment",
        "attainment_ttft",
        "attainment_tpot",
        "ttft_p99_s",
        "gap_p99_s",
        "e2e_p99_s",
    ];
    let number = |v: Option<f64>| v.map_or_else(String::new, |v| v.to_string());
    let row = |t: &CapacityTrial| {
        vec![
            cell(&study.systems[t.system].name),
            number(table.limits_s.get(t.point).copied()),
            t.seed.to_string(),
            t.rate_per_s.to_string(),
            t.requests.to_string(),
            t.passed.to_string(),
            t.short.to_string(),
            t.saturation.name().to_owned(),
            number(t.attainment),
            number(t.attainment_ttft),
            number(t.attainment_tpot),
            number(t.ttft_p99_s),
            number(t.gap_p99_s),
            number(t.e2e_p99_s),
        ]
    };
    csv_bytes(&header, detail.trials.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_trials_a_share_is_on_the_line_and_outside_there_is_none() {
        let line = [(1.0, 1.0), (2.0, 0.8), (4.0, 0.0)];
        assert_eq!(interpolate(&line, 2.0), Some(0.8));
        assert!((interpolate(&line, 3.0).unwrap_or(0.0) - 0.4).abs() < 1e-12);
        assert_eq!(interpolate(&line, 0.5), None);
        assert_eq!(interpolate(&line, 4.5), None);
    }
}
