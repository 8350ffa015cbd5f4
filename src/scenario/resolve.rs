//! From the merged layers of one system to what the engine simulates.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::cost::{CostSpec, StepCost};
use crate::diagnostic::{InputErrors, Node, Sources, from_tree, is_missing_field};
use crate::engine::config::{ClusterConfig, KvConfig, ReplicaConfig};
use crate::model::Model;
use crate::policy::router::RouterConfig;
use crate::policy::scheduler::SchedulerConfig;

use super::cost;
use super::document::Document;
use super::kv;
use super::mechanisms::{front_end, knows_lengths, order};
use super::parts::{Parts, engine_limits};
use super::plan::{Setting, SystemPlan};
use super::schema::{
    Backend, KvOptions, LengthPredictor, OrderOptions, PreemptionOptions, PrefixCache, SystemOptions,
};
use super::topology;

/// Resolves the merged layers of a system whose replicas are equal.
pub(super) fn equal_replicas(
    doc: &mut Document,
    name: &str,
    mut node: Node,
    place: &Range<usize>,
) -> Result<SystemPlan, InputErrors> {
    let mut errors = InputErrors::default();
    let parts = errors.note(Parts::load(doc, &mut node, place));
    if let Some(parts) = &parts {
        engine_limits(&mut node, parts, &mut doc.sources);
    }
    let path = format!("systems.{name}");
    let options = from_tree::<SystemOptions>(&node, &path, &doc.sources).map_err(|mut found| {
        // What is missing was reported by `Parts`, at the place where the scenario can say it.
        let reported = parts.is_none();
        found.0.retain(|e| !(reported && is_missing_field(&e.message)));
        found
    });
    let (Some(options), Some(parts)) = (errors.note(options), parts) else { return Err(errors) };
    let folder = doc.folder.as_deref();
    Builder { name, node: &node, folder, options, sources: &doc.sources, errors, settings: Vec::new() }
        .build(parts)
}

struct Builder<'a> {
    name: &'a str,
    node: &'a Node,
    folder: Option<&'a Path>,
    options: SystemOptions,
    sources: &'a Sources,
    errors: InputErrors,
    settings: Vec<Setting>,
}

