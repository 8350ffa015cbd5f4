//! From per-request records to the numbers people quote.
//!
//! Everything statistical happens here: the report only shows. `docs/metrics.md` defines every number.

pub mod column;
pub mod energy;
pub mod estimate;
pub mod extract;
mod fleet;
pub mod inside;
pub mod ledger;
pub mod measure;
pub mod pareto;
pub mod quantile;
pub mod record;
pub mod records;
mod requests;
pub mod resample;
pub mod reuse;
pub mod saturation;
pub mod series;
mod sessions;
pub mod significance;
pub mod slo;
pub mod spread;
pub mod summary;
mod traffic;
mod verdict;
mod warm_up;
pub mod work;

pub use column::{Better, Column};
pub use energy::Running;
pub use estimate::Estimate;
pub use extract::{Extract, LengthBin, Quadrants, extract};
pub use ledger::{LedgerGroup, LedgerRow};
pub use measure::{MeasureContext, Window, curves, measure, timeline_of};
pub use records::Records;
pub use resample::Resampled;
pub use reuse::ReuseBin;
pub use saturation::Saturation;
pub use series::{CURVE_POINTS, Curves, TimelineRow, curve_probability};
pub use slo::Slo;
pub use spread::{MoveRow, ReplicaRow, ReplicaTimeline};
pub use summary::{ClassSummary, RequestStats, RunStats, Summary};
pub use verdict::{Verdict, verdict};
