//! Three things a cost model must be better than, on the very rows it is judged by.

use crate::cost::{quantiles, report};

/// One measured row, with what the model and the datasheet say about it.
pub struct Row {
    /// Rows of different groups are never compared (accelerator, model, engine).
    pub group: String,
    /// Positive coordinates in which times vary smoothly: tokens, sequences, tensor parallelism …
    pub at: Vec<f64>,
    pub measured: f64,
    pub model: f64,
    pub datasheet: f64,
}

/// Median and 90th percentile of |predicted/measured − 1|.
#[derive(Clone, Copy, Debug)]
pub struct Band {
    pub median: f64,
    pub p90: f64,
}

/// The model beside the baselines.
pub struct Judged {
    pub model: Band,
    pub datasheet: Band,
    /// The measured time of the nearest other row, by distance of logarithms.
    pub nearest: Band,
    /// Between the two rows around it that differ in one coordinate only, linear in logarithms; else the nearest row.
    pub interpolated: Band,
    /// One number for the whole group: its median.
    pub constant: Band,
}

fn ln(v: f64) -> f64 {
    libm::log(v.max(0.5))
}

fn distance(a: &Row, b: &Row) -> f64 {
    a.at.iter().zip(&b.at).map(|(a, b)| (ln(*a) - ln(*b)).powi(2)).sum()
}

/// The rows of its group without `row` itself.
fn others<'a>(rows: &'a [Row], row: &'a Row) -> impl Iterator<Item = &'a Row> {
    rows.iter().filter(move |o| o.group == row.group && !std::ptr::eq(*o, row))
}

fn nearest(rows: &[Row], row: &Row) -> Option<f64> {
    others(rows, row).min_by(|a, b| distance(a, row).total_cmp(&distance(b, row))).map(|r| r.measured)
}

/// Mean over the coordinates that have a row on either side with all others equal.
fn interpolated(rows: &[Row], row: &Row) -> Option<f64> {
    let mut found = Vec::new();
    for axis in 0..row.at.len() {
        let aligned = |o: &&Row| (0..row.at.len()).all(|i| i == axis || o.at[i] == row.at[i]);
        let x = |r: &Row| ln(r.at[axis]);
        let by = |a: &&Row, b: &&Row| x(a).total_cmp(&x(b));
        let below = others(rows, row).filter(aligned).filter(|o| o.at[axis] < row.at[axis]).max_by(by);
        let above = others(rows, row).filter(aligned).filter(|o| o.at[axis] > row.at[axis]).min_by(by);
        if let (Some(low), Some(high)) = (below, above) {
            let share = (x(row) - x(low)) / (x(high) - x(low));
            found.push(ln_time(low) + share * (ln_time(high) - ln_time(low)));
        }
    }
    if found.is_empty() {
        return nearest(rows, row);
    }
    Some(libm::exp(found.iter().sum::<f64>() / found.len() as f64))
}

fn ln_time(row: &Row) -> f64 {
    libm::log(row.measured)
}

fn constant(rows: &[Row], row: &Row) -> Option<f64> {
    let mut times: Vec<f64> = rows.iter().filter(|o| o.group == row.group).map(|o| o.measured).collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

fn band(rows: &[Row], predict: impl Fn(&Row) -> Option<f64>) -> Band {
    let errors = rows.iter().filter_map(|r| Some((predict(r)? / r.measured - 1.0).abs())).collect();
    let (median, p90) = quantiles(errors);
    Band { median, p90 }
}

/// Judges all baselines on the same rows and prints a line of the table in docs/cost-model.md.
pub fn judge(what: &str, rows: &[Row]) -> Judged {
    assert!(rows.len() >= 10, "{what}: only {} rows", rows.len());
    let judged = Judged {
        model: band(rows, |r| Some(r.model)),
        datasheet: band(rows, |r| Some(r.datasheet)),
        nearest: band(rows, |r| nearest(rows, r)),
        interpolated: band(rows, |r| interpolated(rows, r)),
        constant: band(rows, |r| constant(rows, r)),
    };
    let mut signed: Vec<f64> = rows.iter().map(|r| r.model / r.measured - 1.0).collect();
    signed.sort_by(f64::total_cmp);
    let cell = |b: Band| format!("{:.1}/{:.0}", 100.0 * b.median, 100.0 * b.p90);
    report(format_args!(
        "| {what} | {} | {} | {:+.1} | {} | {} | {} | {} |",
        rows.len(),
        cell(judged.model),
        100.0 * signed[signed.len() / 2],
        cell(judged.datasheet),
        cell(judged.nearest),
        cell(judged.interpolated),
        cell(judged.constant)
    ));
    judged
}

#[test]
fn baselines_are_what_they_say() {
    let row = |x: f64, measured: f64| Row {
        group: "g".to_owned(),
        at: vec![x, 3.0],
        measured,
        model: measured,
        datasheet: measured / 2.0,
    };
    let rows: Vec<Row> = (0..12).map(|i| row(f64::from(1 << i), f64::from(1 << i))).collect();
    let judged = judge("powers of two", &rows);
    assert!(judged.model.median == 0.0 && judged.datasheet.median == 0.5);
    // A power law is a line in logarithms; its neighbours are a factor of two away.
    assert!(judged.interpolated.median < 1e-12, "{}", judged.interpolated.median);
    assert!(judged.nearest.median >= 0.5 && judged.constant.median >= 0.5);
}
