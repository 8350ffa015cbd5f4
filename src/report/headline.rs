//! The answer in words: who is best at what, by how much, and whether the difference is real.

use crate::metrics::{Better, Estimate, column};
use crate::report::format;
use crate::results::text;
use crate::results::{Comparison, ComparisonRow, Exclusion, HEADLINES, PointComparison};

/// The best design for one objective, compared with the reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the objective.
    pub objective: &'static str,
    /// Its column.
    pub key: &'static str,
    /// The system whose ratio to the reference is stated; none where there is no other.
    pub compared: Option<usize>,
    /// Name of the best design, or of several within the interval.
    pub winner: String,
    /// By how much, with both absolute values and the interval.
    pub detail: String,
}

/// One finding per objective (see [`HEADLINES`]) at the headline point.
pub fn findings(comparison: &Comparison) -> Vec<Finding> {
    let Some(point) = comparison.headline() else { return Vec::new() };
    let found = |(key, name): &(&'static str, &'static str)| {
        let mut finding = finding(point, key, name)?;
        if let Some(text) = finding.compared.and_then(|system| elsewhere(comparison, key, system)) {
            finding.detail = format!("{}; {text}", finding.detail);
        }
        Some(finding)
    };
    HEADLINES.iter().filter_map(found).collect()
}

/// How a design stands to the reference at a point.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Ahead,
    Tie,
    Behind,
    /// One of the two is not ranked there.
    Unranked,
}

fn standing(point: &PointComparison, key: &str, system: usize) -> Standing {
    let ranked = point.ranked(key);
    let there = |of: &dyn Fn(&ComparisonRow) -> bool| ranked.iter().any(|r| of(r));
    let ratio = point.row(system).and_then(|r| r.ratio(key));
    let Some(ratio) = ratio.filter(|_| there(&|r| r.system == system) && there(&|r| r.reference)) else {
        return Standing::Unranked;
    };
    let higher = column::find(key).is_some_and(|c| c.better == Better::Higher);
    match ratio.half_width {
        _ if nearly_equal(&ratio) => Standing::Tie,
        Some(_) if !ratio.differs_from(1.0) => Standing::Tie,
        _ if (ratio.mean > 1.0) == higher => Standing::Ahead,
        _ => Standing::Behind,
    }
}

