//! `list accelerators | hosts | links | models`: numbers in columns, narrow enough for 100 characters.

use std::path::Path;

use crate::catalog::{self, Shelf};
use crate::diagnostic::{InputError, InputErrors};
use crate::hardware::{Accelerator, Host, Link};
use crate::model::{self, Model};

use super::args::Listed;
use super::context::{Context, emit};
use super::{Outcome, exit};

/// Header and rows.
type Columns = (Vec<&'static str>, Vec<Vec<String>>);

/// A number with at most `digits` decimals, no trailing zeros.
fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

pub(super) fn accelerators() -> Result<Columns, InputErrors> {
    let mut rows = Vec::new();
    for name in catalog::embedded_names(Shelf::Accelerators) {
        let a = Accelerator::load(name, None)?;
        let s = &a.datasheet;
        let tera = |rate: Option<crate::units::FlopsPerSecond>| {
            rate.map_or_else(|| "–".to_owned(), |r| number(r.0 / 1e12, 1))
        };
        rows.push(vec![
            a.name.clone(),
            number(s.visible_memory.0 / 1_073_741_824.0, 1),
            number(s.bandwidth.0 / 1e9, 1),
            tera(Some(s.bf16)),
            tera(s.fp8.or(s.int8)),
            number(s.tdp.0, 0),
            number(a.usd_per_hour, 2),
            a.host.name.clone(),
            s.grade.name().to_owned(),
            a.gemm.grade.name().to_owned(),
        ]);
    }
    let header =
        vec!["accelerator", "GiB", "GB/s", "bf16", "8 bit", "W", "$/h", "default node", "datasheet", "fit"];
    Ok((header, rows))
}

pub(super) fn hosts() -> Result<Columns, InputErrors> {
    let mut rows = Vec::new();
    for name in catalog::embedded_names(Shelf::Hosts) {
        let h = Host::load(name, None)?;
        let n = &h.node;
        let joined = match n.joined {
            1 => "none".to_owned(),
            2 => "pairs".to_owned(),
            joined if joined == n.accelerators => "all".to_owned(),
            joined => joined.to_string(),
        };
        rows.push(vec![
            name.to_owned(),
            h.title.clone(),
            n.accelerators.to_string(),
            joined,
            number(h.gpu_link.bandwidth.0 / 1e9, 1),
            format!("{} × {}", n.nics, number(n.network.bandwidth.0 / 1e9, 2)),
            n.grade.name().to_owned(),
        ]);
    }
    let header = vec!["host", "what", "GPUs", "joined", "host GB/s", "NICs × GB/s", "grade"];
    Ok((header, rows))
}

pub(super) fn links() -> Result<Columns, InputErrors> {
    let mut rows = Vec::new();
    for name in catalog::embedded_names(Shelf::Links) {
        let l = Link::load(name, None)?;
        rows.push(vec![
            name.to_owned(),
            l.title.clone(),
            number(l.bandwidth.0 / 1e9, 2),
            number(l.latency.0 * 1e6, 0),
            number(l.all_reduce.bandwidth.0 / 1e9, 2),
            number(l.all_reduce.base.0 * 1e6, 0),
            l.all_reduce.grade.name().to_owned(),
        ]);
    }
    Ok((vec!["link", "what", "GB/s", "µs", "all-reduce GB/s", "µs", "grade"], rows))
}

pub(super) fn models() -> Result<Columns, InputErrors> {
    let mut rows = Vec::new();
    for name in catalog::embedded_names(Shelf::Models) {
        let m = Model::load(name, None)?;
        let billions = |count: u64| number(count as f64 / 1e9, 1);
        let parameters = match m.experts {
            Some(_) => format!("{} ({})", billions(m.parameters()), billions(m.active_parameters())),
            None => billions(m.parameters()),
        };
        rows.push(vec![
            name.to_owned(),
            m.kind(),
            m.layers.to_string(),
            parameters,
            number(m.kv_bytes_per_token(2.0).0 / 1024.0, 1),
            m.max_model_len.to_string(),
            if m.unmodelled().is_none() { "yes" } else { "refused" }.to_owned(),
        ]);
    }
    let header = vec!["model", "kind", "layers", "params B (active)", "KV KiB/token", "context", "costed"];
    Ok((header, rows))
}

/// `list models --import config.json`: the model as a file on stdout, what it leaves out on stderr.
pub(super) fn import(what: Listed, path: &Path, context: &Context) -> Outcome {
    let place = format!("--import {}", path.display());
    if what != Listed::Models {
        let help = "write `windtunnel list models --import FILE`";
        return Err(InputError::named(place, "imports a model, but something else is listed", help).into());
    }
    let name = path.display().to_string();
    if !catalog::is_json(&name) {
        let help = "give the path of a `config.json`";
        return Err(InputError::named(place, "does not end in `.json`", help).into());
    }
    let source = catalog::find(Shelf::Models, &name, None)?;
    let imported = model::import(&name, &source)?;
    for note in &imported.notes {
        context.say(&format!("note: {note}"));
    }
    if let Some(unmodelled) = imported.model.unmodelled() {
        context.say(&format!("note: {}\n  help: {}", unmodelled.message, unmodelled.help));
    }
    emit(imported.model.to_toml().as_bytes())?;
    Ok(exit::DONE)
}
