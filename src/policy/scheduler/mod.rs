//! Batch formation inside a replica: the contract, and the registry of mechanisms.

mod plan;

pub use plan::{Admission, Decode, Horizon, Preempt, StepPlan};

use serde::{Deserialize, Serialize};

use crate::engine::view::EngineView;

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
/// * Check first, then decide: the plan is built so that each entry is feasible given the entries before it.
pub trait Scheduler: Send {
    /// Decides one step. `plan` arrives empty.
    fn plan(&mut self, view: &EngineView<'_>, plan: &mut StepPlan);

    /// Asked right after `plan` returned a pure-decode plan: how long would the same plan be returned?
    fn horizon(&self, _view: &EngineView<'_>, _plan: &StepPlan) -> Horizon {
        Horizon::OneStep
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

macro_rules! schedulers {
    ($($(#[$doc:meta])* $variant:ident($params:ident) = $module:ident, $key:literal;)+) => {
        /// Which scheduler, with its parameters. Written as `scheduler.KEY = { … }`.
        #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum SchedulerConfig {
            $($(#[$doc])* #[serde(rename = $key)] $variant($params),)+
        }

        impl SchedulerConfig {
            /// Every mechanism with its default parameters, in registry order.
            pub fn all() -> Vec<SchedulerConfig> {
                vec![$(SchedulerConfig::$variant($params::default()),)+]
            }

            /// The key of the mechanism in TOML.
            pub fn key(&self) -> &'static str {
                match self { $(SchedulerConfig::$variant(_) => $key,)+ }
            }
        }
    };
}

schedulers! {
    /// vLLM V1: one token loop over running, then waiting.
    Unified(Unified) = unified, "unified";
    /// Sarathi-Serve, FastGen: decodes first, prompt chunks fill a token budget.
    Chunked(Chunked) = chunked, "chunked";
    /// vLLM V0: prompts first in batches of their own, then decodes.
    PrefillFirst(PrefillFirst) = prefill_first, "prefill-first";
    /// Orca: whole prompts and decodes mixed, reservation at admission.
    Iteration(Iteration) = iteration, "iteration";
    /// FasterTransformer: a batch runs to its end.
    Static(Static) = static_batch, "static";
    /// Bound: every request alone on the accelerator from its arrival.
    Ideal(Ideal) = ideal, "ideal";
    /// Bound: shortest job first with known lengths.
    Clairvoyant(Clairvoyant) = clairvoyant, "clairvoyant";
}

/// Parameters of `unified` (vLLM V1).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Unified {
    /// Tokens per step (`max_num_batched_tokens`).
    pub token_budget: u32,
    /// Running requests (`max_num_seqs`).
    pub max_sequences: u32,
    /// Longest chunk of one prompt per step (`long_prefill_token_threshold`); 0: no limit.
    pub long_prefill_threshold: u32,
    /// Admit only if the whole prompt fits in free blocks (`scheduler_reserve_full_isl`, on in 0.19).
    pub reserve_full_prompt: bool,
}

impl Default for Unified {
    fn default() -> Self {
        Unified {
            token_budget: 2048,
            max_sequences: 256,
            long_prefill_threshold: 0,
            reserve_full_prompt: true,
        }
    }
}

/// Parameters of `chunked` (Sarathi-Serve, FastGen).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Chunked {
    /// Tokens per step that prompt chunks may fill up to; decodes count but are never cut.
    pub token_budget: u32,
    /// Running requests.
    pub max_sequences: u32,
}

impl Default for Chunked {
    fn default() -> Self {
        Chunked { token_budget: 2048, max_sequences: 128 }
    }
}

/// Parameters of `prefill-first` (vLLM V0).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PrefillFirst {
    /// Prompt tokens per prefill step (`max_num_batched_tokens`); a longer prompt goes alone.
    pub token_budget: u32,
    /// Running requests (`max_num_seqs`).
    pub max_sequences: u32,
}

impl Default for PrefillFirst {
    fn default() -> Self {
        PrefillFirst { token_budget: 4096, max_sequences: 256 }
    }
}

/// Parameters of `iteration` (Orca).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Iteration {
    /// Requests per batch (`max_bs`).
    pub max_batch: u32,
}

impl Default for Iteration {
    fn default() -> Self {
        Iteration { max_batch: 128 }
    }
}

/// How `static` treats prompts of different lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RaggedPrompts {
    /// Prefill all at the shortest prompt's length, feed the rest token by token (FasterTransformer, Orca §6.2).
    #[default]
    Shortest,
    /// Pad all to the longest prompt.
    Padded,
}

/// Parameters of `static` (FasterTransformer).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Static {
    /// Requests per batch.
    pub max_batch: u32,
    /// Requests per micro-batch under pipeline parallelism; 0: the whole batch.
    pub micro_batch: u32,
    /// Prompts of different lengths.
    pub ragged: RaggedPrompts,
    /// Deliver each answer as it is computed instead of at the end of the batch.
    pub return_early: bool,
}

impl Default for Static {
    fn default() -> Self {
        Static { max_batch: 8, micro_batch: 0, ragged: RaggedPrompts::Shortest, return_early: false }
    }
}

/// Parameters of `ideal`: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ideal {}

/// Parameters of `clairvoyant`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Clairvoyant {
    /// Tokens per step that prompt chunks may fill up to.
    pub token_budget: u32,
    /// Running requests.
    pub max_sequences: u32,
}

impl Default for Clairvoyant {
    fn default() -> Self {
        Clairvoyant { token_budget: 2048, max_sequences: 256 }
    }
}
