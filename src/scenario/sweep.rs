//! `[sweep]`: one system, and every combination of the values that a grid gives some of its keys.
//!
//! Each combination is a variant of the base, compared like any other; its name says what was set.

use std::collections::BTreeMap;
use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostic::{InputErrors, Node, Sources, Value, from_tree};
use crate::results::{SweepAxis, SweepInfo};

/// Most combinations of a grid: beyond, a study of all of them is no longer interactive.
const CELLS_MAX: usize = 1_000;

/// `[sweep]` without its grid.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Options {
    /// The system that all combinations vary.
    base: String,
    /// Lists of values for keys of a system; every combination of them is a variant.
    #[serde(default, rename = "grid")]
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    _grid: Option<serde::de::IgnoredAny>,
}

/// A grid, spread out into variants.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// What was swept, for the report.
    pub info: SweepInfo,
    /// Where problems of a combination are reported when no value of it is to blame.
    pub span: Range<usize>,
    /// The variants by name.
    variants: BTreeMap<String, (Range<usize>, Node)>,
}

/// One key of the grid.
#[derive(Clone)]
pub(super) struct Axis<'a> {
    pub(super) path: String,
    pub(super) values: &'a [Node],
}

impl Sweep {
    /// Reads `[sweep]`.
    pub fn read(node: &Node, sources: &Sources) -> Result<Sweep, InputErrors> {
        let options: Options = from_tree(node, "sweep", sources)?;
        let grid = node.get("grid").filter(|g| g.entries().is_some_and(|e| !e.is_empty()));
        let Some(grid) = grid else {
            let help =
                "add `[sweep.grid]` with lists, such as `scheduler.unified.token-budget = [512, 2048]`";
            return Err(sources.error(node.value_span("grid"), "`sweep` has no grid", help).into());
        };
        let axes = axes(grid, "sweep.grid", sources)?;
        let cells: usize = axes.iter().map(|a| a.values.len()).fold(1, usize::saturating_mul);
        if cells > CELLS_MAX {
            let message = format!("`sweep.grid` has {cells} combinations");
            let help = format!("at most {CELLS_MAX}; shorten a list");
            return Err(sources.error(grid.span.clone(), message, help).into());
        }
        let short = short_names(&axes);
        let base_span = node.value_span("base");
        let mut variants = BTreeMap::new();
        let mut order = Vec::new();
        for cell in 0..cells {
            let chosen = combination(&axes, cell);
            let words: Vec<String> =
                short.iter().zip(&chosen).map(|(name, value)| format!("{name}={}", plain(value))).collect();
            let name = words.join(" ");
            let mut variant = Node::table(base_span.clone());
            for (axis, value) in axes.iter().zip(&chosen) {
                write(&mut variant, &axis.path, value);
            }
            let base = Node { span: base_span.clone(), value: Value::String(options.base.clone()) };
            write(&mut variant, "base", &base);
            variants.insert(name.clone(), (base_span.clone(), variant));
            order.push(name);
        }
        let axes = axes.iter().zip(short).map(|(axis, name)| SweepAxis {
            key: axis.path.clone(),
            name,
            values: axis.values.iter().map(plain).collect(),
        });
        let info = SweepInfo { base: options.base, axes: axes.collect(), systems: order };
        Ok(Sweep { info, span: base_span, variants })
    }

    /// Variants that another table makes of `base`.
    pub(super) fn of_variants(base: String, span: Range<usize>, variants: Vec<(String, Node)>) -> Sweep {
        let systems = variants.iter().map(|(name, _)| name.clone()).collect();
        let placed = variants.into_iter().map(|(name, node)| (name, (span.clone(), node))).collect();
        Sweep { info: SweepInfo { base, axes: Vec::new(), systems }, span, variants: placed }
    }

    /// The variant called `name`.
    pub fn variant(&self, name: &str) -> Option<&(Range<usize>, Node)> {
        self.variants.get(name)
    }
}

