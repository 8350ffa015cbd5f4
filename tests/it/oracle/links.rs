//! KV on its way between replicas: flows through ports, acknowledgements, leases (§12, §13).

use windtunnel::engine::config::Network;
use windtunnel::ids::ReplicaId;
use windtunnel::metrics::record::TransferCounters;

use super::mutation::Mutation;
use super::ports::{Flow, share};
use super::sim::Sim;

/// Which part of a request's KV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    All,
    /// Layer by layer: all but the last layer.
    First,
    Rest,
}

/// KV that is sent.
#[derive(Clone, Copy)]
pub struct Parcel {
    pub request: usize,
    pub from: usize,
    pub to: usize,
    pub bytes: u128,
    pub part: Part,
    /// When it set out.
    set_out: u64,
}

/// KV between replicas.
#[derive(Default)]
pub struct Links {
    flows: Vec<(Flow, Parcel)>,
    /// What remains of the flows is as of this instant.
    upto: u64,
    /// Flows that have not started, with the instant at which they do.
    starts: Vec<(u64, Parcel)>,
    /// (instant, request) of acknowledgements on their way.
    acknowledgements: Vec<(u64, usize)>,
    /// Idle prefill replicas with a queue that got an acknowledgement at this instant (coverage).
    freed: Vec<usize>,
    pub counters: TransferCounters,
    /// Bytes of ended flows and time in which something flows, by port.
    pub ports: Vec<(u128, u128)>,
}

impl Links {
    pub fn next_instant(&self) -> Option<u64> {
        let ends = self.flows.iter().filter_map(|f| f.0.time_left()).map(|left| self.upto + left);
        let starts = self.starts.iter().map(|s| s.0);
        ends.chain(starts).chain(self.acknowledgements.iter().map(|a| a.0)).min()
    }
}

/// The links of this deployment.
pub fn network<'a>(sim: &Sim<'a>) -> Option<&'a Network> {
    sim.deployment.joint.as_ref().map(|joint| joint.network)
}

fn id(k: usize) -> ReplicaId {
    ReplicaId(k as u16)
}

/// How long one message takes between two replicas.
pub fn latency(sim: &Sim<'_>, from: usize, to: usize) -> u64 {
    network(sim).map_or(0, |n| n.path(id(from), id(to)).latency.as_ps())
}

/// `blocks` blocks of `request` set out now: nothing flows before the messages have passed.
pub fn send(sim: &mut Sim<'_>, request: usize, way: (usize, usize), blocks: u32) {
    let Some(network) = network(sim) else { return };
    let bytes = u128::from(network.block_bytes) * u128::from(blocks);
    send_part(sim, request, way, Part::All, (bytes, sim.now, network.messages.of(blocks)));
}

/// So many bytes flow when so many messages have passed after an instant.
pub fn send_part(
    sim: &mut Sim<'_>,
    request: usize,
    (from, to): (usize, usize),
    part: Part,
    (bytes, after, messages): (u128, u64, u64),
) {
    let Some(network) = network(sim) else { return };
    let path = network.path(id(from), id(to));
    let messages = path.latency.as_ps() * messages;
    let narrow = path.ports.map(|p| network.ports[p as usize]);
    let flowing = (bytes * 1_000_000_000_000).div_ceil(u128::from(narrow[0].min(narrow[1])));
    sim.links.counters.bytes += bytes;
    sim.links.counters.alone += u128::from(messages) + flowing;
    let parcel = Parcel { request, from, to, bytes, part, set_out: after };
    sim.links.starts.push((after + messages, parcel));
}

