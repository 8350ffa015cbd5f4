//! The `[workload]` section of a scenario, as typed.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::arrivals::ArrivalsSpec;
use super::formats::{ColumnMap, Failures, OnBadRow, ReadOptions};
use super::lengths::LengthsSpec;
use super::limits::MaxTokens;
use super::priority::{self, PrioritySpec};
use super::rate::RequestRate;
use super::servegen::ServeGenSpec;
use super::sessions::SessionsSpec;
use super::text::{duration, positive};
use super::trace::Turns;
use super::transform::{Dequantise, Filter, Slice};
use crate::diagnostic::InputError;
use crate::units::SimDuration;

/// The `[workload]` section: a trace, a recipe, or lengths with arrivals or clients, and what is done with it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WorkloadSpec {
    /// Name of a recipe in `workloads/`.
    pub recipe: Option<String>,
    /// Path of a trace file, relative to the scenario.
    pub trace: Option<PathBuf>,
    /// When generated requests arrive.
    pub arrivals: Option<ArrivalsSpec>,
    /// A closed loop instead of arrivals (those of a trace or recipe are ignored).
    pub closed: Option<ClosedSpec>,
    /// How long generated requests are.
    pub lengths: Option<LengthsSpec>,
    /// Each arrival starts a session of several requests.
    pub sessions: Option<SessionsSpec>,
    /// Clients with their rates over time, as published with ServeGen.
    pub servegen: Option<ServeGenSpec>,

    /// Format of the trace; detected where missing.
    pub format: Option<String>,
    /// Columns of a generic table.
    pub columns: Option<ColumnMap>,
    /// Put the rows of the trace in time order.
    pub sort: Option<bool>,
    /// What a row that cannot be read does; default `error`.
    pub on_bad_row: Option<OnBadRow>,
    /// What becomes of failed requests; default `drop`.
    pub failures: Option<Failures>,
    /// What is done about a coarse clock; default `uniform`.
    pub dequantise: Option<Dequantise>,
    /// The part of the trace, or of a recipe's time.
    pub slice: Option<Slice>,
    /// Which rows of the trace stay.
    pub filter: Option<Filter>,

    /// Divides all times.
    pub time_scale: Option<f64>,
    /// More or fewer users: below 1 thins, above 1 superposes (recipes: multiplies the rate, think times stay).
    pub rate_scale: Option<f64>,
    /// Number of requests.
    pub requests: Option<u32>,
    /// Length of the arrivals.
    #[serde(with = "duration::option")]
    #[schemars(with = "Option<SimDuration>")]
    pub duration: Option<SimDuration>,
    /// Mean rate that all gaps are scaled to at the end.
    pub rate: Option<RequestRate>,
    /// Loads relative to the reference system's capacity; resolved by the scenario, not by `prepare`.
    pub load: Option<Loads>,
    /// How `load` and a list of rates change the rate.
    pub load_by: LoadBy,
    /// The client's `max_tokens`.
    pub max_tokens: MaxTokens,
    /// How urgent the requests are.
    pub priorities: Option<Vec<PrioritySpec>>,
    /// What becomes of the prefix identities of prompts.
    pub prefixes: PrefixSharing,
    /// When the turns of a session come.
    pub turns: Turns,
}

/// What prompts have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PrefixSharing {
    /// What the trace or the recipe says.
    #[default]
    Shared,
    /// Nothing: every request has prefix ids of its own. For controls.
    Private,
}

/// How a workload is brought to a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoadBy {
    /// All gaps are divided by one factor: the same requests, faster. A day is over sooner.
    #[default]
    Time,
    /// More or fewer users (`rate-scale`): days, think times and bursts keep their length.
    Users,
}

/// A closed loop: so many clients, each asking again some time after its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClosedSpec {
    /// Clients at the same time.
    pub clients: u32,
    /// Pause between an answer and the next request of the client; default none.
    #[serde(default, with = "duration")]
    #[schemars(with = "SimDuration")]
    pub think: SimDuration,
}

/// One load or a list of loads; 1 is the capacity of the reference system.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Loads(pub Vec<f64>);

