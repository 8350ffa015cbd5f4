//! One accelerator: what its maker promises, what a fit found, and what it is plugged into.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{GemmFit, Grade, Host, Link, Power, QuantFit, QuantFits};
use crate::catalog::Check;
use crate::catalog::{self, Shelf};
use crate::diagnostic::{InputError, InputErrors, from_toml};
use crate::units::{Bytes, BytesPerSecond, FlopsPerSecond, Seconds, Watts};

/// Which default token budget and batch an engine gives this accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BatchClass {
    /// H100 and larger.
    Large,
    /// A100 and smaller.
    Small,
}

/// The maker's figures: the bound that no step may beat. Rates are dense (without structured sparsity).
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Datasheet {
    /// Where the figures come from.
    pub source: String,
    /// How far to trust them: `published`, or `derived` where some are from memory.
    pub grade: Grade,
    /// Memory as sold.
    pub memory: Bytes,
    /// Memory that the driver reports (nvidia-smi, MiB): the base of the KV capacity.
    pub visible_memory: Bytes,
    /// Memory bandwidth.
    pub bandwidth: BytesPerSecond,
    /// 16-bit peak with 32-bit accumulation (FP16 where there is no BF16).
    pub bf16: FlopsPerSecond,
    /// 8-bit float peak.
    pub fp8: Option<FlopsPerSecond>,
    /// 8-bit integer peak.
    pub int8: Option<FlopsPerSecond>,
    /// 4-bit float peak.
    pub fp4: Option<FlopsPerSecond>,
    /// 4-bit integer peak.
    pub int4: Option<FlopsPerSecond>,
    /// Board power limit.
    pub tdp: Watts,
    /// Streaming multiprocessors (compute units on AMD).
    pub sms: u32,
}

/// The peak and the bandwidth that efficiencies are fractions of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// `P`, 16-bit peak.
    pub peak: FlopsPerSecond,
    /// `B`, memory bandwidth.
    pub bandwidth: BytesPerSecond,
}

/// `EW = ew0 + activation bytes/(B*ee)` per layer.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ElementwiseFit {
    /// Where the constants come from.
    pub source: String,
    /// How far to trust them.
    pub grade: Grade,
    /// Fixed time per layer.
    pub ew0: Seconds,
    /// Fraction of the bandwidth, in (0, 2]; above 1 where activations stay in the cache.
    pub ee: f64,
}

/// Attention: decode constants, and the law of prefill.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionFit {
    /// Where the constants come from.
    pub source: String,
    /// How far to trust them.
    pub grade: Grade,
    /// Fixed time of decode attention per layer.
    pub a0: Seconds,
    /// Time per (sequence x head) of decode attention.
    pub a1: Seconds,
    /// Fraction of the bandwidth that streams KV, in (0, 1].
    pub ea: f64,
    /// Fixed time of prefill attention per layer.
    pub p0: Seconds,
    /// What prefill attention costs beyond `p0`.
    pub prefill: PrefillLaw,
    /// Last-level cache, where a mixed FA2 batch shares KV between query heads; none: it always does.
    pub l2: Option<Bytes>,
}

/// The law of prefill attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PrefillLaw {
    /// FLOPs and the bytes of Q, K, V, O (FA3, or large chunks on any accelerator).
    Flops {
        /// Fraction of the peak.
        ep: f64,
        /// Fraction of the bandwidth.
        epb: f64,
    },
    /// Tiles of 64 queries over the multiprocessors (FA2).
    Tiles {
        /// Time per tile wave and KV token, chunks alone.
        tau: Seconds,
        /// Share of the chunk's own tokens that a tile sees.
        al: f64,
        /// Fixed time of a mixed prefill and decode batch.
        pm0: Seconds,
        /// Time per tile and KV token, mixed batch.
        tau_m: Seconds,
        /// As `al`, mixed batch.
        al_m: f64,
        /// Share of the longest sequence that bounds a mixed batch.
        l_m: f64,
    },
}

