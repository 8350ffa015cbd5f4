//! What happens to rows that cannot be read: refused with their places, or skipped and counted.

use super::{OnBadRow, ReadOptions};
use crate::diagnostic::{InputError, InputErrors};

/// How many bad rows are shown one by one.
const SHOWN: usize = 5;

/// Collects the bad rows of one file.
pub(super) struct BadRows<'a> {
    file: &'a str,
    policy: OnBadRow,
    errors: Vec<InputError>,
    count: u64,
}

/// What is wrong with a row.
pub(super) struct Problem {
    /// Column in the line, from 1.
    pub column: usize,
    /// Lower case, with the text found.
    pub message: String,
}

impl<'a> BadRows<'a> {
    pub fn new(file: &'a str, options: &ReadOptions) -> Self {
        BadRows { file, policy: options.on_bad_row, errors: Vec::new(), count: 0 }
    }

    /// Notes one bad row.
    pub fn add(&mut self, line: u64, problem: Problem) {
        self.count += 1;
        if self.errors.len() < SHOWN {
            self.errors.push(InputError::named(
                format!("{}:{line}:{}", self.file, problem.column),
                problem.message,
                "correct the row, or set `on-bad-row = \"skip\"` (`--skip-bad-rows`) to leave such rows out and count them",
            ));
        }
    }

    /// The number of skipped rows and the first of them; an error if bad rows are refused.
    pub fn finish(mut self) -> Result<(u64, Option<String>), InputErrors> {
        if self.count == 0 || self.policy == OnBadRow::Skip {
            let first =
                self.errors.first().map(|e| format!("{}: {}", e.place.as_deref().unwrap_or(""), e.message));
            return Ok((self.count, first));
        }
        let hidden = self.count.saturating_sub(SHOWN as u64);
        if hidden > 0 {
            self.errors.push(InputError::named(
                self.file,
                format!("{hidden} more rows cannot be read, {} in all", self.count),
                "is this the format you meant? `format = …` names one",
            ));
        }
        Err(InputErrors(self.errors))
    }
}

/// A token count: a whole number that fits 32 bits (`472`, or `472.0` as pandas writes it).
pub(super) fn tokens(text: &[u8]) -> Result<u32, &'static str> {
    if text.first() == Some(&b'-') {
        return Err("is negative");
    }
    let whole = match text.iter().position(|&b| b == b'.') {
        Some(dot) if text[dot + 1..].iter().all(|&b| b == b'0') => &text[..dot],
        Some(_) => return Err("is not a whole number"),
        None => text,
    };
    if whole.is_empty() {
        return Err("is not a whole number");
    }
    let mut value: u32 = 0;
    for &byte in whole {
        if !byte.is_ascii_digit() {
            return Err("is not a whole number");
        }
        let next = value.checked_mul(10).and_then(|v| v.checked_add(u32::from(byte - b'0')));
        value = next.ok_or("is larger than 4294967295")?;
    }
    Ok(value)
}
