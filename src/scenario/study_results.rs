//! A study that was carried out, as the report takes it.

use crate::results::{InputFile, PlannedPool, Provenance, Study, SystemInfo};

use super::execute::Executed;
use super::plan::{GroupPlan, Setting, StudyPlan, SystemPlan};

impl Executed {
    /// Hands everything over to the report.
    pub fn into_study(mut self, plan: &StudyPlan) -> Study {
        if self.runs.iter().any(|r| r.seed != self.runs[0].seed) {
            // Seeds give the intervals.
            self.runs.iter_mut().for_each(|r| r.extract.resampled = None);
        }
        let provenance = provenance(plan, &self);
        let warnings = super::notes::notes(plan, &self);
        let reference = &plan.systems[plan.reference];
        Study {
            title: plan.title.clone(),
            scenario_name: plan.name.clone(),
            scenario_text: plan
                .sources
                .all()
                .next()
                .map_or_else(String::new, |(source, _)| source.text.to_string()),
            resolved_plan: resolved_plan(plan, &self),
            reference: reference.name.clone(),
            sweep: plan.sweep.clone(),
            slo: plan.slo,
            attainment_target: plan.attainment,
            systems: plan.systems.iter().map(info).collect(),
            points: self.points,
            capacity: self.capacities,
            runs: self.runs,
            token_timeline: None,
            replicas: Vec::new(),
            failed: Vec::new(),
            warnings,
            sensitivity: self.sensitivity,
            robustness: None,
            provenance,
        }
    }
}

fn info(system: &SystemPlan) -> SystemInfo {
    let paper =
        system.paper.as_ref().map_or_else(String::new, |p| format!("{} ({}), {}", p.title, p.venue, p.url));
    let bound = system.paper.as_ref().is_some_and(|p| p.row == "bound");
    let notes = system.options.note.clone().unwrap_or_default();
    let price = system.sum_over_gpus(|a| a.usd_per_hour);
    SystemInfo {
        name: system.name.clone(),
        paper,
        bound,
        oracle: system.oracle,
        notes,
        gpus: system.gpus,
        usd_per_hour: (price > 0.0).then_some(price),
        tdp_kw: system.sum_over_gpus(|a| a.datasheet.tdp.0) / 1e3,
        kv_tokens: system.kv_slots(),
        host_cache_tokens: system.host_cache_slots(),
        hardware_grade: weakest_grade(system),
        pools: pools(system),
    }
}

/// The pools of a system with prefill and decode apart.
fn pools(system: &SystemPlan) -> Vec<PlannedPool> {
    let apart = system.joint.as_ref().is_some_and(|joint| joint.hand_over.is_some());
    let pool = |g: &GroupPlan| PlannedPool {
        role: format!("{:?}", g.role).to_lowercase(),
        tp: g.spec.tensor_parallel,
        pp: g.stages,
        replicas: u32::from(g.replicas),
    };
    system.groups.iter().filter(|_| apart).map(pool).collect()
}

/// Every value with its origin, as text for the manifest.
fn resolved_plan(plan: &StudyPlan, executed: &Executed) -> String {
    let line = |prefix: &str, s: &Setting| format!("{prefix}{} = {}  # {}\n", s.path, s.value, s.origin);
    let mut text: String = plan.settings.iter().map(|s| line("", s)).collect();
    if let Some(capacity) = executed.capacity_text(plan) {
        text.push_str(&format!("# {capacity}\n"));
    }
    for system in &plan.systems {
        text.push_str(&format!("\n[{}]\n", system.name));
        text.extend(system.settings.iter().map(|s| line("", s)));
    }
    text
}

fn provenance(plan: &StudyPlan, executed: &Executed) -> Provenance {
    let reference = &plan.systems[plan.reference];
    let spec = &reference.spec;
    let report = executed.prepared.first().map(|p| p.report.clone()).unwrap_or_default();
    let hash = report.content_hash.as_ref().map(|h| format!("fnv1a64:{h}"));
    let inputs = hash.map(|hash| InputFile { name: plan.workload.describe(), hash }).into_iter().collect();
    Provenance {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        model: spec.model.name.clone(),
        hardware: reference.hardware(),
        hardware_grade: weakest_grade(reference),
        engine: spec.engine.name.clone(),
        workload: plan.workload.describe(),
        seeds: (1..=executed.prepared.len() as u64).collect(),
        inputs,
        classes: executed.prepared.first().map(|p| p.trace.classes.clone()).unwrap_or_default(),
        not_modelled: not_modelled(),
        rows_skipped: report.rows_bad + report.rows_dropped,
    }
}

/// The grade of the system's accelerators: `derived` if that of any group is.
pub fn weakest_grade(system: &SystemPlan) -> String {
    let grades = system.groups.iter().map(|g| grade(&g.spec));
    grades.into_iter().find(|g| g == "derived").unwrap_or_else(|| grade(&system.spec))
}

/// The grade of the accelerator's GEMM constants for the weights' format, in the words of its file.
fn grade(spec: &crate::cost::CostSpec) -> String {
    let row = spec.weights.row(&spec.accelerator.quantised).map(|row| row.grade);
    format!("{:?}", row.unwrap_or(spec.accelerator.gemm.grade)).to_lowercase()
}

/// What no simulation of this tool has, one sentence each.
pub fn not_modelled() -> Vec<String> {
    [
        "Attention of steps that mix prefill and decode is the sum of both: no public data exist for FA3",
        "Tokenisation, sampling on the host and network time, unless the front end says so",
        "Clients that send a request again after it was lost or refused",
    ]
    .map(str::to_owned)
    .to_vec()
}