/// An accelerator with the link and host it is sold with.
#[derive(Clone, Debug, PartialEq)]
pub struct Accelerator {
    /// Name of its file.
    pub name: String,
    /// Name as people write it.
    pub title: String,
    /// Which engine defaults apply.
    pub batch_class: BatchClass,
    /// Engine profile used where the scenario names none: the newest measured on this family.
    pub default_engine: String,
    /// The maker's figures.
    pub datasheet: Datasheet,
    /// What the fits below are relative to; the datasheet's rates unless the file says otherwise.
    pub basis: Rates,
    /// 16-bit GEMM.
    pub gemm: GemmFit,
    /// GEMM of narrower formats.
    pub quantised: QuantFits,
    /// Element-wise operators.
    pub elementwise: ElementwiseFit,
    /// Attention.
    pub attention: AttentionFit,
    /// Between accelerators of one node.
    pub scale_up: Link,
    /// The server around it.
    pub host: Host,
    /// The power law.
    pub power: Power,
    /// US dollars per accelerator and hour.
    pub usd_per_hour: f64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    title: String,
    batch_class: BatchClass,
    default_engine: String,
    datasheet: Datasheet,
    basis: Option<Basis>,
    fit: Fit,
    links: Links,
    power: Power,
    price: Price,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Basis {
    source: String,
    bf16: FlopsPerSecond,
    bandwidth: BytesPerSecond,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Fit {
    bf16: GemmFit,
    fp8: Option<QuantFit>,
    fp8_block: Option<QuantFit>,
    int8: Option<QuantFit>,
    w4a16: Option<QuantFit>,
    w8a16: Option<QuantFit>,
    fp4: Option<QuantFit>,
    elementwise: ElementwiseFit,
    attention: AttentionFile,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct AttentionFile {
    source: String,
    grade: Grade,
    a0: Seconds,
    a1: Seconds,
    ea: f64,
    p0: Seconds,
    ep: Option<f64>,
    epb: Option<f64>,
    tau: Option<Seconds>,
    al: Option<f64>,
    pm0: Option<Seconds>,
    tau_m: Option<Seconds>,
    al_m: Option<f64>,
    l_m: Option<f64>,
    l2: Option<Bytes>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Links {
    scale_up: String,
    host: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Price {
    source: String,
    #[expect(dead_code, reason = "shown by `list accelerators`, which reads the file as a tree")]
    grade: Grade,
    usd_per_hour: f64,
}

impl Accelerator {
    /// The schema of such a file.
    pub fn json_schema_of_file() -> schemars::Schema {
        schemars::schema_for!(File)
    }

    /// Reads `hardware/accelerators/<name>.toml` with its link and host, looked up beside the scenario first.
    pub fn load(name: &str, beside: Option<&Path>) -> Result<Accelerator, InputErrors> {
        let source = catalog::find(Shelf::Accelerators, name, beside)?;
        let mut file: File = from_toml(&source)?;
        let quantised = QuantFits {
            fp8: file.fit.fp8.take(),
            fp8_block: file.fit.fp8_block.take(),
            int8: file.fit.int8.take(),
            w4a16: file.fit.w4a16.take(),
            w8a16: file.fit.w8a16.take(),
            fp4: file.fit.fp4.take(),
        };
        let basis = match &file.basis {
            Some(basis) => Rates { peak: basis.bf16, bandwidth: basis.bandwidth },
            None => Rates { peak: file.datasheet.bf16, bandwidth: file.datasheet.bandwidth },
        };
        let mut check = Check::new(&source);
        check_rates(&mut check, &file, basis);
        quantised.check(&mut check, &file.datasheet);
        let prefill = check_attention(&mut check, &file, basis);
        let links = &file.links;
        let scale_up = check.placed("links", "scale-up", Link::load(&links.scale_up, beside));
        let host = check.placed("links", "host", Host::load(&links.host, beside));
        check.done()?;
        let prefill = prefill.ok_or_else(|| {
            InputError::named(&*source.name, "has no prefill law", "give `ep` and `epb` in `[fit.attention]`")
        })?;
        let a = file.fit.attention;
        Ok(Accelerator {
            name: name.to_owned(),
            title: file.title,
            batch_class: file.batch_class,
            default_engine: file.default_engine,
            datasheet: file.datasheet,
            basis,
            gemm: file.fit.bf16,
            quantised,
            elementwise: file.fit.elementwise,
            attention: AttentionFit {
                source: a.source,
                grade: a.grade,
                a0: a.a0,
                a1: a.a1,
                ea: a.ea,
                p0: a.p0,
                prefill,
                l2: a.l2,
            },
            scale_up: scale_up?,
            host: host?,
            power: file.power,
            usd_per_hour: file.price.usd_per_hour,
        })
    }
}

/// Datasheet, basis, GEMM, element-wise, power, price.
fn check_rates(check: &mut Check<'_>, file: &File, basis: Rates) {
    let sheet = &file.datasheet;
    check.sourced("datasheet", &sheet.source);
    check.positive("datasheet", "memory", sheet.memory.0);
    check.positive("datasheet", "visible-memory", sheet.visible_memory.0);
    check.positive("datasheet", "bandwidth", sheet.bandwidth.0);
    check.positive("datasheet", "bf16", sheet.bf16.0);
    for (key, rate) in [("fp8", sheet.fp8), ("int8", sheet.int8), ("fp4", sheet.fp4), ("int4", sheet.int4)] {
        check.positive("datasheet", key, rate.map_or(1.0, |r| r.0));
    }
    check.count("datasheet", "sms", sheet.sms);
    // GB is 10^9 in some tables and nvidia-smi's MiB in others, so a few per cent above the sold size may be seen.
    let visible = sheet.visible_memory.0 / sheet.memory.0;
    let message = format!("is {visible:.2} of `datasheet.memory`");
    check.that(
        (0.85..=1.08).contains(&visible),
        "datasheet",
        "visible-memory",
        message,
        "give what nvidia-smi shows, in MiB",
    );
    if let Some(basis) = &file.basis {
        check.sourced("basis", &basis.source);
        check.positive("basis", "bf16", basis.bf16.0);
        check.positive("basis", "bandwidth", basis.bandwidth.0);
    }
    let gemm = &file.fit.bf16;
    check.sourced("fit.bf16", &gemm.source);
    check.fraction("fit.bf16", "ec", gemm.ec, 1.0);
    check.fraction("fit.bf16", "eb", gemm.eb, 1.0);
    check.not_negative("fit.bf16", "t0", gemm.t0.0);
    within_peak(check, "fit.bf16", "ec", gemm.ec * basis.peak.0, sheet.bf16.0);
    within_peak(check, "fit.bf16", "eb", gemm.eb * basis.bandwidth.0, sheet.bandwidth.0);
    check.sourced("fit.elementwise", &file.fit.elementwise.source);
    check.not_negative("fit.elementwise", "ew0", file.fit.elementwise.ew0.0);
    check.fraction("fit.elementwise", "ee", file.fit.elementwise.ee, 2.0);
    file.power.check(check, sheet.tdp);
    check.sourced("price", &file.price.source);
    check.not_negative("price", "usd-per-hour", file.price.usd_per_hour);
}

/// What the fit reaches may not exceed what the maker promises.
fn within_peak(check: &mut Check<'_>, table: &str, key: &str, achieved: f64, promised: f64) {
    let message = format!("reaches {achieved:.3e}, above the datasheet's {promised:.3e}");
    check.that(achieved <= promised, table, key, message, "correct the fit, its basis or the datasheet");
}

/// Attention constants; exactly one prefill law must be complete.
fn check_attention(check: &mut Check<'_>, file: &File, basis: Rates) -> Option<PrefillLaw> {
    const TABLE: &str = "fit.attention";
    let (a, sheet) = (&file.fit.attention, &file.datasheet);
    check.sourced(TABLE, &a.source);
    for (key, value) in [("a0", a.a0), ("a1", a.a1), ("p0", a.p0)] {
        check.not_negative(TABLE, key, value.0);
    }
    check.fraction(TABLE, "ea", a.ea, 1.0);
    check.positive(TABLE, "l2", a.l2.map_or(1.0, |bytes| bytes.0));
    within_peak(check, TABLE, "ea", a.ea * basis.bandwidth.0, sheet.bandwidth.0);
    let any_tile = a.tau.or(a.pm0).or(a.tau_m).is_some() || a.al.or(a.al_m).or(a.l_m).is_some();
    let law = match (a.ep, a.epb, (a.tau, a.al, a.pm0, a.tau_m, a.al_m, a.l_m)) {
        (Some(ep), Some(epb), _) if !any_tile => Some(PrefillLaw::Flops { ep, epb }),
        (None, None, (Some(tau), Some(al), Some(pm0), Some(tau_m), Some(al_m), Some(l_m))) => {
            Some(PrefillLaw::Tiles { tau, al, pm0, tau_m, al_m, l_m })
        }
        _ => None,
    };
    check.that(
        law.is_some(),
        TABLE,
        "prefill law",
        "must be either `ep`, `epb` or `tau`, `al`, `pm0`, `tau-m`, `al-m`, `l-m`, all of one kind",
        "give the missing keys of one law and remove those of the other",
    );
    match law? {
        PrefillLaw::Flops { ep, epb } => {
            check.fraction(TABLE, "ep", ep, 1.0);
            check.fraction(TABLE, "epb", epb, 1.0);
            within_peak(check, TABLE, "ep", ep * basis.peak.0, sheet.bf16.0);
            within_peak(check, TABLE, "epb", epb * basis.bandwidth.0, sheet.bandwidth.0);
        }
        PrefillLaw::Tiles { tau, al, pm0, tau_m, al_m, l_m } => {
            check.positive(TABLE, "tau", tau.0);
            check.positive(TABLE, "tau-m", tau_m.0);
            check.not_negative(TABLE, "pm0", pm0.0);
            // Causal attention needs one half of the chunk's own tokens at least, all of them at most.
            for (key, value) in [("al", al), ("al-m", al_m)] {
                let message = format!("must be in [0.5, 1], got {value}");
                check.that(
                    (0.5..=1.0).contains(&value),
                    TABLE,
                    key,
                    message,
                    "causal attention sees a half or more",
                );
            }
            check.fraction(TABLE, "l-m", l_m, 1.0);
            // 64 queries x head of 128 x 4 FLOP for each KV token on one multiprocessor.
            let flops = 4.0 * 64.0 * 128.0 * f64::from(sheet.sms);
            within_peak(check, TABLE, "tau", flops / tau.0, sheet.bf16.0);
            within_peak(check, TABLE, "tau-m", flops / tau_m.0, sheet.bf16.0);
        }
    }
    law
}
