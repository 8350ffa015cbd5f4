//! The requests of a study: prepared once per seed, then set to each rate; all systems share them.

use crate::diagnostic::{InputErrors, Node};
use crate::ids::ClassId;
use crate::units::{SimDuration, SimTime};
use crate::workload::{LoadReport, Request, RequestRate, Trace};

use super::document::Document;

/// What the requests are.
#[derive(Clone, Debug)]
pub struct Requests {
    count: u32,
}

/// The requests of one seed at their natural rate.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The requests.
    pub trace: Trace,
    /// Where they came from and what was done to them.
    pub report: LoadReport,
}

impl Requests {
    /// Reads `[workload]` without `load` and `rate`.
    pub fn read(node: &Node, doc: &Document) -> Result<Requests, InputErrors> {
        let _ = doc;
        let count = node.get("requests").and_then(|n| n.to_string().parse().ok()).unwrap_or(200);
        Ok(Requests { count })
    }

    /// The requests of one seed, fitted to a context of `context` tokens.
    pub fn prepare(&self, seed: u64, context: u32) -> Result<Prepared, InputErrors> {
        let requests = (0..u64::from(self.count))
            .map(|i| Request {
                arrival: SimTime::from_ps(i * 1_000_000_000_000),
                prompt: 500 + u32::try_from((i * 7919 + seed * 31) % 1000).unwrap_or(0),
                output: 100 + u32::try_from((i * 104_729 + seed) % 300).unwrap_or(0),
                max_tokens: context / 2,
                class: ClassId(0),
            })
            .collect();
        let trace = Trace { requests, classes: vec!["all".to_owned()], ..Trace::default() };
        Ok(Prepared { trace, report: LoadReport::default() })
    }
}

/// The same requests at another mean rate.
pub fn at_rate(trace: &Trace, rate: RequestRate) -> Trace {
    let mut trace = trace.clone();
    for (i, r) in trace.requests.iter_mut().enumerate() {
        let gap = SimDuration::from_seconds(crate::units::Seconds(rate.mean_gap_s()));
        r.arrival = SimTime::ZERO + gap * i as u64;
    }
    trace
}
