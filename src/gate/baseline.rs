//! A baseline as a file: TOML, a line per number with its values by seed, so that a diff shows what moved.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::diagnostic::{InputError, InputErrors, Source, Sources, from_tree};
use crate::metrics::{Column, Saturation};
use crate::results::{RunResult, Study};

/// Version of the layout.
const SCHEMA: u32 = 1;

/// What a scenario gave when somebody said that this is how it should be.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Baseline {
    /// Version of the layout.
    pub schema: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// Version of the tool that wrote it.
    pub tool: String,
    /// Why each of its states was blessed, the last one at the end.
    pub reasons: Vec<String>,
    /// Seeds of every list below.
    pub seeds: Vec<u64>,
    /// Points.
    #[serde(default, rename = "point")]
    pub points: Vec<BaselinePoint>,
    /// Systems at points.
    #[serde(default, rename = "row")]
    pub rows: Vec<BaselineRow>,
}

/// A point of a baseline.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BaselinePoint {
    /// Its label.
    pub label: String,
    /// Offered rate in requests per second.
    pub rate_per_s: Option<f64>,
    /// Hash of the requests of every seed.
    pub requests: Vec<String>,
}

/// A system at a point of a baseline.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BaselineRow {
    /// Name of the system.
    pub system: String,
    /// Label of the point.
    pub point: String,
    /// The worst label of its runs.
    pub queue: Saturation,
    /// Numbers by key; one per seed.
    pub values: BTreeMap<String, Vec<f64>>,
}

