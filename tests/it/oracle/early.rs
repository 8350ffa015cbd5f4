//! KV that is sent layer by layer while the end of a prompt is computed (§12).

use windtunnel::engine::config::{FirstToken, Overlap, Role};

use super::hand_over;
use super::links::{self, Parcel, Part};
use super::mutation::Mutation;
use super::pipeline::Batch;
use super::router::{Router, demand};
use super::sim::Sim;

/// A prompt whose last chunk is computed while a decode replica makes room for it.
pub struct Early {
    pub request: usize,
    /// Which router chose, and which of its replicas.
    pub by: usize,
    pub at: usize,
    from: usize,
    pub to: usize,
    /// The end of the first layer.
    layer: u64,
    /// What is promised, from the instant at which there was room.
    pub blocks: Option<Vec<usize>>,
    /// The first bytes have come.
    come: bool,
    /// It is on the decode replica.
    there: bool,
    /// The step ended it.
    void: bool,
}

fn overlap(sim: &Sim<'_>) -> Option<Overlap> {
    sim.deployment.joint.as_ref()?.hand_over?.overlap
}

/// Tokens of KV that its prompt has when it is complete.
pub fn completed(sim: &Sim<'_>, r: usize) -> u32 {
    let prompt = sim.requests[r].prompt;
    if hand_over::first_token(sim) == FirstToken::Decode { prompt - 1 } else { prompt }
}

/// Until its offer the router that chose counts it there.
pub fn counts(sim: &Sim<'_>, w: usize) -> Vec<(usize, usize, usize)> {
    let counted = !sim.mutated(Mutation::EarlyIsNotCounted);
    let mine = sim.early.iter().filter(|e| counted && e.by == w && !e.there && !e.void);
    mine.map(|e| (e.at, e.to, e.request)).collect()
}

/// Blocks that are promised on replica `k`.
pub fn promised(sim: &Sim<'_>, k: usize) -> u64 {
    let here = sim.early.iter().filter(|e| e.to == k && !e.there);
    here.map(|e| e.blocks.as_ref().map_or(0, Vec::len) as u64).sum()
}

/// A prefill replica has launched `batch`.
pub fn launched(sim: &mut Sim<'_>, k: usize, batch: &Batch) {
    let Some(overlap) = overlap(sim).filter(|_| sim.role(k) == Role::Prefill) else { return };
    let layer = batch.start + (batch.end - batch.start) / u64::from(overlap.layers);
    for &(r, q) in &batch.prefill {
        let request = &sim.requests[r];
        if request.computed + q < request.tokens() || request.prompt < overlap.from_tokens {
            continue;
        }
        let by = hand_over::router_of(sim, k);
        sim.requests[r].early = true;
        let to = Router::choose(sim, by, r);
        let at = sim.routers[by].pool.iter().position(|&p| p == to).expect("of its pool");
        sim.replicas[to].touched = true;
        sim.coverage.early += 1;
        let (blocks, come, there, void) = (None, false, false, false);
        sim.early.push(Early { request: r, by, at, from: k, to, layer, blocks, come, there, void });
    }
}

/// Before a decode replica plans, after it has taken offers.
pub fn make_room(sim: &mut Sim<'_>, k: usize) {
    for i in 0..sim.early.len() {
        let early = &sim.early[i];
        if early.to != k || early.blocks.is_some() {
            continue;
        }
        let r = early.request;
        let offered = !sim.replicas[k].offers.is_empty() && !sim.mutated(Mutation::EarlyBesideOffers);
        if offered || !hand_over::has_room(sim, k, demand(sim, k, r)) {
            sim.coverage.early_waits += 1;
            return;
        }
        let wanted = demand(sim, k, r);
        let blocks = (0..wanted).map(|_| sim.replicas[k].kv.take()).collect();
        sim.early[i].blocks = Some(blocks);
        send_first(sim, i);
    }
}

