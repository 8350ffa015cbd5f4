//! The integration tests: one binary, one module per subject.

mod conformance;
mod eut;
mod scheduler_bounds;
mod scheduler_chunked;
mod scheduler_iteration;
mod scheduler_prefill_first;
mod scheduler_registry;
mod scheduler_static;
mod scheduler_unified;
mod tidy;
