//! ServeGen (Xiang et al., arXiv 2505.09999) windows as a generator: clients, each a Gamma or Weibull renewal process
//! whose rate and shape are given per window (600 s in the published files).
//!
//! A client's process starts afresh in each window in equilibrium, so that the mean number of its requests is rate ×
//! window, whatever its shape. The published scale is not used: a fitted Weibull law has a mean gap of .3 to 5 times
//! 1 / rate, and the rate is what was counted. Left out: dependence between windows and between clients beyond their
//! common clock, dependence of an answer on its prompt (the published histograms are marginal), and turns of sessions.

mod read;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::read::{Histograms, Window as Cell};
use super::arrivals::picoseconds;
use super::clock::AbsolutePs;
use super::input;
use super::lengths::{Lengths, LengthsSpec};
use super::prepare::Beside;
use super::report::LoadReport;
use super::rows::{Clock, MOST_REQUESTS, Row, Rows, too_many_requests};
use super::twin::Window;
use crate::diagnostic::{InputError, InputErrors};
use crate::ids::ClassId;
use crate::rng::{Component, Draws, mixed, stream};

/// `servegen` of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServeGenSpec {
    /// The windows: `client,window_start_s,rate_per_s,cv,dist,shape,scale`; relative to the scenario, `.gz` too.
    pub windows: PathBuf,
    /// Token histograms of each client, one JSON object a line; none: `lengths` of the workload.
    pub lengths: Option<PathBuf>,
    /// Only the clients with the highest mean rates; none: all.
    pub clients: Option<u32>,
}

/// The files, read and checked.
#[derive(Clone, Debug)]
pub(super) struct ServeGen {
    /// In order of (start, client).
    cells: Vec<Cell>,
    window_ps: u64,
    lengths: Source,
    source: String,
    content_hash: String,
}

#[derive(Clone, Debug)]
enum Source {
    Law(Lengths),
    Histograms(Histograms),
}

const GAPS: Component = Component::named("workload/servegen/gaps");
const LENGTHS: Component = Component::named("workload/servegen/lengths");

impl ServeGen {
    /// Reads the files of `spec`; `lengths` where it has none.
    pub fn open(
        spec: &ServeGenSpec,
        lengths: Option<&LengthsSpec>,
        beside: Beside<'_>,
    ) -> Result<ServeGen, InputErrors> {
        let windows = input::stream(&beside.locate(&spec.windows), true)?.whole()?;
        let (mut cells, window_ps) = read::windows(&windows)?;
        if let Some(count) = spec.clients {
            keep_busiest(&mut cells, count as usize);
        }
        let (mut source, mut content_hash) = (format!("servegen {}", windows.name), windows.hash.clone());
        let lengths = match (&spec.lengths, lengths) {
            (Some(path), _) => {
                let file = input::stream(&beside.locate(path), true)?.whole()?;
                let histograms = read::histograms(&file)?;
                if let Some(missing) = cells.iter().find(|c| !histograms.knows(c.client)) {
                    let message = format!("client {} has requests but no histograms", missing.client);
                    let help = "use the files of one model, or give `lengths = { … }` for all clients";
                    return Err(InputError::named(file.name, message, help).into());
                }
                source = format!("{source}, lengths {}", file.name);
                content_hash = format!("{content_hash}+{}", file.hash);
                Source::Histograms(histograms)
            }
            (None, Some(law)) => Source::Law(law.build(beside)?),
            (None, None) => Source::Law(Lengths::Fixed(1, 1)),
        };
        Ok(ServeGen { cells, window_ps, lengths, source, content_hash })
    }

    /// Puts the files into a report.
    pub fn note(&self, report: &mut LoadReport) {
        report.source.clone_from(&self.source);
        report.content_hash = Some(self.content_hash.clone());
    }

    /// The requests of a seed.
    pub fn generate(&self, window: Window, rate_scale: f64, seed: u64) -> Result<Rows, InputErrors> {
        let wanted = window.requests.unwrap_or(usize::MAX);
        let to_ps = window.to_ps.unwrap_or(u64::MAX);
        let mut rows: Vec<Row> = Vec::new();
        for cells in self.cells.chunk_by(|a, b| a.start_ps == b.start_ps) {
            let Some(start_ps) = cells.first().map(|c| c.start_ps) else { break };
            if start_ps >= to_ps || rows.len() >= wanted {
                break;
            }
            if start_ps.saturating_add(self.window_ps) <= window.from_ps {
                continue;
            }
            let done = rows.len();
            for cell in cells {
                self.requests_of(cell, rate_scale, seed, |row| {
                    let inside = row.time >= AbsolutePs::from(window.from_ps)
                        && row.time < AbsolutePs::from(to_ps)
                        && rows.len() <= MOST_REQUESTS;
                    if inside {
                        rows.push(row);
                    }
                    rows.len() <= MOST_REQUESTS
                });
            }
            if rows.len() > MOST_REQUESTS {
                return Err(too_many_requests().into());
            }
            rows[done..].sort_by_key(|r| r.time);
        }
        rows.truncate(wanted);
        for (number, row) in (0u32..).zip(&mut rows) {
            row.number = number;
        }
        let report = LoadReport { rows_read: rows.len() as u64, ..LoadReport::default() };
        let classes = vec!["all".to_owned()];
        Ok(Rows { rows, classes, chains: None, sessions: None, timed: true, clock: Clock::Detect, report })
    }

    /// The requests of one client in one window; ends early when `add` says false.
    fn requests_of(&self, cell: &Cell, rate_scale: f64, seed: u64, mut add: impl FnMut(Row) -> bool) {
        let index = cell.start_ps / self.window_ps;
        let mut draws = stream(seed, GAPS, u64::from(cell.client), index);
        let law = cell.law.faster(rate_scale);
        let mut within_s = law.residual_s(&mut draws);
        let window_s = self.window_ps as f64 / 1e12;
        let mut k = 0u64;
        while within_s < window_s {
            let time_ps = cell.start_ps + picoseconds(within_s * 1e12).min(self.window_ps - 1);
            let key = mixed([u64::from(cell.client), index, k]);
            let (prompt, output) = self.lengths(cell, &mut stream(seed, LENGTHS, key, 0));
            let time = AbsolutePs::from(time_ps);
            if !add(Row { time, prompt, output, number: 0, class: ClassId(0) }) {
                return;
            }
            within_s += law.gap_s(&mut draws);
            k += 1;
        }
    }

    fn lengths(&self, cell: &Cell, draws: &mut Draws) -> (u32, u32) {
        match &self.lengths {
            Source::Law(law) => law.draw(draws),
            Source::Histograms(histograms) => histograms.draw(cell.client, cell.start_ps, draws),
        }
    }
}

/// Keeps the clients with the highest mean rates (ties: the lower number).
fn keep_busiest(cells: &mut Vec<Cell>, count: usize) {
    let mut rates = std::collections::BTreeMap::<u32, f64>::new();
    for cell in cells.iter() {
        *rates.entry(cell.client).or_default() += cell.rate;
    }
    let mut order: Vec<(u32, f64)> = rates.into_iter().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    order.truncate(count);
    let mut kept: Vec<u32> = order.into_iter().map(|(client, _)| client).collect();
    kept.sort_unstable();
    cells.retain(|c| kept.binary_search(&c.client).is_ok());
}
