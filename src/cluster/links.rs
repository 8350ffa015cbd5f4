//! The ports between replicas and the flows that share them (docs/semantics.md §13).
//!
//! Progress is folded only when a flow starts or ends; between two such instants every flow has one rate, in whole bytes
//! per second, and what is left of it is counted in byte-picoseconds, so that nothing is ever rounded but the end.

use crate::engine::config::{Network, Sharing};
use crate::ids::RequestId;
use crate::metrics::record::PortUse;
use crate::units::{SimDuration, SimTime};

/// Picoseconds of a second: what a byte weighs in `Flow::left`.
const SCALE: u128 = 1_000_000_000_000;

/// Bytes on their way.
#[derive(Clone, Debug)]
struct Flow {
    request: RequestId,
    ports: [u32; 2],
    /// Bytes · 10¹².
    left: u128,
    /// Bytes per second.
    rate: u64,
    started: SimTime,
    bytes: u64,
}

/// All flows of a run.
pub(super) struct Links<'a> {
    network: &'a Network,
    /// In order of (start, request).
    flows: Vec<Flow>,
    folded: SimTime,
    uses: Vec<PortUse>,
    /// Memory for sharing.
    left: Vec<(u64, u64)>,
}

impl<'a> Links<'a> {
    pub fn new(network: &'a Network) -> Self {
        let ports = network.ports.len();
        let uses = network.ports.iter().map(|&rate| PortUse { rate, ..PortUse::default() }).collect();
        Links { network, flows: Vec::new(), folded: SimTime::ZERO, uses, left: vec![(0, 0); ports] }
    }

    /// `bytes` for `request` begin to flow through two ports.
    pub fn start(&mut self, request: RequestId, ports: [u32; 2], bytes: u64, now: SimTime) {
        self.fold(now);
        let flow = Flow { request, ports, left: u128::from(bytes) * SCALE, rate: 0, started: now, bytes };
        let at = self.flows.partition_point(|f| (f.started, f.request) < (now, request));
        self.flows.insert(at, flow);
        self.share();
    }

