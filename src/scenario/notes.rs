//! What a user should know about a study that no number shows: warnings of the scenario layer.

use crate::engine::config::{Allocation, ReserveRule, Role};
use crate::policy::scheduler::SchedulerConfig;
use crate::results::Warning;
use crate::workload::MaxTokens;

use super::execute::Executed;
use super::plan::{StudyPlan, SystemPlan};
use super::study::published_formats;

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
    let mut caps: Vec<(u32, &str)> =
        written(plan).filter_map(|s| Some((running_cap(s)?, s.name.as_str()))).collect();
    caps.sort_unstable();
    if caps.first().map(|c| c.0) != caps.last().map(|c| c.0) {
        let each: Vec<String> = caps.iter().map(|(cap, name)| format!("{name} {cap}")).collect();
        notes.push(Warning::Note {
            message: format!("the systems may run different numbers of requests at once: {}", each.join(", ")),
            advice: "as published; set `max-sequences` (or `max-batch`) alike in variants to compare policies only"
                .to_owned(),
        });
    }
    notes.extend(engine_of_accelerator(plan));
    notes.extend(unequal_memory(plan));
    notes.extend(published_formats(&plan.systems).into_iter().map(|message| Warning::Note {
        message,
        advice: "say `precision = { weights = … }` for the published format (`docs/hardware.md`)".to_owned(),
    }));
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

/// The systems that stand in the file one by one: who sweeps a key knows that it differs.
fn written(plan: &StudyPlan) -> impl Iterator<Item = &SystemPlan> {
    let swept = |name: &str| plan.sweep.as_ref().is_some_and(|s| s.holds(name));
    plan.systems.iter().filter(move |s| !swept(&s.name))
}

/// Nobody said which engine: its host times and limits can decide who wins.
fn engine_of_accelerator(plan: &StudyPlan) -> Option<Warning> {
    let unsaid = |s: &&SystemPlan| {
        s.settings.iter().any(|v| v.path == "engine" && v.origin.starts_with("accelerator"))
    };
    let mut engines: Vec<&str> =
        plan.systems.iter().filter(unsaid).map(|s| s.spec.engine.name.as_str()).collect();
    engines.sort_unstable();
    engines.dedup();
    (!engines.is_empty()).then(|| Warning::Note {
        message: format!(
            "no `engine` is given, so the accelerator's default is used: {}",
            engines.join(", ")
        ),
        advice:
            "say `deployment.engine` (`list engines`): step times and limits are those of an engine of a date"
                .to_owned(),
    })
}

/// Systems on the same hardware with KV memory of different size: the count of blocks is in each system's own blocks.
fn unequal_memory(plan: &StudyPlan) -> Option<Warning> {
    let ideal = |s: &&SystemPlan| matches!(s.cluster.replica.scheduler, SchedulerConfig::Ideal(_));
    let systems = || written(plan).filter(|s| !ideal(s));
    let hardware = |s: &SystemPlan| {
        (s.spec.accelerator.name.clone(), s.gpus, s.replicas(), s.spec.model.name.clone(), s.spec.kv)
    };
    let first = systems().next()?;
    let alike = systems().all(|s| hardware(s) == hardware(first));
    let (least, most) =
        (systems().map(SystemPlan::kv_slots).min()?, systems().map(SystemPlan::kv_slots).max()?);
    // What is left of the last block differs by less.
    if !alike || most <= least + least / 20 {
        return None;
    }
    let each: Vec<String> = systems().map(|s| format!("{} {}", s.name, s.kv_slots())).collect();
    Some(Warning::Note {
        message: format!(
            "on the same hardware the systems hold different numbers of KV tokens: {}",
            each.join(", ")
        ),
        advice: "`kv-blocks` counts blocks of each system's own size: give it in variants, or leave it out"
            .to_owned(),
    })
}

/// Most requests that a system runs at once by its own setting, those in prefill apart from decode aside.
fn running_cap(system: &SystemPlan) -> Option<u32> {
    if system.groups.is_empty() {
        return Some(sequence_cap(&system.cluster.replica.scheduler)?.saturating_mul(system.replicas()));
    }
    let counted = system.groups.iter().filter(|g| g.role != Role::Prefill);
    counted
        .map(|g| Some(sequence_cap(&g.replica.scheduler)?.saturating_mul(u32::from(g.replicas))))
        .try_fold(0u32, |sum, cap| Some(sum.saturating_add(cap?)))
}

/// Most requests that a replica runs at once by its own setting. Static batches are small by nature and left out.
fn sequence_cap(scheduler: &SchedulerConfig) -> Option<u32> {
    match scheduler {
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
