//! The choices of one system by axis: what a reader of a paper asks first.

use super::plan::{Setting, SystemPlan};

/// Axes in the order of a request's way through a system: (first part of the setting's path, what it decides).
const AXES: [(&str, &str); 22] = [
    ("model", "architecture"),
    ("accelerator", "accelerator"),
    ("node", "server"),
    ("engine", "engine profile"),
    ("replicas", "replicas"),
    ("parallel", "parallelism"),
    ("front-end", "front end"),
    ("router", "routing"),
    ("placement", "placement"),
    ("migration", "migration"),
    ("prefix-fetch", "prefix fetch"),
    ("scaling", "auto-scaling"),
    ("failures", "failures"),
    ("scheduler", "batch formation"),
    ("kv", "KV allocation"),
    ("kv-blocks", "KV capacity"),
    ("prefix-cache", "prefix reuse"),
    ("max-model-len", "longest context"),
    ("gpu-memory-utilization", "memory share"),
    ("late-stop", "stop seen late"),
    ("backend", "step cost"),
    ("", "others"),
];

/// One axis of a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisChoice {
    /// What is decided.
    pub axis: &'static str,
    /// The choice, with its parameters.
    pub value: String,
    /// Layers, files and lines of its values.
    pub from: String,
}

/// Every axis on which the system has a value, one entry each; no setting is left out.
pub fn choices(system: &SystemPlan) -> Vec<AxisChoice> {
    let known = |s: &Setting| AXES.iter().any(|(key, _)| *key == axis_of(&s.path));
    let mut out = Vec::new();
    for (key, axis) in AXES {
        let of_axis = |s: &&Setting| if key.is_empty() { !known(s) } else { axis_of(&s.path) == key };
        let settings: Vec<&Setting> = system.settings.iter().filter(of_axis).collect();
        if !settings.is_empty() {
            out.push(AxisChoice { axis, value: value(key, &settings), from: origins(&settings) });
        }
    }
    out
}

/// The axis of a setting: the first part of its path (inside its pool), but what follows from the capacity belongs to it.
fn axis_of(path: &str) -> &str {
    match pool_of(path).1 {
        "kv.usable-blocks" | "kv.longest-context" => "kv-blocks",
        inside => inside.split('.').next().unwrap_or(""),
    }
}

/// The pool that a setting is of, if it is not of the whole system, and its path there.
fn pool_of(path: &str) -> (Option<&'static str>, &str) {
    let inside = |pool| path.strip_prefix("placement.disaggregated.")?.strip_prefix(pool)?.strip_prefix('.');
    let pools = ["prefill", "decode", "mixed"];
    pools.into_iter().find_map(|pool| Some((Some(pool), inside(pool)?))).unwrap_or((None, path))
}

/// The choice of the whole system, then that of each pool.
fn value(key: &str, settings: &[&Setting]) -> String {
    let of = |pool: Option<&'static str>| -> Option<String> {
        let mine: Vec<&Setting> = settings.iter().copied().filter(|s| pool_of(&s.path).0 == pool).collect();
        let text = (!mine.is_empty()).then(|| value_inside(key, &mine))?;
        Some(pool.map_or(text.clone(), |pool| format!("{pool} {text}")))
    };
    [None, Some("prefill"), Some("decode"), Some("mixed")]
        .into_iter()
        .filter_map(of)
        .collect::<Vec<_>>()
        .join("; ")
}

/// `chunked.token-budget = 2048, chunked.max-sequences = 128` as `chunked: token-budget 2048, max-sequences 128`.
fn value_inside(key: &str, settings: &[&Setting]) -> String {
    let inside = |s: &Setting| {
        let path = pool_of(&s.path).1;
        path.strip_prefix(key).unwrap_or(path).trim_start_matches('.').to_owned()
    };
    let paths: Vec<String> = settings.iter().map(|s| inside(s)).collect();
    let plain = |text: &str| text.trim_matches('"').to_owned();
    let common = paths.first().and_then(|p| p.split_once('.')).map(|(head, _)| format!("{head}."));
    let common = common.filter(|head| paths.iter().all(|p| p.starts_with(head.as_str()))).unwrap_or_default();
    let parts: Vec<String> = settings
        .iter()
        .zip(&paths)
        .map(|(s, path)| match (path.strip_prefix(common.as_str()).unwrap_or(path), s.value.as_str()) {
            ("", value) => plain(value),
            (name, "{}" | "{ }") => name.to_owned(),
            (name, value) => format!("{name} {}", plain(value)),
        })
        .collect();
    let head = common.trim_end_matches('.');
    if head.is_empty() { parts.join(", ") } else { format!("{head}: {}", parts.join(", ")) }
}

/// Each origin once; lines of one file together: `preset (orca.toml:8,9)`.
fn origins(settings: &[&Setting]) -> String {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for setting in settings {
        let whole = (setting.origin.clone(), None);
        let (head, line) = match setting.origin.strip_suffix(')').and_then(|o| o.rsplit_once(':')) {
            Some((head, line)) if line.bytes().all(|b| b.is_ascii_digit()) => {
                (head.to_owned(), Some(line.to_owned()))
            }
            _ => whole,
        };
        let group = match groups.iter_mut().find(|g| g.0 == head) {
            Some(group) => group,
            None => {
                groups.push((head, Vec::new()));
                let last = groups.len() - 1;
                &mut groups[last]
            }
        };
        group.1.extend(line.filter(|l| !group.1.contains(l)));
    }
    let text = |(head, lines): (String, Vec<String>)| {
        if lines.is_empty() { head } else { format!("{head}:{})", lines.join(",")) }
    };
    groups.into_iter().map(text).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(path: &str, value: &str, origin: &str) -> Setting {
        Setting { path: path.to_owned(), value: value.to_owned(), origin: origin.to_owned() }
    }

    #[test]
    fn one_line_holds_a_mechanism_and_its_parameters() {
        let a = setting("scheduler.chunked.max-sequences", "128", "preset (s.toml:9)");
        let b = setting("scheduler.chunked.token-budget", "2048", "preset (s.toml:7)");
        let c = setting("scheduler.chunked.x", "1", "computed: y");
        assert_eq!(value("scheduler", &[&a, &b]), "chunked: max-sequences 128, token-budget 2048");
        assert_eq!(origins(&[&a, &b, &c]), "preset (s.toml:9,7); computed: y");
        assert_eq!(axis_of("kv.usable-blocks"), "kv-blocks");
        let router = setting("router.round-robin", "{}", "default (defaults.toml:13)");
        assert_eq!(value("router", &[&router]), "round-robin");
        let model = setting("model", "\"llama\"", "scenario (a.toml:1)");
        assert_eq!(value("model", &[&model]), "llama");
    }
}
