//! The independent oracle: a naive simulator written from `docs/semantics.md` alone.
//!
//! One event per step, plain vectors, linear scans, its own copy of every scheduler and router. It shares with the
//! product only configuration types, record types, the keyed draws of `rng` and the cost function `StepCost::{step, hop,
//! token_return, swap}`.
//! Section numbers in comments (§) are those of `docs/semantics.md`.
//!
//! When engine and oracle differ, the test prints how many scenarios differ, the smallest of them (the requests that
//! differ, the scenario, the steps of the oracle), and how many of them each fault or other reading
//! (`mutation::Mutation`) would explain.

mod apart;
mod apply;
mod arrivals;
mod coming;
mod compare;
mod cost;
mod door;
mod early;
mod energy;
mod engine;
mod fetch;
mod fetching;
mod fleet;
mod hand_over;
mod ideal;
mod kv;
mod layered;
mod ledger;
mod links;
mod migration;
mod mixed;
mod moves;
mod moving;
mod mutants;
mod mutation;
mod outcome;
mod patience;
mod pipeline;
mod plan;
mod ports;
mod random;
mod real;
mod request;
mod rng;
mod router;
mod sanity;
mod sanity_policies;
mod scenario;
mod schedulers;
mod schedulers_batch;
mod sim;
mod traces;
mod work;
