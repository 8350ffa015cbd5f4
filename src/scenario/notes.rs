//! What a user should know about a study that no number shows: warnings of the scenario layer.

use crate::engine::config::{Allocation, ReserveRule};
use crate::policy::scheduler::SchedulerConfig;
use crate::results::Warning;
use crate::workload::MaxTokens;

use super::execute::Executed;
use super::plan::{StudyPlan, SystemPlan};

/// Fewer concurrent requests than this make a reservation the bottleneck of any chat workload.
const FEW: u32 = 16;

/// Notes on a study that was carried out.
pub fn notes(plan: &StudyPlan, executed: &Executed) -> Vec<Warning> {
    let mut notes = Vec::new();
    if executed.prepared.len() < plan.seeds as usize {
        notes.push(Warning::Note {
            message: format!("all {} seeds have the same requests, so one run was made", plan.seeds),
            advice:
                "a real trace has nothing to draw: use a recipe for intervals, or slices of a longer trace"
                    .to_owned(),
        });
    }
    // Who sweeps a cap knows it.
    let swept = |name: &str| plan.sweep.as_ref().is_some_and(|s| s.holds(name));
    let written = plan.systems.iter().filter(|s| !swept(&s.name));
    let mut caps: Vec<(u32, &str)> =
        written.filter_map(|s| Some((sequence_cap(s)?, s.name.as_str()))).collect();
    caps.sort_unstable();
    if caps.first().map(|c| c.0) != caps.last().map(|c| c.0) {
        let each: Vec<String> = caps.iter().map(|(cap, name)| format!("{name} {cap}")).collect();
        notes.push(Warning::Note {
            message: format!("the systems may run different numbers of requests at once: {}", each.join(", ")),
            advice: "as published; set `max-sequences` (or `max-batch`) alike in variants to compare policies only"
                .to_owned(),
        });
    }
    let client = plan.workload.spec.max_tokens;
    let context_rest = |s: &&SystemPlan| s.options.max_tokens.unwrap_or(client) == MaxTokens::ContextRest;
    for system in plan.systems.iter().filter(context_rest).filter(|s| reserves_max_tokens(s)) {
        let replica = &system.cluster.replica;
        let limit = replica.effective_limit();
        let concurrent = replica.kv.blocks / limit.div_ceil(replica.kv.block);
        if concurrent < FEW {
            notes.push(Warning::Note {
                message: format!(
                    "`{}` reserves {limit} tokens for every request, so at most {concurrent} run at once",
                    system.name
                ),
                advice: "say what clients ask for (`workload.max-tokens = { fixed = 2048 }`) or lower \
                       `deployment.max-model-len`"
                    .to_owned(),
            });
        }
    }
    notes
}

/// Most requests that a system runs at once by its own setting. Static batches are small by nature and left out.
fn sequence_cap(system: &SystemPlan) -> Option<u32> {
    match &system.cluster.replica.scheduler {
        SchedulerConfig::Unified(p) => Some(p.max_sequences),
        SchedulerConfig::Chunked(p) => Some(p.max_sequences),
        SchedulerConfig::PrefillFirst(p) => Some(p.max_sequences),
        SchedulerConfig::Iteration(p) => Some(p.max_batch),
        SchedulerConfig::Static(_) | SchedulerConfig::Ideal(_) | SchedulerConfig::Clairvoyant(_) => None,
    }
}

fn reserves_max_tokens(system: &SystemPlan) -> bool {
    matches!(system.cluster.replica.kv.allocation, Allocation::Reserve(ReserveRule::MaxTokens))
}
