//! A table of values computed on first use; shared by threads without locks.

use std::sync::atomic::{AtomicU64, Ordering};

/// Marks what is not computed yet: longer than any time. (Zero is a value: a stage that is not the first has no host time.)
const UNKNOWN: u64 = u64::MAX;

/// Memo of a pure function of a small integer.
///
/// Two threads may compute the same entry at once: they store the same value.
#[derive(Debug)]
pub(crate) struct Memo {
    slots: Box<[AtomicU64]>,
}

impl Memo {
    /// Remembers arguments below `len`.
    pub(crate) fn new(len: usize) -> Self {
        Memo { slots: (0..len).map(|_| AtomicU64::new(UNKNOWN)).collect() }
    }

    /// The value at `index`, computed by `compute` unless known.
    pub(crate) fn get(&self, index: u32, compute: impl FnOnce() -> u64) -> u64 {
        let Some(slot) = self.slots.get(index as usize) else {
            return compute();
        };
        match slot.load(Ordering::Relaxed) {
            UNKNOWN => {
                let value = compute();
                slot.store(value, Ordering::Relaxed);
                value
            }
            known => known,
        }
    }
}
