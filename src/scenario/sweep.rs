//! `[sweep]`: one system, and every combination of the values that a grid gives some of its keys.
//!
//! Each combination is a variant of the base, compared like any other; its name says what was set.

use std::collections::BTreeMap;
use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostic::{InputErrors, Node, Sources, Value, from_tree};
use crate::results::SweepInfo;

use super::sweep_tables::{SweepTables, values_of};

/// Most combinations of a grid that are resolved at all; `run --max-points` stops much earlier.
const CELLS_MAX: usize = 100_000;

/// `[sweep]` without its lists.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Options {
    /// The system that all combinations vary.
    base: String,
    /// Lists (or ranges `{ from, to, step | factor }`) of values for keys of a system; every combination of them is a variant.
    #[serde(default, rename = "grid")]
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    _grid: Option<serde::de::IgnoredAny>,
    /// Lists of one length that go together: the first values of all, then the second ones, …; each table is one more dimension.
    #[serde(default, rename = "zip")]
    #[schemars(with = "Vec<std::collections::BTreeMap<String, serde_json::Value>>")]
    _zip: Option<serde::de::IgnoredAny>,
    /// Combinations that are left out: those in which every key of a table has its value, or one of its list.
    #[serde(default, rename = "skip")]
    #[schemars(with = "Vec<std::collections::BTreeMap<String, serde_json::Value>>")]
    _skip: Option<serde::de::IgnoredAny>,
}

/// A grid, spread out into variants.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// What was swept, for the report.
    pub info: SweepInfo,
    /// Where problems of a combination are reported when no value of it is to blame.
    pub span: Range<usize>,
    /// The variants by name; those that are left out are not among them.
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
        let tables = SweepTables::read(node, sources)?;
        let dimensions = tables.dimensions(sources)?;
        if dimensions.is_empty() {
            let help =
                "add `[sweep.grid]` with lists, such as `scheduler.unified.token-budget = [512, 2048]`";
            return Err(sources.error(node.value_span("grid"), "`sweep` has no grid", help).into());
        }
        let cells: usize = dimensions.iter().map(|d| d.steps.len()).fold(1, usize::saturating_mul);
        if cells > CELLS_MAX {
            let message = format!("`sweep` has {cells} combinations");
            let help = format!("at most {CELLS_MAX}; shorten a list");
            return Err(sources.error(node.span.clone(), message, help).into());
        }
        let skips = tables.skips(&dimensions, sources)?;
        let paths: Vec<&str> = dimensions.iter().flat_map(|d| d.paths.iter().map(String::as_str)).collect();
        let short = short_names_of(&paths);
        let base_span = node.value_span("base");
        let base = Node { span: base_span.clone(), value: Value::String(options.base.clone()) };
        let mut variants = BTreeMap::new();
        let mut order = Vec::new();
        for cell in 0..cells {
            let chosen = values_of(&dimensions, cell);
            let words = short.iter().zip(&chosen).map(|(name, value)| format!("{name}={}", plain(value)));
            let name = words.collect::<Vec<String>>().join(" ");
            order.push(name.clone());
            if skips.iter().any(|skip| skip.matches(&paths, &chosen)) {
                continue;
            }
            let mut variant = Node::table(base_span.clone());
            for (path, value) in paths.iter().zip(&chosen) {
                write(&mut variant, path, value);
            }
            write(&mut variant, "base", &base);
            variants.insert(name, (base_span.clone(), variant));
        }
        let mut names = short.into_iter();
        let axes = dimensions.iter().map(|d| d.axis(&mut names)).collect();
        let info = SweepInfo { base: options.base, axes, systems: order };
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

    /// Names of the variants, in the order of the grid.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.info.systems.iter().filter(|name| self.variants.contains_key(*name))
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

