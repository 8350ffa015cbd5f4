//! The registry of numbers: one line gives the field, CSV header, JSON key, table heading, unit and documentation.

use serde::{Deserialize, Serialize};

/// Which direction is an improvement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Smaller is better.
    Lower,
    /// Larger is better.
    Higher,
    /// It only describes.
    Neither,
}

/// One number of a summary, as tables, files and `list metrics` know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Key in CSV and JSON; ends with its unit.
    pub key: &'static str,
    /// Heading in tables.
    pub title: &'static str,
    /// Unit as printed; empty for counts and ratios.
    pub unit: &'static str,
    /// Which direction is an improvement.
    pub better: Better,
    /// Whether it counts something and is there in every run.
    pub count: bool,
    /// What it is, in one sentence.
    pub doc: &'static str,
}

/// A value of a column: a count or a measured number that may be absent.
pub trait Value: Copy {
    /// Whether it is a count.
    const COUNT: bool;
    /// The value as a number for statistics.
    fn number(self) -> Option<f64>;
    /// The value as CSV and tables of raw data print it; empty when absent.
    fn text(self) -> String;
}

impl Value for u64 {
    const COUNT: bool = true;
    fn number(self) -> Option<f64> {
        Some(self as f64)
    }
    fn text(self) -> String {
        self.to_string()
    }
}

impl Value for Option<f64> {
    const COUNT: bool = false;
    fn number(self) -> Option<f64> {
        self
    }
    fn text(self) -> String {
        self.map_or_else(String::new, |v| v.to_string())
    }
}

/// Declares a struct of columns and its registry from one list. A column that is added later is an `Option`: files of earlier
/// versions, which `compare` reads, do not have it.
macro_rules! columns {
    ($(#[$meta:meta])* $name:ident { $($key:ident : $ty:ty, $title:literal, $unit:literal, $better:ident, $doc:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $(#[doc = $doc] pub $key: $ty,)+
        }
        impl $name {
            /// The columns, in file order.
            pub const COLUMNS: &'static [$crate::metrics::column::Column] = &[$(
                $crate::metrics::column::Column {
                    key: stringify!($key),
                    title: $title,
                    unit: $unit,
                    better: $crate::metrics::column::Better::$better,
                    count: <$ty as $crate::metrics::column::Value>::COUNT,
                    doc: $doc,
                },
            )+];
            /// The number in the column `key`; absent for an unknown key too.
            pub fn get(&self, key: &str) -> Option<f64> {
                match key {
                    $(stringify!($key) => $crate::metrics::column::Value::number(self.$key),)+
                    _ => None,
                }
            }
            /// All cells as text, in the order of [`Self::COLUMNS`].
            pub fn cells(&self) -> Vec<String> {
                vec![$($crate::metrics::column::Value::text(self.$key),)+]
            }
        }
    };
}
pub(crate) use columns;

/// Every column of a run, in file order.
pub fn all() -> impl Iterator<Item = &'static Column> {
    super::RequestStats::COLUMNS.iter().chain(super::RunStats::COLUMNS)
}

/// The column with this key.
pub fn find(key: &str) -> Option<&'static Column> {
    all().find(|c| c.key == key)
}

/// Whether a column is a number of requests, which every class of them has, too.
pub fn of_requests(key: &str) -> bool {
    super::RequestStats::COLUMNS.iter().any(|c| c.key == key)
}

/// The text of `list metrics`: one line per column.
pub fn describe() -> String {
    let width = all().map(|c| c.key.len()).max().unwrap_or(0);
    all().fold(String::new(), |mut text, c| {
        let better = match c.better {
            Better::Lower => "lower",
            Better::Higher => "higher",
            Better::Neither => "-",
        };
        let unit = if c.unit.is_empty() { "-" } else { c.unit };
        text.push_str(&format!("{:width$}  {unit:7}  {better:6}  {}\n", c.key, c.doc));
        text
    })
}
