//! Days of a time zone, periods of whole days, and what a moment belongs to.

use chrono::{Datelike, Days, Duration, LocalResult, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;

use super::model::Moment;

/// When a day begins: its first midnight, or where the clocks jump over midnight, the moment they jump to.
pub fn day_begins(zone: Tz, day: NaiveDate) -> Moment {
    let mut local = day.and_time(NaiveTime::MIN);
    loop {
        match zone.from_local_datetime(&local) {
            LocalResult::Single(moment) | LocalResult::Ambiguous(moment, _) => return moment.with_timezone(&Utc),
            LocalResult::None => local += Duration::minutes(15),
        }
    }
}

pub fn day_of(zone: Tz, moment: Moment) -> NaiveDate {
    moment.with_timezone(&zone).date_naive()
}

/// The first day of the day's month.
pub fn month_of(day: NaiveDate) -> NaiveDate {
    day - Days::new(u64::from(day.day0()))
}

/// The first day of the month after the day's.
pub fn month_after(day: NaiveDate) -> NaiveDate {
    month_of(month_of(day) + Days::new(31))
}

/// Whole days, the last one excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    pub from: NaiveDate,
    pub to: NaiveDate,
}

impl Period {
    pub fn new(from: NaiveDate, to: NaiveDate) -> Self {
        Self { from, to }
    }

    pub fn day(day: NaiveDate) -> Self {
        Self::new(day, day + Days::new(1))
    }

    /// The last days, today included.
    pub fn last_days(days: u64, today: NaiveDate) -> Self {
        let to = today + Days::new(1);
        Self::new(to - Days::new(days), to)
    }

    pub fn days(self) -> i64 {
        (self.to - self.from).num_days()
    }

    /// As many days, right before.
    pub fn before(self) -> Self {
        Self::new(self.from - Duration::days(self.days()), self.from)
    }

    pub fn has_day(self, day: NaiveDate) -> bool {
        self.from <= day && day < self.to
    }

    pub fn moments(self, zone: Tz) -> Span {
        Span {
            begins: day_begins(zone, self.from),
            ends: day_begins(zone, self.to),
        }
    }
}

/// From one moment up to, not including, another.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub begins: Moment,
    pub ends: Moment,
}

impl Span {
    pub fn has(self, moment: Moment) -> bool {
        self.begins <= moment && moment < self.ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn hours(zone: Tz, text: &str) -> i64 {
        let Span { begins, ends } = Period::day(day(text)).moments(zone);
        (ends - begins).num_hours()
    }

    #[test]
    fn days_on_which_clocks_change_have_23_or_25_hours() {
        assert_eq!(hours(chrono_tz::Europe::Berlin, "2025-03-30"), 23);
        assert_eq!(hours(chrono_tz::Europe::Berlin, "2025-10-26"), 25);
        assert_eq!(hours(chrono_tz::America::New_York, "2025-03-09"), 23);
        // Midnight comes twice, or not at all.
        assert_eq!(hours(chrono_tz::America::Havana, "2024-11-03"), 25);
        assert_eq!(hours(chrono_tz::America::Havana, "2025-03-09"), 23);
    }

    #[test]
    fn a_day_that_begins_twice_begins_with_the_first_midnight() {
        let zone = chrono_tz::America::Havana;
        let begins = day_begins(zone, day("2024-11-03"));
        assert_eq!(begins.to_rfc3339(), "2024-11-03T04:00:00+00:00");
        assert_eq!(day_of(zone, begins), day("2024-11-03"));
        assert_eq!(day_of(zone, begins - Duration::microseconds(1)), day("2024-11-02"));
    }

    #[test]
    fn a_month_ends_where_the_next_begins() {
        assert_eq!(month_of(day("2025-02-28")), day("2025-02-01"));
        assert_eq!(month_after(day("2024-12-31")), day("2025-01-01"));
        assert_eq!(Period::last_days(7, day("2025-01-03")).before().from, day("2024-12-21"));
    }
}
