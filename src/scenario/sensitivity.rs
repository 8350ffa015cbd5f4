//! `[sensitivity]`: how much the capacity of the reference depends on each constant that is not known well.
//!
//! Each constant alone is multiplied by 1 − delta and 1 + delta, everything else is left as it is, and the capacity is
//! searched again with the same requests. The search is finer than that of `load` (0.2 %) and starts at the same rate
//! for all, so that a constant that changes no step gives exactly the same capacity. KV memory does not change: the
//! constants are about time. A rate that would beat the datasheet is cut at it.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::cost::{CostSpec, MixedAttention};
use crate::diagnostic::{InputErrors, from_tree};
use crate::hardware::PrefillLaw;
use crate::results::{Sensitivity, SensitivityRow};
use crate::units::{BytesPerSecond, Seconds};
use crate::workload::{Prepared, RequestRate};

use super::cost;
use super::document::Document;
use super::execute::Progress;
use super::load::{NoCapacity, capacity_near};
use super::plan::{StudyPlan, SystemPlan};

/// A constant of the cost model; names are those of `docs/cost-model.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Constant {
    /// Fraction of the peak that GEMMs reach.
    Ec,
    /// Fraction of the bandwidth that GEMMs reach.
    Eb,
    /// Fixed time of a GEMM.
    T0,
    /// Fraction of the bandwidth that decode attention reaches.
    Ea,
    /// Speed of prefill attention: `ep`, or `1/tau` where the profile has tiles.
    Ep,
    /// Host time of a step.
    O0,
    /// Host time of a sequence of a step.
    O1,
    /// Shortest step.
    Floor,
    /// Attention of steps that mix prefill and decode: only upwards, by 25 %.
    MixedAttention,
    /// Bandwidth between host and accelerator.
    Host,
    /// Bandwidth of the link between accelerators.
    Link,
}

impl Constant {
    /// All of them.
    pub const ALL: [Constant; 11] = [
        Constant::Ec,
        Constant::Eb,
        Constant::T0,
        Constant::Ea,
        Constant::Ep,
        Constant::O0,
        Constant::O1,
        Constant::Floor,
        Constant::MixedAttention,
        Constant::Host,
        Constant::Link,
    ];

    /// Name as files write it.
    pub fn name(self) -> &'static str {
        match self {
            Constant::Ec => "ec",
            Constant::Eb => "eb",
            Constant::T0 => "t0",
            Constant::Ea => "ea",
            Constant::Ep => "ep",
            Constant::O0 => "o0",
            Constant::O1 => "o1",
            Constant::Floor => "floor",
            Constant::MixedAttention => "mixed-attention",
            Constant::Host => "host",
            Constant::Link => "link",
        }
    }

    /// What it is, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Constant::Ec => "GEMM share of the peak",
            Constant::Eb => "GEMM share of the bandwidth",
            Constant::T0 => "fixed time of a GEMM",
            Constant::Ea => "decode attention share of the bandwidth",
            Constant::Ep => "prefill attention speed",
            Constant::O0 => "host time per step",
            Constant::O1 => "host time per sequence",
            Constant::Floor => "shortest step",
            Constant::MixedAttention => "attention of mixed steps",
            Constant::Host => "host link bandwidth",
            Constant::Link => "accelerator link bandwidth",
        }
    }

    /// The factors it is multiplied by: below, above.
    fn factors(self, delta: f64) -> (Option<f64>, f64) {
        match self {
            // No public data on it exist, and nothing is known that would make it faster than the sum.
            Constant::MixedAttention => (None, 1.25),
            _ => (Some(1.0 - delta), 1.0 + delta),
        }
    }

    /// Multiplies it in `spec` by `factor`.
    fn scale(self, spec: &mut CostSpec, factor: f64) {
        let a = &mut spec.accelerator;
        let (peak, bandwidth) =
            (a.datasheet.bf16.0 / a.basis.peak.0, a.datasheet.bandwidth.0 / a.basis.bandwidth.0);
        let time = |s: &mut Seconds| s.0 *= factor;
        match self {
            Constant::Ec => a.gemm.ec = (a.gemm.ec * factor).min(peak),
            Constant::Eb => a.gemm.eb = (a.gemm.eb * factor).min(bandwidth),
            Constant::Ea => a.attention.ea = (a.attention.ea * factor).min(bandwidth),
            Constant::Ep => match &mut a.attention.prefill {
                PrefillLaw::Flops { ep, .. } => *ep = (*ep * factor).min(peak),
                PrefillLaw::Tiles { tau, tau_m, .. } => {
                    // 64 queries x head of 128 x 4 FLOP for each KV token on one multiprocessor, at the peak.
                    let shortest = 4.0 * 64.0 * 128.0 * f64::from(a.datasheet.sms) / a.datasheet.bf16.0;
                    for time in [tau, tau_m] {
                        time.0 = (time.0 / factor).max(shortest);
                    }
                }
            },
            Constant::T0 => time(&mut a.gemm.t0),
            Constant::O0 => time(&mut spec.engine.overhead.o0),
            Constant::O1 => time(&mut spec.engine.overhead.o1),
            Constant::Floor => time(&mut spec.engine.overhead.floor),
            Constant::MixedAttention => {
                let now = match spec.overrides.mixed_attention {
                    Some(MixedAttention::Factor(now)) => now,
                    _ => 1.0,
                };
                *spec =
                    spec.with_mixed_attention(MixedAttention::Factor((now * factor * 100.0).round() / 100.0));
            }
            Constant::Host => {
                spec.overrides.host_bandwidth = Some(BytesPerSecond(spec.host_bandwidth().0 * factor));
            }
            Constant::Link => {
                let mut tensor = spec.tensor_link().clone();
                let mut stage = spec.stage_link().clone();
                for link in [&mut tensor, &mut stage] {
                    link.bandwidth.0 *= factor;
                    link.all_reduce.bandwidth.0 *= factor;
                }
                spec.overrides.tensor_link = Some(tensor);
                spec.overrides.stage_link = Some(stage);
                if let Some(nodes) = &mut spec.overrides.tensor_nodes {
                    nodes.link.bandwidth.0 *= factor;
                    nodes.link.all_reduce.bandwidth.0 *= factor;
                }
            }
        }
    }
}

