//! What can be done to the rows of a file before they become the trace of a run. All draws are keyed by the row's
//! number in the file, so a slice of a transformed trace equals the transform of the slice.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clock::AbsolutePs;
use super::rows::{MOST_REQUESTS, Row, Rows};
use super::text::{duration, positive};
use super::trace::NO_SESSION;
use crate::diagnostic::{InputError, nearest};
use crate::rng::{Component, stream};
use crate::units::SimDuration;

/// A part of a file; all given limits hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Slice {
    /// Data rows `first..end`, counted from 0.
    pub rows: Option<[u64; 2]>,
    /// From this long after the first row of the file.
    #[serde(default, with = "duration::option")]
    #[schemars(with = "Option<SimDuration>")]
    pub from: Option<SimDuration>,
    /// To (excluding) this long after the first row of the file.
    #[serde(default, with = "duration::option")]
    #[schemars(with = "Option<SimDuration>")]
    pub to: Option<SimDuration>,
}

/// Which rows stay; an empty list or a missing range keeps all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dequantise {
    /// Arrivals are spread evenly inside the grain, where the clock is coarse (BurstGPT 1 s, Mooncake 3 s).
    #[default]
    Uniform,
    /// Times stay as written.
    None,
    /// Arrivals are spread inside this grain, whatever the clock looks like.
    #[serde(with = "duration")]
    #[schemars(with = "SimDuration")]
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
            known(&self.report.source, &format!("workload.filter.{key}"), key, names, there)?;
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

    /// More or fewer users. Below 1 each session (a row without one: the row) stays with probability `factor`; above 1
    /// copies are added, each shifted by its own draw around the span. A copy stands for other users: its sessions are
    /// its own, and one that the end of the span cuts goes on at the start as another.
    pub fn scale_rate(&mut self, factor: f64, seed: u64) -> Result<(), InputError> {
        const THIN: Component = Component::named("workload/thin");
        const THIN_SESSIONS: Component = Component::named("workload/thin/sessions");
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
        let rows_read = self.room_for_copies(factor)?;
        let originals = std::mem::take(&mut self.rows);
        let mut sessions = self.sessions.take().map(Sessions::new);
        let mut copy = 0u32;
        while f64::from(copy) < factor {
            let share = (factor - f64::from(copy)).min(1.0);
            let around = u64::try_from(span).unwrap_or(u64::MAX);
            let shift = if copy == 0 { 0 } else { stream(seed, SHIFT, u64::from(copy), 0).below(around) };
            for row in &originals {
                let session = sessions.as_ref().and_then(|s| s.of(row.number));
                let draw = match session {
                    Some(session) => stream(seed, THIN_SESSIONS, u64::from(session), u64::from(copy)),
                    None => stream(seed, THIN, u64::from(row.number), u64::from(copy)),
                };
                if !draw.clone().uniform().lt(&share) {
                    continue;
                }
                let turned = row.time - origin + u128::from(shift);
                let number = row.number + rows_read * copy;
                if let (Some(all), Some(session)) = (&mut sessions, session) {
                    all.note(number, session, 2 * copy + u32::from(turned >= span));
                }
                self.rows.push(Row { time: origin + turned % span, number, ..*row });
            }
            copy += 1;
        }
        self.sessions = sessions.map(|s| s.all);
        self.rows.sort_by_key(|r| r.time);
        let (before, after) = (originals.len() as u64, self.rows.len() as u64);
        self.report.rows_thinned += before.saturating_sub(after);
        self.report.rows_copied += after.saturating_sub(before);
        Ok(())
    }

    /// The number of rows read, if the numbers of all copies fit.
    fn room_for_copies(&self, factor: f64) -> Result<u32, InputError> {
        let rows_read = self.report.rows_read.max(1);
        if factor.ceil() * rows_read as f64 > f64::from(u32::MAX)
            || factor * self.rows.len() as f64 > MOST_REQUESTS as f64
        {
            return Err(InputError::named(
                "workload.rate-scale",
                format!("`{factor}` gives more than {MOST_REQUESTS} requests"),
                "use a smaller factor, or `time-scale`",
            ));
        }
        Ok(u32::try_from(rows_read).unwrap_or(u32::MAX))
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

/// The sessions of rows while copies are added.
struct Sessions {
    /// By `Row::number`.
    all: Vec<u32>,
    /// More than the greatest number of a session in the file.
    most: u32,
}

impl Sessions {
    fn new(all: Vec<u32>) -> Self {
        let most = all.iter().filter(|s| **s != NO_SESSION).max().map_or(0, |s| s + 1);
        Sessions { all, most }
    }

    /// The session of a row of the file.
    fn of(&self, number: u32) -> Option<u32> {
        self.all.get(number as usize).copied().filter(|s| *s != NO_SESSION)
    }

    /// Row `number` belongs to `session` of group `group`: half a copy.
    fn note(&mut self, number: u32, session: u32, group: u32) {
        let raised = u64::from(self.most) * u64::from(group) + u64::from(session);
        let at = number as usize;
        if at >= self.all.len() {
            self.all.resize(at + 1, NO_SESSION);
        }
        // Numbers are dense again when the trace is made; more than 2^32 sessions do not fit into memory.
        self.all[at] = u32::try_from(raised).unwrap_or(NO_SESSION);
    }
}

/// Every wanted name must be there.
pub(super) fn known(
    source: &str,
    place: &str,
    key: &str,
    wanted: &[String],
    there: &[String],
) -> Result<(), InputError> {
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
    Err(InputError::named(place, format!("`{source}` has no {key} `{missing}`"), help))
}
