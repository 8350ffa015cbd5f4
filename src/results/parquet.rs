//! The tables of a result folder as Parquet (feature `parquet`): `parquet/X.parquet` for each `X.csv`.
//!
//! A column has one type in all folders: it follows from its name where that is one of ours, so that files of several runs
//! can be read as one table. An empty cell is a null.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use ::parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::types::Type;

use super::commit::FileSet;
use super::error::ResultsError;
use crate::metrics::column;

/// Rows of a row group.
const GROUP: usize = 100_000;

/// Columns of text that could be taken for numbers.
const TEXT: [&str; 7] = ["system", "point", "saturation", "class", "fate", "group", "sensitive_to"];

/// Whole numbers that are no column of a summary and whose names do not end with `_ps` or `_tokens`.
const WHOLE: [&str; 8] =
    ["id", "request", "replica", "seed", "requests", "preemptions", "tokens_on_time", "gpus"];

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Truth,
    Whole,
    Number,
}

impl Kind {
    /// What follows from the name.
    fn of(key: &str) -> Option<Kind> {
        let whole = key.ends_with("_ps") || key.ends_with("_tokens") || WHOLE.contains(&key);
        match column::find(key) {
            Some(c) if c.count => Some(Kind::Whole),
            Some(_) => Some(Kind::Number),
            None if TEXT.contains(&key) => Some(Kind::Text),
            None if key == "bound" => Some(Kind::Truth),
            None => whole.then_some(Kind::Whole),
        }
    }

    fn physical(self) -> Physical {
        match self {
            Kind::Text => Physical::BYTE_ARRAY,
            Kind::Truth => Physical::BOOLEAN,
            Kind::Whole => Physical::INT64,
            Kind::Number => Physical::DOUBLE,
        }
    }
}

/// One file read: its columns with their cells.
struct Table {
    names: Vec<String>,
    rows: Vec<csv::StringRecord>,
}

/// The tables of `folder` as files of the folder `parquet`.
///
/// # Errors
/// A table cannot be read, or somebody has written something into it that is not of its column's type.
pub fn parquet_files(folder: &Path) -> Result<FileSet<'static>, ResultsError> {
    let mut files = FileSet::default();
    for path in tables(folder)? {
        let table = Table::read(&folder.join(&path))?;
        let kinds = table.kinds();
        table.check(&folder.join(&path), &kinds)?;
        let failed = |e| ResultsError::io("write", &folder.join("parquet"), io::Error::other(e));
        let bytes = table.write(&kinds).map_err(failed)?;
        let stem = path.strip_suffix(".csv").unwrap_or(&path);
        files.add(&format!("parquet/{stem}.parquet"), bytes);
    }
    Ok(files)
}

/// Paths of the CSV files in a result folder and in the folders of it that hold tables, sorted.
fn tables(folder: &Path) -> Result<BTreeSet<String>, ResultsError> {
    let mut found = BTreeSet::new();
    for inside in ["", "requests/", "timeline/"] {
        let of = folder.join(inside);
        let entries = match fs::read_dir(&of) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && !inside.is_empty() => continue,
            entries => entries.map_err(|e| ResultsError::io("read", &of, e))?,
        };
        for entry in entries {
            let name = entry.map_err(|e| ResultsError::io("read", &of, e))?.file_name();
            let name = name.to_string_lossy();
            if name.ends_with(".csv") {
                found.insert(format!("{inside}{name}"));
            }
        }
    }
    Ok(found)
}

