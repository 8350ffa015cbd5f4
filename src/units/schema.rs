//! JSON Schema of a quantity written as text: a pattern for the editor, an example for the reader.

use schemars::{Schema, json_schema};

/// A number and one of `symbols`, such as `"80 GiB"`.
pub(crate) fn text_schema<'a>(
    what: &str,
    example: &str,
    symbols: impl IntoIterator<Item = &'a str>,
) -> Schema {
    let symbols: Vec<&str> = symbols.into_iter().collect();
    let number = r"\+?([0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)([eE][+-]?[0-9]+)?";
    json_schema!({
        "type": "string",
        "description": format!("{what} as text with its unit ({}), such as \"{example}\".", symbols.join(", ")),
        "examples": [example],
        "pattern": format!(r"^\s*{number}\s*({})\s*$", symbols.join("|")),
    })
}
