//! How many replicas for prompts, how many for answers: goodput per GPU over the ratio of the pools and the rate.

use super::figures::Figure;
use super::heat::{Cell, HeatMap};
use crate::metrics::Saturation;
use crate::report::format;
use crate::results::{Comparison, PointComparison, Study, SystemInfo};

const KEY: &str = "goodput_per_gpu_per_s";
/// Fewest ratios that make a map.
const RATIOS_MIN: usize = 3;
/// Cells that lack at most this share of the best at their rate are outlined.
const REGRET: f64 = 0.05;

/// Accelerators of the pools of a role.
fn gpus(system: &SystemInfo, role: &str) -> u32 {
    let pools = system.pools.iter().filter(|p| p.role == role);
    pools.map(|p| p.tp * p.pp * p.replicas).sum()
}

/// The systems of the map: those with pools on as many accelerators as the first of them, the smallest share for prompts
/// first; then those without pools on as many. None where there are few ratios.
fn rows(study: &Study) -> Option<Vec<usize>> {
    let of = |i: &usize| &study.systems[*i];
    let all: Vec<usize> =
        study.display_order().into_iter().filter(|i| !of(i).bound && !of(i).oracle).collect();
    let size = all.iter().map(of).find(|s| !s.pools.is_empty())?.gpus;
    let (mut apart, together): (Vec<usize>, Vec<usize>) =
        all.into_iter().filter(|i| of(i).gpus == size).partition(|i| !of(i).pools.is_empty());
    apart.sort_by_key(|i| (gpus(of(i), "prefill"), *i));
    let mut shares: Vec<u32> = apart.iter().map(|i| gpus(of(i), "prefill")).collect();
    shares.dedup();
    (shares.len() >= RATIOS_MIN).then(|| apart.into_iter().chain(together).collect())
}

/// Prefill against decode over the rate; none where a study does not vary the ratio on one number of accelerators.
pub(super) fn figure(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let rows = rows(study)?;
    let points: Vec<&PointComparison> = comparison.points.iter().filter(|p| p.rate_per_s.is_some()).collect();
    let mut cells = Vec::new();
    for (column, point) in points.iter().enumerate() {
        for (row, &system) in rows.iter().enumerate() {
            let Some(found) = point.row(system) else { continue };
            let Some(value) = found.value(KEY).map(|v| v.mean) else { continue };
            let overloaded = found.saturation == Saturation::Overloaded;
            cells.push(Cell { column, row, value, slo_met: found.slo_met, overloaded });
        }
    }
    let best = best(&cells)?;
    let region = region(&cells);
    let rate = |column: usize| points[column].label.trim_start_matches("rate ").to_owned();
    let top = &cells[best];
    let name = &study.systems[rows[top.row]].name;
    let (value, at) = (format::digits(top.value), rate(top.column));
    let title = if top.slo_met {
        format!("{name} carries most within the limits: {value} req/s per GPU, at {at}")
    } else {
        format!(
            "No ratio meets the limits at any rate; {name} comes nearest: {value} req/s per GPU within them, at {at}"
        )
    };
    let label = |&system: &usize| {
        let info = &study.systems[system];
        let shapes: Vec<String> = info.pools.iter().map(|p| format!("tp{} pp{}", p.tp, p.pp)).collect();
        let alike = shapes.windows(2).all(|w| w[0] == w[1]);
        if alike { info.name.clone() } else { format!("{} ({})", info.name, shapes.join(" + ")) }
    };
    let caption = format!(
        "Requests within the limits per second and GPU, mean over seeds; darker is better. {} GPUs in each row: the more for \
         prompts, the lower; then deployments that do not part prefill and decode. Thick: the best that meets the limits. Thin: \
         within 5 % of the best at the same rate. Red numbers miss the limits; ↯ marks an overloaded run.",
        study.systems[rows[0]].gpus
    );
    let picture = HeatMap {
        title,
        key: KEY,
        best: vec![best],
        region,
        columns: (0..points.len()).map(rate).collect(),
        rows: rows.iter().map(label).collect(),
        cells,
        column_axis: "offered rate".to_owned(),
        row_axis: "prefill : decode".to_owned(),
    };
    Some(Figure::new("ratio-goodput.svg", caption, picture))
}

/// The largest value among cells that meet the limits, else among all.
fn best(cells: &[Cell]) -> Option<usize> {
    let met = cells.iter().any(|c| c.slo_met);
    let judged = cells.iter().enumerate().filter(|(_, c)| c.slo_met || !met);
    judged.max_by(|a, b| a.1.value.total_cmp(&b.1.value).then(b.0.cmp(&a.0))).map(|(i, _)| i)
}

/// Cells within 5 % of the best of their column.
fn region(cells: &[Cell]) -> Vec<usize> {
    let top =
        |column: usize| cells.iter().filter(|c| c.column == column).map(|c| c.value).fold(0.0, f64::max);
    let near = |c: &Cell| c.value > 0.0 && c.value >= (1.0 - REGRET) * top(c.column);
    cells.iter().enumerate().filter(|(_, c)| near(c)).map(|(i, _)| i).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(column: usize, row: usize, value: f64, slo_met: bool) -> Cell {
        Cell { column, row, value, slo_met, overloaded: false }
    }

    #[test]
    fn the_best_meets_the_limits_and_the_region_is_that_of_each_rate() {
        let cells = [
            cell(0, 0, 1.0, true),
            cell(0, 1, 0.96, true),
            cell(0, 2, 0.94, true),
            cell(1, 0, 1.9, false),
            cell(1, 1, 1.5, true),
            cell(1, 2, 0.0, false),
        ];
        assert_eq!(best(&cells), Some(4));
        assert_eq!(region(&cells), [0, 1, 3]);
        assert_eq!(best(&cells[3..4]), Some(0));
        assert_eq!(best(&[]), None);
    }
}