/// Where what is found at the headline point is not so: at which other points the design and the reference stand to each other
/// in another way. None for a study of one point.
fn elsewhere(comparison: &Comparison, key: &str, system: usize) -> Option<String> {
    let here = standing(comparison.headline()?, key, system);
    let others = comparison.points.iter().filter(|p| p.point != comparison.headline_point);
    let others: Vec<(&str, Standing)> =
        others.map(|p| (p.label.as_str(), standing(p, key, system))).collect();
    if others.is_empty() {
        return None;
    }
    let name = &comparison.headline()?.row(system)?.name;
    let at = |wanted: Standing| {
        let labels: Vec<&str> = others.iter().filter(|o| o.1 == wanted).map(|o| o.0).collect();
        (wanted != here && !labels.is_empty()).then(|| text::labels(&labels))
    };
    let parts = [
        at(Standing::Ahead).map(|labels| format!("{name} is ahead at {labels}")),
        at(Standing::Tie).map(|labels| format!("they tie at {labels}")),
        at(Standing::Behind).map(|labels| format!("{} is ahead at {labels}", comparison.reference)),
        at(Standing::Unranked).map(|labels| format!("not to be ranked at {labels}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    Some(if parts.is_empty() { "so at every point of the study".to_owned() } else { parts.join(", ") })
}

/// Name of a headline's column in a sentence; the key itself for any other column.
pub fn name_of(key: &str) -> &str {
    HEADLINES.iter().find(|(known, _)| *known == key).map_or(key, |(_, name)| name)
}

/// Which designs the answer leaves out and why, as a sentence; none: all are ranked.
pub fn left_out(comparison: &Comparison) -> Option<String> {
    let left_out = comparison.headline()?.left_out();
    let mut groups: Vec<(Exclusion, Vec<&str>)> = Vec::new();
    for (name, reason) in left_out {
        match groups.iter_mut().find(|(of, _)| *of == reason) {
            Some((_, names)) => names.push(name),
            None => groups.push((reason, vec![name])),
        }
    }
    let each: Vec<String> =
        groups.iter().map(|(reason, names)| format!("{} ({})", names.join(", "), reason.text())).collect();
    (!each.is_empty()).then(|| format!("Left out: {}.", each.join("; ")))
}

/// The answer as one sentence.
pub fn sentence(comparison: &Comparison) -> String {
    let Some(point) = comparison.headline() else { return "No run has a result.".to_owned() };
    let parts: Vec<String> = findings(comparison)
        .into_iter()
        .map(|f| format!("{}: {} – {}", f.objective, f.winner, f.detail))
        .collect();
    format!("At {}, against {}: {}.", point.name(), comparison.reference, parts.join("; "))
}

fn finding(point: &PointComparison, key: &'static str, objective: &'static str) -> Option<Finding> {
    let ranked = point.ranked(key);
    let best = *ranked.first()?;
    let reference = point.reference()?;
    let other = if best.reference { ranked.get(1).copied() } else { Some(best) };
    let (winner, detail) = if best.reference {
        ahead_of_next(key, best, other)
    } else {
        against_reference(key, best, reference)
    };
    let compared = other.map(|row| row.system);
    Some(Finding { objective, key, compared, winner, detail })
}

fn shown(key: &str, row: &ComparisonRow) -> String {
    let unit = column::find(key).map_or("", |c| if c.key.ends_with("_per_s") { c.unit } else { "" });
    let value = format::or_dash(row.value(key), |v| format::in_unit(key, v.mean));
    format!("{value} {unit}").trim_end().to_owned()
}

/// The reference itself is best: by how much the next one trails, and whether the interval excludes a tie.
fn ahead_of_next(key: &str, best: &ComparisonRow, next: Option<&ComparisonRow>) -> (String, String) {
    let name = best.name.clone();
    let Some(next) = next else { return (name, format!("{}, the only design ranked", shown(key, best))) };
    let Some(ratio) = next.ratio(key) else { return (name, format!("the reference, {}", shown(key, best))) };
    let amount = format!(
        "{} with the reference; {} at {} × ({})",
        shown(key, best),
        next.name,
        format::ratio(ratio),
        shown(key, next)
    );
    match ratio.half_width {
        _ if nearly_equal(&ratio) => {
            (format!("{name} and {}", next.name), format!("{amount}, equal within 1 %"))
        }
        None => (name, format!("{amount}, one seed, no interval")),
        Some(_) if ratio.differs_from(1.0) => (name, amount),
        Some(_) => (format!("tie of {name} and {}", next.name), format!("{amount}, within the interval")),
    }
}

/// A design beats the reference: by how much, and whether the interval excludes a tie.
fn against_reference(key: &str, best: &ComparisonRow, reference: &ComparisonRow) -> (String, String) {
    let values = format!("{} against {}", shown(key, best), shown(key, reference));
    let Some(ratio) = best.ratio(key) else { return (best.name.clone(), values) };
    let amount = format!("{} × ({values})", format::ratio(ratio));
    match ratio.half_width {
        _ if nearly_equal(&ratio) => {
            (format!("{} and {}", best.name, reference.name), format!("{amount}, equal within 1 %"))
        }
        None => (best.name.clone(), format!("{amount}, one seed, no interval")),
        Some(_) if ratio.differs_from(1.0) => (best.name.clone(), amount),
        Some(_) => {
            let names = format!("tie of {} and {}", best.name, reference.name);
            (names, format!("{amount}, within the interval"))
        }
    }
}

/// Ratios closer to 1 than this are not worth a winner.
const SAME: f64 = 0.01;

fn nearly_equal(ratio: &Estimate) -> bool {
    (ratio.mean - 1.0).abs() < SAME
}

/// Word for the good direction of a column, for table headings.
pub fn direction(key: &str) -> &'static str {
    match column::find(key).map(|c| c.better) {
        Some(Better::Lower) => "lower is better",
        Some(Better::Higher) => "higher is better",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Saturation;
    use crate::results::MetricCell;

    fn row(system: usize, ttft: f64, ratio: (f64, f64), saturation: Saturation) -> ComparisonRow {
        let estimate = |mean, half| Some(Estimate { mean, half_width: Some(half), n: 3 });
        let cell =
            MetricCell { key: "ttft_p99_s", value: estimate(ttft, 0.1), ratio: estimate(ratio.0, ratio.1) };
        ComparisonRow {
            system,
            name: ["old", "new"][system].to_owned(),
            bound: false,
            oracle: false,
            reference: system == 0,
            runs: 3,
            saturation,
            slo_met: true,
            slo_missed: Vec::new(),
            metrics: vec![cell],
        }
    }

    /// Two systems at several loads: P99 TTFT of the new one over that of the old one, its half width, and its queue.
    fn of(points: &[(f64, f64, Saturation)], headline_point: usize) -> String {
        let point = |(point, &(ratio, half, queue)): (usize, &(f64, f64, Saturation))| PointComparison {
            point,
            label: format!("load 0.{}", point + 5),
            rate_per_s: None,
            rows: vec![row(0, 1.0, (1.0, 0.0), Saturation::Stable), row(1, ratio, (ratio, half), queue)],
        };
        let points = points.iter().enumerate().map(point).collect();
        let comparison = Comparison { reference: "old".to_owned(), points, headline_point };
        findings(&comparison).remove(0).detail
    }

    #[test]
    fn a_finding_says_where_it_stops_being_true() {
        let (stable, overloaded) = (Saturation::Stable, Saturation::Overloaded);
        let ahead = (0.5, 0.1, stable);
        assert!(of(&[ahead; 3], 1).ends_with("; so at every point of the study"));
        assert!(!of(&[ahead], 0).contains("point"));
        let text = of(&[ahead, (0.9, 0.2, stable), (1.0, 0.0, stable), (1.4, 0.1, stable)], 0);
        assert!(text.ends_with("; they tie at load 0.6, 0.7, old is ahead at load 0.8"), "{text}");
        let text = of(&[(1.4, 0.1, stable), ahead, (0.5, 0.1, overloaded)], 0);
        assert!(text.ends_with("; new is ahead at load 0.6, not to be ranked at load 0.7"), "{text}");
    }
}
