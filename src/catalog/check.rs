//! Semantic checks of data files: each failed one names the key, its place and what to do.

use std::ops::Range;

use crate::diagnostic::{InputError, InputErrors, Source};

/// Collects what is wrong with the values of one TOML file.
pub(crate) struct Check<'a> {
    source: &'a Source,
    errors: Vec<InputError>,
}

impl<'a> Check<'a> {
    /// Checks for one file.
    pub(crate) fn new(source: &'a Source) -> Self {
        Check { source, errors: Vec::new() }
    }

    /// Records `message` at `key` of `[table]` unless `ok`.
    pub(crate) fn that(&mut self, ok: bool, table: &str, key: &str, message: impl Into<String>, help: &str) {
        if !ok {
            let name = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
            let message = format!("`{name}` {}", message.into());
            self.errors.push(InputError::at(self.source, span(&self.source.text, table, key), message, help));
        }
    }

    /// `value` must be finite and above zero.
    pub(crate) fn positive(&mut self, table: &str, key: &str, value: f64) {
        let ok = value.is_finite() && value > 0.0;
        self.that(ok, table, key, format!("must be above zero, got {value}"), "write a positive value");
    }

    /// `value` must be finite and not negative.
    pub(crate) fn not_negative(&mut self, table: &str, key: &str, value: f64) {
        let ok = value.is_finite() && value >= 0.0;
        self.that(ok, table, key, format!("must not be negative, got {value}"), "write zero or more");
    }

    /// `value` must lie in (0, `max`].
    pub(crate) fn fraction(&mut self, table: &str, key: &str, value: f64, max: f64) {
        let ok = value.is_finite() && value > 0.0 && value <= max;
        self.that(
            ok,
            table,
            key,
            format!("must be in (0, {max}], got {value}"),
            "write it as a fraction of 1",
        );
    }

    /// A count of at least one.
    pub(crate) fn count(&mut self, table: &str, key: &str, value: u32) {
        self.that(value > 0, table, key, "must be at least 1, got 0", "write a count of at least 1");
    }

    /// Every number says where it comes from.
    pub(crate) fn sourced(&mut self, table: &str, source: &str) {
        let help = "name the datasheet, the measurement or the relative the values come from";
        self.that(!source.trim().is_empty(), table, "source", "must not be empty", help);
    }

    /// Gives errors that have no place yet the place of `key` in this file, because the name stands there.
    pub(crate) fn placed<T>(
        &self,
        table: &str,
        key: &str,
        result: Result<T, InputErrors>,
    ) -> Result<T, InputErrors> {
        let place = |e: InputError| match e.source {
            Some(_) => e,
            None => InputError::at(self.source, span(&self.source.text, table, key), e.message, e.help),
        };
        result.map_err(|errors| InputErrors(errors.0.into_iter().map(place).collect()))
    }

    /// The errors found, or nothing.
    pub(crate) fn done(self) -> Result<(), InputErrors> {
        if self.errors.is_empty() { Ok(()) } else { Err(InputErrors(self.errors)) }
    }
}

/// Bytes of the line `key = …` under `[table]`; the table's header, or the file's start, where it is not written.
fn span(text: &str, table: &str, key: &str) -> Range<usize> {
    let (mut at, mut inside, mut header) = (0, table.is_empty(), 0..0);
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        let here = at..at + line.trim_end().len();
        at += line.len();
        if let Some(name) = bare.strip_prefix('[').and_then(|l| l.split(']').next()) {
            inside = name.trim() == table;
            if inside {
                header = here;
            }
        } else if inside && bare.split('=').next().is_some_and(|k| k.trim() == key) {
            return here;
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_at_the_key_of_the_right_table() {
        let source = Source::new("x.toml", "source = \"a\"\n[fit]\nec = 3\n[fit.bf16]\nec = 0\n");
        let mut check = Check::new(&source);
        check.fraction("fit.bf16", "ec", 0.0, 1.0);
        check.positive("fit.bf16", "absent", -1.0);
        let errors = check.done().expect_err("two values are wrong");
        assert_eq!(errors.0[0].line_column(), Some((5, 1)));
        assert!(errors.0[0].to_string().contains("`fit.bf16.ec` must be in (0, 1], got 0"));
        assert_eq!(errors.0[1].line_column(), Some((4, 1)));
    }
}