/// The names of the axes' keys.
pub(super) fn short_names(axes: &[Axis<'_>]) -> Vec<String> {
    short_names_of(&axes.iter().map(|a| a.path.as_str()).collect::<Vec<&str>>())
}

/// The last word of each path; the whole path where two would be called the same.
fn short_names_of(paths: &[&str]) -> Vec<String> {
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    let name = |path: &&str| {
        let short = last(path);
        let taken = paths.iter().filter(|p| last(p) == short).count() > 1;
        if taken { (*path).to_owned() } else { short }
    };
    paths.iter().map(name).collect()
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
    fn a_range_is_a_list() {
        let sweep = read(
            "base = \"a\"\n[grid]\nx.n = { from = 1, to = 8, factor = 2 }\ny.f = { from = 0.1, to = 0.35, step = 0.1 }\n",
        );
        let names = sweep.unwrap().info.systems;
        assert_eq!(names.len(), 12);
        assert_eq!(names[..4], ["n=1 f=0.1", "n=1 f=0.2", "n=1 f=0.3", "n=2 f=0.1"]);
        for (text, what) in [
            ("{ from = 1, to = 8 }", "either `step` or `factor`"),
            ("{ from = 1, step = 2 }", "both `from` and `to`"),
            ("{ from = 8, to = 1, step = 2 }", "ends before it begins"),
            ("{ from = 1, to = 8, step = 0 }", "not above 0"),
            ("{ from = 0, to = 8, factor = 2 }", "begins above 0"),
            ("{ from = 1, to = \"8\", step = 1 }", "no number"),
            ("{ from = 1, to = 8, by = 1 }", "no `by`"),
            ("{ from = 1, to = 8000, step = 1 }", "more than 1000 values"),
        ] {
            let error = read(&format!("base = \"a\"\n[grid]\nx.n = {text}\n")).unwrap_err();
            assert!(error.0[0].message.contains(what), "{text}: {}", error.0[0].message);
        }
    }

    #[test]
    fn lists_of_one_length_go_together() {
        let sweep =
            read("base = \"a\"\n[grid]\nx.n = [1, 2]\n[[zip]]\np.tp = [1, 2, 4]\nr = [4, 2, 1]\n").unwrap();
        assert_eq!(
            sweep.info.systems,
            ["n=1 tp=1 r=4", "n=1 tp=2 r=2", "n=1 tp=4 r=1", "n=2 tp=1 r=4", "n=2 tp=2 r=2", "n=2 tp=4 r=1"]
        );
        assert_eq!(sweep.info.axes[1].name, "tp, r");
        assert_eq!(sweep.info.axes[1].values, ["1, 4", "2, 2", "4, 1"]);
        let error = read("base = \"a\"\n[[zip]]\np.tp = [1, 2, 4]\nr = [4, 2]\n").unwrap_err();
        assert!(
            error.0[0].message.contains("2 values, and `sweep.zip.p.tp` has 3"),
            "{}",
            error.0[0].message
        );
        let error = read("base = \"a\"\n[grid]\nr = [1, 2]\n[[zip]]\nr = [4, 2]\n").unwrap_err();
        assert!(error.0[0].message.contains("`r` is varied twice"), "{}", error.0[0].message);
    }

    #[test]
    fn what_is_skipped_is_no_variant() {
        let text = "base = \"a\"\n[grid]\nx.n = [1, 2, 3]\ny.s = [\"p\", \"q\"]\n[[skip]]\nx.n = [2, 3]\ny.s = \"q\"\n";
        let sweep = read(text).unwrap();
        assert_eq!(sweep.names().collect::<Vec<_>>(), ["n=1 s=p", "n=1 s=q", "n=2 s=p", "n=3 s=p"]);
        // The heat map keeps its places.
        assert_eq!(sweep.info.systems.len(), 6);
        let error = read("base = \"a\"\n[grid]\nx.n = [1]\n[[skip]]\nx.m = 1\n").unwrap_err();
        assert!(error.0[0].message.contains("`sweep.skip.x.m` is not varied"), "{}", error.0[0].message);
        let error = read("base = \"a\"\n[grid]\nx.n = [1]\n[[skip]]\nx.n = 2\n").unwrap_err();
        assert!(error.0[0].message.contains("no combination has it"), "{}", error.0[0].message);
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
