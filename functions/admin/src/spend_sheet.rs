//! A sheet of advertising costs: CSV in UTF-8 with a header line, the columns of table `ad_spend` (L-106). Pure.
//!
//! Columns by name, in any order and case ([`crate::table`]): `date`, `utm_source`, `spend` are required; `utm_campaign`, `utm_content`,
//! `clicks`, `impressions`, `currency`, `notes` may be there, or blank in single rows.
//!
//! `date` is `YYYY-MM-DD`, a day of the shop's time zone, and not after tomorrow (in UTC; somewhere it is tomorrow already). `spend` is a plain
//! decimal with a point and at most two decimals. The letter case of UTM values does not matter; the database makes them lower case.

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use shared::money::Amount;

use crate::read::plain_day;
use crate::sheet::is_currency;
use crate::table::{self, Cells, Problem};

const COLUMNS: [&str; 9] = [
    "date",
    "utm_source",
    "spend",
    "utm_campaign",
    "utm_content",
    "clicks",
    "impressions",
    "currency",
    "notes",
];
const REQUIRED: usize = 3;
/// As for events and orders, whose values these are compared with.
const MAX_UTM: usize = 255;
const MAX_NOTES: usize = 500;
/// An earlier one is a slip of the keyboard.
const FIRST_YEAR: i32 = 2000;

/// A row as `api.import_ad_spend` takes it.
#[derive(Debug, PartialEq, Serialize)]
pub struct Row {
    /// 1 is the first row under the header.
    pub row: usize,
    pub date: NaiveDate,
    pub utm_source: String,
    pub utm_campaign: Option<String>,
    pub utm_content: Option<String>,
    pub spend: Amount,
    pub currency: Option<String>,
    pub clicks: Option<u32>,
    pub impressions: Option<u32>,
    pub notes: Option<String>,
}

/// Verdict on a row that was not imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Skipped {
    pub row: usize,
    pub reason: String,
}

#[derive(Debug, Default)]
pub struct Sheet {
    pub rows: Vec<Row>,
    pub skipped: Vec<Skipped>,
}

pub fn read(file: &[u8], now: DateTime<Utc>) -> Result<Sheet, Problem> {
    let mut sheet = Sheet::default();
    table::read(file, &COLUMNS, REQUIRED, |number, cells| {
        let cells = cells.ok_or("wrong_number_of_fields");
        match cells.and_then(|cells| row(number, &cells, now)) {
            Ok(row) => sheet.rows.push(row),
            Err(reason) => sheet.skipped.push(Skipped {
                row: number,
                reason: reason.into(),
            }),
        }
    })?;
    Ok(sheet)
}

fn row(number: usize, cells: &Cells, now: DateTime<Utc>) -> Result<Row, &'static str> {
    let date = cells
        .get(0)
        .and_then(plain_day)
        .filter(|day| day.year() >= FIRST_YEAR)
        .ok_or("invalid_date")?;
    if date > (now + TimeDelta::days(1)).date_naive() {
        return Err("date_in_future");
    }
    let currency = cells.get(7).map(str::to_ascii_uppercase);
    if currency.as_ref().is_some_and(|text| !is_currency(text)) {
        return Err("invalid_currency");
    }
    Ok(Row {
        row: number,
        date,
        utm_source: text(cells, 1, MAX_UTM, "invalid_utm_source")?.ok_or("missing_utm_source")?,
        utm_campaign: text(cells, 3, MAX_UTM, "invalid_utm_campaign")?,
        utm_content: text(cells, 4, MAX_UTM, "invalid_utm_content")?,
        spend: cells.get(2).and_then(|text| text.parse().ok()).ok_or("invalid_spend")?,
        currency,
        clicks: count(cells, 5, "invalid_clicks")?,
        impressions: count(cells, 6, "invalid_impressions")?,
        notes: text(cells, 8, MAX_NOTES, "invalid_notes")?,
    })
}

