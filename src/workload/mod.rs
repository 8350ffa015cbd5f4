//! Anything that yields requests in time order: real traces, generators, transforms.
//!
//! [`WorkloadSpec`] is the `[workload]` section of a scenario; [`WorkloadSpec::prepare`] turns it into a [`Trace`] and
//! a [`LoadReport`] that accounts for every row.

mod arrivals;
mod clock;
mod components;
mod distance;
mod formats;
mod input;
mod lengths;
mod limits;
mod lines;
mod mixture;
mod prepare;
mod priority;
mod rate;
mod recipe;
mod report;
mod rows;
mod spec;
mod stats;
mod stream;
mod text;
mod trace;
mod transform;
pub mod twin;

pub use arrivals::{ArrivalsSpec, GammaArrivals, SteadyRate};
pub use clock::TimeUnit;
pub use components::LengthsComponent;
pub use distance::{Sample, kolmogorov_smirnov, wasserstein};
pub use formats::{
    ColumnMap, Failures, FormatInfo, Item, OnBadRow, ReadOptions, Shape, Sink, formats, read_trace,
    read_trace_bytes, write_trace,
};
pub use lengths::{
    EmpiricalLengths, FixedLengths, LengthsSpec, Lognormal, LognormalLengths, UniformLengths, ZipfLengths,
};
pub use limits::{LimitCounts, MaxTokens, apply_limits, declare};
pub use mixture::Mixture;
pub use prepare::{OpenWorkload, PrepareContext, Prepared};
pub use priority::PrioritySpec;
pub use rate::{RequestRate, rescale_to_rate};
pub use recipe::Recipe;
pub use report::LoadReport;
pub use rows::Rows;
pub use spec::{ClosedSpec, Loads, WorkloadSpec};
pub use stats::{
    Burstiness, ClassStats, Counts, Dispersion, Distance, Distribution, GapStats, PrefixStats, SessionStats,
    TracePass, TraceStats,
};
pub use stream::{Converted, StreamError, convert_trace, slice_trace};
pub use trace::{Closed, NO_SESSION, PrefixChains, Priority, Request, Trace};
pub use transform::{Dequantise, Filter, Slice};
