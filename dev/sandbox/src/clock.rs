//! The one place that reads the wall clock.

use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

pub fn now() -> DateTime<Utc> {
    // A clock set before 1970 reads as 1970.
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    DateTime::UNIX_EPOCH + TimeDelta::from_std(since_epoch).unwrap_or_default()
}

/// RFC 3339 with milliseconds, as every JSON answer prints a time.
pub fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
