//! The numbers of one run: what `summary.csv` and `summary.json` hold.

use serde::{Deserialize, Serialize};

use super::column::columns;
use super::ledger::LedgerRow;
use super::saturation::Saturation;
use super::slo::Limit;

columns! {
    /// Numbers that follow from request records; also made per class. Latencies are over finished requests that
    /// arrived in the window.
    RequestStats {
        arrived: u64, "arrived", "", Neither, "Requests that arrived in the window.";
        finished: u64, "finished", "", Higher, "Of those, requests whose every token was delivered.";
        rejected: u64, "rejected", "", Lower, "Of those, requests turned away at the door.";
        overloaded: u64, "overloaded", "", Lower, "Of the rejected ones, requests turned away because an admission limit was reached.";
        timed_out: u64, "timed out", "", Lower, "Of those that arrived, requests whose client gave up before the last token.";
        unfinished: u64, "unfinished", "", Lower, "Of those, requests still in the system when the run ended.";
        prompt_tokens: u64, "prompt tokens", "", Neither, "Prompt tokens of finished requests.";
        output_tokens: u64, "output tokens", "", Neither, "Answer tokens of finished requests.";
        arrival_rate_per_s: Option<f64>, "arrival rate", "req/s", Neither, "Arrivals per second of the arrival span.";
        ttft_mean_s: Option<f64>, "TTFT mean", "s", Lower, "Time to first token at the client (first token − arrival), mean.";
        ttft_p50_s: Option<f64>, "TTFT p50", "s", Lower, "Time to first token at the client, median.";
        ttft_p90_s: Option<f64>, "TTFT p90", "s", Lower, "Time to first token at the client, 90th percentile.";
        ttft_p99_s: Option<f64>, "TTFT p99", "s", Lower, "Time to first token at the client, 99th percentile.";
        ttft_p99_worst_10min_s: Option<f64>, "TTFT p99 of worst 10 min", "s", Lower, "Largest 99th percentile of TTFT over consecutive ten minutes of arrivals with at least 100 finished requests each.";
        ttft_max_s: Option<f64>, "TTFT max", "s", Lower, "Time to first token at the client, largest.";
        ttft_engine_mean_s: Option<f64>, "engine TTFT mean", "s", Lower, "Time to first token seen by the engine (no front end, no streaming), mean.";
        ttft_engine_p50_s: Option<f64>, "engine TTFT p50", "s", Lower, "Time to first token seen by the engine, median.";
        ttft_engine_p90_s: Option<f64>, "engine TTFT p90", "s", Lower, "Time to first token seen by the engine, 90th percentile.";
        ttft_engine_p99_s: Option<f64>, "engine TTFT p99", "s", Lower, "Time to first token seen by the engine, 99th percentile.";
        tpot_mean_s: Option<f64>, "TPOT mean", "s", Lower, "Time per output token of a request ((last − first)/(n − 1), absent for n = 1), mean over requests.";
        tpot_p50_s: Option<f64>, "TPOT p50", "s", Lower, "Time per output token of a request, median over requests.";
        tpot_p90_s: Option<f64>, "TPOT p90", "s", Lower, "Time per output token of a request, 90th percentile over requests.";
        tpot_p99_s: Option<f64>, "TPOT p99", "s", Lower, "Time per output token of a request, 99th percentile over requests.";
        tpot_max_s: Option<f64>, "TPOT max", "s", Lower, "Time per output token of a request, largest.";
        e2e_mean_s: Option<f64>, "E2E mean", "s", Lower, "End-to-end latency (last token − arrival), mean.";
        e2e_p50_s: Option<f64>, "E2E p50", "s", Lower, "End-to-end latency, median.";
        e2e_p90_s: Option<f64>, "E2E p90", "s", Lower, "End-to-end latency, 90th percentile.";
        e2e_p99_s: Option<f64>, "E2E p99", "s", Lower, "End-to-end latency, 99th percentile.";
        e2e_max_s: Option<f64>, "E2E max", "s", Lower, "End-to-end latency, largest.";
        normalised_mean_s_per_token: Option<f64>, "normalised mean", "s/tok", Lower, "Normalised latency (E2E / output tokens), mean.";
        normalised_p50_s_per_token: Option<f64>, "normalised p50", "s/tok", Lower, "Normalised latency, median.";
        normalised_p90_s_per_token: Option<f64>, "normalised p90", "s/tok", Lower, "Normalised latency, 90th percentile.";
        normalised_p99_s_per_token: Option<f64>, "normalised p99", "s/tok", Lower, "Normalised latency, 99th percentile.";
        scheduling_delay_mean_s: Option<f64>, "sched. delay mean", "s", Lower, "Scheduling delay (first scheduled − arrival), mean.";
        scheduling_delay_p50_s: Option<f64>, "sched. delay p50", "s", Lower, "Scheduling delay, median.";
        scheduling_delay_p90_s: Option<f64>, "sched. delay p90", "s", Lower, "Scheduling delay, 90th percentile.";
        scheduling_delay_p99_s: Option<f64>, "sched. delay p99", "s", Lower, "Scheduling delay, 99th percentile.";
        queue_mean_s: Option<f64>, "queue mean", "s", Lower, "Time in the replica's waiting queue before the first step, mean.";
        queue_p50_s: Option<f64>, "queue p50", "s", Lower, "Time in the replica's waiting queue, median.";
        queue_p90_s: Option<f64>, "queue p90", "s", Lower, "Time in the replica's waiting queue, 90th percentile.";
        queue_p99_s: Option<f64>, "queue p99", "s", Lower, "Time in the replica's waiting queue, 99th percentile.";
        gap_max_p50_s: Option<f64>, "longest gap p50", "s", Lower, "Longest gap of a request with two tokens or more, median over requests.";
        gap_max_p90_s: Option<f64>, "longest gap p90", "s", Lower, "Longest gap of a request, 90th percentile over requests.";
        gap_max_p99_s: Option<f64>, "longest gap p99", "s", Lower, "Longest gap of a request, 99th percentile over requests.";
        slowdown_mean: Option<f64>, "slowdown mean", "", Lower, "Slowdown (E2E / E2E of the same request served alone), mean.";
        slowdown_p50: Option<f64>, "slowdown p50", "", Lower, "Slowdown, median.";
        slowdown_p90: Option<f64>, "slowdown p90", "", Lower, "Slowdown, 90th percentile.";
        slowdown_p99: Option<f64>, "slowdown p99", "", Lower, "Slowdown, 99th percentile.";
        fluidity: Option<f64>, "fluidity", "", Higher, "Share of the tokens of finished requests that came by their deadline: arrival + TTFT limit + i × gap limit (longest gap, else P99 gap, else TPOT).";
        attainment: Option<f64>, "attainment", "", Higher, "Share of all arrived requests that met every per-request limit (joint) or the worst single limit; rejected and unfinished ones missed.";
        attainment_ttft: Option<f64>, "attainment TTFT", "", Higher, "Share of all arrived requests that met the TTFT limit.";
        attainment_tpot: Option<f64>, "attainment TPOT", "", Higher, "Share of all arrived requests that met the TPOT limit.";
        attainment_e2e: Option<f64>, "attainment E2E", "", Higher, "Share of all arrived requests that met the E2E limit.";
        attainment_gap_max: Option<f64>, "attainment longest gap", "", Higher, "Share of all arrived requests that met the limit on their longest gap.";
        goodput_per_s: Option<f64>, "goodput", "req/s", Higher, "Requests that met their limits per second of the arrival span (attainment × arrival rate).";
        throughput_req_per_s: Option<f64>, "throughput", "req/s", Higher, "Requests finished in the window per second of the window (whole run: first arrival to last event).";
        throughput_output_tok_per_s: Option<f64>, "output tokens/s", "tok/s", Higher, "Answer tokens of requests finished in the window per second of the window.";
        throughput_total_tok_per_s: Option<f64>, "all tokens/s", "tok/s", Higher, "Prompt and answer tokens of requests finished in the window per second of the window.";
        preempted: u64, "preempted requests", "", Lower, "Requests preempted at least once.";
        preemptions: u64, "preemptions", "", Lower, "Preemptions of these requests.";
        recomputed_tokens: u64, "recomputed tokens", "", Lower, "Tokens computed again because of preemption.";
        cached_tokens: u64, "cached tokens", "", Higher, "Prompt tokens found in the prefix cache.";
    }
}

