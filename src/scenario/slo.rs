//! `[slo]`: limits as typed, and as durations once the reference system is known.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, IntoDeserializer, MapAccess, Visitor};

use crate::cost::{DecodeShape, StepShape};
use crate::diagnostic::{InputErrors, Sources, from_tree};
use crate::metrics::slo::Slo;
use crate::units::{Seconds, SimDuration};

use super::document::Document;
use super::plan::{Setting, SystemPlan};
use super::schema::SloOptions;

/// A limit on the time of a token: a duration, or a multiple of a decode step of the simulated reference system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TokenLimit {
    /// A duration.
    Absolute(SimDuration),
    /// `times` times such a step.
    Iterations(Iterations),
}

/// `{ times = 5, of-iteration = { batch = 32, context = 4096 } }`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Iterations {
    /// Factor, above 0.
    pub times: f64,
    /// The decode step that is multiplied.
    pub of_iteration: Iteration,
}

/// A decode step of equal sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Iteration {
    /// Sequences.
    pub batch: u32,
    /// Context of each, its new token included.
    pub context: u32,
}

impl<'de> Deserialize<'de> for TokenLimit {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = TokenLimit;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"200 ms\", or { times = 5, of-iteration = { batch = 32, context = 4096 } }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<TokenLimit, E> {
                SimDuration::deserialize(text.into_deserializer()).map(TokenLimit::Absolute)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<TokenLimit, E> {
                SimDuration::deserialize(number.into_deserializer()).map(TokenLimit::Absolute)
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<TokenLimit, E> {
                SimDuration::deserialize(number.into_deserializer()).map(TokenLimit::Absolute)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TokenLimit, A::Error> {
                Iterations::deserialize(MapAccessDeserializer::new(map)).map(TokenLimit::Iterations)
            }
        }
        d.deserialize_any(Either)
    }
}

impl JsonSchema for TokenLimit {
    fn schema_name() -> Cow<'static, str> {
        "TokenLimit".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A duration such as \"200 ms\", or a multiple of a decode step of the reference system: \
                { times = 5, of-iteration = { batch = 32, context = 4096 } }.",
            "oneOf": [generator.subschema_for::<SimDuration>(), generator.subschema_for::<Iterations>()],
        })
    }
}

impl TokenLimit {
    /// As a duration, with the steps of `reference`.
    pub fn resolve(self, reference: &SystemPlan) -> SimDuration {
        match self {
            TokenLimit::Absolute(limit) => limit,
            TokenLimit::Iterations(i) => {
                let one = reference.iteration(i.of_iteration.batch, i.of_iteration.context);
                SimDuration::from_seconds(Seconds(one.as_secs_f64() * i.times))
            }
        }
    }

    /// What can be wrong with it, before any system is known.
    fn problem(self) -> Option<&'static str> {
        match self {
            TokenLimit::Absolute(limit) if limit == SimDuration::ZERO => {
                Some("no request can meet a limit of zero")
            }
            TokenLimit::Iterations(i) if !(i.times > 0.0 && i.times.is_finite()) => {
                Some("`times` is not a number above 0")
            }
            TokenLimit::Iterations(i) if i.of_iteration.batch == 0 || i.of_iteration.context == 0 => {
                Some("an iteration has at least one sequence with one token")
            }
            _ => None,
        }
    }
}

impl SystemPlan {
    /// Time from a token to the next of `batch` equal decoding sequences of `context` tokens each: all stages, the
    /// hops between them and the token's way back.
    pub fn iteration(&self, batch: u32, context: u32) -> SimDuration {
        let decode = DecodeShape { n: batch, padding: 0, context: u64::from(batch) * u64::from(context) };
        let shape = StepShape { chunks: &[], decode };
        let stages = self.cost.stages();
        let steps: SimDuration = (0..stages).map(|stage| self.cost.step(stage, &shape).total()).sum();
        steps + self.cost.hop(batch) * u64::from(stages - 1) + self.cost.token_return()
    }
}

