//! Events of the Trace Event Format as lines of a JSON array. Instants are microseconds with six decimals, which is to the
//! picosecond.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::units::SimTime;

/// Whose track an event is on: process and thread of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Track {
    pub process: u32,
    pub thread: u32,
}

/// What has been written, and whether there is room for more.
pub(super) struct Lines<W: Write> {
    out: W,
    /// The first error of `out`; nothing is written after it.
    failed: Option<io::Error>,
    written: u64,
    limit: u64,
    /// The instant of the first event that there was no room for.
    full: Option<SimTime>,
}

/// A slice of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub start: SimTime,
    pub end: SimTime,
}

impl<W: Write> Lines<W> {
    pub fn new(mut out: W, limit: u64) -> io::Result<Lines<W>> {
        out.write_all(
            b"[\n{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"requests\"}}",
        )?;
        Ok(Lines { out, failed: None, written: 0, limit, full: None })
    }

    /// Whether `events` that belong together fit; after the first that do not nothing does.
    pub fn has_room(&mut self, events: u64, at: SimTime) -> bool {
        if self.full.is_none() && self.written + events > self.limit {
            self.full = Some(at);
        }
        self.full.is_none() && self.failed.is_none()
    }

    /// One event; `fields` is what it has besides its kind, its track and its name.
    fn event(&mut self, kind: &str, track: Track, name: &str, fields: &str) {
        if self.failed.is_some() {
            return;
        }
        self.written += 1;
        let (name, Track { process, thread }) = (Value::from(name), track);
        let line = write!(
            self.out,
            ",\n{{\"ph\":\"{kind}\",\"pid\":{process},\"tid\":{thread},\"name\":{name}{fields}}}"
        );
        self.failed = line.err();
    }

    /// Says what a process is called.
    pub fn process(&mut self, process: u32, name: &str) {
        let args = format!(",\"args\":{}", json!({ "name": name }));
        self.event("M", Track { process, thread: 0 }, "process_name", &args);
        let args = format!(",\"args\":{}", json!({ "sort_index": process }));
        self.event("M", Track { process, thread: 0 }, "process_sort_index", &args);
    }

    /// Says what a track is called.
    pub fn thread(&mut self, track: Track, name: &str) {
        let args = format!(",\"args\":{}", json!({ "name": name }));
        self.event("M", track, "thread_name", &args);
        let args = format!(",\"args\":{}", json!({ "sort_index": track.thread }));
        self.event("M", track, "thread_sort_index", &args);
    }

    /// A slice on a track.
    pub fn slice(&mut self, track: Track, name: &str, span: Span, args: &Value) {
        let (ts, dur) = (us(span.start.as_ps()), us((span.end - span.start).as_ps()));
        self.event("X", track, name, &format!(",\"ts\":{ts},\"dur\":{dur},\"args\":{args}"));
    }

    /// Something that takes no time.
    pub fn instant(&mut self, track: Track, name: &str, at: SimTime) {
        self.event("i", track, name, &format!(",\"ts\":{},\"s\":\"p\"", us(at.as_ps())));
    }

    /// The value of counters.
    pub fn counter(&mut self, track: Track, name: &str, at: SimTime, values: &Value) {
        self.event("C", track, name, &format!(",\"ts\":{},\"args\":{values}", us(at.as_ps())));
    }

    /// One side of an asynchronous slice: `b` or `e`, of the events that share a category and an id.
    pub fn side(&mut self, kind: &str, of: (Track, &str, u64), name: &str, at: SimTime, args: &Value) {
        let (track, category, id) = of;
        let fields = format!(",\"cat\":\"{category}\",\"id\":{id},\"ts\":{},\"args\":{args}", us(at.as_ps()));
        self.event(kind, track, name, &fields);
    }

    /// An arrow from one slice to another.
    pub fn arrow(&mut self, id: u64, name: &str, from: (Track, SimTime), to: (Track, SimTime)) {
        let field = |at: SimTime| format!(",\"cat\":\"{name}\",\"id\":{id},\"ts\":{}", us(at.as_ps()));
        self.event("s", from.0, name, &field(from.1));
        self.event("f", to.0, name, &format!("{},\"bp\":\"e\"", field(to.1)));
    }

    /// Ends the array. Gives when the limit was reached, if it was.
    pub fn finish(mut self) -> io::Result<Option<SimTime>> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.out.write_all(b"\n]\n")?;
        Ok(self.full)
    }
}

/// Picoseconds as microseconds, without a float in between.
fn us(ps: u64) -> String {
    format!("{}.{:06}", ps / 1_000_000, ps % 1_000_000)
}
