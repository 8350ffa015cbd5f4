//! What a paper file says beyond a scenario: engines, experiments, claims, changes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::metrics::slo::Limit;
use crate::workload::RequestRate;

/// `[engines]`: the two runs that every claim gets.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Engines {
    /// Engine profile of all systems in the *mechanism* run.
    pub mechanism: String,
    /// Engine profile by system in the *as-published* run; a system that is not named keeps the mechanism's.
    #[serde(default)]
    pub as_published: BTreeMap<String, String>,
    /// Why these, in a sentence.
    pub note: Option<String>,
}

/// `[experiment.NAME]` without the sections it writes over the scenario.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExperimentOptions {
    /// What differs from the scenario, as a sentence.
    pub title: String,
    /// Keys of the scenario that it leaves out, such as `workload.arrivals`.
    #[serde(default)]
    pub without: Vec<String>,
    /// A limit that is a multiple of each system's own latency at a low rate.
    pub low_load: Option<LowLoad>,
}

/// Sections of a scenario that an experiment may write over.
pub const SECTIONS: [&str; 4] = ["workload", "slo", "deployment", "systems"];

/// A limit as a multiple of the system's own value where nobody waits.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LowLoad {
    /// The low rate.
    pub rate: RequestRate,
    /// Requests of the run at that rate.
    pub requests: u32,
    /// The limit is this many times the value found.
    pub times: f64,
    /// Which statistic.
    pub limit: OwnLimit,
}

/// Statistics that may be limited by a multiple of their own low-load value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OwnLimit {
    /// Median time per output token.
    NormalisedP50,
    /// Mean time per output token.
    NormalisedMean,
    /// P99 of all gaps.
    GapP99,
}

impl OwnLimit {
    /// The limit of the SLO.
    pub fn limit(self) -> Limit {
        match self {
            OwnLimit::NormalisedP50 => Limit::NormalisedP50,
            OwnLimit::NormalisedMean => Limit::NormalisedMean,
            OwnLimit::GapP99 => Limit::GapP99,
        }
    }
}

/// What a number is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Something the paper says.
    #[default]
    Claim,
    /// A setting where the gain must vanish, or shrink to the band.
    Control,
    /// A later system beside the paper's.
    Baseline,
}

/// `[[claim]]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClaimOptions {
    /// Short and unique.
    pub name: String,
    /// What is said, in a sentence.
    pub statement: String,
    /// Where the paper says it.
    pub source: Option<String>,
    /// The published number.
    pub published: Option<f64>,
    /// Claim, control or baseline.
    #[serde(default)]
    pub role: Role,
    /// Which experiment; the scenario itself where it is not said.
    pub experiment: Option<String>,
    /// `capacity` (default), `capacity-per-gpu`, or a column of `list metrics` at the experiment's rate.
    pub metric: Option<String>,
    /// Of the requests of this class only.
    pub class: Option<String>,
    /// What is computed.
    pub test: Test,
    /// Least and greatest value that counts as the published size.
    pub band: Option<[f64; 2]>,
    /// The verdict that was recorded; `--gate` fails when a good one is lost.
    pub recorded: Option<String>,
    /// Why the verdict is what it is, where it is not the best.
    pub because: Option<String>,
}

/// What a claim computes from a metric of systems. A list of systems in `of` and `to` means the best of them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Test {
    /// `of` over `to`.
    Ratio(Ratio),
    /// The metric itself: of the best of these.
    Value(Vec<String>),
    /// The metric rises along this list.
    Order(Order),
    /// Largest over smallest.
    Spread(Vec<String>),
    /// Another claim's number is larger than a third one's.
    Larger(Larger),
    /// Factors between neighbours; shown, judged by the product if there is a band.
    Chain(Vec<String>),
    /// Another claim's number over a third one's.
    Quotient(Quotient),
    /// Numbers of these claims together: their geometric mean; a sign must hold for each of them at every seed.
    Ladder(Vec<String>),
}

/// Parameters of `ratio`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// Best of these.
    pub of: Vec<String>,
    /// Over the best of these.
    pub to: Vec<String>,
}

/// Parameters of `order`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// From the smallest to the largest.
    pub rising: Vec<String>,
    /// Each may fall behind the one before by this share (0: each is strictly larger).
    #[serde(default)]
    pub slack: f64,
}

/// Parameters of `larger`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Larger {
    /// Name of the claim whose number is larger.
    pub claim: String,
    /// Name of the claim with the smaller number.
    pub than: String,
}

/// Parameters of `quotient`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quotient {
    /// Name of the claim above.
    pub of: String,
    /// Name of the claim below.
    pub to: String,
}

impl Test {
    /// The claims it is about, where it is about others.
    pub fn claims(&self) -> Vec<&str> {
        match self {
            Test::Larger(l) => vec![&l.claim, &l.than],
            Test::Quotient(q) => vec![&q.of, &q.to],
            Test::Ladder(list) => list.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether it is about other claims, and so has no metric and no experiment of its own.
    pub fn is_about_claims(&self) -> bool {
        matches!(self, Test::Larger(_) | Test::Quotient(_) | Test::Ladder(_))
    }

    /// The systems it needs, each once, in order.
    pub fn systems(&self) -> Vec<&str> {
        let lists: Vec<&Vec<String>> = match self {
            Test::Ratio(r) => vec![&r.of, &r.to],
            Test::Value(list) | Test::Spread(list) | Test::Chain(list) => vec![list],
            Test::Order(order) => vec![&order.rising],
            Test::Larger(_) | Test::Quotient(_) | Test::Ladder(_) => Vec::new(),
        };
        let mut names: Vec<&str> = Vec::new();
        for name in lists.into_iter().flatten() {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }
}

/// `[[change]]`: a knob that was changed after the first run.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The key.
    pub knob: String,
    /// Its value before.
    pub from: String,
    /// Its value since.
    pub to: String,
    /// Why.
    pub why: String,
    /// What it changed.
    pub result: String,
}
