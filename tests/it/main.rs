//! The integration tests: one binary, one module a topic.

mod cost;
mod cost_bounds;
mod cost_files;
mod cost_ground_truth;
mod cost_known_answers;
mod cost_lines;
mod served_logs;
mod shared_data;
mod workload_baseline;
mod workload_formats;
mod workload_spec;
mod workload_twin;
