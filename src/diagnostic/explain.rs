//! From a parser's words to a problem with a next step: `did you mean`, examples that parse, plain types.

use serde::de::DeserializeOwned;

use super::{InputError, Source};

/// Reads a TOML text into `T`; the error points at the key and offers the nearest known name.
///
/// `T` must be strict (`deny_unknown_fields`, externally tagged enums), so that positions are exact.
pub fn from_toml<T: DeserializeOwned>(source: &Source) -> Result<T, InputError> {
    let parsed = toml::de::Deserializer::parse(&source.text).map_err(|e| syntax(source, &e))?;
    serde_path_to_error::deserialize(parsed).map_err(|e| {
        let path = e.path().to_string();
        let (message, help) = humanise(e.inner().message(), &path);
        InputError::at(source, e.inner().span().unwrap_or(0..0), message, help)
    })
}

/// A text that is not TOML at all.
pub(super) fn syntax(source: &Source, error: &toml::de::Error) -> InputError {
    let end = source.text.len();
    let span = error.span().map_or(0..0, |s| s.start.min(end)..s.end.min(end));
    let message = error.message().replace('\n', "; ");
    let help = if message.contains("duplicate key") {
        "remove one of the two; `key = value` may stand once per table"
    } else if message.contains("string") || message.contains("quoted") || message.contains("literal") {
        "text stands in double quotes, numbers and true/false stand bare"
    } else {
        "correct the syntax: `[table]` headers, `key = value` lines, text in double quotes (https://toml.io)"
    };
    InputError::at(source, span, message, help)
}

/// The message with its path, and the help, for what serde says about the value at `path`.
pub(super) fn humanise(raw: &str, path: &str) -> (String, String) {
    let (text, example) = split_example(raw);
    let text = plain_types(&text);
    let message = match path {
        "" | "." => text.clone(),
        _ if text.starts_with("unknown field") => format!("{}unknown key{}", owner(path, &text), &text[13..]),
        _ if text.starts_with("unknown variant") => {
            format!("{}unknown name{}", owner(path, &text), &text[15..])
        }
        _ => format!("`{path}`: {text}"),
    };
    let help = example
        .or_else(|| suggestion(&text))
        .or_else(|| missing(&text))
        .or_else(|| alternatives(&text))
        .or_else(|| expected_type(&text))
        .unwrap_or_else(|| {
            "correct this value; `windtunnel explain scenario FILE` shows what is known".to_owned()
        });
    (message, help)
}

/// What an unknown name stands in, with a colon: its table where the name is the key at `path`, else the key itself.
fn owner(path: &str, text: &str) -> String {
    let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
    let owner = if text.split('`').nth(1) == Some(key) { table } else { path };
    if owner.is_empty() { String::new() } else { format!("`{owner}`: ") }
}

/// Moves `…; write for example …` or `…, for example "…"` from the message into the help.
fn split_example(raw: &str) -> (String, Option<String>) {
    if let Some((text, example)) = raw.split_once("; write for example ") {
        return (text.to_owned(), Some(format!("write for example {}", quoted(example))));
    }
    if let Some((text, example)) = raw.split_once(", for example ") {
        return (text.to_owned(), Some(format!("write for example {}", quoted(example))));
    }
    (raw.to_owned(), None)
}

/// An example as it stands in a file: in double quotes, inside backticks.
fn quoted(example: &str) -> String {
    let bare = example.trim().trim_matches('`').trim_matches('"');
    format!("`\"{bare}\"`")
}

/// Rust's type names in the words of the file format.
fn plain_types(text: &str) -> String {
    let Some((before, expected)) = text.split_once(", expected ") else { return text.to_owned() };
    let word = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, at least 0",
        "a nonzero u32" | "a nonzero u16" | "a nonzero u64" => "a whole number, at least 1",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "a borrowed string" => "text in double quotes",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list in brackets",
        "a map" | "map" => "a table",
        _ if expected.starts_with("struct ") => "a table",
        _ if expected.starts_with("enum ") => "one of its mechanisms",
        other => other,
    };
    format!("{before}, expected {word}")
}