impl<'de> Deserialize<'de> for Loads {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Loads;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a load such as 0.8, or a list of loads")
            }
            fn visit_f64<E: de::Error>(self, load: f64) -> Result<Loads, E> {
                Ok(Loads(vec![load]))
            }
            fn visit_i64<E: de::Error>(self, load: i64) -> Result<Loads, E> {
                Ok(Loads(vec![load as f64]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loads, A::Error> {
                let mut loads = Vec::new();
                while let Some(load) = seq.next_element()? {
                    loads.push(load);
                }
                Ok(Loads(loads))
            }
        }
        d.deserialize_any(OneOrMany)
    }
}

impl JsonSchema for Loads {
    fn schema_name() -> Cow<'static, str> {
        "Loads".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "One load or a list of loads; 1 is the capacity of the reference system.",
            "examples": [0.8, [0.5, 0.8]],
            "oneOf": [{ "type": "number" }, { "type": "array", "items": { "type": "number" } }],
        })
    }
}

impl WorkloadSpec {
    /// How the trace file is read.
    pub fn read_options(&self) -> ReadOptions {
        ReadOptions {
            format: self.format.clone(),
            columns: self.columns.clone(),
            sort: self.sort.unwrap_or(false),
            on_bad_row: self.on_bad_row.unwrap_or_default(),
            failures: self.failures.unwrap_or_default(),
        }
    }

    /// All problems that can be seen without reading a file; places are key paths such as `workload.requests`.
    pub fn check(&self) -> Vec<InputError> {
        let mut problems = Problems(Vec::new());
        self.check_source(&mut problems);
        self.check_trace_keys(&mut problems);
        self.check_amounts(&mut problems);
        problems.0.extend(self.priorities.iter().flat_map(|levels| priority::check(levels)));
        problems.0
    }

    fn check_source(&self, problems: &mut Problems) {
        // ServeGen may bring its own lengths or not.
        let lengths = self.lengths.is_some() && self.servegen.is_none();
        let sources = [
            ("recipe", self.recipe.is_some()),
            ("trace", self.trace.is_some()),
            ("servegen", self.servegen.is_some()),
            ("lengths", lengths),
        ];
        let given: Vec<&str> = sources.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
        match given[..] {
            [] => problems.add(
                "",
                "the workload says neither `recipe` nor `trace` nor `lengths`",
                "write for example `recipe = \"burstgpt\"`",
            ),
            [_] => {}
            _ => problems.add(
                given[1],
                format!("`{}` cannot be combined", given.join("` and `")),
                "keep one of them, each is a whole workload (on the command line: `--set workload.recipe=` removes a key)",
            ),
        }
        match (lengths, self.arrivals.is_some(), self.closed.is_some()) {
            (true, false, false) => problems.add(
                "lengths",
                "lengths need `arrivals` or `closed` to say when requests come",
                "add `arrivals = { poisson = { rate = \"4 req/s\" } }`",
            ),
            (_, true, true) => problems.add(
                "closed",
                "`arrivals` and `closed` contradict each other",
                "keep `arrivals` for an open, `closed` for a closed loop",
            ),
            (false, true, _) if !given.is_empty() => problems.add(
                "arrivals",
                format!("`{}` brings its own arrivals", given[0]),
                "remove `arrivals`, or give `lengths = { empirical = { file = … } }` instead",
            ),
            _ => {}
        }
        if self.turns == Turns::AfterAnswer && self.closed.is_some() {
            problems.add(
                "turns",
                "`after-answer` is about sessions, and the clients of a closed loop have none",
                "remove `turns` or `closed`",
            );
        }
        if self.sessions.is_some() && (!lengths || self.arrivals.is_none()) {
            problems.add(
                "sessions",
                "sessions are started by `arrivals` and need `lengths`; traces and recipes bring their own",
                "remove `sessions`, or give `lengths` and `arrivals`",
            );
        }
        if let Some(servegen) = &self.servegen {
            self.check_servegen(servegen, problems);
        }
    }

    fn check_servegen(&self, servegen: &ServeGenSpec, problems: &mut Problems) {
        match (servegen.lengths.is_some(), self.lengths.is_some()) {
            (true, true) => problems.add(
                "lengths",
                "`servegen.lengths` and `lengths` both say how long requests are",
                "remove one of the two",
            ),
            (false, false) => problems.add(
                "servegen",
                "the windows of `servegen` say nothing about lengths",
                "add `servegen.lengths`, or `lengths = { … }` beside `servegen`",
            ),
            _ => {}
        }
        if servegen.clients == Some(0) {
            problems.add(
                "servegen.clients",
                "no client asks nothing",
                "write 1 or more, or remove it for all clients",
            );
        }
        if self.closed.is_some() {
            problems.add("closed", "`servegen` is about arrivals, but a closed loop has none", "remove it");
        }
    }

