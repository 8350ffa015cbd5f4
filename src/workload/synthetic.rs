//! Workloads of arrivals and lengths: single requests, or sessions that each arrival starts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::arrivals::{ArrivalsSpec, OpenArrivals};
use super::clock::AbsolutePs;
use super::dialogue::Dialogue;
use super::lengths::{Lengths, LengthsSpec};
use super::prepare::Beside;
use super::report::LoadReport;
use super::rows::{Clock, MOST_REQUESTS, Row, Rows, too_many_requests};
use super::sessions::{Sessions, SessionsSpec, SideTables, too_many_ids};
use super::twin::Window;
use crate::diagnostic::InputErrors;
use crate::ids::ClassId;
use crate::rng::{Component, mixed, stream};

const LENGTHS: Component = Component::named("workload/lengths");
const SESSIONS: Component = Component::named("workload/sessions");
const GROWTH: Component = Component::named("workload/growth");

/// A checked workload of arrivals (none in a closed loop) and lengths.
#[derive(Clone, Debug)]
pub(super) struct Synthetic {
    arrivals: Option<OpenArrivals>,
    lengths: Lengths,
    sessions: Option<Sessions>,
}

impl Synthetic {
    /// Checks the laws and reads their files.
    pub fn open(
        arrivals: Option<&ArrivalsSpec>,
        lengths: &LengthsSpec,
        sessions: Option<&SessionsSpec>,
        beside: Beside<'_>,
    ) -> Result<Self, InputErrors> {
        Ok(Synthetic {
            arrivals: arrivals.map(|a| a.open(beside)).transpose()?,
            lengths: lengths.build(beside)?,
            sessions: sessions.map(SessionsSpec::build).transpose()?,
        })
    }

    /// Puts the files of the laws into a report.
    pub fn note(&self, report: &mut LoadReport) {
        let lengths = match &self.lengths {
            Lengths::Pairs(file) => Some((file.source.clone(), file.content_hash.clone())),
            _ => None,
        };
        let arrivals = self.arrivals.as_ref().and_then(OpenArrivals::file);
        let arrivals = arrivals.map(|(name, hash)| (format!("arrivals {name}"), hash.map(str::to_owned)));
        let (names, hashes): (Vec<String>, Vec<Option<String>>) = lengths.into_iter().chain(arrivals).unzip();
        if !names.is_empty() {
            report.source = names.join(", ");
            report.content_hash = Some(hashes.into_iter().flatten().collect::<Vec<_>>().join("+"));
        }
    }

    /// The requests of a seed; `closed` ignores the arrivals.
    pub fn generate(
        &self,
        window: Window,
        rate_scale: f64,
        closed: bool,
        seed: u64,
    ) -> Result<Rows, InputErrors> {
        match (&self.sessions, &self.arrivals) {
            (Some(sessions), Some(arrivals)) => {
                self.in_sessions(sessions, arrivals, window, rate_scale, seed)
            }
            _ => self.single(window, rate_scale, closed, seed),
        }
    }

    fn single(&self, window: Window, rate_scale: f64, closed: bool, seed: u64) -> Result<Rows, InputErrors> {
        let from_ps = window.from_ps;
        let mut times: Box<dyn Iterator<Item = u64>> = match &self.arrivals {
            Some(arrivals) if !closed => {
                Box::new(arrivals.times(rate_scale, seed)?.skip_while(move |t| *t < from_ps))
            }
            _ => Box::new(std::iter::repeat(0)),
        };
        let limit = window.requests.unwrap_or(u32::MAX as usize);
        let mut rows = Vec::with_capacity(window.requests.unwrap_or(0));
        for number in 0..u32::try_from(limit).unwrap_or(u32::MAX) {
            let Some(time) = times.next().filter(|t| window.to_ps.is_none_or(|end| *t < end)) else { break };
            if rows.len() >= MOST_REQUESTS {
                return Err(too_many_requests().into());
            }
            let drawn = self.lengths.draw_of_class(&mut stream(seed, LENGTHS, u64::from(number), 0));
            let (class, (prompt, output)) = (ClassId(drawn.0), drawn.1);
            rows.push(Row { time: AbsolutePs::from(time), prompt, output, number, class });
        }
        Ok(self.collect(rows, SideTables::default()))
    }

    /// Arrivals start sessions, at the rate of requests divided by the mean size of a session.
    fn in_sessions(
        &self,
        sessions: &Sessions,
        arrivals: &OpenArrivals,
        window: Window,
        rate_scale: f64,
        seed: u64,
    ) -> Result<Rows, InputErrors> {
        let mut starts = arrivals.times(rate_scale / sessions.mean, seed)?;
        let mut tables = SideTables::new(Some(sessions.growth.block), true);
        let wanted = window.requests.unwrap_or(usize::MAX);
        let (from, end) = (AbsolutePs::from(window.from_ps), window.to_ps.map(AbsolutePs::from));
        // Turns to come, by time and number; a row holds its own lengths.
        let mut coming: BinaryHeap<Reverse<Turn>> = BinaryHeap::new();
        let mut rows: Vec<Row> = Vec::new();
        let mut session = 0u32;
        loop {
            let start = starts.next().map(AbsolutePs::from);
            let before = start.into_iter().chain(end).min().unwrap_or(AbsolutePs::MAX);
            while let Some(&Reverse((time, number, prompt, output, class))) = coming.peek() {
                if time >= before || rows.len() >= wanted {
                    break;
                }
                coming.pop();
                if time >= from {
                    rows.push(Row { time, prompt, output, number, class: ClassId(class) });
                }
            }
            let Some(start) = start.filter(|s| rows.len() < wanted && end.is_none_or(|end| *s < end)) else {
                return Ok(self.collect(rows, tables));
            };
            if rows.len() + coming.len() > MOST_REQUESTS {
                return Err(too_many_requests().into());
            }
            if tables.full() {
                return Err(too_many_ids().into());
            }
            self.turns(sessions, (session, start), seed, &mut tables, |turn| coming.push(Reverse(turn)));
            session = session.saturating_add(1);
        }
    }

    /// All turns of one session, which are of the class of its first one.
    fn turns(
        &self,
        law: &Sessions,
        (session, start): (u32, AbsolutePs),
        seed: u64,
        tables: &mut SideTables,
        mut add: impl FnMut(Turn),
    ) {
        let id = u64::from(session);
        let mut draws = stream(seed, SESSIONS, id, 0);
        let size = law.size(&mut draws);
        let (class, (prompt, output)) = self.lengths.draw_of_class(&mut stream(seed, LENGTHS, id, 0));
        let mut dialogue = Dialogue::open(mixed([seed, u64::MAX, id]), prompt, output);
        let mut time = start;
        for turn in 0..size {
            if turn > 0 {
                time += law.pause_ps(&mut draws);
                let fresh = self.lengths.draw(&mut stream(seed, LENGTHS, id, turn));
                if !dialogue.next(&law.growth, fresh, &mut stream(seed, GROWTH, id, turn)) {
                    return;
                }
            }
            let number = tables.add(Some(session), Some((&dialogue, &law.growth)));
            add((time, number, dialogue.prompt, dialogue.output, class));
        }
    }

    fn collect(&self, rows: Vec<Row>, tables: SideTables) -> Rows {
        let report = LoadReport { rows_read: rows.len() as u64, ..LoadReport::default() };
        let (chains, sessions) = tables.finish();
        let classes = self.lengths.classes();
        Rows { rows, classes, chains, sessions, timed: true, clock: Clock::Detect, report }
    }
}

/// A turn of a session: time, number, prompt, output, class.
type Turn = (AbsolutePs, u32, u32, u32, u16);