/// What to write, for a value of the wrong type.
fn expected_type(text: &str) -> Option<String> {
    let (_, expected) = text.split_once(", expected ")?;
    Some(match expected {
        "a whole number, at least 0" => "write a whole number without quotes, such as `512`".to_owned(),
        "a whole number, at least 1" => "write a whole number from 1 up, without quotes".to_owned(),
        "a number" => "write a number without quotes, such as `0.9`".to_owned(),
        "text in double quotes" => "put the text in double quotes".to_owned(),
        "`true` or `false`" => "write `true` or `false`, without quotes".to_owned(),
        "a list in brackets" => "write a list, such as `[1, 2]`".to_owned(),
        "a table" => "write a table, such as `{ key = value }`".to_owned(),
        other => format!("write {other}"),
    })
}

/// One mechanism too many or too few.
fn alternatives(text: &str) -> Option<String> {
    text.starts_with("takes exactly one of")
        .then(|| "keep exactly one of them: they are alternatives".to_owned())
}

fn missing(text: &str) -> Option<String> {
    let key = text.strip_prefix("missing field `")?.strip_suffix('`')?;
    Some(format!("add `{key} = …` to this table"))
}

/// `did you mean …` from serde's own list of expected names.
fn suggestion(message: &str) -> Option<String> {
    if message.starts_with("unknown field ") && message.ends_with("there are no fields") {
        return Some("write `{}`: it has no parameters".to_owned());
    }
    if !message.starts_with("unknown ") {
        return None;
    }
    let (found, expected) = message.split_once(", expected ")?;
    let name = found.split('`').nth(1)?;
    let candidates: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    match nearest(name, candidates.iter().copied()) {
        Some(best) => Some(format!("did you mean `{best}`?")),
        None if candidates.is_empty() => None,
        None => Some(format!("known here: {}", candidates.join(", "))),
    }
}

/// The candidate most like `name`, if any is near enough to be a slip of the pen or continues `name`.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let continues = candidates.iter().copied().filter(|c| name.len() >= 3 && c.starts_with(name)).min();
    if continues.is_some() {
        return continues;
    }
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(name, c), c))
        .filter(|(distance, c)| *distance <= 1 + name.len().min(c.len()) / 3)
        .min()
        .map(|(_, c)| c)
}

/// "did you mean …?" for a name that is nowhere: all candidates that contain it, else the one most like it.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let contains = |c: &&str| name.len() >= 2 && c.to_lowercase().contains(&name.to_lowercase());
    let found: Vec<String> = candidates.iter().copied().filter(contains).map(|c| format!("`{c}`")).collect();
    match found.split_last() {
        Some((last, [])) => Some(format!("did you mean {last}?")),
        Some((last, others)) => Some(format!("did you mean {} or {last}?", others.join(", "))),
        None => nearest(name, candidates).map(|best| format!("did you mean `{best}`?")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, message: &str, help: &str) {
        assert_eq!(humanise(raw, "a.b"), (message.to_owned(), help.to_owned()));
    }

    #[test]
    fn all_names_that_contain_what_was_typed_are_offered() {
        let names = ["a100-40g-sxm", "a100-80g-sxm", "h100-sxm", "orca"];
        let hint = |name: &str| did_you_mean(name, names);
        assert_eq!(hint("a100").as_deref(), Some("did you mean `a100-40g-sxm` or `a100-80g-sxm`?"));
        assert_eq!(hint("H100").as_deref(), Some("did you mean `h100-sxm`?"));
        assert_eq!(hint("orka").as_deref(), Some("did you mean `orca`?"));
        assert_eq!(hint("gaudi"), None);
    }

    #[test]
    fn every_kind_of_serde_error_gets_a_next_step() {
        check(
            "unknown field `b`, expected `bb` or `watermark`",
            "`a`: unknown key `b`, expected `bb` or `watermark`",
            "did you mean `bb`?",
        );
        check(
            "unknown variant `rest`, expected `context-rest` or `fixed`",
            "`a.b`: unknown name `rest`, expected `context-rest` or `fixed`",
            "known here: context-rest, fixed",
        );
        check(
            "invalid type: string \"512\", expected u32",
            "`a.b`: invalid type: string \"512\", expected a whole number, at least 0",
            "write a whole number without quotes, such as `512`",
        );
        check(
            "invalid type: integer `5`, expected a duration with its unit in quotes, for example \"200 ms\"",
            "`a.b`: invalid type: integer `5`, expected a duration with its unit in quotes",
            "write for example `\"200 ms\"`",
        );
        check("missing field `venue`", "`a.b`: missing field `venue`", "add `venue = …` to this table");
        check(
            "`2` has no unit, but a duration needs one; write for example `200 ms`",
            "`a.b`: `2` has no unit, but a duration needs one",
            "write for example `\"200 ms\"`",
        );
    }
}
