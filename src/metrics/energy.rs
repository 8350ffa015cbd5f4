//! Energy and money of a run: what the boards drew from the first arrival to the last event, and what their time costs.

use super::measure::MeasureContext;
use super::record::{Energy, Outcome};
use super::summary::{RequestStats, RunStats};

/// What a deployment draws and costs, whatever it does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Running {
    /// All boards with their weights resident and nothing to do, in W.
    pub load_w: f64,
    /// All boards, in US dollars per hour; absent where there is no price.
    pub usd_per_hour: Option<f64>,
}

/// Joules in a femtojoule.
const FJ: f64 = 1e-15;

/// Fills the columns of energy and money; call it when it is known what was provided for.
pub(super) fn fill(
    stats: &mut RunStats,
    outcome: &Outcome,
    requests: &RequestStats,
    context: &MeasureContext,
) {
    let Some((running, provided)) = context.running.zip(stats.provided_gpu_s) else { return };
    let tokens = (requests.output_tokens > 0).then_some(requests.output_tokens as f64);
    let per_token = |value: f64| tokens.map(|tokens| value / tokens);
    // As if all boards had been there so long.
    let seconds = provided / f64::from(context.gpus);
    stats.usd_per_mtok = running.usd_per_hour.and_then(|usd| per_token(usd / 3600.0 * seconds * 1e6));
    let Energy { prefill, decode, loaded } = outcome.counters.energy;
    let (prefill, decode, loaded) = (prefill as f64 * FJ, decode as f64 * FJ, loaded as f64 * FJ);
    let active = prefill + decode;
    if active <= 0.0 {
        // Nobody says what a step draws, or there was none.
        return;
    }
    // The rest of the time boards poll with their weights resident.
    let idle = (running.load_w * seconds - loaded).max(0.0);
    let all = active + idle;
    stats.energy_j = Some(all);
    stats.energy_prefill_ratio = Some(prefill / all);
    stats.energy_decode_ratio = Some(decode / all);
    stats.energy_idle_ratio = Some(idle / all);
    stats.power_mean_w = (provided > 0.0).then(|| all / provided);
    stats.active_j_per_token = per_token(active);
    stats.provisioned_j_per_token = per_token(all);
}
