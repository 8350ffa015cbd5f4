//! Attainment over the rate, from the trials of a search of capacities, and over the strictness of the limits
//! (DistServe, OSDI'24, figures 8 and 9).

use super::chart::{Axis, AxisUnit, Chart, Orientation, ReferenceLine, Scale, Series};
use super::figures::Figure;
use super::systems::{legend_name, series_of, stroke};
use crate::metrics::slo::Limit;
use crate::report::format;
use crate::results::capacity::{CapacityTable, CapacityTrial};
use crate::results::{CapacityDetail, Curve, Study};

/// A share of the requests of a trial.
type Share = fn(&CapacityTrial) -> Option<f64>;

/// All curves of a search; a limit that is not set has none.
pub(in crate::report) fn figures(study: &Study, detail: &CapacityDetail) -> Vec<Figure> {
    let Some(table) = &study.capacity else { return Vec::new() };
    let kinds: [(&str, &str, bool, Share); 3] = [
        ("attainment-joint.svg", "all their limits", per_request(study, None), |t| t.attainment),
        ("attainment-ttft.svg", "their TTFT limit", per_request(study, Some(Limit::Ttft)), |t| {
            t.attainment_ttft
        }),
        ("attainment-tpot.svg", "their TPOT limit", per_request(study, Some(Limit::Tpot)), |t| {
            t.attainment_tpot
        }),
    ];
    let set = kinds.into_iter().filter(|k| k.2);
    let mut figures: Vec<Figure> = set
        .filter_map(|(file, what, _, share)| over_rate(study, table, detail, (file, what, share)))
        .collect();
    figures.extend(over_scale(study, detail));
    figures
}

/// Whether a limit per request is set; `None`: any.
fn per_request(study: &Study, limit: Option<Limit>) -> bool {
    match limit {
        // With a list of limits, the first of them is drawn.
        Some(limit) => {
            let varied = study.capacity.as_ref().is_some_and(|t| t.limit == Some(limit));
            varied || study.slo.get(limit).is_some()
        }
        None => Limit::PER_REQUEST.iter().any(|&l| per_request(study, Some(l))),
    }
}

/// GPUs of a system, at least one.
fn gpus(study: &Study, system: usize) -> f64 {
    f64::from(study.systems[system].gpus.max(1))
}

fn series(study: &Study, system: usize, curve: &Curve, divide: f64) -> Option<Series> {
    let shown = |v: f64| v.clamp(0.0, 1.0);
    (!curve.is_empty()).then(|| Series {
        name: legend_name(study, system),
        stroke: stroke(study, system, false),
        points: curve.iter().map(|(x, v)| (x / divide, v.mean)).collect(),
        band: curve
            .iter()
            .filter(|(_, v)| v.half_width.is_some())
            .map(|(x, v)| (x / divide, shown(v.low()), shown(v.high())))
            .collect(),
    })
}

/// From a twentieth of the smallest capacity per GPU to twice the largest: a design that never meets the limits would
/// stretch the axis over empty decades. None without any capacity.
fn shown_rates(study: &Study, table: &CapacityTable) -> Option<(f64, f64)> {
    let of = table
        .cells
        .iter()
        .filter(|c| c.point == 0)
        .filter_map(|c| Some(c.value?.mean / gpus(study, c.system)));
    let found: Vec<f64> = of.filter(|rate| *rate > 0.0).collect();
    let low = found.iter().copied().min_by(f64::total_cmp)?;
    let high = found.iter().copied().max_by(f64::total_cmp)?;
    Some((low / 20.0, high * 2.0))
}

fn percent_axis() -> Axis {
    Axis {
        label: "requests within their limits, share of all that arrived".to_owned(),
        scale: Scale::Linear,
        unit: AxisUnit::Percent,
        range: Some((0.0, 1.0)),
        marks: Vec::new(),
    }
}

fn target(study: &Study) -> ReferenceLine {
    ReferenceLine {
        orientation: Orientation::Horizontal,
        at: study.attainment_target,
        label: format!("target {}", format::percent(study.attainment_target)),
    }
}

