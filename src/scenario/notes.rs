//! What a user should know about a study that no number shows: warnings of the scenario layer.

use crate::engine::config::{Allocation, ReserveRule};
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
    let context_rest = matches!(plan.workload.spec.max_tokens, MaxTokens::ContextRest);
    for system in plan.systems.iter().filter(|s| context_rest && reserves_max_tokens(s)) {
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

fn reserves_max_tokens(system: &SystemPlan) -> bool {
    matches!(system.cluster.replica.kv.allocation, Allocation::Reserve(ReserveRule::MaxTokens))
}
