//! From what an observer hears to events: which process, which track, which name.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::cluster::{Change, Moved, StageSpan, Stay, StepEvent, StepObserver, Transferred};
use crate::ids::{ReplicaId, RequestId};
use crate::metrics::record::{Fate, RequestRecord};
use crate::units::SimTime;

use super::Limits;
use super::lines::{Lines, Span, Track};

/// Process of the requests.
const REQUESTS: Track = Track { process: 1, thread: 0 };
/// Process of the links.
const LINKS: Track = Track { process: 2, thread: 0 };
/// Process of replica 0.
const REPLICAS: u32 = 10;

/// Tracks of a replica.
const STANDING: u32 = 1;
const STEPS: u32 = 10;
const MOVES: u32 = 300;
const KV_OUT: u32 = 400;
const KV_IN: u32 = 10_000;

/// What the limits left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// When the last event had been written that there was room for, if there were more.
    pub events_end_at: Option<SimTime>,
}

/// Writes the events of a run while it goes on. It holds what the requests that are there have done, and never the file.
pub struct TraceWriter<W: Write> {
    lines: Lines<W>,
    requests: u32,
    /// What each followed request that is there has done: since when, what, where.
    stays: BTreeMap<RequestId, Vec<(SimTime, Stay, ReplicaId)>>,
    /// Tracks that have a name, and processes (with thread 0).
    named: BTreeSet<Track>,
    /// What each replica that comes and goes is, since when.
    standing: BTreeMap<ReplicaId, (SimTime, &'static str)>,
    /// End of the last slice of each lane of KV.
    lanes: BTreeMap<Track, SimTime>,
    /// Replicas whose pipelines are drawn by stages.
    piped: BTreeSet<ReplicaId>,
    /// Arrows and asynchronous slices so far.
    numbers: u64,
}

impl<W: Write> TraceWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// What `out` failed with.
    pub fn new(out: W, limits: Limits) -> io::Result<Self> {
        Ok(TraceWriter {
            lines: Lines::new(out, limits.events)?,
            requests: limits.requests,
            stays: BTreeMap::new(),
            named: BTreeSet::new(),
            standing: BTreeMap::new(),
            lanes: BTreeMap::new(),
            piped: BTreeSet::new(),
            numbers: 0,
        })
    }

    /// Ends the file of a run that ended at `end`.
    ///
    /// # Errors
    /// What writing failed with, at any time.
    pub fn finish(mut self, end: SimTime) -> io::Result<Cut> {
        let replicas: Vec<ReplicaId> = self.standing.keys().copied().collect();
        for replica in replicas {
            self.stood(replica, end);
        }
        Ok(Cut { events_end_at: self.lines.finish()? })
    }

    /// The process of a replica, for its counters; it is given a name when it is met first.
    fn process(&mut self, replica: ReplicaId) -> Track {
        let process = Track { process: REPLICAS + u32::from(replica.0), thread: 0 };
        if self.named.insert(process) {
            self.lines.process(process.process, &format!("replica {}", replica.0));
        }
        process
    }