/// Flows that start or end now; returns what has come, by request id.
pub fn flows(sim: &mut Sim<'_>) -> Vec<Parcel> {
    let Some(network) = network(sim) else { return Vec::new() };
    let (now, passed) = (sim.now, sim.now - sim.links.upto);
    sim.links.upto = now;
    sim.links.ports.resize(network.ports.len(), (0, 0));
    for port in 0..network.ports.len() {
        let used = sim.links.flows.iter().any(|f| f.0.rate > 0 && f.0.ports.contains(&(port as u32)));
        sim.links.ports[port].1 += if used { u128::from(passed) } else { 0 };
    }
    for (flow, _) in &mut sim.links.flows {
        flow.remaining = flow.remaining.saturating_sub(u128::from(flow.rate) * u128::from(passed));
    }
    let starting: Vec<Parcel> = sim.links.starts.iter().filter(|s| s.0 == now).map(|s| s.1).collect();
    sim.links.starts.retain(|s| s.0 != now);
    for parcel in &starting {
        let ports = network.path(id(parcel.from), id(parcel.to)).ports;
        let remaining = parcel.bytes * 1_000_000_000_000;
        let shared = sim.links.flows.iter().any(|f| f.0.ports.iter().any(|p| ports.contains(p)));
        sim.coverage.shared_ports += u64::from(shared);
        let flow = Flow { request: parcel.request, ports, start: now, remaining, rate: 0 };
        sim.links.flows.push((flow, *parcel));
    }
    let (ended, going): (Vec<_>, Vec<_>) =
        std::mem::take(&mut sim.links.flows).into_iter().partition(|f| f.0.remaining == 0);
    sim.links.flows = going;
    let again = !sim.mutated(Mutation::RatesNotSharedAgain);
    if !starting.is_empty() || (!ended.is_empty() && again) {
        share_again(sim, network);
    }
    for (flow, parcel) in &ended {
        sim.links.counters.transfers += u64::from(parcel.part != Part::First);
        sim.links.counters.time += u128::from(now - parcel.set_out);
        for port in flow.ports {
            sim.links.ports[port as usize].0 += parcel.bytes;
        }
    }
    let mut come: Vec<Parcel> = ended.into_iter().map(|f| f.1).collect();
    come.sort_by_key(|p| p.request);
    come
}

/// Every flow gets a rate.
fn share_again(sim: &mut Sim<'_>, network: &Network) {
    let mut flows: Vec<Flow> = sim.links.flows.iter().map(|f| f.0.clone()).collect();
    share(&mut flows, network, sim.options.mutation);
    for (flow, _) in &mut sim.links.flows {
        let shared = flows.iter().find(|f| f.request == flow.request);
        flow.rate = shared.map_or(0, |f| f.rate);
    }
    sim.coverage.fifo_waits += flows.iter().filter(|f| f.rate == 0).count() as u64;
}

/// The last byte has come: one message later the other side knows.
pub fn acknowledge(sim: &mut Sim<'_>, parcel: &Parcel) {
    let latency = latency(sim, parcel.from, parcel.to);
    let at = if sim.mutated(Mutation::LeaseFreedAtLastByte) { sim.now } else { sim.now + latency };
    sim.links.acknowledgements.push((at, parcel.request));
}

/// Leases whose acknowledgement comes now end.
pub fn acknowledgements(sim: &mut Sim<'_>) {
    let now = sim.now;
    let mut due: Vec<usize> = sim.links.acknowledgements.iter().filter(|a| a.0 == now).map(|a| a.1).collect();
    sim.links.acknowledgements.retain(|a| a.0 != now);
    due.sort_unstable();
    due.into_iter().for_each(|r| end_lease(sim, r));
}

/// Its blocks on the replica that it left are let go.
pub fn end_lease(sim: &mut Sim<'_>, r: usize) {
    let last_first = !sim.mutated(Mutation::FreesFirstBlockFirst);
    if let Some((k, blocks)) = sim.requests[r].lease.take() {
        let replica = &mut sim.replicas[k];
        replica.kv.release(blocks, last_first);
        replica.touched = true;
        if replica.in_flight.is_empty() && !replica.waiting.is_empty() {
            sim.links.freed.push(k);
        }
    }
}

/// Coverage: replicas that an acknowledgement let go on.
pub fn count_unblocked(sim: &mut Sim<'_>) {
    for k in std::mem::take(&mut sim.links.freed) {
        sim.coverage.unblocked += u64::from(!sim.replicas[k].in_flight.is_empty());
    }
}
