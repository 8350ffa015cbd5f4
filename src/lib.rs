#![cfg_attr(doc, doc = include_str!("../ARCHITECTURE.md"))]
// Not in builds, so that a word in the document compiles nothing again.
#![cfg_attr(not(doc), doc = "A wind tunnel for LLM serving systems; see `ARCHITECTURE.md`.")]

pub mod catalog;
pub mod cli;
pub mod cluster;
pub mod collections;
pub mod cost;
pub mod diagnostic;
pub mod engine;
pub mod gate;
pub mod hardware;
pub mod ids;
pub mod kernel;
pub mod kv;
pub mod metrics;
pub mod model;
pub mod papers;
pub mod planner;
pub mod policy;
pub mod report;
pub mod results;
pub mod rng;
pub mod scenario;
pub mod units;
pub mod workload;
