//! A report's answer as it should be, and where another one differs from it.

use chrono::DateTime;
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;

use super::model::Moment;

/// One value of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Text(String),
    /// Compared by value: 1.5 is 1.50.
    Number(Decimal),
    /// `numeric[]`.
    Numbers(Vec<Option<Decimal>>),
    Time(Moment),
    Json(Value),
    /// A text whose words are not laid down; it must not be empty.
    Words,
}

impl Cell {
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub fn maybe_text(text: Option<&str>) -> Self {
        text.map_or(Self::Null, Self::text)
    }

    pub fn count(count: usize) -> Self {
        Self::Number(Decimal::from(count))
    }

    pub fn number(number: Option<Decimal>) -> Self {
        number.map_or(Self::Null, Self::Number)
    }

    /// Two decimals, half away from zero.
    pub fn cents(number: Option<Decimal>) -> Self {
        Self::number(number.map(cents))
    }

    /// Does the server's text of a value say this?
    fn fits(&self, text: Option<&str>) -> bool {
        let Some(text) = text else {
            return *self == Self::Null;
        };
        match self {
            Self::Null => false,
            Self::Text(expected) => expected == text,
            Self::Number(expected) => text.parse() == Ok(*expected),
            Self::Numbers(expected) => numbers(text).as_ref() == Some(expected),
            Self::Time(expected) => DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z").is_ok_and(|time| time == *expected),
            Self::Json(expected) => serde_json::from_str::<Value>(text).is_ok_and(|value| value == *expected),
            Self::Words => !text.trim().is_empty(),
        }
    }
}

fn numbers(text: &str) -> Option<Vec<Option<Decimal>>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    if inner.is_empty() {
        return Some(Vec::new());
    }
    let one = |item: &str| match item {
        "NULL" => Some(None),
        _ => item.parse().ok().map(Some),
    };
    inner.split(',').map(one).collect()
}

pub fn cents(number: Decimal) -> Decimal {
    number.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

/// `part` of `whole`, null where there is nothing to divide by.
pub fn ratio(part: Decimal, whole: Decimal) -> Option<Decimal> {
    (!whole.is_zero()).then(|| part / whole)
}

/// Percent, not rounded.
pub fn percent(part: Decimal, whole: Decimal) -> Option<Decimal> {
    ratio(part * Decimal::ONE_HUNDRED, whole)
}

/// Columns with their names, and rows in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub columns: &'static [&'static str],
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new(columns: &'static [&'static str], rows: Vec<Vec<Cell>>) -> Self {
        assert!(rows.iter().all(|row| row.len() == columns.len()), "{columns:?}");
        Self { columns, rows }
    }

    /// The first place where the server's rows (values as text) are others than these.
    pub fn difference(&self, actual: &[Vec<Option<String>>]) -> Option<String> {
        for (number, expected) in self.rows.iter().enumerate() {
            let Some(row) = actual.get(number) else {
                return Some(format!("row {number} is missing: {expected:?}"));
            };
            for ((column, expected_cell), cell) in self.columns.iter().zip(expected).zip(row) {
                if !expected_cell.fits(cell.as_deref()) {
                    return Some(format!(
                        "row {number}, {column}: {cell:?} instead of {expected_cell:?}\n  {row:?}\n  {expected:?}"
                    ));
                }
            }
        }
        let surplus = actual.get(self.rows.len())?;
        Some(format!("row {} is too many: {surplus:?}", self.rows.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_by_what_they_mean() {
        assert!(Cell::cents(Some("0.125".parse().unwrap())).fits(Some("0.13")));
        assert!(Cell::cents(Some("-0.125".parse().unwrap())).fits(Some("-0.130")));
        assert!(!Cell::count(0).fits(None));
        assert!(Cell::Null.fits(None));
        assert!(Cell::Numbers(vec![Some(Decimal::TEN), None]).fits(Some("{10.00,NULL}")));
        assert!(Cell::Numbers(Vec::new()).fits(Some("{}")));
        assert!(Cell::Time("2025-01-02T03:04:05.250Z".parse().unwrap()).fits(Some("2025-01-02 03:04:05.25+00")));
        assert!(!Cell::Words.fits(Some(" ")));
    }

    #[test]
    fn a_missing_row_a_surplus_row_and_another_value_are_differences() {
        let table = Table::new(&["n"], vec![vec![Cell::count(1)], vec![Cell::count(2)]]);
        let rows = |texts: &[&str]| -> Vec<_> { texts.iter().map(|text| vec![Some((*text).to_owned())]).collect() };
        assert_eq!(table.difference(&rows(&["1", "2.0"])), None);
        assert!(table.difference(&rows(&["1"])).unwrap().contains("missing"));
        assert!(table.difference(&rows(&["1", "2", "3"])).unwrap().contains("too many"));
        assert!(table.difference(&rows(&["2", "1"])).unwrap().contains("row 0, n"));
    }
}