    /// A track of a replica; it is given a name when it is met first.
    fn track(&mut self, replica: ReplicaId, thread: u32, name: &str) -> Track {
        let track = Track { thread, ..self.process(replica) };
        if self.named.insert(track) {
            self.lines.thread(track, name);
        }
        track
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn stage(&mut self, span: &StageSpan) {
        self.piped.insert(span.replica);
        if !self.lines.has_room(1, span.start) {
            return;
        }
        let StageSpan { stage, start, end, prompt_tokens, decodes, prompts, .. } = *span;
        let track = self.track(span.replica, STEPS + u32::from(stage), &format!("stage {stage}"));
        let args = json!({ "prompt_tokens": prompt_tokens, "prompts": prompts, "decodes": decodes });
        self.lines.slice(track, kind(prompts, decodes), Span { start, end }, &args);
    }

    /// A request has left: its slices follow each other from its arrival to its last token.
    fn left(&mut self, record: &RequestRecord, streaming: u64) {
        let stays = self.stays.remove(&record.id).unwrap_or_default();
        if record.id.0 >= self.requests {
            return;
        }
        let (arrival, finish) = (record.arrival, record.finish);
        let streamed = record.fate == Fate::Finished || (record.fate == Fate::TimedOut && record.output > 0);
        let streaming = if streamed { streaming } else { 0 };
        let engine = |at: SimTime| SimTime::from_ps(at.as_ps().saturating_sub(streaming)).max(arrival);
        let last = engine(finish);
        let mut cuts = vec![(arrival, Stay::FrontEnd, record.replica)];
        for (since, stay, replica) in stays {
            let first_in_leap = stay == Stay::Decode && cuts.last().is_some_and(|c| c.1 == Stay::Prefill);
            let since = if first_in_leap { since.min(engine(record.first_token)) } else { since };
            cuts.push((since.clamp(arrival, last), stay, replica));
        }
        if streaming > 0 {
            cuts.push((last, Stay::FrontEnd, record.replica));
        }
        let ends = cuts.iter().skip(1).map(|c| c.0).chain([finish]);
        let spans: Vec<_> = cuts.iter().zip(ends).filter(|(c, end)| c.0 < *end).collect();
        if !self.lines.has_room(2 + 2 * spans.len() as u64, arrival) {
            return;
        }
        let (name, of) = (record.id.to_string(), (REQUESTS, "request", u64::from(record.id.0)));
        let args = json!({
            "prompt": record.prompt, "output": record.output, "fate": format!("{:?}", record.fate),
            "ttft_us": record.ttft().as_ps() as f64 / 1e6, "preemptions": record.preemptions,
            "cached": record.cached, "recomputed": record.recomputed,
        });
        self.lines.side("b", of, &name, arrival, &args);
        for (&(since, stay, replica), end) in spans {
            self.lines.side("b", of, stay.name(), since, &json!({ "replica": replica.0 }));
            self.lines.side("e", of, stay.name(), end, &Value::Object(serde_json::Map::new()));
        }
        self.lines.side("e", of, &name, finish, &Value::Object(serde_json::Map::new()));
    }

    /// What a replica has been ends at `end`.
    fn stood(&mut self, replica: ReplicaId, end: SimTime) {
        let Some((start, standing)) = self.standing.remove(&replica) else { return };
        if standing != "up" && self.lines.has_room(1, start) {
            let track = self.track(replica, STANDING, "state");
            self.lines.slice(track, standing, Span { start, end }, &json!({}));
        }
    }

    fn stands(&mut self, replica: ReplicaId, standing: &'static str, at: SimTime) {
        self.stood(replica, at);
        self.standing.insert(replica, (at, standing));
        if self.lines.has_room(1, at) {
            let track = self.track(replica, STANDING, "state");
            self.lines.instant(track, standing, at);
        }
    }

    /// The first lane of a replica that is free from `start` on, taken until `end`.
    fn lane(
        &mut self,
        replica: ReplicaId,
        (first, name): (u32, &str),
        start: SimTime,
        end: SimTime,
    ) -> Track {
        let mut lane = 0;
        let process = REPLICAS + u32::from(replica.0);
        while self.lanes.get(&Track { process, thread: first + lane }).is_some_and(|&busy| busy > start) {
            lane += 1;
        }
        self.lanes.insert(Track { process, thread: first + lane }, end);
        self.track(replica, first + lane, &format!("{name} {}", lane + 1))
    }

    fn transferred(&mut self, of: &Transferred) {
        let Transferred { request, from, to, since, started, end, bytes, ports, moves } = *of;
        if !self.lines.has_room(8, since) {
            return;
        }
        let flow_s = (end - started).as_secs_f64();
        let args = json!({
            "bytes": bytes, "from": from.0, "to": to.0, "port_out": ports[0], "port_in": ports[1],
            "set_up_us": (started - since).as_ps() as f64 / 1e6,
            "mean_gb_per_s": if flow_s > 0.0 { Value::from(bytes as f64 / 1e9 / flow_s) } else { Value::Null },
        });
        let name = format!("KV of {request}");
        let out = self.lane(from, (KV_OUT, "KV out"), since, end);
        self.lines.slice(out, &name, Span { start: since, end }, &args);
        let into = self.lane(to, (KV_IN, "KV in"), since, end);
        self.lines.slice(into, &name, Span { start: since, end }, &args);
        let number = self.number();
        let arrow = if moves { "copy" } else { "hand-over" };
        self.lines.arrow(number, arrow, (out, since), (into, since));
        if self.named.insert(LINKS) {
            self.lines.process(LINKS.process, "links");
        }
        let id = (LINKS, "flow", number);
        self.lines.side("b", id, &name, started, &args);
        self.lines.side("e", id, &name, end, &json!({}));
    }

    fn moved(&mut self, of: &Moved) {
        let Moved { request, source, destination, begun, end, arrived, .. } = *of;
        if !self.lines.has_room(4, begun) {
            return;
        }
        let span = Span { start: begun, end };
        let args = json!({ "moved": arrived, "from": source.0, "to": destination.0 });
        let out = self.track(source, MOVES, "moves");
        let outcome = if arrived { "" } else { " (given up)" };
        self.lines.slice(out, &format!("{request} to {destination}{outcome}"), span, &args);
        let into = self.track(destination, MOVES, "moves");
        self.lines.slice(into, &format!("{request} from {source}{outcome}"), span, &args);
        if arrived {
            let number = self.number();
            self.lines.arrow(number, "move", (out, begun), (into, begun));
        }
    }

    fn port(&mut self, port: u32, rate: u64, waiting: u32, at: SimTime) {
        if self.named.insert(LINKS) {
            self.lines.process(LINKS.process, "links");
        }
        let values = json!({ "gb_per_s": rate as f64 / 1e9 });
        self.lines.counter(LINKS, &format!("port {port}: GB/s"), at, &values);
        self.lines.counter(LINKS, &format!("port {port}: waiting"), at, &json!({ "flows": waiting }));
    }
}

/// What a step computes, as `docs/metrics.md` has it.
fn kind(prompts: u32, decodes: u32) -> &'static str {
    match (prompts > 0, decodes > 0) {
        (true, true) => "mixed",
        (true, false) => "prefill",
        _ => "decode",
    }
}

