//! The tables of `[sweep]`: grids, lists that go together, and combinations that are left out.

use crate::diagnostic::{InputErrors, Node, Sources, Value};
use crate::results::SweepAxis;

use super::sweep::{axes, plain};
use super::sweep_range::expand;

/// One dimension of a sweep: a key of the grid, or several keys that go together.
pub(super) struct Dimension {
    pub paths: Vec<String>,
    /// A value for each path, per step.
    pub steps: Vec<Vec<Node>>,
}

impl Dimension {
    /// What the report knows of it; takes the names of its keys.
    pub fn axis(&self, names: &mut impl Iterator<Item = String>) -> SweepAxis {
        let names: Vec<String> = names.take(self.paths.len()).collect();
        let value = |step: &Vec<Node>| step.iter().map(plain).collect::<Vec<String>>().join(", ");
        SweepAxis {
            key: self.paths.join(", "),
            name: names.join(", "),
            values: self.steps.iter().map(value).collect(),
        }
    }
}

/// The values of combination number `cell`, in the order of the paths; the last dimension changes fastest.
pub(super) fn values_of(dimensions: &[Dimension], mut cell: usize) -> Vec<Node> {
    let mut chosen: Vec<&Vec<Node>> = Vec::new();
    for dimension in dimensions.iter().rev() {
        chosen.push(&dimension.steps[cell % dimension.steps.len()]);
        cell /= dimension.steps.len();
    }
    chosen.into_iter().rev().flatten().cloned().collect()
}

/// Combinations that are left out.
pub(super) struct Skip(Vec<(String, Vec<String>)>);

impl Skip {
    /// Whether a combination is one of them.
    pub fn matches(&self, paths: &[&str], chosen: &[Node]) -> bool {
        let value = |path: &str| paths.iter().position(|p| *p == path).map(|i| chosen[i].to_string());
        self.0.iter().all(|(path, values)| value(path).is_some_and(|v| values.contains(&v)))
    }
}

/// `[sweep.grid]`, `[[sweep.zip]]` and `[[sweep.skip]]`, ranges written out.
pub(super) struct SweepTables {
    grid: Option<Node>,
    zip: Vec<Node>,
    skip: Vec<Node>,
}

impl SweepTables {
    pub fn read(node: &Node, sources: &Sources) -> Result<SweepTables, InputErrors> {
        let grid = node.get("grid").filter(|g| g.entries().is_some_and(|e| !e.is_empty()));
        let grid = grid.map(|grid| expand(grid, "sweep.grid", sources)).transpose()?;
        let tables = |key: &str| -> Result<Vec<Node>, InputErrors> {
            let nodes = match node.get(key).map(|n| (&n.value, n)) {
                None => Vec::new(),
                Some((Value::Array(nodes), _)) => nodes.clone(),
                Some((_, node)) => vec![node.clone()],
            };
            if let Some(wrong) = nodes.iter().find(|n| n.entries().is_none()) {
                let help = format!("write `[[sweep.{key}]]`, with keys of a system below");
                return Err(sources
                    .error(wrong.span.clone(), format!("`sweep.{key}` is no table"), help)
                    .into());
            }
            Ok(nodes)
        };
        let zip = tables("zip")?;
        let zip = zip.iter().map(|z| expand(z, "sweep.zip", sources)).collect::<Result<Vec<Node>, _>>()?;
        Ok(SweepTables { grid, zip, skip: tables("skip")? })
    }

    /// All dimensions: keys of the grid, then each group of lists.
    pub fn dimensions(&self, sources: &Sources) -> Result<Vec<Dimension>, InputErrors> {
        let mut dimensions: Vec<Dimension> = Vec::new();
        let mut spans = Vec::new();
        if let Some(grid) = &self.grid {
            for axis in axes(grid, "sweep.grid", sources)? {
                spans.push((axis.path.clone(), grid.key_span(&axis.path)));
                let steps = axis.values.iter().map(|v| vec![v.clone()]).collect();
                dimensions.push(Dimension { paths: vec![axis.path], steps });
            }
        }
        for zip in &self.zip {
            let lists = axes_of_zip(zip, sources)?;
            spans.extend(lists.iter().map(|(path, _)| (path.clone(), zip.key_span(path))));
            let length = lists.first().map_or(0, |(_, values)| values.len());
            let step = |i: usize| lists.iter().map(|(_, values)| values[i].clone()).collect();
            let steps = (0..length).map(step).collect();
            dimensions.push(Dimension { paths: lists.iter().map(|(path, _)| path.clone()).collect(), steps });
        }
        for (i, (path, span)) in spans.iter().enumerate() {
            if spans[..i].iter().any(|(other, _)| other == path) {
                let message = format!("`{path}` is varied twice");
                return Err(sources.error(span.clone(), message, "keep one of the lists").into());
            }
        }
        Ok(dimensions)
    }

    /// What is left out; each must name values that are varied.
    pub fn skips(&self, dimensions: &[Dimension], sources: &Sources) -> Result<Vec<Skip>, InputErrors> {
        let mut errors = InputErrors::default();
        let mut skips = Vec::new();
        for table in &self.skip {
            let mut conditions = Vec::new();
            for (path, leaf) in table.leaves() {
                let values: Vec<&Node> = match &leaf.value {
                    Value::Array(nodes) => nodes.iter().collect(),
                    _ => vec![leaf],
                };
                let of = dimensions.iter().find_map(|d| Some((d, d.paths.iter().position(|p| *p == path)?)));
                let Some((dimension, position)) = of else {
                    let help = "name a key of `[sweep.grid]` or `[[sweep.zip]]`";
                    let message = format!("`sweep.skip.{path}` is not varied");
                    errors.0.push(sources.error(leaf.span.clone(), message, help));
                    continue;
                };
                for value in &values {
                    if !dimension.steps.iter().any(|s| s[position].to_string() == value.to_string()) {
                        let message = format!("`sweep.skip.{path}`: {value}, but no combination has it");
                        errors.0.push(sources.error(value.span.clone(), message, "name values of its list"));
                    }
                }
                conditions.push((path, values.iter().map(|v| v.to_string()).collect()));
            }
            skips.push(Skip(conditions));
        }
        errors.or(skips)
    }
}

/// The lists of a group, which have one length. Unlike in a grid, a value may stand twice.
fn axes_of_zip(zip: &Node, sources: &Sources) -> Result<Vec<(String, Vec<Node>)>, InputErrors> {
    let mut lists: Vec<(String, Vec<Node>)> = Vec::new();
    for (path, leaf) in zip.leaves() {
        let Value::Array(values) = &leaf.value else {
            let message = format!("`sweep.zip.{path}` is no list");
            let help = format!("write `{path} = [{leaf}, …]`");
            return Err(sources.error(leaf.span.clone(), message, help).into());
        };
        if let Some((first, others)) = lists.first().filter(|(_, v)| v.len() != values.len()) {
            let (n, m) = (values.len(), others.len());
            let message = format!("`sweep.zip.{path}` has {n} values, and `sweep.zip.{first}` has {m}");
            let help = "lists that go together have one length; others belong into `[sweep.grid]`";
            return Err(sources.error(leaf.span.clone(), message, help).into());
        }
        if values.is_empty() {
            let message = format!("`sweep.zip.{path}` is empty");
            return Err(sources.error(leaf.span.clone(), message, "write at least one value").into());
        }
        lists.push((path, values.clone()));
    }
    Ok(lists)
}
