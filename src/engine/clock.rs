//! Where the time of a replica's decoding requests went, as running sums: a request's share of any interval is a
//! difference of two readings, so that a step costs O(1) however many requests it serves.

use std::ops::Sub;

use crate::metrics::record::{Cause, Ledger};
use crate::units::SimDuration;

/// Running sums in ps over the steps of one replica (one stage).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BusyClock {
    /// What the decoding requests' own work took.
    pub decode: u64,
    /// What prompts of others added or took.
    pub stalled: u64,
    /// Host time.
    pub host: u64,
    /// Moving the KV of swapped requests.
    pub swap: u64,
}

impl Sub for BusyClock {
    type Output = BusyClock;
    fn sub(self, earlier: BusyClock) -> BusyClock {
        BusyClock {
            decode: self.decode - earlier.decode,
            stalled: self.stalled - earlier.stalled,
            host: self.host - earlier.host,
            swap: self.swap - earlier.swap,
        }
    }
}

impl BusyClock {
    /// Adds this interval to the ledger of a request that was decoding in it, or being fed its prompt.
    pub fn charge(self, ledger: &mut Ledger, fed: bool) {
        let ps = SimDuration::from_ps;
        let (own, others) = if fed {
            (Cause::PrefillExecution, Cause::PrefillInterrupted)
        } else {
            (Cause::DecodeExecution, Cause::DecodeStalled)
        };
        ledger.add(own, ps(self.decode));
        ledger.add(others, ps(self.stalled));
        ledger.add(Cause::Host, ps(self.host));
        ledger.add(Cause::PreemptionLoss, ps(self.swap));
    }
}
