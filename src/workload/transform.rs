//! What can be done to the rows of a file before they become the trace of a run. All draws are keyed by the row's
//! number in the file, so a slice of a transformed trace equals the transform of the slice.

use serde::{Deserialize, Serialize};

use super::clock::AbsolutePs;
use super::rows::{Row, Rows};
use super::text::{duration, positive};
use super::trace::NO_SESSION;
use crate::diagnostic::{InputError, nearest};
use crate::rng::{Component, stream};
use crate::units::SimDuration;

/// A part of a file; all given limits hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Slice {
    /// Data rows `first..end`, counted from 0.
    pub rows: Option<[u64; 2]>,
    /// From this long after the first row of the file.
    #[serde(default, with = "duration::option")]
    pub from: Option<SimDuration>,
    /// To (excluding) this long after the first row of the file.
    #[serde(default, with = "duration::option")]
    pub to: Option<SimDuration>,
}

/// Which rows stay; an empty list or a missing range keeps all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Filter {
    /// Whole class names, such as `Conversation log / GPT-4`.
    pub class: Vec<String>,
    /// BurstGPT models: the part of the class after ` / `.
    pub model: Vec<String>,
    /// BurstGPT log types: the part of the class before ` / `.
    pub log_type: Vec<String>,
    /// Least and greatest prompt length, both included.
    pub prompt: Option<[u32; 2]>,
    /// Least and greatest output length, both included.
    pub output: Option<[u32; 2]>,
}

/// What is done about a coarse clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dequantise {
    /// Arrivals are spread evenly inside the grain, where the clock is coarse (BurstGPT 1 s, Mooncake 3 s).
    #[default]
    Uniform,
    /// Times stay as written.
    None,
    /// Arrivals are spread inside this grain, whatever the clock looks like.
    #[serde(with = "duration")]
    Grain(SimDuration),
}

impl Rows {
    /// Keeps one part of the file.
    pub fn slice(&mut self, slice: &Slice) {
        let Some(first) = self.rows.first().map(|r| r.time) else { return };
        let from = first + slice.from.map_or(0, |d| AbsolutePs::from(d.as_ps()));
        let to = slice.to.map(|d| first + AbsolutePs::from(d.as_ps()));
        let inside = |r: &Row| {
            r.time >= from
                && to.is_none_or(|to| r.time < to)
                && slice.rows.is_none_or(|[a, b]| (a..b).contains(&u64::from(r.number)))
        };
        let before = self.rows.len();
        self.rows.retain(inside);
        self.report.rows_outside_slice += (before - self.rows.len()) as u64;
    }

    /// Keeps the rows that `filter` names; a class, model or log type that the file lacks is an error.
    pub fn filter(&mut self, filter: &Filter) -> Result<(), InputError> {
        let part = |class: &str, last: bool| match class.split_once(" / ") {
            Some((log_type, model)) => if last { model } else { log_type }.to_owned(),
            None => class.to_owned(),
        };
        let models: Vec<String> = self.classes.iter().map(|c| part(c, true)).collect();
        let log_types: Vec<String> = self.classes.iter().map(|c| part(c, false)).collect();
        let wanted = [
            ("class", &filter.class, &self.classes),
            ("model", &filter.model, &models),
            ("log-type", &filter.log_type, &log_types),
        ];
        for (key, names, there) in wanted {
            known(&self.report.source, key, names, there)?;
        }
        let keep: Vec<bool> = (0..self.classes.len())
            .map(|i| wanted.iter().all(|(_, names, there)| names.is_empty() || names.contains(&there[i])))
            .collect();
        let inside = |range: Option<[u32; 2]>, n: u32| range.is_none_or(|[a, b]| (a..=b).contains(&n));
        let before = self.rows.len();
        self.rows.retain(|r| {
            keep[r.class.index()] && inside(filter.prompt, r.prompt) && inside(filter.output, r.output)
        });
        self.report.rows_filtered += (before - self.rows.len()) as u64;
        Ok(())
    }

    /// Spreads the arrivals of a coarse clock inside its grain, keyed by `seed` and row; call it before slicing, because
    /// the grain is judged by all rows.
    pub fn dequantise(&mut self, how: Dequantise, seed: u64) {
        const COMPONENT: Component = Component::named("workload/dequantise");
        let grain = match how {
            Dequantise::None => None,
            Dequantise::Uniform => self.coarse_grain(),
            Dequantise::Grain(grain) => Some(grain.as_ps()).filter(|&g| g > 0),
        };
        let Some(grain) = grain else { return };
        for row in &mut self.rows {
            row.time += AbsolutePs::from(stream(seed, COMPONENT, u64::from(row.number), 0).below(grain));
        }
        self.rows.sort_by_key(|r| r.time);
        self.report.dequantised_grain_ps = Some(grain);
    }