    fn check_trace_keys(&self, problems: &mut Problems) {
        let only_trace = [
            ("format", self.format.is_some()),
            ("columns", self.columns.is_some()),
            ("sort", self.sort.is_some()),
            ("on-bad-row", self.on_bad_row.is_some()),
            ("failures", self.failures.is_some()),
            ("dequantise", self.dequantise.is_some()),
            ("filter", self.filter.is_some()),
            ("slice.rows", self.slice.as_ref().is_some_and(|s| s.rows.is_some())),
        ];
        if self.trace.is_none() {
            for (key, _) in only_trace.iter().filter(|(_, there)| *there) {
                problems.add(
                    key,
                    format!("`{key}` is about a trace file, but there is no `trace`"),
                    "remove it",
                );
            }
        }
        if let Some(slice) = &self.slice {
            if let Some([a, b]) = slice.rows.filter(|[a, b]| a >= b) {
                problems.add(
                    "slice.rows",
                    format!("`[{a}, {b}]` holds no row"),
                    "write [first, end] with end above",
                );
            }
            let from = slice.from.unwrap_or_default();
            if let Some(to) = slice.to.filter(|to| *to <= from) {
                problems.add(
                    "slice.to",
                    format!("`to` ({to}) is not after `from` ({from})"),
                    "swap or widen them",
                );
            }
        }
        let ranges =
            self.filter.iter().flat_map(|f| [("filter.prompt", f.prompt), ("filter.output", f.output)]);
        for (key, range) in ranges {
            if let Some([a, b]) = range.filter(|[a, b]| a > b) {
                problems.add(key, format!("`[{a}, {b}]` holds no length"), "write [least, greatest]");
            }
        }
    }

    fn check_amounts(&self, problems: &mut Problems) {
        for (key, value) in [("time-scale", self.time_scale), ("rate-scale", self.rate_scale)] {
            problems.0.extend(value.and_then(|v| positive(&format!("workload.{key}"), v).err()));
        }
        if self.requests == Some(0) {
            problems.add("requests", "a run of no request has no result", "write `requests = 1000` or so");
        }
        if self.duration == Some(SimDuration::ZERO) {
            problems.add("duration", "a run of no time has no result", "write `duration = \"1 h\"` or so");
        }
        if let MaxTokens::Fixed(0) | MaxTokens::Times(0) = self.max_tokens {
            problems.add("max-tokens", "no request can answer in 0 tokens", "write 1 or more");
        }
        let generated = self.trace.is_none() && (self.recipe.is_some() || self.lengths.is_some());
        let sliced = self.slice.as_ref().is_some_and(|s| s.to.is_some()) && self.recipe.is_some();
        let replayed = self.arrivals.as_ref().is_some_and(ArrivalsSpec::ends) && self.closed.is_none();
        let ends = sliced || replayed || self.servegen.is_some();
        if generated && self.requests.is_none() && self.duration.is_none() && !ends {
            problems.add(
                "requests",
                "a generated workload has no end by itself",
                "add `requests` or `duration`",
            );
        }
        if let Some(closed) = self.closed {
            if closed.clients == 0 {
                problems.add("closed.clients", "a closed loop needs at least one client", "write 1 or more");
            }
            let timed = [
                ("rate", self.rate.is_some()),
                ("load", self.load.is_some()),
                ("duration", self.duration.is_some()),
                ("rate-scale", self.rate_scale.is_some()),
                ("time-scale", self.time_scale.is_some()),
            ];
            for (key, _) in timed.iter().filter(|(_, there)| *there) {
                let message = format!("`{key}` is about arrivals, but a closed loop has none");
                problems.add(key, message, "remove it; `closed.clients` sets the load");
            }
        }
    }
}

/// Problems of one section.
struct Problems(Vec<InputError>);

impl Problems {
    fn add(&mut self, key: &str, message: impl Into<String>, help: &str) {
        let place = if key.is_empty() { "workload".to_owned() } else { format!("workload.{key}") };
        self.0.push(InputError::named(place, message, help));
    }
}
