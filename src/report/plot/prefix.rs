//! The prefix cache: how many prompt tokens it saves, at which reuse distance, and what more memory would bring.

use super::chart::{Axis, AxisUnit, Chart, Scale, Series};
use super::figures::Figure;
use super::style::{Ink, Stroke};
use super::systems::{legend_name, stroke};
use crate::metrics::ReuseBin;
use crate::report::format;
use crate::results::extracts::reuse_of;
use crate::results::{Comparison, PointComparison, Study};

/// What one caching system does with its prompts.
struct Caching {
    system: usize,
    bins: Vec<ReuseBin>,
}

impl Caching {
    fn tokens(&self) -> u64 {
        self.bins.iter().map(|b| b.tokens).sum()
    }

    fn hits(&self) -> u64 {
        self.bins.iter().map(|b| b.hits).sum()
    }

    /// Share of all prompt tokens that came from the cache.
    fn share(&self) -> f64 {
        self.hits() as f64 / self.tokens().max(1) as f64
    }
}

/// Systems that found a token in their cache, at the headline load.
fn caching(study: &Study, point: &PointComparison) -> Vec<Caching> {
    let of = |system| Caching { system, bins: reuse_of(study, point.point, system) };
    study.display_order().into_iter().map(of).filter(|c| c.hits() > 0).collect()
}

/// Hits against memory: the curve of an LRU list over the trace, and where the systems stand.
pub(super) fn capacity_curve(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let point = comparison.headline()?;
    let systems = caching(study, point);
    let first = systems.first()?;
    let tokens = first.tokens().max(1) as f64;
    let mut hit = 0;
    let curve = first.bins.iter().filter(|b| b.distance > 0).map(|bin| {
        hit += bin.tokens;
        (bin.distance as f64, hit as f64 / tokens)
    });
    let curve: Vec<(f64, f64)> = curve.collect();
    let most = curve.last().map_or(0.0, |p| p.1);
    let lru = Stroke { dash: 1, ..Stroke::plain(Ink::Bound) };
    let name = "LRU list (bound)".to_owned();
    let mut series = vec![Series { name, stroke: lru, points: curve, band: Vec::new() }];
    for caching in &systems {
        let info = &study.systems[caching.system];
        let memory = (info.kv_tokens + info.host_cache_tokens).max(1) as f64;
        series.push(Series {
            name: legend_name(study, caching.system),
            stroke: Stroke { line: false, ..stroke(study, caching.system, true) },
            points: vec![(memory, caching.share())],
            band: Vec::new(),
        });
    }
    let best = systems.iter().max_by(|a, b| a.share().total_cmp(&b.share()))?;
    let title = format!(
        "{} takes {} of {} prompt tokens from its cache ({}); with unlimited memory it would be {}",
        study.systems[best.system].name,
        millions(best.hits()),
        millions(best.tokens()),
        format::percent(best.share()),
        format::percent(most)
    );
    let chart = Chart {
        title,
        x: axis(
            "KV memory of the deployment, with its host tier (tokens, log scale)",
            Scale::Log,
            AxisUnit::Plain,
            None,
        ),
        y: axis("prompt tokens found in the cache", Scale::Linear, AxisUnit::Percent, None),
        series,
        lines: Vec::new(),
    };
    let has_tier = |c: &Caching| study.systems[c.system].host_cache_tokens > 0;
    let tier = if systems.iter().any(has_tier) {
        " A system with `host-cache` stands at the memory of its accelerators plus that of its host tier."
    } else {
        ""
    };
    let caption = format!(
        "At {}, all seeds. Grey: what one LRU list of that size over all prompts, in order of arrival, would find (steps of \
         a factor of two); running requests take memory too, and several replicas do not share, so systems lie below it.{tier}",
        point.name()
    );
    Some(Figure::new("prefix-capacity.svg", caption, chart))
}

/// Share of the tokens at each reuse distance that were found.
pub(super) fn by_distance(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let point = comparison.headline()?;
    let systems = caching(study, point);
    let found = |c: &Caching| -> Vec<(f64, f64)> {
        let reused = c.bins.iter().filter(|b| b.distance > 0);
        reused.map(|b| (b.distance as f64, b.hits as f64 / b.tokens.max(1) as f64)).collect()
    };
    let first = systems.first()?;
    let series = systems
        .iter()
        .map(|c| Series {
            name: legend_name(study, c.system),
            stroke: stroke(study, c.system, true),
            points: found(c),
            band: Vec::new(),
        })
        .collect();
    let half = found(first).into_iter().find(|p| p.1 < 0.5);
    let title = match half {
        Some((distance, _)) => format!(
            "{} loses more than half of what comes again after {} tokens",
            study.systems[first.system].name,
            format::digits(distance / 2.0)
        ),
        None => format!(
            "{} finds more than half of what comes again, at every distance",
            study.systems[first.system].name
        ),
    };
    let chart = Chart {
        title,
        x: axis(
            "reuse distance (tokens of other prompts in between, log scale)",
            Scale::Log,
            AxisUnit::Plain,
            None,
        ),
        y: axis("found in the cache, share of tokens", Scale::Linear, AxisUnit::Percent, Some((0.0, 1.0))),
        series,
        lines: Vec::new(),
    };
    let caption = format!(
        "At {}, all seeds. Prompt tokens that stood in an earlier prompt, by the memory that an LRU list needs to still hold \
         them, rounded up to a power of two.",
        point.name()
    );
    Some(Figure::new("prefix-distance.svg", caption, chart))
}

/// `0.845 M`, or the number itself when it is small.
fn millions(tokens: u64) -> String {
    let tokens = tokens as f64;
    if tokens < 1e5 { format::digits(tokens) } else { format!("{} M", format::digits(tokens / 1e6)) }
}

fn axis(label: &str, scale: Scale, unit: AxisUnit, range: Option<(f64, f64)>) -> Axis {
    Axis { label: label.to_owned(), scale, unit, range, marks: Vec::new() }
}
