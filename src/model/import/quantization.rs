//! `quantization_config`: in what format a checkpoint holds its weights.

use serde_json::Value;

use super::reader::Reader;
use crate::model::WeightFormat;

const KEY: &str = "quantization_config";

/// The format, none for 16 bits. One that is not known is an error: it would be counted as 16 bits.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<WeightFormat> {
    let config = reader.get(KEY)?;
    let method = config.get("quant_method").and_then(Value::as_str).unwrap_or("");
    let found = match method {
        "fp8" | "fbgemm_fp8" => Some(WeightFormat::Fp8),
        "mxfp4" => Some(WeightFormat::Mxfp4),
        "gptq" | "awq" => integer(config.get("bits").or_else(|| config.get("w_bit"))),
        "compressed-tensors" => config.get("config_groups").and_then(groups),
        "bitsandbytes" if flag(config, "load_in_8bit") => Some(WeightFormat::Int8),
        "bitsandbytes" if flag(config, "load_in_4bit") => Some(WeightFormat::Int4),
        _ => None,
    };
    if found.is_none() {
        let message = format!("the format of `quant_method` {method:?} is not known");
        let help = "known: fp8, mxfp4, gptq and awq with 4 or 8 bits, compressed-tensors, bitsandbytes; or import \
                    the 16-bit model";
        reader.refuse(KEY, message, help);
    }
    found
}

fn flag(config: &Value, key: &str) -> bool {
    config.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn integer(bits: Option<&Value>) -> Option<WeightFormat> {
    match bits.and_then(Value::as_u64)? {
        4 => Some(WeightFormat::Int4),
        8 => Some(WeightFormat::Int8),
        _ => None,
    }
}

/// The weights of the first group of compressed-tensors.
fn groups(groups: &Value) -> Option<WeightFormat> {
    let weights = groups.as_object()?.values().next()?.get("weights")?;
    match (weights.get("type").and_then(Value::as_str)?, weights.get("num_bits")) {
        ("float", Some(bits)) if bits.as_u64() == Some(8) => Some(WeightFormat::Fp8),
        ("int", bits) => integer(bits),
        _ => None,
    }
}