impl Baseline {
    /// What `study` gave for `metrics`. Numbers that some run does not have are left out.
    pub fn of(study: &Study, metrics: &[(&'static Column, f64)], reasons: Vec<String>) -> Baseline {
        let mut seeds: Vec<u64> = study.runs.iter().map(|r| r.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let mut points = Vec::new();
        let mut rows = Vec::new();
        for (p, info) in study.points.iter().enumerate() {
            let first: Vec<&RunResult> = (0..study.systems.len())
                .map(|s| study.runs_of(p, s))
                .find(|runs| !runs.is_empty())
                .unwrap_or_default();
            let requests = first.iter().map(|r| r.requests_hash.clone()).collect();
            points.push(BaselinePoint { label: info.label.clone(), rate_per_s: info.rate_per_s, requests });
            for (s, system) in study.systems.iter().enumerate() {
                let runs = study.runs_of(p, s);
                let Some(queue) = runs.iter().map(|r| r.summary.saturation).max() else { continue };
                let of = |key: &str| runs.iter().map(|r| r.summary.get(key)).collect::<Option<Vec<f64>>>();
                let values = metrics.iter().filter_map(|(c, _)| Some((c.key.to_owned(), of(c.key)?)));
                let values = values.filter(|(_, v)| v.iter().all(|x| x.is_finite())).collect();
                let (system, point) = (system.name.clone(), info.label.clone());
                rows.push(BaselineRow { system, point, queue, values });
            }
        }
        let (scenario, tool) = (study.scenario_name.clone(), study.provenance.tool_version.clone());
        Baseline { schema: SCHEMA, scenario, tool, reasons, seeds, points, rows }
    }

    /// Reads the text of a file; `name` is what messages call it.
    pub fn read(name: &str, text: &str) -> Result<Baseline, InputErrors> {
        let source = Source::new(name, text);
        let mut sources = Sources::default();
        let root = sources.parse(&source, "baseline")?;
        let help = "bless it anew: `windtunnel check SCENARIO --bless --reason \"…\"`";
        let schema = root.get("schema").map(ToString::to_string);
        if schema.as_deref() != Some(&SCHEMA.to_string()) {
            let found = schema.map_or_else(|| "no schema".to_owned(), |s| format!("schema {s}"));
            let message = format!("the baseline has {found}, and this version reads {SCHEMA}");
            return Err(sources.error(root.value_span("schema"), message, help).into());
        }
        let baseline: Baseline = from_tree(&root, "", &sources)?;
        baseline.consistent().map_err(|message| InputError::named(name, message, help))?;
        Ok(baseline)
    }

    /// Whether every list has a value per seed; edits by hand may break that.
    fn consistent(&self) -> Result<(), String> {
        let n = self.seeds.len();
        if n == 0 {
            return Err("`seeds` is empty".to_owned());
        }
        for point in &self.points {
            if point.requests.len() != n {
                return Err(format!(
                    "point `{}` has {} hashes for {n} seeds",
                    point.label,
                    point.requests.len()
                ));
            }
        }
        for row in &self.rows {
            for (key, values) in &row.values {
                if values.len() != n {
                    let (system, point) = (&row.system, &row.point);
                    return Err(format!(
                        "`{key}` of `{system}` at `{point}` has {} values for {n} seeds",
                        values.len()
                    ));
                }
            }
        }
        Ok(())
    }

    /// The point with this label.
    pub fn point(&self, label: &str) -> Option<&BaselinePoint> {
        self.points.iter().find(|p| p.label == label)
    }

    /// The row of a system at a point.
    pub fn row(&self, system: &str, point: &str) -> Option<&BaselineRow> {
        self.rows.iter().find(|r| r.system == system && r.point == point)
    }

    /// The text of its file. Numbers are written so that reading gives the same bits.
    pub fn text(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let list = |items: Vec<String>| format!("[{}]", items.join(", "));
        let mut out = format!(
            "# Written by `windtunnel check --bless`; do not edit. One line per number: its values by seed.\n\
             schema = {SCHEMA}\nscenario = {}\ntool = {}\nreasons = [\n",
            quoted(&self.scenario),
            quoted(&self.tool)
        );
        for reason in &self.reasons {
            out.push_str(&format!("    {},\n", quoted(reason)));
        }
        out.push_str(&format!("]\nseeds = {}\n", list(self.seeds.iter().map(u64::to_string).collect())));
        for point in &self.points {
            out.push_str(&format!("\n[[point]]\nlabel = {}\n", quoted(&point.label)));
            if let Some(rate) = point.rate_per_s {
                out.push_str(&format!("rate-per-s = {}\n", number(rate)));
            }
            let requests = list(point.requests.iter().map(|h| quoted(h)).collect());
            out.push_str(&format!("requests = {requests}\n"));
        }
        for row in &self.rows {
            let (system, point) = (quoted(&row.system), quoted(&row.point));
            out.push_str(&format!("\n[[row]]\nsystem = {system}\npoint = {point}\n"));
            out.push_str(&format!("queue = {}\n[row.values]\n", quoted(row.queue.name())));
            for (key, values) in &row.values {
                out.push_str(&format!("{key} = {}\n", list(values.iter().map(|&v| number(v)).collect())));
            }
        }
        out
    }
}

/// A number as TOML reads it back to the same bits: always with a point.
fn number(value: f64) -> String {
    let text = format!("{value:?}");
    if text.contains(['.', 'e']) { text } else { format!("{text}.0") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline() -> Baseline {
        let values = BTreeMap::from([
            ("ttft_p99_s".to_owned(), vec![0.1 + 0.2, 1e-7]),
            ("finished".to_owned(), vec![3.0, 4.0]),
        ]);
        Baseline {
            schema: SCHEMA,
            scenario: "a \"quoted\" name".to_owned(),
            tool: "0.1.0".to_owned(),
            reasons: vec!["first".to_owned(), "line\nfeed".to_owned()],
            seeds: vec![1, 2],
            points: vec![BaselinePoint {
                label: "load 0.8".to_owned(),
                rate_per_s: Some(3.0),
                requests: vec!["xxh64:1".to_owned(), "xxh64:2".to_owned()],
            }],
            rows: vec![BaselineRow {
                system: "vllm-0.2".to_owned(),
                point: "load 0.8".to_owned(),
                queue: Saturation::Stable,
                values,
            }],
        }
    }

    #[test]
    fn what_is_written_is_read_to_the_bit() {
        let text = baseline().text();
        assert_eq!(Baseline::read("b.toml", &text).unwrap(), baseline());
        assert!(text.contains("\nttft_p99_s = [0.30000000000000004, 1e-7]\n"), "{text}");
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let text = baseline().text();
        for (from, to, what) in [
            ("schema = 1", "schema = 9", "schema 9"),
            ("finished = [3.0, 4.0]", "finished = [3.0]", "has 1 values for 2 seeds"),
            ("seeds = [1, 2]", "seeds = []", "`seeds` is empty"),
            ("queue = \"stable\"", "queue = \"calm\"", "calm"),
        ] {
            let error = Baseline::read("b.toml", &text.replace(from, to)).unwrap_err();
            let message = error.0.iter().map(ToString::to_string).collect::<String>();
            assert!(message.contains(what), "{from}: {message}");
        }
    }
}