impl Builder<'_> {
    fn build(mut self, mut parts: Parts) -> Result<SystemPlan, InputErrors> {
        self.check_counts();
        self.check_conflicts();
        let model_limit = parts.model.max_model_len;
        let max_model_len = self.context_limit(&parts.model);
        // As served: a sliding window that no context reaches changes nothing.
        parts.model.max_model_len = max_model_len;
        let spec = self.cost_spec(parts);
        let checked = spec.check();
        if let Err(errors) = &checked {
            for e in &errors.0 {
                let place = e.place.clone().unwrap_or_default();
                self.refuse(&place, e.message.clone(), e.help.clone());
            }
        }
        if !self.errors.0.is_empty() {
            return Err(self.errors);
        }
        self.collect_settings();
        if self.options.max_model_len.is_none() {
            self.computed(
                "max-model-len",
                model_limit.to_string(),
                format!("model `{}`", self.options.model),
            );
        }
        let Some(kv) = self.kv(&spec, max_model_len) else { return Err(self.errors) };
        let cost = self.cost(&spec)?;
        let replica = ReplicaConfig {
            scheduler: self.options.scheduler.clone(),
            kv,
            max_model_len,
            late_stop: self.late_stop(&spec),
            order: order(&self.options),
            host_cache: self.options.host_cache.map_or(0, |memory| kv::blocks_in(memory, &spec)),
        };
        self.computed(
            "late-stop",
            replica.late_stop.to_string(),
            "engine profile, scheduler and stages".to_owned(),
        );
        let o = &self.options;
        let cluster = ClusterConfig {
            replica,
            replicas: o.replicas,
            router: o.router.clone(),
            front_end: front_end(o),
        };
        let oracle = knows_lengths(&o.scheduler, &o.kv) || order(o).knows_lengths();
        let gpus = u32::from(o.replicas) * o.parallel.tp * o.parallel.pp;
        self.settings.sort_by(|a, b| a.path.cmp(&b.path));
        let (settings, paper) = (self.settings, o.paper.clone());
        let name = self.name.to_owned();
        let places = (self.node.value_span("router"), self.node.value_span("order"));
        Ok(SystemPlan {
            name,
            paper,
            options: self.options,
            cluster,
            cost,
            spec,
            gpus,
            groups: Vec::new(),
            joint: None,
            headroom: Vec::new(),
            scaling: None,
            failures: Vec::new(),
            oracle,
            settings,
            places,
        })
    }

    /// A problem at the value of `path`.
    fn refuse(&mut self, path: &str, message: String, help: impl Into<String>) {
        let span = self.node.value_span(path);
        let message = format!("`{path}`: {message}");
        self.errors.0.push(self.sources.error(span, message, help));
    }

    fn at_least_one(&mut self, path: &str, value: u32) {
        if value == 0 {
            self.refuse(path, "must be at least 1".to_owned(), "write a whole number from 1 up");
        }
    }

    fn check_counts(&mut self) {
        let o = self.options.clone();
        self.at_least_one("replicas", u32::from(o.replicas));
        self.at_least_one("front-end.workers", u32::from(o.front_end.workers));
        if let Err((key, message, help)) = o.scheduler.validate() {
            let path = format!("scheduler.{}.{key}", o.scheduler.key());
            let span = self.node.value_span(&path);
            self.errors.0.push(self.sources.error(span, message, help));
        }
        if let Err((key, message, help)) = o.router.validate() {
            let span = self.node.value_span(&format!("router.{}.{key}", o.router.key()));
            self.errors.0.push(self.sources.error(span, message, help));
        }
        if matches!((&o.router, &o.scheduler), (RouterConfig::Conductor(_), SchedulerConfig::Static(_))) {
            let message = "`conductor` expects prompts to be computed as they come, which `static` does not";
            self.refuse("router", message.to_owned(), "use another router, or another scheduler");
        }
        for (key, limit) in
            [("max-queue", o.admission.max_queue), ("max-outstanding", o.admission.max_outstanding)]
        {
            if limit == Some(0) {
                let message = "0 lets nobody in".to_owned();
                self.refuse(&format!("admission.{key}"), message, "write a number from 1 up, or remove it");
            }
        }
        if o.admission.timeout.is_some_and(|d| d.as_ps() == 0) {
            let message = "clients that wait no time get no answer".to_owned();
            self.refuse("admission.timeout", message, "write a duration, such as `\"60 s\"`, or remove it");
        }
        if let KvOptions::Reserve(r) = o.kv {
            self.at_least_one("kv.reserve.block", r.block);
        }
        if let KvOptions::Paged(p) = o.kv {
            self.at_least_one("kv.paged.block", p.block);
            if !(0.0..1.0).contains(&p.watermark) {
                let message = format!("{} is not a share of the blocks", p.watermark);
                self.refuse(
                    "kv.paged.watermark",
                    message,
                    "write a number from 0 up to, but not including, 1",
                );
            }
        }
        if let Some(u) = o.gpu_memory_utilization
            && !(u > 0.0 && u <= 1.0)
        {
            self.refuse(
                "gpu-memory-utilization",
                format!("{u} is not a share"),
                "write a number above 0, at most 1",
            );
        }
    }

    /// Pairs of values that contradict each other; both are named with their places.
    fn check_conflicts(&mut self) {
        let o = self.options.clone();
        let both = |a: &str, b: &str| self.node.get(a).is_some() && self.node.get(b).is_some();
        if both("kv-blocks", "gpu-memory-utilization") {
            let other = self.other("gpu-memory-utilization");
            let message =
                format!("`kv-blocks` and `gpu-memory-utilization` ({other}) both set the KV memory");
            self.conflict("kv-blocks", message, "remove one of the two");
        }
        if o.prefix_cache == PrefixCache::Blocks && matches!(o.kv, KvOptions::Reserve(_)) {
            let other = self.other("kv.reserve");
            let message =
                format!("`prefix-cache = \"blocks\"` needs paged KV, but `kv.reserve` is set ({other})");
            self.conflict("prefix-cache", message, "use `kv.paged`, or `prefix-cache = \"none\"`");
        }
        if o.order != OrderOptions::Fcfs && !o.scheduler.allows_order() {
            let other = self.other("scheduler");
            let key = o.scheduler.key();
            let message =
                format!("`order` is not `\"fcfs\"`, but `scheduler.{key}` ({other}) has an order of its own");
            let help = "use `unified`, `chunked`, `prefill-first` or `iteration`, or remove `order`";
            self.conflict("order", message, help);
        }
        if o.host_cache.is_some() && o.prefix_cache == PrefixCache::None {
            let message = "`host-cache` is set, but `prefix-cache` is `\"none\"`".to_owned();
            self.conflict("host-cache", message, "add `prefix-cache = \"blocks\"`, or remove it");
        }
        if o.length_predictor != LengthPredictor::None && o.order != OrderOptions::Sjf {
            let message = "`length-predictor` is set, but only `order = \"sjf\"` asks for lengths".to_owned();
            self.conflict("length-predictor", message, "add `order = \"sjf\"`, or remove it");
        }
        let swaps = matches!(o.kv, KvOptions::Paged(p) if p.preemption == PreemptionOptions::Swap);
        if swaps && matches!(o.scheduler, SchedulerConfig::Unified(_)) {
            let other = self.other("scheduler.unified");
            let message = format!(
                "`preemption = \"swap\"`, but `scheduler.unified` ({other}) only recomputes its victims"
            );
            let help = "write `preemption = \"recompute\"`, or use `scheduler.prefill-first`";
            self.conflict("kv.paged.preemption", message, help);
        }
    }

    fn conflict(&mut self, path: &str, message: String, help: &str) {
        let span = self.node.value_span(path);
        self.errors.0.push(self.sources.error(span, message, help));
    }

    /// Where the other value of a conflict stands.
    fn other(&self, path: &str) -> String {
        self.sources.origin(&self.node.key_span(path))
    }

    fn context_limit(&mut self, model: &Model) -> u32 {
        let Some(limit) = self.options.max_model_len else { return model.max_model_len };
        if limit > model.max_model_len {
            let message =
                format!("{limit} tokens, but model `{}` serves {}", model.name, model.max_model_len);
            let help =
                format!("write at most {}, or choose a model with a longer context", model.max_model_len);
            self.refuse("max-model-len", message, help);
        } else if limit < 2 {
            let message = format!("{limit} leaves no room for one prompt token and one answer token");
            self.refuse("max-model-len", message, "write at least 2");
        }
        limit
    }

    fn cost_spec(&mut self, parts: Parts) -> CostSpec {
        let parallel = self.options.parallel;
        let host = parts.node.clone();
        let mut spec = cost::spec(parts, &self.options);
        match u8::try_from(parallel.pp) {
            Ok(stages) => spec.pipeline = stages,
            Err(_) => {
                let message = format!("{} stages are more than 255", parallel.pp);
                self.refuse(
                    "parallel.pp",
                    message,
                    "write a number of stages from 1 to the layers of the model",
                );
            }
        }
        let nodes = parallel.tp_nodes;
        if let Some((message, help)) =
            nodes.and_then(|n| topology::refuse_nodes(&host, spec.tensor_parallel, n))
        {
            self.refuse("parallel.tp-nodes", message, help);
        }
        let links = topology::place(&mut spec, host, nodes);
        for (path, what) in links {
            self.computed(path, what.link, what.reason);
        }
        spec
    }

    /// The backend; problems with its key are placed there, those of a table name the table's own lines.
    fn cost(&mut self, spec: &CostSpec) -> Result<Arc<dyn StepCost>, InputErrors> {
        let built = cost::build(spec, &self.options.backend, self.folder);
        let (cost, table) = built.map_err(|mut errors| {
            for e in &mut errors.0 {
                let key = e.place.clone().filter(|place| self.node.get(place).is_some());
                let Some(key) = key else { continue };
                let span = self.node.value_span(&key);
                *e = self.sources.error(span, format!("`{key}`: {}", e.message), e.help.clone());
            }
            errors
        })?;
        if let Some(table) = table {
            self.computed("backend.covers", table.covers, "rows of the table".to_owned());
            self.computed("backend.content", table.hash, "hash of the table".to_owned());
        }
        Ok(cost)
    }

    fn kv(&mut self, spec: &CostSpec, max_model_len: u32) -> Option<KvConfig> {
        let capacity = match self.options.kv_blocks {
            Some(blocks) => kv::Capacity { blocks, reason: None },
            None => match kv::computed(spec, &self.options) {
                Ok(capacity) => capacity,
                Err(errors) => {
                    let span = self.node.value_span("model");
                    for e in errors.0 {
                        let place = e.place.unwrap_or_default();
                        let message = format!("{place}: {}", e.message);
                        self.errors.0.push(self.sources.error(span.clone(), message, e.help));
                    }
                    return None;
                }
            },
        };
        if let Some(reason) = &capacity.reason {
            self.computed("kv-blocks", capacity.blocks.to_string(), reason.clone());
        }
        let config = kv::config(&self.options, spec, capacity.blocks);
        let key = if self.options.kv_blocks.is_some() { "kv-blocks" } else { "model" };
        let replica = ReplicaConfig {
            scheduler: self.options.scheduler.clone(),
            kv: config,
            max_model_len,
            late_stop: false,
            order: order(&self.options),
            host_cache: 0,
        };
        if config.blocks == 0 || replica.effective_limit() < 2 {
            let message = format!(
                "KV memory of {} usable blocks of {} tokens holds no request at all",
                config.blocks, config.block
            );
            let span = self.node.value_span(key);
            let help = "raise `kv-blocks` or `gpu-memory-utilization`, use more accelerators (`parallel.tp`) or a smaller model";
            self.errors.0.push(self.sources.error(span, message, help));
            return None;
        }
        self.computed(
            "kv.usable-blocks",
            config.blocks.to_string(),
            "kv-blocks less reserved blocks".to_owned(),
        );
        let limit = replica.effective_limit();
        self.computed("kv.longest-context", limit.to_string(), "min(max-model-len, usable KV)".to_owned());
        Some(config)
    }

    /// A stop is seen late by overlapped engines with one stage; bounds and static batches have no such step.
    fn late_stop(&self, spec: &CostSpec) -> bool {
        let policy =
            !matches!(self.options.scheduler, SchedulerConfig::Static(_) | SchedulerConfig::Ideal(_));
        let real = self.options.backend != Backend::Ideal;
        spec.engine.late_stop && policy && real && self.options.parallel.pp == 1
    }

    fn collect_settings(&mut self) {
        let about = |path: &str| path == "note" || path.starts_with("paper.");
        for (path, leaf) in self.node.leaves().into_iter().filter(|(path, _)| !about(path)) {
            let origin = self.sources.origin(&leaf.span);
            self.settings.push(Setting { path, value: leaf.to_string(), origin });
        }
    }

    fn computed(&mut self, path: &str, value: String, reason: String) {
        self.settings.push(Setting { path: path.to_owned(), value, origin: format!("computed: {reason}") });
    }
}
