//! Titles that state what a chart shows, made from the compared numbers.

use crate::metrics::record::Cause;
use crate::metrics::{Better, LedgerRow, Saturation, column};
use crate::report::format;
use crate::results::{Comparison, PointComparison};

/// A metric as sentences word it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wording {
    /// Key of its column.
    pub key: &'static str,
    /// Name in the middle of a sentence.
    pub name: &'static str,
}

fn value(key: &str, mean: f64) -> String {
    let unit = column::find(key).map_or("", |c| c.unit);
    let shown = format::in_unit(key, mean);
    if key.ends_with("_per_s") { format!("{shown} {unit}") } else { shown }
}

/// `At load 0.8 sarathi-serve has the lowest P99 TTFT: 840 ms, against 1.31 s with vllm-v1`.
pub(super) fn best_at(point: &PointComparison, w: Wording) -> String {
    best_of(point, w, |_| true)
}

/// As [`best_at`], among the rows that `judged` lets in (the reference is still what it is compared with).
pub(super) fn best_of(
    point: &PointComparison,
    w: Wording,
    judged: impl Fn(&crate::results::ComparisonRow) -> bool,
) -> String {
    let mut ranked = point.ranked(w.key);
    ranked.retain(|row| judged(row));
    let extreme = match column::find(w.key).map(|c| c.better) {
        Some(Better::Higher) => "highest",
        _ => "lowest",
    };
    let shown =
        |row: &crate::results::ComparisonRow| format::or_dash(row.value(w.key), |v| value(w.key, v.mean));
    let Some(best) = ranked.first() else {
        let measured = point.rows.iter().any(|row| row.value(w.key).is_some());
        let why = if measured { "no design is ranked by" } else { "no data for" };
        return format!("At {}: {why} {}", point.name(), w.name);
    };
    let head = format!("At {} {} has the {extreme} {}: {}", point.name(), best.name, w.name, shown(best));
    let other = if best.reference { ranked.get(1).copied() } else { point.reference() };
    // The reference has the ratio 1 to itself: the interval is that of the other one.
    let ratio = if best.reference { other.and_then(|o| o.ratio(w.key)) } else { best.ratio(w.key) };
    let tie = ratio.is_some_and(|r| r.half_width.is_some() && !r.differs_from(1.0));
    let verdict = if tie { " – a tie within the interval" } else { "" };
    match other {
        Some(other) => format!("{head}, against {} with {}{verdict}", shown(other), other.name),
        None => head,
    }
}

/// `P99 TTFT stays within 1 s up to 3.4 req/s with vllm-v1; up to 3.1 req/s with orca; at no point with ft`.
pub(super) fn holds(comparison: &Comparison, w: Wording, limit: f64) -> String {
    let mut groups: Vec<(Option<usize>, Vec<String>)> = Vec::new();
    for (name, point) in comparison.holding(w.key, limit) {
        match groups.iter_mut().find(|g| g.0 == point) {
            Some(group) => group.1.push(name),
            None => groups.push((point, vec![name])),
        }
    }
    groups.sort_by_key(|g| std::cmp::Reverse(g.0));
    let place = |i: usize| place(&comparison.points[i]);
    let parts: Vec<String> = groups
        .iter()
        .map(|(point, names)| match point {
            Some(i) => format!("up to {} with {}", place(*i), names.join(", ")),
            None => format!("at no point with {}", names.join(", ")),
        })
        .collect();
    format!("{} stays within {} {}", format::capitalised(w.name), format::limit(limit), parts.join("; "))
}

/// A curve has turned upwards where it exceeds its value at the first load this many times.
const KNEE: f64 = 2.0;

/// `Median normalised latency doubles before 12.8 req/s with orca; not up to 14.8 req/s with vllm-v1`.
pub(super) fn knees(comparison: &Comparison, w: Wording) -> Option<String> {
    let (first, last) = (comparison.points.first()?, comparison.points.last()?);
    let mut groups: Vec<(Option<usize>, Vec<&str>)> = Vec::new();
    for row in first.rows.iter().filter(|r| r.is_design()) {
        let start = row.value(w.key)?.mean;
        let above = |p: &PointComparison| {
            p.row(row.system).and_then(|r| r.value(w.key)).is_some_and(|v| v.mean > KNEE * start)
        };
        let at = if row.saturation == Saturation::Overloaded {
            Some(0)
        } else {
            comparison.points.iter().position(above)
        };
        match groups.iter_mut().find(|g| g.0 == at) {
            Some(group) => group.1.push(&row.name),
            None => groups.push((at, vec![&row.name])),
        }
    }
    groups.sort_by_key(|g| std::cmp::Reverse(g.0.unwrap_or(usize::MAX)));
    let parts: Vec<String> = groups
        .iter()
        .map(|(at, names)| match at {
            None => format!("not up to {} with {}", place(last), names.join(", ")),
            Some(0) => format!("below {} with {}", place(first), names.join(", ")),
            Some(i) => format!("before {} with {}", place(&comparison.points[*i]), names.join(", ")),
        })
        .collect();
    Some(format!("{} doubles {}", format::capitalised(w.name), parts.join("; ")))
}

/// A point as short as it can be named.
fn place(point: &PointComparison) -> String {
    point.rate_per_s.map_or_else(|| point.label.clone(), |r| format!("{r:.2} req/s"))
}

/// `On average 12.1 requests wait with orca and 0.4 with vllm-v1`, most and least.
pub(super) fn most_and_least(point: &PointComparison, w: Wording) -> String {
    let mut rows: Vec<(f64, &str)> = point
        .rows
        .iter()
        .filter(|r| r.is_design())
        .filter_map(|r| Some((r.value(w.key)?.mean, r.name.as_str())))
        .collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    match (rows.first(), rows.last()) {
        (Some(most), Some(least)) if rows.len() > 1 => format!(
            "At {}, {}: {} on average with {}, {} with {}",
            point.name(),
            w.name,
            value(w.key, most.0),
            most.1,
            value(w.key, least.0),
            least.1
        ),
        (Some(only), _) => {
            format!("At {}, {}: {} on average with {}", point.name(), w.name, value(w.key, only.0), only.1)
        }
        _ => format!("At {}, {}", point.name(), w.name),
    }
}

/// `62 % of it in queue`: the largest cause of a ledger.
pub(super) fn largest_cause(ledger: &LedgerRow) -> Option<String> {
    let total = ledger.total_s();
    let (cause, part) =
        Cause::ALL.iter().zip(ledger.seconds).max_by(|a, b| a.1.total_cmp(&b.1)).filter(|_| total > 0.0)?;
    Some(format!("{:.0} % {}", part / total * 100.0, cause.name()))
}
