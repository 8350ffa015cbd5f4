//! The deployment as the command lines of real engines.
//!
//! Flags are those of `vllm serve` (V1) and `sglang.launch_server`; what an engine has no flag for is said. The flags
//! say what was simulated, and no more: an engine's own defaults apply to the rest. With prefill and decode apart each
//! pool has a command of its own: `--kv-transfer-config` of vLLM's NIXL connector, `--disaggregation-mode` of SGLang
//! (docs.vllm.ai, NixlConnector usage guide; docs.sglang.io, PD disaggregation; both as of 2026).

use crate::cost::CostSpec;
use crate::engine::config::{ReplicaConfig, Role};
use crate::policy::scheduler::SchedulerConfig;
use crate::results::Launch;
use crate::scenario::SystemPlan;
use crate::scenario::deployments::Pool;
use crate::scenario::schema::KvOptions;

/// What both engines are told of one pool.
struct Told<'a> {
    system: &'a SystemPlan,
    pool: &'a Pool,
    replica: &'a ReplicaConfig,
    spec: &'a CostSpec,
    /// Token budget, requests.
    budget: u32,
    sequences: u32,
}

/// Command lines for the winner; none for schedulers that neither engine has.
pub fn launch(system: &SystemPlan, pools: &[Pool]) -> Vec<Launch> {
    if !matches!(system.options.kv, KvOptions::Paged(_)) {
        return Vec::new();
    }
    let parts: Vec<(&ReplicaConfig, &CostSpec)> = match &system.groups[..] {
        [] => vec![(&system.cluster.replica, &system.spec)],
        groups => groups.iter().map(|g| (&g.replica, &g.spec)).collect(),
    };
    let told = |(pool, (replica, spec)): (_, (_, _))| Told::of(system, pool, replica, spec);
    let all: Vec<Told<'_>> = pools.iter().zip(parts).filter_map(told).collect();
    if all.len() < pools.len() {
        return Vec::new();
    }
    all.iter().map(Told::vllm).chain(all.iter().map(Told::sglang)).collect()
}

impl<'a> Told<'a> {
    fn of(
        system: &'a SystemPlan,
        pool: &'a Pool,
        replica: &'a ReplicaConfig,
        spec: &'a CostSpec,
    ) -> Option<Told<'a>> {
        let (budget, sequences) = match &replica.scheduler {
            SchedulerConfig::Unified(s) => (s.token_budget, s.max_sequences),
            SchedulerConfig::Chunked(s) => (s.token_budget, s.max_sequences),
            _ => return None,
        };
        Some(Told { system, pool, replica, spec, budget, sequences })
    }

    fn vllm(&self) -> Launch {
        let mut flags = vec![
            format!("--tensor-parallel-size {}", self.pool.tp),
            format!("--pipeline-parallel-size {}", self.pool.pp),
            format!("--max-num-batched-tokens {}", self.budget),
            format!("--max-num-seqs {}", self.sequences),
            format!("--max-model-len {}", self.replica.max_model_len),
            format!("--block-size {}", self.replica.kv.block),
        ];
        flags.extend(self.said("gpu-memory-utilization").map(|u| format!("--gpu-memory-utilization {u}")));
        if let SchedulerConfig::Unified(s) = &self.replica.scheduler
            && s.long_prefill_threshold > 0
        {
            flags.push(format!("--long-prefill-token-threshold {}", s.long_prefill_threshold));
        }
        let no = if self.replica.kv.prefix_cache { "" } else { "no-" };
        flags.push(format!("--{no}enable-prefix-caching"));
        if !self.spec.weights.is_half() {
            flags.push(format!("--quantization {}", self.spec.weights.name()));
        }
        if self.spec.kv.bytes() < 2.0 {
            flags.push("--kv-cache-dtype fp8".to_owned());
        }
        let role = match self.pool.role {
            Role::Whole => None,
            Role::Prefill => Some("kv_producer"),
            Role::Decode => Some("kv_consumer"),
        };
        flags.extend(role.map(|role| {
            format!("--kv-transfer-config '{{\"kv_connector\":\"NixlConnector\",\"kv_role\":\"{role}\"}}'")
        }));
        let mut launch = self.of_engine("vLLM", &format!("vllm serve \"$MODEL\" {}", flags.join(" ")));
        if self.pool.role != Role::Whole && self.pool.pp > 1 {
            launch.notes.push("check that your version's connector takes pipeline stages".to_owned());
        }
        launch
    }

    fn sglang(&self) -> Launch {
        let mut flags = vec![
            format!("--tp-size {}", self.pool.tp),
            format!("--pp-size {}", self.pool.pp),
            format!("--chunked-prefill-size {}", self.budget),
            format!("--max-running-requests {}", self.sequences),
            format!("--context-length {}", self.replica.max_model_len),
            format!("--page-size {}", self.replica.kv.block),
        ];
        if !self.replica.kv.prefix_cache {
            flags.push("--disable-radix-cache".to_owned());
        }
        if !self.spec.weights.is_half() {
            flags.push(format!("--quantization {}", self.spec.weights.name()));
        }
        if self.spec.kv.bytes() < 2.0 {
            flags.push("--kv-cache-dtype fp8_e4m3".to_owned());
        }
        if self.pool.role != Role::Whole {
            flags.push(format!("--disaggregation-mode {}", super::passes::role(self.pool)));
        }
        let mut launch = self.of_engine(
            "SGLang",
            &format!("python3 -m sglang.launch_server --model-path \"$MODEL\" {}", flags.join(" ")),
        );
        launch.notes.push(
            "SGLang was not simulated: its chunks hold prompt tokens alone, while the token budget counts decodes too"
                .to_owned(),
        );
        launch
    }

    /// A value that the scenario says of this pool's replicas.
    fn said(&self, key: &str) -> Option<&str> {
        let own = format!("placement.disaggregated.{}.{key}", super::passes::role(self.pool));
        let setting = |path: &str| self.system.settings.iter().find(|s| s.path == path);
        setting(&own).or_else(|| setting(key)).map(|s| s.value.as_str())
    }

    fn of_engine(&self, engine: &str, command: &str) -> Launch {
        let mut notes = vec![format!("MODEL is your checkpoint of {}", self.spec.model.name)];
        let hand_over = self.system.joint.as_ref().and_then(|j| j.hand_over.as_ref());
        match (self.pool.role, hand_over) {
            (Role::Prefill, _) => notes.push(format!(
                "{} such servers compute prompts; a proxy sends each request to one of them ({}), then to a decode server",
                self.pool.replicas,
                self.system.cluster.router.key()
            )),
            (Role::Decode, Some(hand_over)) => notes.push(format!(
                "{} such servers compute answers ({})",
                self.pool.replicas,
                hand_over.router.key()
            )),
            _ if self.pool.replicas > 1 => notes.push(format!(
                "{} such servers, behind a router like the simulated one ({})",
                self.pool.replicas,
                self.system.cluster.router.key()
            )),
            _ => {}
        }
        let computed = |value: &crate::scenario::Setting| value.origin.starts_with("computed");
        if self.system.settings.iter().any(|s| s.path.ends_with("kv-blocks") && !computed(s)) {
            notes.push("the number of KV blocks was set by hand in the scenario".to_owned());
        }
        let engine = match self.pool.role {
            Role::Whole => engine.to_owned(),
            _ => format!("{engine}, {}", super::passes::role(self.pool)),
        };
        Launch { engine, command: command.to_owned(), notes }
    }
}
