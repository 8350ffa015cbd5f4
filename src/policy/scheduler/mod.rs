//! Batch formation inside a replica: the contract, and the registry of mechanisms.

mod blocks;
mod parameters;
mod plan;

pub use parameters::BadParameter;
pub use plan::{Admission, AdmissionLimit, Decode, Horizon, Preempt, StepPlan};
pub use static_batch::RaggedPrompts;

use parameters::Mechanism;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::view::EngineView;
use crate::ids::RequestId;
use crate::units::SimTime;

/// Decides what one replica computes in its next step.
///
/// # Contract
/// * `plan` only *decides*: no event, no block, no metric. The engine applies the plan, checks it against this
///   contract and rejects a bad one as a violation (exit code 3).
/// * `plan` is a pure function of the view and the policy's own parameters: no draw, no counting of calls, because
///   a leap over many steps calls it once.
/// * The view holds what a real engine knows. The true output length is not in it; a policy that uses
///   `EngineView::true_output` declares `knows_lengths` and is marked in every report.
/// * The plan must fit: blocks it needs (admissions, chunks, decode growth, swap-ins, less what its preemptions free)
///   are at most what is free. A plan that cannot fit must name victims.
/// * Work-conserving: if any request could make progress the plan is not empty, unless the policy's file says why.
/// * A policy keeps no state that the number of `plan` calls could change; what a plan must remember of an earlier
///   one (the length a static batch was formed at) is set only by plans that admit or while batches are in flight.
/// * A plan names a request of this replica at most once as victim, admission, swap-in, chunk or decode; who is admitted
///   gets a chunk, now or later, and who is fed holds all its blocks. A plan without work names victims only.
/// * Check first, then decide: the plan is built so that each entry is feasible given the entries before it.
pub trait Scheduler: Send {
    /// Decides one step. `plan` arrives empty.
    fn plan(&mut self, view: &EngineView<'_>, plan: &mut StepPlan);

    /// Asked right after `plan` returned a pure-decode plan: how long would the same plan be returned?
    fn horizon(&self, _view: &EngineView<'_>, _plan: &StepPlan) -> Horizon {
        Horizon::OneStep
    }

    /// One or more equal steps were taken: the only place where a policy may count steps.
    fn on_steps(&mut self, _span: &StepSpan) {}

    /// A request joined this replica's queue or left the replica for good. Victims are known from the policy's plans.
    fn on_event(&mut self, _event: ReplicaEvent) {}

    /// Asked after every plan of an audited run: is the policy's own state consistent with the view?
    ///
    /// # Errors
    /// What is wrong; the run ends as a violation.
    fn self_check(&self, _view: &EngineView<'_>) -> Result<(), String> {
        Ok(())
    }

    /// What happens to a request that has got its last token.
    fn completion(&self) -> Completion {
        Completion::Leaves
    }

    /// Whether the policy reads true output lengths (an oracle; marked in reports).
    fn knows_lengths(&self) -> bool {
        false
    }
}

/// Steps that a replica has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepSpan {
    /// Start of the first step.
    pub start: SimTime,
    /// End of the last step.
    pub end: SimTime,
    /// How many, at least 1.
    pub steps: u64,
}

/// What a policy is told of the requests on its replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaEvent {
    /// It waits.
    Arrived(RequestId),
    /// It is gone.
    Left(RequestId),
}

/// What happens to a request that has got its last token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// It leaves at the end of that step (with a late stop: one step later).
    Leaves,
    /// It fills its slot until every running request has finished; then all leave together (static batching).
    HoldsSlot {
        /// Whether its tokens are delivered as they are computed; else all at the end of the batch.
        return_early: bool,
    },
}

/// Where a mechanism was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paper {
    /// Title of the paper or project.
    pub title: &'static str,
    /// Venue and year, or who publishes it.
    pub venue: &'static str,
    /// Where to read it.
    pub url: &'static str,
    /// Its row in the project's reading list.
    pub row: &'static str,
}

