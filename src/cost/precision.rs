//! Number formats of weights, GEMM inputs and KV: bytes, and which units multiply them.

use crate::hardware::{Datasheet, QuantFit, QuantFits};
use crate::units::FlopsPerSecond;

/// Format of the weights of the layers, and with it the GEMM row that applies. Embeddings and lm_head stay 16 bit.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 16-bit float with 8 exponent bits.
    #[default]
    Bf16,
    /// 16-bit float with 5 exponent bits; costs the same.
    Fp16,
    /// 8-bit float, one scale per tensor; activations are quantised to 8 bits in each GEMM.
    Fp8,
    /// 8-bit float, one 32-bit scale per block of 128 x 128 weights; activations as `fp8`.
    Fp8Block,
    /// 8-bit integers on both sides (SmoothQuant), one scale per channel.
    Int8,
    /// 4-bit weights in groups of 128, 16-bit activations (AWQ, GPTQ).
    W4a16,
    /// 8-bit weights with one scale per channel, 16-bit activations.
    W8a16,
    /// 4-bit float in groups of 16 with an 8-bit scale each, on both sides (NVFP4).
    Fp4,
}

/// Units that multiply: which peak of the datasheet bounds a GEMM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// 16-bit float.
    Half,
    /// 8-bit float.
    Fp8,
    /// 8-bit integer.
    Int8,
    /// 4-bit float.
    Fp4,
}

impl Arithmetic {
    /// Dense peak by datasheet; none where the maker promises none.
    pub fn peak(self, sheet: &Datasheet) -> Option<FlopsPerSecond> {
        match self {
            Arithmetic::Half => Some(sheet.bf16),
            Arithmetic::Fp8 => sheet.fp8,
            Arithmetic::Int8 => sheet.int8,
            Arithmetic::Fp4 => sheet.fp4,
        }
    }
}

impl Precision {
    /// The name in a scenario and, for the formats below 16 bits, of the row `[fit.NAME]` of an accelerator.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Bf16 => "bf16",
            Precision::Fp16 => "fp16",
            Precision::Fp8 => "fp8",
            Precision::Fp8Block => "fp8-block",
            Precision::Int8 => "int8",
            Precision::W4a16 => "w4a16",
            Precision::W8a16 => "w8a16",
            Precision::Fp4 => "fp4",
        }
    }

    /// Bytes per weight with scales and zeros: `(bits + (scale bits + zero bits)/group)/8` (cost-model.md §1.1).
    /// Scales per tensor or channel are below 0.01 % and left out.
    pub fn bytes(self) -> f64 {
        let grouped = |bits: f64, scales: f64, group: f64| (bits + scales / group) / 8.0;
        match self {
            Precision::Bf16 | Precision::Fp16 => 2.0,
            Precision::Fp8 | Precision::Int8 | Precision::W8a16 => 1.0,
            Precision::Fp8Block => grouped(8.0, 32.0, 128.0 * 128.0),
            // A 16-bit scale and a 4-bit zero.
            Precision::W4a16 => grouped(4.0, 20.0, 128.0),
            Precision::Fp4 => grouped(4.0, 8.0, 16.0),
        }
    }

    /// Bytes per element that a GEMM reads of its input (its output is 16 bit); quantising it is part of the row's `t0`.
    pub fn input_bytes(self) -> f64 {
        match self {
            Precision::Bf16 | Precision::Fp16 | Precision::W4a16 | Precision::W8a16 => 2.0,
            Precision::Fp8 | Precision::Fp8Block | Precision::Int8 => 1.0,
            Precision::Fp4 => Precision::Fp4.bytes(),
        }
    }

    /// Which units multiply.
    pub fn arithmetic(self) -> Arithmetic {
        match self {
            Precision::Bf16 | Precision::Fp16 | Precision::W4a16 | Precision::W8a16 => Arithmetic::Half,
            Precision::Fp8 | Precision::Fp8Block => Arithmetic::Fp8,
            Precision::Int8 => Arithmetic::Int8,
            Precision::Fp4 => Arithmetic::Fp4,
        }
    }

    /// The GEMM row of a format below 16 bits; none for 16 bits, and where the accelerator has none.
    pub fn row(self, rows: &QuantFits) -> Option<&QuantFit> {
        match self {
            Precision::Bf16 | Precision::Fp16 => None,
            Precision::Fp8 => rows.fp8.as_ref(),
            Precision::Fp8Block => rows.fp8_block.as_ref(),
            Precision::Int8 => rows.int8.as_ref(),
            Precision::W4a16 => rows.w4a16.as_ref(),
            Precision::W8a16 => rows.w8a16.as_ref(),
            Precision::Fp4 => rows.fp4.as_ref(),
        }
    }

    /// Whether the 16-bit row applies.
    pub fn is_half(self) -> bool {
        matches!(self, Precision::Bf16 | Precision::Fp16)
    }

    /// All formats.
    pub const ALL: [Precision; 8] = [
        Precision::Bf16,
        Precision::Fp16,
        Precision::Fp8,
        Precision::Fp8Block,
        Precision::Int8,
        Precision::W4a16,
        Precision::W8a16,
        Precision::Fp4,
    ];
}

/// Format of keys and values. Attention computes in 16 bits whatever the format; its constants are those of 16-bit KV,
/// which no public table of 8-bit KV contradicts or confirms.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum KvPrecision {
    /// 16-bit float with 8 exponent bits.
    #[default]
    Bf16,
    /// 16-bit float with 5 exponent bits; costs the same.
    Fp16,
    /// 8-bit float, one scale per tensor.
    Fp8,
}

impl KvPrecision {
    /// The name in a scenario.
    pub fn name(self) -> &'static str {
        match self {
            KvPrecision::Bf16 => "bf16",
            KvPrecision::Fp16 => "fp16",
            KvPrecision::Fp8 => "fp8",
        }
    }

    /// All formats.
    pub const ALL: [KvPrecision; 3] = [KvPrecision::Bf16, KvPrecision::Fp16, KvPrecision::Fp8];

    /// Bytes per element.
    pub fn bytes(self) -> f64 {
        match self {
            KvPrecision::Bf16 | KvPrecision::Fp16 => 2.0,
            KvPrecision::Fp8 => 1.0,
        }
    }
}
