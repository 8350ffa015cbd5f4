//! JSON rows: one object a line, of which a format names the keys it wants. Values stay text, so that a time passes
//! through no float and every mistake has its column.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::clock::{AbsolutePs, TimeUnit};
use super::bad_rows::{Problem, tokens};

/// Most keys that a format reads.
const MOST_KEYS: usize = 9;

/// The values of one object, in the order of the wanted keys.
pub(super) struct Object<'a> {
    line: &'a [u8],
    keys: &'static [&'static str],
    values: [Option<&'a RawValue>; MOST_KEYS],
}

impl<'a> Object<'a> {
    /// Reads `line`; other keys than `keys` are passed over, but have to be JSON.
    pub fn parse(line: &'a [u8], keys: &'static [&'static str]) -> Result<Self, Problem> {
        debug_assert!(keys.len() <= MOST_KEYS);
        let mut json = serde_json::Deserializer::from_slice(line);
        let values = Pick { keys }.deserialize(&mut json).and_then(|v| json.end().map(|()| v));
        values.map(|values| Object { line, keys, values }).map_err(|e| problem_of(&e))
    }

    /// The text of the value of key `i`, if it is there and not null.
    pub fn get(&self, i: usize) -> Option<&'a str> {
        self.values[i].map(RawValue::get).filter(|v| *v != "null")
    }

    fn need(&self, i: usize) -> Result<&'a str, Problem> {
        let missing = || Problem { column: 1, message: format!("the row has no key `{}`", self.keys[i]) };
        self.get(i).ok_or_else(missing)
    }

    /// Column of a piece of the line, from 1.
    pub fn column(&self, piece: &str) -> usize {
        (piece.as_ptr() as usize).saturating_sub(self.line.as_ptr() as usize) + 1
    }

    fn wrong(&self, i: usize, value: &str, what: &str) -> Problem {
        Problem { column: self.column(value), message: format!("the `{}` `{value}` {what}", self.keys[i]) }
    }

    /// The value of key `i` as a time: a number, or a text with one.
    pub fn time(&self, i: usize, unit: TimeUnit) -> Result<AbsolutePs, Problem> {
        let value = self.need(i)?;
        unit.parse(unquoted(value).as_bytes()).map_err(|what| self.wrong(i, value, what))
    }

    /// The value of key `i` as a number of tokens, and its column.
    pub fn tokens(&self, i: usize) -> Result<(u32, usize), Problem> {
        let value = self.need(i)?;
        let count = tokens(value.as_bytes()).map_err(|what| self.wrong(i, value, what))?;
        Ok((count, self.column(value)))
    }

    /// The value of key `i` as a name: a text without its quotes, or a number as it stands; empty if it is missing.
    pub fn name(&self, i: usize) -> &'a str {
        self.get(i).map_or("", unquoted)
    }

    /// Adds the whole numbers of the list at key `i` to `out`; a missing key adds none.
    pub fn ids(&self, i: usize, out: &mut Vec<u64>) -> Result<(), Problem> {
        let Some(value) = self.get(i) else { return Ok(()) };
        numbers(value, |text| text.parse().ok().map(|id| out.push(id)).is_some())
            .map_err(|bad| self.wrong(i, bad, "is not a list of whole numbers"))
    }

    /// Adds the numbers of all lists of the object at key `i`, in the order in which they stand.
    pub fn ids_of_parts(&self, i: usize, out: &mut Vec<u64>) -> Result<(), Problem> {
        let Some(value) = self.get(i) else { return Ok(()) };
        let (inner, line) = (value.as_bytes(), self.line);
        let mut json = serde_json::Deserializer::from_slice(inner);
        json.deserialize_map(Parts(out)).map_err(|e| {
            let at = problem_of(&e);
            let column = (inner.as_ptr() as usize).saturating_sub(line.as_ptr() as usize) + at.column;
            Problem { column, message: format!("`{}`: {}", self.keys[i], at.message) }
        })
    }
}

/// Pads or refuses `ids`, so that there is one for every `per_id` tokens of the prompt. Tokens without an id are shared
/// with nobody: `private` gives ids that no file has.
pub(super) fn cover(
    ids: &mut Vec<u64>,
    prompt: u32,
    per_id: u32,
    private: &mut u64,
    column: usize,
) -> Result<(), Problem> {
    let blocks = prompt.div_ceil(per_id) as usize;
    if ids.is_empty() {
        return Ok(());
    }
    if ids.len() > blocks {
        let message = format!(
            "the row has {} prefix ids, but {prompt} prompt tokens are {blocks} blocks of {per_id}",
            ids.len()
        );
        return Err(Problem { column, message });
    }
    while ids.len() < blocks {
        *private -= 1;
        ids.push(*private);
    }
    Ok(())
}

