//! What people type, and what it must be read as.

mod properties;
mod refused;
mod understood;

use super::*;
use crate::plan::Day;

fn days(count: u32) -> Period {
    Period::LastDays {
        count: count.try_into().unwrap(),
    }
}

fn weeks(count: u32) -> Period {
    Period::LastWeeks {
        count: count.try_into().unwrap(),
    }
}

fn months(count: u32) -> Period {
    Period::LastMonths {
        count: count.try_into().unwrap(),
    }
}

fn date(year: i32, month: u32, day: u32) -> Day {
    Day::new(year, month, day).unwrap()
}

fn on(year: i32, month: u32, day: u32) -> Period {
    Period::Day {
        date: date(year, month, day),
    }
}

/// 1 to 31 January 2026.
fn january() -> Period {
    Period::Range(crate::plan::Range::new(date(2026, 1, 1), date(2026, 1, 31)).unwrap())
}

const WEEK: Period = Period::DEFAULT;

fn revenue(period: Period) -> Plan {
    Plan::Revenue { period }
}

fn profit(period: Period) -> Plan {
    Plan::Profit { period }
}

fn orders(period: Period) -> Plan {
    Plan::Orders { period }
}

fn products(limit: u32, period: Period) -> Plan {
    Plan::TopProducts {
        period,
        limit: limit.try_into().unwrap(),
    }
}

fn customers(limit: u32, period: Period) -> Plan {
    Plan::TopCustomers {
        period,
        limit: limit.try_into().unwrap(),
    }
}

fn channels(limit: u32, period: Period) -> Plan {
    Plan::Channels {
        period,
        limit: limit.try_into().unwrap(),
    }
}

fn alerts(period: Option<Period>) -> Plan {
    Plan::Alerts { period }
}

fn economics(period: Period) -> Plan {
    Plan::UnitEconomics { period }
}
