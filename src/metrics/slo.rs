//! Service-level objectives and who met them.

use serde::{Deserialize, Serialize};

use super::record::{Deadlines, Fate, RequestRecord};
use crate::units::SimDuration;

/// Limits on what a request may take; absent limits always hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slo {
    /// Per request: time to first token at the client.
    pub ttft: Option<SimDuration>,
    /// Per request: mean interval between its tokens.
    pub tpot: Option<SimDuration>,
    /// Per request: end-to-end latency.
    pub e2e: Option<SimDuration>,
    /// Per request: its longest gap.
    pub gap_max: Option<SimDuration>,
    /// Per run: 99th percentile of the gaps of all requests, pooled.
    pub gap_p99: Option<SimDuration>,
    /// Per run, in every run: 99th percentile of TTFT in its worst ten minutes.
    pub ttft_p99_10min: Option<SimDuration>,
    /// Per run: median scheduling delay (Sarathi-Serve's capacity rule).
    pub scheduling_delay_p50: Option<SimDuration>,
    /// Per run: median normalised latency, time per output token (Orca's rule).
    pub normalised_p50: Option<SimDuration>,
    /// Per run: mean normalised latency, time per output token (vLLM's rule).
    pub normalised_mean: Option<SimDuration>,
    /// Whether a request must meet all per-request limits at once (true), or each limit is judged apart and the
    /// worst share counts (false, as simdistserve does).
    pub joint: bool,
}

impl Default for Slo {
    fn default() -> Self {
        Slo {
            ttft: None,
            tpot: None,
            e2e: None,
            gap_max: None,
            gap_p99: None,
            ttft_p99_10min: None,
            scheduling_delay_p50: None,
            normalised_p50: None,
            normalised_mean: None,
            joint: true,
        }
    }
}

impl Slo {
    /// Deadlines of single tokens, for fluidity: the TTFT limit, and per token the limit on the longest gap, else on
    /// the P99 gap, else on TPOT. Absent without a TTFT limit or any of the others.
    pub fn deadlines(&self) -> Option<Deadlines> {
        Some(Deadlines { ttft: self.ttft?, gap: self.gap_max.or(self.gap_p99).or(self.tpot)? })
    }
}

/// One limit of an SLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Time to first token.
    Ttft,
    /// Mean interval between tokens of a request.
    Tpot,
    /// End-to-end latency.
    E2e,
    /// Longest gap of a request.
    GapMax,
    /// Pooled 99th percentile of gaps.
    GapP99,
    /// 99th percentile of TTFT in the worst ten minutes.
    #[serde(rename = "ttft-p99-10min")]
    TtftP99Worst,
    /// Median scheduling delay.
    SchedulingDelayP50,
    /// Median normalised latency.
    NormalisedP50,
    /// Mean normalised latency.
    NormalisedMean,
}

impl Limit {
    /// The limits that are judged request by request.
    pub const PER_REQUEST: [Limit; 4] = [Limit::Ttft, Limit::Tpot, Limit::E2e, Limit::GapMax];
    /// The limits on a statistic of a whole run.
    pub const PER_RUN: [Limit; 5] = [
        Limit::GapP99,
        Limit::TtftP99Worst,
        Limit::SchedulingDelayP50,
        Limit::NormalisedP50,
        Limit::NormalisedMean,
    ];

    /// Name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Limit::Ttft => "TTFT",
            Limit::Tpot => "TPOT",
            Limit::E2e => "E2E",
            Limit::GapMax => "longest gap",
            Limit::GapP99 => "P99 gap",
            Limit::TtftP99Worst => "P99 TTFT of the worst 10 min",
            Limit::SchedulingDelayP50 => "median scheduling delay",
            Limit::NormalisedP50 => "median time per output token",
            Limit::NormalisedMean => "mean time per output token",
        }
    }

    /// The column a limit on a run is about; absent for limits on requests.
    pub fn column(self) -> Option<&'static str> {
        match self {
            Limit::GapP99 => Some("gap_p99_s"),
            Limit::TtftP99Worst => Some("ttft_p99_worst_10min_s"),
            Limit::SchedulingDelayP50 => Some("scheduling_delay_p50_s"),
            Limit::NormalisedP50 => Some("normalised_p50_s_per_token"),
            Limit::NormalisedMean => Some("normalised_mean_s_per_token"),
            Limit::Ttft | Limit::Tpot | Limit::E2e | Limit::GapMax => None,
        }
    }
}

