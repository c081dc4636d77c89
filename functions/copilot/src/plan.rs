//! The typed plan: the only door between a question and the database.
//!
//! Whatever reads a question (the parser of this crate now, a model's tool call perhaps later) must produce this type, and nothing else
//! of the question goes further. A plan can name eight functions, a period, and a limit; values out of bounds do not deserialise.

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Rows of a ranking.
pub type Limit = Count<100>;
/// Rows of a ranking where the question names no number (L-91).
pub const DEFAULT_LIMIT: u32 = 10;

/// What is asked, completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "intent", rename_all = "snake_case", deny_unknown_fields)]
pub enum Plan {
    Revenue {
        period: Period,
    },
    Profit {
        period: Period,
    },
    Orders {
        period: Period,
    },
    TopProducts {
        period: Period,
        limit: Limit,
    },
    TopCustomers {
        period: Period,
        limit: Limit,
    },
    Channels {
        period: Period,
        limit: Limit,
    },
    /// Without a period: the alerts that are open now.
    Alerts {
        period: Option<Period>,
    },
    UnitEconomics {
        period: Period,
    },
}

/// Whole days, in the tenant's time zone; the database turns them into dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Period {
    Today,
    Yesterday,
    ThisWeek,
    LastWeek,
    ThisMonth,
    LastMonth,
    LastDays { count: Count<3660> },
    LastWeeks { count: Count<520> },
    LastMonths { count: Count<120> },
    Day { date: Day },
    Range(Range),
}

impl Period {
    pub const SEVEN_DAYS: Self = Self::LastDays { count: Count(7) };
    /// Where a question names none.
    pub const DEFAULT: Self = Self::SEVEN_DAYS;
}

/// From 1 to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Count<const MAX: u32>(u32);

impl<const MAX: u32> Count<MAX> {
    pub fn get(self) -> u32 {
        self.0
    }
}

impl<const MAX: u32> TryFrom<u32> for Count<MAX> {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, String> {
        if (1..=MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(format!("must be from 1 to {MAX}"))
        }
    }
}

impl<const MAX: u32> From<Count<MAX>> for u32 {
    fn from(count: Count<MAX>) -> Self {
        count.0
    }
}

/// A date of the years 2000 to 2100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "NaiveDate", into = "NaiveDate")]
pub struct Day(NaiveDate);

impl Day {
    pub fn new(year: i32, month: u32, day: u32) -> Option<Self> {
        NaiveDate::from_ymd_opt(year, month, day)?.try_into().ok()
    }
}

impl TryFrom<NaiveDate> for Day {
    type Error = &'static str;

    fn try_from(date: NaiveDate) -> Result<Self, &'static str> {
        if (2000..=2100).contains(&date.year()) {
            Ok(Self(date))
        } else {
            Err("must be a date of the years 2000 to 2100")
        }
    }
}

impl From<Day> for NaiveDate {
    fn from(day: Day) -> Self {
        day.0
    }
}

/// Two dates in order, both included; ten years at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Ends", into = "Ends")]
pub struct Range {
    from: Day,
    to: Day,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ends {
    from: Day,
    to: Day,
}

impl Range {
    pub fn new(from: Day, to: Day) -> Option<Self> {
        let days = (to.0 - from.0).num_days();
        (0..3660).contains(&days).then_some(Self { from, to })
    }
}

impl TryFrom<Ends> for Range {
    type Error = &'static str;

    fn try_from(ends: Ends) -> Result<Self, &'static str> {
        Self::new(ends.from, ends.to).ok_or("must be two dates in order, ten years apart at most")
    }
}

impl From<Range> for Ends {
    fn from(range: Range) -> Self {
        Self {
            from: range.from,
            to: range.to,
        }
    }
}

/// The intents of L-128, `orders`, and `unknown` for a question that got no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    Revenue,
    Profit,
    Orders,
    TopProducts,
    TopCustomers,
    Channels,
    Alerts,
    UnitEconomics,
    Unknown,
}

