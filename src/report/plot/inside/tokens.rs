//! The tokens of one request in time, with the culprit of its longest stall.

use super::super::backend::Anchor;
use super::super::chart::{Axis, AxisUnit, Scale};
use super::super::figures::Figure;
use super::super::style::{Ink, Stroke};
use super::linear;
use super::panel::{Fill, Grid, Layer, Panel, Swatch};
use crate::report::format;
use crate::results::{GapCause, Study, TokenRow, TokenTimeline};

/// Causes, with their names, markers and colours.
const CAUSES: [(GapCause, &str, usize, Ink); 5] = [
    (GapCause::Decode, "decode steps only", 0, Ink::Series(0)),
    (GapCause::OtherPrompt, "prompt of another in it", 2, Ink::Series(1)),
    (GapCause::Preemption, "preempted in it", 3, Ink::Series(3)),
    (GapCause::Queue, "first token: queue", 1, Ink::Series(4)),
    (GapCause::OwnPrompt, "first token: own prompt", 1, Ink::Series(2)),
];

/// Tokens shown on each side of the longest stall.
const AROUND: usize = 12;

/// The chart; none where nobody watched a request, or it has no two tokens.
pub(super) fn figure(study: &Study) -> Option<Figure> {
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
    let grid = Grid { title: title.clone(), rows: vec![(160.0, vec![whole]), (190.0, vec![near])], legend };
    let caption = format!(
        "The request with the longest gap of the run (seed {}): {} prompt tokens, {} answer tokens. Above: the gap before each \
         token, by what it was spent on. Below: its tokens around the longest stall; texts name the request whose prompt was \
         computed in the meantime. Times are the engine's. All tokens: timeline/{}.",
        watched.seed,
        format::digits(f64::from(watched.prompt)),
        format::digits(watched.tokens.len() as f64),
        watched.file()
    );
    Some(Figure { file: "token-timeline.svg", title, caption, svg: grid.to_svg() })
}

const LIMIT: Stroke = Stroke { ink: Ink::Limit, dash: 4, marker: None, strong: false };

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
        let points: Vec<(f64, f64)> = watched
            .tokens
            .iter()
            .filter(|t| t.cause == cause && t.gap_s > 0.0)
            .map(|t| (since(t), t.gap_s))
            .collect();
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
    let left_half = |x: f64| x < (since(from) + since(to)) / 2.0;
    let mut notes = Vec::new();
    for &i in by_gap.iter().take(3).filter(|&&i| watched.tokens[i].cause != GapCause::Decode) {
        let token = &watched.tokens[i];
        let fill = Fill { ink: Ink::Grid, hatch: 0 };
        layers.push(Layer::Box((since(i - 1), low), (since(i), high), fill));
        let text = match (token.cause, token.culprit) {
            (GapCause::Preemption, _) => format!("{}: preempted", format::seconds(token.gap_s)),
            (_, Some((request, tokens))) => format!(
                "{}: request {request}, {} prompt tokens",
                format::seconds(token.gap_s),
                format::digits(f64::from(tokens))
            ),
            _ => format::seconds(token.gap_s),
        };
        // Above the stairs on their left half, below on their right half: there is room.
        let middle = (since(i - 1) + since(i)) / 2.0;
        let note = if left_half(middle) {
            ((since(i - 1), (i as f64 + 2.4).min(high - 0.6)), text, Anchor::Start)
        } else {
            ((since(i), i as f64 - 1.4), text, Anchor::End)
        };
        notes.push(Layer::Note(note.0, note.1, note.2));
    }
    layers.push(Layer::Line(stairs, Stroke { ink: Ink::Series(0), dash: 0, marker: None, strong: true }));
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
