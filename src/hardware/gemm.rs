//! Fitted GEMM rows of an accelerator: one for 16 bits, and one for each narrower number format that was measured.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Datasheet, Grade};
use crate::catalog::Check;
use crate::units::Seconds;

/// `GEMM = t0 + sqrt((2mnk/(P*ec))^2 + (bytes/(B*eb))^2)` for 16-bit weights.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GemmFit {
    /// Where the constants come from.
    pub source: String,
    /// How far to trust them.
    pub grade: Grade,
    /// Fraction of the peak, in (0, 1].
    pub ec: f64,
    /// Fraction of the bandwidth, in (0, 1].
    pub eb: f64,
    /// Fixed time of one GEMM.
    pub t0: Seconds,
}

/// `GEMM = t0 + ((2mnk/(P*ec))^p + (bytes/(B*eb))^p)^(1/p)` for narrower weights. `P` is the datasheet's peak of the
/// format that multiplies, `B` the datasheet's bandwidth (not the basis of the 16-bit fits).
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct QuantFit {
    /// Where the constants come from.
    pub source: String,
    /// How far to trust them.
    pub grade: Grade,
    /// Fraction of the peak, in (0, 1].
    pub ec: f64,
    /// Fraction of the bandwidth, in (0, 1].
    pub eb: f64,
    /// Fixed time of one GEMM, quantising its input included.
    pub t0: Seconds,
    /// How sharp the knee of the roofline is: 1 adds both sides, a large one takes the longer; in [1, 16].
    pub p: f64,
}

/// The narrower rows that an accelerator has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuantFits {
    /// `[fit.fp8]`
    pub fp8: Option<QuantFit>,
    /// `[fit.fp8-block]`
    pub fp8_block: Option<QuantFit>,
    /// `[fit.int8]`
    pub int8: Option<QuantFit>,
    /// `[fit.w4a16]`
    pub w4a16: Option<QuantFit>,
    /// `[fit.w8a16]`
    pub w8a16: Option<QuantFit>,
    /// `[fit.fp4]`
    pub fp4: Option<QuantFit>,
}

impl QuantFits {
    /// Rows by the names of their tables.
    fn rows(&self) -> [(&'static str, Option<&QuantFit>); 6] {
        [
            ("fit.fp8", self.fp8.as_ref()),
            ("fit.fp8-block", self.fp8_block.as_ref()),
            ("fit.int8", self.int8.as_ref()),
            ("fit.w4a16", self.w4a16.as_ref()),
            ("fit.w8a16", self.w8a16.as_ref()),
            ("fit.fp4", self.fp4.as_ref()),
        ]
    }

    /// Ranges of all rows; each needs the datasheet's peak of its arithmetic.
    pub(super) fn check(&self, check: &mut Check<'_>, sheet: &Datasheet) {
        for (table, row) in self.rows() {
            let Some(row) = row else { continue };
            check.sourced(table, &row.source);
            check.fraction(table, "ec", row.ec, 1.0);
            check.fraction(table, "eb", row.eb, 1.0);
            check.not_negative(table, "t0", row.t0.0);
            let message = format!("must be in [1, 16], got {}", row.p);
            check.that((1.0..=16.0).contains(&row.p), table, "p", message, "2 is usual; 1 adds both sides");
            let has_peak = match table {
                "fit.fp8" | "fit.fp8-block" => sheet.fp8.is_some(),
                "fit.int8" => sheet.int8.is_some(),
                "fit.fp4" => sheet.fp4.is_some(),
                _ => true,
            };
            let message = "needs the datasheet's peak of its arithmetic".to_owned();
            check.that(has_peak, table, "ec", message, "give `datasheet.fp8`, `int8` or `fp4`");
        }
    }
}