/// All bytes and the last layer's.
fn bytes(sim: &Sim<'_>, r: usize) -> (u32, u128, u128) {
    let network = links::network(sim).expect("KV is sent over links");
    let layers = overlap(sim).expect("layer by layer").layers;
    let blocks = completed(sim, r).div_ceil(sim.config(0).kv.block);
    let all = u128::from(network.block_bytes) * u128::from(blocks);
    (blocks, all, all.div_ceil(u128::from(layers)))
}

fn send_first(sim: &mut Sim<'_>, i: usize) {
    let (r, from, to, layer) = (sim.early[i].request, sim.early[i].from, sim.early[i].to, sim.early[i].layer);
    let (blocks, all, last) = bytes(sim, r);
    let messages = links::network(sim).expect("KV is sent over links").messages.of(blocks);
    let after = if sim.mutated(Mutation::LayersNotAwaited) { sim.now } else { layer.max(sim.now) };
    links::send_part(sim, r, (from, to), Part::First, (all - last, after, messages));
}

fn send_rest(sim: &mut Sim<'_>, i: usize) {
    let (r, from, to) = (sim.early[i].request, sim.early[i].from, sim.early[i].to);
    let (blocks, _, last) = bytes(sim, r);
    let messages = links::network(sim).expect("KV is sent over links").messages.of(blocks);
    let layers = u64::from(overlap(sim).expect("layer by layer").layers);
    sim.early.remove(i);
    let messages = if sim.mutated(Mutation::RestIsSentAtOnce) { 0 } else { messages.div_ceil(layers) };
    links::send_part(sim, r, (from, to), Part::Rest, (last, sim.now, messages));
}

/// The step has ended, and the request would be offered. Returns the replica that it is to be offered to, if that is
/// settled; or that it is there.
pub fn offer(sim: &mut Sim<'_>, r: usize) -> Option<(usize, bool)> {
    let i = sim.early.iter().position(|e| e.request == r && !e.void)?;
    let to = sim.early[i].to;
    sim.requests[r].early = false;
    let Some(blocks) = sim.early[i].blocks.take() else {
        sim.early.remove(i);
        sim.coverage.early_offered += 1;
        return (!sim.mutated(Mutation::EarlyIsRoutedAgain)).then_some((to, false));
    };
    sim.coverage.early_room += 1;
    sim.requests[r].blocks = blocks;
    sim.early[i].there = true;
    sim.early[i].blocks = Some(Vec::new());
    if sim.early[i].come {
        send_rest(sim, i);
    }
    Some((to, true))
}

/// A prompt's step ended the request: at its end.
pub fn ended(sim: &mut Sim<'_>) {
    for i in (0..sim.early.len()).rev() {
        let early = &mut sim.early[i];
        if early.there || early.void || !sim.requests[early.request].is_over() {
            continue;
        }
        sim.coverage.early_void += 1;
        early.void = true;
        sim.requests[early.request].early = false;
        if sim.mutated(Mutation::PromiseEndsAtOnce) {
            let blocks = sim.early[i].blocks.replace(Vec::new()).unwrap_or_default();
            sim.replicas[sim.early[i].to].kv.release(blocks, true);
        } else if sim.early[i].blocks.is_none() || sim.early[i].come {
            let_go(sim, i);
        }
    }
}

fn let_go(sim: &mut Sim<'_>, i: usize) {
    let early = sim.early.remove(i);
    if let Some(blocks) = early.blocks {
        sim.replicas[early.to].kv.release(blocks, true);
        sim.replicas[early.to].touched = true;
    }
}

/// Bytes have come, if they were the first ones of a prompt.
pub fn last_byte(sim: &mut Sim<'_>, parcel: &Parcel) -> bool {
    if parcel.part != Part::First {
        return false;
    }
    let found = sim.early.iter().position(|e| e.request == parcel.request);
    let i = found.expect("who is sent early is remembered");
    sim.early[i].come = true;
    if sim.early[i].void {
        let_go(sim, i);
    } else if sim.early[i].there {
        send_rest(sim, i);
    }
    true
}