columns! {
    /// Numbers of the whole run, warm-up included: pooled gaps, engine counters, occupancy, checks.
    RunStats {
        offered_rate_per_s: Option<f64>, "offered rate", "req/s", Neither, "Rate the load point stands for.";
        makespan_s: Option<f64>, "makespan", "s", Lower, "First arrival to last event.";
        gaps: u64, "gaps", "", Neither, "Intervals between consecutive tokens of a request, all requests pooled.";
        gap_mean_s: Option<f64>, "gap mean", "s", Lower, "Pooled gaps between tokens, mean.";
        gap_p50_s: Option<f64>, "gap p50", "s", Lower, "Pooled gaps between tokens, median.";
        gap_p90_s: Option<f64>, "gap p90", "s", Lower, "Pooled gaps between tokens, 90th percentile.";
        gap_p99_s: Option<f64>, "gap p99", "s", Lower, "Pooled gaps between tokens, 99th percentile.";
        gap_max_s: Option<f64>, "gap max", "s", Lower, "Pooled gaps between tokens, largest.";
        gap_error_ratio: Option<f64>, "gap error", "", Neither, "Relative error of the pooled gap quantiles (they come from a histogram).";
        gap_share_within_slo: Option<f64>, "gaps within SLO", "", Higher, "Share of pooled gaps within the P99-gap limit; the limit is met from 0.99 on.";
        goodput_per_gpu_per_s: Option<f64>, "goodput/GPU", "req/s", Higher, "Goodput divided by the number of GPUs; where replicas come and go, by the mean number provided for.";
        output_tok_per_gpu_per_s: Option<f64>, "output tokens/s/GPU", "tok/s", Higher, "Answer tokens per second divided by the number of GPUs; where replicas come and go, by the mean number provided for.";
        steps: u64, "steps", "", Neither, "Engine steps.";
        prefill_steps: u64, "prefill steps", "", Neither, "Steps with prompt chunks only.";
        mixed_steps: u64, "mixed steps", "", Neither, "Steps with prompt chunks and decodes.";
        decode_steps: u64, "decode steps", "", Neither, "Steps with decodes only.";
        decode_batch_mean: Option<f64>, "mean decode batch", "seq", Neither, "Mean number of sequences that get a token in a step that decodes.";
        step_tokens_mean: Option<f64>, "mean step tokens", "tok", Neither, "Mean number of tokens computed per step.";
        prefill_tokens: u64, "prefill tokens", "", Neither, "Prompt tokens computed, recomputed ones included.";
        decode_tokens: u64, "decode tokens", "", Neither, "Tokens computed by decoding.";
        run_preemptions: u64, "run preemptions", "", Lower, "Preemptions in the whole run.";
        run_recomputed_tokens: u64, "run recomputed tokens", "", Lower, "Tokens computed again after preemption in the whole run.";
        run_cached_tokens: u64, "run cached tokens", "", Higher, "Prompt tokens taken from the prefix cache in the whole run.";
        run_host_cached_tokens: u64, "run host-cached tokens", "", Higher, "Prompt tokens that prefix hits loaded from host memory in the whole run.";
        wasted_slots: u64, "wasted slots", "", Lower, "Slots computed for sequences that had already finished.";
        swapped_blocks: u64, "swapped blocks", "", Lower, "KV blocks moved to or from host memory.";
        busy_ratio: Option<f64>, "busy", "", Neither, "Time in steps per second of run, per replica (provided for) and stage.";
        busy_linear_ratio: Option<f64>, "busy linear", "", Neither, "Of the run, time in linear work.";
        busy_attention_ratio: Option<f64>, "busy attention", "", Neither, "Of the run, time in attention.";
        busy_link_ratio: Option<f64>, "busy link", "", Neither, "Of the run, time in collectives.";
        busy_host_ratio: Option<f64>, "busy host", "", Lower, "Of the run, host time not hidden behind the accelerator.";
        mfu_ratio: Option<f64>, "MFU", "", Neither, "FLOPs computed per second of run over the 16-bit datasheet peak of all GPUs; absent for `ideal`.";
        mfu_useful_ratio: Option<f64>, "useful MFU", "", Higher, "The same without recomputed tokens, padding and slots of finished sequences.";
        mfu_busy_ratio: Option<f64>, "MFU in steps", "", Neither, "The same as MFU, per second in steps.";
        mbu_ratio: Option<f64>, "MBU", "", Neither, "Bytes of weights and KV read per second of run over the datasheet bandwidth of all GPUs; absent for `ideal`.";
        mbu_useful_ratio: Option<f64>, "useful MBU", "", Neither, "The same without what recomputed tokens and finished sequences read.";
        mbu_busy_ratio: Option<f64>, "MBU in steps", "", Neither, "The same as MBU, per second in steps.";
        preemptions_per_request: Option<f64>, "preemptions/request", "", Lower, "Preemptions per finished request.";
        recompute_gpu_s: Option<f64>, "recompute", "GPU·s", Lower, "GPU time of steps that went to tokens computed before (by share of the step's tokens).";
        swap_gpu_s: Option<f64>, "swap", "GPU·s", Lower, "GPU time in which steps waited for KV on its way to or from host memory.";
        preemption_loss_mean_s: Option<f64>, "preemption loss", "s", Lower, "Time lost to preemptions, mean over all finished requests.";
        preemption_loss_per_victim_s: Option<f64>, "loss per victim", "s", Lower, "Time lost to preemptions, mean over the finished requests that were preempted.";
        transfers: u64, "KV transfers", "", Neither, "Transfers of KV between replicas that ended: hand-overs, copies of moving requests, fetched prefixes.";
        transferred_gb: Option<f64>, "KV transferred", "GB", Neither, "KV that was sent between replicas, in 10^9 bytes.";
        transfer_mean_s: Option<f64>, "transfer", "s", Lower, "Time of a transfer from setting out to the last byte, mean.";
        transfer_wait_mean_s: Option<f64>, "transfer wait mean", "s", Lower, "Of that time, what sharing ports with others added, mean.";
        transfer_wait_ratio: Option<f64>, "transfer wait", "", Lower, "Of the time of all transfers, the share that sharing ports with others added.";
        transfer_ttft_ratio: Option<f64>, "transfer in TTFT", "", Lower, "Of the times to the first token of finished requests together, the share in hand-over before it (waiting for room included), or at the router where prefixes are fetched.";
        transfer_tpot_ratio: Option<f64>, "transfer in TPOT", "", Lower, "Of the times from first to last token of finished requests together, the share in hand-over after the first token and in moves.";
        port_used_mean_ratio: Option<f64>, "ports used", "", Neither, "Bytes through a port over what it carries in the run at its full rate, mean over the ports that any KV went through.";
        port_used_peak_ratio: Option<f64>, "busiest port used", "", Neither, "The same of the port for which it is largest.";
        port_busy_peak_ratio: Option<f64>, "busiest port", "", Neither, "Share of the run in which the busiest port between replicas had a flow.";
        prefix_fetches: u64, "prefix fetches", "", Neither, "Prefixes that a replica fetched from another one; they are among the transfers.";
        moves: u64, "moves", "", Neither, "Requests that moved to another replica while they ran.";
        moves_given_up: u64, "moves given up", "", Neither, "Moves that ended without one: no room, or the request finished, lost its place or grew too fast.";
        move_standing_mean_s: Option<f64>, "standing still", "s", Lower, "Time from a moving request's stop to its last byte, mean; absent where KV is computed again.";
        replicas_mean: Option<f64>, "replicas", "", Neither, "Replicas provided for (up, starting, draining or failing), mean over the run: all, where none comes or goes.";
        provided_gpu_s: Option<f64>, "provided", "GPU·s", Lower, "GPU time of the replicas provided for: their GPUs × the run, where none comes or goes.";
        scaled_out: u64, "scaled out", "", Neither, "Decisions to add a replica.";
        scaled_in: u64, "scaled in", "", Neither, "Decisions to take a replica away.";
        failures: u64, "failures", "", Neither, "Failures of replicas that could be sent requests.";
        lost_replica: u64, "lost their replica", "", Lower, "Requests whose replica failed, once for each time.";
        bound_none_ratio: Option<f64>, "bound: none", "", Neither, "Share of the time with work under way in which nobody waited, or only for the end of a step.";
        bound_memory_ratio: Option<f64>, "bound: KV", "", Neither, "Share of that time in which requests waited for KV blocks.";
        bound_sequences_ratio: Option<f64>, "bound: sequences", "", Neither, "Share of that time in which they waited because no more requests may run.";
        bound_budget_ratio: Option<f64>, "bound: budget", "", Neither, "Share of that time in which they waited for tokens of the step's budget.";
        bound_batch_ratio: Option<f64>, "bound: batch", "", Neither, "Share of that time in which they waited for the end of a static batch.";
        bound_other_ratio: Option<f64>, "bound: other", "", Neither, "Share of that time in which the scheduler does not say what they waited for.";
        kv_live_mean_ratio: Option<f64>, "KV live", "", Neither, "Share of KV slots with a token of a running request, mean over the samples.";
        kv_reserved_mean_ratio: Option<f64>, "KV reserved", "", Lower, "Share of KV slots reserved or allocated ahead and unused, mean over the samples.";
        kv_fragmented_mean_ratio: Option<f64>, "KV fragmented", "", Lower, "Share of KV slots that are empty in the last block of a request, mean over the samples.";
        kv_cached_mean_ratio: Option<f64>, "KV cached", "", Neither, "Share of KV slots that nobody holds and the prefix cache can still find, mean over the samples.";
        kv_stranded_mean_ratio: Option<f64>, "KV stranded", "", Lower, "Share of KV slots that are free and would meet whole demands of heads of queues that wait for KV, if all free blocks were in one place, mean over the samples.";
        backlog_slope_per_s: Option<f64>, "backlog slope", "req/s", Lower, "Growth of the queue over the second half of the arrivals.";
        kv_occupancy_mean: Option<f64>, "KV occupancy mean", "", Neither, "Share of KV blocks held by requests, mean over the samples.";
        kv_occupancy_peak: Option<f64>, "KV occupancy peak", "", Neither, "Share of KV blocks held by requests, largest sample.";
        kv_waste_ratio: Option<f64>, "KV waste", "", Lower, "Of the tokens that held KV blocks have room for, the share that stores nothing, over the samples: reserved but unused, and unfilled blocks.";
        running_mean: Option<f64>, "running mean", "", Neither, "Requests running, mean over the samples.";
        waiting_mean: Option<f64>, "waiting mean", "", Lower, "Requests waiting in replicas, mean over the samples.";
        waiting_at_last_arrival: u64, "waiting at last arrival", "", Lower, "Requests that had not begun at the last arrival (saturation rule).";
        arrivals_second_half: u64, "arrivals, 2nd half", "", Neither, "Arrivals in the second half of the arrival span (saturation rule).";
        completions_second_half: u64, "completions, 2nd half", "", Neither, "Completions in the second half of the arrival span (saturation rule).";
        energy_j: Option<f64>, "energy", "J", Lower, "What the boards drew from the first arrival to the last event, those of replicas provided for; hosts and cooling are not in it.";
        energy_prefill_ratio: Option<f64>, "energy: prefill", "", Neither, "Of it, the share of steps for prompts (of mixed steps what is not for decodes).";
        energy_decode_ratio: Option<f64>, "energy: decode", "", Neither, "Of it, the share of steps for decodes.";
        energy_idle_ratio: Option<f64>, "energy: idle", "", Lower, "Of it, the share of the time without a step, weights resident.";
        power_mean_w: Option<f64>, "W/GPU", "W", Neither, "Energy per second of run and accelerator provided for.";
        active_j_per_token: Option<f64>, "J/token active", "J", Lower, "Energy of steps per answer token of finished requests.";
        provisioned_j_per_token: Option<f64>, "J/token", "J", Lower, "Energy of the whole run, idle time included, per answer token of finished requests.";
        usd_per_mtok: Option<f64>, "$/Mtok", "$", Lower, "Price of the accelerators provided for, over the run, per million answer tokens of finished requests.";
        sessions: Option<f64>, "sessions", "", Neither, "Sessions of at least two requests that all finished.";
        session_mean_s: Option<f64>, "session mean", "s", Lower, "From the first arrival of such a session to its last token, mean; it holds think times and the work of tools.";
        session_p50_s: Option<f64>, "session p50", "s", Lower, "The same, median.";
        session_p90_s: Option<f64>, "session p90", "s", Lower, "The same, 90th percentile.";
        warm_up_ratio: Option<f64>, "warm-up", "", Neither, "Share of the finished requests, in order of arrival, that MSER-5 on end-to-end latencies takes for a warm-up; 0.5: no steady state was found.";
        little_residual: Option<f64>, "Little residual", "", Neither, "Check: mean requests in replicas from samples / (arrival rate × mean stay from records) − 1; near 0.";
    }
}

