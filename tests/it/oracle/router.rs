//! Routers (§2) on the live state, or on remembered states of earlier instants.

use windtunnel::policy::router::{LeastLoad, RouterConfig};

use super::outcome::Mutation;
use super::sim::Sim;

#[derive(Default)]
pub struct Router {
    /// Requests routed so far.
    routed: usize,
    /// (instant, replica, prompt) of every dispatch.
    dispatches: Vec<(u64, usize, u64)>,
    /// After every event of an instant: outstanding (requests, tokens) of each replica.
    history: Vec<(u64, Vec<(u64, u64)>)>,
}

/// Outstanding requests and tokens of every replica, now.
fn load(sim: &Sim<'_>) -> Vec<(u64, u64)> {
    let mut load = vec![(0, 0); sim.replicas.len()];
    for request in sim.requests.iter().filter(|r| r.outstanding) {
        load[request.replica].0 += 1;
        load[request.replica].1 += u64::from(request.prompt + request.generated);
    }
    load
}

impl Router {
    pub fn choose(sim: &mut Sim<'_>, r: usize) -> usize {
        let k = match &sim.config.router {
            RouterConfig::RoundRobin(_) => sim.router.routed % sim.replicas.len(),
            RouterConfig::LeastRequests(p) => Router::least(sim, p, |l| l.0),
            RouterConfig::LeastTokens(p) => Router::least(sim, p, |l| l.1),
        };
        sim.router.routed += 1;
        sim.router.dispatches.push((sim.now, k, u64::from(sim.requests[r].prompt)));
        k
    }

    fn least(sim: &mut Sim<'_>, p: &LeastLoad, measure: fn(&(u64, u64)) -> u64) -> usize {
        let reported = Router::reported(sim, p);
        let values: Vec<u64> = reported.iter().map(measure).collect();
        let mut best = 0;
        for k in 1..values.len() {
            let better = values[k] < values[best];
            let tie = values[k] == values[best] && sim.mutated(Mutation::RouterTieToHighest);
            if better || tie {
                best = k;
            }
        }
        best
    }

    /// The load at τ = ⌊t/Δ⌋·Δ, and what this router has dispatched after τ.
    fn reported(sim: &mut Sim<'_>, p: &LeastLoad) -> Vec<(u64, u64)> {
        let period = p.staleness.as_ps();
        if period == 0 || sim.now.is_multiple_of(period) || sim.mutated(Mutation::StalenessIgnored) {
            return load(sim);
        }
        sim.coverage.stale_reads += 1;
        let tau = sim.now / period * period;
        let last = sim.router.history.iter().rev().find(|h| h.0 <= tau);
        let mut load = last.map_or_else(|| vec![(0, 0); sim.replicas.len()], |h| h.1.clone());
        if p.own_dispatches {
            for &(_, k, prompt) in sim.router.dispatches.iter().filter(|d| d.0 > tau) {
                load[k].0 += 1;
                load[k].1 += prompt;
            }
        }
        load
    }

    /// Keeps the state after every event of this instant.
    pub fn remember(sim: &mut Sim<'_>) {
        let stale = match &sim.config.router {
            RouterConfig::RoundRobin(_) => false,
            RouterConfig::LeastRequests(p) | RouterConfig::LeastTokens(p) => p.staleness.as_ps() > 0,
        };
        if stale {
            let load = load(sim);
            sim.router.history.push((sim.now, load));
        }
    }
}
