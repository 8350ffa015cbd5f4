//! The comparison as CSV and JSON, for other programs.

use serde::Serialize;

use crate::metrics::Summary;
use crate::results::text::cell as safe_cell;
use crate::results::{Comparison, Robustness, Study, Warning, warnings};

/// The comparison as CSV: one row per point, system and metric. `sensitive_to` is empty but for the ratios of a headline that
/// was compared again.
pub fn csv(study: &Study, comparison: &Comparison) -> Vec<u8> {
    let header = [
        "point",
        "rate_per_s",
        "system",
        "bound",
        "saturation",
        "metric",
        "runs",
        "mean",
        "half_width_95",
        "ratio_to_reference",
        "ratio_half_width_95",
        "sensitive_to",
    ];
    let sensitive = |point: usize, system: usize, key: &str| {
        let found = study.robustness.as_ref().filter(|found| found.point == point);
        let pair = found.and_then(|found| found.pair(system, key).map(|pair| found.names(pair)));
        pair.unwrap_or_default()
    };
    let number = |v: Option<f64>| v.map_or_else(String::new, |v| v.to_string());
    let mut rows = Vec::new();
    for point in &comparison.points {
        for row in &point.rows {
            for metric in row.metrics.iter().filter(|m| m.value.is_some()) {
                rows.push(vec![
                    safe_cell(&point.label),
                    number(point.rate_per_s),
                    safe_cell(&row.name),
                    row.bound.to_string(),
                    row.saturation.name().to_owned(),
                    metric.key.to_owned(),
                    metric.value.map_or(0, |v| v.n).to_string(),
                    number(metric.value.map(|v| v.mean)),
                    number(metric.value.and_then(|v| v.half_width)),
                    number(metric.ratio.map(|v| v.mean)),
                    number(metric.ratio.and_then(|v| v.half_width)),
                    sensitive(point.point, row.system, metric.key),
                ]);
            }
        }
    }
    crate::results::csv_bytes(&header, rows)
}

#[derive(Serialize)]
struct JsonOut<'a> {
    schema: u32,
    scenario: &'a str,
    comparison: &'a Comparison,
    #[serde(skip_serializing_if = "Option::is_none")]
    robustness: Option<&'a Robustness>,
    runs: Vec<JsonRun<'a>>,
    warnings: Vec<Warning>,
}

#[derive(Serialize)]
struct JsonRun<'a> {
    system: &'a str,
    point: &'a str,
    seed: u64,
    summary: &'a Summary,
}

/// The comparison and its runs as one JSON document.
pub fn json(study: &Study, comparison: &Comparison) -> Vec<u8> {
    let runs = study.sorted_runs().into_iter().map(|r| JsonRun {
        system: &study.systems[r.system].name,
        point: &study.points[r.point].label,
        seed: r.seed,
        summary: &r.summary,
    });
    crate::results::json(&JsonOut {
        schema: crate::results::SCHEMA,
        scenario: &study.scenario_name,
        comparison,
        robustness: study.robustness.as_ref(),
        runs: runs.collect(),
        warnings: warnings(study),
    })
}