/// The leaves of the grid, which must be lists of different values.
pub(super) fn axes<'a>(grid: &'a Node, table: &str, sources: &Sources) -> Result<Vec<Axis<'a>>, InputErrors> {
    let mut errors = InputErrors::default();
    let mut axes = Vec::new();
    for (path, leaf) in grid.leaves() {
        let Value::Array(values) = &leaf.value else {
            let message = format!("`{table}.{path}` is no list");
            let help = format!("write `{path} = [{leaf}, …]`, or set it in `[systems]`");
            errors.0.push(sources.error(leaf.span.clone(), message, help));
            continue;
        };
        if values.is_empty() {
            let help = "write at least one value";
            errors.0.push(sources.error(leaf.span.clone(), format!("`{table}.{path}` is empty"), help));
        }
        for (i, value) in values.iter().enumerate() {
            if values[..i].iter().any(|v| v.to_string() == value.to_string()) {
                let message = format!("`{table}.{path}`: {value} stands twice");
                errors.0.push(sources.error(value.span.clone(), message, "remove one of the two"));
            }
        }
        axes.push(Axis { path, values });
    }
    errors.or(axes)
}

/// The values of combination number `cell`; the last key changes fastest.
pub(super) fn combination(axes: &[Axis<'_>], mut cell: usize) -> Vec<Node> {
    let mut chosen: Vec<Node> = Vec::new();
    for axis in axes.iter().rev() {
        chosen.push(axis.values[cell % axis.values.len()].clone());
        cell /= axis.values.len();
    }
    chosen.reverse();
    chosen
}

/// The last word of each path; the whole path where two would be called the same.
pub(super) fn short_names(axes: &[Axis<'_>]) -> Vec<String> {
    let last = |axis: &Axis<'_>| axis.path.rsplit('.').next().unwrap_or(&axis.path).to_owned();
    let name = |axis: &Axis<'_>| {
        let short = last(axis);
        let taken = axes.iter().filter(|a| last(a) == short).count() > 1;
        if taken { axis.path.clone() } else { short }
    };
    axes.iter().map(name).collect()
}

/// A value as a name says it: text without quotes, a mechanism as `least-tokens(staleness=500 ms)`.
pub(super) fn plain(value: &Node) -> String {
    match &value.value {
        Value::String(text) => text.clone(),
        Value::Table(entries) => {
            let word = |(key, (_, inner)): (&String, &(Range<usize>, Node))| match inner.entries() {
                Some(parameters) if parameters.is_empty() => key.clone(),
                Some(_) => format!("{key}({})", plain(inner)),
                None => format!("{key}={}", plain(inner)),
            };
            entries.iter().map(word).collect::<Vec<_>>().join(", ")
        }
        _ => value.to_string(),
    }
}

/// Writes `value` at a dotted path, making the tables on the way.
pub(super) fn write(node: &mut Node, path: &str, value: &Node) {
    let span = value.span.clone();
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    let Some(entries) = node.entries_mut() else { return };
    match rest {
        None => {
            entries.insert(key.to_owned(), (span, value.clone()));
        }
        Some(rest) => {
            let inner = entries.entry(key.to_owned()).or_insert_with(|| (span.clone(), Node::table(span)));
            write(&mut inner.1, rest, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;

    fn read(text: &str) -> Result<Sweep, InputErrors> {
        let mut sources = Sources::default();
        let node = sources.parse(&Source::new("scenario", text), "scenario").unwrap();
        Sweep::read(&node, &sources)
    }

    #[test]
    fn a_grid_is_every_combination_the_last_key_fastest() {
        let sweep = read("base = \"a\"\n[grid]\nx.n = [1, 2]\ny.s = [\"p\", \"q\", \"r\"]\n").unwrap();
        assert_eq!(sweep.info.systems, ["n=1 s=p", "n=1 s=q", "n=1 s=r", "n=2 s=p", "n=2 s=q", "n=2 s=r"]);
        let (_, variant) = sweep.variant("n=2 s=q").unwrap();
        assert_eq!(variant.to_string(), "{ base = \"a\", x = { n = 2 }, y = { s = \"q\" } }");
    }

    #[test]
    fn mechanisms_are_named_in_short() {
        let sweep = read(
            "base = \"a\"\n[grid]\nrouter = [{ random = {} }, { least = { age = \"1 s\", own = true } }]\n",
        );
        assert_eq!(sweep.unwrap().info.systems, ["router=random", "router=least(age=1 s, own=true)"]);
    }

    #[test]
    fn keys_with_the_same_last_word_keep_their_paths() {
        let sweep = read("base = \"a\"\n[grid]\nx.n = [1]\ny.n = [2]\n").unwrap();
        assert_eq!(sweep.info.systems, ["x.n=1 y.n=2"]);
    }
}
