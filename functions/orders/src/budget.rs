//! How long a request for an order may take, so that no shopper waits for ever and no request outlives the lease of its idempotency key.
//!
//! | step | at most |
//! |---|---|
//! | `create_order` | 10 s (the limit of every call to the database) |
//! | the bill | 8 s |
//! | `attach_bill`, all attempts | until 25 s after the request began |
//! | `fail_order` | 5 s |

use std::time::Duration;

use chrono::{DateTime, Utc};

const ATTACH_UNTIL: Duration = Duration::from_secs(25);
/// One attempt: a call that hangs leaves time for another.
const ATTACH_ATTEMPT: Duration = Duration::from_secs(4);
/// How often the bill is tied to its order before the request gives up.
const ATTACH_ATTEMPTS: u32 = 5;
pub const GIVE_UP: Duration = Duration::from_secs(5);

/// The limit of attempt number `attempt` (from 1) to attach a bill; `None` when there is to be none.
pub fn attach_attempt(attempt: u32, started: DateTime<Utc>, now: DateTime<Utc>) -> Option<Duration> {
    let spent = (now - started).to_std().unwrap_or_default();
    let left = ATTACH_UNTIL.checked_sub(spent).filter(|left| !left.is_zero())?;
    (attempt <= ATTACH_ATTEMPTS).then(|| left.min(ATTACH_ATTEMPT))
}

/// The wait before attempt number `attempt` (from 2): 250 ms, 500 ms, 1 s, 2 s.
pub fn pause(attempt: u32) -> Duration {
    Duration::from_millis(250 << attempt.clamp(2, 5).saturating_sub(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bill_is_attached_within_25_seconds_or_not_at_all() {
        let started = DateTime::<Utc>::default();
        let at = |ms: u64| started + Duration::from_millis(ms);
        for (attempt, ms, limit) in [
            (1, 0, Some(4000)),
            (5, 20_999, Some(4000)),
            (2, 24_000, Some(1000)),
            (2, 24_999, Some(1)),
            (2, 25_000, None),
            (2, 90_000, None),
            (6, 100, None),
        ] {
            assert_eq!(
                attach_attempt(attempt, started, at(ms)),
                limit.map(Duration::from_millis),
                "{attempt} {ms}"
            );
        }
        // A clock that steps back is no time spent.
        assert_eq!(attach_attempt(1, at(9), started), Some(ATTACH_ATTEMPT));
    }

    #[test]
    fn a_database_that_is_back_within_three_seconds_is_found_again() {
        let waits: Duration = (2..=ATTACH_ATTEMPTS).map(pause).sum();
        assert_eq!(waits, Duration::from_millis(3750));
    }
}
