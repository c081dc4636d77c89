//! A sheet of codes: CSV in UTF-8 with a header line, as L-20 has it. Pure.
//!
//! Columns by name, in any order and case ([`crate::table`]): `code`, `nominal`, `product_id` are required; `cost_price`, `currency`,
//! `expires_at` may be there, or blank in single rows.
//!
//! Amounts are plain decimals with a point (LD-41). `expires_at` is an RFC 3339 time or a date, which means its first moment in UTC.
//!
//! Nothing here prints a code: problems of a row carry its last characters only.

use chrono::{DateTime, NaiveTime, Utc};
use serde::Serialize;
use shared::codes::{MAX_CODE_BYTES, last4};
use shared::money::Amount;
use uuid::Uuid;

use crate::read::plain_day;
use crate::table::{self, Cells, Problem};

/// Shorter than this, white space and hyphens aside, is no gift code.
const MIN_CODE: usize = 4;
const COLUMNS: [&str; 6] = ["code", "nominal", "product_id", "cost_price", "currency", "expires_at"];
const REQUIRED: usize = 3;

/// A row whose fields are well-formed. No `Debug`: it holds a code.
pub struct Row {
    /// 1 is the first row under the header.
    pub number: usize,
    pub code: String,
    pub nominal: Amount,
    pub product_id: Uuid,
    pub cost_price: Option<Amount>,
    pub currency: Option<String>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Verdict on a row that was not imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    pub row: usize,
    pub last4: Option<String>,
    pub reason: String,
}

pub struct Sheet {
    pub rows: Vec<Row>,
    pub skipped: Vec<Skipped>,
}

pub fn read(file: &[u8], now: DateTime<Utc>) -> Result<Sheet, Problem> {
    let mut sheet = Sheet {
        rows: Vec::new(),
        skipped: Vec::new(),
    };
    table::read(file, &COLUMNS, REQUIRED, |number, cells| {
        // With another number of fields it cannot be told which is the code.
        let cells = cells.ok_or((None, "wrong_number_of_fields"));
        match cells.and_then(|cells| row(number, &cells, now)) {
            Ok(row) => sheet.rows.push(row),
            Err((last4, reason)) => sheet.skipped.push(Skipped {
                row: number,
                last4,
                reason: reason.into(),
            }),
        }
    })?;
    Ok(sheet)
}

fn row(number: usize, cells: &Cells, now: DateTime<Utc>) -> Result<Row, (Option<String>, &'static str)> {
    let code = cells.get(0).ok_or((None, "missing_code"))?;
    let because = |reason| (shown(code), reason);
    if !is_code(code) {
        return Err(because("invalid_code"));
    }
    let nominal = cells
        .get(1)
        .and_then(|text| text.parse::<Amount>().ok())
        .filter(|amount| !amount.is_zero());
    let product_id = cells.get(2).and_then(|text| text.parse::<Uuid>().ok());
    let cost_price = cells
        .get(3)
        .map(str::parse::<Amount>)
        .transpose()
        .map_err(|_| because("invalid_cost_price"))?;
    let expires_at = cells
        .get(5)
        .map(|text| end_of(text).ok_or_else(|| because("invalid_expires_at")))
        .transpose()?;
    if expires_at.is_some_and(|end| end <= now) {
        return Err(because("expired"));
    }
    let currency = cells.get(4).map(str::to_ascii_uppercase);
    if currency.as_ref().is_some_and(|text| !is_currency(text)) {
        return Err(because("invalid_currency"));
    }
    Ok(Row {
        number,
        code: code.to_owned(),
        nominal: nominal.ok_or_else(|| because("invalid_nominal"))?,
        product_id: product_id.ok_or_else(|| because("invalid_product_id"))?,
        cost_price,
        currency,
        expires_at,
    })
}

pub fn is_currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase())
}

fn is_code(text: &str) -> bool {
    let letters = text.chars().filter(|c| !c.is_whitespace() && *c != '-').count();
    letters >= MIN_CODE && text.len() <= MAX_CODE_BYTES && !text.chars().any(char::is_control)
}

/// The last four characters of a code, but never more than half of it.
pub fn shown(code: &str) -> Option<String> {
    let half = code.chars().count() / 2;
    let tail = last4(code);
    let skip = tail.chars().count().saturating_sub(half);
    let tail: String = tail.chars().skip(skip).filter(|c| !c.is_control()).collect();
    (!tail.is_empty()).then_some(tail)
}