/// `[sensitivity]` as typed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct SensitivityOptions {
    /// Constants of the cost model, each changed alone.
    constants: Vec<Constant>,
    /// Relative change, above 0 and at most 0.5.
    #[serde(default = "tenth")]
    delta: f64,
}

fn tenth() -> f64 {
    0.1
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct SensitivityPlan {
    /// Constants, in the order of the file.
    pub constants: Vec<Constant>,
    /// Relative change, in (0, 0.5].
    pub delta: f64,
}

/// Reads `[sensitivity]`; none where the scenario has none.
pub(super) fn read(doc: &Document) -> Result<Option<SensitivityPlan>, InputErrors> {
    let node = &doc.sensitivity;
    if node.entries().is_none_or(|entries| entries.is_empty()) {
        return Ok(None);
    }
    let options: SensitivityOptions = from_tree(node, "sensitivity", &doc.sources)?;
    let mut errors = InputErrors::default();
    let names = Constant::ALL.map(Constant::name).join(", ");
    if options.constants.is_empty() {
        let message = "`sensitivity.constants` is empty".to_owned();
        let help = format!("name some of {names}, or remove `[sensitivity]`");
        errors.0.push(doc.sources.error(node.value_span("constants"), message, help));
    }
    for (i, constant) in options.constants.iter().enumerate() {
        if options.constants[..i].contains(constant) {
            let message = format!("`sensitivity.constants` names `{}` twice", constant.name());
            errors.0.push(doc.sources.error(node.value_span("constants"), message, "remove one of the two"));
        }
    }
    if !(options.delta > 0.0 && options.delta <= 0.5) {
        let message = format!("`sensitivity.delta`: {} is not a relative change", options.delta);
        let help = "write a number above 0, at most 0.5, such as `0.1` for ± 10 %";
        errors.0.push(doc.sources.error(node.value_span("delta"), message, help));
    }
    errors.or(Some(SensitivityPlan { constants: options.constants, delta: options.delta }))
}

/// Capacity of the reference with each constant changed alone. `start`: a rate near its capacity.
pub(super) fn sensitivity(
    plan: &StudyPlan,
    asked: &SensitivityPlan,
    prepared: &[Prepared],
    start: RequestRate,
    progress: &dyn Progress,
) -> Result<Sensitivity, NoCapacity> {
    progress.phase("sensitivity", asked.constants.len() + 1);
    let reference = &plan.systems[plan.reference];
    let of = |system: &SystemPlan| {
        capacity_near(plan, system, prepared, start.as_per_second()).map(RequestRate::as_per_second)
    };
    let base = of(reference)?;
    progress.step();
    let changed = |constant: Constant, factor: f64| of(&perturbed(plan, reference, constant, factor)?);
    let rows = asked.constants.par_iter().map(|&constant| {
        let (below, above) = constant.factors(asked.delta);
        let row = SensitivityRow {
            constant: constant.name().to_owned(),
            meaning: constant.meaning().to_owned(),
            below: below.map(|factor| changed(constant, factor).map(|c| (factor, c))).transpose()?,
            above: (above, changed(constant, above)?),
        };
        progress.step();
        Ok(row)
    });
    let mut rows = rows.collect::<Result<Vec<SensitivityRow>, NoCapacity>>()?;
    // The largest swing first; ties keep the order of the file.
    rows.sort_by(|a, b| b.swing(base).total_cmp(&a.swing(base)));
    Ok(Sensitivity { system: reference.name.clone(), capacity_per_s: base, rows })
}

/// The system with one constant multiplied by `factor`.
fn perturbed(
    plan: &StudyPlan,
    system: &SystemPlan,
    constant: Constant,
    factor: f64,
) -> Result<SystemPlan, NoCapacity> {
    let mut changed = system.clone();
    constant.scale(&mut changed.spec, factor);
    let built = cost::build(&changed.spec, &changed.options.backend, plan.folder.as_deref());
    changed.cost = built.map_err(NoCapacity::Input)?.0;
    Ok(changed)
}
