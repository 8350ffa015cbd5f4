//! The tokens of one request in time, with the culprit of its longest stall.

use super::super::backend::Anchor;
use super::super::chart::{Axis, AxisUnit, Scale};
use super::super::figures::Figure;
use super::super::style::{Ink, Stroke};
use super::linear;
use super::panel::{Fill, Grid, Layer, Panel, Swatch};
use crate::report::format;
use crate::results::{Comparison, GapCause, Study, TokenRow, TokenTimeline};

/// Causes, with their names, markers and colours.
const CAUSES: [(GapCause, &str, usize, Ink); 5] = [
    (GapCause::Decode, "decode steps only", 0, Ink::Series(0)),
    (GapCause::OtherPrompt, "other's prompt in it", 2, Ink::Series(1)),
    (GapCause::Preemption, "preempted in it", 3, Ink::Series(3)),
    (GapCause::Queue, "first token: queue", 1, Ink::Series(4)),
    (GapCause::OwnPrompt, "first token: own prompt", 1, Ink::Series(2)),
];

/// Tokens shown on each side of the longest stall.
const AROUND: usize = 12;

/// The chart; none where nobody watched a request, or it has no two tokens.
pub(in crate::report::plot) fn figure(study: &Study, _comparison: &Comparison) -> Option<Figure> {
    let watched = study.token_timeline.as_ref()?;
    let longest = watched.longest_gap()?;
    let stall = &watched.tokens[longest];
    let limit = study.slo.gap_max.or(study.slo.gap_p99).map(crate::units::SimDuration::as_secs_f64);
    let whole = gaps_panel(watched, longest, limit);
    let near = stairs_panel(watched, longest);
    let used = |cause: GapCause| watched.tokens.iter().any(|t| t.cause == cause);
    let causes = CAUSES.iter().filter(|c| used(c.0));
    let mut legend: Vec<(Swatch, String)> =
        causes.map(|&(_, name, kind, ink)| (Swatch::Point(kind, ink), name.to_owned())).collect();
    if limit.is_some() {
        legend.push((Swatch::Line(LIMIT), "limit on gaps".to_owned()));
    }
    let point = study.points.get(watched.point).map_or("", |p| p.label.as_str());
    let system = study.systems.get(watched.system).map_or("", |s| s.name.as_str());
    let title = format!(
        "At {point}, the longest stall of {system} is {} between two tokens of request {}: {}",
        format::seconds(stall.gap_s),
        watched.request,
        culprit(stall)
    );
    let grid = Grid { title, rows: vec![(160.0, vec![whole]), (190.0, vec![near])], legend };
    let caption = format!(
        "The request with the longest gap of the run (seed {}): {} prompt tokens, {} answer tokens. Above: the gap before each \
         token, by what it was spent on. Below: its tokens around the longest stall; letters mark the three longest gaps \
         and name the request with most prompt tokens in them. Times are the engine's. All tokens: timeline/{}.",
        watched.seed,
        format::digits(f64::from(watched.prompt)),
        format::digits(watched.tokens.len() as f64),
        watched.file()
    );
    Some(Figure::new("token-timeline.svg", caption, grid))
}

const LIMIT: Stroke =
    Stroke { ink: Ink::Limit, dash: 4, marker: None, strong: false, line: true, pale: false };

/// `the prompt of request 862 (730 tokens) was in the step`.
fn culprit(token: &TokenRow) -> String {
    let prompt = |(request, tokens): (u32, u32)| {
        let steps = if token.steps > 1 { format!("{} steps", token.steps) } else { "step".to_owned() };
        format!(
            "{} prompt tokens of request {request} were computed in its {steps}",
            format::digits(f64::from(tokens))
        )
    };
    match (token.cause, token.culprit) {
        (GapCause::Preemption, _) => format!("it was preempted, and back after {} steps", token.steps),
        (_, Some(found)) => prompt(found),
        _ => "no prompt of another was computed in it".to_owned(),
    }
}

