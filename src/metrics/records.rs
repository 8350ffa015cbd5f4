//! The records of a run by columns, in chunks of rows.
//!
//! A row is 70 bytes, and 8 more for each cause of its ledger (4 for each count) that some request of its chunk has: 118
//! in a run without front end, preemption or prefix cache, where [`RequestRecord`] itself takes over 200. A statistic reads only the
//! columns it needs: [`Records::iter`] puts rows together from columns, and what a caller does not look at is never
//! loaded. Chunks are made as requests end, so a run touches memory once.

use std::fmt;

use super::record::{Fate, Ledger, RequestRecord};
use crate::ids::{ClassId, ReplicaId, RequestId};
use crate::units::{SimDuration, SimTime};

/// Rows per chunk; a power of two, so that `index % ROWS` needs no bounds check.
const ROWS: usize = 1024;

/// A column that exists only once some row of the chunk is not zero.
type Rare<T> = Option<Box<[T; ROWS]>>;

/// One record per request of a trace, by request id.
#[derive(Clone, Default)]
pub struct Records {
    len: usize,
    chunks: Vec<Box<Chunk>>,
}

#[derive(Clone)]
struct Chunk {
    class: [ClassId; ROWS],
    replica: [ReplicaId; ROWS],
    fate: [Fate; ROWS],
    prompt: [u32; ROWS],
    output: [u32; ROWS],
    arrival: [SimTime; ROWS],
    queued: [SimTime; ROWS],
    scheduled: [SimTime; ROWS],
    first_token: [SimTime; ROWS],
    finish: [SimTime; ROWS],
    gap_max: [SimDuration; ROWS],
    alone: [SimDuration; ROWS],
    preemptions: Rare<u32>,
    recomputed: Rare<u32>,
    cached: Rare<u32>,
    on_time: Rare<u32>,
    ledger: [Rare<u64>; 12],
}

impl Chunk {
    /// Requests of which nothing is known.
    fn new() -> Box<Chunk> {
        Box::new(Chunk {
            class: [ClassId(0); ROWS],
            replica: [ReplicaId(0); ROWS],
            fate: [Fate::Unfinished; ROWS],
            prompt: [0; ROWS],
            output: [0; ROWS],
            arrival: [SimTime::ZERO; ROWS],
            queued: [SimTime::ZERO; ROWS],
            scheduled: [SimTime::ZERO; ROWS],
            first_token: [SimTime::ZERO; ROWS],
            finish: [SimTime::ZERO; ROWS],
            gap_max: [SimDuration::ZERO; ROWS],
            alone: [SimDuration::ZERO; ROWS],
            preemptions: None,
            recomputed: None,
            cached: None,
            on_time: None,
            ledger: [const { None }; 12],
        })
    }

    fn set(&mut self, row: usize, record: &RequestRecord) {
        let row = row % ROWS;
        self.class[row] = record.class;
        self.replica[row] = record.replica;
        self.fate[row] = record.fate;
        self.prompt[row] = record.prompt;
        self.output[row] = record.output;
        self.arrival[row] = record.arrival;
        self.queued[row] = record.queued;
        self.scheduled[row] = record.scheduled;
        self.first_token[row] = record.first_token;
        self.finish[row] = record.finish;
        self.gap_max[row] = record.gap_max;
        self.alone[row] = record.alone;
        write(&mut self.preemptions, row, record.preemptions);
        write(&mut self.recomputed, row, record.recomputed);
        write(&mut self.cached, row, record.cached);
        write(&mut self.on_time, row, record.on_time);
        for (column, ps) in self.ledger.iter_mut().zip(record.ledger.0) {
            write(column, row, ps);
        }
    }

    #[inline(always)]
    fn get(&self, index: usize) -> RequestRecord {
        let row = index % ROWS;
        let count = |column: &Rare<u32>| column.as_ref().map_or(0, |c| c[row]);
        RequestRecord {
            id: RequestId(u32::try_from(index).expect("fewer than 2^32 requests")),
            class: self.class[row],
            replica: self.replica[row],
            fate: self.fate[row],
            prompt: self.prompt[row],
            output: self.output[row],
            arrival: self.arrival[row],
            queued: self.queued[row],
            scheduled: self.scheduled[row],
            first_token: self.first_token[row],
            finish: self.finish[row],
            gap_max: self.gap_max[row],
            preemptions: count(&self.preemptions),
            recomputed: count(&self.recomputed),
            cached: count(&self.cached),
            on_time: count(&self.on_time),
            alone: self.alone[row],
            ledger: Ledger(std::array::from_fn(|c| self.ledger[c].as_ref().map_or(0, |c| c[row]))),
        }
    }
}

/// Writes a value; a zero needs no column.
fn write<T: Copy + Default + PartialEq>(column: &mut Rare<T>, row: usize, value: T) {
    match column {
        Some(values) => values[row % ROWS] = value,
        None if value != T::default() => {
            let mut values = Box::new([T::default(); ROWS]);
            values[row % ROWS] = value;
            *column = Some(values);
        }
        None => {}
    }
}

impl Records {
    /// Number of requests: one more than the highest id that was written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no request.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes the record of the request `record.id`; those before it that were not written are unfinished.
    pub fn set(&mut self, record: &RequestRecord) {
        let index = record.id.index();
        self.len = self.len.max(index + 1);
        while self.chunks.len() <= index / ROWS {
            self.chunks.push(Chunk::new());
        }
        self.chunks[index / ROWS].set(index, record);
    }

    /// The record of request `index`; a panic if there is none.
    pub fn get(&self, index: usize) -> RequestRecord {
        assert!(index < self.len, "request {index} of {}", self.len);
        self.chunks[index / ROWS].get(index)
    }

