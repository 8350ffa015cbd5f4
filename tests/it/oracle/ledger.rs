//! Where a request's time went (§10).

use windtunnel::metrics::record::Cause;
use windtunnel::units::SimDuration;

use super::mutation::Mutation;
use super::pipeline::Batch;
use super::request::{Loss, Req, Way};
use super::sim::Sim;

fn add(request: &mut Req, cause: Cause, ps: u64) {
    request.ledger.add(cause, SimDuration::from_ps(ps));
}

/// Time in which no step works on the request, up to `to`.
pub fn account_wait(request: &mut Req, to: u64, pipelined: bool) {
    let cause = if request.loss != Loss::None {
        request.lost_to
    } else if request.holding || pipelined {
        Cause::Bubble
    } else if !request.prefilled {
        Cause::PrefillInterrupted
    } else {
        Cause::DecodeStalled
    };
    add(request, cause, to - request.upto);
    request.upto = to;
}

/// The first step that computes a token of it starts.
pub fn account_queue(request: &mut Req, now: u64) {
    if request.scheduled.is_none() {
        request.scheduled = Some(now);
        add(request, Cause::Queue, now - request.queued);
        request.upto = now;
    }
}

/// §12: the time since its prompt was complete; §14: since it stopped.
pub fn account_hand_over(request: &mut Req, now: u64, mutation: Mutation) {
    let cause = match (request.stands, mutation) {
        (true, Mutation::StandingIsDecoding) | (false, Mutation::HandOverIsDecoding) => Cause::DecodeStalled,
        (true, _) => Cause::Migration,
        (false, _) => Cause::HandOver,
    };
    request.stands = false;
    add(request, cause, now - request.upto);
    request.upto = now;
}

/// A step has ended; nobody's counters have moved yet.
pub fn account_step(sim: &mut Sim<'_>, k: usize, batch: &Batch) {
    let pipelined = sim.pipelined(k);
    let mutation = sim.options.mutation;
    for request in &mut sim.requests {
        let here = request.outstanding && request.replica == k;
        if !here || request.scheduled.is_none() || request.finish.is_some() || request.way != Way::None {
            continue;
        }
        if batch.has(request.id) {
            account_wait(request, batch.start, pipelined);
            account_work(request, batch, pipelined, mutation);
        } else if !pipelined && request.upto < batch.end {
            account_wait(request, batch.end, pipelined);
        }
    }
}

/// A step that worked on the request.
fn account_work(request: &mut Req, batch: &Batch, pipelined: bool, mutation: Mutation) {
    let length = batch.end - batch.start;
    request.upto = batch.end;
    if request.loss == Loss::UntilStep {
        request.loss = Loss::None;
    }
    if request.loss == Loss::UntilToken {
        add(request, request.lost_to, length);
        return;
    }
    let feeds = batch.decode.contains(&request.id) && mutation == Mutation::ReadFeedIsDecoding;
    let waits = if !request.prefilled && !feeds { Cause::PrefillExecution } else { Cause::DecodeStalled };
    add(request, waits, batch.load);
    if !request.prefilled && !feeds {
        add(request, Cause::PrefillExecution, batch.gpu);
    } else if pipelined {
        add(request, Cause::DecodeExecution, batch.gpu);
    } else {
        let own = batch.gpu.min(batch.decode_only_gpu);
        add(request, Cause::DecodeExecution, own);
        add(request, Cause::DecodeStalled, batch.gpu - own);
    }
    add(request, Cause::Host, batch.host);
    let swap_is_bubble = pipelined && mutation == Mutation::ReadPipelineSwapIsBubble;
    add(request, if swap_is_bubble { Cause::Bubble } else { Cause::PreemptionLoss }, batch.swap);
    add(request, Cause::Bubble, length - batch.gpu - batch.host - batch.swap - batch.load);
}
