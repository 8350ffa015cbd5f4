//! Ports that flows share (§13).

use windtunnel::engine::config::{Network, Sharing};

use super::mutation::Mutation;

#[derive(Clone, Debug)]
pub struct Flow {
    pub request: usize,
    pub ports: [u32; 2],
    pub start: u64,
    /// Bytes · 10¹².
    pub remaining: u128,
    /// Bytes per second.
    pub rate: u64,
}

impl Flow {
    /// ⌈remaining / rate⌉ from now on; never while it waits.
    pub fn time_left(&self) -> Option<u64> {
        if self.remaining == 0 {
            return Some(0);
        }
        (self.rate > 0).then(|| self.remaining.div_ceil(u128::from(self.rate)) as u64)
    }

    fn through(&self, port: usize) -> bool {
        self.ports.iter().any(|&p| p as usize == port)
    }
}

/// Gives every flow its rate.
pub fn share(flows: &mut [Flow], network: &Network, mutation: Mutation) {
    match network.sharing {
        Sharing::Fair => fair(flows, network),
        Sharing::Fifo => fifo(flows, network, mutation),
    }
}

fn fair(flows: &mut [Flow], network: &Network) {
    let mut left = network.ports.clone();
    let mut open = vec![true; flows.len()];
    loop {
        let mut tightest: Option<(u64, usize)> = None;
        for (port, &rate) in left.iter().enumerate() {
            let users = (0..flows.len()).filter(|&f| open[f] && flows[f].through(port)).count() as u64;
            if let Some(each) = rate.checked_div(users) {
                let each = each.max(1);
                if tightest.is_none_or(|best| each < best.0) {
                    tightest = Some((each, port));
                }
            }
        }
        let Some((each, port)) = tightest else { return };
        for f in 0..flows.len() {
            if open[f] && flows[f].through(port) {
                open[f] = false;
                flows[f].rate = each;
                for p in flows[f].ports {
                    left[p as usize] = left[p as usize].saturating_sub(each);
                }
            }
        }
    }
}

fn fifo(flows: &mut [Flow], network: &Network, mutation: Mutation) {
    flows.sort_by_key(|f| (f.start, f.request));
    let mut claimed = vec![false; network.ports.len()];
    for flow in flows {
        let [out, into] = flow.ports.map(|p| p as usize);
        let goes = !claimed[out] && !claimed[into];
        flow.rate = if goes { network.ports[out].min(network.ports[into]) } else { 0 };
        if goes || mutation != Mutation::FifoOvertakes {
            (claimed[out], claimed[into]) = (true, true);
        }
    }
}

#[test]
fn rates_by_hand() {
    let flow = |request, out, into, start| Flow { request, ports: [out, into], start, remaining: 1, rate: 0 };
    let mut network = Network { ports: vec![100, 30, 90], ..Network::default() };
    // Port 1 gives its flow 30; port 0 has 70 left for the other one.
    let mut flows = [flow(0, 0, 1, 5), flow(1, 0, 2, 4)];
    share(&mut flows, &network, Mutation::None);
    assert_eq!(flows.clone().map(|f| f.rate), [30, 70]);
    // The second started first and has port 0 for itself.
    network.sharing = Sharing::Fifo;
    share(&mut flows, &network, Mutation::None);
    assert_eq!(flows.map(|f| (f.request, f.rate)), [(1, 90), (0, 0)]);
}