/// Gap before each token.
fn gaps_panel(watched: &TokenTimeline, longest: usize, limit: Option<f64>) -> Panel {
    let since = |t: &TokenRow| t.at_s - watched.arrival_s;
    let mut layers = Vec::new();
    let end = watched.tokens.last().map_or(1.0, since);
    if let Some(limit) = limit {
        layers.push(Layer::Line(vec![(0.0, limit), (end, limit)], LIMIT));
    }
    for &(cause, _, kind, ink) in &CAUSES {
        let points = watched.tokens.iter().filter(|t| t.cause == cause && t.gap_s > 0.0);
        let points = apart(points.map(|t| (since(t), t.gap_s)), end);
        if !points.is_empty() {
            layers.push(Layer::Points(points, kind, ink));
        }
    }
    let stall = &watched.tokens[longest];
    layers.push(Layer::Mark(
        since(stall),
        format!("longest: {}", format::seconds(stall.gap_s)),
        Ink::Foreground,
    ));
    Panel {
        name: format!("request {}: gap before each token (log scale)", watched.request),
        x: linear("time since the request arrived (s)", AxisUnit::Plain, None),
        y: Axis {
            label: String::new(),
            scale: Scale::Log,
            unit: AxisUnit::Seconds,
            range: None,
            marks: Vec::new(),
        },
        rows: Vec::new(),
        layers,
    }
}

/// Points without those that would cover the one before: closer than a few hundredths of what one sees.
fn apart(points: impl Iterator<Item = (f64, f64)>, end: f64) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for (x, y) in points {
        let covered = kept.last().is_some_and(|l| x - l.0 < end / 250.0 && (y / l.1 - 1.0).abs() < 0.02);
        if !covered {
            kept.push((x, y));
        }
    }
    kept
}

/// Tokens received against time around the longest stall, with its three longest gaps named.
fn stairs_panel(watched: &TokenTimeline, longest: usize) -> Panel {
    let from = longest.saturating_sub(AROUND);
    let to = (longest + AROUND).min(watched.tokens.len() - 1);
    let origin = watched.tokens[longest - 1].at_s;
    let since = |i: usize| watched.tokens[i].at_s - origin;
    let mut stairs = Vec::new();
    for i in from..=to {
        if i > from {
            stairs.push((since(i), i as f64));
        }
        stairs.push((since(i), (i + 1) as f64));
    }
    let mut by_gap: Vec<usize> = (from + 1..=to).collect();
    by_gap.sort_by(|&a, &b| watched.tokens[b].gap_s.total_cmp(&watched.tokens[a].gap_s));
    let mut layers = Vec::new();
    let (low, high) = (from as f64, to as f64 + 2.0);
    let (width, line) = (since(to) - since(from), (high - low) / 11.0);
    let mut notes = Vec::new();
    let stalls = by_gap.iter().copied().filter(|&i| watched.tokens[i].cause != GapCause::Decode);
    // Stairs rise from left to right: the corner above them is free for the list.
    for (letter, i) in ["A", "B", "C"].into_iter().zip(stalls) {
        let token = &watched.tokens[i];
        let fill = Fill { ink: Ink::Grid, hatch: 0 };
        let hair = width * 0.001;
        layers.push(Layer::Box((since(i - 1) + hair, low), (since(i) - hair, high), fill));
        let middle = (since(i - 1) + since(i)) / 2.0;
        notes.push(Layer::Note((middle, low + line * 0.7), letter.to_owned(), Anchor::Middle));
        let text = match (token.cause, token.culprit) {
            (GapCause::Preemption, _) => "preempted".to_owned(),
            (_, Some((request, tokens))) => {
                format!("request {request}, {} prompt tokens", format::digits(f64::from(tokens)))
            }
            _ => "nobody's prompt".to_owned(),
        };
        let row = high - line * (0.9 + 1.1 * (notes.len() / 2) as f64);
        let text = format!("{letter}: {}, {text}", format::seconds(token.gap_s));
        notes.push(Layer::Note((since(from) + width * 0.012, row), text, Anchor::Start));
    }
    layers.push(Layer::Line(stairs, Stroke { strong: true, ..Stroke::plain(Ink::Series(0)) }));
    layers.extend(notes);
    Panel {
        name: "tokens received, around the longest stall".to_owned(),
        x: linear(
            "time since the token before the stall (s)",
            AxisUnit::Plain,
            Some((since(from), since(to).max(1e-6))),
        ),
        y: linear("", AxisUnit::Plain, Some((low, high))),
        rows: Vec::new(),
        layers,
    }
}