impl Plan {
    pub const fn intent(self) -> Intent {
        match self {
            Self::Revenue { .. } => Intent::Revenue,
            Self::Profit { .. } => Intent::Profit,
            Self::Orders { .. } => Intent::Orders,
            Self::TopProducts { .. } => Intent::TopProducts,
            Self::TopCustomers { .. } => Intent::TopCustomers,
            Self::Channels { .. } => Intent::Channels,
            Self::Alerts { .. } => Intent::Alerts,
            Self::UnitEconomics { .. } => Intent::UnitEconomics,
        }
    }

    /// The allow-list: the function of schema `api` that answers a plan.
    pub const fn function(self) -> &'static str {
        match self {
            Self::Revenue { .. } => "ask_revenue",
            Self::Profit { .. } => "ask_profit",
            Self::Orders { .. } => "ask_orders",
            Self::TopProducts { .. } => "ask_top_products",
            Self::TopCustomers { .. } => "ask_top_customers",
            Self::Channels { .. } => "ask_channels",
            Self::Alerts { .. } => "ask_alerts",
            Self::UnitEconomics { .. } => "ask_unit_economics",
        }
    }

    pub const fn period(self) -> Option<Period> {
        match self {
            Self::Revenue { period }
            | Self::Profit { period }
            | Self::Orders { period }
            | Self::TopProducts { period, .. }
            | Self::TopCustomers { period, .. }
            | Self::Channels { period, .. }
            | Self::UnitEconomics { period } => Some(period),
            Self::Alerts { period } => period,
        }
    }

    /// The function's arguments.
    pub fn parameters(self) -> Value {
        let period = self.period();
        match self {
            Self::TopProducts { limit, .. } | Self::TopCustomers { limit, .. } | Self::Channels { limit, .. } => {
                json!({"period": period, "limit": limit})
            }
            Self::Revenue { .. } | Self::Profit { .. } | Self::Orders { .. } | Self::Alerts { .. } | Self::UnitEconomics { .. } => {
                json!({"period": period})
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Plan, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn plans_survive_json() {
        for (json, function) in [
            (r#"{"intent":"revenue","period":{"kind":"today"}}"#, "ask_revenue"),
            (
                r#"{"intent":"top_products","period":{"kind":"last_days","count":7},"limit":10}"#,
                "ask_top_products",
            ),
            (r#"{"intent":"alerts","period":null}"#, "ask_alerts"),
            (r#"{"intent":"profit","period":{"kind":"day","date":"2026-01-15"}}"#, "ask_profit"),
            (
                r#"{"intent":"channels","period":{"kind":"range","from":"2026-01-01","to":"2026-01-31"},"limit":3}"#,
                "ask_channels",
            ),
        ] {
            let plan = read(json).unwrap();
            assert_eq!(serde_json::to_string(&plan).unwrap(), json);
            assert_eq!(plan.function(), function);
        }
        assert_eq!(
            read(r#"{"intent":"top_products","period":{"kind":"today"},"limit":5}"#)
                .unwrap()
                .parameters(),
            json!({"period": {"kind": "today"}, "limit": 5})
        );
    }

    /// Also what a model could send: the type refuses it before anything is called.
    #[test]
    fn what_is_no_plan_does_not_become_one() {
        for json in [
            r#"{"intent":"drop_table","period":{"kind":"today"}}"#,
            r#"{"intent":"revenue"}"#,
            r#"{"intent":"revenue","period":{"kind":"always"}}"#,
            r#"{"intent":"revenue","period":{"kind":"today"},"sql":"select 1"}"#,
            r#"{"intent":"top_products","period":{"kind":"today"},"limit":0}"#,
            r#"{"intent":"top_products","period":{"kind":"today"},"limit":101}"#,
            r#"{"intent":"top_products","period":{"kind":"today"},"limit":"10; drop table x"}"#,
            r#"{"intent":"revenue","period":{"kind":"last_days","count":-1}}"#,
            r#"{"intent":"revenue","period":{"kind":"last_days","count":3661}}"#,
            r#"{"intent":"revenue","period":{"kind":"day","date":"2026-02-30"}}"#,
            r#"{"intent":"revenue","period":{"kind":"day","date":"1999-12-31"}}"#,
            r#"{"intent":"revenue","period":{"kind":"range","from":"2026-01-31","to":"2026-01-01"}}"#,
            r#"{"intent":"revenue","period":{"kind":"range","from":"2001-01-31","to":"2026-01-01"}}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