/// One line per mechanism: file and parameter struct, key, summary, whether it reads true output lengths, paper.
macro_rules! schedulers {
    ($($module:ident::$variant:ident = $key:literal, $summary:literal, knows_lengths: $lengths:literal
        $(, paper: $title:literal, $venue:literal, $url:literal, $row:literal)?;)+) => {
        $(mod $module; pub use $module::$variant;)+

        /// Which scheduler, with its parameters. Written as `scheduler.KEY = { … }`.
        #[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum SchedulerConfig {
            $(#[doc = $summary] #[serde(rename = $key)] $variant($variant),)+
        }

        impl SchedulerConfig {
            /// Every mechanism with its default parameters, in registry order.
            pub fn all() -> Vec<SchedulerConfig> {
                vec![$(SchedulerConfig::$variant($variant::default()),)+]
            }

            /// The key of the mechanism in TOML.
            pub fn key(&self) -> &'static str {
                match self { $(SchedulerConfig::$variant(_) => $key,)+ }
            }

            /// What it does, in one line.
            pub fn summary(&self) -> &'static str {
                match self { $(SchedulerConfig::$variant(_) => $summary,)+ }
            }

            /// Where it was published; absent for the bounds.
            pub fn paper(&self) -> Option<Paper> {
                match self {
                    $(SchedulerConfig::$variant(_) => None$(
                        .or(Some(Paper { title: $title, venue: $venue, url: $url, row: $row }))
                    )?,)+
                }
            }

            /// Whether it reads true output lengths (an oracle; marked in reports).
            pub fn knows_lengths(&self) -> bool {
                match self { $(SchedulerConfig::$variant(_) => $lengths,)+ }
            }

            /// Whether it takes requests in queue order, whatever that is; else only first come, first served is sound.
            pub fn allows_order(&self) -> bool {
                matches!(self.key(), "unified" | "chunked" | "prefill-first" | "iteration")
            }

            /// The scheduler of one replica. `None` for `ideal`, which the cluster runs without a replica.
            pub fn build(&self) -> Option<Box<dyn Scheduler>> {
                match self { $(SchedulerConfig::$variant(parameters) => parameters.build(),)+ }
            }

            /// Refuses parameters that no run can work with.
            ///
            /// # Errors
            /// The key below `scheduler.KEY`, what is wrong with its value, and what to do about it.
            pub fn validate(&self) -> Result<(), BadParameter> {
                match self { $(SchedulerConfig::$variant(parameters) => parameters.validate(),)+ }
            }
        }
    };
}

schedulers! {
    unified::Unified = "unified", "vLLM V1: one token loop over running, then waiting", knows_lengths: false,
        paper: "Efficient Memory Management for Large Language Model Serving with PagedAttention (engine V1 of vLLM)",
        "SOSP'23; vLLM 2025", "https://blog.vllm.ai/2025/01/27/v1-alpha-release.html", "A10";
    chunked::Chunked = "chunked", "Sarathi-Serve, FastGen: decodes first, prompt chunks fill a token budget", knows_lengths: false,
        paper: "Taming Throughput-Latency Tradeoff in LLM Inference with Sarathi-Serve",
        "OSDI'24", "https://arxiv.org/abs/2403.02310", "A31";
    prefill_first::PrefillFirst = "prefill-first", "vLLM V0: prompts first in batches of their own, then decodes", knows_lengths: false,
        paper: "Efficient Memory Management for Large Language Model Serving with PagedAttention",
        "SOSP'23", "https://arxiv.org/abs/2309.06180", "A10";
    iteration::Iteration = "iteration", "Orca: whole prompts and decodes mixed, reservation at admission", knows_lengths: false,
        paper: "Orca: A Distributed Serving System for Transformer-Based Generative Models",
        "OSDI'22", "https://www.usenix.org/conference/osdi22/presentation/yu", "A22";
    static_batch::Static = "static", "FasterTransformer: a batch runs to its end", knows_lengths: false,
        paper: "FasterTransformer, as described in section 6.2 of Orca",
        "NVIDIA; OSDI'22", "https://github.com/NVIDIA/FasterTransformer", "A11";
    ideal::Ideal = "ideal", "Bound: every request alone on the accelerator from its arrival", knows_lengths: false;
    clairvoyant::Clairvoyant = "clairvoyant", "Bound: shortest job first with known lengths", knows_lengths: true;
}
