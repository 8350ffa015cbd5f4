//! The integration tests: one binary, one module a topic.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and print what it measured")]

mod cli;
mod conformance;
mod cost;
mod cost_bounds;
mod cost_files;
mod cost_ground_truth;
mod cost_known_answers;
mod cost_lines;
mod eut;
mod metrics;
mod oracle;
mod readme;
mod report;
mod report_fixture;
mod scenario_presets;
mod scheduler_bounds;
mod scheduler_chunked;
mod scheduler_iteration;
mod scheduler_prefill_first;
mod scheduler_registry;
mod scheduler_static;
mod scheduler_unified;
mod served_logs;
mod shared_data;
mod theory;
mod theory_laws;
mod theory_queues;
mod theory_sharing;
mod tidy;
mod ui;
mod workload_baseline;
mod workload_formats;
mod workload_spec;
mod workload_twin;
