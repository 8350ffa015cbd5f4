//! Who watches a run: after every instant it compares what is there with what was there, and tells an observer that wants
//! to know. It reads and never writes, so that a run is the same with it; without it nothing is compared.

use std::collections::BTreeMap;

use crate::engine::{Change, Moved, Phase, StageSpan, Stay, StepObserver, Transferred, stage_spans};
use crate::ids::{ReplicaId, RequestId};
use crate::metrics::record::Sample;
use crate::units::SimTime;

use super::fleet::Standing;
use super::run::Run;

/// What was seen last.
pub(super) struct Watch {
    /// The next request to come.
    next: usize,
    /// Those that have come and not left.
    here: Vec<(RequestId, Stay, ReplicaId)>,
    /// Of each replica: KV blocks held, waiting, running.
    holds: Vec<[u32; 3]>,
    standing: Vec<Standing>,
    /// Of replicas with several stages: the last flight seen, and when each stage is free.
    stages: Vec<(Option<u32>, Vec<SimTime>)>,
    /// KV that flows; its end is not known yet.
    flows: Vec<Transferred>,
    /// Of each port: bytes per second, flows that wait.
    ports: Vec<(u64, u32)>,
    moves: BTreeMap<RequestId, Moved>,
}

impl Watch {
    pub fn new(run: &Run<'_>) -> Watch {
        let replicas = run.replicas.len();
        let free = |r: &crate::engine::Replica| (None, r.state.stage_free.clone());
        Watch {
            next: 0,
            here: Vec::new(),
            holds: vec![[0; 3]; replicas],
            standing: vec![Standing::Up; replicas],
            stages: run.replicas.iter().map(free).collect(),
            flows: Vec::new(),
            ports: Vec::new(),
            moves: BTreeMap::new(),
        }
    }

    /// The instant `run.now` has ended.
    pub fn look<O: StepObserver>(&mut self, run: &Run<'_>, observer: &mut O) {
        if !O::ONLY_MEMORY {
            self.look_at_requests(run, observer);
            self.look_at_replicas(run, observer);
            self.look_at_flows(run, observer);
        }
        self.look_at_moves(run, observer);
    }

    fn look_at_requests(&mut self, run: &Run<'_>, observer: &mut impl StepObserver) {
        let requests = &run.world.requests;
        while self.next < requests.come() {
            let id = RequestId(u32::try_from(self.next).expect("fewer than 2^32 requests"));
            self.here.push((id, Stay::FrontEnd, ReplicaId(0)));
            self.next += 1;
        }
        let streaming = run.world.streaming.as_ps();
        self.here.retain_mut(|(id, stay, replica)| {
            let Some(request) = requests.get(*id) else {
                let record = requests.records().get(id.index());
                observer.change(run.now, &Change::Left { record: &record, streaming });
                return false;
            };
            let decodes =
                request.record.first_token != SimTime::MAX || matches!(stay, Stay::HandOver | Stay::Decode);
            let begun = request.record.scheduled != SimTime::MAX;
            let lost = if request.moves { Stay::Migration } else { Stay::Preempted };
            let now = match request.phase {
                Phase::Outside => Stay::FrontEnd,
                Phase::AtRouter if request.record.queued == SimTime::MAX => Stay::Router,
                Phase::AtRouter | Phase::Waiting | Phase::Prefilling if begun && request.recovering => lost,
                Phase::AtRouter | Phase::Waiting if begun => lost,
                Phase::AtRouter | Phase::Waiting => Stay::Queue,
                Phase::Swapped => Stay::Preempted,
                Phase::Offered | Phase::Coming | Phase::Loaded if request.moves => Stay::Migration,
                Phase::Offered | Phase::Coming | Phase::Loaded => Stay::HandOver,
                Phase::Held => Stay::Held,
                Phase::Decoding | Phase::Flying if request.recovering => lost,
                Phase::Decoding if !request.fed => Stay::Decode,
                Phase::Decoding | Phase::Flying if decodes => Stay::Decode,
                Phase::Prefilling if !begun => Stay::Queue,
                Phase::Prefilling | Phase::Decoding | Phase::Flying | Phase::Left => Stay::Prefill,
            };
            let at = request.record.replica;
            if (now, at) != (*stay, *replica) {
                (*stay, *replica) = (now, at);
                observer.change(run.now, &Change::Stays { request: *id, stay: now, replica: at });
            }
            true
        });
    }

    fn look_at_replicas(&mut self, run: &Run<'_>, observer: &mut impl StepObserver) {
        for (index, replica) in run.replicas.iter().enumerate() {
            let state = &replica.state;
            let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let waiting = count(state.waiting.len() + state.swapped.len() + state.in_exchange().count());
            let holds = [state.pool.held(), waiting, count(state.running.len())];
            if holds != self.holds[index] {
                self.holds[index] = holds;
                let [kv_held, waiting, running] = holds;
                observer.change(run.now, &Change::Holds { replica: state.id, kv_held, waiting, running });
            }
            if let Some(fleet) = &run.fleet {
                let standing = fleet.standing(state.id);
                if standing != self.standing[index] {
                    self.standing[index] = standing;
                    let standing = standing.name();
                    observer.change(run.now, &Change::Stands { replica: state.id, standing });
                }
            }
            if state.stage_free.len() > 1 {
                self.look_at_stages(run, index, observer);
            }
        }
    }