impl Slo {
    /// The value of one limit.
    pub fn get(&self, limit: Limit) -> Option<SimDuration> {
        match limit {
            Limit::Ttft => self.ttft,
            Limit::Tpot => self.tpot,
            Limit::E2e => self.e2e,
            Limit::GapMax => self.gap_max,
            Limit::GapP99 => self.gap_p99,
            Limit::TtftP99Worst => self.ttft_p99_10min,
            Limit::SchedulingDelayP50 => self.scheduling_delay_p50,
            Limit::NormalisedP50 => self.normalised_p50,
            Limit::NormalisedMean => self.normalised_mean,
        }
    }

    /// The same limits with one of them replaced.
    pub fn with(mut self, limit: Limit, value: Option<SimDuration>) -> Slo {
        *self.limit_mut(limit) = value;
        self
    }

    /// The place of one limit, to set it.
    pub fn limit_mut(&mut self, limit: Limit) -> &mut Option<SimDuration> {
        match limit {
            Limit::Ttft => &mut self.ttft,
            Limit::Tpot => &mut self.tpot,
            Limit::E2e => &mut self.e2e,
            Limit::GapMax => &mut self.gap_max,
            Limit::GapP99 => &mut self.gap_p99,
            Limit::TtftP99Worst => &mut self.ttft_p99_10min,
            Limit::SchedulingDelayP50 => &mut self.scheduling_delay_p50,
            Limit::NormalisedP50 => &mut self.normalised_p50,
            Limit::NormalisedMean => &mut self.normalised_mean,
        }
    }

    /// Whether no limit is set.
    pub fn is_empty(&self) -> bool {
        Limit::PER_REQUEST.iter().chain(&Limit::PER_RUN).all(|&l| self.get(l).is_none())
    }

    /// Whether `record` finished and met one limit; a limit that is not set only asks it to finish.
    pub fn meets(&self, record: &RequestRecord, limit: Limit) -> bool {
        let within = |d: SimDuration| self.get(limit).is_none_or(|l| d <= l);
        record.fate == Fate::Finished
            && match limit {
                Limit::Ttft => within(record.ttft()),
                // In integers: mean ≤ limit, without a division.
                Limit::Tpot => self.tpot.is_none_or(|l| {
                    let gaps = u128::from(record.output.saturating_sub(1));
                    u128::from((record.finish - record.first_token).as_ps()) <= u128::from(l.as_ps()) * gaps
                }),
                Limit::E2e => within(record.e2e()),
                Limit::GapMax => within(record.gap_max),
                Limit::GapP99
                | Limit::TtftP99Worst
                | Limit::SchedulingDelayP50
                | Limit::NormalisedP50
                | Limit::NormalisedMean => true,
            }
    }

    /// Whether `record` finished and met all per-request limits.
    pub fn meets_all(&self, record: &RequestRecord) -> bool {
        Limit::PER_REQUEST.iter().all(|&l| self.meets(record, l))
    }
}

/// How many of the requests that arrived met what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// All that arrived: rejected and unfinished ones too.
    pub arrived: u64,
    /// Met every per-request limit.
    pub joint: u64,
    /// Met each of [`Limit::PER_REQUEST`].
    pub each: [u64; 4],
}

impl Met {
    /// Counts a request that arrived.
    pub fn add(&mut self, slo: &Slo, record: &RequestRecord) {
        let met = Limit::PER_REQUEST.map(|limit| slo.meets(record, limit));
        self.arrived += 1;
        self.joint += u64::from(met.iter().all(|&m| m));
        for (count, met) in self.each.iter_mut().zip(met) {
            *count += u64::from(met);
        }
    }

    /// Adds the counts of other requests.
    pub fn plus(&mut self, other: &Met) {
        self.arrived += other.arrived;
        self.joint += other.joint;
        for (count, other) in self.each.iter_mut().zip(other.each) {
            *count += other;
        }
    }

    /// What attainment counts: who met every limit, or the fewest that met any single one where `slo` judges each apart.
    pub fn all(&self, slo: &Slo) -> u64 {
        let all = if slo.joint { self.joint } else { self.each.iter().copied().min().unwrap_or(0) };
        assert!(all <= self.arrived, "more requests met the limits than arrived");
        all
    }

    /// `count` as a share of all that arrived; absent when none did.
    pub fn share(&self, count: u64) -> Option<f64> {
        (self.arrived > 0).then(|| count as f64 / self.arrived as f64)
    }
}
