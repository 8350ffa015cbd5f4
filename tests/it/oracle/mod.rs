//! The independent oracle: a naive simulator written from `docs/semantics.md` alone.
//!
//! One event per step, plain vectors, linear scans, its own copy of every scheduler and router. It shares with the
//! product only configuration types, record types and the cost function `StepCost::{step, hop, token_return, swap}`.
//! Section numbers in comments (§) are those of `docs/semantics.md`.

mod compare;
mod cost;
mod door;
mod engine;
mod ideal;
mod kv;
mod ledger;
mod mutants;
mod outcome;
mod pipeline;
mod plan;
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
