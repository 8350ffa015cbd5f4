//! The integration tests: one binary, one module a topic.

mod shared_data;
mod workload_baseline;
mod workload_formats;
mod workload_spec;
mod workload_twin;
