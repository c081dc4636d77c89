//! A CSV file with a header line, as spreadsheets write it: UTF-8, with or without a byte order mark, columns by name in any order and
//! case. Pure.
//!
//! A column of another name is refused: a misspelt `cost_price` that is ignored would lose every cost. Problems name columns by number, not
//! by what stands there: a file without a header has its data there.

use csv::{ReaderBuilder, StringRecord, Trim};
use shared::error::{ApiError, Code};

pub const MAX_ROWS: usize = 10_000;

#[derive(Debug, PartialEq, Eq)]
pub enum Problem {
    TooManyRows,
    Unreadable(String),
}

/// 413 for too many rows, 400 for what is no such file.
pub fn refused(problem: Problem) -> ApiError {
    match problem {
        Problem::TooManyRows => ApiError::new(Code::BodyTooLarge).field("file", format_args!("must have at most {MAX_ROWS} rows")),
        Problem::Unreadable(problem) => ApiError::new(Code::InvalidRequest).field("file", problem),
    }
}

/// A row's cells by the place of their column in the list of known columns.
pub struct Cells<'a> {
    places: &'a [Option<usize>],
    record: &'a StringRecord,
}

impl Cells<'_> {
    /// The cell, trimmed; `None` where it is blank or the file has no such column.
    pub fn get(&self, column: usize) -> Option<&str> {
        self.places[column]
            .and_then(|place| self.record.get(place))
            .filter(|text| !text.is_empty())
    }
}

/// Calls `each` for every row under the header, counted from 1; with `None` for a row that has more or fewer fields than the header, since
/// then no cell can be told. The first `required` of the known columns must be there. No cell goes on in the next line: that is a quote somebody
/// forgot to close, and all that follows would be its cell.
pub fn read(file: &[u8], columns: &[&str], required: usize, mut each: impl FnMut(usize, Option<Cells>)) -> Result<(), Problem> {
    let text = std::str::from_utf8(file).map_err(|_| Problem::Unreadable("must be UTF-8".into()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let mut record = StringRecord::new();
    let unreadable = |_| Problem::Unreadable("is not CSV".into());
    reader.read_record(&mut record).map_err(unreadable)?;
    let places = places(&record, columns, required)?;
    let width = record.len();
    let mut number = 0;
    while reader.read_record(&mut record).map_err(unreadable)? {
        number += 1;
        if number > MAX_ROWS {
            return Err(Problem::TooManyRows);
        }
        if record.iter().any(|cell| cell.contains(['\r', '\n'])) {
            let line = record.position().map_or(0, |position| position.line());
            return Err(Problem::Unreadable(format!("has a quote in line {line} that is not closed there")));
        }
        let cells = Cells {
            places: &places,
            record: &record,
        };
        each(number, (record.len() == width).then_some(cells));
    }
    if number == 0 {
        Err(Problem::Unreadable("has no rows".into()))
    } else {
        Ok(())
    }
}

/// Where each of the known columns stands.
fn places(header: &StringRecord, columns: &[&str], required: usize) -> Result<Vec<Option<usize>>, Problem> {
    let mut places = vec![None; columns.len()];
    for (index, name) in header.iter().enumerate() {
        let Some(known) = columns.iter().position(|column| column.eq_ignore_ascii_case(name)) else {
            return Err(Problem::Unreadable(format!(
                "column {} has another name than {}",
                index + 1,
                columns.join(", ")
            )));
        };
        if places[known].replace(index).is_some() {
            return Err(Problem::Unreadable(format!("has the column {} twice", columns[known])));
        }
    }
    let missing: Vec<&str> = (0..required).filter(|i| places[*i].is_none()).map(|i| columns[i]).collect();
    if missing.is_empty() {
        Ok(places)
    } else {
        Err(Problem::Unreadable(format!("has no column {}", missing.join(", "))))
    }
}
