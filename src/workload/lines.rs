//! The lines of a text of any size, read in chunks; a line is lent, not copied.

use std::io::{self, ErrorKind, Read};
use std::ops::Range;

use memchr::{memchr, memchr_iter};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Bytes asked for at a time.
const CHUNK: usize = 1 << 18;
/// Longest line: a document of one line is one.
const LONGEST: usize = 1 << 30;
/// Longest record with line ends inside quotes; a quote that is open for longer is taken as a stray one.
const LONGEST_QUOTED: usize = 1 << 16;

/// Reads line after line.
pub(super) struct Lines {
    source: Box<dyn Read>,
    buffer: Vec<u8>,
    /// What of the buffer is read, but not yet lent.
    ready: Range<usize>,
    ended: bool,
    line: u64,
    bytes_read: u64,
}

impl Lines {
    pub fn new(source: Box<dyn Read>) -> Self {
        Lines { source, buffer: vec![0; 2 * CHUNK], ready: 0..0, ended: false, line: 0, bytes_read: 0 }
    }

    /// Bytes of text read so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The next line that is not blank, without its end, and its number from 1.
    pub fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        let Some(found) = self.find_line()? else { return Ok(None) };
        self.lend(found, 1)
    }

    /// The next record of a table: as `next`, but a line end inside double quotes belongs to the record.
    pub fn next_record(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        let Some(mut found) = self.find_line()? else { return Ok(None) };
        if memchr(b'"', &self.buffer[found.clone()]).is_none() {
            return self.lend(found, 1);
        }
        let (single, mut lines) = (found.len(), 1);
        while memchr_iter(b'"', &self.buffer[found.clone()]).count() % 2 == 1 {
            let more = if found.len() > LONGEST_QUOTED { None } else { self.find_end(found.len() + 1)? };
            let Some(longer) = more else {
                (found, lines) = (self.ready.start..self.ready.start + single, 1);
                break;
            };
            found = longer;
            lines += 1;
        }
        self.lend(found, lines)
    }

    /// The first line that is not blank, without taking it.
    pub fn peek(&mut self) -> io::Result<Option<&[u8]>> {
        let found = self.find_line()?;
        Ok(found.map(|range| trim_end(&self.buffer[range])))
    }

    /// Everything that is left, without taking it.
    pub fn peek_all(&mut self) -> io::Result<&[u8]> {
        while !self.ended {
            self.fill()?;
        }
        Ok(&self.buffer[self.ready.clone()])
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut all = self.buffer[self.ready.clone()].to_vec();
        let before = all.len();
        self.source.read_to_end(&mut all)?;
        self.bytes_read += (all.len() - before) as u64;
        self.ready = 0..0;
        self.ended = true;
        Ok(all)
    }

    fn lend(&mut self, found: Range<usize>, lines: u64) -> io::Result<Option<(u64, &[u8])>> {
        let first = self.line + 1;
        self.line += lines;
        self.ready.start = (found.end + 1).min(self.ready.end);
        Ok(Some((first, trim_end(&self.buffer[found]))))
    }

    /// Where the next line that is not blank stands; blank ones are passed.
    fn find_line(&mut self) -> io::Result<Option<Range<usize>>> {
        loop {
            let Some(mut found) = self.find_end(0)? else { return Ok(None) };
            if self.line == 0 && self.buffer[found.clone()].starts_with(BYTE_ORDER_MARK) {
                self.ready.start += BYTE_ORDER_MARK.len();
                found.start = self.ready.start;
            }
            if !self.buffer[found.clone()].iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(found));
            }
            self.line += 1;
            self.ready.start = (found.end + 1).min(self.ready.end);
        }
    }

    /// From the start of what is ready to the next line end (or the end of the text) at or after `skip` bytes.
    fn find_end(&mut self, skip: usize) -> io::Result<Option<Range<usize>>> {
        let mut seen = skip;
        loop {
            let ready = &self.buffer[self.ready.clone()];
            if let Some(at) = ready.get(seen..).and_then(|tail| memchr(b'\n', tail)) {
                return Ok(Some(self.ready.start..self.ready.start + seen + at));
            }
            if self.ended {
                let some = ready.len() > skip;
                return Ok(some.then(|| self.ready.clone()));
            }
            seen = seen.max(ready.len());
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.ready.start > 0 {
            self.buffer.copy_within(self.ready.clone(), 0);
            self.ready = 0..self.ready.len();
        }
        if self.buffer.len() - self.ready.end < CHUNK {
            if self.buffer.len() >= LONGEST {
                let message = format!("line {} is longer than {LONGEST} bytes", self.line + 1);
                return Err(io::Error::new(ErrorKind::InvalidData, message));
            }
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let count = loop {
            match self.source.read(&mut self.buffer[self.ready.end..]) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.ready.end += count;
        self.bytes_read += count as u64;
        self.ended = count == 0;
        Ok(())
    }
}

fn trim_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One byte at a time.
    struct Drip(&'static [u8]);

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            (buffer[0], self.0) = (*first, rest);
            Ok(1)
        }
    }

    #[track_caller]
    fn check(text: &'static [u8], quoted: bool, expected: &[(u64, &str)]) {
        let sources: [Box<dyn Read>; 2] = [Box::new(Drip(text)), Box::new(text)];
        for source in sources {
            let mut lines = Lines::new(source);
            let mut got = Vec::new();
            loop {
                let next = if quoted { lines.next_record() } else { lines.next() };
                let Some((number, line)) = next.unwrap() else { break };
                got.push((number, String::from_utf8(line.to_vec()).unwrap()));
            }
            let got: Vec<(u64, &str)> = got.iter().map(|(n, l)| (*n, l.as_str())).collect();
            assert_eq!(got, expected);
            assert_eq!(lines.bytes_read(), text.len() as u64);
        }
    }

    #[test]
    fn lines_have_their_numbers() {
        check(b"a\nb\n", false, &[(1, "a"), (2, "b")]);
        check(b"a\r\n\n  \nb", false, &[(1, "a"), (4, "b")]);
        check(b"", false, &[]);
        check(b"\n\n", false, &[]);
    }

    #[test]
    fn quoted_line_ends_belong_to_the_record() {
        check(b"a,\"x\ny\"\nb\n", true, &[(1, "a,\"x\ny\""), (3, "b")]);
        check(b"a,\"x\"\nb", true, &[(1, "a,\"x\""), (2, "b")]);
        check(b"a,\"x\nb\nc", true, &[(1, "a,\"x"), (2, "b"), (3, "c")]);
    }

    #[test]
    fn a_peeked_line_stays() {
        let mut lines = Lines::new(Box::new(&b"\xef\xbb\xbf\nhead\nrow"[..]));
        assert_eq!(lines.peek().unwrap(), Some(&b"head"[..]));
        assert_eq!(lines.next().unwrap(), Some((2, &b"head"[..])));
        assert_eq!(lines.rest().unwrap(), b"row");
    }
}