fn text(cells: &Cells, column: usize, limit: usize, reason: &'static str) -> Result<Option<String>, &'static str> {
    let Some(text) = cells.get(column) else { return Ok(None) };
    if text.chars().count() > limit || text.chars().any(char::is_control) {
        return Err(reason);
    }
    Ok(Some(text.to_owned()))
}

/// A whole number that fits the column.
fn count(cells: &Cells, column: usize, reason: &'static str) -> Result<Option<u32>, &'static str> {
    let Some(text) = cells.get(column) else { return Ok(None) };
    let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    number.filter(|number| *number <= i32::MAX as u32).map(Some).ok_or(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn now() -> DateTime<Utc> {
        "2026-06-01T12:00:00Z".parse().unwrap()
    }

    fn sheet(text: &str) -> Sheet {
        read(text.as_bytes(), now()).unwrap_or_else(|problem| panic!("{problem:?}"))
    }

    #[test]
    fn a_sheet_as_a_spreadsheet_writes_it_is_read() {
        let sheet = sheet(
            "\u{feff}Spend,DATE,utm_source,Notes,utm_campaign,clicks\r\n12.5,2026-05-31, Google ,\"a, \"\"b\"\"\",Spring Sale,0\r\n0,2026-06-02,fb,,,\r\n",
        );
        assert_eq!(sheet.skipped, []);
        let expected = Row {
            row: 1,
            date: "2026-05-31".parse().unwrap(),
            utm_source: "Google".into(),
            utm_campaign: Some("Spring Sale".into()),
            utm_content: None,
            spend: "12.50".parse().unwrap(),
            currency: None,
            clicks: Some(0),
            impressions: None,
            notes: Some("a, \"b\"".into()),
        };
        assert_eq!(sheet.rows[0], expected);
        assert_eq!((sheet.rows[1].row, sheet.rows[1].notes.clone()), (2, None));
    }

    #[test]
    fn every_wrong_row_has_its_reason_and_does_not_hinder_its_neighbours() {
        let header = "date,utm_source,spend,utm_campaign,utm_content,clicks,impressions,currency,notes";
        let long = "x".repeat(256);
        for (row, reason) in [
            (",google,1,,,,,,", "invalid_date"),
            ("31.05.2026,google,1,,,,,,", "invalid_date"),
            ("2026-5-31,google,1,,,,,,", "invalid_date"),
            ("2026-02-30,google,1,,,,,,", "invalid_date"),
            ("1926-05-31,google,1,,,,,,", "invalid_date"),
            ("2026-05-31T00:00:00Z,google,1,,,,,,", "invalid_date"),
            ("infinity,google,1,,,,,,", "invalid_date"),
            ("2026-06-03,google,1,,,,,,", "date_in_future"),
            ("2026-05-31,,1,,,,,,", "missing_utm_source"),
            (&format!("2026-05-31,{long},1,,,,,,"), "invalid_utm_source"),
            ("2026-05-31,goo\u{0}gle,1,,,,,,", "invalid_utm_source"),
            (&format!("2026-05-31,google,1,{long},,,,,"), "invalid_utm_campaign"),
            (&format!("2026-05-31,google,1,,{long},,,,"), "invalid_utm_content"),
            ("2026-05-31,google,,,,,,,", "invalid_spend"),
            ("2026-05-31,google,-1,,,,,,", "invalid_spend"),
            ("2026-05-31,google,1.005,,,,,,", "invalid_spend"),
            ("2026-05-31,google,\"1,000\",,,,,,", "invalid_spend"),
            ("2026-05-31,google,$5,,,,,,", "invalid_spend"),
            ("2026-05-31,google,1e3,,,,,,", "invalid_spend"),
            ("2026-05-31,google,NaN,,,,,,", "invalid_spend"),
            ("2026-05-31,google,10000000000,,,,,,", "invalid_spend"),
            ("2026-05-31,google,1,,,-1,,,", "invalid_clicks"),
            ("2026-05-31,google,1,,,1.0,,,", "invalid_clicks"),
            ("2026-05-31,google,1,,,,2147483648,,", "invalid_impressions"),
            ("2026-05-31,google,1,,,,,dollar,", "invalid_currency"),
            (&format!("2026-05-31,google,1,,,,,,{}", "x".repeat(501)), "invalid_notes"),
            ("2026-05-31,google,1", "wrong_number_of_fields"),
            ("2026-05-31,google,1,,,,,,,extra", "wrong_number_of_fields"),
        ] {
            let sheet = sheet(&format!("{header}\n2026-05-30,a,1,,,,,,\n{row}\n2026-05-30,b,1,,,,,,\n"));
            let skipped = Skipped {
                row: 2,
                reason: reason.into(),
            };
            assert_eq!(sheet.skipped, [skipped], "{row}");
            assert_eq!(sheet.rows.iter().map(|row| row.row).collect::<Vec<_>>(), [1, 3], "{row}");
        }
    }

    #[test]
    fn what_is_no_such_sheet_is_refused_as_a_whole() {
        let problem = |file: &[u8]| match read(file, now()).err().unwrap() {
            Problem::Unreadable(text) => text,
            Problem::TooManyRows => "too many".into(),
        };
        for (file, expected) in [
            ("", "has no column date, utm_source, spend"),
            ("date,utm_source,spend\n", "has no rows"),
            ("date,spend\n2026-05-31,1\n", "has no column utm_source"),
            ("date,utm_source,spend,date\n", "has the column date twice"),
            ("date,utm_source,spend,tenant_id\n", "column 4 has another name"),
            ("2026-05-31,google,5.00\n", "column 1 has another name"),
            // The lines after it would be a part of the note.
            (
                "date,utm_source,spend,notes\n2026-05-31,a,1,\"best\n2026-05-31,b,2,x\n2026-05-31,c,3,x\n",
                "has a quote in line 2",
            ),
        ] {
            assert!(
                problem(file.as_bytes()).contains(expected),
                "{file:?}: {}",
                problem(file.as_bytes())
            );
        }
        assert_eq!(problem(b"date,utm_source,spend\n2026-05-31,\xff,1\n"), "must be UTF-8");
        let many = format!("date,utm_source,spend\n{}", "2026-05-31,g,1\n".repeat(table::MAX_ROWS + 1));
        assert_eq!(problem(many.as_bytes()), "too many");
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused_without_a_panic(text in "(date,utm_source,spend\n)?([0-9a-z\",\n\r; .-]|\\PC){0,200}") {
            let _ = read(text.as_bytes(), now());
        }
    }
}
