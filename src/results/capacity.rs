//! The capacity of each system at one or several limits: what `[capacity]` of a scenario gives.

use serde::{Deserialize, Serialize};

use super::csv_bytes;
use super::study::{Study, SystemInfo};
use super::text::cell;
use crate::metrics::slo::Limit;
use crate::metrics::{Estimate, Saturation, Summary};

/// Relative width at which a search stops: the true capacity of a seed lies up to so much above the rate found.
pub const RESOLUTION: f64 = 0.02;

/// What a capacity is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nothing: the whole deployment.
    Whole,
    /// Its accelerators.
    Gpu,
    /// What it costs per second, in US dollars: requests per dollar.
    Dollar,
    /// The power limit of its accelerators, in kW.
    Kilowatt,
}

impl Unit {
    /// All units.
    pub const ALL: [Unit; 4] = [Unit::Whole, Unit::Gpu, Unit::Dollar, Unit::Kilowatt];

    /// Heading of a column.
    pub fn heading(self) -> &'static str {
        match self {
            Unit::Whole => "req/s",
            Unit::Gpu => "req/s per GPU",
            Unit::Dollar => "requests per $",
            Unit::Kilowatt => "req/s per kW of TDP",
        }
    }

    /// How many of the unit a system has; absent where that is not known.
    pub fn of(self, system: &SystemInfo) -> Option<f64> {
        match self {
            Unit::Whole => Some(1.0),
            Unit::Gpu => Some(f64::from(system.gpus)),
            Unit::Dollar => system.usd_per_hour.map(|usd| usd / 3600.0),
            Unit::Kilowatt => Some(system.tdp_kw),
        }
        .filter(|n| *n > 0.0)
    }

    /// Whether the systems differ in how many of the unit they have, so that it ranks them differently.
    pub fn tells(self, study: &Study) -> bool {
        let count = |s: &SystemInfo| self.of(s).map(f64::to_bits);
        self == Unit::Whole || study.systems.windows(2).any(|pair| count(&pair[0]) != count(&pair[1]))
    }
}

/// Whether two capacities cannot be told apart: their intervals, each wider by the resolution of a search, meet.
pub fn tied(a: &Estimate, b: &Estimate) -> bool {
    let reaches = |x: &Estimate, y: &Estimate| x.high() * (1.0 + RESOLUTION) >= y.low();
    reaches(a, b) && reaches(b, a)
}

/// Capacities of a study.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CapacityTable {
    /// The limit that is varied; none: the study's SLO as it is.
    pub limit: Option<Limit>,
    /// Its values in seconds; empty without a limit.
    pub limits_s: Vec<f64>,
    /// Least requests of a trial.
    pub requests: u32,
    /// Least length of a trial in P99 end-to-end latencies.
    pub spans: f64,
    /// By system, then limit.
    pub cells: Vec<CapacityCell>,
}

/// One system at one limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CapacityCell {
    /// Position in [`Study::systems`].
    pub system: usize,
    /// Position in [`CapacityTable::limits_s`]; 0 without a limit.
    pub point: usize,
    /// Requests per second, one a seed; 0: no rate meets the limits.
    pub by_seed: Vec<f64>,
    /// Over the seeds.
    pub value: Option<Estimate>,
    /// Seeds whose last trial should have been longer than the workload is.
    pub short: u32,
}

impl CapacityTable {
    /// Number of limits, at least 1.
    pub fn points(&self) -> usize {
        self.limits_s.len().max(1)
    }

    /// The cell of a system at a point.
    pub fn cell(&self, system: usize, point: usize) -> Option<&CapacityCell> {
        self.cells.iter().find(|c| c.system == system && c.point == point)
    }

    /// The capacity of a system at a point, per `unit`.
    pub fn per(&self, study: &Study, system: usize, point: usize, unit: Unit) -> Option<Estimate> {
        let (value, n) = (self.cell(system, point)?.value?, unit.of(&study.systems[system])?);
        Some(Estimate { mean: value.mean / n, half_width: value.half_width.map(|h| h / n), n: value.n })
    }

    /// Designs that one could build and their capacities per `unit`, best first; those without any capacity are left out.
    fn ranked(&self, study: &Study, point: usize, unit: Unit) -> Vec<(usize, Estimate)> {
        let design = |c: &&CapacityCell| !study.systems[c.system].bound && !study.systems[c.system].oracle;
        let cells = self.cells.iter().filter(|c| c.point == point).filter(design);
        let values = cells.filter_map(|c| Some((c.system, self.per(study, c.system, point, unit)?)));
        let mut ranked: Vec<(usize, Estimate)> = values.filter(|(_, v)| v.mean > 0.0).collect();
        ranked.sort_by(|a, b| b.1.mean.total_cmp(&a.1.mean));
        ranked
    }

    /// The systems that are best at a point: the largest mean, and all designs that are tied with it. Bounds and
    /// oracles are left out.
    pub fn best(&self, study: &Study, point: usize) -> Vec<usize> {
        self.best_per(study, point, Unit::Whole)
    }

    /// The same per `unit`.
    pub fn best_per(&self, study: &Study, point: usize, unit: Unit) -> Vec<usize> {
        let ranked = self.ranked(study, point, unit);
        let Some((_, top)) = ranked.first() else { return Vec::new() };
        ranked.iter().filter(|(_, v)| tied(v, top)).map(|(system, _)| *system).collect()
    }

    /// Of the tied best ones, the design that is ahead of all others on the same requests.
    pub fn ahead(&self, study: &Study, point: usize, unit: Unit) -> Option<usize> {
        let best = self.best_per(study, point, unit);
        let first = *best.first()?;
        let resolved =
            |tie: &Tie| tie.systems.0 != first || !best.contains(&tie.systems.1) || tie.is_resolved();
        (best.len() > 1 && self.ties(study, point, unit).iter().all(resolved)).then_some(first)
    }