fn end_of(text: &str) -> Option<DateTime<Utc>> {
    let date = || plain_day(text);
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.with_timezone(&Utc)).ok();
    time.or_else(|| Some(date()?.and_time(NaiveTime::MIN).and_utc()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::MAX_ROWS;
    use proptest::prelude::*;

    const PRODUCT: &str = "00000000-0000-4000-8000-000000000011";

    fn now() -> DateTime<Utc> {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    fn sheet(text: &str) -> Sheet {
        read(text.as_bytes(), now()).unwrap_or_else(|problem| panic!("{problem:?}"))
    }

    fn problem(file: &[u8]) -> Problem {
        read(file, now()).err().unwrap()
    }

    #[test]
    fn a_sheet_as_a_spreadsheet_writes_it_is_read() {
        let text = format!(
            "\u{feff}Product_ID,CODE,Nominal,cost_price,currency,expires_at\r\n{PRODUCT},\"AB,CD-1234\", 50 ,37.5,usd,2027-01-31\r\n\r\n{PRODUCT},EFGH-5678,25.00,,,2027-01-31T10:00:00+03:00\r\n"
        );
        let sheet = sheet(&text);
        assert!(sheet.skipped.is_empty());
        let [first, second] = &sheet.rows[..] else {
            panic!("{} rows", sheet.rows.len())
        };
        assert_eq!(
            (first.number, first.code.as_str(), first.nominal.to_string().as_str()),
            (1, "AB,CD-1234", "50.00")
        );
        assert_eq!(first.cost_price.unwrap().to_string(), "37.50");
        assert_eq!(first.currency.as_deref(), Some("USD"));
        assert_eq!(first.expires_at.unwrap().to_rfc3339(), "2027-01-31T00:00:00+00:00");
        assert_eq!((second.number, second.cost_price, second.currency.clone()), (2, None, None));
        assert_eq!(second.expires_at.unwrap().to_rfc3339(), "2027-01-31T07:00:00+00:00");
    }

    #[test]
    fn every_wrong_row_has_its_reason_and_shows_no_more_than_half_of_its_code() {
        let good = "CODE-0001-ZZZZ";
        for (row, last4, reason) in [
            (format!(",50,{PRODUCT},,,"), None, "missing_code"),
            (format!("A-1,50,{PRODUCT},,,"), Some("1"), "invalid_code"),
            (format!("----,50,{PRODUCT},,,"), Some("--"), "invalid_code"),
            (format!("{},50,{PRODUCT},,,", "x".repeat(201)), Some("xxxx"), "invalid_code"),
            (format!("{good},100abc,{PRODUCT},,,"), Some("ZZZZ"), "invalid_nominal"),
            (format!("{good},\"1,000\",{PRODUCT},,,"), Some("ZZZZ"), "invalid_nominal"),
            (format!("{good},\"75,50\",{PRODUCT},,,"), Some("ZZZZ"), "invalid_nominal"),
            (format!("{good},0,{PRODUCT},,,"), Some("ZZZZ"), "invalid_nominal"),
            (format!("{good},-5,{PRODUCT},,,"), Some("ZZZZ"), "invalid_nominal"),
            (format!("{good},1e2,{PRODUCT},,,"), Some("ZZZZ"), "invalid_nominal"),
            (format!("{good},10.001,{PRODUCT},,,"), Some("ZZZZ"), "invalid_nominal"),
            (format!("{good},,{PRODUCT},,,"), Some("ZZZZ"), "invalid_nominal"),
            (format!("{good},50,amazon,,,"), Some("ZZZZ"), "invalid_product_id"),
            (format!("{good},50,{PRODUCT},free,,"), Some("ZZZZ"), "invalid_cost_price"),
            (format!("{good},50,{PRODUCT},,DOLLAR,"), Some("ZZZZ"), "invalid_currency"),
            (format!("{good},50,{PRODUCT},,,31.12.2027"), Some("ZZZZ"), "invalid_expires_at"),
            (format!("{good},50,{PRODUCT},,,2027-02-30"), Some("ZZZZ"), "invalid_expires_at"),
            (format!("{good},50,{PRODUCT},,,2026-06-01"), Some("ZZZZ"), "expired"),
            (format!("{good},50,{PRODUCT}"), None, "wrong_number_of_fields"),
        ] {
            let sheet = sheet(&format!("code,nominal,product_id,cost_price,currency,expires_at\n{row}\n"));
            assert!(sheet.rows.is_empty(), "{row}");
            assert_eq!(
                sheet.skipped,
                [Skipped {
                    row: 1,
                    last4: last4.map(Into::into),
                    reason: reason.into()
                }],
                "{row}"
            );
        }
    }

    #[test]
    fn a_cost_of_zero_is_a_cost() {
        let sheet = sheet(&format!("code,nominal,product_id,cost_price\nABCD-1234,50,{PRODUCT},0\n"));
        assert_eq!(sheet.rows[0].cost_price, Some(Amount::ZERO));
    }

    #[test]
    fn files_that_are_no_sheet_are_refused_without_quoting_them() {
        let refused = |file: &[u8]| match problem(file) {
            Problem::Unreadable(text) => text,
            Problem::TooManyRows => panic!("too many rows"),
        };
        assert_eq!(refused(b"\xff\xfe"), "must be UTF-8");
        assert_eq!(refused(b""), "has no column code, nominal, product_id");
        assert_eq!(refused(b"code,nominal\n1,2\n"), "has no column product_id");
        assert_eq!(refused(b"code,nominal,product_id,code\n"), "has the column code twice");
        assert_eq!(refused(b"code,nominal,product_id\n"), "has no rows");
        // A file without a header has codes in its first line.
        let text = refused(b"SECRET-CODE-1,50,1\n");
        assert!(text.starts_with("column 1 has another name") && !text.contains("SECRET"), "{text}");
    }

    #[test]
    fn the_ten_thousand_and_first_row_is_too_many() {
        let rows = |count: usize| format!("code,nominal,product_id\n{}", format!("ABCD-1234,50,{PRODUCT}\n").repeat(count));
        assert_eq!(sheet(&rows(MAX_ROWS)).rows.len(), MAX_ROWS);
        assert_eq!(problem(rows(MAX_ROWS + 1).as_bytes()), Problem::TooManyRows);
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused_without_a_panic(text in "(code,nominal,product_id\n)?([a-z0-9\",\n\r; -]|\\PC){0,200}") {
            let _ = read(text.as_bytes(), now());
        }

        #[test]
        fn never_more_than_half_of_a_code_is_shown(code in "\\PC{0,40}") {
            let count = shown(&code).map_or(0, |tail| tail.chars().count());
            prop_assert!(count <= 4 && count * 2 <= code.chars().count());
        }
    }
}