impl SloOptions {
    /// The limits as the metrics take them; multiples are of steps of `reference`.
    pub fn limits(&self, reference: &SystemPlan) -> Slo {
        let token = |limit: Option<TokenLimit>| limit.map(|l| l.resolve(reference));
        Slo {
            ttft: self.ttft,
            tpot: token(self.tpot),
            e2e: self.e2e,
            gap_max: token(self.gap_max),
            gap_p99: token(self.gap_p99),
            ttft_p99_10min: self.ttft_p99_10min,
            scheduling_delay_p50: self.scheduling_delay_p50,
            normalised_p50: self.normalised_p50,
            normalised_mean: self.normalised_mean,
            joint: self.joint.unwrap_or(true),
        }
    }

    /// Multiples in seconds, for `explain` and the manifest.
    pub(super) fn computed(&self, reference: &SystemPlan) -> Vec<Setting> {
        let limits = [("tpot", self.tpot), ("gap-max", self.gap_max), ("gap-p99", self.gap_p99)];
        let setting = |(key, limit): (&str, Option<TokenLimit>)| match limit {
            Some(limit @ TokenLimit::Iterations(i)) => Some(Setting {
                path: format!("slo.{key}"),
                value: limit.resolve(reference).to_string(),
                origin: format!(
                    "computed: {} × a decode step of `{}` with {} sequences of {} tokens",
                    i.times, reference.name, i.of_iteration.batch, i.of_iteration.context
                ),
            }),
            _ => None,
        };
        limits.into_iter().filter_map(setting).collect()
    }
}

/// Reads and checks `[slo]`.
pub(super) fn read(doc: &Document) -> Result<SloOptions, InputErrors> {
    if doc.slo.entries().is_none() {
        return Ok(SloOptions::default());
    }
    let slo: SloOptions = from_tree(&doc.slo, "slo", &doc.sources)?;
    let mut errors = InputErrors::default();
    let absolute = |limit: Option<SimDuration>| limit.map(TokenLimit::Absolute);
    let limits = [
        ("ttft", absolute(slo.ttft)),
        ("tpot", slo.tpot),
        ("e2e", absolute(slo.e2e)),
        ("gap-max", slo.gap_max),
        ("gap-p99", slo.gap_p99),
        ("ttft-p99-10min", absolute(slo.ttft_p99_10min)),
        ("scheduling-delay-p50", absolute(slo.scheduling_delay_p50)),
        ("normalised-p50", absolute(slo.normalised_p50)),
        ("normalised-mean", absolute(slo.normalised_mean)),
    ];
    for (key, limit) in limits {
        if let Some(problem) = limit.and_then(TokenLimit::problem) {
            let message = format!("`slo.{key}`: {problem}");
            let help = "write a duration, such as `\"1 s\"`";
            errors.0.push(doc.sources.error(doc.slo.value_span(key), message, help));
        }
    }
    check_order(doc, &slo, &doc.sources, &mut errors);
    if let Some(share) = slo.attainment
        && !(share > 0.0 && share <= 1.0)
    {
        let message = format!("`slo.attainment`: {share} is not a share of the requests");
        let span = doc.slo.value_span("attainment");
        let help = "write a number above 0, at most 1, such as `0.9`";
        errors.0.push(doc.sources.error(span, message, help));
    }
    errors.or(slo)
}

fn check_order(doc: &Document, slo: &SloOptions, sources: &Sources, errors: &mut InputErrors) {
    if let (Some(ttft), Some(e2e)) = (slo.ttft, slo.e2e)
        && ttft > e2e
    {
        let place = sources.origin(&doc.slo.value_span("e2e"));
        let message = format!("`slo.ttft` of {ttft} is longer than `slo.e2e` of {e2e} ({place})");
        let help = "a first token comes before the last";
        errors.0.push(sources.error(doc.slo.value_span("ttft"), message, help));
    }
}