    /// All records in the order of their ids. A sum or a loop over some fields loads only their columns.
    pub fn iter(&self) -> Rows<'_> {
        Rows { records: self, next: 0 }
    }

    /// All records in order of arrival, which is that of the ids unless arrivals follow from answers.
    pub fn by_arrival(&self) -> impl Iterator<Item = RequestRecord> + '_ {
        let arrival = |i: &usize| self.get(*i).arrival;
        let sorted = self.iter().map(|r| r.arrival).is_sorted();
        let order = (!sorted).then(|| {
            let mut order: Vec<usize> = (0..self.len()).collect();
            order.sort_by_key(arrival);
            order
        });
        (0..self.len()).map(move |i| self.get(order.as_ref().map_or(i, |order| order[i])))
    }

    /// Fills in the time that each finished request takes alone: `time` of its prompt and its answer.
    pub fn fill_alone(&mut self, mut time: impl FnMut(u32, u32) -> SimDuration) {
        for chunk in &mut self.chunks {
            for row in 0..ROWS {
                if chunk.fate[row] == Fate::Finished {
                    chunk.alone[row] = time(chunk.prompt[row], chunk.output[row]);
                }
            }
        }
    }

    /// Memory of the columns, in bytes.
    pub fn bytes(&self) -> usize {
        let rare = |chunk: &Chunk| {
            let counts = [&chunk.preemptions, &chunk.recomputed, &chunk.cached, &chunk.on_time];
            let counts = counts.iter().filter(|c| c.is_some()).count() * size_of::<[u32; ROWS]>();
            counts + chunk.ledger.iter().flatten().count() * size_of::<[u64; ROWS]>()
        };
        self.chunks.iter().map(|chunk| size_of::<Chunk>() + rare(chunk)).sum()
    }
}

/// The rows of [`Records`], put together one by one.
#[derive(Clone)]
pub struct Rows<'a> {
    records: &'a Records,
    next: usize,
}

impl Iterator for Rows<'_> {
    type Item = RequestRecord;

    // Inlined, so that columns that the caller does not look at are not loaded.
    #[inline(always)]
    fn next(&mut self) -> Option<RequestRecord> {
        let index = self.next;
        let chunk = self.records.chunks.get(index / ROWS)?;
        if index >= self.records.len {
            return None;
        }
        self.next += 1;
        Some(chunk.get(index))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.records.len - self.next.min(self.records.len);
        (left, Some(left))
    }

    /// What `for_each`, `sum` and `collect` go by: chunk after chunk.
    #[inline(always)]
    fn fold<B, F: FnMut(B, RequestRecord) -> B>(self, start: B, mut f: F) -> B {
        let mut folded = start;
        for (c, chunk) in self.records.chunks.iter().enumerate().skip(self.next / ROWS) {
            let first = c * ROWS;
            for index in first.max(self.next)..(first + ROWS).min(self.records.len) {
                folded = f(folded, chunk.get(index));
            }
        }
        folded
    }
}

impl ExactSizeIterator for Rows<'_> {}

impl<'a> IntoIterator for &'a Records {
    type Item = RequestRecord;
    type IntoIter = Rows<'a>;

    fn into_iter(self) -> Rows<'a> {
        self.iter()
    }
}

impl FromIterator<RequestRecord> for Records {
    fn from_iter<I: IntoIterator<Item = RequestRecord>>(records: I) -> Records {
        let mut all = Records::default();
        records.into_iter().for_each(|record| all.set(&record));
        all
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Records) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::record::Cause;

    fn record(id: u32) -> RequestRecord {
        let at = |k: u64| SimTime::from_ps(k * u64::from(id + 1));
        let mut ledger = Ledger::default();
        ledger.add(Cause::ALL[id as usize % 12], SimDuration::from_ps(u64::from(id)));
        RequestRecord {
            id: RequestId(id),
            class: ClassId(u16::try_from(id % 3).unwrap()),
            replica: ReplicaId(u16::try_from(id % 5).unwrap()),
            fate: if id.is_multiple_of(7) { Fate::TimedOut } else { Fate::Finished },
            prompt: id,
            output: id + 1,
            arrival: at(1),
            queued: at(2),
            scheduled: at(3),
            first_token: at(4),
            finish: at(5),
            gap_max: SimDuration::from_ps(6),
            preemptions: u32::from(id == 2000),
            recomputed: id % 2,
            cached: 0,
            on_time: id,
            alone: SimDuration::from_ps(7),
            ledger,
        }
    }

    #[test]
    fn what_is_written_is_read_in_whatever_order() {
        let wanted: Vec<RequestRecord> = (0..3000).map(record).collect();
        let mut shuffled = wanted.clone();
        shuffled.sort_by_key(|r| r.id.0.wrapping_mul(2_654_435_761));
        let mut records = Records::default();
        shuffled.iter().for_each(|r| records.set(r));
        assert_eq!(records.iter().collect::<Vec<_>>(), wanted);
        assert_eq!(records.get(2000), wanted[2000]);
        assert_eq!(records, wanted.into_iter().collect());
    }

    #[test]
    fn a_usual_row_is_at_most_128_bytes() {
        let mut records = Records::default();
        for id in 0..u32::try_from(4 * ROWS).unwrap() {
            let mut usual = RequestRecord { preemptions: 0, recomputed: 0, on_time: 0, ..record(id) };
            usual.ledger = Ledger([0, 0, 1, 1, 1, 0, 1, 1, 0, 0, 1, 0]);
            records.set(&usual);
        }
        assert!(records.bytes() <= 128 * records.len(), "{} bytes a row", records.bytes() / records.len());
    }
}