impl Table {
    fn read(path: &Path) -> Result<Table, ResultsError> {
        let read = || -> Result<Table, csv::Error> {
            let mut reader = csv::Reader::from_path(path)?;
            let names = reader.headers()?.iter().map(str::to_owned).collect();
            let rows = reader.records().collect::<Result<_, _>>()?;
            Ok(Table { names, rows })
        };
        read().map_err(|e| ResultsError::io("read", path, io::Error::other(e)))
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = &str> {
        self.rows.iter().map(move |row| row.get(column).unwrap_or_default())
    }

    /// What each column is: by its name, else numbers where all cells are.
    fn kinds(&self) -> Vec<Kind> {
        let numbers = |column: usize| self.cells(column).all(|c| c.is_empty() || c.parse::<f64>().is_ok());
        let unnamed = |column: usize| if numbers(column) { Kind::Number } else { Kind::Text };
        (0..).zip(&self.names).map(|(i, name)| Kind::of(name).unwrap_or_else(|| unnamed(i))).collect()
    }

    /// The first cell that is not of its column's type.
    fn check(&self, path: &Path, kinds: &[Kind]) -> Result<(), ResultsError> {
        for (row, line) in self.rows.iter().zip(2..) {
            for ((cell, kind), name) in row.iter().zip(kinds).zip(&self.names) {
                let fits = match kind {
                    Kind::Text => true,
                    Kind::Truth => cell.parse::<bool>().is_ok(),
                    Kind::Whole => cell.is_empty() || cell.parse::<i64>().is_ok(),
                    Kind::Number => cell.is_empty() || cell.parse::<f64>().is_ok(),
                };
                if !fits {
                    let message = format!("line {line}, column `{name}` holds `{cell}`");
                    return Err(ResultsError::Malformed { path: path.to_owned(), message });
                }
            }
        }
        Ok(())
    }

    fn schema(&self, kinds: &[Kind]) -> Result<Type, ParquetError> {
        let field = |(name, kind): (&String, &Kind)| {
            let column = Type::primitive_type_builder(name, kind.physical());
            let text = (*kind == Kind::Text).then_some(LogicalType::String);
            let column = column.with_repetition(Repetition::OPTIONAL).with_logical_type(text);
            column.build().map(Arc::new)
        };
        let fields = self.names.iter().zip(kinds).map(field).collect::<Result<Vec<_>, _>>()?;
        Type::group_type_builder("table").with_fields(fields).build()
    }

    fn write(&self, kinds: &[Kind]) -> Result<Vec<u8>, ParquetError> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut bytes = Vec::new();
        let schema = Arc::new(self.schema(kinds)?);
        let mut file = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties))?;
        for rows in self.rows.chunks(GROUP) {
            let mut group = file.next_row_group()?;
            for (column, kind) in kinds.iter().enumerate() {
                let cells: Vec<&str> = rows.iter().map(|row| row.get(column).unwrap_or_default()).collect();
                match kind {
                    Kind::Text => write::<ByteArrayType>(&mut group, &cells, |c| Some(ByteArray::from(c)))?,
                    Kind::Truth => write::<BoolType>(&mut group, &cells, |c| c.parse().ok())?,
                    Kind::Whole => write::<Int64Type>(&mut group, &cells, |c| c.parse().ok())?,
                    Kind::Number => write::<DoubleType>(&mut group, &cells, |c| c.parse().ok())?,
                }
            }
            group.close()?;
        }
        file.close()?;
        Ok(bytes)
    }
}

/// The next column of a row group; a cell without a value is a null.
fn write<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    cells: &[&str],
    value: impl Fn(&str) -> Option<T::T>,
) -> Result<(), ParquetError> {
    let values: Vec<Option<T::T>> = cells.iter().map(|cell| value(cell)).collect();
    let there: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
    let values: Vec<T::T> = values.into_iter().flatten().collect();
    let mut column = group.next_column()?.expect("the schema has a column for each kind");
    column.typed::<T>().write_batch(&values, Some(&there), None)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;

    #[test]
    fn what_is_read_back_is_what_the_tables_say() {
        let folder = tempfile::tempdir().expect("a folder");
        let rows = "system,bound,rate_per_s,seed,finished,ttft_p99_s,arrival_ps,note\n\
                    7,false,0.5,1,12,0.25,18446744073,\n\"=cmd, <b>\",true,,2,0,,0,x\n";
        fs::create_dir(folder.path().join("requests")).expect("a folder");
        for path in ["summary.csv", "requests/a.csv"] {
            fs::write(folder.path().join(path), rows).expect("written");
        }
        let files = parquet_files(folder.path()).unwrap_or_else(|e| panic!("{e}"));
        let paths: Vec<&str> = files.iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["parquet/requests/a.parquet", "parquet/summary.parquet"]);
        let written = folder.path().join("summary.parquet");
        fs::write(&written, files.bytes("parquet/summary.parquet").expect("bytes")).expect("written");
        let reader = SerializedFileReader::new(fs::File::open(&written).expect("just written"));
        let reader = reader.expect("a Parquet file");
        let read: Vec<String> =
            reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row").to_string()).collect();
        assert_eq!(
            read,
            [
                "{system: \"7\", bound: false, rate_per_s: 0.5, seed: 1, finished: 12, ttft_p99_s: 0.25, \
             arrival_ps: 18446744073, note: \"\"}",
                "{system: \"=cmd, <b>\", bound: true, rate_per_s: null, seed: 2, finished: 0, ttft_p99_s: null, \
             arrival_ps: 0, note: \"x\"}",
            ]
        );
    }

    #[test]
    fn a_cell_that_somebody_changed_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("summary.csv"), "system,seed\na,1\nb,two\n").expect("written");
        let error = parquet_files(folder.path()).expect_err("`two` is no seed").to_string();
        assert!(error.contains("line 3") && error.contains("`two`"), "{error}");
    }
}
