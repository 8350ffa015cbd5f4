//! All rows of a file in memory.

use super::super::input::Stream;
use super::super::rows::{Row, Rows};
use super::super::trace::{NO_SESSION, PrefixChains};
use super::{Item, ReadOptions, Shape, Sink, scan};
use crate::diagnostic::{InputError, InputErrors};

/// Gathers rows and their side tables.
struct Collect {
    file: String,
    rows: Vec<Row>,
    chains: Option<PrefixChains>,
    sessions: Option<Vec<u32>>,
}

/// Reads all rows, in time order.
pub(super) fn read(mut input: Stream, options: &ReadOptions) -> Result<Rows, InputErrors> {
    let mut all = Collect { file: input.name.clone(), rows: Vec::new(), chains: None, sessions: None };
    let scanned = scan(&mut input, options, &mut all)?;
    let rows_read = usize::try_from(scanned.report.rows_read).unwrap_or(usize::MAX);
    let Collect { mut rows, chains, sessions, .. } = all;
    if scanned.report.rows_reordered > 0 {
        rows.sort_by_key(|r| r.time);
    }
    let chains = chains.filter(|c| !c.ids.is_empty()).map(|mut chains| {
        let end = chains.starts.last().copied().unwrap_or(0);
        chains.starts.resize(rows_read + 1, end);
        chains
    });
    let sessions = sessions.filter(|s| s.iter().any(|s| *s != NO_SESSION)).map(|mut sessions| {
        sessions.resize(rows_read, NO_SESSION);
        sessions
    });
    Ok(Rows {
        rows,
        classes: scanned.classes,
        chains,
        sessions,
        timed: scanned.shape.timed,
        clock: scanned.shape.clock,
        report: scanned.report,
    })
}

impl Sink for Collect {
    fn begin(&mut self, shape: &Shape) -> Result<(), InputErrors> {
        self.chains = shape.tokens_per_id.map(|tokens_per_id| PrefixChains {
            tokens_per_id,
            starts: vec![0],
            ids: Vec::new(),
        });
        self.sessions = shape.sessions.then(Vec::new);
        Ok(())
    }

    fn row(&mut self, item: &Item<'_>, _: &[String]) -> Result<(), InputErrors> {
        let Item { number, time, prompt, output, class, session, ids, .. } = *item;
        self.rows.push(Row { time, prompt, output, number, class });
        if let Some(sessions) = &mut self.sessions {
            sessions.resize(number as usize, NO_SESSION);
            sessions.push(session);
        }
        if let Some(chains) = &mut self.chains {
            let before = chains.starts.last().copied().unwrap_or(0);
            chains.starts.resize(number as usize + 1, before);
            chains.ids.extend_from_slice(ids);
            let end = u32::try_from(chains.ids.len()).map_err(|_| {
                InputError::named(&*self.file, "there are more than 4294967295 prefix ids", "split the file")
            })?;
            chains.starts.push(end);
        }
        Ok(())
    }
}
