//! What a twin recipe says: streams of four layers (envelope, modulation, cluster, lengths), superposed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::dialogue::PrefixSpec;
use super::super::mixture::Mixture;
use super::super::rate::RequestRate;
use super::super::text::duration;
use crate::units::SimDuration;

/// A synthetic twin of a trace: independent streams over common bins of time.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TwinSpec {
    /// Length of a bin: rates are constant inside it.
    #[serde(with = "duration")]
    #[schemars(with = "SimDuration")]
    pub bin: SimDuration,
    /// The process starts this long before the origin, so that sessions are under way there; not with `weekly` or
    /// `on-by-hour`, whose hours count from the start.
    #[serde(default, with = "duration")]
    #[schemars(with = "SimDuration")]
    pub lead_in: SimDuration,
    /// The streams, superposed.
    pub stream: Vec<StreamSpec>,
    /// Length mixtures by name.
    pub lengths: BTreeMap<String, Mixture>,
}

/// One stream: envelope × modulation × cluster × lengths.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StreamSpec {
    /// Name; part of the identity of its draws.
    pub name: String,
    /// Layer 1: the mean rate over the day or the run.
    pub envelope: Envelope,
    /// Layer 2a: bins in which the stream is silent.
    pub switch: Option<Switch>,
    /// Layer 2b: the random part of the rate.
    pub modulation: Option<Modulation>,
    /// Layer 3: what a start brings; default `none`: one request.
    #[serde(default)]
    pub cluster: Cluster,
    /// Layer 4: the prompts of a session grow and share prefixes (sessions only).
    pub prefix: Option<PrefixSpec>,
    /// Layer 4: requests come in campaigns that share a template.
    pub campaign: Option<CampaignSpec>,
    /// Layer 4: the models of this stream and their lengths; drawn per start.
    pub part: Vec<Part>,
}

/// Mean rate of requests.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Envelope {
    /// The same all the time.
    Flat(FlatRate),
    /// From one rate to another over a time, then constant.
    Linear(LinearRate),
    /// Hours of weekdays and of weekends.
    Weekly(WeeklyRate),
    /// The modulation gives requests per bin by itself; this factor scales it.
    Law(LawScale),
    /// Starts with lognormal gaps; bins do not matter.
    Renewal(StartGaps),
}

/// Parameters of `flat`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlatRate {
    /// Mean rate.
    pub rate: RequestRate,
}

/// Parameters of `linear`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinearRate {
    /// Rate at the start.
    pub from: RequestRate,
    /// Rate at the end.
    pub to: RequestRate,
    /// How long the change takes.
    #[serde(with = "duration")]
    #[schemars(with = "SimDuration")]
    pub over: SimDuration,
}

/// Parameters of `weekly`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WeeklyRate {
    /// Day of the week of day 0.
    pub first_day: Weekday,
    /// Mean rate of a weekday.
    pub weekday: RequestRate,
    /// Mean rate of a Saturday or Sunday.
    pub weekend: RequestRate,
    /// 24 factors of the weekday's mean.
    pub weekday_profile: Vec<f64>,
    /// 24 factors of the weekend's mean.
    pub weekend_profile: Vec<f64>,
}

/// Parameters of `law`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LawScale {
    /// Factor on the requests per bin of the modulation.
    pub scale: f64,
}

/// Parameters of `renewal`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartGaps {
    /// Mean of the log of the gap between starts in seconds.
    pub mu: f64,
    /// Standard deviation of that log.
    pub sigma: f64,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// An on/off Markov chain over bins.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Switch {
    /// P(on | on).
    pub stay: f64,
    /// P(on | off); none: follows from `on-by-hour`.
    pub start: Option<f64>,
    /// P(on) for each of 24 hours (bins of one hour only).
    pub on_by_hour: Option<Vec<f64>>,
    /// Requests in a bin that is off; none: no request.
    pub background: Option<Background>,
}

/// Requests in a bin that is off: none, or 1 + a geometric number.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Background {
    /// Probability of no request.
    pub zero: f64,
    /// Success probability of the geometric number.
    pub geometric: f64,
}

/// The random part of the rate of a bin.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Modulation {
    /// Factors of mean 1 per day and per bin, each lognormal with a first-order memory.
    Lognormal(LognormalModulation),
    /// Log of the requests per bin from a normal mixture, through a Gaussian copula.
    LogMixture(LogMixture),
}

/// Parameters of `lognormal`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LognormalModulation {
    /// One factor a day.
    pub day: Option<Memory>,
    /// One factor a bin.
    pub bin: Option<Memory>,
}

