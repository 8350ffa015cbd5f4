//! The deployment as the command lines of real engines.
//!
//! Flags are those of `vllm serve` (V1) and `sglang.launch_server`; what an engine has no flag for is said. The flags
//! say what was simulated, and no more: an engine's own defaults apply to the rest.

use crate::policy::scheduler::SchedulerConfig;
use crate::results::Launch;
use crate::scenario::SystemPlan;
use crate::scenario::deployments::Pool;
use crate::scenario::schema::{KvOptions, PrefixCache};

/// What both engines are told.
struct Told<'a> {
    system: &'a SystemPlan,
    pool: &'a Pool,
    /// Token budget, requests.
    budget: u32,
    sequences: u32,
    block: u32,
    reuse: bool,
}

/// Command lines for the winner; none for schedulers that neither engine has.
pub fn launch(system: &SystemPlan, pools: &[Pool]) -> Vec<Launch> {
    let [pool] = pools else { return Vec::new() };
    let (budget, sequences) = match &system.cluster.replica.scheduler {
        SchedulerConfig::Unified(s) => (s.token_budget, s.max_sequences),
        SchedulerConfig::Chunked(s) => (s.token_budget, s.max_sequences),
        _ => return Vec::new(),
    };
    let KvOptions::Paged(paged) = &system.options.kv else { return Vec::new() };
    let reuse = system.options.prefix_cache == PrefixCache::Blocks;
    let told = Told { system, pool, budget, sequences, block: paged.block, reuse };
    vec![told.vllm(), told.sglang()]
}

impl Told<'_> {
    fn vllm(&self) -> Launch {
        let mut flags = vec![
            format!("--tensor-parallel-size {}", self.pool.tp),
            format!("--pipeline-parallel-size {}", self.pool.pp),
            format!("--max-num-batched-tokens {}", self.budget),
            format!("--max-num-seqs {}", self.sequences),
            format!("--max-model-len {}", self.system.cluster.replica.max_model_len),
            format!("--block-size {}", self.block),
        ];
        flags.extend(
            self.system.options.gpu_memory_utilization.map(|u| format!("--gpu-memory-utilization {u}")),
        );
        if let SchedulerConfig::Unified(s) = &self.system.cluster.replica.scheduler
            && s.long_prefill_threshold > 0
        {
            flags.push(format!("--long-prefill-token-threshold {}", s.long_prefill_threshold));
        }
        let no = if self.reuse { "" } else { "no-" };
        flags.push(format!("--{no}enable-prefix-caching"));
        if !self.system.spec.weights.is_half() {
            flags.push(format!("--quantization {}", self.system.spec.weights.name()));
        }
        if self.system.spec.kv.bytes() < 2.0 {
            flags.push("--kv-cache-dtype fp8".to_owned());
        }
        self.of("vLLM", &format!("vllm serve \"$MODEL\" {}", flags.join(" ")))
    }

    fn sglang(&self) -> Launch {
        let mut flags = vec![
            format!("--tp-size {}", self.pool.tp),
            format!("--pp-size {}", self.pool.pp),
            format!("--chunked-prefill-size {}", self.budget),
            format!("--max-running-requests {}", self.sequences),
            format!("--context-length {}", self.system.cluster.replica.max_model_len),
            format!("--page-size {}", self.block),
        ];
        if !self.reuse {
            flags.push("--disable-radix-cache".to_owned());
        }
        if !self.system.spec.weights.is_half() {
            flags.push(format!("--quantization {}", self.system.spec.weights.name()));
        }
        if self.system.spec.kv.bytes() < 2.0 {
            flags.push("--kv-cache-dtype fp8_e4m3".to_owned());
        }
        let mut launch = self.of(
            "SGLang",
            &format!("python3 -m sglang.launch_server --model-path \"$MODEL\" {}", flags.join(" ")),
        );
        launch.notes.push(
            "SGLang was not simulated: its chunks hold prompt tokens alone, while the token budget counts decodes too"
                .to_owned(),
        );
        launch
    }

    fn of(&self, engine: &str, command: &str) -> Launch {
        let mut notes = vec![format!("MODEL is your checkpoint of {}", self.system.spec.model.name)];
        if self.pool.replicas > 1 {
            notes.push(format!(
                "{} such servers, behind a router like the simulated one ({})",
                self.pool.replicas,
                self.system.cluster.router.key()
            ));
        }
        if self.system.options.kv_blocks.is_some() {
            notes.push("the number of KV blocks was set by hand in the scenario".to_owned());
        }
        Launch { engine: engine.to_owned(), command: command.to_owned(), notes }
    }
}