/// The request numbers of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassSummary {
    /// Name of the class.
    pub class: String,
    /// Its numbers.
    pub requests: RequestStats,
}

/// Everything that is reported about one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Whether it was a steady state.
    pub saturation: Saturation,
    /// Whether the run meets the SLO: attainment reaches the target share and the pooled gap limit holds.
    pub slo_met: bool,
    /// Limits of the SLO that the run misses: a per-request limit that less than the target share met, or the
    /// pooled gap limit.
    pub slo_missed: Vec<Limit>,
    /// From request records.
    pub requests: RequestStats,
    /// From counters, gaps and samples.
    pub run: RunStats,
    /// Where time went: mean over groups of requests.
    pub ledger: Vec<LedgerRow>,
    /// The request numbers of each class that has requests.
    pub classes: Vec<ClassSummary>,
}

impl Summary {
    /// Whether this load is within capacity: the SLO is met in a steady state.
    pub fn within_capacity(&self) -> bool {
        self.slo_met && self.saturation == Saturation::Stable
    }

    /// The number in any column; absent for an unknown key too.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.requests.get(key).or_else(|| self.run.get(key))
    }

    /// Cells of a CSV row, in the order of [`super::column::all`].
    pub fn cells(&self) -> Vec<String> {
        let mut cells = self.requests.cells();
        cells.extend(self.run.cells());
        cells
    }
}