/// Hands the elements of a list of numbers to `take`; the error is the element (or the value) that is none.
pub(super) fn numbers<'a>(list: &'a str, mut take: impl FnMut(&'a str) -> bool) -> Result<(), &'a str> {
    let inner = list.strip_prefix('[').and_then(|l| l.strip_suffix(']')).ok_or(list)?;
    if inner.trim_ascii().is_empty() {
        return Ok(());
    }
    for element in inner.split(',') {
        let element = element.trim_ascii();
        if !take(element) {
            return Err(element);
        }
    }
    Ok(())
}

/// A text without its quotes; anything else as it stands.
pub(super) fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value)
}

/// What serde_json says, without its own position.
pub(super) fn problem_of(error: &serde_json::Error) -> Problem {
    let full = error.to_string();
    let message = full.split(" at line ").next().unwrap_or_default().to_owned();
    Problem { column: error.column().max(1), message: format!("this is not the JSON of a row: {message}") }
}

/// Picks the wanted keys out of an object.
struct Pick {
    keys: &'static [&'static str],
}

impl<'de> DeserializeSeed<'de> for Pick {
    type Value = [Option<&'de RawValue>; MOST_KEYS];

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pick {
    type Value = [Option<&'de RawValue>; MOST_KEYS];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [None; MOST_KEYS];
        while let Some(wanted) = map.next_key_seed(KeyIndex(self.keys))? {
            match wanted {
                Some(i) => values[i] = Some(map.next_value::<&RawValue>()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(values)
    }
}

/// The position of a key among the wanted ones.
struct KeyIndex(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for KeyIndex {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIndex {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|k| *k == key))
    }
}

/// Gathers the lists of an object.
struct Parts<'a>(&'a mut Vec<u64>);

impl<'de> Visitor<'de> for Parts<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of lists of whole numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key::<IgnoredAny>()?.is_some() {
            self.0.extend(map.next_value::<Vec<u64>>()?);
        }
        Ok(())
    }
}

/// The keys of the object that `text` starts with, and whether it ends in `text`; lists and objects inside are passed
/// over. None: it does not start with an object.
pub(super) fn keys_of(text: &[u8]) -> Option<(Vec<String>, bool)> {
    let start = text.iter().position(|b| !b.is_ascii_whitespace())?;
    if text[start] != b'{' {
        return None;
    }
    let (mut keys, mut depth, mut is_key, mut at) = (Vec::new(), 0usize, true, start);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b',' if depth == 1 => is_key = true,
            b':' if depth == 1 => is_key = false,
            b'"' => {
                let end = string_end(text, at + 1)?;
                if depth == 1 && is_key {
                    keys.push(String::from_utf8_lossy(&text[at + 1..end]).into_owned());
                }
                at = end;
            }
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some((keys, true));
        }
    }
    Some((keys, false))
}

/// Where the string whose first byte is at `from` ends.
fn string_end(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_outermost_object() {
        let keys = |text: &str| keys_of(text.as_bytes()).map(|(k, whole)| (k.join(" "), whole));
        assert_eq!(keys(r#" {"a": 1, "b": {"c": [2]}, "d": "x, \"y\": {"} "#), Some(("a b d".into(), true)));
        assert_eq!(keys("{\n"), Some((String::new(), false)));
        assert_eq!(keys(r#"{"a": [1, 2"#), Some(("a".into(), false)));
        assert_eq!(keys("[1]"), None);
    }

    #[test]
    fn a_value_has_its_column() {
        const KEYS: &[&str] = &["n", "t"];
        let object = |line: &'static str| Object::parse(line.as_bytes(), KEYS).map_err(|p| p.message);
        let good = object(r#"{"x": [], "n": 7.0, "t": "61.114"}"#).unwrap();
        assert_eq!(good.tokens(0).map_err(|p| p.message), Ok((7, 16)));
        assert_eq!(good.time(1, TimeUnit::S).map_err(|p| p.message), Ok(61_114_000_000_000));
        let bad = object(r#"{"n": -7}"#).unwrap();
        let problem = bad.tokens(0).unwrap_err();
        assert_eq!((problem.column, &*problem.message), (7, "the `n` `-7` is negative"));
        assert_eq!(bad.time(1, TimeUnit::S).unwrap_err().message, "the row has no key `t`");
        assert!(object(r#"{"n": 7"#).is_err_and(|m| m.contains("EOF")));
    }
}