/// A Gaussian AR(1) of a logarithm.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Standard deviation.
    pub sigma: f64,
    /// Correlation with the one before.
    pub phi: f64,
}

/// Parameters of `log-mixture`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LogMixture {
    /// Rows of [weight, mu, sigma] of the log of the requests per bin.
    pub parts: Vec<[f64; 3]>,
    /// Correlation of the Gaussian of one bin with that of the bin before.
    pub phi: f64,
    /// Share of the Gaussian's variance that is drawn once a day.
    #[serde(default)]
    pub day_share: f64,
    /// Share of the Gaussian's variance that is drawn once for each run of bins that are on (needs `switch`).
    #[serde(default)]
    pub run_share: f64,
    /// Greatest mean number of requests in a bin.
    pub cap: Option<f64>,
}

/// What a start brings.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cluster {
    /// One request.
    #[default]
    None,
    /// A session: log-series many requests with lognormal pauses.
    Session(Session),
    /// A batch: geometrically many requests, a fixed gap apart.
    Batch(Batch),
    /// A client of an API: one request after the other, or batches against a limit of its rate.
    Clients(Clients),
    /// One request; in some bins all starts fall into a part of the bin.
    PartOfBin(PartOfBin),
}

/// Parameters of `session`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Session {
    /// Parameter of the log-series law of the number of requests.
    pub p: f64,
    /// Most requests of a session.
    pub max: u32,
    /// Mean of the log of the pause in seconds.
    pub think_mu: f64,
    /// Standard deviation of that log.
    pub think_sigma: f64,
    /// Longer pauses are drawn again.
    #[serde(with = "duration")]
    #[schemars(with = "SimDuration")]
    pub think_cap: SimDuration,
}

/// Parameters of `batch`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Mean requests of a batch, at least 1.
    pub mean: f64,
    /// Gap between the requests of a batch.
    #[serde(with = "duration")]
    #[schemars(with = "SimDuration")]
    pub gap: SimDuration,
    /// Batches wait for a clock.
    pub clock: Option<TickClock>,
}

/// A collector that passes requests on at its ticks.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TickClock {
    /// Time between two ticks.
    #[serde(with = "duration")]
    #[schemars(with = "SimDuration")]
    pub period: SimDuration,
    /// Share of the batches that wait for the next tick; the others pass by.
    pub share: f64,
    /// Mean of an exponential delay after the tick.
    #[serde(with = "duration")]
    #[schemars(with = "SimDuration")]
    pub delay: SimDuration,
}

/// Parameters of `clients`. Pairs are mean and standard deviation of a natural logarithm; times are in seconds.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Clients {
    /// Share of the starts that are sequential clients; the others are pools.
    pub sequential: f64,
    /// Requests of a sequential client.
    pub sequential_size: [f64; 2],
    /// A sequential client's own mean gap.
    pub sequential_mean_gap: [f64; 2],
    /// Its gaps, as a factor of that mean.
    pub sequential_gap: [f64; 2],
    /// Requests that a pool may have at once: rows of [requests, weight].
    pub pool_of: Vec<[f64; 2]>,
    /// Requests of a pool.
    pub pool_size: [f64; 2],
    /// Probability that a batch of a pool is as large as it may be.
    pub pool_full: f64,
    /// Otherwise a batch is one request, and each further one with this probability.
    pub pool_extra: f64,
    /// The limit's period: the next batch comes exactly this much later …
    #[serde(with = "duration")]
    #[schemars(with = "SimDuration")]
    pub pool_period: SimDuration,
    /// … with this probability, else uniformly between 1 s and the period.
    pub pool_on_time: f64,
}

/// Parameters of `part-of-bin`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartOfBin {
    /// Probability that a bin is active in one part only.
    pub chance: f64,
    /// Least and greatest length of that part, as a share of the bin.
    pub active: [f64; 2],
}

/// Campaigns: runs of requests with one template.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignSpec {
    /// Probability that a campaign goes on in the next bin; a bin after a silent one starts a new campaign. None:
    /// each session or client is a campaign of its own.
    pub persist: Option<f64>,
    /// Share of the variance of log lengths that lies between campaigns.
    pub icc: f64,
}

/// One model of a stream.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Part {
    /// Name of the class.
    pub class: String,
    /// Share of the starts.
    pub share: f64,
    /// Name of its mixture under `lengths`.
    pub lengths: String,
    /// Added to the means of log output.
    #[serde(default)]
    pub output_shift: f64,
}
