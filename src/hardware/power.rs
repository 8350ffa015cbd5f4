//! The power law of one accelerator.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Grade;
use crate::catalog::Check;
use crate::units::Watts;

/// `P = min(cap, active + memory*u_m + compute*u_c)` while a kernel runs, with `u_m` and `u_c` the shares of the
/// datasheet's bandwidth and 16-bit peak in use (cost-model.md, section 3.2; `active` is its P_act, `memory` its a,
/// `compute` its b). `load` while weights are resident and nothing runs, `idle` without a context.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Power {
    /// Where the constants come from.
    pub source: String,
    /// How far to trust them.
    pub grade: Grade,
    /// Without a context.
    pub idle: Watts,
    /// Weights resident, engine polling, no kernel. At most `active`.
    pub load: Watts,
    /// A kernel runs that uses neither memory nor matrix units.
    pub active: Watts,
    /// Added at full bandwidth.
    pub memory: Watts,
    /// Added at the full 16-bit peak; the cap binds before.
    pub compute: Watts,
    /// Power at the 8-bit float peak over that at the 16-bit peak; default 1.5 (measured on H100, cost-model.md §3.2).
    #[serde(default)]
    pub fp8_factor: Option<f64>,
}

impl Power {
    /// Bounds: 0 < idle <= load <= active < tdp, and a fully used board reaches at least half its limit.
    pub(super) fn check(&self, check: &mut Check<'_>, tdp: Watts) {
        const TABLE: &str = "power";
        check.sourced(TABLE, &self.source);
        check.positive(TABLE, "idle", self.idle.0);
        check.not_negative(TABLE, "memory", self.memory.0);
        check.not_negative(TABLE, "compute", self.compute.0);
        let message = format!("must be above the idle power of {} W, got {} W", self.idle.0, tdp.0);
        check.that(tdp.0 > self.idle.0, "datasheet", "tdp", message, "give the board's power limit");
        for (key, low, high) in [("load", self.idle, self.load), ("active", self.load, self.active)] {
            let message = format!("of {} W is below {} W", high.0, low.0);
            check.that(high.0 >= low.0, TABLE, key, message, "write idle <= load <= active");
        }
        let message = format!("of {} W is not below the limit of {} W", self.active.0, tdp.0);
        check.that(self.active.0 < tdp.0, TABLE, "active", message, "give the power without load on memory");
        let factor = self.fp8_factor.unwrap_or(1.5);
        let message = format!("of {factor} is no factor of a number format with twice the peak");
        check.that((0.5..=4.0).contains(&factor), TABLE, "fp8-factor", message, "write 0.5 to 4");
        let full = self.active.0 + self.memory.0 + self.compute.0;
        let message = format!("gives {full} W at full use, less than half of the limit of {} W", tdp.0);
        check.that(full >= 0.5 * tdp.0, TABLE, "compute", message, "check the unit");
    }
}
