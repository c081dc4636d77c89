//! When an event happened, by a clock that may be wrong.
//!
//! An event's `sent_at` is the device's time when it happened; a batch's `sent_at`, if the sender adds it, the device's time when it sent the
//! batch. The difference between the latter and our clock is how wrong the device's is.
//!
//! 1. No `sent_at` at the event: it happened now.
//! 2. The batch names its time and that is off by more than [`TOLERANCE`]: the event's time is moved by the difference. Less is the time the
//!    request took, and is left alone. A batch's time that cannot be read is as good as none: it must not cost the events.
//! 3. A time in the future is taken as now.
//! 4. A time more than [`MAX_AGE`] ago is refused as `too_old`.
//!
//! So a device whose clock is a year off loses nothing and moves nothing, as long as the batch names its time. Without it a clock that is ahead is
//! taken as now, one that is behind by less than [`MAX_AGE`] is believed: an event kept offline for that long looks the same.

use chrono::{DateTime, TimeDelta, Utc};

/// A difference of clocks that is not worth correcting.
pub const TOLERANCE: TimeDelta = TimeDelta::seconds(30);
/// Events that happened longer ago are refused as `too_old`.
pub const MAX_AGE: TimeDelta = TimeDelta::days(7);

/// Our time, and how far behind it the sender's clock is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    pub now: DateTime<Utc>,
    behind: TimeDelta,
}

impl Clock {
    /// `sent_at`: the sender's time at sending, where it named one.
    pub fn new(now: DateTime<Utc>, sent_at: Option<&str>) -> Self {
        let behind = sent_at.and_then(parse).map_or(TimeDelta::zero(), |sent| now - sent);
        let behind = if behind.abs() > TOLERANCE { behind } else { TimeDelta::zero() };
        Self { now, behind }
    }

    /// The time of an event, or why it is refused.
    pub fn occurred_at(&self, sent_at: Option<&str>) -> Result<DateTime<Utc>, &'static str> {
        let Some(text) = sent_at else { return Ok(self.now) };
        let sent = parse(text).ok_or("invalid_sent_at")?;
        // A time at the end of the calendar cannot be moved: it is in the future anyway.
        let at = sent.checked_add_signed(self.behind).unwrap_or(self.now);
        if self.now - at > MAX_AGE {
            return Err("too_old");
        }
        Ok(at.min(self.now))
    }
}

fn parse(text: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-15T12:00:00Z";

    /// (time of the batch, time of the event, what comes of it)
    type Row = (Option<&'static str>, Option<&'static str>, Result<&'static str, &'static str>);

    const TABLE: &[Row] = &[
        (None, None, Ok(NOW)),
        (None, Some("2026-01-15T13:00:00+02:00"), Ok("2026-01-15T11:00:00Z")),
        (None, Some("2027-01-01T00:00:00Z"), Ok(NOW)),
        (None, Some("2026-01-08T12:00:00Z"), Ok("2026-01-08T12:00:00Z")),
        (None, Some("2026-01-08T11:59:59Z"), Err("too_old")),
        (None, Some("yesterday"), Err("invalid_sent_at")),
        (None, Some("2026-02-30T12:00:00Z"), Err("invalid_sent_at")),
        // Right clocks: kept offline for three days, and a request that took 20 seconds.
        (Some(NOW), Some("2026-01-12T12:00:00Z"), Ok("2026-01-12T12:00:00Z")),
        (
            Some("2026-01-15T11:59:40Z"),
            Some("2026-01-15T11:59:30Z"),
            Ok("2026-01-15T11:59:30Z"),
        ),
        // Two days behind, a year behind, a day ahead, at the beginning of time: moved.
        (
            Some("2026-01-13T12:00:00Z"),
            Some("2026-01-13T11:50:00Z"),
            Ok("2026-01-15T11:50:00Z"),
        ),
        (
            Some("2025-01-15T12:00:00Z"),
            Some("2025-01-15T11:00:00Z"),
            Ok("2026-01-15T11:00:00Z"),
        ),
        (
            Some("2026-01-16T12:00:00Z"),
            Some("2026-01-16T11:59:00Z"),
            Ok("2026-01-15T11:59:00Z"),
        ),
        (
            Some("1970-01-01T00:10:00Z"),
            Some("1970-01-01T00:00:00Z"),
            Ok("2026-01-15T11:50:00Z"),
        ),
        // Wrong clock and eight days old.
        (Some("2025-01-15T12:00:00Z"), Some("2025-01-07T12:00:00Z"), Err("too_old")),
        // After its own batch, and clocks that cannot be.
        (Some("2026-01-14T12:00:00Z"), Some("2026-01-14T13:00:00Z"), Ok(NOW)),
        (Some("1970-01-01T00:00:00Z"), Some("9999-12-31T23:59:59Z"), Ok(NOW)),
        (
            Some("9999-12-31T23:59:59Z"),
            Some("9999-12-31T23:00:00Z"),
            Ok("2026-01-15T11:00:01Z"),
        ),
        (Some("soon"), Some("2026-01-15T11:00:00Z"), Ok("2026-01-15T11:00:00Z")),
    ];

    #[test]
    fn the_table_of_clocks() {
        for (batch, event, expected) in TABLE {
            let clock = Clock::new(NOW.parse().unwrap(), *batch);
            let expected = expected.map(|time| time.parse::<DateTime<Utc>>().unwrap());
            assert_eq!(clock.occurred_at(*event), expected, "batch {batch:?}, event {event:?}");
        }
    }
}