    /// Flights that were launched since: event numbers only grow.
    fn look_at_stages(&mut self, run: &Run<'_>, index: usize, observer: &mut impl StepObserver) {
        let state = &run.replicas[index].state;
        let (last, free) = &mut self.stages[index];
        for flight in state.flights.iter().filter(|f| f.start == run.now) {
            if last.is_some_and(|l| flight.event <= l) {
                continue;
            }
            *last = Some(flight.event);
            let prompt_tokens = flight.chunks.iter().map(|c| c.tokens).sum();
            let prompts = u32::try_from(flight.chunks.len()).unwrap_or(u32::MAX);
            let spans = stage_spans(flight, run.world.costs[state.group], free);
            for (stage, (start, end)) in (0u8..).zip(spans) {
                let decodes = flight.decode.n;
                let span =
                    StageSpan { replica: state.id, stage, start, end, prompt_tokens, decodes, prompts };
                observer.change(run.now, &Change::Stage(span));
            }
        }
    }

    fn look_at_flows(&mut self, run: &Run<'_>, observer: &mut impl StepObserver) {
        let Some(wires) = &run.wires else { return };
        let now = run.now;
        if self.flows.is_empty() && wires.links().flows().next().is_none() {
            return;
        }
        self.flows.retain(|known| {
            let is_it = |id, started| (id, started) == (known.request, known.started);
            let flows = wires.links().flows().any(|(id, started, ..)| is_it(id, started));
            if !flows {
                observer.change(now, &Change::Transferred(Transferred { end: now, ..*known }));
            }
            flows
        });
        let mut ports: Vec<(u64, u32)> = vec![(0, 0); self.ports.len()];
        for (request, started, bytes, of, rate) in wires.links().flows() {
            if !self.flows.iter().any(|f| (f.request, f.started) == (request, started)) {
                let (from, to, since) = wires.ends_of(request);
                let moves = run.migrations.is_some();
                let (end, ports) = (now, of);
                self.flows.push(Transferred { request, from, to, since, started, end, bytes, ports, moves });
            }
            for port in of {
                let port = port as usize;
                ports.resize(ports.len().max(port + 1), (0, 0));
                ports[port].0 += rate;
                ports[port].1 += u32::from(rate == 0);
            }
        }
        self.ports.resize(ports.len(), (0, 0));
        for (port, (after, before)) in (0u32..).zip(ports.iter().zip(&self.ports)) {
            if after != before {
                let &(rate, waiting) = after;
                observer.change(now, &Change::Port { port, rate, waiting });
            }
        }
        self.ports = ports;
    }

    fn look_at_moves(&mut self, run: &Run<'_>, observer: &mut impl StepObserver) {
        let Some(migrations) = &run.migrations else { return };
        let now = run.now;
        let requests = &run.world.requests;
        let still = |m: &Moved| migrations.under_way().any(|of| of == (m.request, m.source, m.destination));
        self.moves.retain(|&id, known| {
            let goes_on = still(known);
            if !goes_on {
                let here = requests.get(id).map(|r| r.record.replica);
                let replica = here.unwrap_or_else(|| requests.records().get(id.index()).replica);
                let arrived = replica == known.destination;
                observer.change(now, &Change::Moved(Moved { end: now, arrived, ..*known }));
            }
            goes_on
        });
        for (request, source, destination) in migrations.under_way() {
            self.moves.entry(request).or_insert_with(|| Moved {
                request,
                source,
                destination,
                begun: now,
                end: now,
                arrived: false,
                levels: [source, destination].map(|r| level(run, r, now)),
            });
        }
    }
}

/// Tells an observer that watches how full each replica that is up is at the sample `at`.
pub(super) fn look_at_memory<O: StepObserver>(run: &Run<'_>, at: SimTime, observer: &mut O) {
    if !O::WATCHES {
        return;
    }
    for replica in run.replicas.iter().map(|r| &r.state).filter(|state| state.up).map(|state| state.id) {
        let (kv_held, kv_total) = level(run, replica, at);
        observer.change(at, &Change::Fills { replica, kv_held, kv_total });
    }
}

/// KV blocks held on a replica at `at`, read in closed form inside a leap, and how many are usable.
fn level(run: &Run<'_>, replica: ReplicaId, at: SimTime) -> (u32, u32) {
    let state = &run.replicas[replica.index()].state;
    let mut sample = Sample::default();
    state.sample(at, &run.world, &mut sample);
    (u32::try_from(sample.kv_held).unwrap_or(u32::MAX), state.pool.total())
}
