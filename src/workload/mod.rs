//! Anything that yields requests in time order: real traces, generators, transforms.
//!
//! [`WorkloadSpec`] is the `[workload]` section of a scenario; [`WorkloadSpec::prepare`] turns it into a [`Trace`] and
//! a [`LoadReport`] that accounts for every row.

mod arrivals;
mod clock;
mod components;
mod dialogue;
mod distance;
mod formats;
mod input;
mod law;
mod lengths;
mod limits;
mod lines;
mod mixture;
mod perturb;
mod prepare;
mod priority;
mod quantiles;
mod rate;
mod recipe;
mod report;
mod rows;
mod servegen;
mod sessions;
mod spec;
mod stats;
mod stream;
mod synthetic;
mod text;
mod trace;
mod transform;
pub mod twin;

pub use arrivals::{ArrivalsSpec, OnOffArrivals, RenewalArrivals, ReplayArrivals, SteadyRate};
pub use clock::TimeUnit;
pub use components::LengthsComponent;
pub use dialogue::PrefixSpec;
pub use distance::{Sample, kolmogorov_smirnov, wasserstein};
pub use formats::{
    ColumnMap, Failures, FormatInfo, Item, OnBadRow, ReadOptions, Shape, Sink, formats, read_trace,
    read_trace_bytes, write_trace,
};
pub use law::{Spread, TokenLaw};
pub use lengths::{
    EmpiricalLengths, FixedLengths, IndependentLengths, LengthsSpec, Lognormal, LognormalLengths,
    UniformLengths, ZipfLengths,
};
pub use limits::{LimitCounts, MaxTokens, apply_limits, declare};
pub use mixture::Mixture;
pub use perturb::{coarsen, own_clock, permute_ties};
pub use prepare::{OpenWorkload, PrepareContext, Prepared};
pub use priority::PrioritySpec;
pub use quantiles::Quantiles;
pub use rate::{RequestRate, rescale_to_rate};
pub use recipe::Recipe;
pub use report::LoadReport;
pub use rows::Rows;
pub use servegen::ServeGenSpec;
pub use sessions::{
    ExponentialThink, GeometricSize, LogSeriesSize, LognormalThink, SessionsSpec, SizeLaw, ThinkLaw,
};
pub use spec::{ClosedSpec, LoadBy, Loads, PrefixSharing, WorkloadSpec};
pub use stats::{
    Burstiness, ClassStats, Counts, Dispersion, Distance, Distribution, GapStats, PrefixStats, SessionStats,
    TracePass, TraceStats,
};
pub use stream::{Converted, StreamError, convert_trace, slice_trace};
pub use trace::{Closed, NO_SESSION, PrefixChains, Priority, Request, Trace, Turns};
pub use transform::{Dequantise, Filter, Slice};
