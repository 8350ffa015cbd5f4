//! The integration tests: one binary, one module per question.

mod metrics;
mod report;
mod report_fixture;