    /// All flows: request, start, bytes, ports, and rate in bytes per second (0 while it waits).
    pub fn flows(&self) -> impl Iterator<Item = (RequestId, SimTime, u64, [u32; 2], u64)> + '_ {
        self.flows.iter().map(|f| (f.request, f.started, f.bytes, f.ports, f.rate))
    }

    /// When the next flow ends, if rates stay as they are.
    pub fn next_end(&self) -> Option<SimTime> {
        let ends = self.flows.iter().filter(|f| f.rate > 0 || f.left == 0).map(|f| {
            let span = f.left.div_ceil(u128::from(f.rate.max(1)));
            self.folded
                + SimDuration::from_ps(u64::try_from(span).expect("a transfer is shorter than 213 days"))
        });
        ends.min()
    }

    /// The flows that end at `now`, in order of their requests.
    pub fn end(&mut self, now: SimTime) -> Vec<RequestId> {
        self.fold(now);
        let mut ended = Vec::new();
        let uses = &mut self.uses;
        self.flows.retain(|flow| {
            if flow.left == 0 {
                ended.push(flow.request);
                for port in flow.ports {
                    uses[port as usize].bytes += u128::from(flow.bytes);
                }
            }
            flow.left > 0
        });
        self.share();
        ended.sort_unstable();
        ended
    }

    /// What went through each port.
    pub fn into_uses(self) -> Vec<PortUse> {
        self.uses
    }

    /// Progress until `now` at the present rates.
    fn fold(&mut self, now: SimTime) {
        let span = (now - self.folded).as_ps();
        self.folded = now;
        if span == 0 {
            return;
        }
        for flow in &mut self.flows {
            flow.left = flow.left.saturating_sub(u128::from(flow.rate) * u128::from(span));
        }
        for (port, used) in (0..).zip(&mut self.uses) {
            if self.flows.iter().any(|f| f.rate > 0 && f.ports.contains(&port)) {
                used.busy += u128::from(span);
            }
        }
    }

    /// Gives every flow its rate.
    fn share(&mut self) {
        for flow in &mut self.flows {
            flow.rate = 0;
        }
        match self.network.sharing {
            Sharing::Fair => self.share_fairly(),
            Sharing::Fifo => self.share_in_order(),
        }
    }

    /// Max-min fair: the scarcest port first, each of its open flows the same.
    fn share_fairly(&mut self) {
        for (left, &rate) in self.left.iter_mut().zip(&self.network.ports) {
            *left = (rate, 0);
        }
        for port in self.flows.iter().flat_map(|f| f.ports) {
            self.left[port as usize].1 += 1;
        }
        loop {
            let each = |&(left, open): &(u64, u64)| left.checked_div(open).map(|share| share.max(1));
            let shares = (0u32..).zip(self.left.iter().map(each));
            let Some((share, port)) = shares.filter_map(|(port, share)| Some((share?, port))).min() else {
                return;
            };
            for flow in self.flows.iter_mut().filter(|f| f.rate == 0 && f.ports.contains(&port)) {
                flow.rate = share;
                for port in flow.ports {
                    let (left, open) = &mut self.left[port as usize];
                    *left = left.saturating_sub(share);
                    *open -= 1;
                }
            }
        }
    }

    /// One at a time per port: who waits keeps others from overtaking.
    fn share_in_order(&mut self) {
        self.left.fill((0, 0));
        for flow in &mut self.flows {
            let claimed = flow.ports.iter().any(|&p| self.left[p as usize].1 > 0);
            if !claimed {
                flow.rate = flow.ports.map(|p| self.network.ports[p as usize]).into_iter().min().unwrap_or(1);
            }
            for port in flow.ports {
                self.left[port as usize].1 = 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(ports: &[u64], sharing: Sharing) -> Network {
        Network { ports: ports.to_vec(), sharing, ..Network::default() }
    }

    fn at(ps: u64) -> SimTime {
        SimTime::from_ps(ps)
    }

    const TERA: u64 = 1_000_000_000_000;

    #[test]
    fn fair_flows_share_and_speed_up_when_one_ends() {
        // Ports of 1 TB/s, so that a byte takes 1 ps.
        let network = network(&[TERA; 4], Sharing::Fair);
        let mut links = Links::new(&network);
        links.start(RequestId(1), [0, 2], 100, at(0));
        assert_eq!(links.next_end(), Some(at(100)));
        links.start(RequestId(0), [0, 3], 20, at(50));
        // 50 left of the first; both at half the rate: the second ends at 90, the first has 30 left then.
        assert_eq!(links.next_end(), Some(at(90)));
        assert_eq!(links.end(at(90)), [RequestId(0)]);
        assert_eq!(links.next_end(), Some(at(120)));
        assert_eq!(links.end(at(120)), [RequestId(1)]);
        assert_eq!(links.next_end(), None);
        let uses = links.into_uses();
        assert_eq!((uses[0].bytes, uses[0].busy, uses[3].busy, uses[1].busy), (120, 120, 40, 0));
    }

    #[test]
    fn fair_is_max_min() {
        // Two flows leave port 0, and one of them shares port 1 with two others.
        let network = network(&[900, 300, 900, 900, 900], Sharing::Fair);
        let mut links = Links::new(&network);
        links.start(RequestId(0), [0, 2], 1, at(0));
        links.start(RequestId(1), [0, 1], 1, at(0));
        links.start(RequestId(2), [3, 1], 1, at(0));
        links.start(RequestId(3), [4, 1], 1, at(0));
        let rates: Vec<u64> = links.flows.iter().map(|f| f.rate).collect();
        assert_eq!(rates, [800, 100, 100, 100]);
    }

    #[test]
    fn fifo_is_one_at_a_time_and_nobody_overtakes() {
        let network = network(&[TERA; 4], Sharing::Fifo);
        let mut links = Links::new(&network);
        links.start(RequestId(0), [0, 2], 100, at(0));
        links.start(RequestId(1), [1, 2], 10, at(0));
        // Port 1 is idle, but the flow before it there waits for port 2.
        links.start(RequestId(2), [1, 3], 10, at(0));
        assert_eq!(links.next_end(), Some(at(100)));
        assert_eq!(links.end(at(100)), [RequestId(0)]);
        assert_eq!(links.end(at(110)), [RequestId(1)]);
        assert_eq!(links.next_end(), Some(at(120)));
    }
}
