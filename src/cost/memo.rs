//! A table of values computed on first use; shared by threads without locks.

use std::sync::atomic::{AtomicU64, Ordering};

/// Memo of a pure function of a small integer; 0 means not computed yet.
///
/// Two threads may compute the same entry at once: they store the same value.
#[derive(Debug)]
pub(crate) struct Memo {
    slots: Box<[AtomicU64]>,
}

impl Memo {
    /// Remembers arguments below `len`.
    pub(crate) fn new(len: usize) -> Self {
        Memo { slots: (0..len).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The value at `index`, computed by `compute` unless known.
    pub(crate) fn get(&self, index: u32, compute: impl FnOnce() -> u64) -> u64 {
        let Some(slot) = self.slots.get(index as usize) else {
            return compute();
        };
        match slot.load(Ordering::Relaxed) {
            0 => {
                let value = compute();
                slot.store(value, Ordering::Relaxed);
                value
            }
            known => known,
        }
    }
}
