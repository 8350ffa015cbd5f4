//! Whether the ratios of a headline hang on what should not matter (invariant I16).

use serde::{Deserialize, Serialize};

use super::render::csv_bytes;
use super::study::Study;
use super::text::cell;
use crate::metrics::Estimate;

/// A ratio that moves by less than this share of itself is robust.
pub const TOLERANCE: f64 = 0.03;

/// What headlines speak about, in order: column and its name in a sentence.
pub const HEADLINES: [(&str, &str); 4] = [
    ("ttft_p99_s", "P99 TTFT"),
    ("gap_p99_s", "P99 gap between tokens"),
    ("e2e_p99_s", "P99 end-to-end latency"),
    ("goodput_per_s", "goodput"),
];

/// The ratios of the headline point, compared again in changed circumstances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Robustness {
    /// Position of the point in the study.
    pub point: usize,
    /// What was changed, one thing at a time.
    pub perturbations: Vec<Perturbation>,
    /// The ratios to the reference by which designs are ranked.
    pub pairs: Vec<RobustPair>,
}

/// A circumstance that was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Perturbation {
    /// Its name in files: `ties`, `clock`, `blocks` or `trial`.
    pub name: String,
    /// Its name in a sentence: `sensitive to …`.
    pub subject: String,
    /// What was done, or why nothing was.
    pub what: String,
    /// Whether it was done.
    pub done: bool,
}

/// A ratio to the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RobustPair {
    /// Position of the system in the study.
    pub system: usize,
    /// Key of the column.
    pub key: String,
    /// The ratio of the study.
    pub before: Estimate,
    /// The ratio after each perturbation; absent where there was none, or it left no ratio.
    pub shifts: Vec<Option<Shift>>,
}

/// A ratio after a perturbation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    /// The ratio.
    pub after: Estimate,
    /// The ratio over the one before, seed by seed.
    pub change: Estimate,
}

/// What a shift says of a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Soundness {
    /// It moves by less than [`TOLERANCE`].
    Robust,
    /// It moves by more, but seeds differ about the direction: the 95 % interval of the change holds 1.
    Noise,
    /// It moves by more, and the seeds agree (or there is one).
    Sensitive,
}

impl Soundness {
    /// Name in files.
    pub fn name(self) -> &'static str {
        match self {
            Soundness::Robust => "robust",
            Soundness::Noise => "within-noise",
            Soundness::Sensitive => "sensitive",
        }
    }
}

impl Shift {
    /// By how much the ratio moved, as a share of `before`.
    pub fn moved(&self, before: &Estimate) -> f64 {
        self.after.mean / before.mean - 1.0
    }

    /// What it says of the ratio `before`.
    pub fn soundness(&self, before: &Estimate) -> Soundness {
        let agree = self.change.half_width.is_none() || self.change.differs_from(1.0);
        match self.moved(before).abs() {
            moved if moved < TOLERANCE => Soundness::Robust,
            _ if agree => Soundness::Sensitive,
            _ => Soundness::Noise,
        }
    }
}

impl RobustPair {
    /// Positions of the perturbations to which it is sensitive.
    pub fn sensitive_to(&self) -> Vec<usize> {
        let sensitive =
            |shift: &Option<Shift>| shift.is_some_and(|s| s.soundness(&self.before) == Soundness::Sensitive);
        self.shifts.iter().enumerate().filter(|(_, shift)| sensitive(shift)).map(|(i, _)| i).collect()
    }
}

impl Robustness {
    /// The pair of a system and a column, if it was compared again.
    pub fn pair(&self, system: usize, key: &str) -> Option<&RobustPair> {
        self.pairs.iter().find(|pair| pair.system == system && pair.key == key)
    }

    /// `ties clock`: names of the perturbations to which a pair is sensitive; `robust` without any.
    pub fn names(&self, pair: &RobustPair) -> String {
        let names: Vec<&str> =
            pair.sensitive_to().iter().map(|&i| self.perturbations[i].name.as_str()).collect();
        if names.is_empty() { "robust".to_owned() } else { names.join(" ") }
    }
}

/// `robustness.csv`: a line per ratio and perturbation. What was not done has one line, with the reason.
pub(super) fn csv(study: &Study, found: &Robustness) -> Vec<u8> {
    let header = [
        "point",
        "perturbation",
        "what",
        "system",
        "metric",
        "ratio_before",
        "ratio_before_half_width_95",
        "ratio_after",
        "ratio_after_half_width_95",
        "moved",
        "change_half_width_95",
        "verdict",
    ];
    let point = study.points.get(found.point).map_or_else(String::new, |p| cell(&p.label));
    let number = |v: Option<f64>| v.map_or_else(String::new, |v| v.to_string());
    let mut rows = Vec::new();
    for (i, of) in found.perturbations.iter().enumerate() {
        let head = || vec![point.clone(), of.name.clone(), cell(&of.what)];
        if !of.done {
            let mut row = head();
            row.resize(header.len() - 1, String::new());
            row.push("not-checked".to_owned());
            rows.push(row);
        }
        for pair in &found.pairs {
            let Some(Some(shift)) = pair.shifts.get(i) else { continue };
            let mut row = head();
            row.extend([cell(&study.systems[pair.system].name), pair.key.clone()]);
            row.extend(
                [pair.before, shift.after].iter().flat_map(|e| [e.mean.to_string(), number(e.half_width)]),
            );
            row.extend([shift.moved(&pair.before).to_string(), number(shift.change.half_width)]);
            row.push(shift.soundness(&pair.before).name().to_owned());
            rows.push(row);
        }
    }
    csv_bytes(&header, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shift(after: f64, change: (f64, Option<f64>)) -> Shift {
        let of = |mean, half_width| Estimate { mean, half_width, n: 3 };
        Shift { after: of(after, None), change: of(change.0, change.1) }
    }

    #[test]
    fn a_ratio_is_sensitive_where_it_moves_beyond_the_tolerance_and_the_noise() {
        let before = Estimate { mean: 0.5, half_width: Some(0.1), n: 3 };
        assert_eq!(shift(0.51, (1.02, Some(0.001))).soundness(&before), Soundness::Robust);
        assert_eq!(shift(0.55, (1.1, Some(0.2))).soundness(&before), Soundness::Noise);
        assert_eq!(shift(0.55, (1.1, Some(0.05))).soundness(&before), Soundness::Sensitive);
        assert_eq!(shift(0.45, (0.9, None)).soundness(&before), Soundness::Sensitive);
    }
}