    /// Pairs of designs whose intervals meet at a point, in the order of their rank; with many designs only those
    /// with the best.
    pub fn ties(&self, study: &Study, point: usize, unit: Unit) -> Vec<Tie> {
        const ALL_PAIRS: usize = 8;
        let ranked = self.ranked(study, point, unit);
        let firsts = if ranked.len() <= ALL_PAIRS { ranked.len() } else { 1 };
        let mut ties = Vec::new();
        for (i, (a, of_a)) in ranked.iter().enumerate().take(firsts) {
            for (b, of_b) in ranked.iter().skip(i + 1).filter(|(_, v)| tied(of_a, v)) {
                let ratio = self.ratio(study, (*a, *b), point, unit);
                ties.push(Tie { systems: (*a, *b), values: (*of_a, *of_b), ratio });
            }
        }
        ties
    }

    /// Capacity of one system over that of another, paired by seed: both saw the same requests.
    fn ratio(&self, study: &Study, (a, b): (usize, usize), point: usize, unit: Unit) -> Option<Estimate> {
        let (of_a, of_b) = (self.cell(a, point)?, self.cell(b, point)?);
        let (per_a, per_b) = (unit.of(&study.systems[a])?, unit.of(&study.systems[b])?);
        Estimate::of_ratios(of_a.by_seed.iter().zip(&of_b.by_seed).map(|(x, y)| (x / per_a, y / per_b)))
    }
}

/// Two designs whose intervals meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Tie {
    /// Positions in [`Study::systems`], the larger mean first.
    pub systems: (usize, usize),
    /// Their capacities.
    pub values: (Estimate, Estimate),
    /// The first over the second, paired by seed.
    pub ratio: Option<Estimate>,
}

impl Tie {
    /// Whether the same requests tell them apart: the seeds differ more from each other than the designs do, so that
    /// the intervals meet, but the interval of the paired ratio keeps more than the resolution of a search away from 1.
    pub fn is_resolved(&self) -> bool {
        self.ratio.is_some_and(|r| {
            let apart = r.low() > 1.0 + RESOLUTION || r.high() < 1.0 / (1.0 + RESOLUTION);
            r.half_width.is_some() && apart
        })
    }
}

/// One rate that a search tried with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CapacityTrial {
    /// Position in [`Study::systems`].
    pub system: usize,
    /// Position in [`CapacityTable::limits_s`]; 0 without a limit.
    pub point: usize,
    /// Seed.
    pub seed: u64,
    /// Mean arrival rate, requests per second.
    pub rate_per_s: f64,
    /// Requests of the run that judged it.
    pub requests: usize,
    /// Whether the run was stable and met the limits.
    pub passed: bool,
    /// Whether it should have been longer than the workload is.
    pub short: bool,
    /// Its saturation label.
    pub saturation: Saturation,
    /// Share of the requests that met all per-request limits.
    pub attainment: Option<f64>,
    /// Share that met the TTFT limit.
    pub attainment_ttft: Option<f64>,
    /// Share that met the TPOT limit.
    pub attainment_tpot: Option<f64>,
    /// 99th percentile of TTFT, seconds.
    pub ttft_p99_s: Option<f64>,
    /// 99th percentile of the pooled gaps, seconds.
    pub gap_p99_s: Option<f64>,
    /// 99th percentile of end-to-end latency, seconds.
    pub e2e_p99_s: Option<f64>,
}

impl CapacityTrial {
    /// The trial of `summary`; `judged`: whether it passed, and whether it was short.
    pub fn of(
        (system, point, seed): (usize, usize, u64),
        rate_per_s: f64,
        requests: usize,
        judged: (bool, bool),
        summary: &Summary,
    ) -> CapacityTrial {
        let r = &summary.requests;
        CapacityTrial {
            system,
            point,
            seed,
            rate_per_s,
            requests,
            passed: judged.0,
            short: judged.1,
            saturation: summary.saturation,
            attainment: r.attainment,
            attainment_ttft: r.attainment_ttft,
            attainment_tpot: r.attainment_tpot,
            ttft_p99_s: r.ttft_p99_s,
            gap_p99_s: summary.run.gap_p99_s,
            e2e_p99_s: r.e2e_p99_s,
        }
    }
}

/// `capacity.csv`: one row per system, limit and seed.
pub(super) fn csv(study: &Study, table: &CapacityTable) -> Vec<u8> {
    let header = [
        "system",
        "limit",
        "limit_s",
        "seed",
        "capacity_per_s",
        "mean_per_s",
        "half_width_per_s",
        "gpus",
        "mean_per_gpu_per_s",
        "mean_per_usd",
        "mean_per_kw_per_s",
    ];
    let number = |v: Option<f64>| v.map_or_else(String::new, |v| v.to_string());
    let rows = table.cells.iter().flat_map(|c| {
        let info = &study.systems[c.system];
        let per = |unit| number(table.per(study, c.system, c.point, unit).map(|v| v.mean));
        let fixed = [Unit::Gpu, Unit::Dollar, Unit::Kilowatt].map(per);
        c.by_seed.iter().enumerate().map(move |(seed, rate)| {
            let mut row = vec![
                cell(&info.name),
                table.limit.map_or_else(String::new, |l| l.name().to_owned()),
                number(table.limits_s.get(c.point).copied()),
                (seed + 1).to_string(),
                rate.to_string(),
                number(c.value.map(|v| v.mean)),
                number(c.value.and_then(|v| v.half_width)),
                info.gpus.to_string(),
            ];
            row.extend(fixed.clone());
            row
        })
    });
    csv_bytes(&header, rows)
}
