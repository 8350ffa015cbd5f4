//! Ranges in a grid: `{ from = 256, to = 4096, factor = 2 }` stands for the list 256, 512, … 4096.

use std::ops::Range;

use crate::diagnostic::{InputErrors, Node, Sources, Value};

/// Most values of a range; more is a slip of the pen.
const VALUES_MAX: usize = 1_000;

/// `grid` with every range written out as a list.
pub(super) fn expand(grid: &Node, table: &str, sources: &Sources) -> Result<Node, InputErrors> {
    let mut errors = InputErrors::default();
    let expanded = expand_at(grid, table, sources, &mut errors);
    errors.or(expanded)
}

fn expand_at(node: &Node, path: &str, sources: &Sources, errors: &mut InputErrors) -> Node {
    let Some(entries) = node.entries() else { return node.clone() };
    if entries.contains_key("from") || entries.contains_key("to") {
        return match values(node, path, sources) {
            Ok(list) => Node { span: node.span.clone(), value: Value::Array(list) },
            Err(more) => {
                errors.0.extend(more.0);
                // Something that is accepted, so that the problem is told once.
                Node {
                    span: node.span.clone(),
                    value: Value::Array(vec![Node { span: node.span.clone(), value: Value::Integer(1) }]),
                }
            }
        };
    }
    let mut out = node.clone();
    if let Some(inner) = out.entries_mut() {
        for (key, (_, value)) in inner.iter_mut() {
            *value = expand_at(value, &format!("{path}.{key}"), sources, errors);
        }
    }
    out
}

/// A number of a range: whole ones stay whole.
#[derive(Clone, Copy)]
enum Number {
    Whole(i64),
    Real(f64),
}

impl Number {
    fn of(node: &Node) -> Option<Number> {
        match node.value {
            Value::Integer(n) => Some(Number::Whole(n)),
            Value::Float(f) if f.is_finite() => Some(Number::Real(f)),
            _ => None,
        }
    }

    fn real(self) -> f64 {
        match self {
            Number::Whole(n) => n as f64,
            Number::Real(f) => f,
        }
    }
}

/// The list that a range stands for.
fn values(node: &Node, path: &str, sources: &Sources) -> Result<Vec<Node>, InputErrors> {
    let help = "write a list, `{ from = 1, to = 8, step = 1 }` or `{ from = 1, to = 64, factor = 2 }`";
    let wrong =
        |span: Range<usize>, message: String| -> InputErrors { sources.error(span, message, help).into() };
    let known = ["from", "to", "step", "factor"];
    let entries = node.entries().into_iter().flatten();
    if let Some((key, (span, _))) = entries.into_iter().find(|(key, _)| !known.contains(&key.as_str())) {
        return Err(wrong(span.clone(), format!("`{path}`: a range has no `{key}`")));
    }
    let number = |key: &str| -> Result<Option<Number>, InputErrors> {
        let Some(found) = node.get(key) else { return Ok(None) };
        let value = Number::of(found);
        let message = || format!("`{path}.{key}`: {found} is no number");
        value.map(Some).ok_or_else(|| wrong(found.span.clone(), message()))
    };
    let (from, to, step, factor) = (number("from")?, number("to")?, number("step")?, number("factor")?);
    let (Some(from), Some(to)) = (from, to) else {
        return Err(wrong(node.span.clone(), format!("`{path}`: a range has both `from` and `to`")));
    };
    let by: Box<dyn Fn(f64) -> f64> = match (step.map(Number::real), factor.map(Number::real)) {
        (Some(step), None) if step > 0.0 => Box::new(move |v| v + step),
        (None, Some(factor)) if factor > 1.0 && from.real() > 0.0 => Box::new(move |v| v * factor),
        (Some(_), None) => {
            return Err(wrong(node.value_span("step"), format!("`{path}.step` is not above 0")));
        }
        (None, Some(_)) => {
            let message = format!("`{path}`: a factor is above 1, and its range begins above 0");
            return Err(wrong(node.value_span("factor"), message));
        }
        _ => {
            return Err(wrong(node.span.clone(), format!("`{path}`: a range has either `step` or `factor`")));
        }
    };
    if to.real() < from.real() {
        return Err(wrong(node.value_span("to"), format!("`{path}`: the range ends before it begins")));
    }
    let whole =
        [Some(from), Some(to), step, factor].into_iter().flatten().all(|n| matches!(n, Number::Whole(_)));
    let mut list = Vec::new();
    let mut value = from.real();
    while value <= to.real() * (1.0 + 1e-9) && list.len() <= VALUES_MAX {
        list.push(Node { span: node.span.clone(), value: written(value, whole) });
        value = by(value);
    }
    if list.len() > VALUES_MAX {
        return Err(wrong(
            node.span.clone(),
            format!("`{path}`: the range has more than {VALUES_MAX} values"),
        ));
    }
    Ok(list)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "sums and products of whole numbers up to a whole number"
)]
fn written(value: f64, whole: bool) -> Value {
    // Twelve digits: 0.1 + 0.2 is 0.3 to whoever writes a range.
    let rounded: f64 = format!("{value:.11e}").parse().unwrap_or(value);
    if whole { Value::Integer(value.round() as i64) } else { Value::Float(rounded) }
}