    /// More or fewer users. Below 1 each row stays with probability `factor`; above 1 copies are added, each shifted by
    /// its own draw around the span.
    pub fn scale_rate(&mut self, factor: f64, seed: u64) -> Result<(), InputError> {
        const THIN: Component = Component::named("workload/thin");
        const SHIFT: Component = Component::named("workload/superpose");
        positive("workload.rate-scale", factor)?;
        let (Some(first), Some(last)) = (self.rows.first(), self.rows.last()) else { return Ok(()) };
        let (origin, span) = (first.time, last.time - first.time + 1);
        if factor > 1.0 && self.chains.is_some() {
            return Err(InputError::named(
                "workload.rate-scale",
                format!(
                    "`{factor}` would copy requests, but copies of a trace with prefix hashes hit each other's cache"
                ),
                "use `time-scale` or `rate`",
            ));
        }
        self.copy_sessions(factor)?;
        let rows_read = u32::try_from(self.report.rows_read).unwrap_or(u32::MAX);
        let originals = std::mem::take(&mut self.rows);
        let mut copy = 0u64;
        while (copy as f64) < factor {
            let share = (factor - copy as f64).min(1.0);
            let around = u64::try_from(span).unwrap_or(u64::MAX);
            let shift = if copy == 0 { 0 } else { stream(seed, SHIFT, copy, 0).below(around) };
            let stays = |r: &&Row| stream(seed, THIN, u64::from(r.number), copy).uniform() < share;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the numbers of all copies were checked to fit"
            )]
            let raise = rows_read * copy as u32;
            let moved = |r: &Row| Row {
                time: origin + (r.time - origin + u128::from(shift)) % span,
                number: r.number + raise,
                ..*r
            };
            self.rows.extend(originals.iter().filter(stays).map(moved));
            copy += 1;
        }
        self.rows.sort_by_key(|r| r.time);
        let (before, after) = (originals.len() as u64, self.rows.len() as u64);
        self.report.rows_thinned += before.saturating_sub(after);
        self.report.rows_copied += after.saturating_sub(before);
        Ok(())
    }

    /// Makes room for `factor` copies of the rows' numbers; each copy has sessions of its own, because it stands for
    /// other users.
    fn copy_sessions(&mut self, factor: f64) -> Result<(), InputError> {
        let copies = factor.ceil();
        let too_many = || {
            InputError::named(
                "workload.rate-scale",
                format!("`{factor}` gives more than 4294967295 rows"),
                "use a smaller factor, or `time-scale`",
            )
        };
        if copies * self.report.rows_read as f64 > f64::from(u32::MAX) {
            return Err(too_many());
        }
        let Some(originals) = self.sessions.clone() else { return Ok(()) };
        let most = originals.iter().filter(|s| **s != NO_SESSION).max().map_or(0, |s| u64::from(*s) + 1);
        let mut copy = 1;
        while (copy as f64) < copies {
            let raise = u32::try_from(copy * most).map_err(|_| too_many())?;
            let raised = |s: &u32| s.checked_add(raise).unwrap_or(NO_SESSION);
            if let Some(sessions) = &mut self.sessions {
                sessions.extend(originals.iter().map(raised));
            }
            copy += 1;
        }
        Ok(())
    }

    /// Divides all times by `factor` (2: twice as fast), counted from the first row; to a billionth of the factor.
    pub fn scale_time(&mut self, factor: f64) -> Result<(), InputError> {
        const PARTS: u128 = 1_000_000_000;
        positive("workload.time-scale", factor)?;
        let scaled = (factor * PARTS as f64).round();
        if !(1.0..1e18).contains(&scaled) {
            let message = format!("`{factor}` is outside 1e-9 to 1e9");
            return Err(InputError::named("workload.time-scale", message, "use `rate` to set a mean rate"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "range checked just above"
        )]
        let divisor = scaled as u128;
        let Some(origin) = self.rows.first().map(|r| r.time) else { return Ok(()) };
        for row in &mut self.rows {
            row.time = origin + (row.time - origin) * PARTS / divisor;
        }
        Ok(())
    }

    /// Keeps the first `count` rows.
    pub fn truncate(&mut self, count: usize) {
        self.report.rows_unused += self.rows.len().saturating_sub(count) as u64;
        self.rows.truncate(count);
    }
}

/// Every wanted name must be there.
fn known(source: &str, key: &str, wanted: &[String], there: &[String]) -> Result<(), InputError> {
    let Some(missing) = wanted.iter().find(|w| !there.contains(w)) else { return Ok(()) };
    let help = match nearest(missing, there.iter().map(String::as_str)) {
        Some(best) => format!("did you mean `{best}`?"),
        None => {
            let mut names: Vec<&str> = there.iter().map(String::as_str).collect();
            names.sort_unstable();
            names.dedup();
            format!("in this file: {}", names.join(", "))
        }
    };
    Err(InputError::named(
        format!("workload.filter.{key}"),
        format!("`{source}` has no {key} `{missing}`"),
        help,
    ))
}