impl<W: Write> StepObserver for TraceWriter<W> {
    const WATCHES: bool = true;

    fn step(&mut self, event: &StepEvent<'_>) {
        if self.piped.contains(&event.replica) || !self.lines.has_room(1, event.start) {
            return;
        }
        let StepEvent { replica, start, end, steps, shape, kv_held, kv_total, .. } = *event;
        let prompts = u32::try_from(shape.chunks.len()).unwrap_or(u32::MAX);
        let prompt_tokens: u32 = shape.chunks.iter().map(|c| c.tokens).sum();
        let decodes = shape.decode.n;
        let kind = kind(prompts, decodes);
        let name = if steps > 1 { format!("{steps} {kind} steps") } else { kind.to_owned() };
        let args = json!({
            "steps": steps, "prompt_tokens": prompt_tokens, "prompts": prompts, "decodes": decodes,
            "kv_blocks_held": kv_held, "kv_blocks": kv_total,
        });
        let track = self.track(replica, STEPS, "steps");
        self.lines.slice(track, &name, Span { start, end }, &args);
    }

    fn change(&mut self, at: SimTime, change: &Change<'_>) {
        match *change {
            Change::Stage(ref span) => self.stage(span),
            Change::Stays { request, stay, replica } => {
                if request.0 < self.requests {
                    self.stays.entry(request).or_default().push((at, stay, replica));
                }
            }
            Change::Left { record, streaming } => self.left(record, streaming),
            Change::Holds { replica, kv_held, waiting, running } => {
                if self.lines.has_room(2, at) {
                    let track = self.process(replica);
                    self.lines.counter(track, "KV blocks held", at, &json!({ "blocks": kv_held }));
                    let requests = json!({ "waiting": waiting, "running": running });
                    self.lines.counter(track, "requests", at, &requests);
                }
            }
            Change::Stands { replica, standing } => self.stands(replica, standing, at),
            Change::Transferred(ref of) => self.transferred(of),
            Change::Moved(ref of) => self.moved(of),
            Change::Fills { .. } => {}
            Change::Port { port, rate, waiting } => {
                if self.lines.has_room(2, at) {
                    self.port(port, rate, waiting, at);
                }
            }
        }
    }
}