fn over_rate(
    study: &Study,
    table: &CapacityTable,
    detail: &CapacityDetail,
    (file, what, share): (&'static str, &str, Share),
) -> Option<Figure> {
    let curve =
        |system: usize| series(study, system, &detail.over_rate(system, 0, share), gpus(study, system));
    let mut drawn = series_of(study, curve);
    let range = shown_rates(study, table)?;
    for series in &mut drawn {
        series.points.retain(|p| range.0 <= p.0 && p.0 <= range.1);
        series.band.retain(|b| range.0 <= b.0 && b.0 <= range.1);
    }
    drawn.retain(|series| !series.points.is_empty());
    if drawn.is_empty() {
        return None;
    }
    // How far each design goes before its curve crosses the target.
    let mut reach: Vec<(f64, usize)> = Vec::new();
    for system in study.display_order().into_iter().filter(|&s| !study.systems[s].bound) {
        let curve = detail.over_rate(system, 0, share);
        let held = curve.iter().take_while(|(_, v)| v.mean >= study.attainment_target).last();
        reach.extend(held.map(|(rate, _)| (rate / gpus(study, system), system)));
    }
    let best = reach.iter().max_by(|a, b| a.0.total_cmp(&b.0));
    let target_text = format::percent(study.attainment_target);
    let title = match best {
        Some((rate, system)) => format!(
            "{} keeps {target_text} of the requests within {what} up to {} req/s per GPU",
            study.systems[*system].name,
            format::digits(*rate)
        ),
        None => {
            format!("No design keeps {target_text} of the requests within {what} at any rate that was tried")
        }
    };
    let limit = table.limit.zip(table.limits_s.first()).map_or_else(String::new, |(limit, s)| {
        format!(" At {} ≤ {}, the first of the list.", limit.name(), format::limit(*s))
    });
    let caption = format!(
        "From the trials of the search: each seed is a line between the rates it tried, and the curve is their mean with its \
         95 % interval. Trials that failed early are short, so the right end says only that too much was asked. Rates from a \
         twentieth of the smallest capacity to twice the largest; designs that only tried slower ones are left out.{limit}"
    );
    let chart = Chart {
        title,
        x: Axis {
            label: "rate (req/s per GPU, log scale)".to_owned(),
            scale: Scale::Log,
            unit: AxisUnit::Plain,
            range: Some(range),
            marks: Vec::new(),
        },
        y: percent_axis(),
        series: drawn,
        lines: vec![target(study)],
    };
    Some(Figure::new(file, caption, chart))
}

fn over_scale(study: &Study, detail: &CapacityDetail) -> Option<Figure> {
    let rate = detail.scale_rate_per_s?;
    let drawn = series_of(study, |system| series(study, system, &detail.over_scale(system), 1.0));
    if drawn.is_empty() {
        return None;
    }
    let strictest = |system: usize| {
        let curve = detail.over_scale(system);
        let met = curve.iter().find(|(_, v)| v.mean >= study.attainment_target)?;
        Some((met.0, -met.1.mean, system))
    };
    let designs = study.display_order().into_iter().filter(|&s| !study.systems[s].bound);
    let best = designs
        .filter_map(strictest)
        .min_by(|a, b| (a.0, a.1).partial_cmp(&(b.0, b.1)).unwrap_or(std::cmp::Ordering::Equal));
    let shown = format::digits(rate);
    let title = match best {
        Some((scale, _, system)) => {
            format!(
                "At {shown} req/s {} holds the strictest limits: {scale} × the SLO",
                study.systems[system].name
            )
        }
        None => format!("At {shown} req/s no design holds even the loosest limits drawn"),
    };
    let caption = format!(
        "Attainment with all limits per request multiplied by the same factor, every system at {shown} req/s, the capacity of \
         {} (the largest where it has none). Further left is stricter. Bands are 95 % intervals over the seeds.",
        study.reference
    );
    let mut lines = vec![target(study)];
    lines.push(ReferenceLine { orientation: Orientation::Vertical, at: 1.0, label: "the SLO".to_owned() });
    let chart = Chart {
        title,
        x: Axis {
            label: "limits, multiples of the SLO (log scale)".to_owned(),
            scale: Scale::Log,
            unit: AxisUnit::Plain,
            range: None,
            marks: Vec::new(),
        },
        y: percent_axis(),
        series: drawn,
        lines,
    };
    Some(Figure::new("attainment-scale.svg", caption, chart))
}
